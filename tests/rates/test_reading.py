import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from rates.errors import Fault
from rates.reading import Reader


def reader(text: str) -> Reader:
    return Reader(place="f.toml: ", table=tomllib.loads(text, parse_float=Decimal), faults=list[Fault]())


def faults(read: Reader) -> list[str]:
    return [str(fault) for fault in read.faults]


def test_every_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    read = reader('currency = "USD"\ncurency = "EUR"\nx = 1')
    read.text("currency")
    read.finish()
    assert [
        'f.toml: curency "EUR": is not a key of this table; did you mean currency?',
        'f.toml: x "1": is not a key of this table; known here: currency',
    ] == faults(read)


def test_places_go_down_into_tables_and_lists() -> None:
    read = reader('[a.b]\nc = 1\n[[d]]\n[[d]]\ne = ""')
    read.below("a").below("b").text("c")
    for item in read.each("d"):
        item.text("e", "")
        item.text("f")
    assert [
        'f.toml: a.b.c "1": is not a string; numbers of money or quantity are strings',
        "f.toml: d[0].f: is missing; give a string",
        "f.toml: d[1].f: is missing; give a string",
    ] == faults(read)


def test_numbers_of_money_are_strings_of_plain_decimals() -> None:
    read = reader('a = "0.10"\nb = 0.10\nc = "1e3"\nd = ["1", "x"]')
    assert Decimal("0.10") == read.decimal("a")
    read.decimal("b")
    read.decimal("c")
    read.decimals("d")
    assert [
        'f.toml: b "0.10": is not a string; numbers of money or quantity are strings',
        'f.toml: c "1e3": an exponent; write all its digits',
        'f.toml: d[1] "x": not a plain decimal; write digits and a point, as in 0.0140',
    ] == faults(read)


@pytest.mark.parametrize(
    "written", ["2026-10-01", '"2026-10-01"', "2026-10-01T02:00:00+02:00", '"2026-10-01T00:00:00Z"']
)
def test_an_instant_is_in_utc_and_a_date_stands_for_its_midnight_there(written: str) -> None:
    read = reader(f"at = {written}")
    assert datetime(2026, 10, 1, tzinfo=UTC) == read.instant("at")
    assert [] == faults(read)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("2026-10-01T00:00:00", "has no time zone"),
        ('"2026-10-01T00:00:00"', "has no time zone"),
        ('"2026-13-01"', "is not an instant"),
        ('"soon"', "is not an instant"),
        ("5", "is not an instant"),
        ("00:00:00", "is not an instant"),
    ],
)
def test_a_time_without_a_zone_is_refused(written: str, problem: str) -> None:
    read = reader(f"at = {written}")
    assert None is read.instant("at")
    assert problem in faults(read)[0]


def test_what_is_absent_takes_its_default_or_is_a_fault() -> None:
    read = reader("")
    assert ("x", True, 3, Decimal(1), (), date.min.isoformat()) == (
        read.text("a", "x"), read.flag("b", default=True), read.integer("c", 3), read.decimal("d", "1"),
        read.texts("e"), read.text("f", date.min.isoformat()),
    )  # fmt: skip
    assert None is read.instant("g", required=False)
    assert [] == faults(read)
    read.text("a")
    read.instant("g")
    assert ["f.toml: a: is missing", "f.toml: g: is missing"] == [fault.split(";")[0] for fault in faults(read)]


def test_a_flag_is_no_number_and_a_number_no_flag() -> None:
    read = reader("a = true\nb = 1\nc = -1\nd = 2.5")
    read.integer("a")
    read.flag("b")
    read.integer("c")
    read.integer("d")
    assert [
        'f.toml: a "True": is not a whole number; write a whole number',
        'f.toml: b "1": is not true or false; write true or false',
        'f.toml: c "-1": is below 0; write at least 0',
        'f.toml: d "2.5": is not a whole number; write a whole number',
    ] == faults(read)


def test_one_text_stands_for_a_list_of_one() -> None:
    read = reader('a = "x"\nb = ["x", "y"]\nc = [1]\nd = {}\ne = "f"')
    assert (("x",), ("x", "y"), ()) == (read.texts("a"), read.texts("b"), read.texts("c"))
    assert [] == list(read.each("e"))
    assert "x" == read.choice("a", ("x", "y"))
    assert "q" == read.choice("e", ("q", "r"))
    assert ["c", "e", "e"] == [fault.place.split(": ")[1] for fault in read.faults]
