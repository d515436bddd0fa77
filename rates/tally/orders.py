"""Orders and numbers of long columns, found by counting where values are few, and by sorting elsewhere."""

import numpy as np
from numpy.typing import NDArray

from rates.usage import Int64s

_FEW = 1 << 22
_HALF = 16
_LOW = (1 << _HALF) - 1


def distinct(values: Int64s) -> Int64s:
    """The distinct values in their order, as `np.unique` has them."""
    if not len(values) or int(values.min()) < 0 or int(values.max()) >= _FEW:
        return np.unique(values)
    there = np.zeros(int(values.max()) + 1, dtype=bool)
    there[values] = True
    return np.flatnonzero(there)


def numbered(values: Int64s) -> tuple[Int64s, Int64s]:
    """The distinct values in their order, and the place of each of n in them: as `np.unique` has it."""
    if not len(values) or int(values.min()) < 0 or int(values.max()) >= _FEW:
        found, place = np.unique(values, return_inverse=True)
        return found, place.astype(np.int64, copy=False)
    found = distinct(values)
    places = np.zeros(int(found[-1]) + 1, dtype=np.int64)
    places[found] = np.arange(len(found))
    return found, places[values]


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


def days_among(payer: Int64s, day: NDArray[np.int32], payers: Int64s, days: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of n days of payers are among some others, bool[n]."""
    low, high = (int(bound) for bound in (min(day.min(), days.min()), max(day.max(), days.max())))
    span = high - low + 1
    if int(min(payer.min(), payers.min())) < 0 or (int(max(payer.max(), payers.max())) + 1) * span > _FEW * _HALF:
        return np.isin(payer * (1 << 20) + day, payers * (1 << 20) + days)
    there = np.zeros((int(max(payer.max(), payers.max())) + 1) * span, dtype=bool)
    there[payers * span + (days - low)] = True
    found: NDArray[np.bool_] = there[payer * span + (day - low)]
    return found
