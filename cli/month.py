"""The steps of `tollbook invoices` at which a person looks: compare a month, release what is held back, approve."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import PeriodArgument, said
from cli.output import Format, FormatOption, emit_record, say
from cli.reports import show_approved, show_changes

if TYPE_CHECKING:
    from billing.bounds import Bounds
    from billing.runs import IssueRules
    from cli.settings import Settings

EarlyOption = Annotated[bool, typer.Option("--early", help="Now, although usage of the month may still arrive.")]


def approve(
    period: PeriodArgument,
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Who approves, for the record.")],
    seen: Annotated[
        str, typer.Option("--sha256", metavar="DIGEST", help="Sign only the drafts with this digest, which close told.")
    ] = "",
    early: EarlyOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Sign the drafts of a period: `finalize` then issues exactly these. Safe to repeat.

    TOLLBOOK_APPROVALS says who must: none (the default), one, or two-people, where the approver is not who ran them.
    Exit code 4: you ran them yourself, a draft is not what was drawn up, or what is signed will not be issued, as a
    control total does not match. 3: you signed the same before, or there is no draft.
    """
    from billing.flows.approve import approve as sign
    from billing.periods import Period
    from cli.db import settings, writing
    from cli.world import actor, now

    approver, month = said(name, "--as"), Period.parse(period)
    with writing() as engine:
        rules = rules_of(settings())
        report = sign(engine, month, now(), approver=approver, actor=actor(), early=early, rules=rules, seen=seen)
    show_approved(report, form)
    if report.altered:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if report.drafts and (report.unmatched or report.mismatches):
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if not (report.written and report.drafts):
        raise typer.Exit(Exit.NOTHING_TO_DO)


def diff(
    period: PeriodArgument,
    against: Annotated[
        str, typer.Option("--against", metavar="MONTH", help="Another month; else the last one before that is issued.")
    ] = "",
    top: Annotated[
        int, typer.Option("--top", min=1, help="How many accounts a table shows, those that moved most.")
    ] = 20,
    form: FormatOption = Format.TABLE,
) -> None:
    """Compare the drafts of a month with the invoices of another: totals, products, accounts, cards, prices.

    Exit code 4: a bound is broken: an account that the run stopped at, or a price that moved by more than
    TOLLBOOK_BOUND_FACTOR. 3: there is nothing to compare with.
    """
    from fractions import Fraction

    from billing.flows.compare import compare_periods
    from billing.periods import Period
    from cli.db import settings, writing

    month, other = Period.parse(period), Period.parse(against) if against else None
    if month == other:
        raise typer.BadParameter(f"{month} is the month that is compared: name another one", param_hint="--against")
    with writing() as engine:
        since, changes = compare_periods(engine, month, other, factor=Fraction(settings().bound_factor))
    if since is None:
        say(f"No month before {month} is issued: name one with --against.")
        raise typer.Exit(Exit.NOTHING_TO_DO)
    show_changes(changes, form, top=top, title=f"{month} against {since}")
    if any(each.beyond for each in changes):
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def release(
    period: PeriodArgument,
    account: Annotated[str, typer.Argument(help="The account that the run holds back.")],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Who has looked at it, for the record.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is right, for the record.")],
    adjustment: Annotated[
        str, typer.Option("--adjustment", metavar="MONTH", help="Its adjustment of that month, beyond the late limit.")
    ] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Let an account go on that a safety bound holds back; the next run draws its bill up.

    It holds until the bill is as far from what was released, more usage waits for a price, or another count differs.
    With --adjustment an adjustment goes on that the run left out as older than TOLLBOOK_LATE_LIMIT months, for the
    usage that it was of. Exit code 3: no run holds it back, or it was released already.
    """
    from billing.flows.unpark import release_adjustment, unpark
    from billing.periods import Period
    from cli.db import writing
    from cli.world import actor, now

    who, why, month = said(name, "--as"), said(reason, "--reason"), Period.parse(period)
    with writing() as engine:
        if adjustment:
            origin = Period.parse(adjustment)
            released = release_adjustment(engine, month, account, origin, now(), name=who, reason=why, actor=actor())
        else:
            released = unpark(engine, month, account, now(), name=who, reason=why, actor=actor())
    facts = {"period": period, "account": account, "released_by": released.person}
    emit_record({**facts, "reason": released.reason, "held_back": released.held}, form)
    say(f"Draw it up with `tollbook invoices run {period}`.")


def rules_of(settings: "Settings") -> "IssueRules":
    """By which rules invoices are issued."""
    from billing.runs import IssueRules

    return IssueRules(
        series=settings.series,
        credit_series=settings.credit_series,
        late_limit=settings.late_limit,
        payment_days=settings.payment_days,
        approvals=settings.approvals,
        bounds=bounds_of(settings),
    )


def bounds_of(settings: "Settings") -> "Bounds | None":
    """By which bounds bills are held back; None: by none."""
    from fractions import Fraction

    from billing.bounds import Bounds

    if settings.bounds == "none":
        return None
    factor, waiting = Fraction(settings.bound_factor), settings.bounds == "all"
    return Bounds(factor=factor, months=settings.bound_months, least=settings.bound_least, waiting=waiting)
