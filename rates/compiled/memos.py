"""What the searches of a table have found, by all that decides it, so that each combination is searched for once.

What decides is the cell of the called number, the longest origin prefix of the card that the caller's number begins
with, the codes of the dimensions, and between which of the card's dates the event occurs. Traffic repeats the
combinations: after the first thousands of events there is next to nothing left to search for.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates.compiled.patterns import ALWAYS, UNKNOWN, Patterns
from rates.prefixes import PrefixTable, digit_counts, distinct
from rates.usage import Rows, UsageColumns, pick, stretch

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int16s = NDArray[np.int16]

BLOCK = 1 << 14
"""So many events are asked about at a time."""

_MOST = 1 << 23
"""So many combinations are kept at most: 32 MiB, of which only what is used is ever touched."""

Weight = tuple[Int32s | None, Int32s] | str
"""A column of codes (None: all 0) and what each adds to the key; the name of a dimension that is no text of events."""


class Asked(NamedTuple):
    """Events to search rows for: their cells, countries, exact nodes, cards' codes and classes of windows, as given."""

    usage: UsageColumns
    rows: Rows
    cell: Int32s
    country: Int16s
    exact: Int64s | None
    part: Int32s | None
    window: Int16s | None

    def within(self, some: Int64s | slice) -> "Asked":
        """Some of the events, by their places."""
        return Asked(
            self.usage,
            stretch(self.rows, some) if isinstance(some, slice) else pick(self.rows, some),
            self.cell[some],
            self.country[some],
            None if self.exact is None else self.exact[some],
            None if self.part is None else self.part[some],
            None if self.window is None else self.window[some],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """The answers of one table, int32: 0 for what was never asked, else the pattern + 2 (1: nothing matches).

    An answer's place is its cell, origin (`origins`, and one more for callers without a number if `unknown`), date
    (between two of `instants`), and the codes of the dimensions from -1 on, `radixes` of each (1: the cell decides).
    To write one twice does no harm: it is the same.
    """

    origins: PrefixTable | None
    unknown: bool
    instants: Int64s
    radixes: tuple[int, ...]
    strides: tuple[int, ...]
    answers: Int32s

    @classmethod
    def of(cls, patterns: Patterns, cells: int, radixes: Sequence[int]) -> Self | None:
        """No answers yet; None where there would be too many to keep."""
        prefixes = distinct(np.append(patterns.origin, np.int64(0)))
        instants = distinct(np.concatenate([patterns.starts, patterns.ends]))
        instants = instants[(instants != ALWAYS[0]) & (instants != ALWAYS[1])]
        unknown = bool((patterns.origin_length == UNKNOWN).any())
        all_radixes = (len(prefixes) + unknown, len(instants) + 1, *radixes)
        if cells * prod(all_radixes) > _MOST:
            return None
        return cls(
            origins=PrefixTable.build(prefixes, digit_counts(prefixes)) if len(prefixes) > 1 else None,
            unknown=unknown,
            instants=instants,
            radixes=all_radixes,
            strides=tuple(prod(all_radixes[i + 1 :]) for i in range(len(all_radixes))),
            answers=np.zeros(cells * prod(all_radixes), dtype=np.int32),
        )

    def weights(
        self, usage: UsageColumns, names: Sequence[str], values: Sequence[Sequence[str]], beside: Container[str]
    ) -> list[Weight]:
        """What the texts of events add to their keys, for each dimension but those named in `beside`."""
        found: list[Weight] = []
        for name, known, stride in zip(names, values, self.strides[2:], strict=True):
            text = usage.texts.get(name)
            if name in beside:
                found.append(name)
            elif text is None:
                found.append((None, np.array([stride], dtype=np.int32)))
            else:
                place = {value: code for code, value in enumerate(known)}
                code = [place.get(value, -1) + 1 for value in text.values]
                found.append((text.codes, np.array(code, dtype=np.int32) * np.int32(stride)))
        return found

    def keys(
        self,
        usage: UsageColumns,
        rows: Rows,
        cell: Int32s,
        weights: Sequence[Weight],
        beside: Mapping[str, Int16s | Int32s],
    ) -> Int32s:
        """The places of the answers about some events, int32[n]; `beside` are codes of dimensions by name."""
        key = cell * np.int32(prod(self.radixes))
        if self.origins is not None:
            slot = self.origins.lookup(usage.from_[rows])
            slot *= np.int32(self.strides[0])
            key += slot
        if self.unknown:
            key[usage.from_[rows] == 0] += np.int32((self.radixes[0] - 1) * self.strides[0])
        if len(self.instants):
            key += self._date(usage.occurred_at[rows])
        for weight, radix, stride in zip(weights, self.radixes[2:], self.strides[2:], strict=True):
            if not isinstance(weight, str):
                codes, adds = weight
                key += adds[0] if codes is None else adds.take(codes[rows])
            elif radix > 1:
                key += (beside[weight] + np.int32(1)) * np.int32(stride)
        return key

    def _date(self, at: Int64s) -> Int32s | np.int32:
        """What the dates of events add to their keys."""
        first, last = np.searchsorted(self.instants, [at.min(), at.max()], side="right").tolist()
        if first == last:
            return np.int32(first * self.strides[1])
        return (np.searchsorted(self.instants, at, side="right") * self.strides[1]).astype(np.int32)
