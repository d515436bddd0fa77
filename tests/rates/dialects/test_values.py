"""Prices, increments, flags and match values as decks write them."""

import pyarrow as pa
import pytest

from rates.checking.cells import CellInvalidError
from rates.dialects.mappings import Column
from rates.dialects.values import Amounts, check_flag_of, check_interval, check_network, check_value_of
from rates.errors import TollbookError
from rates.money import exact, parse_decimal


def price(text: str, *, decimal: str = ".", group: str = "", currency: str = "USD", scale: str = "1") -> str:
    way = Amounts(decimal=decimal, group=group, currency=currency, scale=scale)
    plain, doubtful = way.prepared(pa.array([text]))
    try:
        careful = way.check(text)
    except TollbookError:
        assert doubtful[0], "what is a fault is looked at"
        raise
    assert doubtful[0] or exact(parse_decimal(careful)) == exact(parse_decimal(plain[0].as_py()))
    return careful


@pytest.mark.parametrize("text", ["0.0140", "$0.0140", "0.0140 $", "USD 0.0140", "US$0.0140", "0.0140 usd"])
def test_a_sign_of_the_decks_currency_beside_a_price_is_dropped(text: str) -> None:
    assert "0.014" == price(text)


@pytest.mark.parametrize("text", ["0.01 €", "£0.01", "EUR 0.01", "0.01 GBP"])
def test_a_price_in_another_currency_is_a_fault(text: str) -> None:
    with pytest.raises(CellInvalidError, match="the deck in USD"):
        price(text)


def test_decimal_comma_and_groups_are_read_only_when_told() -> None:
    assert "0.014" == price("0,014", decimal=",")
    assert "1234.5" == price("1.234,50 €", decimal=",", group=".", currency="EUR")
    assert "1234.5" == price("1,234.50", group=",")
    assert "1234567.5" == price("1 234\u00a0567,5", decimal=",", group=" ")
    assert "1234.5" == price("1'234.5", group="'")
    with pytest.raises(CellInvalidError, match="has a comma, of decimals; tell"):
        price("0,014")
    with pytest.raises(CellInvalidError, match="has a comma, of decimals or of thousands"):
        price("1,234")
    with pytest.raises(CellInvalidError, match="has a point, and its decimals stand after a comma"):
        price("0.014", decimal=",")


@pytest.mark.parametrize("text", ["12,34.5", "1234,567.5", ",5", "1,23"])
def test_groups_stand_where_thousands_end_or_are_a_fault(text: str) -> None:
    with pytest.raises(CellInvalidError):
        price(text, group=",")


def test_a_price_in_cents_moves_its_point() -> None:
    assert "0.0125" == price("1.25", scale="0.01")
    assert "0.0009" == price("9", scale="0.0001")
    assert "12.5" == price("1250", scale="0.01")
    assert "0.0125" == price("1,25", decimal=",", scale="0.01")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1.4E-05", "an exponent"),
        ("0.30000000000000004", "17 decimals, but at most 12 are allowed"),
        ("-0.01", "is negative"),
        ("free", "not a plain decimal"),
        ("NaN", "not a finite number"),
        ("0.01%", "is not a price"),
    ],
)
def test_what_is_no_price_is_a_fault_with_a_remedy(text: str, problem: str) -> None:
    with pytest.raises(TollbookError) as error:
        price(text)
    assert problem in error.value.problem
    assert error.value.remedy


@pytest.mark.parametrize(
    ("text", "increments"),
    [("60/1", "60/1"), ("60-1", "60/1"), ("60:1", "60/1"), ("60 / 60", "60/60"), ("6", "6/6"), ("30+6", "30/6")],
)
def test_increments_are_first_and_next_however_they_are_written(text: str, increments: str) -> None:
    assert increments == check_interval("")(text)


def test_a_step_of_zero_means_what_is_told_and_else_is_a_fault() -> None:
    with pytest.raises(CellInvalidError, match="has a step of 0"):
        check_interval("")("0/0")
    assert "1/1" == check_interval("1")("0/0")
    assert "30/1" == check_interval("1")("30/0")
    assert "60/60" == check_interval("1")("0/60")


@pytest.mark.parametrize("text", ["6-Jun", "01-Jan", "2026-06-30", "Jun-30"])
def test_increments_that_a_spreadsheet_made_a_date_of_are_a_fault(text: str) -> None:
    with pytest.raises(CellInvalidError, match="a spreadsheet made a date of these increments"):
        check_interval("")(text)


def test_flags_are_the_words_that_are_known() -> None:
    column = Column(key="exact", true=("ja",), false=("", "nein"))
    assert ("true", "", "") == tuple(map(check_flag_of(column), ("Ja", "nein", "")))
    with pytest.raises(CellInvalidError, match=r"columns\.exact\.true"):
        check_flag_of(column)("vielleicht")


def test_values_are_replaced_emptied_and_padded_as_told() -> None:
    column = Column(key="mnc", default=("999", "*"), pad=2, words={"uk": "235"})
    assert ["01", "", "", "235", "010"] == list(map(check_value_of(column), ("1", "999", "*", "UK", "010")))


def test_a_network_in_one_cell_is_its_country_and_its_own_code() -> None:
    check = check_network(Column(key="mccmnc", default=("999",)))
    assert ["310 410", "310 410", "248 01", "310 ", "310 "] == list(
        map(check, ("310410", "310-410", "248 01", "310", "310999"))
    )
    with pytest.raises(CellInvalidError, match="is no mobile network"):
        check("1410")


@pytest.mark.parametrize("text", ["0.012", "0.000", "012.345", "-0.012"])
def test_what_begins_with_0_is_no_number_of_thousands(text: str) -> None:
    with pytest.raises(CellInvalidError, match="where no thousands end"):
        price(text, decimal=",", group=".")
    with pytest.raises(CellInvalidError, match="where no thousands end"):
        price(text.replace(".", ","), group=",")


@pytest.mark.parametrize(("text", "offered"), [("1.234", True), ("1.234,5", True), ("0.012", False), ("12.5", False)])
def test_a_group_sign_is_offered_only_where_thousands_may_end(text: str, *, offered: bool) -> None:
    with pytest.raises(CellInvalidError) as error:
        price(text, decimal=",")
    assert offered is ("numbers.group" in error.value.remedy), error.value.remedy
    with pytest.raises(CellInvalidError) as error:
        price(text.translate(str.maketrans(",.", ".,")))
    assert offered is ("numbers.group" in error.value.remedy), error.value.remedy
