"""Databases that hold many events already: seeded inside PostgreSQL, as the same number of posted events leave them.

Months of calls of a thousand accounts, and of three of which each figure is of one: `steady` has as many events however
many there are in all, `growing` and `tiered` have a hundredth of all, on the same days at the same prices.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from benchmarks.calls import ACCOUNTS, opened
from billing.accounts import Account, AccountId
from billing.contracts import Contract
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.periods import Period
from billing.store.cluster.server import SUPERUSER
from billing.store.embedded import ROLE, Address, Cluster, address_of
from billing.store.engine import Engine, transaction
from billing.store.identity import source_ids
from billing.store.partitions import make_partitions
from cli.world import products
from rates.cardfile import read_card
from rates.errors import CardFaultyError
from rates.rating import CODES, Reason

MONTHS = [Period.of_month(2026, month) for month in range(6, 11)]
UNTIL = datetime.fromisoformat("2026-10-30T00:00:00Z")
"""The last month is as full as it is by then; what is new comes after."""

ORDERED, RANDOM = "ordered", "random"
"""The sources: ids of the one grow with time (UUIDv7), those of the other do not (UUIDv4)."""

SOURCES = (ORDERED, RANDOM)

STEADY, GROWING, TIERED = "steady", "growing", "tiered"
OWN_EVENTS = 2_900
"""Events of the last month of each of the three, at the least: 100 a day."""

PRICES = 10
WAITING = 1_000
"""One event in so many waits in quarantine."""

BYTES_AN_EVENT = 640
"""On the disk, indexes and all, about."""

QUICK = {"wal_level": "minimal", "max_wal_senders": "0", "fsync": "off"}
"""Settings of the server while databases are seeded, and never while anything is measured."""

_CARD = """
id = "tiered-usd"
currency = "USD"
effective_from = 2026-06-01T00:00:00Z
[tiers.voice-us]
up_to = ["1000"]
unit = "minute"
fill = [{product = "voice.outbound", country = ["US"]}]
[[rate]]
product = "voice.outbound"
country = "US"
destination = "United States"
prefixes = ["1"]
unit = "minute"
increments = "60/60"
tiers = "voice-us"
prices = ["0.0140", "0.0130"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Events of a month, evenly over its time: of which accounts, at which prices, in which country.

    `first` is the number of the first; no two events share one. One in five has an id that grows with time.
    """

    month: Period
    first: int
    events: int
    accounts: Sequence[int]
    prices: Sequence[int]
    country: str = "GB"


def stored(cluster: Cluster, name: str, rates: bytes, events: int) -> None:
    """A database with so many events, rated, folded and analysed."""
    engine = admitted(cluster, name, rates)
    with transaction(engine) as connection:
        make_partitions(connection, [month.start for month in MONTHS])
    crowds = _crowds(engine, events)
    engine.dispose()
    address = address_of(cluster, name)
    with _connected(address) as connection:
        indexes = _without_indexes(connection)
    # Each table in one transaction that empties it first: nothing of it need be logged.
    with ThreadPoolExecutor(max_workers=2) as threads:
        list(threads.map(lambda month: _fill(address, [each for each in crowds if each.month == month]), MONTHS))
        done = [threads.submit(_identify, address), threads.submit(_sum_up, address, indexes)]
        for each in done:
            each.result()
    with _connected(address) as connection:
        waiting = {"events": events // WAITING, "reason": CODES[Reason.UNKNOWN_ACCOUNT]}
        connection.execute(_WAITING, waiting)
        for statement in ("VACUUM ANALYZE usage_totals", "ANALYZE events, event_identity, quarantine"):
            connection.execute(statement)


def admitted(cluster: Cluster, name: str, rates: bytes) -> Engine:
    """An empty database with the same accounts, cards and sources."""
    since = MONTHS[0].opens
    engine = opened(cluster, name, rates, since)
    card, faults = read_card(_CARD, {}, products())
    if card is None:
        raise CardFaultyError(faults)
    publish(engine, card, products(), at=since, actor="benchmark")
    names = [STEADY, GROWING, TIERED]
    add_accounts(engine, [Account(id=AccountId(each), currency="USD") for each in names], at=since, actor="benchmark")
    cards = {TIERED: "tiered-usd"}
    contracts = [
        Contract(account=each, effective_from=since.date(), cards=(cards.get(each, "list-usd"),)) for each in names
    ]
    add_contracts(engine, contracts, products(), at=since, actor="benchmark")
    with transaction(engine) as connection:
        source_ids(connection, SOURCES)
        connection.execute("INSERT INTO products (id) VALUES ('voice.outbound') ON CONFLICT DO NOTHING")
    return engine


def checkpoint(cluster: Cluster) -> None:
    """As the server makes one by itself, now and then."""
    with _connected(address_of(cluster), SUPERUSER) as connection:
        connection.execute("CHECKPOINT")


def quieten(cluster: Cluster, name: str) -> None:
    """Let no server be busy with what was seeded: months of events would have been vacuumed as they came."""
    with _connected(address_of(cluster, name), SUPERUSER) as connection:
        connection.execute("SELECT pg_stat_reset()")


def warm(cluster: Cluster, name: str) -> None:
    """Let the kernel have read the index of identities, as where events come all day."""
    with _connected(address_of(cluster, name)) as connection:
        row = connection.execute("SELECT pg_relation_filepath('event_identity_pkey')").fetchone()
    first = cluster.postgres / (row[0] if row else "")
    for segment in sorted(first.parent.glob(f"{first.name}*")):
        with segment.open("rb") as file:
            while file.read(1 << 20):
                pass


def size_of(cluster: Cluster, name: str) -> int:
    """Bytes of a database."""
    with _connected(address_of(cluster, name)) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def events_in(cluster: Cluster, name: str) -> int:
    """How many events a database holds, counted."""
    with _connected(address_of(cluster, name)) as connection:
        row = connection.execute("SELECT count(*) FROM event_identity").fetchone()
    return int(row[0]) if row else 0


def _connected(address: Address, role: str = ROLE) -> psycopg.Connection:
    return psycopg.connect(address.libpq_uri, autocommit=True, user=role)


def _crowds(engine: Engine, events: int) -> list[Crowd]:
    with transaction(engine) as connection:
        accounts = dict(connection.execute("SELECT id, account_id FROM accounts").fetchall())
        prices: dict[str, list[int]] = {}
        for card, price in connection.execute(
            "SELECT card_id, price_id FROM prices JOIN card_versions USING (card_version_id) ORDER BY 1, 2"
        ):
            prices.setdefault(card, []).append(price)
    listed, last = prices["list-usd"][:PRICES], MONTHS[-1]
    own = max(OWN_EVENTS, events // 100)
    crowds = [
        Crowd(month=last, first=0, events=OWN_EVENTS, accounts=[accounts[STEADY]], prices=listed),
        Crowd(month=last, first=0, events=own, accounts=[accounts[GROWING]], prices=listed),
        Crowd(month=last, first=0, events=own, accounts=[accounts[TIERED]], prices=prices["tiered-usd"], country="US"),
    ]
    names = [accounts[f"acct-{number}"] for number in range(ACCOUNTS)]
    rest = (events - sum(each.events for each in crowds)) // len(MONTHS)
    crowds += [Crowd(month=month, first=0, events=rest, accounts=names, prices=listed) for month in MONTHS]
    firsts = [sum(each.events for each in crowds[:place]) for place in range(len(crowds))]
    return [
        Crowd(**{**{name: getattr(each, name) for name in Crowd.__slots__}, "first": first})
        for each, first in zip(crowds, firsts, strict=True)
    ]


def _without_indexes(connection: psycopg.Connection) -> list[str]:
    """Drop the indexes of what is seeded. Returns what makes them again."""
    rows = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'events' AND schemaname = current_schema()"
    ).fetchall()
    for name, _ in rows:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    connection.execute("ALTER TABLE event_identity DROP CONSTRAINT event_identity_pkey")
    return [definition.replace(" ON ONLY ", " ON ") for _, definition in rows]


def _fill(address: Address, crowds: Sequence[Crowd]) -> None:
    with _connected(address) as connection, connection.transaction():
        partition = sql.Identifier(f"events_{crowds[0].month.start:%Y_%m}")
        connection.execute(sql.SQL("TRUNCATE {}").format(partition))
        for crowd in crowds:
            until = min(crowd.month.closes, UNTIL)
            connection.execute(
                sql.SQL(_EVENTS).format(partition=partition),
                {
                    "opens": crowd.month.opens,
                    "step": (until - crowd.month.opens - timedelta(seconds=1)) / crowd.events,
                    "first": crowd.first,
                    "events": crowd.events,
                    "accounts": list(crowd.accounts),
                    "prices": list(crowd.prices),
                    "country": crowd.country,
                },
            )


def _identify(address: Address) -> None:
    with _connected(address) as connection:
        connection.execute("SET maintenance_work_mem = '1GB'")
        with connection.transaction():
            connection.execute("TRUNCATE event_identity")
            connection.execute(_IDENTITIES)
        for statement in _IDENTITY_KEY:
            connection.execute(statement)


def _sum_up(address: Address, indexes: Sequence[str]) -> None:
    with _connected(address) as connection:
        connection.execute("SET work_mem = '512MB'")
        connection.execute("SET maintenance_work_mem = '512MB'")
        for statement in (*_TOTALS, *indexes):
            connection.execute(statement)


# In the order of time, as they come. Which account and how long: by a hash of the number. A customer of its own goes
# through its prices in turn: so a hundred events of a day are at all of them, and so are ten thousand.
_EVENTS = """
INSERT INTO {partition} (occurred_at, received_at, batch, to_e164, from_e164, measured, rate_id, billed, price_id,
    payer_id, account_id, source_id, revision, product_id, reason, id, country, status)
SELECT at, at, n / 1000 + 1, 440000000000 + (h & 1073741823), 14155550000 + (h & 8191), 1 + (h & 511), price,
    60 * (1 + (h & 511) / 60), price, account, account, CASE WHEN ordered THEN in_order ELSE other END, 1, product_id,
    0, CASE WHEN ordered
        THEN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 19))::uuid
        ELSE hash::uuid END::text,
    %(country)s, 'completed'
FROM (
    SELECT n, %(opens)s::timestamptz + (n - %(first)s) * %(step)s::interval AS at, hashint8(n) AS h,
        md5(n::text) AS hash, n %% 5 = 0 AS ordered,
        (%(prices)s::integer[])[1 + n %% cardinality(%(prices)s::integer[])] AS price,
        (%(accounts)s::integer[])
            [1 + (hashint8(-n) & 1073741823) %% cardinality(%(accounts)s::integer[])] AS account
    FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(events)s - 1) AS n
) AS calls
CROSS JOIN (SELECT max(source_id) FILTER (WHERE id = 'ordered') AS in_order,
    max(source_id) FILTER (WHERE id = 'random') AS other FROM sources) AS sources
CROSS JOIN (SELECT product_id FROM products WHERE id = 'voice.outbound') AS products
"""

_IDENTITIES = """
INSERT INTO event_identity (batch, occurred_at, fingerprint, source_id, revision, payer_id, id)
SELECT batch, occurred_at, id::uuid, source_id, 1, payer_id, id FROM events
"""

# As full as an index is into which random ids have come one by one, which splits its pages in halves.
_IDENTITY_KEY = (
    """
    ALTER TABLE event_identity ADD CONSTRAINT event_identity_pkey PRIMARY KEY (source_id, id) WITH (fillfactor = 70)
    """,
    "ALTER INDEX event_identity_pkey RESET (fillfactor)",
)

# What waits is of accounts that nobody knows yet.
_WAITING = """
WITH waiting AS (
    INSERT INTO quarantine (occurred_at, received_at, batch, to_e164, measured, source_id, revision, reason, id,
        account, product, status)
    SELECT occurred_at, received_at, batch, to_e164, measured, source_id, 1, %(reason)s, gen_random_uuid()::text,
        'new-' || payer_id, 'voice.outbound', status
    FROM (SELECT * FROM events_2026_10 LIMIT %(events)s) AS events
    RETURNING *
)
INSERT INTO event_identity (batch, occurred_at, fingerprint, source_id, revision, id)
SELECT batch, occurred_at, id::uuid, source_id, 1, id FROM waiting
"""

_TOTALS = (
    """
    INSERT INTO usage_totals (payer_id, day, price_id, account_id, country, events, quantity)
    SELECT payer_id, (occurred_at AT TIME ZONE 'UTC')::date, price_id, account_id, country, count(*), sum(billed)
    FROM events GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    """,
    """
    INSERT INTO touched_months (month, payer_id, folds)
    SELECT date_trunc('month', day::timestamp)::date, payer_id, count(*) FROM usage_totals GROUP BY 1, 2
    """,
    "INSERT INTO written_batches (batch) SELECT DISTINCT batch FROM events",
    "SELECT setval('batches', max(batch)) FROM written_batches",
)
