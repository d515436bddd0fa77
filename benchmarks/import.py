"""A million calls from NDJSON to stored: parsed, fingerprinted, identified, rated, counted, committed.

Compared with the least that the same statements take on the same tables and indexes, by one connection, with rows that
were parsed, rated and written as COPY reads them before the watch started.
"""

import argparse
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg

from benchmarks.databases import fresh, server
from benchmarks.harness import RUNS, Prepare, Run, alternate, report
from billing.accounts import Account, AccountId
from billing.contracts import Contract
from billing.flows.ingest import Intake, import_usage
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.receipts import Outcome
from billing.sources.ndjson import read_chunks
from billing.store.embedded import Cluster
from billing.store.engine import Engine, open_engine
from billing.store.identity import IDENTITY
from billing.store.usage import CHANGES, Batch
from cli.world import products
from rates.cardfile import read_card
from rates.errors import CardFaultyError

EVENTS = 1_000_000
ACCOUNTS = 1_000
PREFIXES = 10_000
BOUND = 0.6

AT = datetime(2026, 10, 31, 12, tzinfo=UTC)
SOURCE = "voice-eu-1"
HEAD = """\
id = "list-usd"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
rates = "rates.csv"
"""


def usage(events: int) -> bytes:
    """Seeded calls of a month, in the order in which they were made, one JSON object a line."""
    rng = random.Random(1)
    start, step = datetime(2026, 10, 1, tzinfo=UTC), timedelta(days=30) / events
    lines = []
    for number in range(events):
        at = (start + number * step).isoformat(timespec="milliseconds").replace("+00:00", "Z")
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


def opened(cluster: Cluster, name: str, rates: bytes) -> Engine:
    """A fresh database with a card and accounts."""
    engine = open_engine(fresh(cluster, name).sqlalchemy_url)
    card, faults = read_card(HEAD, {"rates.csv": rates}, products())
    if card is None:
        raise CardFaultyError(faults)
    publish(engine, card, products(), at=AT, actor="benchmark")
    names = [f"acct-{number}" for number in range(ACCOUNTS)]
    add_accounts(engine, [Account(id=AccountId(n), currency="USD") for n in names], at=AT, actor="benchmark")
    contracts = [Contract(account=n, effective_from=date(2026, 10, 1), cards=("list-usd",)) for n in names]
    add_contracts(engine, contracts, products(), at=AT, actor="benchmark")
    return engine


def ours(cluster: Cluster, rates: bytes, lines: bytes, events: int) -> Prepare:
    """From the lines to committed."""

    def prepare() -> Run:
        engine = opened(cluster, "ours", rates)

        def run() -> object:
            chunks = read_chunks(io.BytesIO(lines))
            counts = import_usage(engine, SOURCE, chunks, products=products(), at=AT)
            if counts[Outcome.ACCEPTED] != events:
                raise ValueError(f"not all events were accepted: {counts}")
            engine.dispose()
            return counts

        return run

    return prepare


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
        identities=batch.identities.to_pybytes(),
        events=batch.events.octets.to_pybytes(),
        changes=batch.changes.octets.to_pybytes(),
        event_columns=", ".join(batch.events.table.column_names),
    )


def all_finished(cluster: Cluster, rates: bytes, lines: bytes) -> Iterator[Finished]:
    """The same batches that our import makes."""
    engine = opened(cluster, "prepared", rates)
    intake = Intake(engine=engine, products=products(), source=SOURCE)
    for chunk in read_chunks(io.BytesIO(lines)):
        yield finished(intake.prepare(chunk.payloads, AT).batch)
    engine.dispose()


def reference(cluster: Cluster, rates: bytes, lines: bytes, batches: list[Finished]) -> Prepare:
    """Finished rows to committed, by the statements that our import makes."""

    def prepare() -> Run:
        engine = opened(cluster, "bare", rates)
        first = next(read_chunks(io.BytesIO(lines), events=1))
        intake = Intake(engine=engine, products=products(), source=SOURCE)
        intake.prepare(first.payloads, AT)  # the source and the partitions
        engine.dispose()
        connection = psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))

        def run() -> None:
            for batch in batches:
                with connection.transaction():
                    write(connection, batch)
            connection.close()

        return run

    return prepare


def write(connection: psycopg.Connection, batch: Finished) -> None:
    """One transaction's statements."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(1)")
    connection.execute("SELECT version FROM book_version").fetchone()
    with connection.transaction():
        copy(connection, f"event_identity ({', '.join(IDENTITY)})", batch.identities)
    connection.execute("INSERT INTO written_batches (batch) VALUES (%s)", [batch.number])
    copy(connection, f"events ({batch.event_columns})", batch.events)
    copy(connection, f"unfolded ({', '.join(CHANGES)})", batch.changes)


def copy(connection: psycopg.Connection, target: str, octets: bytes) -> None:
    """COPY finished rows into a table."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT binary)".encode()) as stream:
        stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for start in range(0, len(octets), 1 << 20):
            stream.write(octets[start : start + (1 << 20)])
        stream.write(b"\xff\xff")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the events, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    events = int(EVENTS * options.scale)
    lines, rates = usage(events), deck()
    with server() as cluster:
        batches = list(all_finished(cluster, rates, lines))
        bare = reference(cluster, rates, lines, batches)
        times = alternate(ours(cluster, rates, lines, events), bare, options.runs)
    report(
        "import",
        times.reference / times.ours,
        BOUND,
        at_most=False,
        sizes={"events": events, "accounts": ACCOUNTS, "prefixes": PREFIXES, "ndjson_bytes": len(lines)},
        times=times,
        compared="NDJSON parsed, fingerprinted, identified, rated and committed; against the same statements on"
        " the same tables and indexes by one connection, from rows that were parsed, rated and written for COPY"
        " beforehand; events a second, ours divided by the reference's",
    )


if __name__ == "__main__":
    main()
