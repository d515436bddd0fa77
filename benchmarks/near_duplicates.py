"""Near-duplicates of a month of 10,000,000 calls that begin on whole seconds, half of them one customer's.

Compared with the statement that counts what is equal, which says neither which events they are nor which came first.
"""

import argparse
from datetime import date

from benchmarks.databases import fresh, server
from benchmarks.harness import RUNS, Prepare, Run, alternate, report
from billing.periods import Period
from billing.store.embedded import Cluster
from billing.store.engine import Engine, open_engine, snapshot, transaction
from billing.store.partitions import make_partitions
from billing.store.queries.near import Twin, twins

EVENTS = 10_000_000
BOUND = 1.0
PAGE = 1000
MONTH = Period.parse("2026-10")

_PARTIES = """
INSERT INTO accounts (id, pays, prepaid, currency, zone, name, address, tax_id, language, legal_entity, suspended,
    added_at)
SELECT 'acct-' || g, true, false, 'USD', 'UTC', '', '{}', '', '', '', '{}', now() FROM generate_series(1, 200) g
"""
_CALLS = """
INSERT INTO events (occurred_at, received_at, batch, to_e164, from_e164, measured, rate_id, billed, price_id, payer_id,
    account_id, source_id, revision, product_id, reason, id, country)
SELECT at, at + interval '2 s', g / 1000,
    447000000000 + (random() * 1e6)::bigint, 14155000000 + (random() * 1e6)::bigint,
    1 + floor(random() * 300)::bigint, 1, 60, 1, payer, payer, 1, 1, 1, 0, 'CA' || lpad(to_hex(g), 30, '0'), 'GB'
FROM (
    SELECT g, timestamptz '2026-10-01Z' + make_interval(secs => floor(g * 2678399.0 / %(events)s)) AS at,
        CASE WHEN random() < 0.5 THEN 1 ELSE 1 + floor(random() * 200)::int END AS payer
    FROM generate_series(1, %(events)s) g
) AS calls
"""
_AGAIN = """
INSERT INTO events (occurred_at, received_at, batch, to_e164, from_e164, measured, rate_id, billed, price_id, payer_id,
    account_id, source_id, revision, product_id, reason, id, country)
SELECT occurred_at, received_at + interval '1 hour', batch, to_e164, from_e164, measured, rate_id, billed, price_id,
    payer_id, account_id, 2, 1, product_id, reason, 'X' || id, country
FROM events WHERE hashtext(id) % 10000 = 7
"""
_COUNTED = """
SELECT count(*) FROM (
    SELECT 1 FROM events WHERE occurred_at >= '2026-10-01Z' AND occurred_at < '2026-11-01Z' AND measured > 0
    GROUP BY payer_id, account_id, product_id, occurred_at, measured, to_e164, from_e164, to_address, from_address
    HAVING count(*) > 1
) AS equal
"""


def load(cluster: Cluster, events: int) -> Engine:
    """So many calls, and of one in 20,000 what another source says of it."""
    engine = open_engine(fresh(cluster, "near").sqlalchemy_url)
    with transaction(engine) as connection:
        make_partitions(connection, [date(2026, 10, 1)])
    with transaction(engine) as connection:
        connection.execute("INSERT INTO sources (id) VALUES ('switch-1'), ('switch-2')")
        connection.execute("INSERT INTO products (id) VALUES ('voice.outbound')")
        connection.execute(_PARTIES)
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_CALLS, {"events": events})
        connection.execute(_AGAIN)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE events")  # as the server does by itself, sooner or later
    return engine


def ours(engine: Engine) -> Prepare:
    """All pages, one after the other."""

    def run() -> list[Twin]:
        found: list[Twin] = []
        with snapshot(engine) as connection:
            while page := twins(connection, MONTH, after=found[-1].place if found else None, limit=PAGE):
                found += page
                if len(page) < PAGE:
                    break
        return found

    return lambda: run


def reference(engine: Engine) -> Prepare:
    """How many there are, by grouping."""

    def run() -> object:
        with snapshot(engine) as connection:
            return connection.execute(_COUNTED).fetchone()

    return lambda: run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the events, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    events = int(EVENTS * options.scale)
    with server() as cluster:
        engine = load(cluster, events)
        of_ours: Run = ours(engine)()
        found = of_ours()
        times = alternate(ours(engine), reference(engine), options.runs)
        engine.dispose()
    report(
        "near_duplicates",
        times.ours / times.reference,
        BOUND,
        at_most=True,
        sizes={"events": events, "near_duplicates": len(found) if isinstance(found, list) else 0},
        times=times,
        compared="all pages of near-duplicates of a month, each with the event that came first; against grouping the"
        " same events by the same columns in one statement; seconds, ours divided by the reference's",
    )


if __name__ == "__main__":
    main()
