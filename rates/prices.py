"""Prices: what an invoice line is about. Many rates (prefix rows, increments) lead to one price.

In real decks 7 to 28 prefixes share a price. Totals are kept by (price, country of the event), so the country is not
part of a price, and neither is anything that is already in the billable quantity (increments, grace).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rates.cards import Card, Rounding, codes_and_values, decimals
from rates.money import exact
from rates.products import Product
from rates.tiers import Schedule

USAGE = "usage"
SETUP = "setup"

_DISTINGUISHING = (
    "product", "element", "destination", "number_type", "unit", "prices", "tiers", "free_units", "block",
)  # fmt: skip


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


def price_list(card: Card, products: Mapping[str, Product]) -> PriceList:
    """The prices of a checked card, in the order in which its rows first name them: the same card, the same list."""
    prices: list[Price] = []
    usage = _distinct(card, products, _DISTINGUISHING, _usage_price, prices)
    setup = _distinct(card, products, ("product", "destination", "number_type", "setup_fee"), _setup_price, prices)
    return PriceList(prices=tuple(prices), usage=usage, setup=setup)


def _distinct(card, products, names, price_of, prices):  # type: ignore[no-untyped-def]
    columns = [codes_and_values(card.rows, name) for name in names]
    packed = np.zeros(card.rows.num_rows, dtype=np.int64)
    for codes, values in columns:
        # Compacted after each column, so that the product of the cardinalities never leaves 64 bits.
        packed = np.unique(packed * len(values) + codes, return_inverse=True)[1]
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    order = np.argsort(first)
    local = np.full(len(first), -1, dtype=np.int32)
    for group in order:
        cell = {name: values[codes[first[group]]] for name, (codes, values) in zip(names, columns, strict=True)}
        price = price_of(card, products, cell)
        if price is not None:
            local[group] = len(prices)
            prices.append(price)
    return local[inverse]


def _usage_price(card: Card, products: Mapping[str, Product], cell: dict[str, str]) -> Price | None:
    if not cell["prices"]:
        return None
    product = products[cell["product"]]
    return Price(
        card=card.version,
        currency=card.currency,
        rounding=card.rounding,
        product=product.id,
        element=cell["element"] or USAGE,
        destination=cell["destination"],
        number_type=cell["number_type"],
        unit=cell["unit"],
        unit_size=product.unit_size(cell["unit"]) or 1,
        base="event" if cell["unit"] == "event" else product.base,
        prices=decimals(cell["prices"]),
        schedule=cell["tiers"],
        free_units=Decimal(cell["free_units"] or 0),
        block=Decimal(cell["block"] or 0),
    )


def _setup_price(card: Card, products: Mapping[str, Product], cell: dict[str, str]) -> Price | None:
    if not cell["setup_fee"]:
        return None
    return Price(
        card=card.version,
        currency=card.currency,
        rounding=card.rounding,
        product=cell["product"],
        element=SETUP,
        destination=cell["destination"],
        number_type=cell["number_type"],
        unit="event",
        unit_size=1,
        base="event",
        prices=decimals(cell["setup_fee"]),
    )
