"""Spreadsheets as text: what a cell holds, and what a spreadsheet has done to it."""

import datetime as dt
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.sources.spreadsheets import decimal_texts, is_spreadsheet, open_spreadsheet, texts
from rates.dialects.files import Grid
from tests.decks import faults, mapped, read, rows
from tests.workbooks import Cell, workbook

MAPPING = """
product = "voice.outbound"
unit = "minute"
increments = "60/60"
[columns]
prefixes = "Code"
[[prices]]
column = "Rate"
"""


def grid(*lines: Sequence[Cell], name: str = "Rates") -> Grid:
    found, problems = open_spreadsheet(workbook({name: lines}), "deck.xlsx")
    assert [] == problems
    assert found is not None
    return found


def problem(data: bytes, sheet: str = "") -> str:
    found, problems = open_spreadsheet(data, "deck.xlsx", sheet=sheet)
    assert None is found
    return str(problems[0])


def test_cells_of_every_kind_become_text() -> None:
    found = grid(("text", 44, 0.0145), (" 0044 ", True, dt.date(2026, 8, 16)), (None, 4950000000000, 1e-05))
    assert [("text", "44", "0.0145"), (" 0044 ", "true", "2026-08-16"), ("", "4950000000000", "0.00001")] == list(
        found.top
    )


@given(st.decimals(min_value=0, max_value=10**9, places=6).map(lambda value: format(value.normalize(), "f")))
def test_a_price_that_was_typed_is_read_as_it_was_typed(text: str) -> None:
    assert [text] == list(decimal_texts([float(text)]))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_reads_back_as_the_same_number(number: float) -> None:
    (text,) = decimal_texts([number])
    assert number == float(text)
    assert "e" not in text.lower()


def test_whole_numbers_have_no_decimals_however_large_they_are() -> None:
    assert ["0", "44", "9007199254740992", "100000000000000000000000"] == decimal_texts([0.0, 44.0, 2.0**53, 1e23])


def test_numbers_are_marked_as_such() -> None:
    cells, numbers = texts(["mnc", 1.0, "01", 1.0])
    assert ["mnc", "1", "01", "1"] == cells.to_pylist()
    assert numbers is not None
    assert [False, True, False, True] == numbers.tolist()
    assert None is texts(["a", "b"])[1]


def test_true_is_not_the_number_one() -> None:
    assert pa.array(["true", "1", "false", "0"]).equals(texts([True, 1.0, False, 0.0])[0])


def test_a_calculated_price_has_more_decimals_than_a_price_may_have() -> None:
    found = faults(read(grid(("Code", "Rate"), (44, 0.1 + 0.2)), mapped(MAPPING)))
    problem, remedy = "17 decimals, but at most 12 are allowed", "round the column to the decimals that were published"
    assert [f'deck.xlsx:2 Rate "0.30000000000000004": {problem}; {remedy}'] == found


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("4.95E+12", 'deck.xlsx:3 Code "4.95E+12": a spreadsheet destroyed this prefix; export the column as text'),
        (4420.5, 'deck.xlsx:3 Code "4420.5": a spreadsheet made a decimal number of this prefix'),
        ("4,420", 'deck.xlsx:3 Code "4,420": a spreadsheet may have put group signs into this prefix'),
        (1e17, 'deck.xlsx:3 Code "100000000000000000": is longer than the 15 digits of E.164'),
    ],
)
def test_a_prefix_that_a_spreadsheet_destroyed_is_a_fault_with_row_column_and_remedy(cell: Cell, fault: str) -> None:
    assert fault in faults(read(grid(("Code", "Rate"), (43, 0.1), (cell, 0.1)), mapped(MAPPING)))[0]


def test_increments_that_a_spreadsheet_made_a_date_of_are_a_fault() -> None:
    mapping = mapped(MAPPING, columns__increments="Step")
    found = faults(read(grid(("Code", "Rate", "Step"), (44, 0.1, dt.date(2026, 6, 30))), mapping))
    assert 'deck.xlsx:2 Step "2026-06-30": a spreadsheet made a date of these increments' in found[0]


def test_a_network_that_a_spreadsheet_holds_as_a_number_has_lost_its_zeros() -> None:
    lines = (("MCC", "MNC", "Price"), (310, "01", 0.1), (310, 1, 0.1), (310, 410, 0.1))
    found = faults(read(grid(*lines), mapped("sms")))
    assert ['deck.xlsx:3 MNC "1": is a number in the spreadsheet: its leading zeros are lost'] == [
        fault.split(";")[0] for fault in found
    ]
    padded = mapped("sms", columns__mnc__pad="2")
    assert [("310", "01"), ("310", "02"), ("310", "410")] == rows(
        read(grid(lines[0], lines[1], (310, 2, 0.1), lines[3]), padded), "mcc", "mnc"
    )


def test_a_date_of_a_spreadsheet_is_a_date_in_any_order() -> None:
    mapping = mapped('dates = "M/D/YYYY"\n' + MAPPING, columns__effective_from="From")
    lines = (("Code", "Rate", "From"), (44, 0.1, dt.date(2026, 11, 6)), (45, 0.1, "11/6/2026"))
    assert [("2026-11-06T00:00:00Z",)] * 2 == rows(read(grid(*lines), mapping), "effective_from")


def test_rows_and_columns_keep_their_places_where_cells_are_empty() -> None:
    found = grid((), ("Rates",), (None, "Code", "Rate"), (), (None, 44, 0.1))
    assert ["deck.xlsx:5"] == [faults(read(found, mapped(MAPPING + "[constants]\nmcc = '310'\n")))[0].split(" ")[0]]


def test_of_several_sheets_one_must_be_told_unless_the_others_are_hidden_or_empty() -> None:
    sheets: dict[str, list[tuple[Cell, ...]]] = {
        "Rates": [("Code", "Rate"), (44, 0.1)],
        "Notes": [("Valid", 1)],
        "Empty": [],
    }
    assert "deck.xlsx: has several sheets; tell file.sheet, one of Rates, Notes" == problem(workbook(sheets))
    found, _ = open_spreadsheet(workbook(sheets, hidden=["Notes"]), "deck.xlsx")
    assert found is not None
    assert "deck.xlsx" == found.place
    found, _ = open_spreadsheet(workbook(sheets), "deck.xlsx", sheet="Notes")
    assert found is not None
    assert ("deck.xlsx Notes", [("Valid", "1")]) == (found.place, list(found.top))
    assert 'deck.xlsx "Old": is not a sheet of it; the workbook has Rates, Notes, Empty' == problem(
        workbook(sheets), "Old"
    )


def test_what_is_no_workbook_is_a_fault() -> None:
    assert "deck.xlsx: is no workbook" in problem(b"PK\x03\x04 and nothing else")
    assert "deck.xlsx: has no rows" in problem(workbook({"Rates": []}))
    assert is_spreadsheet(workbook({"Rates": []}))
    assert not is_spreadsheet(b"Code,Rate\n")


def test_what_a_spreadsheet_holds_as_a_number_is_never_read_again_by_the_signs_of_texts() -> None:
    found = grid(("Code", "Rate", "Setup"), (44, 1.234, 0.125), (33, 0.012, "0,5"), (49, "0,0150", 1.234))
    mapping = MAPPING.replace("[columns]", '[columns]\nsetup_fee = "Setup"')
    assert 'tell numbers.decimal = ","' in faults(read(found, mapped(mapping)))[0]
    for told in ({"numbers__decimal": ","}, {"numbers__decimal": ",", "numbers__group": "."}):
        assert [("44", "1.234", "0.125"), ("33", "0.012", "0.5"), ("49", "0.015", "1.234")] == rows(
            read(found, mapped(mapping, **told)), "prefixes", "prices", "setup_fee"
        )
