"""A corpus of damaged decks: one cell of a small good deck is changed, and the fault must name it and say what to do.

Each damage is tried in CSV and, where a spreadsheet could hold it, in XLSX; those of our own cards and of JSON bodies
have their own lists. A damage that nobody notices would be a price that nobody published.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from billing.sources.spreadsheets import open_spreadsheet
from rates.cardfile import read_card
from rates.dialects.cdrtool import File, read_cdrtool
from rates.dialects.decks import Reading
from tests.decks import BEGINS, PRODUCTS, mapped, read
from tests.workbooks import workbook

OWN = """
product = "voice.outbound"
unit = "minute"
dates = "D/M/YYYY"
[numbers]
decimal = ","
[columns]
prefixes = {column = "Code", hyphen = "range"}
increments = "Steps"
setup_fee = "Fee"
blocked = {column = "Barred", true = ["yes"], false = ["no", ""]}
effective_from = "From"
[[prices]]
column = "Price"
"""
DECKS: dict[str, tuple[str, list[list[str]]]] = {
    "twilio": (
        "twilio",
        [
            ["Destination Prefixes", "Origination Prefixes", "Description", "Price / min"],
            ["44, 441", "", "UK", "0.02"],
            ["49", "33, 39", "Germany", "0.01"],
        ],
    ),
    "telnyx": (
        "telnyx",
        [
            ["ISO", "Origination Prefixes", "Destination Prefixes", "Description", "Interval 1", "Interval N", "Rate",
             "Price Per Call", "Exact Match"],
            ["GB", "", "44", "UK", "60", "60", "0.02", "0.01", ""],
            ["DE", "33", "49", "Germany", "30", "6", "0.01", "", "false"],
        ],
    ),
    "astpp": (
        "astpp",
        [
            ["Code", "Destination", "Connect Cost", "Included Seconds", "Per Minute Cost", "Initial Increment",
             "Increment"],
            ["^44.*", "UK", "0.01", "0", "0.02", "60", "60"],
            ["^49.*", "Germany", "0", "0", "0.01", "30", "6"],
        ],
    ),
    "46labs": (
        "46labs",
        [
            ["code", "destination", "rate", "duration", "increment", "effective_date"],
            ["44", "UK", "0.02", "1", "1", "10/1/2026"],
            ["49", "Germany", "0.01", "6", "6", "10/1/2026"],
        ],
    ),
    "npanxx": (
        "npanxx",
        [["npa", "nxx", "inter", "intra", "increments"], ["201", "555", "0.001", "0.002", "6/6"],
         ["202", "555", "0.001", "0.002", "6/6"]],
    ),
    "sms": (
        "sms",
        [["Country Code", "Network", "MCC", "MNC", "Price"], ["EE", "One", "248", "01", "0.10"],
         ["EE", "Other", "248", "999", "0.02"]],
    ),
    "own": (
        OWN,
        [["Code", "Price", "Steps", "Fee", "Barred", "From"], ["44", "0,02", "60/60", "", "no", "1/10/2026"],
         ["45-46", "0,01", "1/1", "0,1", "no", "1/10/2026"]],
    ),
}  # fmt: skip

Damage = tuple[str, int, str, str, str]
"""The deck, the line, the column, what stands there now, and what must be said of it."""

DAMAGES: list[Damage] = [
    ("twilio", 2, "Destination Prefixes", "4.4E+10", "spreadsheet"),
    ("twilio", 2, "Destination Prefixes", "44, 4a1", "not a prefix"),
    ("twilio", 2, "Destination Prefixes", "044", "0"),
    ("twilio", 3, "Destination Prefixes", "", "is missing"),
    ("twilio", 3, "Destination Prefixes", "49, 49", "twice"),
    ("twilio", 3, "Destination Prefixes", "1234567890123456", "15"),
    ("twilio", 3, "Origination Prefixes", "EEA", "word"),
    ("twilio", 2, "Price / min", "", "is missing"),
    ("twilio", 2, "Price / min", "free", "not a plain decimal"),
    ("twilio", 2, "Price / min", "0,02", "comma"),
    ("twilio", 2, "Price / min", "-0.02", "negative"),
    ("twilio", 2, "Price / min", "€ 0.02", "is in €"),
    ("twilio", 2, "Price / min", "2E-2", "exponent"),
    ("twilio", 2, "Price / min", "NaN", "not a"),
    ("twilio", 2, "Price / min", "0.0200000000000000004", "decimals"),
    ("twilio", 2, "Price / min", "0.02 EUR", "is in EUR"),
    ("telnyx", 2, "Destination Prefixes", "44-45", "range"),
    ("telnyx", 2, "Destination Prefixes", "44 (UK)", "not a prefix"),
    ("telnyx", 3, "Origination Prefixes", "local", "word"),
    ("telnyx", 2, "Interval 1", "0", "step of 0"),
    ("telnyx", 2, "Interval 1", "", "increments"),
    ("telnyx", 2, "Interval 1", "often", "increments"),
    ("telnyx", 2, "Interval 1", "1.5", "increments"),
    ("telnyx", 2, "Rate", "0.02 USD a minute", "white space"),
    ("telnyx", 2, "Price Per Call", "x", "not a"),
    ("telnyx", 2, "Exact Match", "maybe", "neither a yes nor a no"),
    ("astpp", 2, "Code", "^[49].*", "not a prefix"),
    ("astpp", 2, "Code", "^0.*", "0"),
    ("astpp", 2, "Included Seconds", "30", "would change the price"),
    ("astpp", 2, "Connect Cost", "0,01", "comma"),
    ("astpp", 2, "Per Minute Cost", "1,234.5", "comma"),
    ("astpp", 2, "Initial Increment", "-1", "increments"),
    ("46labs", 2, "code", "Total", "not a prefix"),
    ("46labs", 2, "rate", "n/a", "not a plain decimal"),
    ("46labs", 2, "effective_date", "31/12/2026", "no day"),
    ("46labs", 2, "effective_date", "2026-13-01", "no day"),
    ("46labs", 2, "effective_date", "soon", "date"),
    ("46labs", 2, "increment", "Jan-60", "increments"),
    ("npanxx", 2, "npa", "101", "North American plan"),
    ("npanxx", 2, "nxx", "055", "trunk prefix"),
    ("npanxx", 2, "nxx", "55", "North American plan"),
    ("npanxx", 2, "npa", "44", "North American plan"),
    ("npanxx", 2, "inter", "$", "not a plain decimal"),
    ("npanxx", 2, "intra", "", "is missing"),
    ("npanxx", 2, "increments", "2026-06-06", "spreadsheet"),
    ("npanxx", 2, "increments", "6/0", "step of 0"),
    ("sms", 2, "MCC", "24", "not a mobile code"),
    ("sms", 2, "MCC", "EE", "not a mobile code"),
    ("sms", 2, "MNC", "0001", "not a mobile code"),
    ("sms", 2, "Price", "0.1.0", "not a plain decimal"),
    ("sms", 2, "Country Code", "UK", "ISO 3166-1"),
    ("own", 2, "Code", "44-40", "range"),
    ("own", 2, "Code", "44-450", "range"),
    ("own", 2, "Code", "1,204,250", "group signs"),
    ("own", 2, "Price", "0.02", "point"),
    ("own", 2, "Price", "0,,2", "comma"),
    ("own", 2, "Steps", "60/0", "step of 0"),
    ("own", 2, "Fee", "gratis", "not a"),
    ("own", 2, "Barred", "ja", "neither a yes nor a no"),
    ("own", 2, "From", "30/2/2026", "no day"),
    ("own", 2, "From", "10-1-26", "date"),
]


def deck(name: str) -> tuple[str, list[list[str]]]:
    mapping, rows = DECKS[name]
    return mapping, [list(row) for row in rows]


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows) + "\n"


def read_as(form: str, mapping: str, rows: Sequence[Sequence[str]]) -> Reading:
    told = mapped(mapping)
    increments = "60/60" if mapping == "twilio" else ""
    currency = "USD"
    if form == "csv":
        return read(as_csv(rows), told, currency=currency, increments=increments)
    grid, faults = open_spreadsheet(workbook({"Rates": rows}), "deck.csv")
    assert grid is not None, faults
    return read(grid, told, currency=currency, increments=increments)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("name", DECKS)
def test_the_decks_that_are_damaged_are_good_before(name: str, form: str) -> None:
    reading = read_as(form, *deck(name))
    assert [] == [str(fault) for fault in reading.faults]
    assert reading.card is not None


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize(("name", "line", "column", "text", "problem"), DAMAGES)
def test_a_damaged_cell_is_named_with_its_line_its_column_and_a_remedy(
    form: str, name: str, line: int, column: str, text: str, problem: str
) -> None:
    mapping, rows = deck(name)
    rows[line - 1][rows[0].index(column)] = text
    reading = read_as(form, mapping, rows)
    assert reading.card is None, "the damage is not noticed"
    at = [f for f in reading.faults if f.place.startswith(f"deck.csv:{line} ") and column in f.place]
    assert at, [str(fault) for fault in reading.faults]
    assert any(problem in fault.problem for fault in at), [str(fault) for fault in at]
    assert all(fault.remedy for fault in at), [str(fault) for fault in at]
    assert any(fault.value and (fault.value in text or text in fault.value) for fault in at) or not text


FILES: list[tuple[str, bytes, str, str]] = [
    ("twilio", b"", "deck.csv", "has no rows"),
    ("twilio", b"Destination Prefixes,Origination Prefixes,Description,Price / min\n", "deck.csv", "has no rows"),
    (
        "twilio",
        b'Destination Prefixes,Origination Prefixes,Description,Price / min\n"44,,a,0.02\n',
        "deck.csv:2",
        "a quoted cell is not closed",
    ),
    ("twilio", b"Destination Prefixes,Cost\n44,0.02\n", "deck.csv:1", "has no column"),
    (
        "twilio",
        b"Destination Prefixes,Origination Prefixes,Description,Price / min\n44,,a,0.02\n45,,b,0.02,9\n",
        "deck.csv:3",
        "has not the",
    ),
    (
        "twilio",
        b"Destination Prefixes,Origination Prefixes,Description,Price / min\n44,,a,0.02\n44,,b,0.03\n",
        "deck.csv:3 Destination Prefixes",
        "same usage",
    ),
    ("astpp", b"Code,Per Minute Cost\n44,0.02\n", "deck.csv:1", "has no column Increment"),
]


@pytest.mark.parametrize(("name", "data", "place", "problem"), FILES)
def test_a_damaged_file_is_named_with_its_line(name: str, data: bytes, place: str, problem: str) -> None:
    reading = read(data, mapped(name, file__delimiter=","), increments="60/60" if name == "twilio" else "")
    assert reading.card is None
    found = [fault for fault in reading.faults if fault.place == place and problem in fault.problem]
    assert found, [str(fault) for fault in reading.faults]
    assert all(fault.remedy for fault in found)


NUMBERS: list[tuple[str, str, float, str]] = [
    ("sms", "MNC", 1, "leading zeros are lost"),
    ("sms", "Price", 0.1 + 0.2, "decimals"),
    ("own", "Code", 4.95e21, "15 digits"),
]


@pytest.mark.parametrize(("name", "column", "number", "problem"), NUMBERS)
def test_what_a_spreadsheet_made_of_a_cell_is_named(name: str, column: str, number: float, problem: str) -> None:
    mapping, rows = deck(name)
    cells: list[list[Any]] = [list(row) for row in rows]
    cells[1][rows[0].index(column)] = number
    grid, _ = open_spreadsheet(workbook({"Rates": cells}), "deck.xlsx")
    assert grid is not None
    reading = read(grid, mapped(mapping))
    found = [f for f in reading.faults if f.place == f"deck.xlsx:2 {column}" and problem in f.problem and f.remedy]
    assert found, [str(fault) for fault in reading.faults]


CARD = "product,prefixes,unit,increments,price\nvoice.outbound,44,minute,60/60,0.02\n"


@pytest.mark.parametrize(
    ("old", "new", "place", "problem"),
    [
        ("44", "+44", "rates.csv:2 prefixes", "+"),
        ("44", "4.95E+12", "rates.csv:2 prefixes", "a spreadsheet destroyed this prefix"),
        ("voice.outbound", "voice", "rates.csv:2 product", "is not a product"),
        ("minute", "hour", "rates.csv:2 unit", "is not a unit"),
        ("60/60", "60", "rates.csv:2 increments", "not increments"),
        ("0.02", "1e-2", "rates.csv:2 price", "exponent"),
        ("0.02", "", "rates.csv:2 price", "is missing"),
        ("prefixes", "prefix", "rates.csv:1", "is not a column"),
        (",0.02", "", "rates.csv:2", "cells where the header has"),
    ],
)
def test_a_damaged_card_of_our_own_is_named_with_its_cell(old: str, new: str, place: str, problem: str) -> None:
    head = 'id = "a"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\nrates = "rates.csv"\n'
    made, faults = read_card(head, {"rates.csv": CARD.replace(old, new, 1).encode()}, PRODUCTS)
    assert made is None
    found = [fault for fault in faults if fault.place == place and problem in fault.problem and fault.remedy]
    assert found, [str(fault) for fault in faults]


RATES = "Ops,Reseller,Rate,Destination,App,Connect,Duration\n2,0,gold,44,audio,0,200\n"
PLAN = "Ops,Reseller,Destination,Description,Incr,Min Dur\n2,0,44,UK,60,60\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "place"),
    [
        (0, "44", "45", "rates.csv:2 Destination"),
        (0, "200", "0.0.2", "rates.csv:2 Duration"),
        (0, "audio,0", "audio,x", "rates.csv:2 Connect"),
        (1, "60,60", "60,90", "destinations.csv:2 Incr"),
        (1, "60,60", "often,60", "destinations.csv:2 Incr"),
        (1, "2,0,44", "3,0,44", "destinations.csv:2 Ops"),
    ],
)
def test_a_damaged_pair_of_files_is_named_with_its_cell(file: int, old: str, new: str, place: str) -> None:
    texts = [RATES, PLAN]
    texts[file] = texts[file].replace(old, new, 1)
    names = ("rates.csv", "destinations.csv")
    rates, plan = (File(name, text.encode()) for name, text in zip(names, texts, strict=True))
    told: dict[str, Any] = {"card_id": "a", "currency": "USD", "effective_from": BEGINS}
    made = read_cdrtool(rates, plan, products=PRODUCTS, **told)
    assert made.card is None
    named = [fault for fault in made.faults if fault.place == place and fault.remedy]
    assert named, [str(fault) for fault in made.faults]


def test_the_corpus_is_large_enough() -> None:
    assert 60 <= len(DAMAGES) + len(FILES) + len(NUMBERS)
