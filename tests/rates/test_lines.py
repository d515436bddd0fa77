"""Lines from parts: columns of 64 bits where they suffice, exact integers where they do not, the same figures."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rates.lines import LineKey, Parts, lines_of
from rates.money import EXPONENTS, Currency, invoice_step
from rates.quantities import INT64_MAX, QuantityOverflowError
from rates.ratios import Ratios

PRICES = st.one_of(
    st.fractions(min_value=0, max_value=100, max_denominator=10**4),
    st.integers(0, 10**14).map(lambda n: Fraction(n, 10**12)),
    st.integers(0, 10**24).map(lambda n: Fraction(n, 10**26)),
)
CURRENCIES = st.sampled_from([Currency("USD"), Currency("JPY"), Currency("KWD"), Currency("CLF")])


def one_line(price: Fraction, unit_size: int, quantity: int, events: int = 1) -> Parts:
    parts = Parts()
    key = LineKey("voice.outbound", "usage", "US", "", "", price, "minute", unit_size, "second")
    columns = (1, parts.line(key), parts.version("list@2026-10-01T00:00:00Z"), events, quantity)
    parts.add(*(np.array([value], dtype=np.int64) for value in columns))
    return parts


def rounded(amount: Fraction, code: Currency) -> tuple[int, Fraction]:
    """The minor units nearest to an amount that is not negative, and what is left of it."""
    step = Fraction(invoice_step(code), 10 ** EXPONENTS[code])
    count = floor(amount / step + Fraction(1, 2))
    return count * invoice_step(code), amount - count * step


@given(price=PRICES, unit_size=st.sampled_from([1, 60, 10**9, 2**30]), quantity=st.integers(1, 10**12), code=CURRENCIES)
@example(
    price=Fraction(1, 8 * 10**9), unit_size=10**9, quantity=1, code=Currency("JPY")
)  # twice its denominator is beyond 64 bits
def test_a_line_is_multiplied_exactly_and_rounded_once(
    price: Fraction, unit_size: int, quantity: int, code: Currency
) -> None:
    lines = lines_of(one_line(price, unit_size, quantity), code)
    expected = rounded(price * Fraction(quantity, unit_size), code)
    assert expected == (int(lines.amount_minor[0]), lines.residuals[0])
    lowest = lines.residuals.lowest()
    assert expected[1].as_integer_ratio() == (int(lowest.numerator[0]), int(lowest.denominator[0]))


def test_parts_of_one_key_are_one_line() -> None:
    parts = one_line(Fraction(1, 100), 60, 30)
    parts.pieces *= 2
    lines = lines_of(parts, "USD")
    assert ([2], [60], [1]) == (lines.events.tolist(), lines.base_quantity.tolist(), lines.amount_minor.tolist())


def test_an_amount_or_a_quantity_beyond_64_bits_is_refused() -> None:
    with pytest.raises(QuantityOverflowError, match="the amount of a line"):
        lines_of(one_line(Fraction(10**11), 1, 10**9), "USD")
    parts = one_line(Fraction(1, 10**12), 1, INT64_MAX)
    parts.pieces *= 2
    with pytest.raises(QuantityOverflowError, match="the quantity of a line"):
        lines_of(parts, "USD")


def test_no_parts_no_lines() -> None:
    assert [] == list(lines_of(Parts(), "USD").residuals)


def test_ratios_are_a_sequence_of_fractions() -> None:
    ratios = Ratios(numerator=np.array([2, -3]), denominator=np.array([4, 9]))
    assert [Fraction(1, 2), Fraction(-1, 3)] == list(ratios)
    assert [Fraction(-1, 3)] == list(ratios[1:])


@pytest.mark.parametrize("price", [Fraction(1, 200), Fraction(3, 200), Fraction(-1, 200), Fraction(-3, 200)])
@pytest.mark.parametrize("shrunk", [1, 10**30], ids=["in 64 bits", "beyond them"])
def test_a_tie_goes_away_from_zero(price: Fraction, shrunk: int) -> None:
    """Half a cent is a cent, and one and a half are two, owed or owing."""
    parts = one_line(price, 1, 1)
    key = LineKey("voice.outbound", "usage", "US", "", "", Fraction(1, shrunk), "minute", 1, "second")
    columns = (2, parts.line(key), 0, 1, 1)
    parts.add(*(np.array([value], dtype=np.int64) for value in columns))
    lines = lines_of(parts, "USD")
    away = 1 if price > 0 else -1
    assert (abs(price) * 100 + Fraction(1, 2)) * away == lines.amount_minor[0]
    assert Fraction(-away, 200) == lines.residuals[0]
