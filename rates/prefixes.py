"""Longest-prefix lookup of whole columns of numbers, as routers look up addresses: a flattened digit trie.

Digits are taken 4 (in large tables 6) at first and then 2 at a time. Each level is a run of entries in one array; an
entry is either the slot of the longest prefix known so far or the way to the next level, so that a lookup is a few
gathers for any number of prefixes. Numbers and prefixes do not begin with 0 and have at most 15 digits (ITU-T E.164,
6.2).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int8s = NDArray[np.int8]

DIGITS = 15
"""The most digits that a number or prefix has."""

NONE = -1

_LEVELS = (4, 6, 8, 10, 12, 14, 15)
_MANY_NODES = 2_500
_POWERS = 10 ** np.arange(DIGITS + 1, dtype=np.int64)
_ALIGNING = _POWERS[::-1].copy()
_BLOCK = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixTable:
    """Distinct prefixes, each in its slot (its position when the table was built).

    `length` is int8[slots], `parent` int32[slots]: the longest other prefix that the slot's own begins with, -1 for
    none. The empty prefix begins every number, and is the only one that matches 0, which stands for no number.
    `entries` is the trie and `levels` are the digits that have been taken after each of its levels.
    """

    length: Int8s
    parent: Int32s
    deepest: int
    levels: tuple[int, ...]
    entries: Int32s

    @classmethod
    def build(cls, prefixes: Int64s, lengths: Int8s) -> Self:
        """From distinct prefixes as int64[p] with their lengths int8[p] (0: the empty prefix, with value 0).

        Raises ValueError for a prefix that is longer than 15 digits, begins with 0, or occurs twice.
        """
        _require_prefixes(prefixes, lengths)
        # Where most of four digits lead on to a level of their own, that level stands alone.
        longer = np.flatnonzero(lengths > _LEVELS[0])
        nodes = distinct(truncated(prefixes[longer], lengths[longer], _LEVELS[0]))
        levels = _LEVELS[1:] if len(nodes) > _MANY_NODES else _LEVELS
        entries, parent = _flatten(prefixes, lengths, levels)
        return cls(
            length=lengths.astype(np.int8),
            parent=parent,
            deepest=int(lengths.max(initial=0)),
            levels=levels,
            entries=entries,
        )

    @classmethod
    def of(cls, prefixes: Sequence[str]) -> Self:
        """From distinct prefixes as texts of digits."""
        lengths = np.array([len(prefix) for prefix in prefixes], dtype=np.int8)
        return cls.build(np.array([int(prefix or 0) for prefix in prefixes], dtype=np.int64), lengths)

    def lookup(self, numbers: Int64s) -> Int32s:
        """The slot of the longest prefix of each number (int64[n], 0 for none) as int32[n], -1 where none matches.

        Raises ValueError for a negative number or one of more than 15 digits.
        """
        found = np.empty(len(numbers), dtype=np.int32)
        for block, slot in self.blocks(numbers):
            found[block] = slot
        return found

    def blocks(self, numbers: Int64s) -> Iterator[tuple[slice, Int32s]]:
        """The same, one stretch of places after the other, of such a size that its temporaries stay in the cache."""
        for start in range(0, len(numbers), _BLOCK):
            block = slice(start, min(start + _BLOCK, len(numbers)))
            yield block, self._lookup_block(numbers[block])

    def _lookup_block(self, numbers: Int64s) -> Int32s:
        digits = digit_counts(numbers)
        aligned = numbers * _ALIGNING.take(digits)
        entry = self.entries.take(aligned // _POWERS[DIGITS - self.levels[0]])
        inner = np.flatnonzero(entry < NONE)
        for above, level in pairwise(self.levels):
            if not len(inner):
                break
            known, width = aligned.take(inner) // _POWERS[DIGITS - level], _POWERS[level - above]
            known -= known // width * width  # what % says, in a third of its time
            deeper = self.entries.take(known + (NONE - 1 - entry.take(inner)))
            entry[inner] = deeper
            inner = inner[deeper < NONE]
        return self._shorten(entry, digits)

    def _shorten(self, slot: Int32s, digits: Int8s) -> Int32s:
        """Numbers were padded with zeros to 15 digits: +44 is not in 4400, only in what 4400 is itself in."""
        if digits.min() >= self.deepest:
            return slot
        rows = np.flatnonzero((digits < self.deepest) & (slot >= 0))
        while len(rows):
            rows = rows[self.length.take(slot.take(rows)) > digits.take(rows)]
            slot[rows] = self.parent.take(slot.take(rows))
            rows = rows[slot.take(rows) >= 0]
        return slot


def digit_counts(numbers: Int64s) -> Int8s:
    """How many digits each number has: int64[n] -> int8[n], 0 for the number 0.

    Raises ValueError for a negative number or one of more than 15 digits.
    """
    least, most = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    if least < 0 or most >= _POWERS[DIGITS]:
        raise ValueError("numbers have 1 to 15 digits, 0 stands for none")
    fewest = len(str(least)) if least else 0
    counts = np.full(len(numbers), fewest, dtype=np.int8)
    for power in _POWERS[fewest : len(str(most))]:
        counts += (numbers >= power).view(np.int8)
    return counts


def leading(numbers: Int64s, length: int) -> Int64s:
    """The first `length` digits of numbers, shorter ones with zeros behind them; raises as `digit_counts`."""
    first: Int64s = numbers * _ALIGNING.take(digit_counts(numbers)) // _POWERS[DIGITS - length]
    return first


def truncated(numbers: Int64s, digits: Int8s, length: int) -> Int64s:
    """The first `length` digits of numbers that have at least as many."""
    return numbers // _POWERS.take(digits - length)


def distinct(values: Int64s) -> Int64s:
    """The different values, ascending; by sorting, which numpy does in a fifth of the time that `unique` takes."""
    ascending = np.sort(values)
    return np.concatenate([ascending[:1], ascending[1:][ascending[1:] != ascending[:-1]]])


def holders(numbers: PrefixTable, has_rows: NDArray[np.bool_]) -> tuple[Int32s, Int32s]:
    """Each cell's longest prefix with rows, itself included, and the next one above that."""
    cells = len(has_rows)
    holder = np.where(has_rows, np.arange(cells, dtype=np.int32), np.int32(NONE))
    for length in range(1, numbers.deepest + 1):
        some = np.flatnonzero((numbers.length == length) & ~has_rows)
        holder[some] = holder[numbers.parent[some]]
    parent = numbers.parent
    above = np.where(parent >= 0, holder.take(parent, mode="clip"), np.int32(NONE)).astype(np.int32)
    return holder, above


def _require_prefixes(prefixes: Int64s, lengths: Int8s) -> None:
    if len(lengths) and not (lengths.min() >= 0 and lengths.max() <= DIGITS):
        raise ValueError("a prefix has 0 to 15 digits")
    if not np.array_equal(digit_counts(prefixes), lengths):
        raise ValueError("a prefix has the digits that its length says and does not begin with 0")
    if len(distinct(prefixes)) != len(prefixes):
        raise ValueError("a prefix occurs twice")


def _flatten(prefixes: Int64s, lengths: Int8s, levels: Sequence[int]) -> tuple[Int32s, Int32s]:
    """The entries of the trie, and each prefix's parent.

    Entries from 0 are slots, -1 is none, and what is below points to the first entry of a block: -2 to entry 0.
    """
    parent = np.full(len(prefixes), NONE, dtype=np.int32)
    root = np.flatnonzero(lengths == 0)
    block = np.full(_POWERS[levels[0]], root[0] if len(root) else NONE, dtype=np.int32)
    nodes = np.zeros(1, dtype=np.int64)
    blocks, start, above = [], 0, 0
    for level in levels:
        for length in range(above + 1, level + 1):
            _fill(block, nodes, prefixes, np.flatnonzero(lengths == length), parent, (above, length, level))
        blocks.append(block)
        longer = np.flatnonzero(lengths > level)
        if not len(longer):
            break
        # Each node with longer prefixes below it gets a block, which begins with what the node itself has found.
        deeper = distinct(truncated(prefixes[longer], lengths[longer], level))
        place = _place(nodes, deeper, above, level)
        inherited = block[place]
        width = int(_POWERS[levels[levels.index(level) + 1] - level])
        end = start + len(block)
        block[place] = NONE - 1 - (end + np.arange(len(deeper)) * width)
        block, nodes, start, above = np.repeat(inherited, width), deeper, end, level
    return np.concatenate(blocks), parent


def _fill(
    block: Int32s,
    nodes: Int64s,
    prefixes: Int64s,
    slots: Int64s,
    parent: Int32s,
    levels: tuple[int, int, int],
) -> None:
    """Write the prefixes of one length over all entries that they cover, shorter ones having been written before."""
    above, length, level = levels
    width = int(_POWERS[level - length])
    first = _place(nodes, prefixes[slots] * width, above, level)
    parent[slots] = block[first]
    block[(first[:, None] + np.arange(width)).ravel()] = np.repeat(slots, width).astype(np.int32)


def _place(nodes: Int64s, numbers: Int64s, above: int, level: int) -> Int64s:
    """Where the entries of numbers of `level` digits are in the blocks of the sorted `nodes` of `above` digits."""
    width = int(_POWERS[level - above])
    return np.searchsorted(nodes, numbers // width) * width + numbers % width
