"""One event at a time, from memory: what the kernel says of it, found without a column.

For whoever has to answer before a call begins. `rates.rating` rates columns, and an event of its own costs it as much
as thousands; here the same tables are looked up by plain integers, in microseconds. What is seldom and not linear
(charges that events bring, outcomes, rows with steps or limits) is handed to the kernel, as a column of one event.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rates.compiled.cards import RowTerms
from rates.compiled.patterns import microseconds
from rates.compiled.sources import Source
from rates.compiled.views import Event, TableView, view
from rates.matching import Books
from rates.measuring import Measures
from rates.numbering import COUNTRY_CODES, country_of
from rates.prefixes import NONE
from rates.prices import SETUP, USAGE
from rates.products import CHARGES, DELIVERED_AS, PACKAGES, Product, Rule
from rates.rating import REASONS, Reason, rate
from rates.usage import UsageColumns, encode

__all__ = ["Element", "Event", "One", "Singles"]

_SELDOM = (DELIVERED_AS, CHARGES, PACKAGES, "status", "error_code")


class Element(NamedTuple):
    """An element beside the usage: its price and what counts of it."""

    price: int
    billed: int


class One(NamedTuple):
    """What an event comes to; `reason` says why it has no price. As `rates.ratings.Ratings`, of one event."""

    reason: Reason | None
    rate: int = NONE
    price: int = NONE
    country: int = 0
    billed: int = 0
    extras: tuple[Element, ...] = ()


class _KernelError(Exception):
    """Not for here: the kernel rates it."""


class _Terms:
    """What rows say beside their match, under one rule of a product.

    `ways` are (first, next, grace, most, told, blocked, per event, in money).
    """

    def __init__(self, terms: RowTerms, product: Product, rule: Rule) -> None:
        self.of = terms
        measures = Measures.of(product, rule, terms.ways)
        names = ("first", "next", "grace", "max_quantity", "told", "blocked", "per_event", "in_money")
        self.ways = list(zip(*(getattr(measures, name).tolist() for name in names), strict=True))
        columns = (terms.way, terms.rate, terms.price, terms.setup, terms.charging)
        self.way, self.rate, self.price, self.setup, self.charging = map(view, columns)


class _Row(NamedTuple):
    """A row that decides an element, in the terms of its source."""

    source: Source
    row: int


@dataclass(slots=True)
class Singles:
    """Books, ready to rate one event after the other; made anew where the books are."""

    books: Books
    products: Mapping[str, Product]
    _asking: dict[tuple[int, str, str], list[tuple[int, int, int, Source, TableView]]] = field(default_factory=dict)
    _tables: dict[int, TableView] = field(default_factory=dict)
    _terms: dict[tuple[int, str, int], _Terms] = field(default_factory=dict)
    _beside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _rules: dict[str, list[int]] = field(default_factory=dict)
    _orders: dict[int, list[int]] = field(default_factory=dict)

    def rate(self, event: Event) -> One:
        """What an event comes to: what `rates.rating.rate` says of it."""
        try:
            return self._rate(event)
        except _KernelError:
            return self.by_kernel(event)

    def by_kernel(self, event: Event) -> One:
        """The same, rated as a column of one event."""
        names = tuple(self.products)
        usage = UsageColumns(
            products=names,
            product=np.array([names.index(event.product) if event.product in names else NONE], dtype=np.int16),
            book=np.array([event.book], dtype=np.int32),
            occurred_at=np.array([event.at], dtype=np.int64),
            to=np.array([event.to], dtype=np.int64),
            from_=np.array([event.from_], dtype=np.int64),
            measured=np.array([event.measured], dtype=np.int64),
            texts={name: encode([text]) for name, text in event.texts.items()},
        )
        found = rate(usage, self.books, self.products)
        extras = zip(found.extra_price.tolist(), found.extra_billed.tolist(), strict=True)
        return One(
            reason=REASONS[found.reason[0]],
            rate=int(found.rate[0]),
            price=int(found.price[0]),
            country=int(found.country[0]),
            billed=int(found.billed[0]),
            extras=tuple(Element(*each) for each in extras),
        )

    def _rate(self, event: Event) -> One:
        product = self.products.get(event.product)
        if product is None:
            return One(Reason.UNKNOWN_PRODUCT)
        place = bisect_right(self._starts(product), event.at) - 1
        if any(event.texts.get(name) for name in _SELDOM):
            raise _KernelError
        if place < 0:
            return One(Reason.NO_PRODUCT_RULE)
        rule = product.rules[place]
        if any(not fee.when for fee in rule.fees):
            raise _KernelError
        if event.book < 0:
            return _refused(Reason.NO_CONTRACT, event)
        found, country = self._match(event, product, USAGE, 0)
        if found is None:
            return _refused(self._unmatched(event), event, country)
        terms = self._of(found.source.terms, product, place)
        reason, billed = _measured(terms, found.row, event.measured)
        if reason is not None:
            return One(reason, country=country)
        if len(terms.charging) and terms.charging[found.row] >= 0:
            raise _KernelError
        one = One(None, terms.rate[found.row], terms.price[found.row], country, billed)
        return self._with_extras(event, product, place, found, one)

    def _with_extras(self, event: Event, product: Product, place: int, found: _Row, one: One) -> One:
        """The event with its elements; or why one that it needs has no price, or is of another currency."""
        rows, country = [found], one.country
        setup = self._of(found.source.terms, product, place).setup[found.row]
        extras = [Element(setup, 1)] if setup >= 0 else []
        for element in self._elements(product):
            if element == SETUP and setup >= 0:
                continue
            row, known = self._match(event, product, element, country)
            country = country or known
            extra = self._extra(event, product, place, element, row)
            if isinstance(extra, Reason):
                return One(extra, country=country)
            if row is not None and extra.billed > 0:
                extras.append(extra)
                rows.append(row)
        if any(self._is_foreign(row, event.book) for row in rows):
            return One(Reason.CURRENCY_MISMATCH, country=country)
        return one._replace(extras=tuple(extras), country=country)

    def _extra(self, event: Event, product: Product, place: int, element: str, row: _Row | None) -> Element | Reason:
        """What an element comes to by its row, nothing where it is not due; or why the event has no price."""
        required = element in product.required
        if row is None:
            return self._unmatched(event) if required else Element(NONE, 0)
        terms = self._of(row.source.terms, product, place)
        first, then, grace, _, told, blocked, per_event, in_money = terms.ways[terms.way[row.row]]
        if in_money:
            raise _KernelError
        if blocked:
            return Reason.BLOCKED if required else Element(NONE, 0)
        if not told:
            return Reason.NO_INCREMENTS
        billed = _billable(event.measured, first, then, grace)
        return Element(terms.price[row.row], min(billed, 1) if per_event else billed)

    def _match(self, event: Event, product: Product, element: str, known: int) -> tuple[_Row | None, int]:
        """The row that decides an element by the cards of the event's book, and the country as far as it is known."""
        stated = COUNTRY_CODES.get(event.texts.get("country", ""), 0)
        if not stated and product.country_of == "from":
            stated = COUNTRY_CODES[country_of(event.from_)] if event.from_ else 0
        country, decided, best = stated or known, None, NONE
        for code in self._order(event.book):
            is_open = True
            for start, end, part, source, table in self._asked(code, product.id, element):
                if not start <= event.at < end:
                    continue
                pattern, country = table.match(event, stated, part)
                if pattern < 0:
                    continue
                row, rank = table.row[pattern], table.rank[pattern]
                is_open = source.overlay is not None and bool(source.overlay[row])
                if rank > best or decided is None:
                    decided, best = _Row(source, row), rank
            if not is_open:
                break
        return decided, country

    def _asked(self, code: int, product: str, element: str) -> list[tuple[int, int, int, Source, TableView]]:
        key = (code, product, element)
        if key not in self._asking:
            asking = self.books.sources_of(code, product, element)
            self._asking[key] = [(*each[2:], each.part, each.source, self._table(each.source)) for each in asking]
        return self._asking[key]

    def _table(self, source: Source) -> TableView:
        table = source.tables[0]  # kept by its card, or with the books: its id is nobody else's
        if id(table) not in self._tables:
            self._tables[id(table)] = TableView(table)
        return self._tables[id(table)]

    def _of(self, terms: RowTerms, product: Product, place: int) -> _Terms:
        key = (id(terms), product.id, place)
        if key not in self._terms:
            self._terms[key] = _Terms(terms, product, product.rules[place])
        return self._terms[key]

    def _order(self, book: int) -> list[int]:
        if book not in self._orders:
            self._orders[book] = [code for code in self.books.order[book].tolist() if code >= 0]
        return self._orders[book]

    def _elements(self, product: Product) -> tuple[str, ...]:
        if product.id not in self._beside:
            named = self.books.elements(product.id) | product.required
            self._beside[product.id] = tuple(sorted(named - {USAGE, *product.fee_elements}))
        return self._beside[product.id]

    def _starts(self, product: Product) -> list[int]:
        if product.id not in self._rules:
            self._rules[product.id] = [microseconds(rule.effective_from) for rule in product.rules]
        return self._rules[product.id]

    def _unmatched(self, event: Event) -> Reason:
        lineages = (self.books.lineages[code] for code in self._order(event.book))
        in_force = any(start <= event.at < end for each in lineages for _, start, end in each.intervals())
        return Reason.NO_RATE if in_force else Reason.NO_CARD

    def _is_foreign(self, found: _Row, book: int) -> bool:
        must = self.books[book].currency
        source = found.source
        place = bisect_right(source.first_rows, found.row) - 1 if len(source.cards) > 1 else 0
        return bool(must) and source.cards[place].currency != must


def _refused(reason: Reason, event: Event, country: int = 0) -> One:
    """Where nothing was used, nothing is missing."""
    return One(reason if event.measured else Reason.ZERO_QUANTITY, country=country)


def _measured(terms: _Terms, row: int, measured: int) -> tuple[Reason | None, int]:
    """The billable quantity of usage by a row, or why there is none."""
    first, then, grace, most, told, blocked, _, in_money = terms.ways[terms.way[row]]
    if in_money:
        raise _KernelError
    if blocked or (not told and measured <= most):
        reason = Reason.BLOCKED if blocked else Reason.NO_INCREMENTS
        return (reason if measured else Reason.ZERO_QUANTITY), 0
    if measured > most:
        return Reason.MAX_QUANTITY, 0
    billed = _billable(measured, first, then, grace)
    return (None if billed else Reason.ZERO_QUANTITY), billed


def _billable(measured: int, first: int, then: int, grace: int) -> int:
    """`rates.quantities.billable_column` of one quantity."""
    if measured == 0 or measured < grace:
        return 0
    return first if measured <= first else first - (first - measured) // then * then
