"""Rows of a card that match the same usage at the same time: which of them rated it would be chance.

Rows are told apart by all that is matched: each pair of a destination prefix and an origin prefix, with the other
dimensions. Two rows with the same key tie where their times overlap.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import PRICED, Card, codes_and_values, column, combined
from rates.checking.sheet import Sheet
from rates.errors import Fault
from rates.reading import parse_instant

Int64s = NDArray[np.int64]

_FOREVER = int(np.iinfo(np.int64).max)


class Keys(NamedTuple):
    """The match keys of n rows, k in all: a row with two prefixes and three origin prefixes has six.

    `row` is int64[k]; `key` int64[k] is equal where all that is matched is equal; `prefix` int64[k] is the code of
    the destination prefix in `prefixes`.
    """

    row: Int64s
    key: Int64s
    prefix: Int64s
    prefixes: pa.Array


def match_keys(rows: pa.Table) -> Keys:
    """The match keys of the rows of a card, in row order."""
    others = [name for name in rows.column_names if name not in {*PRICED, "row", "prefixes", "origin_prefixes"}]
    row, prefix, prefixes = exploded(rows, "prefixes", np.arange(rows.num_rows, dtype=np.int64))
    position, origin, origins = exploded(rows, "origin_prefixes", row)
    row, prefix = row[position], prefix[position]
    dimensions = combined(rows, others)[0].astype(np.int64)[row]
    key = (dimensions * len(prefixes) + prefix) * len(origins) + origin
    return Keys(row, key, prefix, prefixes)


def exploded(rows: pa.Table, name: str, which: Int64s) -> tuple[Int64s, Int64s, pa.Array]:
    """The items of a list column for some rows, `""` once for an empty list.

    Returns for each item the position in `which` of its row and its code, int64[k] both, and the distinct items.
    """
    encoded = column(rows, name)
    codes = encoded.indices.to_numpy(zero_copy_only=False)[which]
    if not pc.any(pc.match_substring(encoded.dictionary, " ")).as_py():
        return np.arange(len(which), dtype=np.int64), codes.astype(np.int64), encoded.dictionary
    pieces = pc.split_pattern(encoded.dictionary, " ")
    items = pc.dictionary_encode(pieces.flatten())
    starts = pieces.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.diff(starts)[codes]
    position = np.repeat(np.arange(len(which), dtype=np.int64), counts)
    nth = np.arange(len(position), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    item = items.indices.to_numpy(zero_copy_only=False)[starts[codes][position] + nth]
    return position, item.astype(np.int64), items.dictionary


def ties(card: Card) -> tuple[Keys, Int64s, Int64s]:
    """The keys of a card, and the pairs of keys (positions, int64[t] both) that are equal at overlapping times."""
    keys = match_keys(card.rows)
    encoded = pc.dictionary_encode(pa.array(keys.key))
    if len(encoded.dictionary) == len(keys.key):
        none = np.empty(0, dtype=np.int64)
        return keys, none, none
    starts, ends = lifetimes(card)
    start, end = starts[keys.row], ends[keys.row]
    order = np.lexsort((keys.row, start, keys.key))
    before, after = order[:-1], order[1:]
    tied = (keys.key[before] == keys.key[after]) & (start[after] < end[before])
    return keys, before[tied], after[tied]


def tie_faults(card: Card, sheet: Sheet) -> list[Fault]:
    """A fault for each row that ties with an earlier one, naming both."""
    keys, before, after = ties(card)
    faults = []
    for one, other in zip(before.tolist(), after.tolist(), strict=True):
        first, second = sorted((int(keys.row[one]), int(keys.row[other])))
        prefix = keys.prefixes[int(keys.prefix[other])].as_py()
        problem = f"matches the same usage at the same time as {sheet.at(first, '')}"
        remedy = "keep one, or end one where the other begins"
        faults.append(Fault(place=sheet.at(second, "prefixes"), value=prefix, problem=problem, remedy=remedy))
    return faults


def lifetimes(card: Card) -> tuple[Int64s, Int64s]:
    """When each row begins and ends, int64[n] microseconds both; a row without an end lives as long as its card."""
    until = _FOREVER if card.effective_to is None else micros(card.effective_to.isoformat())
    starts = _micros_of(card, "effective_from", micros(card.effective_from.isoformat()))
    return starts, _micros_of(card, "effective_to", until)


def micros(text: str) -> int:
    """An instant in UTC as microseconds since the epoch."""
    return int(np.datetime64(parse_instant(text).replace(tzinfo=None), "us").astype(np.int64))


def _micros_of(card: Card, name: str, default: int) -> Int64s:
    codes, values = codes_and_values(card.rows, name)
    return np.array([micros(text) if text else default for text in values], dtype=np.int64)[codes]
