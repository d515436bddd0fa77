"""A month's stored usage, ten million events, rated again with a candidate card: what it would have come to.

Compared with reading the very same columns of the same events through ADBC, which nobody who rates stored usage again
can do without. Ours also rates, sums, reads the days on which counters cross a bound again in order, and prices all
accounts twice: as they are, and as they would be.
"""

import argparse
from dataclasses import replace
from datetime import UTC, datetime

from adbc_driver_postgresql import dbapi

from benchmarks.databases import server
from benchmarks.harness import RUNS, Prepare, alternate, report
from benchmarks.invoice_run import COUNTRIES, DAYS, OCTOBER, card_text, seed
from billing.flows.simulate import Asked, Candidate, simulate_card
from billing.simulations import By
from billing.store.embedded import Cluster, address_of
from billing.store.engine import Engine, open_engine, snapshot
from billing.store.rateable import Selection, rated_query
from cli.world import products
from rates.cardfile import read_card
from rates.cards import Card
from rates.errors import CardFaultyError

ACCOUNTS = 10_000
EVENTS = 10_000_000
BOUND = 2.0

_NAME = "simulate"


def candidate() -> Card:
    """The card with a tenth of a cent more on a minute to America, in a later version."""
    card, faults = read_card(card_text().replace("0.0130", "0.0140"), {}, products())
    if card is None:
        raise CardFaultyError(faults)
    return replace(card, effective_from=datetime(2027, 1, 1, tzinfo=UTC))


def ours(engine: Engine, events: int) -> Prepare:
    """Simulate the candidate; it must have been about all events, and have changed something."""
    card = candidate()

    def run() -> object:
        tried = Candidate(id=card.id, currency=card.currency, card=card)
        found = simulate_card(engine, products(), OCTOBER, tried, Asked())
        (change,) = found.changes(By.ALL)
        if found.events != events or found.failed or found.unpriced or change.amount_minor <= 0:
            raise SystemExit(f"not what was asked: {found.events} events, {change}")
        return found

    return lambda: run


def reference(cluster: Cluster, engine: Engine) -> Prepare:
    """Read the columns that ours reads, by ADBC, batch by batch as it does."""
    uri = address_of(cluster, _NAME).libpq_uri
    with snapshot(engine) as connection:
        query = rated_query(OCTOBER.opens, OCTOBER.closes, Selection()).as_string(connection)

    def run() -> int:
        with dbapi.connect(uri) as reading, reading.cursor() as cursor:
            cursor.execute("SET max_parallel_workers_per_gather = 0")
            cursor.execute(query)
            with cursor.fetch_record_batch() as batches:
                return sum(batch.num_rows for batch in batches)

    return lambda: run


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the accounts, each with as many events")
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    accounts = max(1, round(ACCOUNTS * arguments.scale))
    each = -(-EVENTS // (ACCOUNTS * len(COUNTRIES) * DAYS))
    events = accounts * each * len(COUNTRIES) * DAYS
    with server() as cluster:
        seed(cluster, _NAME, accounts, each)
        engine = open_engine(address_of(cluster, _NAME).sqlalchemy_url)
        times = alternate(ours(engine, events), reference(cluster, engine), arguments.runs)
        engine.dispose()
    report(
        "simulate",
        times.ours / times.reference,
        BOUND,
        at_most=True,
        sizes={"accounts": accounts, "events": events},
        times=times,
        compared="a month rated again with a candidate card and priced beside what it comes to now (both halves of it"
        " read at once), and ADBC read of the same columns of the same events by one connection",
    )


if __name__ == "__main__":
    main()
