"""Which numbers the small cards of a book may know at all, by their first digits: most calls go past those cards.

Ten thousand accounts have a card of twenty rows each, over one list. That nothing on its card begins as the called
number does is one bit of its book; only of the others is asked which row it is. One bit too many costs a question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rates.compiled.patterns import EXACT, Patterns
from rates.prefixes import NONE, leading
from rates.usage import Rows, UsageColumns, count, pick, stretch

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]

_DIGITS = (3, 5)
"""So many first digits are looked at: of all calls, and of those that are left."""

_BYTES = 128  # a book's bits: 1024, of which the first three digits take 1000, and more digits share them
_PLACES = 8 * _BYTES - 1
_BLOCK = 1 << 14
_BITS = np.left_shift(1, np.arange(8)).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """`bits` are uint8[128 k] for each number of digits, with a bit for what a number may begin with; `start`
    int64[books] is the place of the book's first, 0 for books without small cards: those know nothing.
    """

    bits: tuple[Bytes, ...]
    start: Int64s

    @classmethod
    def of(cls, cards: Sequence[tuple[Patterns, Int32s]], order: Int32s) -> Self:
        """Of books whose lineages are `order` int32[books, depth], -1 for none.

        `cards` are the patterns of those that are small, in any number of tables, and the lineage of each.
        """
        lineages = int(order.max(initial=0)) + 2  # the last one is of -1
        small = np.zeros(lineages, dtype=np.bool_)
        for _, lineage in cards:
            small[lineage] = True
        own = np.where(small[order], order, np.int32(NONE))
        nobody = np.full((1, order.shape[1]), NONE, dtype=np.int32)
        kinds, kind = np.unique(np.concatenate([nobody, own]), axis=0, return_inverse=True)
        bits = []
        for digits in _DIGITS:
            of_lineage = np.zeros((lineages, _BYTES), dtype=np.uint8)
            for patterns, lineage in cards:
                _mark(of_lineage, patterns, lineage, digits)
            bits.append(np.bitwise_or.reduce(of_lineage[kinds], axis=1).reshape(-1))
        return cls(bits=tuple(bits), start=kind.reshape(-1)[1:].astype(np.int64) * _BYTES)

    def asks(self, book: Int32s) -> Flags:
        """Whether books have small cards."""
        return self.start[book] > 0

    def known(self, usage: UsageColumns, rows: Rows) -> Int64s:
        """The places of the events whose books' small cards may have a row for the called number."""
        found = self._marked(usage, rows, 0)
        for level in range(1, len(_DIGITS)):
            found = found[self._marked(usage, pick(rows, found), level)]
        return found

    def _marked(self, usage: UsageColumns, rows: Rows, level: int) -> Int64s:
        found = [np.empty(0, dtype=np.int64)]
        # Blocks whose temporaries stay in the processor's cache.
        for first in range(0, count(rows), _BLOCK):
            some = stretch(rows, slice(first, min(first + _BLOCK, count(rows))))
            lead = leading(usage.to[some], _DIGITS[level])
            lead &= _PLACES
            byte = self.bits[level].take(self.start.take(usage.book[some]) + (lead >> 3))
            byte &= _BITS.take(lead & 7)
            found.append(np.flatnonzero(byte != 0) + first)
        return np.concatenate(found)


def _mark(of_lineage: Bytes, patterns: Patterns, lineage: Int32s, digits: int) -> None:
    """Set the bits of the first digits of numbers on patterns; all of them where a pattern has three fewer."""
    length = np.where(patterns.length == EXACT, 0, np.minimum(patterns.length, digits))
    of_lineage[lineage[length <= digits - 3]] = 255
    for fewer in range(3):
        some = np.flatnonzero(length == digits - fewer)
        first, start = leading(patterns.prefix[some], digits), lineage[some].astype(np.int64) * _BYTES
        for lead in ((first + nth) & _PLACES for nth in range(10**fewer)):
            np.bitwise_or.at(of_lineage.reshape(-1), start + (lead >> 3), _BITS[lead & 7])
