"""Items: what is priced, in chronological order, and the distinct kinds of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.deals import WHOLE, Discount, left_of, under
from rates.errors import TollbookError
from rates.lines import Cut, Parts, key_of
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, EVENT, USAGE, Price
from rates.products import MONEY
from rates.runs import blocks
from rates.summing import NOWHERE
from rates.tally.counters import Bools, Int64s
from rates.tally.orders import by_payer_and_day, days_among, numbered
from rates.terms import BookTerms, Terms
from rates.tiers import Scope, Selector, selected
from rates.usage import TOTALS, Totals

_EPOCH = date(1970, 1, 1)
_PAIR_BITS = 48


class CrossingsIncompleteError(TollbookError):
    """Events of a crossing day are missing, or do not add up to the day's totals."""


@dataclass(slots=True)
class Items:
    """What is priced, in chronological order within each payer, and the distinct (price, country) kinds of it.

    `book` (int64[n] into `books`) is the book of each item's day. `left` is what contracts leave of the price of each
    kind: an offer makes kinds of its own. `billed` int64[n] is the payer under the terms of the day (`deals.under`).
    `country` are the codes of the kinds' countries; kinds that only these tell apart are `alike`, by number.
    `replaced` (bool[n]) is usage in place of which its events are priced, which are items apart, with the same kinds.
    `as_they_come`: nothing needs the order of days, and they are in none.
    """

    rows: Totals
    kind: Int64s
    prices: list[Price]
    countries: list[str]
    country: Int64s
    alike: Int64s
    ordered: Bools
    replaced: Bools
    books: list[BookTerms]
    book: Int64s
    left: list[Fraction]
    billed: Int64s
    as_they_come: bool = False

    def lines(self, parts: Parts, tier: str, price_of: Callable[[Price], Fraction | None]) -> Int64s:
        """The number of each kind's line in a tier, by its price before contracts; 0 for a kind that has none."""
        families = np.zeros(int(self.alike.max(initial=-1)) + 1, dtype=np.int64)
        # A price has kinds of many countries: it is worked out once for all of them.
        for place, kind in zip(*(column.tolist() for column in np.unique(self.alike, return_index=True)), strict=True):
            price, left = self.prices[kind], self.left[kind]
            listed = price_of(price)
            unit_price = listed if listed is None or left is WHOLE else listed * left
            families[place] = -1 if unit_price is None else parts.family(key_of(price, "", tier, unit_price))
        found = families[self.alike]
        return np.where(found < 0, 0, found * len(COUNTRIES) + self.country)

    def version_of(self, parts: Parts, kind: Int64s) -> Int64s:
        """The numbers of the card versions of some kinds, int64[m]."""
        numbers = {card: parts.version(card) for card in dict.fromkeys(price.card for price in self.prices)}
        if len(numbers) == 1:
            return np.broadcast_to(np.int64(next(iter(numbers.values()))), len(kind))
        return np.array([numbers[price.card] for price in self.prices], dtype=np.int64)[kind]

    def where(self, wanted: Sequence[bool]) -> Bools:
        """Items whose kind is wanted."""
        kinds = np.array(wanted, dtype=bool)
        if (len(kinds) and kinds.all()) or not kinds.any():
            return np.full(len(self.kind), bool(len(kinds) and kinds[0]))
        return kinds[self.kind]

    def scope(self, scope: Scope) -> Int64s:
        """The payer or the account of each item."""
        return self.rows.payer if scope is Scope.BILLING_ACCOUNT else self.rows.account

    def emit(self, parts: Parts, lines: Int64s, events: Int64s, quantity: Int64s) -> None:
        """Put events and quantities (int64[n]) on lines; `lines` has the number of each kind's line key."""
        if len(self.kind):
            line = lines[self.kind]
            line[self.replaced] = NOWHERE
            parts.add(self.billed, line, self.version_of(parts, self.kind), events, quantity)

    def emit_cuts(self, parts: Parts, lines: Int64s, beyond: Sequence[tuple[int, Fraction]]) -> None:
        """Put what bounds of money cut of items, as (item, units), on lines by the number of each kind's key."""
        for item, units in beyond:
            kind = int(self.kind[item])
            line, version = int(lines[kind]), parts.version(self.prices[kind].card)
            key = parts.key(line)
            amount = units * key.unit_price * Fraction(1, key.unit_size)
            parts.cut(Cut(int(self.billed[item]), line, item, amount), version)

    def emit_rows(
        self,
        parts: Parts,
        lines: Sequence[Int64s],
        rows: Int64s | None,
        which: NDArray[np.integer],
        events: Int64s,
        quantity: Int64s,
    ) -> None:
        """Put events and quantities of some rows (int64[m], None: of all) on lines: of each row those of its `which`.

        `lines` has for each of these the number of each kind's line key.
        """
        if len(which):
            kind, billed = (self.kind, self.billed) if rows is None else (self.kind[rows], self.billed[rows])
            numbers, line = np.concatenate(lines), np.empty(len(which), dtype=np.int64)
            for some in blocks(len(which)):
                place = which[some].astype(np.int64) * len(self.prices) + kind[some]
                # Every place is below the length: unlike "raise", this needs no second column.
                np.take(numbers, place, out=line[some], mode="clip")
            line[self.replaced if rows is None else self.replaced[rows]] = NOWHERE
            parts.add(billed, line, self.version_of(parts, kind), events, quantity, rows)

    def emit_rounded(self, parts: Parts, lines: Int64s, quantity: Int64s) -> None:
        """Say of which of these quantities (int64[n]) no price is multiplied, and what is charged for them instead."""
        values = [_value(price, left) for price, left in zip(self.prices, self.left, strict=True)]
        for value in sorted({value for value in values if value is not None}):
            some = np.flatnonzero(self.where([each == value for each in values]) & ~self.replaced)
            entries = parts.charges.setdefault(value, [])
            entries.append((self.billed[some], lines[self.kind[some]], self.rows.quantity[some]))
        some = np.flatnonzero(self.is_rounded & (quantity != 0) & ~self.replaced)
        if len(some):
            parts.rounded.append((self.billed[some], lines[self.kind[some]], quantity[some]))

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
        further: Bools = self.ordered & ~self.replaced & (self.rows.events == 0)
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
    kept = np.flatnonzero(~_replaced(totals, crossings, terms))
    rows = _with(totals, kept, crossings) if len(crossings) else totals
    ordered = np.arange(len(rows)) >= len(kept)
    order = by_payer_and_day(rows.payer, rows.day)
    rows, ordered = rows.take(order), ordered[order]
    return _items([_Strand(rows, ordered, np.zeros(len(rows), dtype=np.bool_))], terms, as_they_come=False)[0]


def items_by_day(totals: Totals, crossings: Totals, terms: Terms) -> list[Items]:
    """The totals as they come and, where there are any, the events of ordered days beside them.

    Only the events of a day of a payer are in their order, and nothing else. All have the same kinds.
    """
    replaced = _replaced(totals, crossings, terms)
    strands = [_Strand(totals, replaced, replaced)]
    if len(crossings):
        every = np.ones(len(crossings), dtype=np.bool_)
        strands.append(_Strand(crossings, every, ~every))
    return _items(strands, terms, as_they_come=True)


class _Strand(NamedTuple):
    """The rows of some items, and which of them are `ordered` and `replaced`, bool[n]."""

    rows: Totals
    ordered: Bools
    replaced: Bools


def _items(strands: Sequence[_Strand], terms: Terms, *, as_they_come: bool) -> list[Items]:
    pairs = [rows.price.astype(np.int64) * len(COUNTRIES) + rows.country for rows, _, _ in strands]
    offers: tuple[tuple[Discount, ...], ...] = ((),)
    billed = [rows.payer for rows, _, _ in strands]
    if terms.agreements is not None:
        placed = [terms.agreements.place(rows.payer, rows.day) for rows, _, _ in strands]
        pairs = [pair + (at.offer << _PAIR_BITS) for pair, at in zip(pairs, placed, strict=True)]
        billed = [under(payer, at.terms) for payer, at in zip(billed, placed, strict=True)]
        offers = terms.agreements.offers
    distinct, kinds = numbered(*pairs)
    offer, distinct = distinct >> _PAIR_BITS, distinct & ((1 << _PAIR_BITS) - 1)
    price_ids, countries = np.divmod(distinct, len(COUNTRIES))
    prices = [terms.prices[p] for p in price_ids.tolist()]
    names = [COUNTRIES[c] for c in countries.tolist()]
    left = [
        left_of(offers[n], terms.products[price.product], price.element, country, price.number_type) if n else WHOLE
        for n, price, country in zip(offer.tolist(), prices, names, strict=True)
    ]
    alike, books = _alike(price_ids, left), terms.books()
    begins = np.array([(day - _EPOCH).days for day, _ in books], dtype=np.int32)
    return [
        Items(
            rows=rows,
            kind=kind,
            prices=prices,
            countries=names,
            country=countries,
            alike=alike,
            ordered=ordered,
            replaced=replaced,
            books=[(), *(book for _, book in books)],  # before the first contract there is none
            book=np.searchsorted(begins, rows.day, side="right").astype(np.int64, copy=False),
            as_they_come=as_they_come,
            left=left,
            billed=payer,
        )
        for (rows, ordered, replaced), kind, payer in zip(strands, kinds, billed, strict=True)
    ]


def _alike(price: Int64s, left: Sequence[Fraction]) -> Int64s:
    """Numbers of kinds (int64[k]) that are equal only where the price is, and what contracts leave of it."""
    numbers: dict[int, int] = {}
    of_left = [numbers.setdefault(id(each), len(numbers)) for each in left]
    packed = price * max(len(numbers), 1) + np.array(of_left, dtype=np.int64)
    found: Int64s = np.unique(packed, return_inverse=True)[1].astype(np.int64, copy=False)
    return found


def _replaced(totals: Totals, crossings: Totals, terms: Terms) -> Bools:
    """The usage of which `crossings` are the events, bool[n]."""
    if not len(crossings):
        return np.zeros(len(totals), dtype=np.bool_)
    among = np.flatnonzero(days_among(totals.payer, totals.day, crossings.payer, crossings.day))
    distinct, (place,) = numbered(totals.price[among].astype(np.int64))
    usage = np.array([terms.prices[number].element == USAGE for number in distinct.tolist()], dtype=np.bool_)
    among = among[usage[place]]
    if (totals.quantity[among].sum(), totals.events[among].sum()) != (
        crossings.quantity.sum(),
        crossings.events.sum(),
    ):
        raise CrossingsIncompleteError("ordered events do not add up to the totals of their days", place="crossings")
    replaced = np.zeros(len(totals), dtype=np.bool_)
    replaced[among] = True
    return replaced


def _with(totals: Totals, kept: Int64s, more: Totals) -> Totals:
    """Some of the rows and then others, each copied once."""

    def column(name: str) -> NDArray[Any]:
        before = getattr(totals, name)
        found = np.empty(len(kept) + len(more), dtype=before.dtype)
        np.take(before, kept, out=found[: len(kept)], mode="clip")
        found[len(kept) :] = getattr(more, name)
        return found

    return Totals(**{name: column(name) for name in TOTALS})


def _value(price: Price, left: Fraction) -> Fraction | None:
    """The money that one unit of a charge is; None for what is no charge of an event rounded by itself."""
    return Fraction(1, 10**price.rounding.decimals) * left if price.element == CHARGE else None
