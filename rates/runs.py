"""Runs of equal rows in columns: where they begin, in which order, and what they add up to."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rates.quantities import INT64_MAX, require_headroom
from rates.usage import Int64s

Part = TypeVar("Part")
Found = TypeVar("Found")

_BLOCK = 1 << 16
_THREADS = 2


def in_threads(work: Callable[[Part], Found], parts: Sequence[Part]) -> list[Found]:
    """What work on each of some parts comes to, in their order; columns let the processor's cores work side by side."""
    if len(parts) <= 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, parts))


def blocks(many: int, rows_at_once: int = _BLOCK) -> Iterator[slice]:
    """So many rows, some at a time, so that what is reckoned of them on the way stays in the processor's cache."""
    return (slice(start, start + rows_at_once) for start in range(0, many, rows_at_once))


def joined(pieces: Sequence[tuple[NDArray[Any], ...]], many: int) -> list[Int64s]:
    """The columns of some pieces, so many each, one piece after the other."""
    if len(pieces) == 1:
        return list(pieces[0])
    nothing = np.zeros(0, dtype=np.int64)
    return [np.concatenate(column) for column in zip((nothing,) * many, *pieces, strict=True)]


def counted(columns: Sequence[NDArray[np.integer]], many: int) -> Int64s:
    """The distinct ones of the numbers from 0 to below `many` in some columns, in their order; -1 is no number."""
    there = np.zeros(many + 1, dtype=np.bool_)
    for numbers in columns:
        there[numbers] = True
    return np.flatnonzero(there[:many])


def distinct(numbers: NDArray[np.integer]) -> Int64s:
    """The distinct ones of numbers from 0 on, in their order; -1 is no number."""
    found = np.sort(numbers).astype(np.int64, copy=False)
    found = found[changes(found)]
    return found[found >= 0]


def largest(column: NDArray[Any]) -> int:
    """The largest of the values without their signs, 0 of none."""
    return max(int(column.max(initial=0)), -int(column.min(initial=0)))


def changes(*columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a row differs from the one before it."""
    new = np.ones(len(columns[0]), dtype=bool)
    if len(new):
        new[1:] = False
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return new


def places(numbers: Int64s, most: int) -> Int64s:
    """The order of numbers from 0 to below `most`, int64[n]; those that are equal stay as they are."""
    bits = len(numbers).bit_length()
    if most << bits > INT64_MAX:
        return np.argsort(numbers, kind="stable")
    # With its place in its last bits, a number is sorted: that is faster than sorting places by numbers.
    packed = numbers << bits
    packed |= np.arange(len(numbers))
    packed.sort()
    packed &= (1 << bits) - 1
    return packed


def sums(column: Int64s, first: Int64s) -> Int64s:
    """The sums of runs that begin at `first`. Raises `QuantityOverflowError` for one of more than 64 bits."""
    if not len(first):
        return column[:0]
    most = largest(column)
    if most * len(column) > INT64_MAX and most * int(np.diff(np.append(first, len(column))).max()) > INT64_MAX:
        # Could be, not must be: only then is it worth counting in Python's integers.
        require_headroom(int(np.abs(np.add.reduceat(column.astype(object), first)).max()), "the quantity of a line")
    # What all rows so far come to may leave 64 bits, and comes back into them where it is taken off.
    so_far = np.cumsum(column)
    found = np.empty(len(first), dtype=np.int64)
    np.take(so_far, first[1:] - 1, out=found[:-1], mode="clip")
    found[-1] = so_far[-1]
    before = found[:-1].copy()
    found[0] -= so_far[first[0] - 1] if first[0] else 0
    found[1:] -= before
    return found


def exact_sums(column: Int64s, first: Int64s) -> NDArray[np.object_]:
    """The same in Python's integers, of any size."""
    found: NDArray[np.object_] = np.add.reduceat(column.astype(object), first)
    return found
