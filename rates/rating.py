"""Rating: usage events and books in, integers out. No money is touched.

An event becomes its usage (one rate, one price, a billable quantity) and sometimes further elements: a setup fee, a
surcharge, a carrier fee, the fee of an outcome. What cannot be priced has a reason instead: quarantined whole, or
zero-rated. Each event is rated by itself, so any order, batching or sharding of events gives the same ratings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.brought import Brought
from rates.compiled.chargings import LIMITED
from rates.compiled.sources import Source
from rates.elements import Elements
from rates.matching import Book, Books, Matches, known_countries, stated_countries
from rates.measuring import Measures, delivered, is_billable, is_due, is_pending, rules_in_force
from rates.parts import rejoined, split
from rates.prefixes import NONE
from rates.prices import SETUP, USAGE
from rates.products import Product, Rule
from rates.quantities import INT64_MAX
from rates.ratings import CODES, FIRST_QUARANTINED, REASONS, ZERO_RATED, Ratings, Reason
from rates.settling import Asked, Limits, rounded_charges, settle
from rates.usage import Flags, Rows, UsageColumns, Which, count, inverse, numbers_of, pick

__all__ = ["CODES", "REASONS", "ZERO_RATED", "Ratings", "Reason", "rate"]

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]


def rate(columns: UsageColumns, books: Sequence[Book], products: Mapping[str, Product]) -> Ratings:
    """Rate events with their books. Pass `Books` to keep the tables that many books share from call to call.

    Raises `QuantityOverflowError` where a billable quantity could leave 64 bits.
    """
    parts = split(columns)
    if parts is None:
        return _rate(columns, books, products)
    return rejoined(_rate(parts.columns, books, products), parts.event, len(columns))


def _rate(columns: UsageColumns, books: Sequence[Book], products: Mapping[str, Product]) -> Ratings:
    draft = _Draft(columns, Books.of(books))
    for name, all_rows in _by_product(columns):
        for product, rows, is_known in delivered(columns, products.get(name), all_rows, products):
            if product is None:
                draft.refuse(rows, Reason.UNKNOWN_PRODUCT if is_known else Reason.NO_PRODUCT_RULE)
            else:
                _rate_product(draft, product, rows)
    return draft.ratings()


def _rate_product(draft: "_Draft", product: Product, rows: Rows) -> None:
    for rule, place in rules_in_force(product, draft.usage.occurred_at[rows]):
        some = rows if place is None else pick(rows, place)
        if rule is None:
            draft.refuse(some, Reason.NO_PRODUCT_RULE)
        else:
            _Rater(draft, product, rule).rate(some)


def _by_product(columns: UsageColumns) -> Iterator[tuple[str, Rows]]:
    """The rows of each product; those of none (code -1) under no name."""
    if not len(columns):
        return
    least, most = int(columns.product.min()), int(columns.product.max())
    for code in range(least, most + 1):
        name = columns.products[code] if code >= 0 else ""
        rows = slice(0, len(columns)) if least == most else np.flatnonzero(columns.product == code)
        if count(rows):
            yield name, rows


class _Draft:
    """Ratings being made."""

    def __init__(self, usage: UsageColumns, books: Books) -> None:
        n = len(usage)
        self.usage = usage
        self.books = books
        self.stated = stated_countries(usage)
        self.brought = Brought(usage)
        self.rate = np.full(n, NONE, dtype=np.int64)
        self.price = np.full(n, NONE, dtype=np.int32)
        self.country = np.zeros(n, dtype=np.int16)
        self.billed = np.zeros(n, dtype=np.int64)
        self.reason = np.zeros(n, dtype=np.int8)
        self.extras: list[Elements] = []
        self.clamped = np.empty(0, dtype=np.int64)

    def refuse(self, rows: Rows, reason: Reason) -> None:
        """Note why events have no price; of several reasons to quarantine the first stays."""
        if not count(rows):
            return
        rows = pick(rows, self.reason[rows] < FIRST_QUARANTINED)
        self.reason[rows] = CODES[reason]
        self.rate[rows] = NONE
        self.price[rows] = NONE
        self.billed[rows] = 0

    def add(self, hits: "_Hits", price: Int32s, billed: Int64s, *, limited: bool = False) -> None:
        """Further elements of events; `price` is that of each row of the table. `limited`: limits are about them."""
        if len(hits.row):
            rate_ids = hits.source.terms.rate[hits.row]
            self.extras.append(
                Elements.of(numbers_of(hits.event), rate_ids, price[hits.row], billed, events=1, limited=limited)
            )

    def clamp(self, limits: Limits) -> None:
        """Put one element in place of what is beyond the limits of events."""
        found = limits.settle()
        self.extras.append(
            Elements.of(found.event, found.rate, found.price, np.ones_like(found.event), events=1, limited=False)
        )
        self.price[found.event] = NONE
        rated = self.reason[found.event] == 0
        self.billed[found.event[rated]] = found.billed[rated]
        self.clamped = np.append(self.clamped, found.event)

    def ratings(self) -> Ratings:
        extras = self._kept(Elements.joined(self.extras))
        return Ratings(
            rate=self.rate,
            price=self.price,
            country=self.country,
            billed=self.billed,
            reason=self.reason,
            extra_event=extras.event,
            extra_rate=extras.rate,
            extra_price=extras.price,
            extra_billed=extras.billed,
            extra_events=extras.events,
        )

    def _kept(self, extras: Elements) -> Elements:
        """The elements of the events that are rated, in the order of these."""
        if not len(extras.event):
            return extras
        out = self.reason[extras.event] >= FIRST_QUARANTINED
        if len(self.clamped):
            out |= extras.limited & np.isin(extras.event, self.clamped)
        kept = np.flatnonzero(~out)
        kept = kept[np.argsort(extras.event[kept], kind="stable")]
        return extras.take(kept)


_Refuse = Callable[[Rows, Reason], None]


class _Rater:
    """Rates the events of one product under one of its rules."""

    def __init__(self, draft: _Draft, product: Product, rule: Rule) -> None:
        self._draft = draft
        self._usage = draft.usage
        self._product = product
        self._rule = rule
        self._with_setup: list[Int64s] = []
        self._foreign: list[Int64s] = []
        self._beyond: list[Int64s] = []
        self._limits: Limits | None = None

    def rate(self, rows: Rows) -> None:
        draft, rule, usage = self._draft, self._rule, self._usage
        rows = self._without(rows, is_pending(rule, usage, rows), Reason.PENDING)
        fees = [(fee.element, pick(rows, is_due(fee, usage, rows))) for fee in rule.fees]
        rows = self._without(rows, inverse(is_billable(rule, usage, rows)), Reason.STATUS_NOT_BILLABLE)
        self._rate_usage(self._covered(rows, self._refuse_usage))
        # A fee of any rule is due as a fee only, also before the day on which it begins.
        otherwise = {USAGE, *self._product.fee_elements}
        named = draft.books.elements(self._product.id) | self._product.required | draft.brought.elements
        for element in sorted((draft.brought.elements & otherwise) - {USAGE}):
            draft.refuse(draft.brought.some(element, pick(rows, draft.price[rows] >= 0)), Reason.CHARGE_UNPRICED)
        beside = named - otherwise
        for element in sorted(beside):
            self._rate_element(element, pick(rows, draft.price[rows] >= 0))
        if self._limits is not None:
            draft.clamp(self._limits)
        for beyond in self._beyond:
            draft.refuse(np.setdiff1d(beyond, draft.clamped), Reason.CHARGE_TOO_LARGE)
        for element, due in fees:
            self._rate_fee(element, self._covered(due, draft.refuse))
        for foreign in self._foreign:
            draft.refuse(foreign, Reason.CURRENCY_MISMATCH)

    def _without(self, rows: Rows, which: Which, reason: Reason) -> Rows:
        """The rows but for those marked, which are refused."""
        if which is False:
            return rows
        self._draft.refuse(pick(rows, which), reason)
        return pick(rows, inverse(which))

    def _covered(self, rows: Rows, refuse: _Refuse) -> Rows:
        """The events that have a book; the others are refused."""
        book = self._usage.book[rows]
        if not len(book) or book.min() >= 0:
            return rows
        refuse(pick(rows, book < 0), Reason.NO_CONTRACT)
        return pick(rows, book >= 0)

    def _refuse_usage(self, rows: Rows, reason: Reason) -> None:
        """Refuse events; where nothing was used, nothing is missing, whatever else would be."""
        nothing = self._usage.measured[rows] == 0
        self._draft.refuse(pick(rows, nothing), Reason.ZERO_QUANTITY)
        self._draft.refuse(pick(rows, ~nothing), reason)

    def _matches(self, rows: Rows, element: str) -> Matches:
        country = known_countries(self._usage, rows, self._product, self._draft.stated)
        found = self._draft.books.match(self._usage, rows, self._product.id, element, country)
        known = self._draft.country
        # An event that no table was asked about keeps what is known of it.
        known[rows] = found.country if element == USAGE else np.where(found.country == 0, known[rows], found.country)
        return found

    def _rate_usage(self, rows: Rows) -> None:
        draft = self._draft
        found = self._matches(rows, USAGE)
        self._refuse_unmatched(pick(rows, found.unmatched), self._refuse_usage)
        for all_hits in self._hits(found, rows):
            hits = self._without_ways(all_hits, all_hits.measures.blocked, Reason.BLOCKED)
            hits = self._without_beyond(hits)
            hits = self._without_ways(hits, ~hits.measures.told, Reason.NO_INCREMENTS)
            hits, measured = self._charged(hits, USAGE, self._usage.measured[hits.event], self._refuse_usage)
            billed = hits.measures.billable(hits.way, measured)
            draft.rate[hits.event] = hits.source.terms.rates_of(hits.row)
            draft.price[hits.event] = hits.source.terms.price.take(hits.row)
            draft.billed[hits.event] = billed
            hits = self._without_zero(hits, billed == 0)
            self._note_foreign(hits)
            if hits.source.terms.settles:
                self._settle(hits.where(hits.source.terms.charging[hits.row] >= 0))
            self._charge_setup(hits)

    def _settle(self, hits: "_Hits") -> None:
        """What of the charges of events is not linear becomes elements of them."""
        draft, terms, event = self._draft, hits.source.terms, numbers_of(hits.event)
        if not len(event):
            return
        country = known_countries(self._usage, event, self._product, draft.stated)
        asked = Asked(hits.source, self._usage, event, hits.row, draft.billed[event], country)
        pieces, blocked, unmatched = settle(asked)
        draft.refuse(event[blocked], Reason.BLOCKED)
        draft.refuse(event[unmatched], Reason.NO_RATE)
        first = pieces.is_first
        draft.billed[event[pieces.place[first]]] = pieces.quantity[first]
        further = pieces.where(~first)
        numbers, rates = event[further.place], terms.rate[further.row]
        draft.extras.append(Elements.of(numbers, rates, further.price(terms), further.quantity, events=0, limited=True))
        place, charges, beyond = rounded_charges(asked, pieces)
        self._beyond.append(event[beyond])
        prices = (terms.price[hits.row] + terms.chargings.to_charge[asked.kind])[place].astype(np.int32)
        draft.extras.append(
            Elements.of(event[place], terms.rate[hits.row[place]], prices, charges, events=0, limited=True)
        )
        # A fee that is a part of the rounded charge is the event's setup all the same.
        inside = (terms.chargings.decimals >= 0) & (terms.chargings.setup >= 0)
        self._with_setup.append(event[inside[asked.kind]])
        self._limits = self._limits or Limits()
        self._limits.note(asked, pieces)

    def _charge_setup(self, hits: "_Hits") -> None:
        terms = hits.source.terms
        if terms.has_setup:
            hits = hits.where(terms.setup[hits.row] >= 0)
            self._with_setup.append(numbers_of(hits.event))
            self._draft.add(hits, terms.setup, np.ones(len(hits.row), dtype=np.int64), limited=True)

    def _rate_element(self, element: str, rows: Rows) -> None:
        """An element beside the usage, matched by itself; without a row it is not due, unless it is required."""
        if element == SETUP and self._with_setup:
            rows = np.setdiff1d(numbers_of(rows), np.concatenate(self._with_setup))
        required = element in self._product.required
        found = self._matches(rows, element)
        unmatched = pick(rows, found.unmatched)
        needed = unmatched if required else self._draft.brought.some(element, unmatched)
        self._refuse_unmatched(needed, self._draft.refuse)
        for all_hits in self._hits(found, rows):
            hits = self._without_blocked(all_hits, element, required=required)
            hits = self._without_ways(hits, ~hits.measures.told, Reason.NO_INCREMENTS)
            counted = hits.measures.counted(hits.way, self._usage.measured[hits.event])
            hits, billed = self._charged(hits, element, counted, self._draft.refuse)
            hits, billed = hits.where(billed > 0), billed[billed > 0]
            self._note_foreign(hits)
            self._draft.add(hits, hits.source.terms.price, billed, limited=element in LIMITED)
            if self._limits is not None and element in LIMITED:
                self._limits.beside(numbers_of(hits.event), hits.row, billed, hits.source.terms)

    def _rate_fee(self, element: str, rows: Rows) -> None:
        """The fee of an outcome, once per event, where a card prices it."""
        found = self._matches(rows, element)
        unmatched = numbers_of(pick(rows, found.unmatched))
        self._draft.refuse(unmatched[~self._draft.books.have_card(self._usage, unmatched)], Reason.NO_CARD)
        for all_hits in self._hits(found, rows):
            hits = self._without_ways(all_hits, all_hits.measures.blocked, None)
            self._note_foreign(hits)
            self._draft.add(hits, hits.source.terms.price, np.ones(len(hits.row), dtype=np.int64))

    def _hits(self, found: Matches, rows: Rows) -> Iterator["_Hits"]:
        for i, source in enumerate(found.sources):
            measures = Measures.of(self._product, self._rule, source.terms.ways)
            place = found.places(i)
            row = found.row if place is None else found.row[place]
            event = rows if place is None else pick(rows, place)
            yield _Hits(source, measures, event, row, source.terms.ways_of(row))

    def _refuse_unmatched(self, rows: Rows, refuse: _Refuse) -> None:
        unmatched = numbers_of(rows)
        if len(unmatched):
            have_card = self._draft.books.have_card(self._usage, unmatched)
            refuse(unmatched[~have_card], Reason.NO_CARD)
            refuse(unmatched[have_card], Reason.NO_RATE)

    def _without_ways(self, hits: "_Hits", ways: Flags, reason: Reason | None) -> "_Hits":
        """The events but for those measured in the marked ways, which are refused if there is a reason to."""
        if not ways.any():
            return hits
        marked = ways[hits.way]
        if reason is not None:
            self._refuse_usage(pick(hits.event, marked), reason)
        return hits.where(~marked)

    def _without_blocked(self, hits: "_Hits", element: str, *, required: bool) -> "_Hits":
        """The events whose row is not blocked; the others are refused where they need the element."""
        if not hits.measures.blocked.any():
            return hits
        blocked = hits.measures.blocked[hits.way]
        event = pick(hits.event, blocked)
        self._draft.refuse(event if required else self._draft.brought.some(element, event), Reason.BLOCKED)
        return hits.where(~blocked)

    def _charged(self, hits: "_Hits", element: str, measured: Int64s, refuse: _Refuse) -> tuple["_Hits", Int64s]:
        """The events that bring a charge where their row asks for one, and only there; and what counts of them.

        Of an element that is not required, no charge means that it is not due. Of nothing used, nothing counts.
        """
        if element not in self._draft.brought.elements and not hits.measures.in_money.any():
            return hits, measured
        in_money, amount = hits.measures.in_money[hits.way], self._draft.brought.of(element, hits.event)
        missing, unpriced = in_money & (amount < 0), ~in_money & (amount >= 0)
        if element in {USAGE, *self._product.required}:
            refuse(pick(hits.event, missing), Reason.CHARGE_MISSING)
        refuse(pick(hits.event, unpriced), Reason.CHARGE_UNPRICED)
        kept = ~missing & ~unpriced
        return hits.where(kept), np.where(in_money & (measured > 0), amount, measured)[kept]

    def _without_beyond(self, hits: "_Hits") -> "_Hits":
        """The events but for those of which more was measured than the row believes."""
        most = hits.measures.max_quantity
        if not len(hits.row) or most.min() == INT64_MAX:
            return hits
        beyond = self._usage.measured[hits.event] > most[hits.way]
        self._draft.refuse(pick(hits.event, beyond), Reason.MAX_QUANTITY)
        return hits.where(~beyond)

    def _without_zero(self, hits: "_Hits", nothing: Flags) -> "_Hits":
        if not nothing.any():
            return hits
        self._draft.refuse(pick(hits.event, nothing), Reason.ZERO_QUANTITY)
        return hits.where(~nothing)

    def _note_foreign(self, hits: "_Hits") -> None:
        """A card in another currency than the book's prices nothing: no amounts are converted."""
        foreign = self._draft.books.is_foreign(hits.source, hits.row, self._usage.book[hits.event])
        if foreign is not None:
            self._foreign.append(numbers_of(pick(hits.event, foreign)))


class _Hits(NamedTuple):
    """The events that one table decides, their rows in its terms, and how they measure."""

    source: Source
    measures: Measures
    event: Rows
    row: Int32s
    way: Int32s

    def where(self, some: Flags) -> "_Hits":
        return self._replace(event=pick(self.event, some), row=self.row[some], way=self.way[some])
