"""`tollbook close`: a month from its usage to its invoices, as far as nobody is needed; again goes on."""

from typing import TYPE_CHECKING

import typer

from cli.exits import Exit
from cli.month import EarlyOption, rules_of
from cli.options import AsOption, PeriodArgument, runner
from cli.output import Format, FormatOption, emit, say, text
from cli.reports import amounts, balance_of, say_left, show_changes, show_run, some_of
from cli.verify import processes, show_verification
from cli.words import counted, numbers_in_words, of_number

if TYPE_CHECKING:
    from billing.closing import Closing

_STAGES = (text("stage", whole=True), text("state", whole=True), text("what"))
_TOP = 10
_DIGITS = 16  # of a digest: none of a house's drafts share so many


def close(
    period: PeriodArgument, name: AsOption = None, early: EarlyOption = False, form: FormatOption = Format.TABLE
) -> None:
    """Close a month: post its charges, draw its invoices up, verify and compare them, and issue what is signed.

    It stops where a person is needed and says what for; the same command goes on from there. Nothing is issued that
    was not signed with `invoices approve`, or that the verifier disagrees with. Exit code 4: something waits for a
    person. 3: the month was closed before. 1: the verifier disagrees.
    """
    from fractions import Fraction

    from billing.flows.close import Rules
    from billing.flows.close import close as close_month
    from billing.periods import Period
    from cli.db import settings, writing
    from cli.world import actor, now, product_tables, products

    month, said = Period.parse(period), settings()
    rules = Rules(issue=rules_of(said), factor=Fraction(said.bound_factor))
    with writing() as engine:
        found = close_month(
            engine,
            products(),
            product_tables(),
            month,
            now(),
            rules=rules,
            actor=actor(),
            drawn_by=runner(name),
            early=early,
            processes=processes(),
        )
    _show(found, form)
    if not found.verification.agrees:
        raise typer.Exit(Exit.ERROR)
    if found.needs_a_person:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if not found.drafts:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def _show(found: "Closing", form: Format) -> None:
    if found.posted:
        say(f"{counted(found.posted, 'due charge')} {of_number(found.posted, 'was', 'were')} posted.")
    if form is Format.TABLE:
        if found.run is not None:
            show_run(found.run, form, each_account=False)
        if not found.verification.agrees:
            show_verification(found.verification, form)
        if found.against is not None and found.issued is None:
            show_changes(found.changes, form, top=_TOP, title=f"{found.period} against {found.against}")
    what = {
        "draw up": _drawn(found),
        "verify": _verified(found),
        "compare": _compared(found),
        "approve": _approved(found),
        "issue": _issued(found),
    }
    rows = [{"stage": str(stage), "state": str(state), "what": what[stage]} for stage, state in found.states().items()]
    emit(rows, _STAGES, form, title=f"Closing of {found.period}")
    if found.issued is not None:
        say_left(found.issued)
    for line in _next(found):
        say(line)


def _drawn(found: "Closing") -> str:
    if found.run is None and not found.drafts:
        return "what was signed was issued meanwhile, by another one"
    if found.run is None:
        return f"{counted(found.drafts, 'draft')} of all usage, as signed"
    return f"{balance_of(found.run.report)}; {amounts(found.run.report.totals_minor) or 'nothing'}"


def _verified(found: "Closing") -> str:
    seen = found.verification
    compared = f"{counted(seen.events, 'event')} rated again, {counted(seen.lines, 'line')} compared"
    if seen.agrees and found.stale:
        return f"{compared}: all agree, but usage of {some_of(found.stale)} came meanwhile"
    return f"{compared}: {'all agree' if seen.agrees else counted(len(seen.disagreements), 'disagreement')}"


def _compared(found: "Closing") -> str:
    if found.against is None:
        return "no month before is issued"
    beyond = sum(each.beyond for each in found.changes)
    return f"against {found.against}: {f'{beyond:,} beyond a bound' if beyond else 'nothing is beyond a bound'}"


def _approved(found: "Closing") -> str:
    if not found.drafts:
        return "nothing is left to sign"
    if found.approval is None:
        return f"nobody has signed {of_number(found.drafts, 'this', 'these')} {counted(found.drafts, 'draft')}"
    return f"signed by {found.approval.approver} on {found.approval.at:%Y-%m-%d}"


def _issued(found: "Closing") -> str:
    if found.issued is None:
        before = 0 if found.run is None else found.run.report.final
        return f"{counted(before, 'invoice')} issued before" if before else ""
    runs = [run for numbers in found.issued.numbers.values() for run in numbers_in_words(numbers)]
    return f"{counted(found.issued.issued, 'invoice')}: {', '.join(runs)}; {amounts(found.issued.totals_minor)}"


def _next(found: "Closing") -> list[str]:
    """What a person does next, each with its command."""
    if not found.verification.agrees:
        return ["Nothing is issued. The verifier reads the same books and disagrees: this is a defect; report it."]
    month = found.period
    if found.stale:
        return [f"Begin again with `tollbook close {month}`."]
    stopped = found.run is not None and bool(found.run.report.stopped or found.run.report.late)
    lines = []
    if found.drafts and found.approval is None:
        lines += ["Look at the drafts and sign them:", f"  tollbook invoices show {month}"]
        lines += [f"  tollbook invoices diff {month}"] * (found.against is not None)
        lines.append(f"  tollbook invoices approve {month} --as NAME --sha256 {found.sha256[:_DIGITS]}")
    if lines or stopped:
        lines.append(f"Then go on with `tollbook close {month}`.")
    elif not found.drafts:
        issued = found.run is None or found.run.report.final
        closed = "Nothing is left to issue of {}: it is closed." if issued else "There is nothing to bill in {}."
        lines.append(closed.format(month))
    return lines
