"""`tollbook rerate`: rate a month's stored usage again with the books as they are, and what that does to amounts."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.options import DryRunOption, NameOption, ReasonOption, answered, period_of
from cli.output import Column, Format, FormatOption, Row, emit_csv, emit_json, number, say, show, table, text
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.corrections import Correction, Difference, Subject

COLUMNS = (
    text("period"),
    text("account"),
    text("product"),
    number("events_before", "events before", spare=1),
    number("events_after", "events after", spare=1),
    number("amount_before", "amount before"),
    number("amount_after", "amount after"),
    number("difference"),
    text("currency"),
)
"""What a correction did, by account and product."""

_SHOWN = 40  # rows that a person reads
_NAMED = 10  # accounts that are named one by one


def rerate(
    period: Annotated[str, typer.Option("--period", metavar="MONTH", help="A month, as in 2026-10.")],
    account: Annotated[
        list[str] | None, typer.Option("--account", metavar="ACCOUNT", help="An account that pays; all without it.")
    ] = None,
    reason: ReasonOption = "",
    name: NameOption = "",
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Rate a month's stored usage again with the books as they are, and say what it came to before and comes to now.

    Final invoices stay as they are: what differs from them is billed by the next run, and their accounts are named.
    Exit code 3: nothing differs; 4: done, but something is left for a person.
    """
    from billing.flows.correct import rerate_period
    from billing.flows.fold import fold
    from cli.db import compiled_cards, writing
    from cli.world import now, products

    why, who = answered(reason, name, "a re-rating")
    month = period_of(period)
    with writing() as engine:
        found = rerate_period(
            engine,
            products(),
            month,
            at=now(),
            actor=who,
            reason=why,
            accounts=account or (),
            kept=compiled_cards(),
            dry_run=dry_run,
        )
        if found.rewritten and not dry_run:
            fold(engine)
    say_correction(found, dry_run=dry_run)
    emit_correction(found, form, {"period": str(month), "dry_run": dry_run})
    if found.needs_a_person:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if not found.rewritten:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def say_correction(found: "Correction", *, dry_run: bool) -> None:
    """Say in words what was rated again, and what is left to do."""
    would = "would be " if dry_run else ""
    say(f"{counted(found.events, 'event')} rated again, {found.rewritten:,} {would}charged or named otherwise.")
    if found.quarantined:
        lost = f"{counted(found.quarantined, 'event')} {of_number(found.quarantined, 'has', 'have')} no price any more"
        say(f"{lost}: {would or 'now '}in quarantine. What releases it: tollbook usage quarantine")
    if found.withdrawn:
        drafts = counted(found.withdrawn, "draft of an invoice", "drafts of invoices")
        what = "" if dry_run else ": run the invoices of the month again"
        say(f"{drafts} {would or of_number(found.withdrawn, 'is ', 'are ')}withdrawn{what}.")
    for account, count in [*found.invoiced.items()][:_NAMED]:
        otherwise = f"{counted(count, 'event')} {would or of_number(count, 'is ', 'are ')}charged otherwise"
        say(f"{account}: {otherwise} than its final invoice has {of_number(count, 'it', 'them')}.")
    if (more := len(found.invoiced) - _NAMED) > 0:
        say(f"So it is for {counted(more, 'more account')}.")
    if found.invoiced:
        say("Final invoices stay: the next `tollbook invoices run` bills what differs, or gives a credit note for it.")
    for account, why in found.unpriced.items():
        say(f"{account} could not be priced: {why}")


def emit_correction(found: "Correction", form: Format, facts: dict[str, object]) -> None:
    """Print the amounts before and after."""
    rows = [_row(each) for each in found.differences]
    if form is Format.JSON:
        emit_json({**facts, **correction_record(found)})
    elif form is Format.CSV:
        emit_csv(rows, COLUMNS)
    else:
        show_correction(found)


def show_correction(found: "Correction") -> None:
    """The amounts before and after as tables: by account and product, of the most, and in all."""
    moved = sorted((each for each in found.differences if each.before != each.after), key=_most)
    if moved:
        show(table([_row(each) for each in sorted(moved[:_SHOWN])], COLUMNS, title="Before and after"))
    if (more := len(moved) - _SHOWN) > 0:
        say(f"{counted(more, 'product')} of accounts moved less: --format csv has them all.")
    if same := len(found.differences) - len(moved):
        say(f"{counted(same, 'product')} of these accounts {of_number(same, 'comes', 'come')} to the same.")
    if in_all := found.in_all:
        total: list[Row] = [{**_row(each), "month": f"in all, {each.subject.period}"} for each in in_all]
        columns: list[Column] = [column for column in COLUMNS if column.key not in {"period", "account", "product"}]
        title = "In all, with all other products of the accounts whose usage was rated again"
        show(table(total, [text("month"), *columns], title=title))


def _most(each: "Difference") -> tuple[int, "Subject"]:
    return -abs(each.amount_minor), each.subject


def correction_record(found: "Correction") -> dict[str, Any]:
    """A correction as a JSON document says it."""
    return {
        "events": found.events,
        "rewritten": found.rewritten,
        "quarantined": found.quarantined,
        "withdrawn": found.withdrawn,
        "invoiced": dict(found.invoiced),
        "unpriced": dict(found.unpriced),
        "accounts": [_row(each) for each in found.differences],
        "totals": [
            {key: value for key, value in _row(each).items() if key not in {"account", "product"}}
            for each in found.in_all
        ],
    }


def _row(each: "Difference") -> dict[str, object]:
    from rates.money import Currency, format_minor

    currency = Currency(each.subject.currency)
    return {
        **each.subject._asdict(),
        "events_before": each.before.events,
        "events_after": each.after.events,
        "amount_before": format_minor(each.before.amount_minor, currency),
        "amount_after": format_minor(each.after.amount_minor, currency),
        "difference": format_minor(each.amount_minor, currency),
    }
