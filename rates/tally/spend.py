"""Counters of money: how far usage moves them at its list prices, and what a bound that lies inside of a unit cuts.

Money is counted in ticks, of which so many are one of the currency that every list price of a unit and every bound is
a whole number of them: a counter is in integers here too, and exact. Each unit is counted in the tier in which it
begins; what of its list price lies beyond the bound is charged at the next tier's price, exactly. So quantities stay
whole, and what a tier charges for is its own stretch of money: `docs/decisions/0018-money-that-is-measured.md`.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.money import exact
from rates.tally.counters import Bools, Int64s
from rates.tally.items import Items
from rates.tiers import Schedule, integers, tier_of

Integers = NDArray[Any]
"""int64, or Python's integers (dtype object) where 64 bits might not hold them."""


class Spend(NamedTuple):
    """Of n items what one charged unit of each adds to a counter, in ticks (`Integers`[n]), and ticks in one of money.

    `each` is 0 for what does not fill the counter.
    """

    each: Integers
    scale: int


class Beyond(NamedTuple):
    """Units, or a part of one, by which the money of an item in a tier differs from the units counted there."""

    item: int
    tier: int
    units: Fraction


def spend_of(items: Items, filling: Bools, charged: Int64s, schedules: Iterable[Schedule]) -> Spend:
    """What usage adds to a counter of money: its first price of the card, before tiers and discounts of any kind.

    `charged` int64[n] is what is charged of each item; `schedules` are all that versions state under the name.
    """
    prices, filled = items.kinds.prices, np.unique(items.kind[filling]).tolist()
    costs = {kind: exact(prices[kind].prices[0]) * Fraction(1, prices[kind].unit_size) for kind in filled}
    bounds = [exact(bound) for schedule in schedules for bound in schedule.up_to]
    scale = lcm(*(each.denominator for each in (*costs.values(), *bounds)))
    ticks = [int(costs.get(kind, Fraction(0)) * scale) for kind in range(len(prices))]
    most = max(ticks, default=0) * int(charged.max(initial=0)) * max(len(charged), 1)
    each = integers([*ticks, 0], most)[items.kind]
    return Spend(np.where(filling, each, 0), scale)


def cut_by_money(
    spend: Spend, start: Integers, charged: Int64s, bounds: Integers
) -> tuple[Int64s, Int64s, list[Beyond]]:
    """What each item is charged for by tier, int64[n, tiers], the tier in which it begins, and what bounds cut.

    `start` is where the counter stood before each item, `charged` int64[n] how many units of it are charged.
    """
    each, first = spend.each, tier_of(start, bounds)
    whole = (first[:, None] == np.arange(len(bounds) + 1)) * charged[:, None]
    end = start + charged * each
    crossing = np.flatnonzero(tier_of(end, bounds) != first)
    beyond: list[Beyond] = []
    for item in crossing.tolist():
        stretches = _stretches(int(start[item]), int(each[item]), int(charged[item]), bounds.tolist())
        for tier, (units, ticks) in enumerate(stretches):
            whole[item, tier] = units
            if rest := ticks - units * int(each[item]):
                beyond.append(Beyond(item, tier, Fraction(rest, int(each[item]))))
    return whole, first, beyond


def _stretches(start: int, each: int, units: int, bounds: list[int]) -> Iterator[tuple[int, int]]:
    """By tier: how many of some units begin in it, and how many of their ticks lie in it."""
    begun, at, end = 0, start, start + units * each
    for bound in (*bounds, end):
        edge = max(min(bound, end), at)
        # A unit that begins at a bound, which is inclusive, is beyond it.
        until = units if edge == end else -(-(edge - start) // each)
        yield until - begun, edge - at
        begun, at = until, edge
