"""Orders and numbers of long columns, found by counting where values are few, and by sorting elsewhere."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rates.runs import blocks
from rates.usage import Int64s

_FEW = 1 << 22
_HALF = 16
_LOW = (1 << _HALF) - 1


def distinct(*columns: Int64s) -> Int64s:
    """The distinct values of some columns in their order, as `np.unique` has them."""
    if not _are_few(columns):
        return np.unique(np.concatenate(columns))
    there = np.zeros(max(int(values.max(initial=0)) for values in columns) + 1, dtype=bool)
    for values in columns:
        there[values] = True
    return np.flatnonzero(there)


def numbered(*columns: Int64s) -> tuple[Int64s, list[Int64s]]:
    """The distinct values of some columns in their order, and by column the place of each of n in them."""
    if not _are_few(columns):
        found, place = np.unique(np.concatenate(columns), return_inverse=True)
        return found, np.split(place.astype(np.int64, copy=False), np.cumsum([len(values) for values in columns[:-1]]))
    found = distinct(*columns)
    places = np.zeros(int(found.max(initial=0)) + 1, dtype=np.int64)
    places[found] = np.arange(len(found))
    return found, [places[values] for values in columns]


def _are_few(columns: Sequence[Int64s]) -> bool:
    """Whether values may be counted in a table."""
    return all(int(values.min(initial=0)) >= 0 and int(values.max(initial=0)) < _FEW for values in columns)


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
    low = int(day.min(initial=np.iinfo(np.int32).max))
    span = int(day.max(initial=low)) - low + 1
    payers, days = np.divmod(distinct(payer * span + (day - low)), span)
    return payers, (days + low).astype(np.int32)


def days_among(payer: Int64s, day: NDArray[np.int32], payers: Int64s, days: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of n days of payers are among some others, bool[n]."""
    low, high = (int(bound) for bound in (min(day.min(), days.min()), max(day.max(), days.max())))
    span = high - low + 1
    if int(min(payer.min(), payers.min())) < 0 or (int(max(payer.max(), payers.max())) + 1) * span > _FEW * _HALF:
        return np.isin(payer * (1 << 20) + day, payers * (1 << 20) + days)
    there = np.zeros((int(max(payer.max(), payers.max())) + 1) * span, dtype=bool)
    there[payers * span + (days - low)] = True
    found = np.empty(len(payer), dtype=np.bool_)
    for some in blocks(len(payer)):
        np.take(there, payer[some] * span + (day[some] - low), out=found[some], mode="clip")
    return found
