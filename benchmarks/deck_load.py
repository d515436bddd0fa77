"""A deck from its file to published: read, checked whole, compiled, stored, committed.

Compared with the least that anybody could do with the same file: read it with the standard library (a spreadsheet with
the plain reader of the library for it), check nothing, and copy the finished rows into an equal table that is empty.

Three shapes: a card of our own with its CSV; the same deck as a spreadsheet in somebody's own columns, by a mapping;
and a North American deck by area code and exchange, of which each line gives a rate for each of three jurisdictions.
"""

import argparse
import csv
import io
import random
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from python_calamine import CalamineWorkbook

from benchmarks.databases import fresh, server
from benchmarks.harness import RUNS, Prepare, Run, Times, alternate, report
from billing.flows.publish import publish
from billing.sources.spreadsheets import open_spreadsheet
from billing.store.compiled import CompiledCards
from billing.store.embedded import Cluster, address_of
from billing.store.engine import open_engine
from cli.decks import dialects
from cli.world import products
from rates.cardfile import read_card
from rates.cards import Card
from rates.dialects.decks import Told, read_deck
from rates.dialects.files import DeckFile, open_csv
from rates.dialects.mappings import Dialect, read_mapping
from rates.dialects.sniffing import sniff
from rates.errors import CardFaultyError, Fault
from rates.numbering import PLAN
from tests.workbooks import Cell, workbook

ROWS = 250_000
NPANXX_ROWS = 200_000
BOUND = 4.0

HEAD = """\
id = "list-eur"
currency = "EUR"
effective_from = 2026-10-01T00:00:00Z
rates = "rates.csv"
"""
MAPPING = """\
product = "voice.outbound"
unit = "minute"

[columns]
prefixes = "Code"
country = "Country"
destination = "Destination"
increments = {first = "First", next = "Next"}

[[prices]]
column = "Rate"
"""
_AT = datetime(2026, 9, 1, tzinfo=UTC)
_LONGEST = 9
_PREFIXES_OF_A_NUMBERED_NAME = 12_500  # with some 240 countries and 4 kinds: a dozen to a name
_PIECE = 1 << 20


def deck(rows: int) -> str:
    """The text of a seeded deck: distinct prefixes all over the numbering plan, about a dozen to a price."""
    rng = random.Random(1)
    codes = sorted(PLAN)
    of_a_kind = max(1, rows // _PREFIXES_OF_A_NUMBERED_NAME)
    prices: dict[str, tuple[str, str]] = {}
    lines: dict[str, str] = {}
    while len(lines) < rows:
        code = rng.choice(codes)
        prefix = code + "".join(rng.choices("0123456789", k=rng.randint(0, max(0, _LONGEST - len(code)))))
        country = next(PLAN[prefix[:n]] for n in range(len(prefix), 0, -1) if prefix[:n] in PLAN)
        kind = rng.choice(["Fixed", "Mobile", "Special", "Premium"])
        name = f"{country or 'International'} {kind} {rng.randint(1, of_a_kind)}"
        if name not in prices:
            prices[name] = f"{rng.randint(0, 1)}.{rng.randint(1, 9999):04}", rng.choice(["60/60", "1/1", "6/6", "30/6"])
        price, increments = prices[name]
        lines[prefix] = f"voice.outbound,{country},{name},{prefix},minute,{price},{increments}"
    return "\n".join(["product,country,destination,prefixes,unit,price,increments", *lines.values(), ""])


def npanxx(rows: int) -> str:
    """The text of a seeded North American deck: distinct area codes and exchanges, three rates to a line."""
    rng = random.Random(1)
    codes = [(npa, nxx) for npa in range(201, 1000) for nxx in range(200, 1000)]
    lines = ["npa,nxx,inter,intra,indeterminate"]
    for npa, nxx in rng.sample(codes, rows):
        rates = ",".join(f"0.0{rng.randint(1, 999):03}" for _ in range(3))
        lines.append(f"{npa},{nxx},{rates}")
    return "\n".join([*lines, ""])


def spreadsheet(text: str) -> bytes:
    """The deck of a text as a workbook whose codes, prices and increments are numbers."""
    lines: list[list[Cell]] = [["Country", "Destination", "Code", "Rate", "First", "Next"]]
    for row in csv.DictReader(io.StringIO(text)):
        first, following = map(int, row["increments"].split("/"))
        price = float(row["price"])
        lines.append([row["country"], row["destination"], int(row["prefixes"]), price, first, following])
    return workbook({"Rates": lines})


Read = Callable[[], tuple[Card | None, list[Fault]]]


def card_of_csv(text: str) -> Read:
    """The card of our own CSV."""
    attachments = {"rates.csv": text.encode()}
    return lambda: read_card(HEAD, attachments, products())


def card_of_npanxx(text: str) -> Read:
    """The card of a North American deck."""
    data, dialect = text.encode(), dialects()["npanxx"]

    def read() -> tuple[Card | None, list[Fault]]:
        file, faults = open_csv(data, "deck.csv")
        return (None, faults) if file is None else _read(file, dialect, "6/6")

    return read


def card_of_spreadsheet(data: bytes) -> Read:
    """The card of a spreadsheet, by a mapping."""
    dialect, faults = read_mapping(tomllib.loads(MAPPING), "mapping.toml")
    if dialect is None:
        raise CardFaultyError(faults)

    def read() -> tuple[Card | None, list[Fault]]:
        file, faults = open_spreadsheet(data, "deck.xlsx")
        return (None, faults) if file is None else _read(file, dialect, "")

    return read


def _read(file: DeckFile, dialect: Dialect, increments: str) -> tuple[Card | None, list[Fault]]:
    begins = datetime(2026, 10, 1, tzinfo=UTC)
    told = Told(card_id="deck", currency="EUR", effective_from=begins, increments=increments)
    found = read_deck(file, dialect, told, products())
    return found.card, found.faults


def ours(cluster: Cluster, read: Read) -> Prepare:
    """The file of a deck to published, in a fresh database."""
    kept = CompiledCards(folder=cluster.data / "compiled")

    def prepare() -> Run:
        engine = open_engine(fresh(cluster, "ours").sqlalchemy_url)
        engine.connect().close()

        def run() -> Card:
            card, faults = read()
            if card is None:
                raise CardFaultyError(faults)
            publish(engine, card, products(), at=_AT, actor="benchmark", kept=kept)
            return card

        return run

    return prepare


def reference(cluster: Cluster, plainly: Run, rows: bytes) -> Prepare:
    """The file through the plainest reader, and the finished rows into a fresh table with equal indexes."""

    def prepare() -> Run:
        connection = psycopg.connect(fresh(cluster, "bare").libpq_uri)
        connection.execute("CREATE TABLE bare (LIKE rates INCLUDING ALL)")
        connection.commit()

        def run() -> object:
            read = plainly()
            with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
                for start in range(0, len(rows), _PIECE):
                    copy.write(rows[start : start + _PIECE])
            connection.commit()
            return read

        return run

    return prepare


def plain_csv(text: str) -> Run:
    """The standard library's reader."""
    return lambda: list(csv.reader(io.StringIO(text)))


def plain_spreadsheet(data: bytes) -> Run:
    """The plain reader of the library for spreadsheets."""
    return lambda: CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()


def finished_rows(cluster: Cluster, read: Read) -> bytes:
    """The rows of the published deck, as COPY writes and reads them."""
    ours(cluster, read)()()
    address = address_of(cluster, "ours").libpq_uri
    with psycopg.connect(address) as connection, connection.cursor().copy("COPY rates TO STDOUT") as copy:
        return b"".join(copy)


def measured(cluster: Cluster, read: Read, plainly: Run, runs: int) -> tuple[Times, int]:
    """A shape of decks: seconds of both sides, and the bytes that are copied."""
    finished = finished_rows(cluster, read)
    return alternate(ours(cluster, read), reference(cluster, plainly, finished), runs), len(finished)


def sniffed(text: str, runs: int) -> Times:
    """Seconds to sniff a deck's text, against reading it with the standard library."""
    data, known = text.encode(), dialects()

    def run() -> object:
        file, _ = open_csv(data, "deck.csv")
        return sniff(file, known) if file is not None else None

    return alternate(lambda: run, lambda: plain_csv(text), runs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the rows, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    rows, lines = int(ROWS * options.scale), int(NPANXX_ROWS * options.scale)
    text, exchanges = deck(rows), npanxx(lines)
    book = spreadsheet(text)
    with server() as cluster:
        times, copied = measured(cluster, card_of_csv(text), plain_csv(text), options.runs)
        american, _ = measured(cluster, card_of_npanxx(exchanges), plain_csv(exchanges), options.runs)
        numbers, _ = measured(cluster, card_of_spreadsheet(book), plain_spreadsheet(book), options.runs)
    found = sniffed(text, options.runs)
    report(
        "deck_load",
        times.ours / times.reference,
        BOUND,
        at_most=True,
        sizes={
            "rows": rows,
            "csv_bytes": len(text),
            "copied_bytes": copied,
            "npanxx_lines": lines,
            "spreadsheet_bytes": len(book),
        },
        times=times,
        compared="CSV text read, checked, compiled, published with its prices and committed; against"
        " list(csv.reader(f)) and a bare COPY of the same rows into a fresh copy of the table with its indexes,"
        " committed; seconds, ours divided by the reference's. npanxx: the same of a deck of which each line gives"
        " three rates. spreadsheet: the same of an XLSX file, against its plain reader. sniff: a mapping drafted for"
        " the CSV text, against list(csv.reader(f))",
        further={
            "npanxx": (american.ours / american.reference, BOUND),
            "spreadsheet": (numbers.ours / numbers.reference, BOUND),
            "sniff": (found.ours / found.reference, 1.0),
        },
    )


if __name__ == "__main__":
    main()
