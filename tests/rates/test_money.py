from decimal import Decimal, localcontext
from fractions import Fraction

import pytest

from rates.money import (
    EXPONENTS,
    Currency,
    CurrencyUnknownError,
    DecimalInvalidError,
    currency,
    exact,
    format_fraction,
    format_minor,
    invoice_step,
    normal,
    parse_decimal,
    parse_fraction,
    parse_price,
    plain,
    round_ratio,
)

EUR, JPY, KWD, CLF = (currency(code) for code in ("EUR", "JPY", "KWD", "CLF"))


@pytest.mark.parametrize("text", ["0", "0.0140", "-3", "007", "123456789012.123456789012", "-0.000000000001"])
def test_a_plain_decimal_is_read_with_its_decimals_as_given(text: str) -> None:
    assert text.replace("007", "7") == plain(parse_decimal(text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nothing stands here"),
        ("NaN", "not a finite number"),
        ("sNaN", "not a finite number"),
        ("Infinity", "not a finite number"),
        ("-inf", "not a finite number"),
        ("1e999", "an exponent"),
        ("4.95E+12", "an exponent"),
        ("+5", "a leading plus sign"),
        (" 5", "white space in a number"),
        ("5\n", "white space in a number"),
        ("1 000", "white space in a number"),
        ("1_000", "an underscore in a number"),
        ("٣", "a character outside ASCII"),
        ("\uff11\uff12", "a character outside ASCII"),
        ("−5", "a character outside ASCII"),
        ("€5", "a character outside ASCII"),
        ("0,014", "a comma in a number"),
        (".5", "no digit on one side of the decimal point"),
        ("5.", "no digit on one side of the decimal point"),
        ("--5", "not a plain decimal"),
        ("0x10", "not a plain decimal"),
        ("1.2.3", "not a plain decimal"),
        ("$5", "not a plain decimal"),
        ("0.1234567890123", "13 decimals, but at most 12 are allowed"),
        ("1" * 25, "25 digits before the point, but at most 24 are allowed"),
        ("1" * 13 + ".123456789012", "25 significant digits, but at most 24 are allowed"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(DecimalInvalidError) as caught:
        parse_decimal(text)
    assert (problem, text) == (caught.value.problem, caught.value.value)


def test_the_number_of_decimals_is_the_callers() -> None:
    assert Decimal("0.12") == parse_decimal("0.12", places=2)
    with pytest.raises(DecimalInvalidError, match="3 decimals, but at most 2"):
        parse_decimal("0.120", places=2)


def test_leading_zeros_are_not_significant() -> None:
    assert Decimal(1) == parse_decimal("0" * 40 + "1")


def test_a_price_fits_its_database_column() -> None:
    assert Decimal("999999999999.999999999999") == parse_price("999999999999.999999999999")
    with pytest.raises(DecimalInvalidError, match="13 digits before the point, but at most 12"):
        parse_price("1000000000000")


def test_minus_zero_is_zero() -> None:
    assert "0.00" == plain(parse_decimal("-0.00"))


def test_parsing_printing_and_fractions_ignore_the_decimal_context() -> None:
    text = "123456789012.123456789012"
    with localcontext() as context:
        context.prec = 3
        value = parse_decimal(text)
        assert text == plain(value) == normal(value)
        assert Fraction(123456789012123456789012, 10**12) == exact(value)


@pytest.mark.parametrize("special", ["NaN", "Infinity"])
def test_a_number_that_is_not_finite_has_no_fraction(special: str) -> None:
    with pytest.raises(DecimalInvalidError):
        exact(Decimal(special))


def test_a_minute_price_billed_by_the_second_is_exact() -> None:
    assert Fraction(7, 30000) == Fraction(exact(parse_decimal("0.0140")), 60)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("0.0140", "0.014"),
        ("10.00", "10"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("-0.00", "0"),
        ("0", "0"),
        ("-1.50", "-1.5"),
        ("1E-12", "0.000000000001"),
    ],
)
def test_the_canonical_text_has_no_trailing_zeros_and_no_exponent(given: str, canonical: str) -> None:
    assert canonical == normal(Decimal(given))


def test_every_currency_of_list_one_with_a_minor_unit_is_known() -> None:
    assert 165 == len(EXPONENTS)
    expected = {0: 17, 2: 139, 3: 7, 4: 2}
    assert expected == {n: list(EXPONENTS.values()).count(n) for n in (0, 2, 3, 4)}


@pytest.mark.parametrize(
    ("code", "exponent"),
    [
        ("USD", 2),
        ("JPY", 0),
        ("ISK", 0),
        ("HUF", 2),
        ("UGX", 0),
        ("BHD", 3),
        ("TND", 3),
        ("CLF", 4),
        ("UYW", 4),
        ("XCG", 2),
    ],
)
def test_exponents_are_those_of_iso_4217(code: str, exponent: int) -> None:
    assert exponent == EXPONENTS[currency(code)]


@pytest.mark.parametrize("code", ["", "usd", "XAU", "HRK", "ANG", "BGN", "EURO", "US"])
def test_a_code_that_is_not_an_active_currency_is_refused(code: str) -> None:
    with pytest.raises(CurrencyUnknownError):
        currency(code)


@pytest.mark.parametrize(("given", "step"), [(EUR, 1), (JPY, 1), (KWD, 10), (CLF, 1)])
def test_three_decimal_currencies_invoice_in_steps_of_ten(given: Currency, step: int) -> None:
    assert step == invoice_step(given)


@pytest.mark.parametrize(
    ("numerator", "denominator", "nearest"),
    [
        (0, 7, 0),
        (1, 2, 1),
        (-1, 2, -1),
        (3, 2, 2),
        (-3, 2, -2),
        (49, 100, 0),
        (-51, 100, -1),
        (10**30 + 1, 2, 5 * 10**29 + 1),
    ],
)
def test_ties_go_away_from_zero(numerator: int, denominator: int, nearest: int) -> None:
    assert nearest == round_ratio(numerator, denominator)


@pytest.mark.parametrize("denominator", [0, -1])
def test_a_ratio_over_nothing_is_refused(denominator: int) -> None:
    with pytest.raises(ZeroDivisionError):
        round_ratio(1, denominator)


@pytest.mark.parametrize(
    ("minor", "given", "text"),
    [
        (1230, EUR, "12.30"),
        (-5, EUR, "-0.05"),
        (0, EUR, "0.00"),
        (1230, JPY, "1230"),
        (1230, KWD, "1.230"),
        (7, CLF, "0.0007"),
    ],
)
def test_an_amount_is_written_with_its_currencys_decimals(minor: int, given: Currency, text: str) -> None:
    assert text == format_minor(minor, given)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("1/250", "0.004"),
        ("-1/300", "-1/300"),
        ("2/6", "1/3"),
        ("7", "7"),
        ("1/8", "0.125"),
        ("-5/2", "-2.5"),
        ("1/1024", "0.0009765625"),
    ],
)
def test_a_fraction_is_written_as_a_decimal_if_it_ends(value: str, text: str) -> None:
    assert text == format_fraction(Fraction(value))
    assert Fraction(value) == parse_fraction(text)


@pytest.mark.parametrize("text", ["", "1/0", "1/00", "1e5", " 1", "1_0", "1/-3", "٣", "+1", "9" * 5000])
def test_a_text_that_is_no_fraction_is_refused(text: str) -> None:
    with pytest.raises(DecimalInvalidError):
        parse_fraction(text)
