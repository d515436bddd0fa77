"""Items: what is priced, in chronological order, and the distinct kinds of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from rates.errors import TollbookError
from rates.lines import Parts
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, EVENT, USAGE, Price
from rates.products import MONEY
from rates.tally.counters import Bools, Int64s
from rates.terms import BookTerms, Terms
from rates.tiers import Scope, Selector, selected
from rates.usage import Totals

_EPOCH = date(1970, 1, 1)


class CrossingsIncompleteError(TollbookError):
    """Events of a crossing day are missing, or do not add up to the day's totals."""


@dataclass(slots=True)
class Items:
    """What is priced, in chronological order within each payer, and the distinct (price, country) kinds of it.

    `book` (int64[n] into `books`) is the book of each item's day.
    """

    rows: Totals
    kind: Int64s
    prices: list[Price]
    countries: list[str]
    ordered: Bools
    books: list[BookTerms]
    book: Int64s

    def where(self, wanted: Sequence[bool]) -> Bools:
        """Items whose kind is wanted."""
        return np.array(wanted, dtype=bool)[self.kind] if len(self.kind) else np.zeros(0, dtype=bool)

    def scope(self, scope: Scope) -> Int64s:
        """The payer or the account of each item."""
        return self.rows.payer if scope is Scope.BILLING_ACCOUNT else self.rows.account

    def emit(self, parts: Parts, lines: Sequence[int], events: Int64s, quantity: Int64s) -> None:
        """Put events and quantities (int64[n]) on lines; `lines` has the number of each kind's line key."""
        if len(self.kind):
            versions = [parts.version(price.card) for price in self.prices]
            line, version = np.array(lines, dtype=np.int64), np.array(versions, dtype=np.int64)
            parts.add(self.rows.payer, line[self.kind], version[self.kind], events, quantity)

    def emit_rounded(self, parts: Parts, lines: Sequence[int], quantity: Int64s) -> None:
        """Say of which of these quantities (int64[n]) no price is multiplied, and what is charged for them instead."""
        line = np.array(lines, dtype=np.int64)
        for decimals in sorted({price.rounding.decimals for price in self.prices if price.is_rounded}):
            some = np.flatnonzero(self.where([_charges(price, decimals) for price in self.prices]))
            entries = parts.charges.setdefault(decimals, [])
            entries.append((self.rows.payer[some], line[self.kind][some], self.rows.quantity[some]))
        some = np.flatnonzero(self.is_rounded & (quantity != 0))
        if len(some):
            parts.rounded.append((self.rows.payer[some], line[self.kind][some], quantity[some]))

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
        return [
            price.element == USAGE
            and price.unit != MONEY
            and selected(selectors, price.product, country, price.number_type)
            for price, country in zip(self.prices, self.countries, strict=True)
        ]


def items_of(totals: Totals, crossings: Totals, terms: Terms) -> Items:
    """The totals with the usage of ordered days replaced by its events, in order."""
    rows = _replace_ordered(totals, crossings, terms)
    ordered = np.concatenate([np.zeros(len(rows) - len(crossings), dtype=bool), np.ones(len(crossings), dtype=bool)])
    order = np.lexsort((rows.day, rows.payer))
    rows, ordered = rows.take(order), ordered[order]
    pairs = rows.price.astype(np.int64) * len(COUNTRIES) + rows.country
    distinct, kind = np.unique(pairs, return_inverse=True)
    price_ids, countries = np.divmod(distinct, len(COUNTRIES))
    books = terms.books()
    begins = np.array([(day - _EPOCH).days for day, _ in books], dtype=np.int32)
    return Items(
        rows=rows,
        kind=kind,
        prices=[terms.prices[p] for p in price_ids.tolist()],
        countries=[COUNTRIES[c] for c in countries.tolist()],
        ordered=ordered,
        books=[(), *(book for _, book in books)],  # before the first contract there is none
        book=np.searchsorted(begins, rows.day, side="right").astype(np.int64, copy=False),
    )


def _replace_ordered(totals: Totals, crossings: Totals, terms: Terms) -> Totals:
    if not len(crossings):
        return totals
    usage = [p for p in np.unique(totals.price).tolist() if terms.prices[p].element == USAGE]
    days = np.unique(_payer_days(crossings))
    replaced = np.isin(_payer_days(totals), days) & np.isin(totals.price, usage)
    if (totals.quantity[replaced].sum(), totals.events[replaced].sum()) != (
        crossings.quantity.sum(),
        crossings.events.sum(),
    ):
        raise CrossingsIncompleteError("ordered events do not add up to the totals of their days", place="crossings")
    return totals.take(~replaced).plus(crossings)


def _charges(price: Price, decimals: int) -> bool:
    return price.element == CHARGE and price.rounding.decimals == decimals


def _payer_days(totals: Totals) -> Int64s:
    return totals.payer * (1 << 20) + totals.day
