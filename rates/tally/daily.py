"""Counters by day: their course over items that come in no order of days, found by adding up each day.

A counter passes most days without crossing a bound. On those it is enough to know where it stands when the day begins;
only the items of the other days are put in order and followed one by one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rates.tally.counters import Bools, Int64s, reaching, require_room
from rates.tiers import tier_of

_FEW_DAYS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyRun:
    """What `counters.Run` says; but on days on which its counter crosses no bound, an item starts where the day does.

    That is in the same tier. `cell` is int64[n]: which day of a counter each item is of. `begins`, `ends` and `totals`
    are of each such day. `rows` are the items of the days with a crossing, `exact` where the counter stood before each
    of them. All int64.
    """

    cell: Int64s
    begins: Int64s
    ends: Int64s
    totals: Int64s
    rows: Int64s
    exact: Int64s

    @property
    def start(self) -> Int64s:
        """Where the counter stands before each item, or when its day begins."""
        found: Int64s = self.begins[self.cell]
        found[self.rows] = self.exact
        return found

    def start_of(self, some: Int64s) -> Int64s:
        """The same of some items only (int64[m], their places)."""
        found: Int64s = self.begins[self.cell[some]]
        wanted = np.zeros(len(self.cell), dtype=np.bool_)
        wanted[some] = True
        known = np.flatnonzero(wanted[self.rows])
        order = np.argsort(some)
        found[order[np.searchsorted(some, self.rows[known], sorter=order)]] = self.exact[known]
        return found

    @property
    def day_start(self) -> Int64s:
        """Where the counter stands when the item's day begins."""
        return self.begins[self.cell]

    @property
    def day_end(self) -> Int64s:
        """Where it stands when that day ends."""
        return self.ends[self.cell]

    @property
    def total(self) -> Int64s:
        """Where it ends."""
        return self.totals[self.cell]

    def crossed(self, bounds: Int64s) -> Bools:
        """Items on days on which the counter goes from one tier into another: their order matters."""
        return _crossed(self.begins, self.ends, bounds)[self.cell]

    def tiers(self, bounds: Int64s) -> NDArray[np.integer]:
        """The tier (from 0) in which each item begins, in as few bits as they need."""
        narrow = np.min_scalar_type(len(bounds))
        found: NDArray[np.integer] = tier_of(self.begins, bounds).astype(narrow)[self.cell]
        found[self.rows] = tier_of(self.exact, bounds)
        return found

    def beyond(self, quantity: Int64s, bounds: Int64s) -> Bools:
        """Items of which some units are beyond the bound of the tier in which they begin."""
        found = np.zeros(len(self.cell), dtype=np.bool_)
        found[self.rows] = reaching(self.exact, quantity[self.rows], bounds)
        return found


def run_by_day(fill: Int64s, scope: Int64s, day: NDArray[np.int32], bounds: Iterable[Int64s]) -> DailyRun:
    """The course of the counters, one for each value of `scope`, that items move by `fill` (int64[n]).

    `bounds` are all that anybody will ask about. Items of one day of a counter are in their order, days in none.
    """
    require_room(fill)
    first, low = int(scope.min()), int(day.min())
    counters, days = int(scope.max()) - first + 1, int(day.max()) - low + 1
    cell = scope * days
    cell += day
    cell -= first * days + low
    moved = np.zeros(counters * days, dtype=np.int64)
    np.add.at(moved, cell, fill)
    ends = np.cumsum(moved.reshape(counters, days), axis=1)
    begins, totals = ends.ravel() - moved, np.repeat(ends[:, -1], days)
    every = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *bounds]))
    crossing = _crossed(begins, ends.ravel(), every)
    rows = np.flatnonzero(crossing[cell])
    rows = rows[np.argsort(cell[rows], kind="stable")]
    after, here = np.cumsum(fill[rows]), cell[rows]
    before = after - fill[rows]
    opens = np.flatnonzero(np.diff(here, prepend=-1))
    of_day = np.diff(np.append(opens, len(rows)))
    exact = before - np.repeat(before[opens], of_day) + begins[here]
    return DailyRun(cell=cell, begins=begins, ends=ends.ravel(), totals=totals, rows=rows, exact=exact)


def fits_days(scope: Int64s, day: NDArray[np.int32]) -> bool:
    """Whether all days of all counters are few enough to be counted in a table."""
    if not len(scope):
        return False
    days = (int(scope.max()) - int(scope.min()) + 1) * (int(day.max()) - int(day.min()) + 1)
    return days <= max(_FEW_DAYS, len(scope))


def _crossed(begins: Int64s, ends: Int64s, bounds: Int64s) -> Bools:
    crossed: Bools = np.searchsorted(bounds, begins, "right") != np.searchsorted(bounds, ends, "right")
    return crossed
