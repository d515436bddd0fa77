"""Where rows come from: the tables that are asked, the terms of their rows, and the tables that small cards share."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates.compiled.cards import CardTable, Lineage, RowTerms
from rates.compiled.shapes import CardTooWideError
from rates.compiled.tables import ElementTable
from rates.prefixes import NONE
from rates.usage import UsageColumns

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int16s = NDArray[np.int16]
Flags = NDArray[np.bool_]


class Source(NamedTuple):
    """Tables that were asked, mostly one, the terms of their rows, and the cards they belong to.

    `first_cards` are the places in `cards` of the first card of each table; `first_rows` int64[cards] is the row from
    which on the rows are a card's. `overlay` says of each row whether its card is one, bool[rows]; None where none is.
    `codes` int32[cards] are those by which cards that share a table are asked for, 0 for one with a table of its own.
    """

    tables: tuple[ElementTable, ...]
    first_cards: tuple[int, ...]
    terms: RowTerms
    cards: tuple[CardTable, ...]
    first_rows: Int64s
    overlay: Flags | None
    codes: Int32s

    @classmethod
    def of(cls, table: ElementTable, cards: Sequence[CardTable], codes: Sequence[int] = ()) -> Self:
        """A table of the rows of some cards, one card after the other; without `codes` it is of one."""
        first_rows = np.cumsum([0, *(len(card.terms) for card in cards)])[:-1]
        overlay = None
        if any(card.overlay for card in cards):
            overlay = np.concatenate([np.full(len(card.terms), card.overlay) for card in cards])
        terms = cards[0].terms if len(cards) == 1 else RowTerms.joined([card.terms for card in cards])
        return cls((table,), (0,), terms, tuple(cards), first_rows, overlay, np.array(codes or (0,), dtype=np.int32))

    @classmethod
    def joined(cls, parts: "Sequence[Source]") -> "Source":
        """The rows of several, one after the other: of what is decided already, so nobody asks which are overlays."""
        rows = np.cumsum([0, *(len(part.terms) for part in parts)]).tolist()
        cards = np.cumsum([0, *(len(part.cards) for part in parts)]).tolist()
        return cls(
            tables=tuple(table for part in parts for table in part.tables),
            first_cards=tuple(n + first for part, n in zip(parts, cards, strict=False) for first in part.first_cards),
            terms=RowTerms.joined([part.terms for part in parts]),
            cards=tuple(card for part in parts for card in part.cards),
            first_rows=np.concatenate([part.first_rows + n for part, n in zip(parts, rows, strict=False)]),
            overlay=None,
            codes=np.concatenate([part.codes for part in parts]),
        )

    def rows_before(self, table: ElementTable) -> int:
        """How many rows stand before those of a table; -1 if it is none of these."""
        firsts = [first for each, first in zip(self.tables, self.first_cards, strict=True) if each is table]
        return int(self.first_rows[firsts[0]]) if firsts else NONE

    def card_of(self, row: Int32s) -> Int64s:
        """The place in `cards` of each row."""
        if len(self.cards) == 1:
            return np.zeros(len(row), dtype=np.int64)
        return np.searchsorted(self.first_rows, row, side="right") - 1

    def rows_in(self, card: int, usage: UsageColumns, event: Int64s, country: Int16s | None, window: Int16s) -> Int32s:
        """The rows int32[n] of events, all by the card at a place, in these classes of its calendar; -1 for none."""
        place = int(np.searchsorted(self.first_cards, card, side="right")) - 1
        table, before = self.tables[place], int(self.first_rows[self.first_cards[place]])
        part = np.full(len(event), self.codes[card], dtype=np.int32) if self.codes[card] else None
        pattern = table.match(usage, event, country, part, window).pattern
        row = table.patterns.row.take(pattern, mode="clip") + np.int32(before)
        return np.where(pattern >= 0, row, np.int32(NONE))


class Shared(NamedTuple):
    """A table of many small cards. `part_of` int32[lineages] is the part of each card in it, from 1; 0 for none.

    Without `several` the table has one version of one card, and no parts to tell apart.
    """

    source: Source
    part_of: Int32s
    several: bool

    @property
    def lineage(self) -> Int32s:
        """The place of each pattern's lineage, int32[patterns]."""
        table = self.source.tables[0]
        part = table.codes[-1] if self.several else np.ones(len(table.patterns), dtype=np.int32)
        of_part = np.zeros(int(self.part_of.max()) + 1, dtype=np.int32)
        of_part[self.part_of] = np.arange(len(self.part_of), dtype=np.int32)
        return of_part[part]


def share(lineages: Sequence[Lineage], some: Sequence[int], key: tuple[str, str]) -> tuple[Shared, ...]:
    """Tables of all the small cards among lineages, by their places, that price the (product, element)."""
    versions = [
        _Version(code, card, start, end)
        for code in some
        for card, start, end in lineages[code].intervals()
        if key in card.parts
    ]
    return tuple(_share(versions, len(lineages), key)) if versions else ()


class _Version(NamedTuple):
    """A version of a small card, the place of its lineage, and the time in which it is in force."""

    lineage: int
    card: CardTable
    start: int
    end: int


def _share(versions: Sequence[_Version], lineages: int, key: tuple[str, str]) -> Iterator[Shared]:
    """Tables of all small cards: one, unless together they state more combinations than a table tells apart.

    A pattern's card is a condition, and its version's time is its own. A version alone always has a table: it had
    one when it was published.
    """
    try:
        yield _together(versions, lineages, key)
    except CardTooWideError:
        if len(versions) == 1:
            raise
        half = len(versions) // 2
        yield from _share(versions[:half], lineages, key)
        yield from _share(versions[half:], lineages, key)


def _together(versions: Sequence[_Version], lineages: int, key: tuple[str, str]) -> Shared:
    cards = [version.card for version in versions]
    first_rows = np.cumsum([0, *(len(card.terms) for card in cards)]).tolist()
    parts = [
        version.card.parts[key].within(version.start, version.end, first_row)
        for version, first_row in zip(versions, first_rows, strict=False)
    ]
    found, code = np.unique([version.lineage for version in versions], return_inverse=True)
    part_of = np.zeros(lineages, dtype=np.int32)
    part_of[found] = np.arange(1, len(found) + 1)
    several = len(versions) > 1
    codes = (code + 1).tolist() if several else []
    table = ElementTable.build(cards[0].products[key[0]], parts, codes)
    return Shared(Source.of(table, cards, codes), part_of, several)
