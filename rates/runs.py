"""Runs of equal rows in columns: where they begin, in which order, and what they add up to."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rates.quantities import INT64_MAX, require_headroom
from rates.usage import Int64s

_BLOCK = 1 << 16


def blocks(many: int) -> Iterator[slice]:
    """So many rows, some at a time, so that what is reckoned of them on the way stays in the processor's cache."""
    return (slice(start, start + _BLOCK) for start in range(0, many, _BLOCK))


def joined(pieces: Sequence[tuple[Int64s, ...]], many: int) -> list[Int64s]:
    """The columns of some pieces, so many each, one piece after the other."""
    if len(pieces) == 1:
        return list(pieces[0])
    nothing = np.zeros(0, dtype=np.int64)
    return [np.concatenate(column) for column in zip((nothing,) * many, *pieces, strict=True)]


def counted(columns: Sequence[Int64s], many: int) -> Int64s:
    """The distinct ones of the numbers from 0 to below `many` in some columns, in their order; -1 is no number."""
    there = np.zeros(many + 1, dtype=np.bool_)
    for numbers in columns:
        there[numbers] = True
    return np.flatnonzero(there[:many])


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


def order(payer: Int64s, rank: NDArray[np.int32], version: Int64s) -> Int64s:
    """The order by payer, then by key, then by card version; one number for all three where 64 bits hold it."""
    if not len(payer):
        return np.zeros(0, dtype=np.int64)
    ranks, versions = int(rank.max()) + 1, int(version.max()) + 1
    if int(payer.min()) < 0 or (int(payer.max()) + 1) * ranks * versions > INT64_MAX:
        return np.lexsort((version, rank, payer))
    found: Int64s = np.argsort((payer * ranks + rank) * versions + version)
    return found


def sums(column: Int64s, first: Int64s) -> Int64s:
    """The sums of runs that begin at `first`. Raises `QuantityOverflowError` for one of more than 64 bits."""
    if not len(first):
        return column[:0]
    longest = int(np.diff(np.append(first, len(column))).max())
    if largest(column) * longest > INT64_MAX:
        # Could be, not must be: only then is it worth counting in Python's integers.
        require_headroom(int(np.abs(np.add.reduceat(column.astype(object), first)).max()), "the quantity of a line")
    return np.add.reduceat(column, first)


def exact_sums(column: Int64s, first: Int64s) -> NDArray[np.object_]:
    """The same in Python's integers, of any size."""
    found: NDArray[np.object_] = np.add.reduceat(column.astype(object), first)
    return found
