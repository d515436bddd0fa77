"""Which row decides: books of cards, and the cascade of events through the cards of their books.

A book is a list of lineages (all versions of one card) in order of priority; each is applied to the events that those
before it left unmatched. Ten thousand accounts with a small card of their own over one list are two tables: one in
which the card is one more condition, and the list's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast, overload

import numpy as np
from numpy.typing import NDArray

from rates.compiled.cards import Lineage
from rates.compiled.countries import plan_countries
from rates.compiled.leads import Leads
from rates.compiled.patterns import ALWAYS
from rates.compiled.sources import Shared, Source, share
from rates.compiled.tables import Matched
from rates.numbering import COUNTRIES
from rates.prefixes import NONE
from rates.products import Product
from rates.usage import Rows, UsageColumns, count, numbers_of, pick, recode

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int16s = NDArray[np.int16]
Flags = NDArray[np.bool_]

_MANY = 16
"""So many small cards share a table; fewer are faster each alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Book:
    """What an account is rated with: cards in order of priority, and the currency that they must have ("": any)."""

    lineages: tuple[Lineage, ...]
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Per event the source (int32[n] into `sources`, -1: none), its row there, and the country's code.

    `source` is None where there is one source; then a row of -1 says that nothing matches.
    """

    sources: tuple[Source, ...]
    source: Int32s | None
    row: Int32s
    country: Int16s

    @property
    def unmatched(self) -> Int64s:
        """The places of the events that nothing matches."""
        return np.flatnonzero((self.row if self.source is None else self.source) < 0)

    def places(self, source: int) -> Int64s | None:
        """The places of the events that a source decides; None if all of them."""
        if self.source is not None:
            return np.flatnonzero(self.source == source)
        return None if self.row.min(initial=0) >= 0 else np.flatnonzero(self.row >= 0)


class Books(Sequence[Book]):
    """The books that a column `book` points into. Made once and kept, they also keep the tables that they share."""

    def __init__(self, books: Sequence[Book]) -> None:
        self._books = tuple(books)
        found: dict[tuple[int, ...], int] = {}
        kept: list[Lineage] = []
        depth = max((len(book.lineages) for book in self._books), default=0)
        self.order = np.full((len(self._books), depth), NONE, dtype=np.int32)
        for i, book in enumerate(self._books):
            for k, lineage in enumerate(book.lineages):
                code = found.setdefault(tuple(map(id, lineage.versions)), len(kept))
                if code == len(kept):
                    kept.append(lineage)
                self.order[i, k] = code
        self.lineages = tuple(kept)
        small = np.array([lineage.is_small for lineage in kept], dtype=np.bool_)
        self.shared = small & (np.count_nonzero(small) > _MANY)
        self._overlays = any(card.overlay for lineage in kept for card in lineage.versions)
        first = np.unique(self.order[:, 0]) if depth else self.order[:0, 0:]
        self._first = kept[first[0]] if len(first) == 1 and first[0] >= 0 and not self.shared[first[0]] else None
        self._shared_tables: dict[tuple[str, str], tuple[Shared, ...]] = {}
        self._leads: dict[tuple[str, str], Leads] = {}
        self._one: dict[tuple[str, str], Source] = {}
        self._rest: Books | None = None
        self._kinds = frozenset(kind for lineage in kept for card in lineage.versions for kind in card.parts)
        self._currencies = tuple({book.currency: None for book in self._books if book.currency})
        codes = {currency: code for code, currency in enumerate(self._currencies)}
        self._currency = np.array([codes.get(book.currency, NONE) for book in self._books], dtype=np.int32)

    @classmethod
    def of(cls, books: Sequence[Book]) -> "Books":
        """The same books, ready to match."""
        return books if isinstance(books, Books) else cls(books)

    def __len__(self) -> int:
        return len(self._books)

    @overload
    def __getitem__(self, index: int) -> Book: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Book, ...]: ...
    def __getitem__(self, index: int | slice) -> Book | tuple[Book, ...]:
        return self._books[index]

    def elements(self, product: str) -> frozenset[str]:
        """The elements of a product that any card prices."""
        return frozenset(element for of, element in self._kinds if of == product)

    def have_card(self, usage: UsageColumns, rows: Int64s) -> Flags:
        """Whether any card of its book is in force when each event occurs."""
        found = np.zeros(len(rows), dtype=np.bool_)
        for depth in range(self.order.shape[1]):
            for code, some in _groups(self.order[usage.book[rows], depth]):
                if code >= 0:
                    found[some] |= self.lineages[code].in_force(usage.occurred_at[rows[some]]) >= 0
        return found

    def sources_of(self, lineage: int, product: str, element: str) -> Iterator["Asking"]:
        """The tables in which rows of one lineage are, for whoever asks about one event after the other."""
        if self.shared[lineage]:
            for shared in self._shared(product, element):
                part = int(shared.part_of[lineage])
                if part > 0:
                    yield Asking(shared.source, part if shared.several else 0, *ALWAYS)
            return
        for card, start, end in self.lineages[lineage].intervals():
            table = card.table(product, element)
            if table is not None:
                yield Asking(Source.of(table, [card]), 0, start, end)

    @property
    def price_ids(self) -> tuple[int, int]:
        """The least and the greatest price id on any card, 0 and 0 for none."""
        found = [card.terms.price_ids for lineage in self.lineages for card in lineage.versions]
        some = [(least, most) for least, most in found if least >= 0]
        return min((least for least, _ in some), default=0), max((most for _, most in some), default=0)

    def is_foreign(self, source: Source, row: Int32s, book: Int32s) -> Flags | None:
        """Which rows are of a card in another currency than the book's must be; None where none can be."""
        if not self._currencies or (len(source.cards) == 1 and self._currencies == (source.cards[0].currency,)):
            return None
        codes = {currency: code for code, currency in enumerate(self._currencies)}
        of_card = np.array([codes.get(card.currency, len(codes)) for card in source.cards], dtype=np.int32)
        must = self._currency[book]
        # Mostly all the cards have one currency.
        own = of_card[:1] if of_card.min() == of_card.max() else of_card[source.card_of(row)]
        foreign: Flags = (must != NONE) & (must != own)
        return foreign

    def match(self, usage: UsageColumns, rows: Rows, product: str, element: str, country: Int16s | None) -> Matches:
        """What decides one element of some events of a product, all of which have a book.

        `country` holds the codes that the events state (for products whose country is not that of the called number:
        all that is known), or is None where no event states any.
        """
        asked = _Asked(usage, rows, product, element, country)
        if not self.shared.any():
            return self._match_each(asked)
        if not self._shared(product, element):
            return self._without_shared().match(*asked)
        leads = self._leads_of(product, element)
        known = leads.known(usage, rows)
        return self._match_each(asked) if len(known) * 2 > count(rows) else self._match_few(asked, leads, known)

    def _match_each(self, asked: "_Asked") -> Matches:
        """What decides, by asking about every event what its book says."""
        usage, rows, product, element, country = asked
        sole = self._sole_source(usage, rows, product, element)
        if sole is None:
            return self._cascade(_Cascade(asked, ranked=self._overlays), product, element)
        table = sole.tables[0]
        matched = table.match(usage, rows, country)
        if self.order.shape[1] == 1 or matched.pattern.min(initial=0) >= 0:
            row = table.rows_of(matched.pattern)
            return Matches(sources=(sole,), source=None, row=row, country=matched.country)
        cascade = _Cascade(asked, ranked=False)
        cascade.note(sole, cascade.left, matched)
        cascade.close()
        return self._cascade(cascade, product, element, 1)

    def _match_few(self, asked: "_Asked", leads: Leads, known: Int64s) -> Matches:
        """What decides where the cards that share tables know few of the numbers: the other cards, but for those."""
        usage, rows, product, element, country = asked
        rest = self._without_shared().match(*asked)
        few = _Asked(
            usage, numbers_of(pick(rows, known)), product, element, None if country is None else country[known]
        )
        found = self._cascade(_Cascade(few, ranked=self._overlays), product, element)
        told = rest.country
        if self._shared(product, element)[0].source.tables[0].refined:
            # The cards that were passed by would have told the country where no other card was asked.
            silent = rest.unmatched
            silent = silent[(told[silent] == 0) & leads.asks(usage.book[pick(rows, silent)])]
            told = told if not len(silent) else told.copy()
            told[silent] = plan_countries(usage.to[pick(rows, silent)])
        return self._joined(rest, found, known, (product, element), told)

    def _joined(self, rest: Matches, found: Matches, known: Int64s, key: tuple[str, str], country: Int16s) -> Matches:
        """What the other cards decide, whose rows are overwritten, but for the events that small cards may know."""
        own, row = cast("Int32s", found.source), rest.row
        if rest.source is None:
            one = self._one_source(rest.sources[0], key)
            before = [one.rows_before(source.tables[0]) for source in found.sources]
            used = np.unique(own[own >= 0]).tolist()
            if all(before[each] >= 0 for each in used):
                row[known] = np.where(own < 0, own, found.row + np.array([*before, 0], dtype=np.int32)[own])
                return Matches(sources=(one,), source=None, row=row, country=country)
        source = np.where(rest.row < 0, np.int32(NONE), np.int32(0)) if rest.source is None else rest.source.copy()
        source[known] = np.where(own < 0, own, own + np.int32(len(rest.sources)))
        row[known] = found.row
        return Matches(sources=(*rest.sources, *found.sources), source=source, row=row, country=country)

    def _one_source(self, sole: Source, key: tuple[str, str]) -> Source:
        """What all books ask first beside small cards, and those, as one; kept while it is the same."""
        kept = self._one.get(key)
        if kept is None or kept.tables[0] is not sole.tables[0]:
            kept = Source.joined([sole, *(shared.source for shared in self._shared(*key))])
            self._one[key] = kept
        return kept

    def _without_shared(self) -> "Books":
        """The same books without the cards that share tables."""
        if self._rest is None:
            others = [
                tuple(each for each, code in zip(book.lineages, codes, strict=False) if not self.shared[code])
                for book, codes in zip(self._books, self.order.tolist(), strict=True)
            ]
            self._rest = Books([Book(lineages=each) for each in others])
        return self._rest

    def _leads_of(self, product: str, element: str) -> Leads:
        """Which numbers the cards that share tables may know."""
        key = (product, element)
        if key not in self._leads:
            shared = self._shared(product, element)
            self._leads[key] = Leads.of([(each.source.tables[0].patterns, each.lineage) for each in shared], self.order)
        return self._leads[key]

    def _cascade(self, cascade: "_Cascade", product: str, element: str, first_depth: int = 0) -> Matches:
        for depth in range(first_depth, self.order.shape[1]):
            lineage = cascade.keep(self.order[cascade.books(), depth])
            for source, place, part in self._sources(cascade, lineage, product, element):
                cascade.apply(source, place, part)
            cascade.close()
        return cascade.matches()

    def _sole_source(self, usage: UsageColumns, rows: Rows, product: str, element: str) -> Source | None:
        """What all the books ask first, if that is one version of one card for all the events."""
        at = usage.occurred_at[rows]
        if self._first is None or self._overlays or not len(at):
            return None
        card = self._first.throughout(int(at.min()), int(at.max()))
        table = card.table(product, element) if card else None
        return Source.of(table, [card]) if table is not None and card is not None else None

    def _sources(
        self, cascade: "_Cascade", lineage: Int32s, product: str, element: str
    ) -> Iterator[tuple[Source, Int64s, Int32s | None]]:
        """The tables to ask at one depth, each with the events to ask it about and their part of the table."""
        left, is_shared = cascade.left, self.shared[lineage]
        if is_shared.any():
            for shared in self._shared(product, element):
                part = shared.part_of[lineage]
                inside = part > 0
                yield shared.source, left[inside], part[inside] if shared.several else None
            left, lineage = left[~is_shared], lineage[~is_shared]
        for code, some in _groups(lineage):
            place = left[some]
            for version, these in _groups(self.lineages[code].in_force(cascade.occurred_at(place))):
                card = self.lineages[code].versions[version]
                table = card.table(product, element) if version >= 0 else None
                if table is not None:
                    yield Source.of(table, [card]), place[these], None

    def _shared(self, product: str, element: str) -> tuple[Shared, ...]:
        key = (product, element)
        if key not in self._shared_tables:
            self._shared_tables[key] = share(self.lineages, np.flatnonzero(self.shared).tolist(), key)
        return self._shared_tables[key]


class Asking(NamedTuple):
    """A table to ask from one instant up to another, and a card's part of it (0: it has none)."""

    source: Source
    part: int
    start: int
    end: int


class _Asked(NamedTuple):
    """One element of some events of a product, and the countries that are known of them, as given."""

    usage: UsageColumns
    rows: Rows
    product: str
    element: str
    country: Int16s | None


class _Cascade:
    """Which events are still open while one card after the other is applied, and what has been found so far."""

    def __init__(self, asked: "_Asked", *, ranked: bool) -> None:
        self._usage = asked.usage
        self._rows = rows = numbers_of(asked.rows)
        self._stated = country = asked.country
        self._sources: list[Source] = []
        self._source = np.full(len(rows), NONE, dtype=np.int32)
        self._row = np.full(len(rows), NONE, dtype=np.int32)
        self._rank = np.full(len(rows), NONE, dtype=np.int64) if ranked else None
        self._country = np.zeros(len(rows), dtype=np.int16) if country is None else country.copy()
        self._open = np.ones(len(rows), dtype=np.bool_)
        self.left = np.arange(len(rows))

    def books(self) -> Int32s:
        """The books of the events that are left."""
        return self._usage.book[self._rows[self.left]]

    def keep(self, lineage: Int32s) -> Int32s:
        """Go on with the events that have a card at this depth; their lineages."""
        some = lineage >= 0
        self.left = self.left[some]
        return lineage[some]

    def occurred_at(self, place: Int64s) -> Int64s:
        return self._usage.occurred_at[self._rows[place]]

    def apply(self, source: Source, place: Int64s, part: Int32s | None) -> None:
        stated = None if self._stated is None else self._stated[place]
        self.note(source, place, source.tables[0].match(self._usage, self._rows[place], stated, part))

    def note(self, source: Source, place: Int64s, matched: Matched) -> None:
        self._country[place] = matched.country
        hit = np.flatnonzero(matched.pattern >= 0)
        place, pattern = place[hit], matched.pattern[hit]
        # An overlay card yields to a closer match below it; every other decides.
        row = source.tables[0].patterns.row[pattern]
        self._open[place] = False if source.overlay is None else source.overlay[row]
        if self._rank is not None:
            rank = source.tables[0].rank[pattern]
            closer = rank > self._rank[place]
            place, row = place[closer], row[closer]
            self._rank[place] = rank[closer]
        self._source[place] = len(self._sources)
        self._row[place] = row
        self._sources.append(source)

    def close(self) -> None:
        self.left = self.left[self._open[self.left]]

    def matches(self) -> Matches:
        return Matches(sources=tuple(self._sources), source=self._source, row=self._row, country=self._country)


def known_countries(usage: UsageColumns, rows: Rows, product: Product, stated: Int16s | None) -> Int16s | None:
    """The codes of the countries that are known before the called number is looked up; None for none at all.

    `stated` is `stated_countries` of all the columns.
    """
    known = None if stated is None else stated[rows]
    if product.country_of != "from":
        return known
    planned = plan_countries(usage.from_[rows])
    return planned if known is None else np.where(known == 0, planned, known)


def stated_countries(usage: UsageColumns) -> Int16s | None:
    """The codes of the countries that events state, int16[n], 0 for none; None where no event states any."""
    text = usage.texts.get("country")
    if text is None or len(text.values) <= 1:
        return None
    return np.maximum(recode(text, COUNTRIES), 0).astype(np.int16)


def _groups(codes: Int32s) -> Iterator[tuple[int, Int64s | slice]]:
    """The places of each code, by ascending code."""
    if not len(codes):
        return
    if codes.min() == codes.max():
        yield int(codes[0]), slice(None)
        return
    order = np.argsort(codes, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        yield int(codes[some[0]]), some
