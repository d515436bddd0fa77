"""Calls to measure with: their usage, the card and the accounts that rate it, and finished rows of them to write."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa

from benchmarks.databases import fresh
from billing.accounts import Account, AccountId
from billing.contracts import Contract
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.store.binary import Column, Nullable
from billing.store.changes import CHANGES, columns_of
from billing.store.claims import identities_of
from billing.store.embedded import Cluster
from billing.store.engine import Engine, open_engine
from billing.store.identity import IDENTITY
from billing.store.usage import Batch
from cli.world import products
from rates.cardfile import read_card
from rates.cards import instant
from rates.errors import CardFaultyError

ACCOUNTS = 1_000
PREFIXES = 10_000
SINCE = datetime(2026, 10, 1, tzinfo=UTC)
AT = SINCE + timedelta(days=30, hours=12)
SOURCE = "voice-eu-1"
HEAD = """\
id = "list-usd"
currency = "USD"
effective_from = {since}
rates = "rates.csv"
"""


def usage(events: int, since: datetime = SINCE) -> bytes:
    """Seeded calls of a month, in the order in which they were made, one JSON object a line."""
    rng, step = random.Random(1), timedelta(days=30) / events
    lines = []
    for number in range(events):
        at = (since + number * step).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(
            f'{{"id":"CA{rng.getrandbits(128):032x}","account":"acct-{rng.randrange(ACCOUNTS)}",'
            f'"product":"voice.outbound","occurred_at":"{at}","from":"+1415555{rng.randrange(10_000):04}",'
            f'"to":"+44{rng.randrange(10**9, 10**10)}","duration_seconds":"{rng.randrange(1, 900)}",'
            '"status":"completed"}\n'
        )
    return "".join(lines).encode()


def deck() -> bytes:
    """Seeded prefixes under +44, about a dozen to a price, and the country itself."""
    rng = random.Random(1)
    prefixes = sorted({str(rng.randrange(10**k, 10 ** (k + 1))) for k in (1, 2, 3, 4) for _ in range(PREFIXES)})
    names = [f"GB {number}" for number in range(PREFIXES // 12)]
    prices = {name: f"0.{rng.randint(1, 9999):04}" for name in names}
    chosen = [(prefix, rng.choice(names)) for prefix in rng.sample(prefixes, min(PREFIXES, len(prefixes)))]
    rows = [f"voice.outbound,{name},44{prefix},minute,{prices[name]},60/60" for prefix, name in chosen]
    header = "product,destination,prefixes,unit,price,increments"
    return "\n".join([header, "voice.outbound,United Kingdom,44,minute,0.01,60/60", *rows, ""]).encode()


def opened(cluster: Cluster, name: str, rates: bytes, since: datetime = SINCE) -> Engine:
    """A fresh database with a card and accounts."""
    engine = open_engine(fresh(cluster, name).sqlalchemy_url)
    card, faults = read_card(HEAD.format(since=instant(since)), {"rates.csv": rates}, products())
    if card is None:
        raise CardFaultyError(faults)
    publish(engine, card, products(), at=since, actor="benchmark")
    names = [f"acct-{number}" for number in range(ACCOUNTS)]
    add_accounts(engine, [Account(id=AccountId(n), currency="USD") for n in names], at=since, actor="benchmark")
    contracts = [Contract(account=n, effective_from=since.date(), cards=("list-usd",)) for n in names]
    add_contracts(engine, contracts, products(), at=since, actor="benchmark")
    return engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The rows of one transaction, as COPY reads them."""

    number: int
    identities: bytes
    events: bytes
    changes: bytes
    event_columns: str


def finished(batch: Batch) -> Finished:
    """Everything that our import writes for a batch of which all is new."""
    return Finished(
        number=batch.number,
        identities=bytes(batch.identities),
        events=bytes(batch.events.octets),
        changes=bytes(batch.changes.octets),
        event_columns=", ".join(batch.events.columns),
    )


def write(connection: psycopg.Connection, batch: Finished) -> None:
    """One transaction's statements; those that nothing has to be known for go together, as they do in the import."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(1); SELECT version FROM book_version", prepare=False)
    number = f"INSERT INTO written_batches (batch) VALUES ({batch.number})"  # noqa: S608
    connection.execute(f"{number}; SAVEPOINT before_the_try".encode(), prepare=False)
    copy(connection, f"event_identity ({', '.join(IDENTITY)})", batch.identities)
    copy(connection, f"events ({batch.event_columns})", batch.events)
    copy(connection, f"unfolded ({', '.join(CHANGES)})", batch.changes)


Row = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """The rows of one event, as they are inserted: of each table its statement, and the values."""

    statements: tuple[str, ...]
    rows: tuple[Row, ...]


def alone(batch: Batch) -> Alone:
    """Everything that our import writes for a batch of one event, which is new."""
    tables = {
        "event_identity": (identities_of(batch.claims, batch.number), " ON CONFLICT (source_id, id) DO NOTHING"),
        "written_batches": ({"batch": np.int64(batch.number)}, ""),
        "events": (batch.events.columns, ""),
        "unfolded": (columns_of(batch.changes.rows), ""),
    }
    statements, rows = [], []
    for name, (columns, end) in tables.items():
        values = ", ".join(["%s"] * len(columns))
        statements.append(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({values}){end}")  # noqa: S608
        rows.append(tuple(map(_only, columns.values())))
    return Alone(statements=tuple(statements), rows=tuple(rows))


def _only(column: Column) -> object:
    """The value of a column of one row, for a statement."""
    if isinstance(column, pa.Array):
        return column[0].as_py()
    if isinstance(column, Nullable):
        return None if column.is_null[0] else _only(column.values)
    value = column if isinstance(column, np.generic) else column[0]
    return UUID(bytes=value.tobytes()) if isinstance(value, np.void) else value.item()


def insert(connection: psycopg.Connection, event: Alone) -> None:
    """One transaction's statements, for one event."""
    for statement, row in zip(event.statements, event.rows, strict=True):
        connection.execute(statement.encode(), row)


def copy(connection: psycopg.Connection, target: str, octets: bytes) -> None:
    """COPY finished rows into a table."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT binary)".encode()) as stream:
        for start in range(0, len(octets), 1 << 20):
            stream.write(octets[start : start + (1 << 20)])
