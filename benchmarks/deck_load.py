"""A deck from the text of its CSV file to published: read, checked whole, compiled, stored, committed.

Compared with the least that anybody could do with the same text: read it with the standard library, check nothing, and
copy the finished rows into an equal table that is empty.
"""

import argparse
import csv
import io
import random
from datetime import UTC, datetime

import psycopg

from benchmarks.databases import fresh, server
from benchmarks.harness import RUNS, Prepare, Run, alternate, report
from billing.flows.publish import publish
from billing.store.compiled import CompiledCards
from billing.store.embedded import Cluster, address_of
from billing.store.engine import open_engine
from cli.world import products
from rates.cardfile import read_card
from rates.cards import Card
from rates.errors import CardFaultyError
from rates.numbering import PLAN

ROWS = 250_000
BOUND = 4.0

HEAD = """\
id = "list-eur"
currency = "EUR"
effective_from = 2026-10-01T00:00:00Z
rates = "rates.csv"
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


def ours(cluster: Cluster, text: str) -> Prepare:
    """The text of the deck to published, in a fresh database."""
    attachments = {"rates.csv": text.encode()}
    kept = CompiledCards(folder=cluster.data / "compiled")

    def prepare() -> Run:
        engine = open_engine(fresh(cluster, "ours").sqlalchemy_url)
        engine.connect().close()

        def run() -> Card:
            card, faults = read_card(HEAD, attachments, products())
            if card is None:
                raise CardFaultyError(faults)
            publish(engine, card, products(), at=_AT, actor="benchmark", kept=kept)
            return card

        return run

    return prepare


def reference(cluster: Cluster, text: str, rows: bytes) -> Prepare:
    """The text through the standard library's reader, and the finished rows into a fresh table with equal indexes."""

    def prepare() -> Run:
        connection = psycopg.connect(fresh(cluster, "bare").libpq_uri)
        connection.execute("CREATE TABLE bare (LIKE rates INCLUDING ALL)")
        connection.commit()

        def run() -> object:
            read = list(csv.reader(io.StringIO(text)))
            with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
                for start in range(0, len(rows), _PIECE):
                    copy.write(rows[start : start + _PIECE])
            connection.commit()
            return read

        return run

    return prepare


def finished_rows(cluster: Cluster, text: str) -> bytes:
    """The rows of the published deck, as COPY writes and reads them."""
    ours(cluster, text)()()
    address = address_of(cluster, "ours").libpq_uri
    with psycopg.connect(address) as connection, connection.cursor().copy("COPY rates TO STDOUT") as copy:
        return b"".join(copy)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the rows, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    rows = int(ROWS * options.scale)
    text = deck(rows)
    with server() as cluster:
        finished = finished_rows(cluster, text)
        times = alternate(ours(cluster, text), reference(cluster, text, finished), options.runs)
    report(
        "deck_load",
        times.ours / times.reference,
        BOUND,
        at_most=True,
        sizes={"rows": rows, "csv_bytes": len(text), "copied_bytes": len(finished)},
        times=times,
        compared="CSV text read, checked, compiled, published with its prices and committed; against"
        " list(csv.reader(f)) and a bare COPY of the same rows into a fresh copy of the table with its indexes,"
        " committed; seconds, ours divided by the reference's",
    )


if __name__ == "__main__":
    main()
