"""Rows of two cards in one table, told apart by what they match: which are of the same usage, and which are wider.

A row is wider than another if it matches all that the other matches: its destination and origin prefixes begin the
other's, and of the other dimensions it states the same or nothing. The closest of the wider rows is the one that would
price the usage if the row were not there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import MATCHED, PRICED, Card, codes_and_values, combined
from rates.checking.ties import lifetimes
from rates.compiled.patterns import EXACT, UNKNOWN, Patterns, dimensions_of, patterns
from rates.products import Product

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

_NUMBERS = frozenset({"prefixes", "origin_prefixes", "origin", "exact"})
_ALWAYS = ("product", "element")
_PACKED = 2**62
_POWERS = 10 ** np.arange(19, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """The rows of two cards, n in all (those of the first before the second's), and their patterns, p in all.

    `starts` and `ends` are int64[n] microseconds. `other` holds, by dimension beside the numbers, the code of each
    pattern's value, int64[p], 0 for any; `stated` has a bit for each dimension that a pattern states, the first
    declared the highest, int64[p]. `card` is 0 or 1 for each pattern. `key` int64[p] is equal where all that is
    matched is.
    """

    rows: pa.Table
    shift: int
    starts: Int64s
    ends: Int64s
    patterns: Patterns
    other: dict[str, Int64s]
    stated: Int64s
    card: Int64s
    key: Int64s

    @classmethod
    def of(cls, first: Card, second: Card, products: Mapping[str, Product]) -> "Together":
        """Two cards' rows together. Dimensions are compared in the order of the products that have them."""
        rows = _united(first, second)
        order = [name for of in codes_and_values(rows, "product")[1] for name in dimensions_of(products[of])]
        found = patterns(replace(second, rows=rows))
        spans = [lifetimes(card) for card in (first, second)]
        row = found.row.astype(np.int64)
        names = [name for name in rows.column_names if name not in {*PRICED, *_NUMBERS}]
        names.sort(key=lambda name: order.index(name) if name in order else len(order))
        other, stated = {}, np.zeros(len(row), dtype=np.int64)
        for name in names:
            codes, values = codes_and_values(rows, name)
            usual = name in _ALWAYS  # no element is `usage`, not any
            ranked = np.array([i + 1 if value or usual else 0 for i, value in enumerate(values)], dtype=np.int64)
            other[name] = ranked[codes][row]
            stated = stated * 2 + (other[name] > 0)
        columns = [combined(rows, names)[0].astype(np.int64)[row]] if names else []
        numbers = (found.length, found.prefix, found.origin_length, found.origin)
        return cls(
            rows=rows,
            shift=first.rows.num_rows,
            starts=np.concatenate([start for start, _ in spans]),
            ends=np.concatenate([end for _, end in spans]),
            patterns=found,
            other=other,
            stated=stated,
            card=(row >= first.rows.num_rows).astype(np.int64),
            key=packed([*columns, *(each.astype(np.int64) for each in numbers)]),
        )

    def alive(self, at: int) -> Bools:
        """Which patterns are of rows that live at an instant, microseconds: bool[p]."""
        row = self.patterns.row
        alive: Bools = (self.starts[row] <= at) & (at < self.ends[row])
        return alive

    def closest(self, asking: Int64s, asked: Int64s) -> Int64s:
        """For each pattern of `asking` the closest wider one of `asked` that is not of the same match; -1 for none."""
        found = np.full(len(asking), -1, dtype=np.int64)
        p = self.patterns
        shapes = np.stack([p.length[asked], p.origin_length[asked], self.stated[asked]])
        kinds, kind = np.unique(shapes, axis=1, return_inverse=True)
        own = np.stack([p.length[asking], p.origin_length[asking], self.stated[asking]])
        for place in range(kinds.shape[1] - 1, -1, -1):  # ascending order: the closest shape is the last
            length, origin, stated = (int(value) for value in kinds[:, place])
            open_ = (found < 0) & (own != kinds[:, place : place + 1]).any(axis=0) & ((own[2] & stated) == stated)
            open_ &= (own[0] == EXACT) if length == EXACT else (own[0] >= length) & ((own[0] != EXACT) | (length == 0))
            open_ &= (own[1] == UNKNOWN) if origin == UNKNOWN else (own[1] >= origin)
            which = np.flatnonzero(open_)
            if len(which):
                these = asked[kind.ravel() == place]
                hit = self._looked_up(asking[which], these, length, origin, stated)
                found[which] = hit
        return found

    def text(self, name: str, pattern: Int64s) -> pa.Array:
        """A column's cells for some patterns; "" for -1."""
        if name not in self.rows.column_names:
            return pa.repeat(pa.scalar(""), len(pattern))
        rows = pa.array(self.patterns.row[pattern], mask=pattern < 0)
        return pc.fill_null(self.rows[name].combine_chunks().cast(pa.string()).take(rows), "")

    def codes(self, pattern: Int64s) -> pa.Array:
        """The destination code of some patterns as text, "" for any."""
        p = self.patterns
        texts = pc.if_else(pa.array(p.length[pattern] == 0), "", pa.array(p.prefix[pattern]).cast(pa.string()))
        exact = p.length[pattern] == EXACT
        if exact.any():
            whole = pa.array(p.exact, pa.string()).take(pa.array(np.where(exact, p.prefix[pattern], 0)))
            texts = pc.if_else(pa.array(exact), whole, texts)
        return pc.if_else(pa.array(pattern < 0), "", texts)

    def origins(self, pattern: Int64s) -> pa.Array:
        """The origin of some patterns as text: a code, `unknown`, or "" for any."""
        p = self.patterns
        texts = pc.if_else(pa.array(p.origin_length[pattern] == 0), "", pa.array(p.origin[pattern]).cast(pa.string()))
        unknown = pc.if_else(pa.array(p.origin_length[pattern] == UNKNOWN), "unknown", texts)
        return pc.if_else(pa.array(pattern < 0), "", unknown)

    def dimensions(self, pattern: Int64s) -> pa.Array:
        """What else some patterns match, as `mcc=248 mnc=01`; "" for nothing."""
        said = pa.repeat(pa.scalar(""), len(pattern))
        for name in self.other:
            if name not in _ALWAYS:
                cells = self.text(name, pattern)
                keyed = pc.binary_join_element_wise(f" {name}=", cells, "")
                said = pc.binary_join_element_wise(said, pc.if_else(pc.equal(cells, ""), "", keyed), "")
        return pc.utf8_trim_whitespace(said)

    def _looked_up(self, asking: Int64s, asked: Int64s, length: int, origin: int, stated: int) -> Int64s:
        p = self.patterns
        columns = []
        if length:
            columns.append([_cut(p.prefix[some], p.length[some], length) for some in (asked, asking)])
        if origin > 0:
            columns.append([_cut(p.origin[some], p.origin_length[some], origin) for some in (asked, asking)])
        for bit, name in enumerate(reversed(self.other)):
            if stated >> bit & 1:
                columns.append([self.other[name][some] for some in (asked, asking)])
        joined = packed([np.concatenate(pair) for pair in columns]) if columns else np.zeros(len(asked) + len(asking))
        place = pc.index_in(pa.array(joined[len(asked) :]), value_set=pa.array(joined[: len(asked)]))
        found = pc.fill_null(place, -1).to_numpy(zero_copy_only=False)
        return np.where(found >= 0, asked[found], -1)


def packed(columns: Sequence[Int64s]) -> Int64s:
    """A number for each row that is equal where all columns are: k times int64[n] -> int64[n]."""
    whole, size = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        codes, count = _compact(column)
        if size * count > _PACKED:
            whole, size = _compact(whole)
        whole, size = whole * count + codes, size * count
    return whole


def _compact(values: Int64s) -> tuple[Int64s, int]:
    encoded = pc.dictionary_encode(pa.array(values))
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), max(len(encoded.dictionary), 1)


def _cut(numbers: Int64s, digits: NDArray[np.int8], length: int) -> Int64s:
    if length == EXACT:
        return numbers
    cut: Int64s = numbers // _POWERS.take(digits.astype(np.int64) - length)
    return cut


def _united(first: Card, second: Card) -> pa.Table:
    names = dict.fromkeys([*first.rows.column_names, *second.rows.column_names])
    columns = {}
    for name in names:
        if name != "row":
            parts = [codes_and_values(card.rows, name) for card in (first, second)]
            texts = [pa.array(values, pa.string()).take(pa.array(codes)) for codes, values in parts]
            columns[name] = pc.dictionary_encode(pa.concat_arrays(texts))
    ordered = [name for name in MATCHED if name in columns]
    return pa.table({name: columns[name] for name in [*ordered, *sorted(columns.keys() - set(ordered))]})
