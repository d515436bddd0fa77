"""A month's invoices: 10,000 billing accounts of 10 lines each, drawn up, checked, numbered, finalized.

Compared with a bare COPY of the very same rows into fresh copies of the final tables, with their indexes, foreign keys
and triggers. And once more on a month with ten times the events on the same days: the same accounts, prices and days,
so that each total is of ten times as many events, the events table has ten times the rows, and ten times as many of
them lie on the day on which an account's counter crosses from one tier into the next. And the run of a month after
twelve that are issued, of which nothing has changed since, against the same run without any.
"""

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg

from benchmarks.databases import server
from benchmarks.harness import RUNS, Prepare, Run, alternate, report
from billing.accounts import Account, AccountId
from billing.contracts import Contract
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.publish import publish
from billing.periods import Period
from billing.runs import GRACE
from billing.store.accounts import insert_accounts, insert_contracts
from billing.store.embedded import Cluster, address_of, create_database, drop_database
from billing.store.engine import Engine, open_engine, transaction
from billing.store.migrate import migrate
from billing.store.partitions import make_partitions
from cli.world import products
from rates.cardfile import read_card
from rates.errors import CardFaultyError

ACCOUNTS = 10_000
BOUND = 6.0
MORE = 10
BOUND_OF_MORE = 1.25
BOUND_OF_HISTORY = 1.15

OCTOBER = Period.parse("2026-10")
AT = OCTOBER.closes + GRACE
BEFORE = [Period.of_month(2025, month) for month in (10, 11, 12)] + [Period.of_month(2026, m) for m in range(1, 10)]
TABLES = ("invoices", "invoice_lines", "invoice_billed_totals", "invoice_events")

# Eight prices of one line each, and one whose counter crosses into its second tier: ten lines an account.
COUNTRIES = {"US": "1", "GB": "44", "FR": "33", "DE": "49", "ES": "34", "IT": "39", "NL": "31", "BE": "32", "AT": "43"}
DAYS = 4
CARD = """
id = "list-usd"
currency = "USD"
effective_from = 2025-01-01T00:00:00Z
[tiers.voice-us]
up_to = ["2.5"]
unit = "minute"
fill = [{product = "voice.outbound", country = ["US"]}]
"""
RATE = """
[[rate]]
product = "voice.outbound"
country = "%s"
destination = "Destination %s"
prefixes = ["%s"]
unit = "minute"
increments = "1/1"
%s
"""
_PIECE = 1 << 20


def card_text() -> str:
    """The card: nine rows, the first of them tiered."""
    rates = [
        RATE % (country, country, prefix, 'tiers = "voice-us"\nprices = ["0.0140", "0.0130"]')
        if country == "US"
        else RATE % (country, country, prefix, f'price = "0.0{place}37"')
        for place, (country, prefix) in enumerate(COUNTRIES.items())
    ]
    return CARD + "".join(rates)


def seed(cluster: Cluster, name: str, accounts: int, events: int, before: Sequence[Period] = ()) -> None:
    """A database with accounts, a card, and `events` events for each account, price and day, rated and folded.

    Months `before` have as many each, and are issued; their events are archived.
    """
    drop_database(cluster, name)
    engine = open_engine(create_database(cluster, name).sqlalchemy_url)
    migrate(engine)
    card, faults = read_card(card_text(), {}, products())
    if card is None:
        raise CardFaultyError(faults)
    at = datetime(2025, 1, 1, tzinfo=UTC)
    publish(engine, card, products(), at=at, actor="benchmark")
    names = [f"account-{number:05}" for number in range(accounts)]
    with transaction(engine) as connection:  # not one by one, as when they sign up
        insert_accounts(connection, [Account(id=AccountId(each), currency="USD") for each in names], at)
        contracts = [Contract(account=each, effective_from=at.date(), cards=("list-usd",)) for each in names]
        insert_contracts(connection, contracts, at)
    with transaction(engine) as connection:
        make_partitions(connection, [month.start for month in (*before, OCTOBER)])
    with transaction(engine) as connection:
        connection.execute("INSERT INTO sources (id) VALUES ('seed')")
        connection.execute("INSERT INTO products (id) VALUES ('voice.outbound') ON CONFLICT DO NOTHING")
    for month in before:
        _use(engine, month, events)
        draw_up(engine, products(), month, month.closes + GRACE, write=True, actor="benchmark")
        finalize(engine, month, month.closes + GRACE, actor="benchmark")
        with transaction(engine) as connection:
            connection.execute("TRUNCATE events")
    _use(engine, OCTOBER, events)
    engine.dispose()
    with psycopg.connect(address_of(cluster, name).libpq_uri, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _use(engine: Engine, month: Period, events: int) -> None:
    seeded = {"countries": list(COUNTRIES), "prefixes": list(COUNTRIES.values()), "days": DAYS, "events": events}
    with transaction(engine) as connection:
        connection.execute(_EVENTS, {**seeded, "opens": month.opens})
        connection.execute(_TOTALS)
    fold(engine)


# Seconds vary, so that amounts do not all round alike.
_EVENTS = """
    INSERT INTO events (occurred_at, received_at, batch, to_e164, measured, rate_id, billed, price_id, payer_id,
                        account_id, source_id, revision, product_id, reason, id, country, status)
    SELECT at, at, 1, number, seconds, rate_id, seconds, price_id, account_id, account_id, source_id, 1,
           product_id, 0, 'e' || row_number() OVER (), prices.country, 'completed'
    FROM (
        SELECT account_id, place, country,
               %(opens)s::timestamptz
                   + make_interval(days => (7 * day + mod(place, 7))::integer, secs => n * 100) AS at,
               (prefix || '212' || lpad(mod(account_id * 7919 + day * 104729 + n * 1299709, 10000000)::text, 7, '0'))
                   ::bigint AS number,
               55 + (account_id * 31 + place * 7 + day * 3 + n) %% 17 AS seconds
        FROM accounts
        CROSS JOIN unnest(%(countries)s::text[], %(prefixes)s::text[])
            WITH ORDINALITY AS countries(country, prefix, place)
        CROSS JOIN generate_series(0, %(days)s - 1) AS day
        CROSS JOIN generate_series(1, %(events)s) AS n
    ) AS calls
    JOIN LATERAL (
        SELECT price_id, price_id AS rate_id, calls.country FROM prices
        WHERE destination = 'Destination ' || calls.country
    ) AS prices ON true
    CROSS JOIN (SELECT source_id FROM sources LIMIT 1) AS sources
    CROSS JOIN (SELECT product_id FROM products WHERE id = 'voice.outbound') AS products
"""

_TOTALS = """
    INSERT INTO unfolded (payer_id, day, price_id, account_id, country, events, quantity)
    SELECT payer_id, (occurred_at AT TIME ZONE 'UTC')::date, price_id, account_id, country, count(*), sum(billed)
    FROM events GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""


def ours(cluster: Cluster, seeded: str) -> Prepare:
    """Draw up and finalize, in a fresh copy of a seeded database."""

    def prepare() -> Run:
        drop_database(cluster, "ours")
        engine = open_engine(create_database(cluster, "ours", seeded).sqlalchemy_url)
        engine.connect().close()
        os.sync()  # what was copied is written down by now, and not while we are measured

        def run() -> object:
            drawn = draw_up(engine, products(), OCTOBER, AT, write=True, actor="benchmark").report
            issued = finalize(engine, OCTOBER, AT, actor="benchmark").issued
            engine.dispose()
            return drawn, issued

        return run

    return prepare


def drawn_up(cluster: Cluster, seeded: str) -> Prepare:
    """Draw up only, in a fresh copy of a seeded database."""

    def prepare() -> Run:
        drop_database(cluster, "ours")
        engine = open_engine(create_database(cluster, "ours", seeded).sqlalchemy_url)
        engine.connect().close()
        os.sync()

        def run() -> object:
            drawn = draw_up(engine, products(), OCTOBER, AT, write=True, actor="benchmark").report
            engine.dispose()
            return drawn

        return run

    return prepare


def reference(cluster: Cluster, seeded: str, rows: dict[str, bytes]) -> Prepare:
    """The finished rows into the final tables of a fresh copy, in one transaction."""

    def prepare() -> Run:
        drop_database(cluster, "bare")
        connection = psycopg.connect(create_database(cluster, "bare", seeded).libpq_uri)
        connection.commit()
        os.sync()

        def run() -> None:
            for table in TABLES:
                with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                    for start in range(0, len(rows[table]), _PIECE):
                        copy.write(rows[table][start : start + _PIECE])
            connection.commit()
            connection.close()

        return run

    return prepare


def finished_rows(cluster: Cluster, seeded: str) -> dict[str, bytes]:
    """The rows of the final tables, as COPY writes and reads them."""
    ours(cluster, seeded)()()
    found = {}
    with psycopg.connect(address_of(cluster, "ours").libpq_uri) as connection:
        for table in TABLES:
            with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as copy:
                found[table] = b"".join(copy)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the accounts, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    accounts = int(ACCOUNTS * options.scale)
    with server() as cluster:
        seed(cluster, "month", accounts, 1)
        seed(cluster, "full_month", accounts, MORE)
        seed(cluster, "thirteenth_month", accounts, 1, BEFORE)
        rows = finished_rows(cluster, "month")
        times = alternate(ours(cluster, "month"), reference(cluster, "month", rows), options.runs)
        # Ours on both months in turn: the reference of the second figure is ours on the smaller one.
        more = alternate(ours(cluster, "full_month"), ours(cluster, "month"), options.runs)
        # Of few accounts a run takes a fraction of a second, and its median needs more of them to stand still.
        later = alternate(drawn_up(cluster, "thirteenth_month"), drawn_up(cluster, "month"), 2 * options.runs + 1)
    ratio, further = times.ours / times.reference, more.ours / more.reference
    lines = rows["invoice_lines"].count(b"\n")
    report(
        "invoice_run",
        ratio,
        BOUND,
        at_most=True,
        sizes={
            "accounts": accounts,
            "invoices": rows["invoices"].count(b"\n"),
            "lines": lines,
            "events": accounts * len(COUNTRIES) * DAYS,
            "events_of_the_full_month": accounts * len(COUNTRIES) * DAYS * MORE,
            "months_of_history": len(BEFORE),
            "copied_bytes": sum(map(len, rows.values())),
        },
        times=times,
        compared="drawn up from daily totals (and the ordered events of each account's crossing day), drafts written,"
        " checked against their digests, numbered and moved to the final tables, all committed; against a bare COPY of"
        " the very same rows into fresh copies of the final tables with indexes, foreign keys and triggers, committed;"
        " seconds, ours divided by the reference's. ten_times_the_events: ours on the same accounts, prices and days"
        " with ten times the events on each, divided by ours. with_history: drawn up after twelve months that are"
        " issued and of which nothing has changed, divided by drawn up without any; without safety bounds, which read"
        " each account's last invoices",
        further={
            "ten_times_the_events": (further, BOUND_OF_MORE),
            "with_history": (later.ours / later.reference, BOUND_OF_HISTORY),
        },
    )


if __name__ == "__main__":
    main()
