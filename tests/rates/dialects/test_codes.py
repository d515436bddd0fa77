"""Prefixes as decks write them."""

import contextlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rates.checking.cells import CellInvalidError
from rates.dialects.codes import JOINT, Codes, expanded, numbers_of
from rates.dialects.mappings import Column
from rates.errors import TollbookError
from rates.numbering import country_of

PREFIXES = Column(key="prefixes")
NANP = Column(key="prefixes", plan="nanp", hyphen="join", separator=",")


def read(column: Column, cell: str) -> str:
    """A cell both ways: where the quick reading is sure, it says what the careful one says."""
    codes = Codes(column=column)
    quick, doubtful = codes.prepared(pa.array([cell]))
    try:
        careful = codes.check(cell)
    except TollbookError:
        assert doubtful[0], "what is a fault is looked at"
        raise
    if not doubtful[0]:
        assert careful == quick[0].as_py()
    return careful


PIECES = st.sampled_from(["44", "1", "+43", "0049", "^93.*", "420", "0", "7-9", "1.5", "x", "", "331", "332", JOINT])
SIGNS = st.sampled_from([",", ", ", " ", ";", "|", "/", ",,", "-", ""])


@given(st.lists(st.tuples(PIECES, SIGNS), min_size=1, max_size=5), st.sampled_from(["", ",", "|", "/", " ", ";"]))
def test_the_quick_reading_says_what_the_careful_one_says(parts: list[tuple[str, str]], separator: str) -> None:
    cell = "".join(code + sign for code, sign in parts).strip(", ;|/-")
    column = Column(key="prefixes", separator=separator, hyphen="range")
    with contextlib.suppress(TollbookError):
        if cell:
            read(column, cell)


@given(
    st.lists(st.lists(st.sampled_from(["1", "44", "441", "43", "7"]), min_size=1, max_size=4), min_size=1, max_size=6)
)
def test_lists_beside_each_other_are_each_sorted_by_itself(lists: list[list[str]]) -> None:
    cells = pa.array([", ".join(codes) for codes in lists])
    quick, doubtful = Codes(column=PREFIXES).prepared(cells)
    assert [len(set(codes)) < len(codes) for codes in lists] == doubtful.tolist()
    assert [" ".join(sorted(codes)) for codes in lists if len(set(codes)) == len(codes)] == quick.filter(
        pa.array(~doubtful)
    ).to_pylist()


@pytest.mark.parametrize("cell", ["44", "+44", "0044", "^44.*", "^44", "44.*", "^0044.*", "^\\+44.*", "^44[0-9]*$"])
def test_a_prefix_is_one_however_it_is_written(cell: str) -> None:
    assert "44" == read(PREFIXES, cell)


@pytest.mark.parametrize(
    "cell", ["43 44", "43,44", "43, 44", "43;44", "43 | 44", "43/44", "44\u00a043", "+43\n+44", "43,,44,"]
)
def test_many_codes_stand_in_one_cell_with_any_separator(cell: str) -> None:
    assert "43 44" == read(PREFIXES, cell)


def test_a_separator_that_is_told_is_the_only_one() -> None:
    told = Column(key="prefixes", separator=",")
    assert "331 332" == read(told, "331,332")
    assert "1 268 340" == read(told, "1,268,340")
    with pytest.raises(CellInvalidError, match="several prefixes in one cell"):
        read(told, "331 332")
    with pytest.raises(CellInvalidError, match="group signs"):
        read(Column(key="prefixes", separator=" "), "4,420")


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("4.95E+12", '"4.95E+12": a spreadsheet destroyed this prefix'),
        ("4,95E+12", "a spreadsheet destroyed this prefix"),
        ("44.0", '"44.0": a spreadsheet made a decimal number of this prefix'),
        ("4420.5", "a spreadsheet made a decimal number of this prefix"),
        ("4,420", '"4,420": a spreadsheet may have put group signs into this prefix'),
        ("44,201,234", "may have put group signs"),
        ("0", "begins with 0"),
        ("020", "begins with 0"),
        ("1234567890123456", "is longer than the 15 digits"),
        ("\uff14\uff14", "has a character outside ASCII"),
        ("^93(7|8).*", "is not a prefix"),
        ("44x", "is not a prefix"),
        ("Total", "is not a prefix"),
        ("44 44", "is listed twice"),
        (",", "holds no prefix"),
        ("9370-9372", "is a range, or a country and an area code"),
    ],
)
def test_what_is_no_prefix_or_could_be_two_things_is_a_fault(cell: str, problem: str) -> None:
    with pytest.raises(TollbookError) as error:
        read(PREFIXES, cell)
    assert problem in str(error.value)
    assert error.value.remedy


def test_a_hyphen_is_what_it_is_told_to_be() -> None:
    assert "9370 9371 9372" == read(Column(key="prefixes", hyphen="range"), "9370-9372")
    assert "9370 9371 9372 95" == read(Column(key="prefixes", hyphen="range"), "9370 – 72, 95")
    assert "93709372" == read(Column(key="prefixes", hyphen="join"), "9370-9372")
    assert "1204" == read(Column(key="prefixes", hyphen="join"), "+1-204")


@pytest.mark.parametrize(
    ("cell", "codes"), [("2340-2359", ["234", "235"]), ("100-999", list("123456789")), ("44-44", ["44"])]
)
def test_a_range_is_covered_by_the_fewest_prefixes(cell: str, codes: list[str]) -> None:
    assert codes == expanded(cell.partition("-")[0], cell.partition("-")[2], cell)


@given(st.integers(1, 99_999), st.integers(0, 9_000))
def test_the_prefixes_of_a_range_match_its_numbers_and_no_other(first: int, more: int) -> None:
    width = len(str(first + more))
    start, end = str(first).rjust(width, "1"), str(first + more)
    if int(end) < int(start) or int(end) - int(start) > 9_000:
        return
    prefixes = expanded(start, end, "")
    assert len(set(prefixes)) == len(prefixes)
    for number in {int(start), int(end), (int(start) + int(end)) // 2}:
        assert 1 == sum(str(number).startswith(prefix) for prefix in prefixes)
    assert int(end) - int(start) + 1 == sum(10 ** (width - len(prefix)) for prefix in prefixes)


@pytest.mark.parametrize("cell", ["9372-9370", "93-9370", "100000-999999"])
def test_a_range_that_is_none_is_a_fault(cell: str) -> None:
    with pytest.raises(CellInvalidError, match="is no range of prefixes"):
        read(Column(key="prefixes", hyphen="range"), cell)


@pytest.mark.parametrize(
    ("country", "areas", "codes"),
    [
        ("93", "70", "9370"),
        ("+93", "70", "9370"),
        ("0093", "70,71", "9370 9371"),
        ("93", "", "93"),
        ("1", "268", "1268"),
        ("39", "06", "3906"),
        ("225", "01;05", "22501 22505"),
    ],
)
def test_a_country_code_in_its_own_column_stands_before_every_area_code(country: str, areas: str, codes: str) -> None:
    assert codes == read(PREFIXES, f"{country}{JOINT}{areas}")


def test_a_trunk_prefix_inside_a_country_is_a_fault_unless_it_is_told_to_be_left_out() -> None:
    with pytest.raises(CellInvalidError, match='"020": begins with the trunk prefix 0'):
        read(PREFIXES, f"44{JOINT}020")
    assert "4420" == read(Column(key="prefixes", trunk="0"), f"44{JOINT}020")
    assert "3906" == read(Column(key="prefixes", trunk="0"), f"39{JOINT}06")


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("201555", "1201555"),
        ("1201555", "1201555"),
        ("201-555", "1201555"),
        ("2015553", "12015553"),
        ("201", "1201"),
        (f"201{JOINT}555", "1201555"),
        (f"1201{JOINT}555", "1201555"),
        (f"201{JOINT}555{JOINT}3", "12015553"),
        (f"201{JOINT}", "1201"),
        (f"201{JOINT}555{JOINT}", "1201555"),
    ],
)
def test_codes_of_the_north_american_plan_get_its_country_code_once(cell: str, code: str) -> None:
    assert code == read(NANP, cell)


@pytest.mark.parametrize("cell", ["101555", "44", "20155", "201155", "201555123", "201 555"])
def test_what_is_no_code_of_the_north_american_plan_is_a_fault(cell: str) -> None:
    with pytest.raises(CellInvalidError):
        read(NANP, cell)


@pytest.mark.parametrize("country", ["LU", "KZ", "RU", "GB", "GG", "CA"])
def test_the_numbers_of_a_country_are_its_own_and_no_other_countrys(country: str) -> None:
    prefixes = numbers_of(country)
    assert prefixes
    assert {country} == {country_of(prefix) for prefix in prefixes}


def test_the_numbers_of_no_country_are_none() -> None:
    assert [] == numbers_of("XX")
    assert ["352"] == numbers_of("LU")
    assert ["76", "77"] == numbers_of("KZ")


def test_a_word_where_callers_are_told_apart_must_be_told() -> None:
    with pytest.raises(CellInvalidError) as error:
        read(Column(key="origin_prefixes"), "local")
    assert "is a word instead of prefixes" == error.value.problem
    assert "columns.origin_prefixes.words.local" in error.value.remedy


@pytest.mark.parametrize(
    ("separator", "cell", "remedy"),
    [
        (",", "33;39", 'separate them with commas, or tell columns.prefixes.separator = ";" if all are'),
        (",", "33 39", 'separate them with commas, or tell columns.prefixes.separator = " " if all are'),
        (" ", "33, 39", None),
        (" ", "33,39", 'separate them with spaces, or tell columns.prefixes.separator = "," if all are'),
        (";", "33 | 39", 'separate them with ;, or tell columns.prefixes.separator = "|" if all are'),
    ],
)
def test_the_separator_that_is_told_is_the_one_that_a_fault_advises(
    separator: str, cell: str, remedy: str | None
) -> None:
    with pytest.raises(CellInvalidError) as error:
        read(Column(key="prefixes", separator=separator), cell)
    assert remedy is None or remedy == error.value.remedy
