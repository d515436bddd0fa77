"""Prices: what an invoice line is about. Many rates (prefix rows, increments) lead to one price.

In real decks 7 to 28 prefixes share a price. Totals are kept by (price, country of the event), so the country is not
part of a price, and neither is anything that is already in the billable quantity (increments, grace).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rates.cards import Card, Rounding, codes_and_values, combined, decimals
from rates.money import exact
from rates.products import MONEY, Product, declared
from rates.steps import parse_steps
from rates.tiers import Schedule

USAGE = "usage"
SETUP = "setup"
SURCHARGE = "surcharge"
CARRIER_FEE = "carrier_fee"

CHARGE = "charge"
"""What the usage and setup of an event come to where a card rounds each event: its quantity is the charge itself, in
units of 10^-decimals, on the line of the usage."""

MINIMUM = "minimum"
MAXIMUM = "maximum"
"""What stands for usage, setup and surcharge of an event that they would charge too little or too much for."""

EVENT = "event"
"""The unit of a price per event, whatever was measured."""

NANO = "nano"
"""What is counted of `money`."""

_USAGE = (
    "product", "element", "destination", "number_type", "unit", "prices", "tiers", "free_units", "block",
    "steps", "min_charge", "max_charge",
)  # fmt: skip
_SETUP = ("product", "destination", "number_type", "setup_fee")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One price of a card version: per `unit` of `unit_size` base units, one value per tier of `schedule` ("": none).

    A single value with a schedule is the same in each tier but for the schedule's percent discounts.
    """

    card: str
    currency: str
    rounding: Rounding
    product: str
    element: str
    destination: str
    number_type: str
    unit: str
    unit_size: int
    base: str
    prices: tuple[Decimal, ...]
    schedule: str = ""
    free_units: Decimal = Decimal(0)
    block: Decimal = Decimal(0)

    @property
    def is_rounded(self) -> bool:
        """Whether each event of it is rounded by itself: then its amount is what the price `CHARGE` beside it says."""
        return self.rounding.per == "event" and self.element == USAGE

    def unit_price(self, tier: int, schedule: Schedule | None) -> Fraction:
        """The exact price of one unit in a tier (from 0)."""
        price = exact(self.prices[tier if len(self.prices) > 1 else 0])
        if schedule is None or not schedule.discounts:
            return price
        return price * Fraction(100 - exact(schedule.discounts[tier]), 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """The distinct prices of a card version, and which of them each row charges.

    `usage` and `setup` are `int32[rows]` indexes into `prices`; -1 where a row is blocked or has no setup fee. A row's
    prices stand together: from `usage` on one for each step (or its only one), then, as far as it has them, those of
    the rounded charge, of the minimum and of the maximum.
    """

    prices: tuple[Price, ...]
    usage: NDArray[np.int32]
    setup: NDArray[np.int32]


_PricesOf = Callable[[Card, str, Mapping[str, Product], Mapping[str, str]], Sequence[Price]]


def price_list(card: Card, products: Mapping[str, Product]) -> PriceList:
    """The prices of a checked card, in the order in which its rows first name them: the same card, the same list."""
    prices: list[Price] = []
    usage = _distinct(card, products, _USAGE, _usage_prices, prices)
    setup = _distinct(card, products, _SETUP, _setup_prices, prices)
    return PriceList(prices=tuple(prices), usage=usage, setup=setup)


def _distinct(
    card: Card, products: Mapping[str, Product], names: Sequence[str], prices_of: _PricesOf, prices: list[Price]
) -> NDArray[np.int32]:
    combination, first = combined(card.rows, names)
    columns = [codes_and_values(card.rows, name) for name in names]
    cells = [[values[code] for code in codes[first].tolist()] for codes, values in columns]
    local, version = np.full(len(first), -1, dtype=np.int32), card.version
    for number, values in enumerate(zip(*cells, strict=True)):
        found = prices_of(card, version, products, dict(zip(names, values, strict=True)))
        if found:
            local[number] = len(prices)
            prices.extend(found)
    return local[combination]


def _usage_prices(
    card: Card, version: str, products: Mapping[str, Product], cell: Mapping[str, str]
) -> Sequence[Price]:
    steps: list[tuple[Decimal, ...]] = [(step.price,) for step in parse_steps(cell["steps"])]
    steps = steps or [decimals(cell["prices"])]
    if not steps[0]:
        return ()
    product = declared(products, cell["product"], f"card {version}")
    # A fee is charged once for an event, whatever unit its row names.
    unit = EVENT if cell["element"] in product.fee_elements else cell["unit"]
    first = Price(
        card=version,
        currency=card.currency,
        rounding=card.rounding,
        product=product.id,
        element=cell["element"] or USAGE,
        destination=cell["destination"],
        number_type=cell["number_type"],
        unit=unit,
        unit_size=product.unit_size(unit) or 1,
        base={EVENT: EVENT, MONEY: NANO}.get(unit, product.base),
        prices=steps[0],
        schedule=cell["tiers"],
        free_units=Decimal(cell["free_units"] or 0),
        block=Decimal(cell["block"] or 0),
    )
    if first.is_rounded:
        # One price for all tiers: no tier decides what an event costs, and its charge cannot be cut at a bound.
        first = replace(first, schedule="")
    found = [replace(first, prices=prices) for prices in steps]
    found += [replace(first, element=CHARGE)] if first.is_rounded else []
    for element, limit in ((MINIMUM, cell["min_charge"]), (MAXIMUM, cell["max_charge"])):
        found += [_per_event(card, version, cell, element, limit)] if limit else []
    return found


def _setup_prices(card: Card, version: str, _: Mapping[str, Product], cell: Mapping[str, str]) -> Sequence[Price]:
    if not cell["setup_fee"] or card.rounding.per == "event":  # there it is a part of the rounded charge
        return ()
    return (_per_event(card, version, cell, SETUP, cell["setup_fee"]),)


def _per_event(card: Card, version: str, cell: Mapping[str, str], element: str, price: str) -> Price:
    return Price(
        card=version,
        currency=card.currency,
        rounding=card.rounding,
        product=cell["product"],
        element=element,
        destination=cell["destination"],
        number_type=cell["number_type"],
        unit=EVENT,
        unit_size=1,
        base=EVENT,
        prices=decimals(price),
    )
