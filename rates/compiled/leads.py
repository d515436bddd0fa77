"""Which numbers the small cards of a book may know at all, by their first digits: most calls go past those cards.

Ten thousand accounts have a card of twenty rows each, over one list. That nothing on its card begins as the called
number does is one bit of its book; only of the others is asked which row it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rates.compiled.patterns import EXACT, Patterns
from rates.prefixes import NONE, leading
from rates.usage import Rows, UsageColumns, count, stretch

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]

_DIGITS = 3
_BYTES = 128  # 1000 bits of them are for the first three digits
_BLOCK = 1 << 14
_BITS = np.left_shift(1, np.arange(8)).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """`bits` uint8[128 k] has a bit for each three digits that a number may begin with; `start` int64[books] is the
    place of the book's first, 0 for books without small cards: those know nothing.
    """

    bits: Bytes
    start: Int64s

    @classmethod
    def of(cls, cards: Sequence[tuple[Patterns, Int32s]], order: Int32s) -> Self:
        """Of books whose lineages are `order` int32[books, depth], -1 for none.

        `cards` are the patterns of those that are small, in any number of tables, and the lineage of each.
        """
        of_lineage = np.zeros((int(order.max(initial=0)) + 2, _BYTES), dtype=np.uint8)  # the last one is of -1
        small = np.zeros(len(of_lineage), dtype=np.bool_)
        for patterns, lineage in cards:
            _mark(of_lineage, patterns, lineage)
            small[lineage] = True
        own = np.where(small[order], order, np.int32(NONE))
        nobody = np.full((1, order.shape[1]), NONE, dtype=np.int32)
        kinds, kind = np.unique(np.concatenate([nobody, own]), axis=0, return_inverse=True)
        bits = np.bitwise_or.reduce(of_lineage[kinds], axis=1)
        return cls(bits=bits.reshape(-1), start=kind.reshape(-1)[1:].astype(np.int64) * _BYTES)

    def asks(self, book: Int32s) -> Flags:
        """Whether books have small cards."""
        return self.start[book] > 0

    def known(self, usage: UsageColumns, rows: Rows) -> Int64s:
        """The places of the events whose books' small cards may have a row for the called number."""
        found = [np.empty(0, dtype=np.int64)]
        # Blocks whose temporaries stay in the processor's cache.
        for first in range(0, count(rows), _BLOCK):
            some = stretch(rows, slice(first, min(first + _BLOCK, count(rows))))
            lead = leading(usage.to[some], _DIGITS)
            byte = self.bits.take(self.start.take(usage.book[some]) + (lead >> 3))
            byte &= _BITS.take(lead & 7)
            found.append(np.flatnonzero(byte != 0) + first)
        return np.concatenate(found)


def _mark(of_lineage: Bytes, patterns: Patterns, lineage: Int32s) -> None:
    """Set the bits of the digits that numbers on patterns begin with; all of them where a pattern has none."""
    length = np.where(patterns.length == EXACT, 0, np.minimum(patterns.length, _DIGITS))
    of_lineage[lineage[length == 0]] = 255
    for digits in range(1, _DIGITS + 1):
        some = np.flatnonzero(length == digits)
        first, start = leading(patterns.prefix[some], _DIGITS), lineage[some].astype(np.int64) * _BYTES
        for lead in (first + nth for nth in range(10 ** (_DIGITS - digits))):
            np.bitwise_or.at(of_lineage.reshape(-1), start + (lead >> 3), _BITS[lead & 7])
