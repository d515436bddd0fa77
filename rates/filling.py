"""Filling: which of the usage that cards price moves the counter of a schedule.

A schedule may count what its own card does not price, for a card beside it in a book may; so whether anything fills it
is asked of all cards that rate an account together.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa

from rates.cards import Card, column, combined
from rates.errors import Fault
from rates.money import normal
from rates.prices import USAGE
from rates.products import MONEY
from rates.tiers import Schedule, Selector


class Kind(NamedTuple):
    """What rows price: usage of a product, of a country ("": of any) and a number type."""

    product: str
    country: str
    number_type: str


class Filled(NamedTuple):
    """A card version by its name, its schedules, and the kinds of usage that its rows price."""

    card: str
    schedules: Mapping[str, Schedule]
    kinds: frozenset[Kind]


def filled_of(card: Card) -> Filled:
    """The schedules and the kinds of a checked card."""
    if not card.schedules and not card.rows.num_rows:
        return Filled(card.version, {}, frozenset())
    names = ("product", "country", "number_type", "element", "blocked", "unit")
    _, first = combined(card.rows, names)
    cells = [column(card.rows, name).take(pa.array(first)).to_pylist() for name in names]
    kinds = frozenset(
        Kind(product, country, number_type)
        for product, country, number_type, element, blocked, unit in zip(*cells, strict=True)
        if element in {"", USAGE} and not blocked and unit != MONEY
    )
    return Filled(card.version, card.schedules, kinds)


def unfilled(book: Iterable[Filled]) -> list[Fault]:
    """The schedules of cards that rate one account whose counters nothing that any of them prices can move.

    One of which the flat is due at zero usage has a use all the same.
    """
    cards = list(book)
    kinds = frozenset[Kind]().union(*(card.kinds for card in cards))
    return [
        Fault(
            place=f"card {card.card}: tiers.{name}.fill",
            value="",
            problem="selects nothing that the card, or one beside it, has a rate for",
            remedy="a counter that nothing fills never leaves tier 1: select what the rates are for",
        )
        for card in cards
        for name, schedule in card.schedules.items()
        if not schedule.flat_at_zero and not any(_may_take(schedule.fill, kind) for kind in kinds)
    ]


def ungiven(card: Card) -> list[Fault]:
    """The schedules of a checked card whose percents are off no price, since none of its rates names them."""
    named = set(column(card.rows, "tiers").unique().to_pylist())
    return [
        Fault(
            place=f"card {card.version}: tiers.{name}.discounts",
            value=" ".join(map(normal, schedule.discounts)),
            problem="are off no price: no rate of the card names the schedule",
            remedy=f'write tiers = "{name}" in the rates that they are off, or remove them',
        )
        for name, schedule in card.schedules.items()
        if any(schedule.discounts) and name not in named
    ]


def _may_take(fill: Iterable[Selector], kind: Kind) -> bool:
    """Whether some usage of a kind is selected; that of a row without a country may be of each."""
    return any(
        each.takes(kind.product, kind.country, kind.number_type)
        if kind.country
        else Selector(product=each.product, number_type=each.number_type).takes(kind.product, "", kind.number_type)
        for each in fill
    )
