"""Counters on columns: where a counter stands before each item, and on which days it crosses a bound.

An *item* is a row of totals (all usage of one price on one day) or, on a crossing day, one event. Items come in
chronological order within each payer. A counter belongs to one scope (a payer, or an account) and starts at zero.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rates.errors import TollbookError
from rates.tiers import tier_of

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


class QuantityOverflowError(TollbookError):
    """A sum of quantities would leave 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A counter over the items that move it: its position before each item and at both ends of the item's day.

    All [n], for all items, whether they move the counter or not: int64, or Python's integers where those move it.
    """

    start: NDArray[Any]
    day_start: NDArray[Any]
    day_end: NDArray[Any]
    total: NDArray[Any]

    def start_of(self, some: Int64s) -> NDArray[Any]:
        """The position before some items only (int64[m], their places)."""
        found: NDArray[Any] = self.start[some]
        return found

    def crossed(self, bounds: NDArray[Any]) -> Bools:
        """Items on days on which the counter goes from one tier into another: their order matters."""
        before, after = np.searchsorted(bounds, self.day_start, "right"), np.searchsorted(bounds, self.day_end, "right")
        crossed: Bools = before != after
        return crossed

    def tiers(self, bounds: NDArray[Any]) -> Int64s:
        """The tier (from 0) in which each item begins."""
        return tier_of(self.start, bounds)

    def beyond(self, quantity: Int64s, bounds: NDArray[Any]) -> Int64s:
        """The places of items of which some units are beyond the bound of the tier in which they begin."""
        return np.flatnonzero(reaching(self.start, quantity, bounds))


def run(fill: NDArray[Any], scope: Int64s, day: NDArray[np.int32]) -> Run:
    """The course of the counters, one for each value of `scope`, that items move by `fill` ([n], whole numbers)."""
    require_room(fill)
    order = None if (scope[1:] >= scope[:-1]).all() else np.argsort(scope, kind="stable")
    moved, scope, day = (fill, scope, day) if order is None else (fill[order], scope[order], day[order])
    after = np.cumsum(moved)
    before = after - moved
    first, last = _edges(scope[1:] != scope[:-1], len(scope))
    day_first, day_last = _edges((scope[1:] != scope[:-1]) | (day[1:] != day[:-1]), len(scope))
    base = before[first]
    found = (before - base, before[day_first] - base, after[day_last] - base, after[last] - base)
    if order is not None:
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        start, day_start, day_end, total = (column[back] for column in found)
        return Run(start=start, day_start=day_start, day_end=day_end, total=total)
    return Run(start=found[0], day_start=found[1], day_end=found[2], total=found[3])


def require_room(*fills: NDArray[Any]) -> None:
    """Raises `QuantityOverflowError` where what moves counters ([n], whole numbers) adds up to more than 64 bits."""
    some = [fill for fill in fills if len(fill) and fill.dtype != object]
    if sum(int(fill.max()) * len(fill) for fill in some) < 1 << 63:
        return
    if sum(sum(fill.tolist()) for fill in some) >= 1 << 63:
        raise QuantityOverflowError("the quantities of a counter add up to more than 64 bits", place="counters")


def reaching(start: NDArray[Any], quantity: Int64s, bounds: NDArray[Any]) -> Bools:
    """Whether units from a position on reach beyond the bound of the tier of that position, bool[n]."""
    found: Bools = start + quantity > np.append(bounds, np.iinfo(np.int64).max)[tier_of(start, bounds)]
    return found


def _edges(changes: Bools, n: int) -> tuple[Int64s, Int64s]:
    """For each row, the first and the last row of the run of equal rows in which it lies."""
    firsts = np.concatenate([np.zeros(min(n, 1), dtype=np.int64), np.flatnonzero(changes) + 1])
    lengths = np.diff(np.append(firsts, n))
    return np.repeat(firsts, lengths), np.repeat(firsts + lengths - 1, lengths)
