"""`tollbook statement`: what a customer owes for a month so far, and where the volume discounts stand."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.invoices import LINES
from cli.options import PeriodOption, period_of
from cli.output import Format, FormatOption, emit, emit_csv, emit_json, money, number, say, show, text

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
    """A billing account's month: spend to date, by product and country, its lines, where its discounts stand."""
    from billing.flows.compose import compose_statement
    from cli.db import writing
    from cli.world import now, products

    with writing() as engine:
        found = compose_statement(engine, products(), period_of(period), now(), account)
    if form is Format.TABLE:
        show_statement(found, every_line=lines)
    elif form is Format.JSON:
        emit_json(document(found))
    else:
        emit_csv(_numbered(found), LINES)
    if not found.lines:
        say(f"{account} has no usage with a price in {found.period}; what waits is in `tollbook usage quarantine`.")
        raise typer.Exit(Exit.NOTHING_TO_DO)


def document(found: "Statement") -> dict[str, Any]:
    """A statement as plain values."""
    from billing.invoices import record
    from rates.cards import instant
    from rates.money import format_minor

    money_of = found.party.currency
    sums = {"by_product": found.by_product, "by_country": found.by_country}
    return {
        "account": found.party.account,
        "name": found.party.name,
        "period": str(found.period),
        "at": instant(found.at),
        "estimate": found.estimate,
        "currency": money_of,
        "total": format_minor(found.total_minor, money_of),
        **{name: {key: format_minor(minor, money_of) for key, minor in by.items()} for name, by in sums.items()},
        "progress": [asdict(each) for each in found.progress],
        "lines": [record(line, money_of) for line in found.lines],
    }


def show_statement(found: "Statement", *, every_line: bool = False) -> None:
    """Print a statement for a person: the largest lines, unless `every_line` is asked for."""
    said = document(found)
    who = f"{said['name']} ({said['account']})" if said["name"] else said["account"]
    word = "estimate, the month is open" if found.estimate else "what has a price; the month is over"
    show(f"Statement of {who}, {said['period']}: {money(said['total'], said['currency'])} ({word})", style="bold")
    products = [{"product": name, "amount": amount} for name, amount in said["by_product"].items()]
    emit(products, (text("product"), number("amount")), Format.TABLE)
    countries = [{"country": name or "none", "amount": amount} for name, amount in said["by_country"].items()]
    title = "By country" if len(countries) <= LARGEST else f"By country, the largest {LARGEST} of {len(countries)}"
    emit(countries[:LARGEST], (text("country"), number("amount")), Format.TABLE, title=title)
    progress = [{**each, "tier_of": f"{each['tier']} of {each['tiers']}"} for each in said["progress"]]
    if progress:
        emit(progress, _PROGRESS, Format.TABLE, title="Volume discounts")
    rows = _numbered(found)
    title = f"All {len(rows):,} lines"
    if not every_line and len(rows) > LARGEST:
        sizes = {number: line.amount_minor for number, line in enumerate(found.lines, start=1)}
        largest = sorted(sizes, key=lambda number: -sizes[number])[:LARGEST]
        rows, title = [rows[number - 1] for number in largest], f"The largest {LARGEST} of {len(rows):,} lines"
    emit(rows, LINES, Format.TABLE, title=title)


def _numbered(found: "Statement") -> list[dict[str, Any]]:
    from billing.invoices import record

    return [{"line": n, **record(line, found.party.currency)} for n, line in enumerate(found.lines, start=1)]
