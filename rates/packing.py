"""Sums by sorting: a key and a quantity in one 64-bit integer, where they fit into one.

Chunks of elements are packed and sorted each by itself. Then every range of keys is taken out of all chunks, sorted
again and summed, by itself too, so that both steps run in as many threads as there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates.numbering import COUNTRIES
from rates.usage import MICROSECONDS_A_DAY, TOTALS, Totals, no_totals

Int64s = NDArray[np.int64]

_BITS = 63
_FEWEST_QUANTITY_BITS = 6
_MOST_QUANTITY_BITS = 31
_MOST_ACCOUNTS = 1 << 22
_BLOCK = 1 << 16
_RANGE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A part of a key: the values of a column from `base` on, in so many bits."""

    name: str
    base: int
    bits: int

    @classmethod
    def of(cls, name: str, least: int, most: int) -> Self:
        """The field that holds the values from `least` to `most`."""
        return cls(name=name, base=least, bits=(most - least).bit_length())


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How elements become integers: the fields of the key, first the most significant, and then the quantity.

    `payers` is int64: the payer of each account, from the account field's base on, where every account has one only;
    then no field holds it. With `quantity_bits` 0 nothing fits.
    """

    fields: tuple[Field, ...]
    payers: Int64s | None
    quantity_bits: int

    @classmethod
    def of(cls, occurred_at: Int64s, payer: Int64s, account: Int64s, least_price: int, most_price: int) -> Self:
        """For the elements of events with these times, payers and accounts (int64[n]) at prices in these bounds."""
        if not len(occurred_at):
            return cls(fields=(), payers=None, quantity_bits=0)
        accounts = Field.of("account", int(account.min()), int(account.max()))
        payers = _payers(payer, account, accounts)
        days = [int(at) // MICROSECONDS_A_DAY for at in (occurred_at.min(), occurred_at.max())]
        fields = [accounts, Field.of("price", least_price, most_price), Field.of("country", 0, len(COUNTRIES))]
        fields.append(Field.of("day", days[0], days[1]))
        if payers is None:
            fields.insert(0, Field.of("payer", int(payer.min()), int(payer.max())))
        spare = _BITS - sum(each.bits for each in fields)
        bits = min(spare, _MOST_QUANTITY_BITS) if spare >= _FEWEST_QUANTITY_BITS else 0
        return cls(fields=tuple(fields), payers=payers, quantity_bits=bits)

    def pack(self, rows: Totals) -> tuple[Int64s, Totals]:
        """Elements packed and sorted, and those that do not fit or are not counted as one event."""
        if not self.quantity_bits:
            return np.empty(0, dtype=np.int64), rows
        fits = (rows.quantity >> self.quantity_bits == 0) & (rows.events == 1)
        rest = no_totals()
        if not fits.all():
            rest, rows = rows.take(~fits), rows.take(fits)
        packed = np.zeros(len(rows), dtype=np.int64)
        for each in self.fields:
            packed <<= each.bits
            packed += getattr(rows, each.name)
            packed -= each.base
        packed <<= self.quantity_bits
        packed += rows.quantity
        packed.sort()
        return packed, rest

    def merged(self, runs: Sequence[Int64s]) -> "Merged":
        """One range of keys, of which every chunk gives a sorted run."""
        packed = np.concatenate(runs)
        packed.sort()
        key = packed >> self.quantity_bits
        return Merged(packed, np.append(np.flatnonzero(key[1:] != key[:-1]), len(key) - 1))

    def write(self, merged: "Merged", rows: Totals) -> None:
        """The sums of a range of keys into `rows`, as many as it has."""
        packed, last = merged
        key = packed[last] >> self.quantity_bits
        packed &= (1 << self.quantity_bits) - 1
        # 31 bits each: as many as memory can hold come to less than 64.
        _steps(np.cumsum(packed)[last], 0, rows.quantity)
        _steps(last, -1, rows.events)
        for each in reversed(self.fields):
            column = getattr(rows, each.name)
            np.bitwise_and(key, (1 << each.bits) - 1, out=column, casting="unsafe")
            column += each.base
            key >>= each.bits
        if self.payers is not None:
            self.payers.take(rows.account - self.fields[0].base, out=rows.payer)

    def ordered(self, rows: Totals) -> Totals:
        """All that was written, in the order of keys: by payer first, also where the account stands for the payer."""
        if self.payers is None or bool((rows.payer[1:] >= rows.payer[:-1]).all()):
            return rows
        return rows.take(np.argsort(rows.payer, kind="stable"))

    def ranges(self, chunks: Sequence[Int64s], size: int = _RANGE) -> Iterator[list[Int64s]]:
        """Sorted chunks cut at the same keys, into ranges of about `size` that fit the processor's cache."""
        total = sum(map(len, chunks))
        if not total:
            return
        many = max(1, total // size)
        sample = np.sort(np.concatenate([chunk[:: max(1, len(chunk) // many)] for chunk in chunks]))
        # A range begins with a key that is there, so none is empty; the first one with the least key of all.
        sample >>= self.quantity_bits
        cuts = np.unique(sample[np.arange(1, many) * len(sample) // many])
        cuts = cuts[cuts > sample[0]] << self.quantity_bits
        edges = [np.concatenate([[0], np.searchsorted(chunk, cuts), [len(chunk)]]) for chunk in chunks]
        for i in range(len(cuts) + 1):
            yield [chunk[edge[i] : edge[i + 1]] for chunk, edge in zip(chunks, edges, strict=True)]


class Merged(NamedTuple):
    """A range of keys, sorted, and where each key ends."""

    packed: Int64s
    last: Int64s


def room(ranges: Sequence[Merged]) -> tuple[Totals, list[Totals]]:
    """Rows for the sums of some ranges of keys, as a whole and for each."""
    ends = np.cumsum([0, *(len(each.last) for each in ranges)]).tolist()
    nothing = no_totals()
    whole = Totals(**{name: np.empty(ends[-1], dtype=getattr(nothing, name).dtype) for name in TOTALS})
    return whole, [_stretch(whole, slice(start, stop)) for start, stop in pairwise(ends)]


def _stretch(rows: Totals, some: slice) -> Totals:
    return Totals(**{name: getattr(rows, name)[some] for name in TOTALS})


def _steps(values: Int64s, before: int, out: Int64s) -> None:
    """How far each value is from the one before it."""
    out[0] = values[0] - before
    np.subtract(values[1:], values[:-1], out=out[1:])


def joined(parts: Sequence[Totals]) -> Totals:
    """The rows of some totals, one after the other."""
    return Totals(**{name: np.concatenate([getattr(part, name) for part in (no_totals(), *parts)]) for name in TOTALS})


def _payers(payer: Int64s, account: Int64s, accounts: Field) -> Int64s | None:
    """The payer of each account, None where an account has several or accounts are too far apart for a table."""
    if accounts.bits > _MOST_ACCOUNTS.bit_length():
        return None
    table = np.zeros(1 << accounts.bits, dtype=np.int64)
    if payer is account:
        return table + np.arange(accounts.base, accounts.base + len(table))
    for start in range(0, len(payer), _BLOCK):
        some = slice(start, start + _BLOCK)
        table[account[some] - accounts.base] = payer[some]
    for start in range(0, len(payer), _BLOCK):
        some = slice(start, start + _BLOCK)
        if not np.array_equal(table[account[some] - accounts.base], payer[some]):
            return None
    return table
