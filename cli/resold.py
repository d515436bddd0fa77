"""`tollbook invoices margin`: what a reseller's month costs it, and what it bills."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import PeriodArgument, period_of
from cli.output import Format, FormatOption, emit, number, readable, say, text

if TYPE_CHECKING:
    from billing.resold import Resold

_COLUMNS = (
    text("subaccount"), text("what"), text("product"), text("country"), text("account", spare=1),
    number("cost"), text("cost_currency", "", spare=2), number("revenue"), text("revenue_currency", "", spare=2),
    number("margin"),
)  # fmt: skip


def margin(
    period: PeriodArgument,
    reseller: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Who resells: its contract says resells = true.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """What the month costs a reseller, and what it bills its customers.

    By product, country and account. What no account used, as a minimum, has rows of its own, and so does what rounding
    lines added: each side adds up to its invoices, with what adjusts them. Amounts are exact. A margin of two
    currencies is left open.
    """
    from billing.flows.margin import resold_margin
    from cli.db import writing
    from cli.world import products

    with writing() as engine:
        found = resold_margin(engine, products(), period_of(period), reseller)
    rows = _rows(found)
    if form is Format.TABLE:
        amounts = ("cost", "revenue", "margin")
        rows = [{**row, **{key: readable(row[key]) for key in amounts}} for row in rows]
    emit(rows, _COLUMNS, form, title=f"{found.reseller} {found.period}")
    for line in _said(found):
        say(line)


def _rows(found: "Resold") -> list[dict[str, Any]]:
    from rates.money import format_fraction

    bought = found.currencies[found.reseller]
    rows = []
    for item in sorted(found.rows):
        row = found.rows[item]
        sold = found.currencies[item.subaccount or found.reseller]
        sides = {"cost": row.cost, "revenue": row.revenue, "margin": found.margin(item)}
        rows.append(
            {
                "subaccount": item.subaccount,
                "what": item.what,
                "product": item.product,
                "country": item.country,
                "account": item.account,
                **{key: "" if value is None else format_fraction(value) for key, value in sides.items()},
                "cost_currency": "" if row.cost is None else bought,
                "revenue_currency": "" if row.revenue is None else sold,
            }
        )
    return rows


def _said(found: "Resold") -> list[str]:
    from cli.output import money
    from rates.money import format_minor

    def total(name: str) -> str:
        return money(format_minor(found.totals[name], found.currencies[name]), found.currencies[name])

    billed = [f"{name} {total(name)}" for name in found.totals if name != found.reseller]
    return [f"{found.reseller} pays {total(found.reseller)}, and bills {', '.join(billed)}."]
