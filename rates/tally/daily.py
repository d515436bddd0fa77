"""Counters by day: their course over items that come in no order of days, found by adding up each day.

A counter passes most days without crossing a bound. On those it is enough to know where it stands when the day begins;
only the items of the other days are put in order and followed one by one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates.runs import places
from rates.tally.counters import Bools, Int64s, reaching, require_room
from rates.tiers import tier_of

_FEW_DAYS = 1 << 16


class Days(NamedTuple):
    """A table of the days of some scopes, a *cell* each: from scope `first` and day `low` on, `scopes` by `days`."""

    first: int
    low: int
    scopes: int
    days: int

    @classmethod
    def of(cls, scopes: Sequence[Int64s], days: Sequence[NDArray[np.int32]]) -> Self:
        """For items of these scopes and days, [n] each; there is one at least."""
        first, last = _range(scopes)
        low, high = _range(days)
        return cls(first, low, last - first + 1, high - low + 1)

    def __len__(self) -> int:
        return self.scopes * self.days

    def cell(self, scope: Int64s, day: NDArray[np.int32]) -> Int64s:
        """The cells of items, int64[n]."""
        cell = scope * self.days
        cell += day
        cell -= self.first * self.days + self.low
        return cell


def _range(columns: Sequence[NDArray[Any]]) -> tuple[int, int]:
    some = [column for column in columns if len(column)]
    return min(int(column.min()) for column in some), max(int(column.max()) for column in some)


@dataclass(frozen=True, kw_only=True, eq=False)
class DailyRun:
    """What `counters.Run` says; but on days on which its counter crosses no bound, an item starts where the day does.

    That is in the same tier. `cell` is int64[n]: which day of a counter each item is of. `begins`, `ends` and `totals`
    are of each such day. `crossing` are the items of the days with a crossing, and `fill` is what each of n moves.
    All are int64.
    """

    cell: Int64s
    begins: Int64s
    ends: Int64s
    totals: Int64s
    crossing: Int64s
    fill: Int64s

    @cached_property
    def rows(self) -> Int64s:
        """The items of the days with a crossing, day by day; they stay in their order."""
        return self.crossing[places(self.cell[self.crossing], len(self.begins))]

    @cached_property
    def exact(self) -> Int64s:
        """Where the counter stands before each of `rows`."""
        cell = self.cell[self.rows]
        found: Int64s = self.begins[cell] + _within(self.fill[self.rows], cell)
        return found

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
        found = np.zeros(len(self.cell), dtype=np.bool_)
        found[self.crossing] = _crossed(self.begins, self.ends, bounds)[self.cell[self.crossing]]
        return found

    def tiers(self, bounds: Int64s) -> NDArray[np.integer]:
        """The tier (from 0) in which each item begins, in as few bits as they need."""
        narrow = np.min_scalar_type(len(bounds))
        found: NDArray[np.integer] = tier_of(self.begins, bounds).astype(narrow).take(self.cell, mode="clip")
        found[self.rows] = tier_of(self.exact, bounds)
        return found

    def beyond(self, quantity: Int64s, bounds: Int64s) -> Int64s:
        """The places of items of which some units are beyond the bound of the tier in which they begin."""
        return np.sort(self.rows[reaching(self.exact, quantity[self.rows], bounds)])


class Moves(NamedTuple):
    """What moves counters: items by `fill` on the day of a counter, their `cell` (int64[n] each).

    Those that are `replaced` (bool[n]) stand where their day begins, and move nothing.
    """

    fill: Int64s
    cell: Int64s
    replaced: Bools


def run_by_day(strands: Sequence[Moves], days: Days, bounds: Iterable[Int64s]) -> list[DailyRun]:
    """The course of the counters, one for each scope of `days`, over all that moves them; as each strand sees it.

    `bounds` are all that anybody will ask about. Items of one day of a counter are in their order, and of one strand
    but for those that are replaced and those that move nothing; days are in no order.
    """
    require_room(*(moves.fill for moves in strands))
    moved = np.zeros(len(days), dtype=np.int64)
    for fill, cell, replaced in strands:
        np.add.at(moved, cell, fill)
        away = np.flatnonzero(replaced)
        np.subtract.at(moved, cell[away], fill[away])
    ends = np.cumsum(moved.reshape(days.scopes, days.days), axis=1)
    begins, totals = ends.ravel() - moved, np.repeat(ends[:, -1], days.days)
    every = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *bounds]))
    crossing = _crossed(begins, ends.ravel(), every)
    return [
        DailyRun(
            cell=cell,
            begins=begins,
            ends=ends.ravel(),
            totals=totals,
            crossing=np.flatnonzero(crossing.take(cell, mode="clip") & ~replaced),
            fill=fill,
        )
        for fill, cell, replaced in strands
    ]


def fits_days(scope: Int64s, day: NDArray[np.int32]) -> bool:
    """Whether all days of all counters are few enough to be counted in a table."""
    if not len(scope):
        return False
    days = (int(scope.max()) - int(scope.min()) + 1) * (int(day.max()) - int(day.min()) + 1)
    return days <= max(_FEW_DAYS, len(scope))


def _crossed(begins: Int64s, ends: Int64s, bounds: Int64s) -> Bools:
    crossed: Bools = np.searchsorted(bounds, begins, "right") != np.searchsorted(bounds, ends, "right")
    return crossed


def _within(fill: Int64s, cell: Int64s) -> Int64s:
    """What moves a counter on the same day before each item does, items of one cell being together."""
    before = np.cumsum(fill) - fill
    opens = np.flatnonzero(np.diff(cell, prepend=-1))
    found: Int64s = before - np.repeat(before[opens], np.diff(np.append(opens, len(cell))))
    return found
