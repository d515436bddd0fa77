"""Mappings: what is wrong with one is said with its place, and what is told beside it stands."""

import tomllib

import pytest

from rates.dialects.mappings import read_mapping, told
from tests.decks import BUILT_IN, DIMENSIONS, mapped, table_of

LEAST = 'unit = "minute"\n[columns]\nprefixes = "Code"\n[[prices]]\ncolumn = "Rate"\n'


def faults(text: str) -> list[str]:
    dialect, found = read_mapping(tomllib.loads(text), "m.toml", DIMENSIONS)
    assert None is dialect
    return [str(fault) for fault in found]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_dialect_is_a_mapping_like_any_other(name: str) -> None:
    dialect = mapped(name)
    assert dialect.name
    assert dialect.product


def test_a_column_is_named_by_headers_or_by_its_position() -> None:
    dialect = mapped(LEAST.replace('"Code"', '["Code", "Prefix"]').replace('"Rate"', "3"))
    assert ("Code", "Prefix") == dialect.columns["prefixes"].names
    assert (3,) == dialect.prices[0].names


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (LEAST.replace("prefixes", "prefix"), "m.toml: columns.prefix"),
        (LEAST.replace('unit = "minute"', ""), "m.toml: unit: is missing"),
        (LEAST.partition("[[")[0], "m.toml: prices: is missing"),
        (LEAST.replace('column = "Rate"', ""), "m.toml: prices[0].column: is missing"),
        (LEAST.replace('"Code"', "[]"), "m.toml: columns.prefixes.column: is neither headers nor a position"),
        (LEAST.replace('"Code"', "0"), 'm.toml: columns.prefixes.column "0": is neither headers nor a position'),
        (LEAST.replace('"Code"', '{column = "Code", hypen = "range"}'), "did you mean hyphen?"),
        (LEAST.replace('"Code"', '{column = "Code", hyphen = "guess"}'), 'columns.prefixes.hyphen "guess"'),
        (LEAST + '[[skip]]\nmatches = "("\n', "m.toml: skip[0].matches"),
        (LEAST + 'set = {price = "1"}\n', "m.toml: prices[0].set.price"),
        ('dates = "M/D"\n' + LEAST, 'm.toml: dates "M/D": is not a form of dates'),
        ('timezone = "Mars"\n' + LEAST, 'm.toml: timezone "Mars": is not a time zone'),
        ('increments = "soon"\n' + LEAST, 'm.toml: increments "soon"'),
        ("colour = 1\n" + LEAST, "m.toml: colour"),
        (LEAST + '[file]\ndelimiter = "x"\n', 'm.toml: file.delimiter "x"'),
        (LEAST + '[numbers]\ndecimal = ","\ngroup = ","\n', 'm.toml: numbers.group ","'),
        (LEAST + '[constants]\ncurrency = "USD"\n', 'm.toml: constants.currency "USD"'),
        (
            LEAST.replace('"Code"\n', '"Code"\neffective_to = "End"\n'),
            "m.toml: columns.effective_to.inclusive: is missing; true if the day itself still counts",
        ),
    ],
)
def test_what_is_wrong_with_a_mapping_is_named_with_its_key(text: str, fault: str) -> None:
    assert fault in "\n".join(faults(text))


def test_what_is_told_beside_a_mapping_adds_to_it_and_leaves_it_as_it_was() -> None:
    table = tomllib.loads(LEAST)
    dialect = mapped(table, columns__prefixes__hyphen="range", numbers__decimal=",", dates="D/M/YYYY", skip="Total.*")
    assert (("Code",), "range") == (dialect.columns["prefixes"].names, dialect.columns["prefixes"].hyphen)
    assert (",", "D/M/YYYY") == (dialect.decimal, dialect.dates)
    assert ["Total.*"] == [skip.matches for skip in dialect.skips]
    assert tomllib.loads(LEAST) == table


def test_a_column_may_be_told_to_be_another_and_a_flag_to_be_false() -> None:
    table = told(table_of("twilio"), {"columns.prefixes.column": "Codes", "file.header": "false"})
    columns, file = table["columns"], table["file"]
    assert isinstance(columns, dict)
    assert isinstance(file, dict)
    assert {"column": "Codes", "separator": ","} == columns["prefixes"]
    assert False is file["header"]
