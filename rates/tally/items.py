"""Items: what is priced, in chronological order, and the distinct kinds of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import numpy as np

from rates.deals import WHOLE, Discount, left_of, under
from rates.errors import TollbookError
from rates.lines import Cut, LineKey, Parts, key_of
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, EVENT, USAGE, Price
from rates.products import MONEY
from rates.tally.counters import Bools, Int64s
from rates.tally.orders import by_payer_and_day, days_among, numbered
from rates.terms import BookTerms, Terms
from rates.tiers import Scope, Selector, selected
from rates.usage import Totals

_EPOCH = date(1970, 1, 1)
_PAIR_BITS = 48


class CrossingsIncompleteError(TollbookError):
    """Events of a crossing day are missing, or do not add up to the day's totals."""


@dataclass(slots=True)
class Items:
    """What is priced, in chronological order within each payer, and the distinct (price, country) kinds of it.

    `book` (int64[n] into `books`) is the book of each item's day. `left` is what contracts leave of the price of each
    kind: an offer makes kinds of its own. `billed` int64[n] is the payer under the terms of the day (`deals.under`).
    """

    rows: Totals
    kind: Int64s
    prices: list[Price]
    countries: list[str]
    ordered: Bools
    books: list[BookTerms]
    book: Int64s
    left: list[Fraction]
    billed: Int64s

    def lines(self, parts: Parts, tier: str, price_of: Callable[[Price], Fraction | None]) -> list[int]:
        """The number of each kind's line in a tier, by its price before contracts; 0 for a kind that has none."""
        found, known = [], dict[tuple[int, int], tuple[LineKey, dict[str, int]] | None]()
        for price, country, left in zip(self.prices, self.countries, self.left, strict=True):
            # A price has kinds of many countries: it is worked out once for all of them.
            name = (id(price), id(left))
            if name not in known:
                listed = price_of(price)
                unit_price = listed if listed is None or left is WHOLE else listed * left
                key = None if unit_price is None else key_of(price, "", tier, unit_price)
                known[name] = None if key is None else (key, parts.alike(key))
            lines = known[name]
            found.append(0 if lines is None else parts.line_in(country, *lines))
        return found

    def versions(self, parts: Parts) -> Int64s:
        """The number of the card version of each kind."""
        numbers = {card: parts.version(card) for card in dict.fromkeys(price.card for price in self.prices)}
        return np.array([numbers[price.card] for price in self.prices], dtype=np.int64)

    def where(self, wanted: Sequence[bool]) -> Bools:
        """Items whose kind is wanted."""
        return np.array(wanted, dtype=bool)[self.kind] if len(self.kind) else np.zeros(0, dtype=bool)

    def scope(self, scope: Scope) -> Int64s:
        """The payer or the account of each item."""
        return self.rows.payer if scope is Scope.BILLING_ACCOUNT else self.rows.account

    def emit(self, parts: Parts, lines: Sequence[int], events: Int64s, quantity: Int64s) -> None:
        """Put events and quantities (int64[n]) on lines; `lines` has the number of each kind's line key."""
        if len(self.kind):
            line, version = np.array(lines, dtype=np.int64), self.versions(parts)
            parts.add(self.billed, line[self.kind], version[self.kind], events, quantity)

    def emit_cuts(self, parts: Parts, lines: Sequence[int], beyond: Sequence[tuple[int, Fraction]]) -> None:
        """Put what bounds of money cut of items, as (item, units), on lines by the number of each kind's key."""
        for item, units in beyond:
            kind = int(self.kind[item])
            key, version = parts.keys[lines[kind]], parts.version(self.prices[kind].card)
            amount = units * key.unit_price * Fraction(1, key.unit_size)
            parts.cut(Cut(int(self.billed[item]), lines[kind], item, amount), version)

    def emit_rows(
        self,
        parts: Parts,
        lines: Sequence[Sequence[int]],
        rows: Int64s,
        which: Int64s,
        events: Int64s,
        quantity: Int64s,
    ) -> None:
        """Put events and quantities of some rows (int64[m]) on lines: of each row those of `lines[which]`."""
        if len(rows):
            kind, versions = self.kind[rows], self.versions(parts)
            line = np.array(lines, dtype=np.int64)[which, kind]
            parts.add(self.billed[rows], line, versions[kind], events, quantity, rows)

    def emit_rounded(self, parts: Parts, lines: Sequence[int], quantity: Int64s) -> None:
        """Say of which of these quantities (int64[n]) no price is multiplied, and what is charged for them instead."""
        line = np.array(lines, dtype=np.int64)
        values = [_value(price, left) for price, left in zip(self.prices, self.left, strict=True)]
        for value in sorted({value for value in values if value is not None}):
            some = np.flatnonzero(self.where([each == value for each in values]))
            entries = parts.charges.setdefault(value, [])
            entries.append((self.billed[some], line[self.kind][some], self.rows.quantity[some]))
        some = np.flatnonzero(self.is_rounded & (quantity != 0))
        if len(some):
            parts.rounded.append((self.billed[some], line[self.kind][some], quantity[some]))

    @property
    def is_rounded(self) -> Bools:
        """Items of usage of which each event was rounded by itself, so that no price is multiplied any more."""
        return self.where([price.is_rounded for price in self.prices])

    @property
    def is_charge(self) -> Bools:
        """Items that are what such usage comes to: money, and no quantity."""
        return self.where([price.element == CHARGE for price in self.prices])

    @property
    def is_further(self) -> Bools:
        """Items that are further parts of an event that was cut: the part that counts it stands before them."""
        further: Bools = self.ordered & (self.rows.events == 0)
        return further

    @property
    def head(self) -> Int64s:
        """Of each item itself, or of a further part of an event the first part, int64[n]."""
        return np.maximum.accumulate(np.where(self.is_further, 0, np.arange(len(self.rows), dtype=np.int64)))

    @property
    def per_event(self) -> Bools:
        """Items of usage whose price is per event: what they are charged for is their events."""
        return self.where([price.element == USAGE and price.unit == EVENT for price in self.prices])

    def taken_by(self, selectors: tuple[Selector, ...]) -> list[bool]:
        """For each kind, whether it is usage that the selectors take; none is of which money is counted."""
        known: dict[tuple[str, str, str], bool] = {}
        taken = []
        for price, country in zip(self.prices, self.countries, strict=True):
            said = (price.product, country, price.number_type)
            if said not in known:
                known[said] = selected(selectors, *said)
            taken.append(price.element == USAGE and price.unit != MONEY and known[said])
        return taken


def items_of(totals: Totals, crossings: Totals, terms: Terms) -> Items:
    """The totals with the usage of ordered days replaced by its events, in order."""
    rows = _replace_ordered(totals, crossings, terms)
    ordered = np.concatenate([np.zeros(len(rows) - len(crossings), dtype=bool), np.ones(len(crossings), dtype=bool)])
    order = by_payer_and_day(rows.payer, rows.day)
    rows, ordered = rows.take(order), ordered[order]
    pairs = rows.price.astype(np.int64) * len(COUNTRIES) + rows.country
    offers: tuple[tuple[Discount, ...], ...] = ((),)
    billed = rows.payer
    if terms.agreements is not None:
        placed = terms.agreements.place(rows.payer, rows.day)
        pairs += placed.offer << _PAIR_BITS
        billed, offers = under(rows.payer, placed.terms), terms.agreements.offers
    distinct, kind = numbered(pairs)
    offer, distinct = distinct >> _PAIR_BITS, distinct & ((1 << _PAIR_BITS) - 1)
    price_ids, countries = np.divmod(distinct, len(COUNTRIES))
    prices = [terms.prices[p] for p in price_ids.tolist()]
    names = [COUNTRIES[c] for c in countries.tolist()]
    books = terms.books()
    begins = np.array([(day - _EPOCH).days for day, _ in books], dtype=np.int32)
    return Items(
        rows=rows,
        kind=kind,
        prices=prices,
        countries=names,
        ordered=ordered,
        books=[(), *(book for _, book in books)],  # before the first contract there is none
        book=np.searchsorted(begins, rows.day, side="right").astype(np.int64, copy=False),
        left=[
            left_of(offers[n], terms.products[price.product], price.element, country, price.number_type) if n else WHOLE
            for n, price, country in zip(offer.tolist(), prices, names, strict=True)
        ],
        billed=billed,
    )


def _replace_ordered(totals: Totals, crossings: Totals, terms: Terms) -> Totals:
    if not len(crossings):
        return totals
    distinct, place = numbered(totals.price.astype(np.int64))
    usage = np.array([terms.prices[number].element == USAGE for number in distinct.tolist()], dtype=np.bool_)
    replaced = days_among(totals.payer, totals.day, crossings.payer, crossings.day) & usage[place]
    if (totals.quantity[replaced].sum(), totals.events[replaced].sum()) != (
        crossings.quantity.sum(),
        crossings.events.sum(),
    ):
        raise CrossingsIncompleteError("ordered events do not add up to the totals of their days", place="crossings")
    return totals.take(~replaced).plus(crossings)


def _value(price: Price, left: Fraction) -> Fraction | None:
    """The money that one unit of a charge is; None for what is no charge of an event rounded by itself."""
    return Fraction(1, 10**price.rounding.decimals) * left if price.element == CHARGE else None
