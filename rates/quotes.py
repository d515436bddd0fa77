"""Quotes: what a card charges for a number, and why: the row, the prefix, the increments, the arithmetic.

Rated by the kernel as usage would be; the arithmetic beside it is for reading.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rates.cards import Card
from rates.compiled.cards import CardTable, Lineage, compile_card, lineages
from rates.compiled.patterns import microseconds
from rates.matching import Book
from rates.money import exact, format_fraction, normal
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, EVENT, MAXIMUM, MINIMUM, SETUP, SURCHARGE, USAGE, Price, PriceList, price_list
from rates.products import Product
from rates.rating import REASONS, Ratings, rate
from rates.steps import parse_steps
from rates.usage import Texts, UsageColumns, encode
from rates.worded import amount_of, limit_in_words, rounding_in_words, step_in_words, window_in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one event would cost. Amounts are exact, as `format_fraction` writes them, in the card's currency.

    `reason` says why there is no price; then the rest is empty. Of a price with tiers, `prices` has one a tier and
    `cost` is that of the first; of a row with steps, one a step. `row` is the row's line in the card. `arithmetic` says
    how the cost came about where it is not the billable quantity times one price.
    """

    number: str
    country: str
    product: str
    reason: str = ""
    row: int = -1
    prefix: str = ""
    destination: str = ""
    unit: str = ""
    prices: tuple[str, ...] = ()
    tiers: str = ""
    increments: str = ""
    setup_fee: str = ""
    measured: int = 0
    billable: int = 0
    cost: str = ""
    window: str = ""
    arithmetic: tuple[str, ...] = ()


def quote(
    card: Card,
    products: Mapping[str, Product],
    numbers: Sequence[str],
    *,
    product: str,
    at: datetime,
    measured: int,
    caller: str = "",
    dimensions: Mapping[str, str] | None = None,
) -> list[Quote]:
    """The quotes for some numbers (E.164 with `+`, or addresses), as if `measured` base units were used `at`."""
    prices = price_list(card, products)
    table = compile_card(card, products, prices=prices)
    book = Book(lineages=tuple(lineages([table]).values()))
    usage = _usage(numbers, product, microseconds(at), measured, caller, dimensions or {})
    ratings = rate(usage, [book], products)
    unlimited = rate(usage, [Book(lineages=(_unlimited(table),))], products)
    rule = products[product].rule_at(at)
    default = rule.increments if rule is not None and products[product].timed else None
    rows = _Rows(card=card, prices=prices, increments=str(default or ""))
    found = zip(numbers, ratings.rate.tolist(), ratings.country, ratings.reason, strict=True)
    return [
        Quote(
            number=number,
            country=COUNTRIES[country],
            product=product,
            measured=measured,
            **(
                rows.say(number, row, _elements(ratings, event), _elements(unlimited, event))
                if row >= 0
                else {"reason": str(REASONS[reason])}
            ),
        )
        for event, (number, row, country, reason) in enumerate(found)
    ]


class _Element(NamedTuple):
    """One element of an event: its row, its price, its quantity."""

    row: int
    price: int
    billed: int


def _unlimited(table: CardTable) -> Lineage:
    """A card as if no row had a minimum or maximum charge."""
    chargings = table.terms.chargings
    none = np.full(len(chargings), -1, dtype=np.int32)
    terms = replace(table.terms, chargings=replace(chargings, minimum=none, maximum=none))
    return Lineage(id=table.id, versions=(replace(table, terms=terms),))


def _elements(ratings: Ratings, event: int) -> list[_Element]:
    """The elements of an event: its usage first."""
    some = np.flatnonzero(ratings.extra_event == event)
    columns = (ratings.extra_rate, ratings.extra_price, ratings.extra_billed)
    further = [_Element(*each) for each in zip(*(column[some].tolist() for column in columns), strict=True)]
    first = _Element(int(ratings.rate[event]), int(ratings.price[event]), int(ratings.billed[event]))
    return [first, *further] if first.price >= 0 else further


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """The rows of a card with their prices; `increments` are the product's."""

    card: Card
    prices: PriceList
    increments: str

    def say(self, number: str, row: int, elements: list[_Element], unlimited: list[_Element]) -> dict[str, Any]:
        """What a row says of a number that it matched; `unlimited`: the elements if it had no limits."""
        price = self.prices.prices[int(self.prices.usage[row])]
        schedule = self.card.schedules.get(price.schedule)
        tiers = range(schedule.tiers if schedule else 1)
        prices = tuple(format_fraction(price.unit_price(tier, schedule)) for tier in tiers)
        steps = parse_steps(self._cell(row, "steps"))
        usage = [each for each in unlimited if self._price(each).element == USAGE]
        fee = self._cell(row, "setup_fee")
        return {
            "row": int(self.card.rows["row"][row].as_py()),
            "prefix": matched_prefix(self._cell(row, "prefixes"), number),
            "destination": price.destination,
            "unit": price.unit,
            "prices": tuple(normal(step.price) for step in steps) or prices,
            "tiers": price.schedule,
            "increments": self._cell(row, "increments") or self.increments,
            "setup_fee": fee,
            "billable": sum(each.billed for each in usage),
            "cost": format_fraction(self._cost(elements)),
            "window": window_in_words(self.card, self._cell(row, "window")),
            "arithmetic": tuple(self._arithmetic(elements, unlimited)),
        }

    def _price(self, element: _Element) -> Price:
        return self.prices.prices[element.price]

    def _cost(self, elements: list[_Element]) -> Fraction:
        """What usage and setup cost, or what stands for them."""
        prices = [(self._price(each), each.billed) for each in elements]
        counted = {SETUP, CHARGE, MINIMUM, MAXIMUM}
        own = [amount_of(price, billed) for price, billed in prices if price.element in counted]
        return sum(own + [self._usage(each) for each in elements if not self._price(each).is_rounded], Fraction(0))

    def _usage(self, element: _Element) -> Fraction:
        """What a piece of usage costs, in the first tier; nothing for other elements."""
        price = self._price(element)
        if price.element != USAGE:
            return Fraction(0)
        billed = 1 if price.unit == EVENT else element.billed
        tier_price = price.unit_price(0, self.card.schedules.get(price.schedule))
        return amount_of(price, billed, tier_price=tier_price)

    def _arithmetic(self, elements: list[_Element], unlimited: list[_Element]) -> Iterator[str]:
        """How the cost came about, if not by one multiplication."""
        usage = [each for each in unlimited if self._price(each).element == USAGE]
        end = self._price(elements[-1])
        if len(usage) == 1 and not end.is_rounded and {CHARGE, MINIMUM, MAXIMUM}.isdisjoint(self._names(elements)):
            return
        fee = Fraction(self._cell(usage[0].row, "setup_fee") or 0)
        whole = fee
        for each in usage:
            price, amount = self._price(each), self._usage(each)
            whole += amount
            at = each.price - int(self.prices.usage[each.row])
            where = [step_in_words(self._cells(each.row), at, price.base), self._cell(each.row, "window")]
            said = " ".join(filter(None, where))
            yield (
                f"{said}{': ' if said else ''}{each.billed} {price.base} × {normal(price.prices[0])}"
                f" a {price.unit} = {format_fraction(amount)}"
            )
        if fee:
            yield f"setup {format_fraction(fee)}"
        for each in unlimited:
            if self._price(each).element == CHARGE:
                price = self._price(each)
                yield rounding_in_words(price, whole, amount_of(price, each.billed))
        beside = [each for each in unlimited if self._price(each).element in {SETUP, SURCHARGE}]
        for each in elements:
            price = self._price(each)
            if price.element in {MINIMUM, MAXIMUM}:
                other = sum((amount_of(self._price(one), one.billed) for one in beside), Fraction(0))
                inside = fee if any(self._price(one).is_rounded for one in usage) else Fraction(0)
                without = sum(map(self._usage, usage), Fraction(0)) + other + inside
                yield limit_in_words(price.element, without, exact(price.prices[0]))

    def _names(self, elements: list[_Element]) -> set[str]:
        return {self._price(each).element for each in elements}

    def _cells(self, row: int) -> dict[str, str]:
        return {name: self._cell(row, name) for name in self.card.rows.column_names if name != "row"}

    def _cell(self, row: int, name: str) -> str:
        return str(self.card.rows[name][row].as_py()) if name in self.card.rows.column_names else ""


def digits_of(number: str) -> int:
    """The digits of a number that is written with `+`; 0 for every other address."""
    digits = number.removeprefix("+")
    return int(digits) if number != digits and digits.isascii() and digits.isdecimal() else 0


def _usage(
    numbers: Sequence[str], product: str, at: int, measured: int, caller: str, dimensions: Mapping[str, str]
) -> UsageColumns:
    n = len(numbers)
    to = np.array([digits_of(number) for number in numbers], dtype=np.int64)
    addresses = {
        "to_address": encode("" if digits else number for number, digits in zip(numbers, to.tolist(), strict=True)),
        "from_address": _constant("" if digits_of(caller) else caller, n),
    }
    return UsageColumns(
        products=(product,),
        product=np.zeros(n, dtype=np.int16),
        book=np.zeros(n, dtype=np.int32),
        occurred_at=np.full(n, at, dtype=np.int64),
        to=to,
        from_=np.full(n, digits_of(caller), dtype=np.int64),
        measured=np.full(n, measured, dtype=np.int64),
        texts=addresses | {name: _constant(value, n) for name, value in dimensions.items()},
    )


def _constant(text: str, n: int) -> Texts:
    return Texts(np.full(n, 1 if text else 0, dtype=np.int32), ("", text) if text else ("",))


def matched_prefix(prefixes: str, number: str) -> str:
    """The longest of a row's prefixes that a number begins with; "" for a row without any."""
    digits = number.removeprefix("+")
    return max((one for one in prefixes.split() if digits.startswith(one)), key=len, default="")
