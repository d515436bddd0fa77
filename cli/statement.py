"""`tollbook statement`: what a customer owes for a month so far, and where the volume discounts stand."""

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.options import PeriodOption, period_of
from cli.output import (
    LINES,
    Format,
    FormatOption,
    emit,
    emit_json,
    emit_lines,
    emit_record,
    money,
    number,
    say,
    show,
    text,
)
from cli.reports import pending
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.statements import Statement

LARGEST = 12
"""Lines and countries that are shown, unless all are asked for."""

_PROGRESS = (
    text("schedule", "volume discount"),
    text("account"),
    number("position", "used"),
    text("unit"),
    text("tier_of", "tier"),
    number("next_threshold", "next tier above"),
    number("to_go", "to go"),
)


def statement(
    account: Annotated[str, typer.Argument(help="A billing account.")],
    period: PeriodOption = "",
    lines: Annotated[bool, typer.Option("--lines", help="Every line, not only the largest.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """A billing account's month: spend to date, by product and country, its lines, where its discounts stand.

    Says also what is on no line: usage in quarantine, and what came after an invoice of the month; then it ends with
    exit code 4.
    """
    from billing.flows.compose import compose_statement
    from billing.records import numbered, statement_record
    from cli.db import writing
    from cli.world import now, products

    with writing() as engine:
        found = compose_statement(engine, products(), period_of(period), now(), account)
    if form is Format.TABLE:
        show_statement(found, every_line=lines)
    elif form is Format.JSON:
        emit_json(statement_record(found))
    else:
        about = {"account": found.party.account, "period": str(found.period), "currency": found.party.currency}
        rows = [{**about, **row} for row in numbered(found.lines, found.party.currency)]
        emit_lines(rows, number("line"), text("account"), text("period"), text("currency"))
    if not found.lines:
        say(f"{account} has no usage with a price in {found.period}.")
    for words in _outside(found):
        say(words)
    if found.waiting or found.later or found.unbilled:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if not found.lines:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def show_statement(found: "Statement", *, every_line: bool = False) -> None:
    """Print a statement for a person: the largest lines, unless `every_line` is asked for."""
    from billing.records import numbered, statement_record

    said: dict[str, Any] = statement_record(found)
    who = f"{said['name']} ({said['account']})" if said["name"] else said["account"]
    word = "estimate, the month is open" if found.estimate else "what has a price; the month is over"
    show(f"Statement of {who}, {said['period']}: {money(said['total'], said['currency'])} ({word})", style="bold")
    issued = {f"invoice {each['number']}": _issued(each) for each in said["invoices"]}
    if found.later or found.unbilled:
        issued["after it" if len(issued) == 1 else "after them"] = _after(found)
    if issued:
        emit_record(issued, Format.TABLE)
    if found.pending:
        emit_record({"pending": pending(found.pending)}, Format.TABLE)
    products = [{"product": name, "amount": amount} for name, amount in said["by_product"].items()]
    emit(products, (text("product"), number("amount")), Format.TABLE)
    countries = [{"country": name or "none", "amount": amount} for name, amount in said["by_country"].items()]
    title = "By country" if len(countries) <= LARGEST else f"By country, the largest {LARGEST} of {len(countries)}"
    emit(countries[:LARGEST], (text("country"), number("amount")), Format.TABLE, title=title)
    progress = [{**each, "tier_of": f"{each['tier']} of {each['tiers']}"} for each in said["progress"]]
    if progress:
        emit(progress, _PROGRESS, Format.TABLE, title="Volume discounts")
    rows = numbered(found.lines, found.party.currency)
    title = f"All {len(rows):,} lines" if len(rows) > 1 else "The only line"
    if not every_line and len(rows) > LARGEST:
        sizes = {number: line.amount_minor for number, line in enumerate(found.lines, start=1)}
        largest = sorted(sizes, key=lambda number: -sizes[number])[:LARGEST]
        rows, title = [rows[number - 1] for number in largest], f"The largest {LARGEST} of {len(rows):,} lines"
    emit(rows, LINES, Format.TABLE, title=title)
    if found.adjustments:
        title = "Adjustments of earlier months, beside the lines"
        emit(said["adjustments"], (text("origin_period", "of month"), *LINES[1:]), Format.TABLE, title=title)


def _issued(invoice: Mapping[str, str]) -> str:
    return f"{money(invoice['total'], invoice['currency'])}, issued {invoice['issued_on']}, due {invoice['due_on']}"


def _after(found: "Statement") -> str:
    """What came after the invoices, and what the next run would make of it."""
    from rates.money import format_minor

    amount = money(format_minor(found.unbilled_minor, found.party.currency), found.party.currency)
    came = counted(found.later, "event") if found.later else "other prices"
    return f"{came}, {amount}, not billed yet{' (estimate: the month is open)' * found.estimate}"


def _outside(found: "Statement") -> Iterator[str]:
    """What is on no line of the month, and on no invoice."""
    if found.waiting:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in found.waiting.items())
        count = sum(found.waiting.values())
        said = f"{counted(count, 'event')} of {found.period} {of_number(count, 'waits', 'wait')} in quarantine"
        yield f"{said} and {of_number(count, 'is', 'are')} in no amount: {reasons}."
        of = f"--account {shlex.quote(found.party.account)} --period {found.period}"
        yield f"`tollbook usage quarantine {of}` says what would release them."
    if found.later or found.unbilled:
        numbers = ", ".join(found.adjusted_by)
        yield f"After {numbers} came {_after(found)}: the run of a later month adjusts it."
