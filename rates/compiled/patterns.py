"""What the rows of a card match: one pattern per row, destination prefix and origin.

A pattern states a destination, an origin and a time; the row's other dimensions stand beside it. Rows with lists of
prefixes become as many patterns as the lists have pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import Card, codes_and_values
from rates.numbering import COUNTRY_CODES
from rates.products import Product
from rates.usage import Texts

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int8s = NDArray[np.int8]

EXACT = 16
"""The length of a whole text, which stands before every prefix."""

UNKNOWN = -1
"""The origin length of rows for callers without a number."""

ALWAYS = (-(2**63), 2**63 - 1)
"""The times of a row that states none, in microseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNKNOWN_TOKEN = "?"  # noqa: S105 - no secret: what stands for a missing number in a list of prefixes


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """The patterns of one card, in the order of its rows.

    `row` is int32[p], the position in the card. `length` int8[p] is the number of digits of the destination and
    `prefix` int64[p] their value; with length `EXACT` it is the code of the whole text in `exact`. `origin_length`
    (0: any, `UNKNOWN`) and `origin` likewise. `starts` and `ends` are int64[p] microseconds, half-open.
    """

    row: Int32s
    length: Int8s
    prefix: Int64s
    exact: tuple[str, ...]
    origin_length: Int8s
    origin: Int64s
    starts: Int64s
    ends: Int64s

    def __len__(self) -> int:
        return len(self.row)

    def take(self, some: Int64s) -> "Patterns":
        """Some of the patterns."""
        return Patterns(
            row=self.row[some],
            length=self.length[some],
            prefix=self.prefix[some],
            exact=self.exact,
            origin_length=self.origin_length[some],
            origin=self.origin[some],
            starts=self.starts[some],
            ends=self.ends[some],
        )

    def within(self, start: int, end: int, first_row: int) -> "Patterns":
        """The patterns for the time from `start` to `end` only, their rows counted from `first_row`."""
        return replace(
            self,
            row=self.row + np.int32(first_row),
            starts=np.maximum(self.starts, start),
            ends=np.minimum(self.ends, end),
        )


def patterns(card: Card) -> Patterns:
    """The patterns of a card whose cells are canonical."""
    destination, destinations = _split(_cells(card, "prefixes"))
    origin, origins = _split(_origins(card))
    row, first, second = _pairs(destinations, origins)
    length, prefix, exact = _destinations(destination, destinations, _flags(card, "exact"))
    origin_length, origin_value = _numbers(origin)
    origin_length[_equal(origin, _UNKNOWN_TOKEN)] = UNKNOWN
    return Patterns(
        row=row,
        length=length[first],
        prefix=prefix[first],
        exact=exact,
        origin_length=origin_length[second],
        origin=origin_value[second],
        starts=_instants(card, "effective_from", ALWAYS[0])[row],
        ends=_instants(card, "effective_to", ALWAYS[1])[row],
    )


def joined(all_of: Sequence[Patterns]) -> Patterns:
    """The patterns of several cards, one card after the other."""
    texts = {text: None for each in all_of for text in each.exact}
    place = {text: i for i, text in enumerate(texts)}
    prefixes = []
    for each in all_of:
        prefix, exact = each.prefix, each.length == EXACT
        if exact.any():
            codes = np.array([place[text] for text in each.exact], dtype=np.int64)
            prefix = np.where(exact, codes[np.where(exact, prefix, 0)], prefix)
        prefixes.append(prefix)
    return Patterns(
        row=np.concatenate([p.row for p in all_of]),
        length=np.concatenate([p.length for p in all_of]),
        prefix=np.concatenate(prefixes),
        exact=tuple(texts),
        origin_length=np.concatenate([p.origin_length for p in all_of]),
        origin=np.concatenate([p.origin for p in all_of]),
        starts=np.concatenate([p.starts for p in all_of]),
        ends=np.concatenate([p.ends for p in all_of]),
    )


def dimension(card: Card, name: str) -> Texts:
    """A dimension of a card's rows, code 0 being any."""
    codes, values = codes_and_values(card.rows, name)
    others = [value for value in values if value]
    place = {"": 0} | {value: i for i, value in enumerate(others, start=1)}
    return Texts(np.array([place[value] for value in values], dtype=np.int32)[codes], ("", *others))


def dimensions_of(product: Product) -> tuple[str, ...]:
    """The dimensions beside the numbers in which rows of a product may differ, the most decisive first.

    A row of any product may state the country; where the product does not rank it, it decides last.
    """
    declared = product.dimensions
    return declared if "country" in declared else (*declared, "country")


def _cells(card: Card, name: str) -> pa.Array:
    if name not in card.rows.column_names:
        return pa.array([""] * card.rows.num_rows, pa.string())
    return card.rows[name].combine_chunks().cast(pa.string())


def _flags(card: Card, name: str) -> NDArray[np.bool_]:
    codes, values = codes_and_values(card.rows, name)
    return np.array([value == "true" for value in values], dtype=np.bool_)[codes]


def _origins(card: Card) -> pa.Array:
    listed = _cells(card, "origin_prefixes")
    codes, values = codes_and_values(card.rows, "origin")
    unknown = np.array([value == "unknown" for value in values], dtype=np.bool_)[codes]
    if not unknown.any():
        return listed
    both = pc.utf8_ltrim_whitespace(pc.binary_join_element_wise(listed, pa.scalar(_UNKNOWN_TOKEN), " "))
    return pc.if_else(pa.array(unknown), both, listed)


def _split(cells: pa.Array) -> tuple[pa.Array, Int64s]:
    """All words of space-separated cells, an empty cell being one empty word, and how many each cell has."""
    lists = pc.split_pattern(cells, " ")
    return lists.flatten(), pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)


def _pairs(destinations: Int64s, origins: Int64s) -> tuple[Int32s, Int64s, Int64s]:
    """Each row's destinations with each of its origins: the row, and the places in the two lists of words."""
    many = destinations * origins
    row = np.repeat(np.arange(len(many), dtype=np.int32), many)
    nth = np.arange(int(many.sum()), dtype=np.int64) - np.repeat(np.cumsum(many) - many, many)
    first = np.cumsum(destinations) - destinations
    second = np.cumsum(origins) - origins
    return row, first[row] + nth // origins[row], second[row] + nth % origins[row]


def _destinations(words: pa.Array, counts: Int64s, exact: NDArray[np.bool_]) -> tuple[Int8s, Int64s, tuple[str, ...]]:
    whole = np.repeat(exact, counts) & ~_equal(words, "")
    if not whole.any():
        return *_numbers(words), ()
    length, prefix = _numbers(pc.if_else(pa.array(whole), pa.scalar(""), words))
    texts = pc.dictionary_encode(words.filter(pa.array(whole)))
    length[whole] = EXACT
    prefix[whole] = texts.indices.to_numpy(zero_copy_only=False)
    return length, prefix, tuple(texts.dictionary.to_pylist())


def _numbers(words: pa.Array) -> tuple[Int8s, Int64s]:
    """The number of digits of each word and their value; 0 and 0 for an empty word and for the unknown origin."""
    digits = pc.if_else(pc.equal(words, _UNKNOWN_TOKEN), pa.scalar(""), words)
    value = pc.cast(pc.if_else(pc.equal(digits, ""), pa.scalar("0"), digits), pa.int64())
    length = pc.utf8_length(digits)
    return (
        length.to_numpy(zero_copy_only=False).astype(np.int8),
        value.to_numpy(zero_copy_only=False).astype(np.int64),
    )


def _equal(words: pa.Array, word: str) -> NDArray[np.bool_]:
    equal: NDArray[np.bool_] = pc.equal(words, word).to_numpy(zero_copy_only=False)
    return equal


def _instants(card: Card, name: str, absent: int) -> Int64s:
    codes, values = codes_and_values(card.rows, name)
    instants = [microseconds(datetime.fromisoformat(value)) if value else absent for value in values]
    return np.array(instants, dtype=np.int64)[codes]


def microseconds(at: datetime) -> int:
    """An instant as columns have it."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def country_codes(values: Sequence[str]) -> Int32s:
    """The codes that countries have in columns; -1 for what is no country."""
    return np.array([COUNTRY_CODES.get(value, -1) for value in values], dtype=np.int32)
