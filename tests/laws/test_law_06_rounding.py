"""Law 6: "Σ lines = total; |residual| ≤ ½ minor unit".

Here: the rounding that bills, of a line, and the texts that amounts and residuals are kept as.
"""

from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from rates.lines import LineKey, Parts, lines_of
from rates.money import (
    EXPONENTS,
    Currency,
    format_fraction,
    format_minor,
    invoice_step,
    normal,
    parse_decimal,
    parse_fraction,
    plain,
    round_ratio,
)

CURRENCIES = st.sampled_from(sorted(EXPONENTS))
PRICES = st.decimals(min_value=-1000, max_value=1000, places=6, allow_nan=False)
UNIT_SIZES = st.sampled_from([1, 60, 3600])


def billed(price: Decimal, unit_size: int, quantity: int, currency: Currency) -> tuple[int, Fraction]:
    """The minor units and the residual of a line."""
    parts = Parts()
    key = LineKey("voice.outbound", "usage", "US", "", "", Fraction(price), "minute", unit_size, "second")
    columns = (1, parts.line(key), parts.version("list@2026-10-01T00:00:00Z"), 1, quantity)
    parts.add(*(np.array([value], dtype=np.int64) for value in columns))
    lines = lines_of(parts, currency)
    return int(lines.amount_minor[0]), lines.residuals[0]


@given(price=PRICES, unit_size=UNIT_SIZES, quantity=st.integers(1, 10**9), currency=CURRENCIES)
@example(price=Decimal("0.005"), unit_size=1, quantity=1, currency=Currency("EUR"))
@example(price=Decimal("-0.005"), unit_size=1, quantity=1, currency=Currency("EUR"))
@example(price=Decimal("0.015"), unit_size=1, quantity=1, currency=Currency("KWD"))
@example(price=Decimal("0.5"), unit_size=60, quantity=60, currency=Currency("JPY"))
def test_rounded_plus_residual_is_exact_and_the_residual_is_at_most_half_a_step(
    price: Decimal, unit_size: int, quantity: int, currency: Currency
) -> None:
    minor, residual = billed(price, unit_size, quantity, currency)
    exact, rounded = Fraction(price) * Fraction(quantity, unit_size), Fraction(minor, 10 ** EXPONENTS[currency])
    half = Fraction(invoice_step(currency), 2 * 10 ** EXPONENTS[currency])
    assert exact == rounded + residual
    assert abs(residual) <= half
    assert 0 == minor % invoice_step(currency)
    if abs(residual) == half:
        assert abs(rounded) > abs(exact), "a tie goes away from zero"


@given(price=PRICES, unit_size=UNIT_SIZES, quantity=st.integers(1, 10**9), currency=CURRENCIES)
def test_a_credit_mirrors_its_charge(price: Decimal, unit_size: int, quantity: int, currency: Currency) -> None:
    minor, residual = billed(price, unit_size, quantity, currency)
    assert (-minor, -residual) == billed(-price, unit_size, quantity, currency)


@given(st.integers(), st.integers(min_value=1))
def test_a_rounded_ratio_is_the_nearest_integer_and_a_tie_goes_away_from_zero(numerator: int, denominator: int) -> None:
    nearest = round_ratio(numerator, denominator)
    distance = abs(Fraction(numerator, denominator) - nearest)
    assert distance <= Fraction(1, 2)
    if distance == Fraction(1, 2):
        assert abs(nearest) > abs(Fraction(numerator, denominator))


@given(st.integers(), CURRENCIES)
def test_a_written_amount_says_its_minor_units(minor: int, currency: Currency) -> None:
    assert Fraction(minor, 10 ** EXPONENTS[currency]) == Fraction(format_minor(minor, currency))


@given(st.fractions(max_denominator=10**12))
def test_a_written_fraction_reads_back(value: Fraction) -> None:
    assert value == parse_fraction(format_fraction(value)) == parse_fraction(str(value))


@given(st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", fullmatch=True))
def test_a_decimal_keeps_its_value_and_its_canonical_text_is_one_per_value(text: str) -> None:
    value = parse_decimal(text)
    assert Fraction(text) == Fraction(value) == Fraction(plain(value)) == Fraction(normal(value))
    assert normal(value) == normal(parse_decimal(normal(value)))
    assert normal(value) == normal(parse_decimal(text if "." in text else text + ".000"))
