"""Quotes: what a card charges for a number, and why: the row, the prefix, the increments, the arithmetic.

Rated by the kernel as usage would be; the arithmetic beside it is for reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import numpy as np

from rates.cards import Card
from rates.compiled.cards import compile_card, lineages
from rates.compiled.patterns import microseconds
from rates.matching import Book
from rates.money import exact, format_fraction
from rates.numbering import COUNTRIES
from rates.prices import EVENT, PriceList, price_list
from rates.products import Product
from rates.rating import REASONS, rate
from rates.usage import Texts, UsageColumns, encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one event would cost. Amounts are exact, as `format_fraction` writes them, in the card's currency.

    `reason` says why there is no price; then the rest is empty. Of a price with tiers, `prices` has one a tier and
    `cost` is that of the first. `row` is the row's line in the card.
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
    rule = products[product].rule_at(at)
    default = rule.increments if rule is not None and products[product].timed else None
    rows = _Rows(card=card, prices=prices, increments=str(default or ""))
    found = zip(numbers, ratings.rate, ratings.country, ratings.billed, ratings.reason, strict=True)
    return [
        Quote(
            number=number,
            country=COUNTRIES[country],
            product=product,
            measured=measured,
            **(rows.say(number, int(row), int(billed)) if row >= 0 else {"reason": str(REASONS[reason])}),
        )
        for number, row, country, billed, reason in found
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """The rows of a card with their prices; `increments` are the product's."""

    card: Card
    prices: PriceList
    increments: str

    def say(self, number: str, row: int, billed: int) -> dict[str, Any]:
        """What a row says of a number that it matched."""
        price = self.prices.prices[int(self.prices.usage[row])]
        schedule = self.card.schedules.get(price.schedule)
        fee = int(self.prices.setup[row])
        setup = exact(self.prices.prices[fee].prices[0]) if fee >= 0 else Fraction(0)
        tiers = range(schedule.tiers if schedule else 1)
        units = Fraction(1) if price.unit == EVENT else Fraction(billed, price.unit_size)
        return {
            "row": int(self.card.rows["row"][row].as_py()),
            "prefix": matched_prefix(self._cell(row, "prefixes"), number),
            "destination": price.destination,
            "unit": price.unit,
            "prices": tuple(format_fraction(price.unit_price(tier, schedule)) for tier in tiers),
            "tiers": price.schedule,
            "increments": self._cell(row, "increments") or self.increments,
            "setup_fee": format_fraction(setup) if setup else "",
            "billable": billed,
            "cost": format_fraction(price.unit_price(0, schedule) * units + setup),
        }

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
