"""Decks of any kind: a card or faults with file, place and remedy; the same card however the same cells are written."""

import csv
import io
import tomllib
from collections.abc import Sequence
from typing import Any, Literal

from hypothesis import strategies as st

from billing.sources.spreadsheets import open_spreadsheet
from rates.cards import identity
from rates.dialects.cdrtool import File, are_swapped, read_cdrtool
from rates.dialects.decks import Reading, Told, read_deck
from rates.dialects.files import DeckFile, open_csv
from rates.dialects.mappings import Dialect, read_mapping
from rates.dialects.sniffing import sniff
from rates.dialects.twilio_pricing import read_twilio_pricing
from rates.errors import Fault
from tests.decks import BEGINS, BUILT_IN, DIMENSIONS, PRODUCTS, mapped, table_of
from tests.fuzz.fuzzing import bounded, fuzz, told
from tests.fuzz.mutations import JSON_VALUES, TEXTS, TOML_VALUES, altered, damaged
from tests.fuzz.seeds import CDRTOOL, DECKS, MAPPING, bodies, body_tables
from tests.fuzz.test_fuzz_cards import assert_writes_alike
from tests.fuzz.writing import toml_of
from tests.workbooks import workbook

TOLD = Told(card_id="deck", effective_from=BEGINS, currency="USD")
TOLD_EUR = Told(card_id="deck", effective_from=BEGINS, currency="EUR", increments="60/60")
DIALECTS = {**{name: mapped(name) for name in BUILT_IN}, "own": mapped(MAPPING)}
# What is told beside a deck has no place in a file.
PLACES = ("deck.csv", "deck.xlsx", "currency", "id", "effective_from")


def rows_of(name: str) -> list[list[str]]:
    return list(csv.reader(DECKS[name], delimiter=";" if name == "own" else ","))


SHEETS = {name: rows_of(name) for name in DECKS}
FILES = [(name, "\n".join(lines).encode() + b"\n") for name, lines in DECKS.items()]


@st.composite
def strange_decks(draw: st.DrawFn) -> tuple[str, list[list[str]]]:
    """A dialect, and a deck of it of which some cells are strange, some rows twice, short or long."""
    name = draw(st.sampled_from(sorted(SHEETS)))
    rows = [list(row) for row in SHEETS[name]]
    for _ in range(draw(st.integers(0, 4))):
        row = draw(st.integers(0, len(rows) - 1))
        match draw(st.integers(0, 9)):
            case 0:
                rows.insert(row, list(rows[draw(st.integers(0, len(rows) - 1))]))
            case 1:
                rows[row] = rows[row][: draw(st.integers(0, len(rows[row])))]
            case 2:
                rows[row] += draw(st.lists(st.sampled_from(TEXTS), max_size=2))
            case 3:
                rows.insert(0, [draw(st.sampled_from(TEXTS))])
            case _ if rows[row]:
                rows[row][draw(st.integers(0, len(rows[row]) - 1))] = draw(st.sampled_from(TEXTS))
    return name, rows


def written(rows: Sequence[Sequence[str]], delimiter: str, end: str = "\n", *, quoted: bool = False) -> bytes:
    text = io.StringIO()
    way: Literal[0, 1] = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=way).writerows(rows)
    return text.getvalue().encode()


def read(file: DeckFile | None, faults: list[Fault], dialect: Dialect, facts: Told) -> Reading:
    return Reading(card=None, faults=faults) if file is None else read_deck(file, dialect, facts, PRODUCTS)


def read_text(data: bytes, dialect: Dialect, facts: Told = TOLD) -> Reading:
    return read(*open_csv(data, "deck.csv", encoding=dialect.encoding, delimiter=dialect.delimiter), dialect, facts)


def judge(reading: Reading) -> None:
    assert all(isinstance(note, str) for note in reading.notes)
    if reading.card is None:
        told(reading.faults, *PLACES)
    else:
        assert [] == reading.faults
        assert_writes_alike(reading.card)


def said(reading: Reading) -> object:
    """What a reading comes to, to compare it with another."""
    return [str(fault) for fault in reading.faults] if reading.card is None else identity(reading.card)


@fuzz(st.sampled_from(FILES).flatmap(lambda file: st.tuples(st.just(file[0]), damaged([file[1]]))))
def test_a_damaged_deck_is_read_or_refused(deck: tuple[str, bytes]) -> None:
    name, data = deck
    for facts in (TOLD, TOLD_EUR):
        reading = bounded(read_text, data, DIALECTS[name], facts)
        judge(reading)
        assert said(reading) == said(read_text(data, DIALECTS[name], facts))


@fuzz(strange_decks(), examples=40)
def test_a_deck_of_strange_cells_is_the_same_however_it_is_written(deck: tuple[str, list[list[str]]]) -> None:
    name, rows = deck
    dialect, sign = DIALECTS[name], ";" if name == "own" else ","
    plain = bounded(read_text, written(rows, sign), dialect)
    judge(plain)
    if not any("\n" in cell or "\r" in cell or "\x00" in cell for row in rows for cell in row):
        ways = {
            "CRLF": written(rows, sign, "\r\n"),
            "a mark": b"\xef\xbb\xbf" + written(rows, sign),
            "quotes": written(rows, sign, quoted=rows[0] != ["sep=;"]),
            "no last end": written(rows, sign).removesuffix(b"\n"),
        }
        for way, data in ways.items():
            assert (way, said(plain)) == (way, said(read_text(data, dialect)))
    if plain.card is not None and rows[0] == SHEETS[name][0]:
        turned = read_text(written([*rows[:1], *reversed(rows[1:])], sign), dialect)
        assert turned.card is None or identity(plain.card) == identity(turned.card)


@fuzz(strange_decks())
def test_a_workbook_of_strange_cells_is_read_or_refused(deck: tuple[str, list[list[str]]]) -> None:
    name, rows = deck
    cells = [[cell for cell in row if all(c.isprintable() or c == "\n" for c in cell)] for row in rows]

    def reading() -> Reading:
        return read(*open_spreadsheet(workbook({"Rates": cells}), "deck.xlsx"), DIALECTS[name], TOLD)

    judge(bounded(reading))


NUMBERS = st.one_of(
    st.floats(), st.integers(-(2**70), 2**70), st.booleans(), st.none(), st.dates(), st.sampled_from(["44", "0.1", "x"])
)


@fuzz(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_a_workbook_of_numbers_is_read_or_refused(cells: list[list[Any]]) -> None:
    table = {"unit": "minute", "product": "voice.outbound", "increments": "1/1"}
    dialect = mapped({**table, "columns": {"prefixes": "Code", "destination": "To"}, "prices": [{"column": "Rate"}]})
    data = workbook({"Rates": [["Code", "Rate", "To"], *cells]})
    judge(bounded(read, *open_spreadsheet(data, "deck.xlsx"), dialect, TOLD))


@fuzz(damaged([data for _, data in FILES]) | strange_decks().map(lambda deck: written(deck[1], ",")))
def test_any_file_is_sniffed_or_refused_and_its_draft_is_toml(data: bytes) -> None:
    file, faults = open_csv(data, "deck.csv")
    if file is None:
        told(faults, "deck.csv")
        return
    found, faults = bounded(sniff, file, DIALECTS)
    if found is None:
        told(faults, "deck.csv")
        return
    drafted = tomllib.loads(found.mapping)
    # What is drafted is a mapping, but for what must be told.
    dialect, faults = read_mapping(drafted, "mapping.toml", DIMENSIONS)
    assert dialect is not None or found.tell, [str(fault) for fault in faults]
    if dialect is not None:
        judge(bounded(read_text, data, dialect, TOLD_EUR))


@fuzz(altered([tomllib.loads(MAPPING), *map(table_of, BUILT_IN)], TOML_VALUES), examples=80)
def test_a_mapping_of_strange_values_is_read_or_refused_and_reads_decks(table: dict[str, Any]) -> None:
    table = tomllib.loads(toml_of(table))
    dialect, faults = bounded(read_mapping, table, "mapping.toml", DIMENSIONS)
    if dialect is None:
        told(faults, "mapping.toml")
        return
    for _, data in FILES:
        reading = bounded(read_text, data, dialect)
        assert (reading.card is None) == bool(reading.faults)


@fuzz(
    st.lists(damaged(bodies()), min_size=1, max_size=2) | altered(body_tables(), JSON_VALUES).map(lambda b: [dumped(b)])
)
def test_a_strange_body_of_prices_is_read_or_refused(found: list[bytes]) -> None:
    named = [(f"{i}.json", data) for i, data in enumerate(found)]
    for facts in (TOLD, Told(card_id="deck", effective_from=BEGINS, increments="1/1")):
        reading, places = bounded(read_twilio_pricing, named, facts, PRODUCTS)
        if reading.card is None:
            told(reading.faults, "0.json", "1.json", "currency")
        else:
            assert_writes_alike(reading.card)
            assert all(places.at(row, "price") for row in range(reading.card.rows.num_rows))


def dumped(body: object) -> bytes:
    import json  # noqa: PLC0415 (here only)

    return json.dumps(body).encode()


@fuzz(st.tuples(*(damaged([file]) | st.just(file) for file in CDRTOOL)))
def test_a_damaged_cdrtool_deck_is_read_or_refused(files: tuple[bytes, bytes]) -> None:
    rates, destinations = File("rates.csv", files[0]), File("destinations.csv", files[1])
    are_swapped(*files)
    deck = bounded(
        lambda: read_cdrtool(
            rates, destinations, products=PRODUCTS, card_id="deck", currency="USD", effective_from=BEGINS
        )
    )
    if deck.card is None:
        told(deck.faults, "rates.csv", "destinations.csv")
    else:
        assert_writes_alike(deck.card)
