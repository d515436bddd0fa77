"""Prices: what an invoice line is about. Many rates (prefix rows, increments) lead to one price.

In real decks 7 to 28 prefixes share a price. Totals are kept by (price, country of the event), so the country is not
part of a price, and neither is anything that is already in the billable quantity (increments, grace).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rates.cards import Card, Rounding, codes_and_values, combined, decimals
from rates.money import exact
from rates.products import Product
from rates.tiers import Schedule

USAGE = "usage"
SETUP = "setup"

EVENT = "event"
"""The unit of a price per event, whatever was measured."""

_USAGE = (
    "product", "element", "destination", "number_type", "unit", "prices", "tiers", "free_units", "block",
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

    def unit_price(self, tier: int, schedule: Schedule | None) -> Fraction:
        """The exact price of one unit in a tier (from 0)."""
        price = exact(self.prices[tier if len(self.prices) > 1 else 0])
        if schedule is None or not schedule.discounts:
            return price
        return price * Fraction(100 - exact(schedule.discounts[tier]), 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """The distinct prices of a card version, and which of them each row charges.

    `usage` and `setup` are `int32[rows]` indexes into `prices`; -1 where a row is blocked or has no setup fee.
    """

    prices: tuple[Price, ...]
    usage: NDArray[np.int32]
    setup: NDArray[np.int32]


_PriceOf = Callable[[Card, str, Mapping[str, Product], Mapping[str, str]], Price | None]


def price_list(card: Card, products: Mapping[str, Product]) -> PriceList:
    """The prices of a checked card, in the order in which its rows first name them: the same card, the same list."""
    prices: list[Price] = []
    usage = _distinct(card, products, _USAGE, _usage_price, prices)
    setup = _distinct(card, products, _SETUP, _setup_price, prices)
    return PriceList(prices=tuple(prices), usage=usage, setup=setup)


def _distinct(
    card: Card, products: Mapping[str, Product], names: Sequence[str], price_of: _PriceOf, prices: list[Price]
) -> NDArray[np.int32]:
    combination, first = combined(card.rows, names)
    columns = [codes_and_values(card.rows, name) for name in names]
    cells = [[values[code] for code in codes[first].tolist()] for codes, values in columns]
    local, version = np.full(len(first), -1, dtype=np.int32), card.version
    for number, values in enumerate(zip(*cells, strict=True)):
        price = price_of(card, version, products, dict(zip(names, values, strict=True)))
        if price is not None:
            local[number] = len(prices)
            prices.append(price)
    return local[combination]


def _usage_price(card: Card, version: str, products: Mapping[str, Product], cell: Mapping[str, str]) -> Price | None:
    if not cell["prices"]:
        return None
    product = products[cell["product"]]
    return Price(
        card=version,
        currency=card.currency,
        rounding=card.rounding,
        product=product.id,
        element=cell["element"] or USAGE,
        destination=cell["destination"],
        number_type=cell["number_type"],
        unit=cell["unit"],
        unit_size=product.unit_size(cell["unit"]) or 1,
        base=EVENT if cell["unit"] == EVENT else product.base,
        prices=decimals(cell["prices"]),
        schedule=cell["tiers"],
        free_units=Decimal(cell["free_units"] or 0),
        block=Decimal(cell["block"] or 0),
    )


def _setup_price(card: Card, version: str, _: Mapping[str, Product], cell: Mapping[str, str]) -> Price | None:
    if not cell["setup_fee"]:
        return None
    return Price(
        card=version,
        currency=card.currency,
        rounding=card.rounding,
        product=cell["product"],
        element=SETUP,
        destination=cell["destination"],
        number_type=cell["number_type"],
        unit=EVENT,
        unit_size=1,
        base=EVENT,
        prices=decimals(cell["setup_fee"]),
    )
