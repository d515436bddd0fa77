"""Orders and numbers of long columns, found by counting where values are few, and by sorting elsewhere."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.runs import blocks
from rates.usage import Int64s, Totals

ROWS_AT_ONCE = 1 << 17
"""Of how many rows the columns stay in the processor's cache while they are priced; of fewer, threads wait more."""

_FEW = 1 << 22
_HALF = 16
_LOW = (1 << _HALF) - 1


def distinct(columns: Iterable[Int64s]) -> Int64s:
    """The distinct values of some columns in their order, as `np.unique` has them."""
    there, others = np.zeros(0, dtype=np.bool_), [np.zeros(0, dtype=np.int64)]
    for values in columns:
        if not _are_few(values):
            others.append(np.unique(values))
            continue
        lacks = int(values.max(initial=-1)) + 1 - len(there)
        if lacks > 0:
            there = np.concatenate([there, np.zeros(lacks, dtype=np.bool_)])
        there[values] = True
    few = np.flatnonzero(there)
    return np.unique(np.concatenate([few, *others])) if len(others) > 1 else few


class Numbers(NamedTuple):
    """Distinct values in their order, int64[k]; where they are few, `places` tells the place of each by itself."""

    values: Int64s
    places: NDArray[np.int32] | None

    @classmethod
    def of(cls, columns: Iterable[Int64s]) -> "Numbers":
        """The values of some columns."""
        values = distinct(columns)
        if not _are_few(values):
            return cls(values, None)
        places = np.zeros(int(values.max(initial=0)) + 1, dtype=np.int32)
        places[values] = np.arange(len(values))
        return cls(values, places)

    def place(self, some: Int64s) -> NDArray[np.int32]:
        """The places of some values that are among them, int32[n]."""
        if self.places is None:
            return np.searchsorted(self.values, some).astype(np.int32)
        return self.places.take(some, mode="clip")


def _are_few(values: Int64s) -> bool:
    """Whether values may be counted in a table."""
    return int(values.min(initial=0)) >= 0 and int(values.max(initial=0)) < _FEW


def by_payer_and_day(payer: Int64s, day: NDArray[np.int32]) -> Int64s:
    """The order of n rows by payer and then by day; rows of one day of a payer stay as they are. int64[n].

    Columns of 16 bits are sorted by counting, one after the other.
    """
    if not len(payer):
        return np.zeros(0, dtype=np.int64)
    days = day.astype(np.int64) - int(day.min())
    # Totals come by payer: then whose row it is need not be looked up.
    changes = payer[1:] != payer[:-1]
    is_sorted = bool((payer[1:] >= payer[:-1]).all())
    number = np.concatenate([[0], np.cumsum(changes)]) if is_sorted else np.unique(payer, return_inverse=True)[1]
    order: Int64s = (
        np.argsort(days.astype(np.uint16), kind="stable")
        if int(days.max()) <= _LOW
        else np.argsort(days, kind="stable")
    )
    for part in (number & _LOW, number >> _HALF):
        if part.any():
            order = order[np.argsort(part.astype(np.uint16)[order], kind="stable")]
    return order


def distinct_days(payer: Int64s, day: NDArray[np.int32]) -> tuple[Int64s, NDArray[np.int32]]:
    """The distinct days of payers, by payer and then by day."""
    if not len(payer):
        return payer, day
    first, low = int(payer.min()), int(day.min())
    span = int(day.max()) - low + 1
    payers, days = np.divmod(distinct([(payer - first) * span + (day - low)]), span)
    return payers + first, (days + low).astype(np.int32)


def days_among(payer: Int64s, day: NDArray[np.int32], payers: Int64s, days: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of n days of payers are among some others, bool[n]."""
    if not len(payer) or not len(payers):
        return np.zeros(len(payer), dtype=np.bool_)
    low, high = (int(bound) for bound in (min(day.min(), days.min()), max(day.max(), days.max())))
    first, last = (int(bound) for bound in (min(payer.min(), payers.min()), max(payer.max(), payers.max())))
    span = high - low + 1
    if (last - first + 1) * span > _FEW * _HALF:
        return np.isin(payer * (1 << 20) + day, payers * (1 << 20) + days)
    base = first * span + low
    there = np.zeros((last - first + 1) * span, dtype=bool)
    there[payers * span + days - base] = True
    found = np.empty(len(payer), dtype=np.bool_)
    for some in blocks(len(payer)):
        np.take(there, payer[some] * span + day[some] - base, out=found[some], mode="clip")
    return found


class Stretch(NamedTuple):
    """Totals and crossings of some payers."""

    totals: Totals
    crossings: Totals


def stretches(totals: Totals, crossings: Totals, rows_at_once: int) -> list[Stretch]:
    """Totals and crossings cut between payers, about so many rows at a time, in the order of payers."""
    totals, crossings = _by_payer(totals), _by_payer(crossings)
    cuts = np.unique(totals.payer[rows_at_once::rows_at_once])
    ends = [[0, *np.searchsorted(rows.payer, cuts).tolist(), len(rows)] for rows in (totals, crossings)]
    pairs = zip(*(pairwise(edges) for edges in ends), strict=True)
    found = [Stretch(totals.take(slice(*some)), crossings.take(slice(*others))) for some, others in pairs]
    return [each for each in found if len(each.totals) or len(each.crossings)]


def _by_payer(rows: Totals) -> Totals:
    is_sorted = bool((rows.payer[1:] >= rows.payer[:-1]).all())
    return rows if is_sorted else rows.take(np.argsort(rows.payer, kind="stable"))
