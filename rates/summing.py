"""Sums of lines: pieces of quantities, put in the order of payers and of their lines' keys, and added up.

Some payers at a time, so that what is reckoned on the way stays in the processor's cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates import runs
from rates.numbering import COUNTRIES
from rates.usage import Int64s

NOWHERE = -1
"""In place of a line's number, of a row that is on none."""

_FEW = 1 << 16
_BLOCK = 1 << 17


class Piece(NamedTuple):
    """Quantities on lines, int64[n] each (`line` int32 where it is a rank); a line may be `NOWHERE`.

    `rows` are their places in what they came in, None where they are all of it.
    """

    payer: Int64s
    line: NDArray[np.integer]
    version: Int64s
    events: Int64s
    quantity: Int64s
    rows: Int64s | None = None

    @property
    def places(self) -> Int64s:
        """The same, also where they are all of it."""
        return np.arange(len(self.line)) if self.rows is None else self.rows

    def by_payer(self) -> Self:
        """The same in the order of payers."""
        if (self.payer[1:] >= self.payer[:-1]).all():
            return self
        return self._take(np.argsort(self.payer, kind="stable"))

    def between(self, start: int, stop: int) -> Self:
        """A stretch of them."""
        return self._take(slice(start, stop))

    def _take(self, some: Int64s | slice) -> Self:
        return self._replace(**{name: column[some] for name, column in self._asdict().items() if column is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The lines that there are, in the order of their keys: `number`, `family` and `country` (a code), int64[k] each.

    `by_number` (int32[k]) are their ranks in the order of numbers, None where these are the ranks; `table`, where
    numbers are few, the rank by the number itself, and last that of `NOWHERE`.
    """

    number: Int64s
    family: Int64s
    country: Int64s
    by_number: NDArray[np.int32] | None
    table: NDArray[np.int32] | None

    @classmethod
    def of(cls, families: Sequence[tuple[Any, ...]], lines: Sequence[NDArray[np.integer]]) -> "Ranked":
        """The ranks of the distinct ones of some lines ([n] each); `families` are keys in every country."""
        many = len(families) * len(COUNTRIES)
        counted = many <= _FEW + sum(map(len, lines)) * 2
        number = runs.counted(lines, many) if counted else runs.distinct(np.concatenate(lines))
        family, country = np.divmod(number, len(COUNTRIES))
        # By product and element, then by country, then by all the rest.
        heads = {head: place for place, head in enumerate(sorted({key[:2] for key in families}))}
        ranked = sorted(range(len(families)), key=families.__getitem__)
        head = np.array([heads[key[:2]] for key in families], dtype=np.int64)
        rest = np.empty(len(families), dtype=np.int64)
        rest[ranked] = np.arange(len(families))
        order = np.argsort((head[family] * len(COUNTRIES) + country) * max(len(families), 1) + rest[family])
        by_number = np.empty(len(number), dtype=np.int32)
        by_number[order] = np.arange(len(number))
        table = None
        if counted:
            table = np.full(many + 1, NOWHERE, dtype=np.int32)
            table[number] = by_number
        return cls(number=number, family=family[order], country=country[order], by_number=by_number, table=table)

    def rank(self, line: NDArray[np.integer]) -> NDArray[np.int32]:
        """The ranks of lines, int32 in the same shape; that of `NOWHERE` is `NOWHERE`."""
        if self.by_number is None:
            return line.astype(np.int32, copy=False)
        if self.table is not None:
            known: NDArray[np.int32] = self.table[line]
            return known
        found: NDArray[np.int32] = self.by_number[np.searchsorted(self.number, line)]
        found[line == NOWHERE] = NOWHERE
        return found

    def by_rank(self) -> "Ranked":
        """The same lines, whose numbers are their ranks."""
        return replace(self, number=np.arange(len(self.number)), by_number=None, table=None)

    def only(self, there: NDArray[np.bool_]) -> "Ranked":
        """Some of them (bool[k] by their ranks), whose numbers are their ranks among all."""
        number = np.flatnonzero(there)
        return Ranked(
            number=number,
            family=self.family[there],
            country=self.country[there],
            by_number=np.arange(len(number), dtype=np.int32),
            table=np.append(np.cumsum(there) - 1, NOWHERE).astype(np.int32),
        )


class Sums(NamedTuple):
    """Lines by payer and then by rank: payer, events and quantity int64[m], rank int32[m], and the card versions."""

    payer: Int64s
    rank: NDArray[np.int32]
    events: Int64s
    quantity: Int64s
    cards: list[tuple[str, ...]]

    @classmethod
    def room(cls, most: int) -> "Sums":
        """Room for at most so many: memory is taken up only as far as it is written."""
        numbers = [np.empty(most, dtype=np.int64) for _ in range(3)]
        return cls(numbers[0], np.empty(most, dtype=np.int32), numbers[1], numbers[2], [])

    @classmethod
    def joined(cls, parts: "Sequence[Sums]") -> "Sums":
        """Those of some payers, and then those of others."""
        payer, rank, events, quantity = runs.in_threads(
            np.concatenate, list(zip(*(each[:4] for each in parts), strict=True))
        )
        cards: list[tuple[str, ...]] = []
        for each in parts:
            cards += each.cards
        return cls(payer, rank, events, quantity, cards).by_payer()

    def by_payer(self) -> "Sums":
        """The same in the order of payers, of whom those under later terms may stand between others."""
        payer, rank, events, quantity, cards = self
        if (payer[1:] >= payer[:-1]).all():
            return self
        order = np.argsort(payer, kind="stable")
        sorted_cards = [cards[row] for row in order.tolist()]
        return Sums(payer[order], rank[order], events[order], quantity[order], sorted_cards)


def sums_of(pieces: Sequence[Piece], ranked: Ranked, versions: Sequence[str], *, rows_at_once: int = _BLOCK) -> Sums:
    """What pieces add up to. Raises `QuantityOverflowError`."""
    pieces = [piece.by_payer() for piece in pieces if len(piece.line)]
    found, end = Sums.room(sum(len(piece.line) for piece in pieces)), 0
    for stretches in _stretches(pieces, rows_at_once):
        some = [piece.between(*ends) for piece, ends in zip(pieces, stretches, strict=True) if ends[0] < ends[1]]
        if not some:
            continue
        names = _Names.of(some, ranked, versions)
        name, events, quantity = runs.joined([names.runs(piece, ranked) for piece in some], 3)
        order = runs.places(name, names.most)
        name, version = names.lines(name[order])
        first = np.flatnonzero(runs.changes(name))
        at = slice(end, end + len(first))
        found.payer[at], found.rank[at] = names.payers_and_ranks(name[first])
        found.events[at], found.quantity[at] = runs.sums(events[order], first), runs.sums(quantity[order], first)
        found.cards.extend(_cards(versions, version, first))
        end = at.stop
    return Sums(found.payer[:end], found.rank[:end], found.events[:end], found.quantity[:end], found.cards)


class _Names(NamedTuple):
    """One number for payer, rank and card version, in the order of all three: `payers` (int64[p]) by their places.

    There are no more payers than rows, so that 63 bits are enough for all that memory holds.
    """

    payers: Int64s
    rank_bits: int
    version_bits: int

    @classmethod
    def of(cls, pieces: Sequence[Piece], ranked: Ranked, versions: Sequence[str]) -> Self:
        """For pieces in the order of payers."""
        payers = np.unique(np.concatenate([piece.payer[runs.changes(piece.payer)] for piece in pieces]))
        return cls(payers, len(ranked.family).bit_length(), (len(versions) - 1).bit_length())

    @property
    def most(self) -> int:
        """Above all numbers."""
        return len(self.payers) << (self.rank_bits + self.version_bits)

    def runs(self, piece: Piece, ranked: Ranked) -> tuple[Int64s, Int64s, Int64s]:
        """Names, events and quantity: a row for rows of one line that follow each other, as days of a price do.

        What is on no line is left out.
        """
        begins = np.flatnonzero(runs.changes(piece.payer))
        place = np.searchsorted(self.payers, piece.payer[begins]) << self.rank_bits
        name = np.repeat(place, np.diff(np.append(begins, len(piece.payer))))
        name += ranked.rank(piece.line)
        if self.version_bits:
            name = (name << self.version_bits) + piece.version
        first = np.flatnonzero(runs.changes(name))
        found = name[first], runs.sums(piece.events, first), runs.sums(piece.quantity, first)
        # `NOWHERE` has all bits of a rank, and so has none of the ranks.
        last = (1 << self.rank_bits) - 1
        there = np.flatnonzero((found[0] >> self.version_bits) & last != last)
        return found if len(there) == len(first) else (found[0][there], found[1][there], found[2][there])

    def lines(self, name: Int64s) -> tuple[Int64s, Int64s]:
        """Names without the versions, and these."""
        return name >> self.version_bits, name & ((1 << self.version_bits) - 1)

    def payers_and_ranks(self, line: Int64s) -> tuple[Int64s, Int64s]:
        """Whose the lines are, by their names, and of which rank."""
        return self.payers[line >> self.rank_bits], line & ((1 << self.rank_bits) - 1)


def _stretches(pieces: Sequence[Piece], many: int) -> Iterator[list[tuple[int, int]]]:
    """Where in each piece, which are in the order of payers, the rows of some payers are; about so many of them."""
    if not pieces:
        return
    longest = max((piece.payer for piece in pieces), key=len)
    cuts = np.unique(longest[many::many])
    edges = [np.concatenate([[0], np.searchsorted(payer, cuts), [len(payer)]]) for payer, *_ in pieces]
    for place in range(len(cuts) + 1):
        yield [(int(edge[place]), int(edge[place + 1])) for edge in edges]


def _cards(versions: Sequence[str], version: Int64s, first: Int64s) -> list[tuple[str, ...]]:
    if len(versions) == 1:
        return [(versions[0],)] * len(first)
    bounds = np.append(first, len(version)).tolist()
    seen = version.tolist()
    return [tuple(sorted({versions[v] for v in seen[a:b]})) for a, b in pairwise(bounds)]
