"""Rating: usage events and books in, integers out. No money is touched.

An event becomes its usage (one rate, one price, a billable quantity) and sometimes further elements: a setup fee, a
surcharge, a carrier fee, the fee of an outcome. What cannot be priced has a reason instead: quarantined whole, or
zero-rated. Each event is rated by itself, so any order, batching or sharding of events gives the same ratings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.matching import Book, Books, Matches, Source
from rates.measuring import billable, fees_due, has_increments, is_billable, is_pending, rules_in_force
from rates.numbering import COUNTRIES
from rates.prefixes import NONE
from rates.prices import SETUP, USAGE
from rates.products import Product, Rule
from rates.tables import plan_countries
from rates.usage import UsageColumns, recode

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int16s = NDArray[np.int16]
Int8s = NDArray[np.int8]
Flags = NDArray[np.bool_]


class Reason(StrEnum):
    """Why an event has no price: the first three are zero-rated, the others quarantined."""

    PENDING = "pending"
    STATUS_NOT_BILLABLE = "status_not_billable"
    ZERO_QUANTITY = "zero_quantity"
    UNKNOWN_ACCOUNT = "unknown_account"
    NO_PAYER = "no_payer"
    UNKNOWN_PRODUCT = "unknown_product"
    NO_PRODUCT_RULE = "no_product_rule"
    NO_CONTRACT = "no_contract"
    NO_CARD = "no_card"
    NO_RATE = "no_rate"
    BLOCKED = "blocked"
    NO_INCREMENTS = "no_increments"
    MAX_QUANTITY = "max_quantity"
    CURRENCY_MISMATCH = "currency_mismatch"
    TOO_OLD = "too_old"


REASONS: tuple[Reason | None, ...] = (None, *Reason)
"""What a reason's code in columns stands for; 0 is none: the event has a price."""

CODES: Mapping[Reason, int] = {reason: code for code, reason in enumerate(Reason, start=1)}
"""Reason -> its code in columns."""

ZERO_RATED = frozenset({Reason.PENDING, Reason.STATUS_NOT_BILLABLE, Reason.ZERO_QUANTITY})
"""Nothing is due, and nothing is missing. All other reasons wait in quarantine for what is missing."""

_FIRST_QUARANTINED = CODES[Reason.UNKNOWN_ACCOUNT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """What n events come to, and m further elements of some of them.

    `rate` int64[n] and `price` int32[n] are global ids, -1 for none; `country` int16[n] is a code of
    `numbering.COUNTRIES` (0 also for events that no card was asked about); `billed` int64[n] is the billable quantity
    in base units (1 where the unit is the event); `reason` int8[n] is a code of `REASONS`, 0 where there is a price.
    `extra_event` int64[m] is the row of the event, ascending; `extra_rate`, `extra_price` and `extra_billed` as above.
    An event whose status does not bill may still have an element: the fee for its outcome.
    """

    rate: Int64s
    price: Int32s
    country: Int16s
    billed: Int64s
    reason: Int8s
    extra_event: Int64s
    extra_rate: Int64s
    extra_price: Int32s
    extra_billed: Int64s

    @property
    def is_quarantined(self) -> Flags:
        """Which events wait for what is missing, bool[n]."""
        return self.reason >= _FIRST_QUARANTINED


def rate(columns: UsageColumns, books: Sequence[Book], products: Mapping[str, Product]) -> Ratings:
    """Rate events with their books. Pass `Books` to keep the tables that many books share from call to call.

    Raises `QuantityOverflowError` where a billable quantity could leave 64 bits.
    """
    draft = _Draft(columns, Books.of(books))
    for code, name in enumerate(columns.products):
        rows = _rows_of(columns, code)
        product = products.get(name)
        if product is None:
            draft.refuse(rows, Reason.UNKNOWN_PRODUCT)
            continue
        for rule, place in rules_in_force(product, columns.occurred_at[rows]):
            if rule is None:
                draft.refuse(rows[place], Reason.NO_PRODUCT_RULE)
            else:
                _Rater(draft, product, rule).rate(rows[place])
    draft.refuse(np.flatnonzero(columns.product < 0), Reason.UNKNOWN_PRODUCT)
    return draft.ratings()


def _rows_of(columns: UsageColumns, code: int) -> Int64s:
    if len(columns.products) == 1 and len(columns) and columns.product.min() == 0:
        return np.arange(len(columns))
    return np.flatnonzero(columns.product == code)


class _Draft:
    """Ratings being made."""

    def __init__(self, usage: UsageColumns, books: Books) -> None:
        n = len(usage)
        self.usage = usage
        self.books = books
        self.stated = _stated_countries(usage)
        self.rate = np.full(n, NONE, dtype=np.int64)
        self.price = np.full(n, NONE, dtype=np.int32)
        self.country = np.zeros(n, dtype=np.int16)
        self.billed = np.zeros(n, dtype=np.int64)
        self.reason = np.zeros(n, dtype=np.int8)
        self.extras: list[tuple[Int64s, Int64s, Int32s, Int64s]] = []

    def refuse(self, rows: Int64s, reason: Reason) -> None:
        """Note why events have no price; of several reasons to quarantine the first stays."""
        rows = rows[self.reason[rows] < _FIRST_QUARANTINED]
        self.reason[rows] = CODES[reason]
        self.rate[rows] = NONE
        self.price[rows] = NONE
        self.billed[rows] = 0

    def add(self, hits: "_Hits", price: Int32s, billed: Int64s) -> None:
        """Further elements of events; `price` is that of each row of the table."""
        if len(hits.event):
            self.extras.append((hits.event, hits.source.terms.rate[hits.row], price[hits.row], billed))

    def ratings(self) -> Ratings:
        nothing = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))
        event, rate_, price, billed = (np.concatenate(c) for c in zip(nothing, *self.extras, strict=True))
        kept = np.flatnonzero(self.reason[event] < _FIRST_QUARANTINED)
        kept = kept[np.argsort(event[kept], kind="stable")]
        return Ratings(
            rate=self.rate,
            price=self.price,
            country=self.country,
            billed=self.billed,
            reason=self.reason,
            extra_event=event[kept],
            extra_rate=rate_[kept],
            extra_price=price[kept],
            extra_billed=billed[kept],
        )


def _stated_countries(usage: UsageColumns) -> Int16s | None:
    text = usage.texts.get("country")
    if text is None or len(text.values) <= 1:
        return None
    return np.maximum(recode(text, COUNTRIES), 0).astype(np.int16)


class _Rater:
    """Rates the events of one product under one of its rules."""

    def __init__(self, draft: _Draft, product: Product, rule: Rule) -> None:
        self._draft = draft
        self._usage = draft.usage
        self._product = product
        self._rule = rule
        self._with_setup: list[Int64s] = []
        self._foreign: list[Int64s] = []

    def rate(self, rows: Int64s) -> None:
        draft, rule = self._draft, self._rule
        pending = is_pending(rule, self._usage, rows)
        draft.refuse(rows[pending], Reason.PENDING)
        rows = rows[~pending]
        happened = is_billable(rule, self._usage, rows)
        draft.refuse(rows[~happened], Reason.STATUS_NOT_BILLABLE)
        fees = [(element, rows[place]) for element, place in fees_due(rule, self._usage, rows)]
        rows = rows[happened]
        nothing = self._usage.measured[rows] == 0
        draft.refuse(rows[nothing], Reason.ZERO_QUANTITY)
        rows = self._rate_usage(self._covered(rows[~nothing]))
        brought = {fee.element for fee in rule.fees}
        for element in sorted(draft.books.elements(self._product.id) | self._product.required):
            if element not in brought and element != USAGE:
                self._rate_element(element, rows)
        for element, due in fees:
            self._rate_fee(element, self._covered(due))
        for foreign in self._foreign:
            draft.refuse(foreign, Reason.CURRENCY_MISMATCH)

    def _covered(self, rows: Int64s) -> Int64s:
        """The events that have a book, and in it a card that is in force."""
        book = self._usage.book[rows]
        if len(rows) and book.min() < 0:
            self._draft.refuse(rows[book < 0], Reason.NO_CONTRACT)
            rows = rows[book >= 0]
        return rows

    def _matches(self, rows: Int64s, element: str) -> Matches:
        stated = self._draft.stated
        country = None if stated is None else stated[rows]
        if self._product.country_of == "from":
            planned = plan_countries(self._usage.from_[rows])
            country = planned if country is None else np.where(country == 0, planned, country)
        found = self._draft.books.match(self._usage, rows, self._product.id, element, country)
        # An event that no table was asked about keeps what is known of it.
        self._draft.country[rows] = np.where(found.country == 0, self._draft.country[rows], found.country)
        return found

    def _rate_usage(self, rows: Int64s) -> Int64s:
        """The usage itself. Returns the events that have a price."""
        draft = self._draft
        found = self._matches(rows, USAGE)
        self._refuse_unmatched(rows[found.source < 0])
        for hits in _by_source(found, rows):
            terms = hits.source.terms
            draft.refuse(hits.event[terms.blocked[hits.row]], Reason.BLOCKED)
            draft.refuse(hits.event[self._measured(hits) > terms.max_quantity[hits.row]], Reason.MAX_QUANTITY)
            sound, billed = self._billable(hits)
            draft.refuse(sound.event[billed == 0], Reason.ZERO_QUANTITY)
            sound, billed = sound.where(billed > 0), billed[billed > 0]
            draft.rate[sound.event] = terms.rate[sound.row]
            draft.price[sound.event] = terms.price[sound.row]
            draft.billed[sound.event] = billed
            self._note_foreign(sound)
            self._charge_setup(sound)
        return rows[draft.price[rows] >= 0]

    def _charge_setup(self, hits: "_Hits") -> None:
        hits = hits.where(hits.source.terms.setup[hits.row] != NONE)
        if len(hits.event):
            self._with_setup.append(hits.event)
            self._draft.add(hits, hits.source.terms.setup, np.ones(len(hits.event), dtype=np.int64))

    def _rate_element(self, element: str, rows: Int64s) -> None:
        """An element beside the usage, matched by itself; without a row it is not due, unless it is required."""
        if element == SETUP and self._with_setup:
            rows = np.setdiff1d(rows, np.concatenate(self._with_setup))
        found = self._matches(rows, element)
        required = element in self._product.required
        if required:
            self._refuse_unmatched(rows[found.source < 0])
        for hits in _by_source(found, rows):
            blocked = hits.source.terms.blocked[hits.row]
            if required:
                self._draft.refuse(hits.event[blocked], Reason.BLOCKED)
            sound, billed = self._billable(hits.where(~blocked))
            sound, billed = sound.where(billed > 0), billed[billed > 0]
            self._note_foreign(sound)
            self._draft.add(sound, sound.source.terms.price, billed)

    def _rate_fee(self, element: str, rows: Int64s) -> None:
        """The fee of an outcome, once per event, where a card prices it."""
        found = self._matches(rows, element)
        unmatched = rows[found.source < 0]
        self._draft.refuse(unmatched[~self._draft.books.have_card(self._usage, unmatched)], Reason.NO_CARD)
        for hits in _by_source(found, rows):
            priced = hits.where(~hits.source.terms.blocked[hits.row])
            self._note_foreign(priced)
            self._draft.add(priced, priced.source.terms.price, np.ones(len(priced.event), dtype=np.int64))

    def _refuse_unmatched(self, rows: Int64s) -> None:
        if len(rows):
            have_card = self._draft.books.have_card(self._usage, rows)
            self._draft.refuse(rows[~have_card], Reason.NO_CARD)
            self._draft.refuse(rows[have_card], Reason.NO_RATE)

    def _note_foreign(self, hits: "_Hits") -> None:
        """A card in another currency than the book's prices nothing: no amounts are converted."""
        foreign = self._draft.books.is_foreign(hits.source, hits.row, self._usage.book[hits.event])
        if foreign is not None:
            self._foreign.append(hits.event[foreign])

    def _billable(self, hits: "_Hits") -> tuple["_Hits", Int64s]:
        """The events that are not refused, and their billable quantities by their rows."""
        terms = hits.source.terms
        told = has_increments(self._product, self._rule, terms, hits.row)
        self._draft.refuse(hits.event[~told], Reason.NO_INCREMENTS)
        hits = hits.where(self._draft.reason[hits.event] < _FIRST_QUARANTINED)
        return hits, billable(self._rule, terms, hits.row, self._measured(hits))

    def _measured(self, hits: "_Hits") -> Int64s:
        return self._usage.measured[hits.event]


class _Hits(NamedTuple):
    """The events that one table decides, and their rows in its terms."""

    source: Source
    event: Int64s
    row: Int32s

    def where(self, some: Flags) -> "_Hits":
        return _Hits(self.source, self.event[some], self.row[some])


def _by_source(found: Matches, rows: Int64s) -> Iterator[_Hits]:
    for i, source in enumerate(found.sources):
        place = np.flatnonzero(found.source == i)
        if len(place):
            yield _Hits(source, rows[place], source.table.patterns.row[found.pattern[place]])
