"""Kinds: what is told apart when usage is priced, so that all that is said of kinds is worked out once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rates.deals import WHOLE, left_of, under
from rates.lines import Parts, key_of
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, EVENT, USAGE, Price
from rates.products import MONEY
from rates.runs import blocks
from rates.summing import NOWHERE
from rates.tally.counters import Bools, Int64s
from rates.tally.orders import Numbers
from rates.terms import BookTerms, Terms
from rates.tiers import Selector, selected
from rates.usage import Totals

_EPOCH = date(1970, 1, 1)
_PAIR_BITS = 48


@dataclass(frozen=True, kw_only=True, eq=False)
class Kinds:
    """The k distinct kinds of usage: price, country, and what contracts leave of the price.

    `country` int64[k] are codes. `alike` int64[k] numbers kinds that only countries tell apart. `left` is what
    contracts leave of the price: an offer makes kinds of its own. `books` are those of the terms, in the order of the
    days from which they hold (`begins`, int32); before them there is none, which is the first.
    """

    terms: Terms
    numbers: Numbers
    prices: Sequence[Price]
    countries: Sequence[str]
    country: Int64s
    alike: Int64s
    left: Sequence[Fraction]
    books: Sequence[BookTerms]
    begins: NDArray[np.int32]

    @classmethod
    def of(cls, usage: Iterable[Totals], terms: Terms) -> "Kinds":
        """The kinds that there are in some totals."""
        numbers = Numbers.of(pair for rows in usage for pair in _all_pairs(rows, terms))
        offer, pair = numbers.values >> _PAIR_BITS, numbers.values & ((1 << _PAIR_BITS) - 1)
        price_ids, country = np.divmod(pair, len(COUNTRIES))
        prices = [terms.prices[number] for number in price_ids.tolist()]
        countries = [COUNTRIES[code] for code in country.tolist()]
        left: Sequence[Fraction] = [WHOLE] * len(prices)
        if terms.agreements is not None:
            offers = terms.agreements.offers
            left = [
                left_of(offers[n], terms.products[price.product], price.element, name, price.number_type)
                if n
                else WHOLE
                for n, price, name in zip(offer.tolist(), prices, countries, strict=True)
            ]
        books = terms.books()
        return cls(
            terms=terms,
            numbers=numbers,
            prices=prices,
            countries=countries,
            country=country,
            alike=_alike(price_ids, left),
            left=left,
            books=[(), *(book for _, book in books)],
            begins=np.array([(day - _EPOCH).days for day, _ in books], dtype=np.int32),
        )

    def __len__(self) -> int:
        return len(self.prices)

    def of_rows(self, rows: Totals) -> tuple[NDArray[np.int32], Int64s]:
        """The kind of each of n rows, int32[n], and its payer under the terms of the day (`deals.under`), int64[n]."""
        pair, billed = _pairs(rows, self.terms)
        return self.numbers.place(pair), billed

    def lines(self, parts: Parts, tier: str, price_of: Callable[[Price], Fraction | None]) -> Int64s:
        """The number of each kind's line in a tier, by its price before contracts; `NOWHERE` where it has none."""
        families = np.zeros(len(self.heads), dtype=np.int64)
        # A price has kinds of many countries: it is worked out once for all of them.
        for place, kind in enumerate(self.heads):
            price, left = self.prices[kind], self.left[kind]
            listed = price_of(price)
            unit_price = listed if listed is None or left is WHOLE else listed * left
            families[place] = -1 if unit_price is None else parts.family(key_of(price, "", tier, unit_price))
        found = families[self.alike]
        return np.where(found < 0, NOWHERE, found * len(COUNTRIES) + self.country)

    @cached_property
    def heads(self) -> list[int]:
        """The first of each kinds that are alike, in the order of their numbers."""
        first: list[int] = np.unique(self.alike, return_index=True)[1].tolist()
        return first

    @cached_property
    def cards(self) -> tuple[list[str], Int64s]:
        """The card versions that the prices are of, and which of them each kind's is, int64[k]."""
        numbers: dict[str, int] = {}
        of_heads = [numbers.setdefault(self.prices[kind].card, len(numbers)) for kind in self.heads]
        return list(numbers), np.array(of_heads, dtype=np.int64)[self.alike]

    @cached_property
    def is_usage(self) -> Bools:
        """Kinds of usage, and not of what comes beside it; bool[k]."""
        return self.which(lambda price: price.element == USAGE)

    @cached_property
    def is_rounded(self) -> Bools:
        """Kinds of usage of which each event was rounded by itself, so that no price is multiplied any more."""
        return self.which(lambda price: price.is_rounded)

    @cached_property
    def is_charge(self) -> Bools:
        """Kinds that are what such usage comes to: money, and no quantity."""
        return self.which(lambda price: price.element == CHARGE)

    @cached_property
    def per_event(self) -> Bools:
        """Kinds of usage whose price is per event: what they are charged for is their events."""
        return self.which(lambda price: price.element == USAGE and price.unit == EVENT)

    @cached_property
    def is_untiered(self) -> Bools:
        """Kinds that no schedule prices."""
        return self.which(lambda price: not price.schedule)

    @cached_property
    def charge_values(self) -> list[tuple[Fraction, Bools]]:
        """The money that one unit of a charge may be, each with its kinds (bool[k])."""
        values = [_value(self.prices[kind], self.left[kind]) for kind in self.heads]
        distinct = sorted({value for value in values if value is not None})
        return [(value, np.array([each == value for each in values], dtype=np.bool_)[self.alike]) for value in distinct]

    def which(self, wanted: Callable[[Price], bool]) -> Bools:
        """The kinds whose prices are wanted, bool[k]."""
        return np.array([wanted(self.prices[kind]) for kind in self.heads], dtype=np.bool_)[self.alike]

    def taken_by(self, selectors: tuple[Selector, ...]) -> Bools:
        """The kinds of usage that selectors take, bool[k]; none is of which money is counted."""
        names: dict[tuple[str, str], int] = {}
        prices = [self.prices[kind] for kind in self.heads]
        of_heads = [names.setdefault((price.product, price.number_type), len(names)) for price in prices]
        said = np.array(of_heads, dtype=np.int64)[self.alike] * len(COUNTRIES) + self.country
        asked = np.unique(said)
        listed = list(names)
        taken = np.zeros(len(names) * len(COUNTRIES), dtype=np.bool_)
        for number in asked.tolist():
            name, country = divmod(number, len(COUNTRIES))
            product, number_type = listed[name]
            taken[number] = selected(selectors, product, COUNTRIES[country], number_type)
        found: Bools = taken[said] & self.which(lambda price: price.element == USAGE and price.unit != MONEY)
        return found


def _all_pairs(rows: Totals, terms: Terms) -> Iterator[Int64s]:
    return (_pairs(rows.take(some), terms)[0] for some in blocks(len(rows)))


def _pairs(rows: Totals, terms: Terms) -> tuple[Int64s, Int64s]:
    """What tells kinds apart as one number: offer, price and country; and the payers under their terms."""
    pair = rows.price.astype(np.int64)
    pair *= len(COUNTRIES)
    pair += rows.country
    if terms.agreements is None:
        return pair, rows.payer
    placed = terms.agreements.place(rows.payer, rows.day)
    return pair + (placed.offer << _PAIR_BITS), under(rows.payer, placed.terms)


def _alike(price: Int64s, left: Sequence[Fraction]) -> Int64s:
    """Numbers of kinds (int64[k]) that are equal only where the price is, and what contracts leave of it."""
    numbers: dict[int, int] = {}
    of_left = [numbers.setdefault(id(each), len(numbers)) for each in left]
    packed = price * max(len(numbers), 1) + np.array(of_left, dtype=np.int64)
    found: Int64s = np.unique(packed, return_inverse=True)[1].astype(np.int64, copy=False)
    return found


def _value(price: Price, left: Fraction) -> Fraction | None:
    """The money that one unit of a charge is; None for what is no charge of an event rounded by itself."""
    return Fraction(1, 10**price.rounding.decimals) * left if price.element == CHARGE else None
