"""Law 6: "Σ lines = total; |residual| ≤ ½ minor unit".

Here: the rounding and the sharing that it rests on.
"""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rates.money import (
    EXPONENTS,
    Currency,
    RoundingMode,
    format_fraction,
    format_minor,
    from_minor,
    invoice_step,
    normal,
    parse_amount,
    parse_decimal,
    parse_fraction,
    plain,
    round_ratio,
    round_to_step,
    split_by_largest_remainder,
    to_minor,
)

CURRENCIES = st.sampled_from(sorted(EXPONENTS))
AMOUNTS = st.fractions(min_value=-(10**15), max_value=10**15)
STDLIB = {
    RoundingMode.HALF_UP: ROUND_HALF_UP,
    RoundingMode.HALF_EVEN: ROUND_HALF_EVEN,
    RoundingMode.UP: ROUND_UP,
    RoundingMode.DOWN: ROUND_DOWN,
}


@given(AMOUNTS, CURRENCIES)
def test_rounded_plus_residual_is_exact_and_the_residual_is_at_most_half_a_step(
    amount: Fraction, currency: Currency
) -> None:
    minor, residual = to_minor(amount, currency)
    assert amount == from_minor(minor, currency) + residual
    assert abs(residual) <= from_minor(invoice_step(currency), currency) * Fraction(1, 2)
    assert 0 == minor % invoice_step(currency)
    if abs(residual) == from_minor(invoice_step(currency), currency) * Fraction(1, 2):
        assert abs(from_minor(minor, currency)) > abs(amount), "a tie goes away from zero"


@given(AMOUNTS, CURRENCIES)
def test_a_credit_mirrors_its_charge(amount: Fraction, currency: Currency) -> None:
    minor, residual = to_minor(amount, currency)
    assert (-minor, -residual) == to_minor(-amount, currency)


@given(
    st.decimals(min_value=-(10**9), max_value=10**9, places=6, allow_nan=False),
    st.integers(min_value=0, max_value=6),
    st.sampled_from(RoundingMode),
)
def test_every_mode_agrees_with_the_standard_library(value: Decimal, places: int, mode: RoundingMode) -> None:
    step = Decimal(1).scaleb(-places)
    with localcontext() as context:
        context.prec = 60
        expected = value.quantize(step, rounding=STDLIB[mode])
    assert Fraction(expected) == round_to_step(Fraction(value), Fraction(step), mode)


@given(st.integers(), st.integers(min_value=1))
def test_the_fast_path_is_the_nearest_integer(numerator: int, denominator: int) -> None:
    expected = round_to_step(Fraction(numerator, denominator), Fraction(1), RoundingMode.HALF_UP)
    distance = abs(Fraction(numerator, denominator) - round_ratio(numerator, denominator))
    assert expected == round_ratio(numerator, denominator)
    assert distance <= Fraction(1, 2)


@given(st.integers(), st.lists(st.integers(min_value=0, max_value=10**20), min_size=1).filter(any))
def test_parts_add_up_and_each_is_less_than_one_unit_from_its_exact_share(total: int, shares: list[int]) -> None:
    parts = split_by_largest_remainder(total, shares)
    assert total == sum(parts)
    exact = [Fraction(total * share, sum(shares)) for share in shares]
    assert all(abs(part - share) < 1 for part, share in zip(parts, exact, strict=True))
    assert all(part == 0 for part, share in zip(parts, shares, strict=True) if share == 0)
    assert [-part for part in parts] == split_by_largest_remainder(-total, shares)


@given(st.integers(), CURRENCIES)
def test_a_written_amount_reads_back(minor: int, currency: Currency) -> None:
    bounded = minor % 10**20
    assert bounded == parse_amount(format_minor(bounded, currency), currency)


@given(st.fractions(max_denominator=10**12))
def test_a_written_fraction_reads_back(value: Fraction) -> None:
    assert value == parse_fraction(format_fraction(value)) == parse_fraction(str(value))


@given(st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", fullmatch=True))
def test_a_decimal_keeps_its_value_and_its_canonical_text_is_one_per_value(text: str) -> None:
    value = parse_decimal(text)
    assert Fraction(text) == Fraction(value) == Fraction(plain(value)) == Fraction(normal(value))
    assert normal(value) == normal(parse_decimal(normal(value)))
    assert normal(value) == normal(parse_decimal(text if "." in text else text + ".000"))
