"""`tollbook cards margin`: a sell card beside a buy card, by the lists and by real usage."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.cardreports import BuyArgument, SellArgument, card_named
from cli.decks import Deck, takes_deck
from cli.exits import Exit
from cli.options import AtOption, instant_of, period_of
from cli.output import Format, FormatOption, emit, emit_json, number, readable, say, text
from cli.words import counted

if TYPE_CHECKING:
    from rates.cards import Card
    from rates.comparing.margins import Sides, Tally

_ROWS = (
    text("sell_row", "row"), text("destination"), text("number"), text("caller"), number("sell_price", "sold at"),
    text("sell_increments", "incr."), text("buy_destination", "bought as"), number("buy_price", "bought at"),
    text("buy_increments", "incr. bought"), number("seconds", "at"), number("revenue"), number("cost"),
    number("margin"), text("negative_at", "negative at"), text("reason", "not bought"),
)  # fmt: skip
_USED = (
    text("sell_row", "row"), text("destination"), text("buy_destination", "bought as"), number("events"),
    number("negative_events", "with a loss"), number("measured"), number("revenue"), number("cost"), number("margin"),
    text("reason", "not bought"),
)  # fmt: skip
_SUMMED = (
    text("destination"), number("events"), number("negative_events", "with a loss"), number("measured"),
    number("revenue"), number("cost"), number("margin"), number("unbought", "not bought"),
)  # fmt: skip
_CALLS = (
    text("account"), text("source"), text("id"), text("destination"), text("buy_destination", "bought as"),
    number("measured"), number("revenue"), number("cost"), number("margin"),
)  # fmt: skip
_MOST_CALLS = 10_000
_AMOUNTS = ("revenue", "cost", "margin")


class Of(StrEnum):
    """What a row of real margins is of."""

    ROW = "row"
    CALL = "call"
    DESTINATION = "destination"


@takes_deck
def margin(  # noqa: PLR0913, PLR0917 (each is an option)
    buy: BuyArgument,
    sell: SellArgument,
    seconds: Annotated[str, typer.Option(help="Quantities at which lists are compared.")] = "1,6,30,60,61,180",
    sold_as: Annotated[str, typer.Option(help="The product that is sold; the card's first one.")] = "",
    bought_as: Annotated[str, typer.Option(help="What it is where it is bought, if another.")] = "",
    period: Annotated[str, typer.Option(help="Real usage of a month, as in 2026-10, that the sell card rated.")] = "",
    account: Annotated[str, typer.Option(help="With --period: of one account, and what it pays.")] = "",
    by: Annotated[
        Of, typer.Option(help="With --period: a row of the card, all of a destination, or each call.")
    ] = Of.ROW,
    everything: Annotated[bool, typer.Option("--all", help="List what has a gain too.")] = False,
    at: AtOption = "",
    form: FormatOption = Format.TABLE,
    *,
    deck: Deck,
) -> None:
    """Where a sell card brings less than a buy card costs, after both increments and roundings. Exit 4 if anywhere.

    By the lists: each row that is sold against the dearest row that it may be bought by. With --period: stored usage.
    """
    moment = instant_of(at)
    if account and not period:
        raise typer.BadParameter("--account is of real usage: give --period")
    if period:
        lost = _of_usage(sell, buy, period, account, bought_as, (by, everything, form), deck)
    else:
        cards = card_named(sell, moment, deck), card_named(buy, moment, deck)
        lost = _of_lists(cards, sold_as, bought_as, _quantities(seconds), form, everything=everything)
    if lost:
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def _quantities(text_: str) -> tuple[int, ...]:
    parts = text_.split(",")
    if not all(part.isdecimal() and 0 < int(part) < 10**9 for part in parts):
        raise typer.BadParameter(f"--seconds {text_} is no list of whole numbers, as in 1,60,61")
    return tuple(map(int, parts))


def _check(cards: "tuple[Card, Card]") -> None:
    sell, buy = cards
    if sell.currency != buy.currency:
        raise typer.BadParameter(f"{sell.version} is in {sell.currency}, {buy.version} in {buy.currency}")


def _bought_as(sold: str, buy: "Card", told: str) -> str:
    known = buy.rows["product"].unique().to_pylist()
    return told or (sold if sold in known else str(known[0]))


def _of_lists(
    cards: "tuple[Card, Card]", product: str, told: str, quantities: tuple[int, ...], form: Format, *, everything: bool
) -> bool:
    from cli.world import products
    from rates.comparing.margins import Sides
    from rates.comparing.probes import worst_margins
    from rates.compiled.patterns import microseconds
    from rates.money import format_fraction
    from rates.rating import REASONS

    _check(cards)
    sides = Sides.of([cards[0]], [cards[1]], products())
    sold = product or str(cards[0].rows["product"][0].as_py())
    at = microseconds(max(card.effective_from for card in cards))
    found = worst_margins(sides, (sold, _bought_as(sold, cards[1], told)), at, quantities)
    lost = [worst for worst in found if worst.negative_at]
    rows = []
    for worst in found if everything else lost:
        amounts = (worst.revenue, worst.cost, worst.revenue - worst.cost)
        bought = worst.buy >= 0
        rows.append(
            {
                **_named(sides, worst.sell, worst.buy),
                "number": worst.number,
                "caller": worst.caller,
                "seconds": worst.at,
                **(
                    {key: format_fraction(sides.exact(x)) for key, x in zip(_AMOUNTS, amounts, strict=True)}
                    if bought
                    else {}
                ),
                "negative_at": " ".join(map(str, worst.negative_at)),
                "reason": "" if bought else str(REASONS[worst.reason]),
            }
        )
    title = f"{cards[0].version} sold, {cards[1].version} bought, {cards[0].currency}"
    _show(rows, _ROWS, form, title)
    unbought = sum(worst.buy < 0 for worst in found)
    say(f"{counted(len(found), 'row')} sold: {len(lost):,} with a loss, {unbought:,} that nothing is bought for.")
    return bool(lost)


def _named(sides: "Sides", sell: int, buy: int) -> dict[str, Any]:
    found = {"sell_card": sides.sell.cell(sell, "card"), "buy_card": sides.buy.cell(buy, "card")}
    found |= {"sell_row": sides.sell.cell(sell, "row"), "destination": sides.sell.cell(sell, "destination")}
    found |= {"buy_row": sides.buy.cell(buy, "row"), "buy_destination": sides.buy.cell(buy, "destination")}
    for name, side, rate in (("sell", sides.sell, sell), ("buy", sides.buy, buy)):
        found[f"{name}_price"] = side.cell(rate, "prices") or side.cell(rate, "steps")
        found[f"{name}_increments"] = side.cell(rate, "increments")
    return found


def _show(rows: list[dict[str, Any]], columns: Any, form: Format, title: str) -> None:  # noqa: ANN401
    if form is Format.TABLE:
        rows = [{**row, **{key: readable(row[key]) for key in _AMOUNTS if key in row}} for row in rows]
    if form is Format.JSON:
        emit_json(rows)
    else:
        told = [column for column in columns if form is Format.CSV or any(row.get(column.key) for row in rows)]
        emit(rows, told, form, title=title)


def _of_usage(
    sell: str, buy: str, period: str, account: str, told: str, how: tuple[Of, bool, Format], deck: Deck
) -> bool:
    from pathlib import Path

    from billing.store.queries.margins import published_versions, rated_calls
    from cli.db import reading
    from cli.world import products
    from rates.averages import products_of_month
    from rates.comparing.margins import Sides, Tally

    month, (by, everything, form) = period_of(period), how
    tally, calls = Tally(), []
    with reading() as connection:
        sold = published_versions(connection, sell, products())
        if not sold:
            raise typer.BadParameter(f"{sell} is not a published card: only usage that a card rated has real margins")
        is_file = all(Path(part).is_file() for part in buy.split(","))
        bought = [card_named(buy, month.opens, deck)] if is_file else published_versions(connection, buy, products())
        if not bought:
            raise typer.BadParameter(f"{buy} is neither a file nor a published card")
        _check((sold[-1], bought[-1]))
        sides = Sides.of(sold, bought, products_of_month(products(), month.days))
        for part in rated_calls(connection, sell, month, account):
            found = sides.margins(part.usage, _bought_as(part.product, bought[-1], told))
            tally.add(found, part.usage.measured)
            for i in (found.whole & (found.margin < 0)).nonzero()[0].tolist() if by is Of.CALL else ():
                named = part.names(i)
                measured = int(part.usage.measured[i])
                amounts = (int(found.revenue[i]), int(found.cost[i]))
                calls.append((amounts[0] - amounts[1], named, measured, amounts, int(found.sell[i]), int(found.buy[i])))
                if len(calls) > _MOST_CALLS * 2:
                    calls = sorted(calls, key=lambda call: call[0])[:_MOST_CALLS]
    title = f"{sell} sold, {buy} bought, {period}, {sold[-1].currency}"
    if by is Of.CALL:
        worst = sorted(calls, key=lambda call: call[0])[:_MOST_CALLS]
        named_calls = [
            {**named, **_named(sides, one, other), "measured": measured, **_money(sides, *amounts)}
            for _, named, measured, amounts, one, other in worst
        ]
        _show(named_calls, _CALLS, form, title)
    elif by is Of.DESTINATION:
        _show(_by_destination(sides, tally, everything=everything), _SUMMED, form, title)
    else:
        _show(_by_row(sides, tally, everything=everything), _USED, form, title)
    events = sum(sums[0] for sums in tally.sums.values())
    lost = sum(sums[4] for sums in tally.sums.values())
    unbought = sum(tally.unbought.values())
    whole = [sum(sums[i] for sums in tally.sums.values()) for i in (2, 3)]
    said = _money(sides, *whole)
    left = readable(said["margin"])
    say(f"{counted(events, 'event')}: {lost:,} with a loss, {unbought:,} that nothing is bought for; margin {left}.")
    return lost > 0


def _money(sides: "Sides", revenue: int, cost: int) -> dict[str, str]:
    from rates.money import format_fraction

    return {
        key: format_fraction(sides.exact(value))
        for key, value in zip(_AMOUNTS, (revenue, cost, revenue - cost), strict=True)
    }


def _by_destination(sides: "Sides", tally: "Tally", *, everything: bool) -> list[dict[str, Any]]:
    """Sums by what the sell card calls a destination, the greatest loss first."""
    found: dict[str, list[int]] = {}
    for (sell, _), sums in tally.sums.items():
        of = found.setdefault(sides.sell.cell(sell, "destination"), [0] * 6)
        of[:5] = [one + other for one, other in zip(of, sums, strict=False)]
    for (sell, _), count in tally.unbought.items():
        found.setdefault(sides.sell.cell(sell, "destination"), [0] * 6)[5] += count
    ordered = sorted(found.items(), key=lambda item: (item[1][2] - item[1][3], item[0]))
    return [
        {
            "destination": name,
            "events": events,
            "negative_events": lost,
            "measured": measured,
            **_money(sides, revenue, cost),
            "unbought": unbought,
        }
        for name, (events, measured, revenue, cost, lost, unbought) in ordered
        if everything or lost or unbought
    ]


def _by_row(sides: "Sides", tally: "Tally", *, everything: bool) -> list[dict[str, Any]]:
    rows = [
        {
            **_named(sides, sell, buy),
            "events": events,
            "negative_events": lost,
            "measured": measured,
            **_money(sides, revenue, cost),
        }
        for (sell, buy), (events, measured, revenue, cost, lost) in sorted(
            tally.sums.items(), key=lambda item: item[1][2] - item[1][3]
        )
        if everything or lost
    ]
    missing = [
        {**_named(sides, sell, -1), "events": count, "reason": reason}
        for (sell, reason), count in sorted(tally.unbought.items())
    ]
    return [*rows, *missing]
