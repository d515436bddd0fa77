"""The shapes in which patterns state their conditions, each a sorted list of keys: a search through tuple space.

All patterns of one shape state the same conditions beside their destination: an origin of so many digits and some of
the dimensions. An event that has all of them has one key in the shape, which is there or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rates.compiled.patterns import UNKNOWN, Patterns
from rates.errors import TollbookError
from rates.prefixes import NONE, truncated
from rates.quantities import INT64_MAX

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int8s = NDArray[np.int8]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio: spreads keys that follow each other
_SPARE_BITS = 2

Dimension = tuple[str, tuple[str, ...], Int32s]
"""Its name, its values (the first being any), and the code of each pattern."""


class CardTooWideError(TollbookError):
    """The conditions of a card have more combinations than 64 bits can tell apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked of n events: the caller's number and its digits, the code of each dimension (-1: unknown to the
    card, 0: not stated), and the time.
    """

    origin: Int64s
    digits: Int8s
    codes: tuple[Int32s, ...]
    at: Int64s


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The patterns of one shape by ascending key, those of one key by their start.

    `given` are the places of the dimensions that they state; `radixes` how many codes each has. `index`, int32[2^k] by
    hash, is the place of one key with that hash, -1 for none.
    """

    origin_length: int
    given: tuple[int, ...]
    origins: Int64s
    radixes: tuple[int, ...]
    keys: Int64s
    index: Int32s
    pattern: Int32s
    longest_run: int

    @property
    def span(self) -> int:
        """How many keys one node has."""
        span = len(self.origins)
        for radix in self.radixes:
            span *= radix
        return span

    def ask(self, questions: Questions, nodes: Int64s, rows: Int64s) -> tuple[Int64s, Int64s]:
        """The events whose key at their nodes is here, and the place of the key."""
        if self.origin_length == UNKNOWN:
            rows = rows[questions.origin[rows] == 0]
        for i in self.given:
            rows = rows[questions.codes[i][rows] > 0]
        origin = np.zeros(len(rows), dtype=np.int64)
        if self.origin_length > 0:
            rows = rows[questions.digits[rows] >= self.origin_length]
            number = truncated(questions.origin[rows], questions.digits[rows], self.origin_length)
            origin = np.minimum(np.searchsorted(self.origins, number), len(self.origins) - 1)
            known = self.origins[origin] == number
            rows, origin = rows[known], origin[known]
        key = nodes[rows] * len(self.origins) + origin
        for i, radix in zip(self.given, self.radixes, strict=True):
            key = key * radix + questions.codes[i][rows]
        place = self.places(key)
        some = np.flatnonzero(place >= 0)
        return rows[some], place[some]

    def places(self, key: Int64s) -> Int64s:
        """The first place of each key, -1 for none."""
        place = self.index.take(_hash(key, len(self.index))).astype(np.int64)
        # Mostly there is nothing with this hash, or it is the key; the others are searched for.
        others = np.flatnonzero((place >= 0) & (self.keys.take(place, mode="clip") != key))
        sought = np.searchsorted(self.keys, key[others])
        place[others] = np.where(self.keys.take(sought, mode="clip") == key[others], sought, NONE)
        return place


def shapes(patterns: Patterns, node: Int64s, nodes: int, dimensions: Sequence[Dimension]) -> tuple[Shape, ...]:
    """The shapes of patterns at their nodes, the most decisive first: the longest origin, then dimensions in order.

    Raises `CardTooWideError`.
    """
    given = np.zeros(len(patterns), dtype=np.int64)
    for _, _, code in dimensions:
        given = given * 2 + (code > 0)
    found = np.unique(np.stack([patterns.origin_length.astype(np.int64), given], axis=1), axis=0).tolist()
    # Callers without a number meet only the shapes for them and those without an origin.
    found.sort(key=lambda shape: (shape[0] != 0, shape[0], shape[1]), reverse=True)
    built = []
    for origin_length, mask in found:
        some = np.flatnonzero((patterns.origin_length == origin_length) & (given == mask))
        stated = tuple(i for i in range(len(dimensions)) if mask >> (len(dimensions) - 1 - i) & 1)
        built.append(_shape(patterns, some, node[some], nodes, stated, dimensions))
    return tuple(built)


def _shape(
    patterns: Patterns,
    some: Int64s,
    node: Int64s,
    nodes: int,
    given: tuple[int, ...],
    dimensions: Sequence[Dimension],
) -> Shape:
    origins, origin = np.unique(patterns.origin[some], return_inverse=True)
    key = node * len(origins) + origin
    radixes = tuple(len(dimensions[i][1]) + 1 for i in given)
    combinations = nodes * len(origins)
    for i, radix in zip(given, radixes, strict=True):
        key = key * radix + dimensions[i][2][some]
        combinations *= radix
    if combinations > INT64_MAX:
        raise CardTooWideError(
            f"its conditions have {combinations} combinations",
            remedy="state fewer dimensions together in one row",
        )
    order = np.lexsort((patterns.starts[some], key))
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    index = np.full(1 << (len(first).bit_length() + _SPARE_BITS), NONE, dtype=np.int32)
    index[_hash(key[first], len(index))] = first
    return Shape(
        origin_length=int(patterns.origin_length[some[0]]),
        given=given,
        origins=origins,
        radixes=radixes,
        keys=key,
        index=index,
        pattern=some[order].astype(np.int32),
        longest_run=int(np.diff(first, append=len(key)).max()),
    )


def _hash(key: Int64s, size: int) -> Int64s:
    """A place below `size`, a power of two, for each key: the highest bits of its product with a large odd number."""
    product = key.view(np.uint64) * _GOLDEN
    product >>= np.uint64(64 - size.bit_length() + 1)
    return product.view(np.int64)
