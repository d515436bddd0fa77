"""A month's stored usage, ten million events, rated again by another card and rewritten: a forced publication.

Compared with reading the columns of these events by ADBC and copying as many new ratings into an empty table: what
nobody who rates stored usage again can do without. Ours also locks, compares, updates in place, moves the totals, and
prices all accounts before and after.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from benchmarks.databases import server
from benchmarks.harness import RUNS, Prepare, Run, alternate, report
from benchmarks.invoice_run import AT, COUNTRIES, DAYS, card_text, seed
from billing.flows.fold import fold
from billing.flows.publish import publish
from billing.store.bulk import copy_in
from billing.store.embedded import Cluster, address_of
from billing.store.engine import Engine, open_engine
from cli.world import products
from rates.cardfile import read_card
from rates.cards import Card
from rates.errors import CardFaultyError

ACCOUNTS = 10_000
EVENTS = 10_000_000
BOUND = 3.0

_NAME = "rerate"
_COLUMNS = """
SELECT occurred_at, source_id, id, payer_id, account_id, product_id, to_e164, from_e164, rated_to_e164, measured,
    status, number_type, error_code, attributes, rate_id, price_id, billed, reason, country
FROM events
"""
_WRITTEN = ("rate_id", "price_id", "billed", "reason", "country")


def versions() -> Iterator[Card]:
    """Versions of the card, each from a day later than the one before, and a tenth of a cent dearer or cheaper."""
    for day in count(1):
        text = card_text().replace('37"', f'{37 + day % 2}"').replace("0.0140", f"0.014{day % 2}")
        card, faults = read_card(text, {}, products())
        if card is None:
            raise CardFaultyError(faults)
        yield replace(card, effective_from=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day))


def ours(engine: Engine) -> Prepare:
    """Publish the next version by force."""
    cards = versions()

    def prepare() -> Run:
        card = next(cards)
        fold(engine)
        return lambda: publish(engine, card, products(), at=AT, actor="benchmark", reason="measured")

    return prepare


def reference(cluster: Cluster) -> Prepare:
    """Read the columns by ADBC, and copy five of them into an empty table."""
    uri = address_of(cluster, _NAME).libpq_uri

    def run() -> None:
        with dbapi.connect(uri) as reading, reading.cursor() as cursor:
            cursor.execute(_COLUMNS)
            rows: pa.Table = cursor.fetch_arrow_table()
        with psycopg.connect(uri) as writing:
            copy_in(writing, "copied", {name: rows[name] for name in _WRITTEN})

    def prepare() -> Run:
        with psycopg.connect(uri) as connection:
            connection.execute("DROP TABLE IF EXISTS copied")
            columns = "rate_id bigint, price_id integer, billed bigint, reason smallint, country text"
            connection.execute(f"CREATE TABLE copied ({columns})".encode())
        return run

    return prepare


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the accounts, each with as many events")
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    accounts = max(1, round(ACCOUNTS * arguments.scale))
    each = -(-EVENTS // (ACCOUNTS * len(COUNTRIES) * DAYS))
    with server() as cluster:
        seed(cluster, _NAME, accounts, each)
        engine = open_engine(address_of(cluster, _NAME).sqlalchemy_url)
        times = alternate(ours(engine), reference(cluster), arguments.runs)
        engine.dispose()
    report(
        "rerate",
        times.ours / times.reference,
        BOUND,
        at_most=True,
        sizes={"accounts": accounts, "events": accounts * each * len(COUNTRIES) * DAYS},
        times=times,
        compared="a forced publication that re-rates and rewrites all, and ADBC read of columns + COPY of new ratings",
    )


if __name__ == "__main__":
    main()
