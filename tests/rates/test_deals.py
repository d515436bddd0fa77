"""Deals: what contracts leave of prices, and under which terms each day of each payer is."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from rates.deals import (
    NO_DEAL,
    Agreed,
    Commitment,
    Deal,
    Discount,
    Span,
    agreements_of,
    left_of,
    payer_and_terms,
    under,
)
from rates.products import Product
from rates.tiers import Selector

EPOCH = date(1970, 1, 1)
FIVE = Discount(percent=Decimal(5), on=(Selector(product=("voice.*",)),))
HALF = Discount(percent=Decimal(50))
LEAST = Commitment(least=Decimal(10))


def product(name: str, *, discountable: bool = True) -> Product:
    return Product(
        id=name,
        name=name,
        base="second",
        units={"second": 1},
        country_of="to",
        match=("to",),
        required=frozenset(),
        measure="quantity",
        rules=(),
        discountable=discountable,
    )


@pytest.mark.parametrize(
    ("discounts", "about", "element", "left"),
    [
        ((FIVE, HALF), product("voice.outbound"), "usage", Fraction(19, 20)),
        ((HALF, FIVE), product("voice.outbound"), "usage", Fraction(1, 2)),
        ((FIVE,), product("sms.outbound"), "usage", Fraction(1)),
        ((HALF,), product("sms.outbound"), "failed_fee", Fraction(1, 2)),
        ((HALF,), product("sms.outbound"), "carrier_fee", Fraction(1)),
        ((HALF,), product("port.in", discountable=False), "usage", Fraction(1)),
        ((), product("voice.outbound"), "usage", Fraction(1)),
    ],
)
def test_the_first_discount_that_takes_something_holds(
    discounts: tuple[Discount, ...], about: Product, element: str, left: Fraction
) -> None:
    assert left == left_of(discounts, about, element, "US", "")


def test_nobody_without_a_deal_is_looked_up() -> None:
    assert agreements_of({}) is None
    assert NO_DEAL.is_nothing
    assert not Deal(commitment=LEAST).is_nothing


def test_each_day_of_each_payer_finds_its_own_terms() -> None:
    """A payer that agreed nothing, and a day before the first contract, find none."""
    first = Span(date(2026, 10, 5), 5, Deal(discounts=(FIVE,)))
    second = Span(date(2026, 10, 10), 22, Deal(discounts=(HALF,), commitment=LEAST))
    third = Span(date(2026, 10, 1), 31, Deal(discounts=(HALF,)))
    agreements = agreements_of({3: Agreed(spans=(first, second), days=31), 7: Agreed(spans=(third,), days=31)})
    assert agreements is not None
    asked = [(3, 4), (3, 5), (3, 9), (3, 10), (3, 31), (5, 12), (7, 1), (8, 20), (1, 1)]
    payers = np.array([payer for payer, _ in asked], dtype=np.int64)
    days = np.array([(date(2026, 10, day) - EPOCH).days for _, day in asked], dtype=np.int32)
    placed = agreements.place(payers, days)
    assert [(), (FIVE,), (FIVE,), (HALF,), (HALF,), (), (HALF,), (), ()] == [
        agreements.offers[offer] for offer in placed.offer.tolist()
    ]
    assert [0, 0, 0, 1, 1, 0, 0, 0, 0] == placed.terms.tolist()
    apart = payer_and_terms(under(payers, placed.terms))
    assert (payers.tolist(), placed.terms.tolist()) == (apart[0].tolist(), apart[1].tolist())
