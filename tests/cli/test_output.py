"""What commands print, for people and for programs."""

import csv
import io
import json

import pytest

from cli.output import Format, emit, emit_record, grouped, money, number, printable, readable, text

COLUMNS = (text("name"), number("amount"))
ROWS = [{"name": "one", "amount": "1234567.50"}, {"name": "=2+3", "amount": "-2"}]


@pytest.mark.parametrize(
    ("plain", "shown"),
    [
        ("0", "0"),
        ("999", "999"),
        ("1000", "1,000"),
        ("1234567.0140", "1,234,567.0140"),
        ("-1234.5", "-1,234.5"),
        ("1/3", "1/3"),
        ("", ""),
        ("٣", "٣"),
    ],
)
def test_thousands_are_apart_and_nothing_else_changes(plain: str, shown: str) -> None:
    assert shown == grouped(plain)


@pytest.mark.parametrize(
    ("exact", "shown"), [("0.0140", "0.0140"), ("1/3", "≈0.333333"), ("2/3", "≈0.666667"), ("-1/300", "≈-0.003333")]
)
def test_a_number_without_an_end_is_cut_and_marked(exact: str, shown: str) -> None:
    assert shown == readable(exact)


def test_money_has_its_currency() -> None:
    assert "1,234.50 USD" == money("1234.50", "USD")


def test_a_table_has_numbers_to_the_right_and_its_title_whole(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, COLUMNS, Format.TABLE, title="A title that is longer than the table", total={"amount": "1234565.50"})
    lines = capsys.readouterr().out.splitlines()
    assert "A title that is longer than the table" == lines[0]
    first, second = (line for line in lines if "one" in line or "=2+3" in line)
    assert "1,234,567.50" in first
    assert first.rstrip().endswith(".50")
    assert second.rstrip().endswith(" -2")
    assert any("1,234,565.50" in line for line in lines)


def test_off_a_terminal_there_is_no_colour_and_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    emit([{"name": long, "amount": "1"}], COLUMNS, Format.TABLE, title="title")
    out = capsys.readouterr().out
    assert long in out
    assert "\x1b" not in out


def test_words_of_strangers_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    emit([{"name": "\x1b[2J\r\nx", "amount": "1"}], COLUMNS, Format.TABLE)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[2J\\r\\nx" in out
    assert "a\\x07b" == printable("a\x07b")


def test_json_has_every_fact_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    emit([{**row, "more": [1]} for row in ROWS], COLUMNS, Format.JSON, title="not in it")
    assert [{**row, "more": [1]} for row in ROWS] == json.loads(capsys.readouterr().out)


def test_csv_has_a_header_and_no_cell_that_a_spreadsheet_calculates(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, COLUMNS, Format.CSV)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert [["name", "amount"], ["one", "1234567.50"], ["'=2+3", "-2"]] == rows


def test_one_thing_is_shown_fact_by_fact(capsys: pytest.CaptureFixture[str]) -> None:
    emit_record({"size_bytes": 3, "nothing": None, "empty": []}, Format.TABLE)
    assert ["size", "bytes", "3"] == capsys.readouterr().out.split()
    emit_record({"size_bytes": 3}, Format.JSON)
    assert {"size_bytes": 3} == json.loads(capsys.readouterr().out)
