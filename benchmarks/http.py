"""Events over HTTP to committed: the service, its PostgreSQL with fsync on, and who asks it, all on the same cores.

Compared with bare psycopg and the same statements on the same tables and indexes, with rows that were parsed, rated
and written as COPY reads them before the watch started, by the best of 1, 2 and 4 connections; for single events with
64 connections that insert and commit, each event by itself.
"""

import argparse
import io
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from tempfile import TemporaryDirectory

import psycopg

from benchmarks.calls import (
    ACCOUNTS,
    PREFIXES,
    SOURCE,
    Alone,
    Finished,
    alone,
    deck,
    finished,
    insert,
    opened,
    usage,
    write,
)
from benchmarks.databases import server
from benchmarks.load import Told, load, request
from billing.flows.ingest import Intake
from billing.flows.keys import add_key
from billing.keys import SECRET_BYTES, Grant, Mode, Scope
from billing.sources.ndjson import read_chunks
from billing.store.embedded import Cluster
from billing.store.engine import Engine
from cli.world import products

RUNS = 3
THOUSANDS, HUNDREDS, SINGLES = 200_000, 60_000, 20_000
CLIENTS = 64
BOUNDS = {1000: 0.45, 100: 0.25, 1: 0.6}
P99_BOUND_MS = 50
"""Within which 99 of 100 answers come when half as much is asked as can be answered."""

_PROGRAM = (sys.executable, "-c", "from cli.main import run; run()")
_START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Events to measure with, in batches of some size: as they are posted, and as they are written."""

    lines: list[bytes]
    batch: int
    since: datetime
    rates: bytes

    def bodies(self) -> Iterator[bytes]:
        """The bodies of requests."""
        for start in range(0, len(self.lines), self.batch):
            some = self.lines[start : start + self.batch]
            yield some[0] if self.batch == 1 else b"[" + b",".join(some) + b"]"


def last_month() -> datetime:
    """The first instant of the month before this one: events are neither too old nor ahead of the clock."""
    now = datetime.now(UTC)
    return (now.replace(day=1) - timedelta(days=1)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def ours(cluster: Cluster, of: Measured, workers: int) -> float:
    """Events a second over HTTP."""
    with serving(cluster, of, workers) as (port, token):
        asked = [request("/v1/events", body, token) for body in of.bodies()]
        return len(of.lines) / load(port, iter(asked), _clients(of)).seconds


def at_half_load(cluster: Cluster, of: Measured, workers: int, rate: float) -> Told:
    """How long answers take at half the rate that there was."""
    with serving(cluster, of, workers) as (port, token):
        asked = [request("/v1/events", body, token) for body in of.bodies()]
        return load(port, iter(asked), _clients(of), rate / of.batch / 2)


def _clients(of: Measured) -> int:
    return CLIENTS if of.batch == 1 else 8 if of.batch == 1000 else 16


@contextmanager
def serving(cluster: Cluster, of: Measured, workers: int) -> Iterator[tuple[int, str]]:
    """The service on a fresh database: its port, and a key that reports; warm."""
    engine = opened(cluster, "ours", of.rates, of.since)
    grant = Grant(name="switch", scopes=frozenset({Scope.INGEST}), source=SOURCE)
    issued = add_key(
        engine, grant, token_bytes(SECRET_BYTES), mode=Mode.TEST, at=datetime.now(UTC), actor="benchmark", dry_run=False
    )
    token = issued.token.text
    port = _free_port()
    with TemporaryDirectory(prefix="tollbook-benchmark-") as folder:
        environ = {"DATABASE_URL": _url(engine), "TOLLBOOK_MODE": "test", "TOLLBOOK_DATA": folder}
        engine.dispose()
        with open(f"{folder}/log", "wb") as log:  # noqa: PTH123
            process = subprocess.Popen(
                [*_PROGRAM, "serve", "--port", str(port), "--workers", str(workers)],
                env={**os.environ, **environ},
                stdout=log,
                stderr=log,
            )
        try:
            _await(port, process)
            for number in range(20 * workers):
                warm = of.lines[0].replace(b'"CA', b'"warm-%d-' % number)
                load(port, iter([request("/v1/events", warm, token)]), 1)
            yield port, token
        finally:
            process.terminate()
            process.wait(60)


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the service did not start")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _url(engine: Engine) -> str:
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def all_finished(cluster: Cluster, of: Measured) -> list[Finished] | list[Alone]:
    """The rows of all batches, or of all events."""
    engine = opened(cluster, "prepared", of.rates, of.since)
    intake = Intake(engine=engine, products=products(), source=SOURCE)
    at = datetime.now(UTC)
    chunks = read_chunks(io.BytesIO(b"\n".join(of.lines)), events=of.batch)
    made = [intake.prepare(chunk.payloads, at).batch for chunk in chunks]
    engine.dispose()
    return [alone(batch) for batch in made] if of.batch == 1 else [finished(batch) for batch in made]


def _ready(cluster: Cluster, of: Measured) -> str:
    """A fresh database with the source and the partitions."""
    engine = opened(cluster, "bare", of.rates, of.since)
    Intake(engine=engine, products=products(), source=SOURCE).prepare(of.lines[:1], datetime.now(UTC))
    url = _url(engine)
    engine.dispose()
    return url


def reference(
    cluster: Cluster, of: Measured, batches: Sequence[Finished | Alone], processes: int, connections: int = 1
) -> float:
    """Events a second by bare psycopg, of so many processes with so many connections each."""
    url, context = _ready(cluster, of), multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes * connections + 1)
    shares = [
        [batches[n :: processes * connections] for n in range(p, processes * connections, processes)]
        for p in range(processes)
    ]
    writing = [context.Process(target=_write_shares, args=(url, share, barrier)) for share in shares]
    for process in writing:
        process.start()
    barrier.wait(_START_SECONDS)
    start = time.perf_counter()
    for process in writing:
        process.join()
    return len(of.lines) / (time.perf_counter() - start)


def _write_shares(url: str, shares: Sequence[Sequence[Finished | Alone]], barrier: threading.Barrier) -> None:
    writing = [threading.Thread(target=_write_share, args=(url, share, barrier)) for share in shares]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()


def _write_share(url: str, share: Sequence[Finished | Alone], barrier: threading.Barrier) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")
        connection.commit()
        barrier.wait(_START_SECONDS)
        for each in share:
            with connection.transaction():
                if isinstance(each, Alone):
                    insert(connection, each)
                else:
                    write(connection, each)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the events, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--workers", type=int, default=1, help="processes of the service")
    parser.add_argument("--batches", type=int, nargs="+", default=[1000, 100], help="events of one request")
    options = parser.parse_args()
    since, rates = last_month(), deck()
    with server({"max_connections": str(2 * CLIENTS)}) as cluster:
        for batch in options.batches:
            events = int({1000: THOUSANDS, 100: HUNDREDS, 1: SINGLES}[batch] * options.scale)
            of = Measured(lines=usage(events, since).splitlines(), batch=batch, since=since, rates=rates)
            batches = all_finished(cluster, of)
            bare: dict[int, list[float]] = {2: [], 4: []} if batch == 1 else {1: [], 2: [], 4: []}
            found: list[float] = []
            for _ in range(options.runs):
                for processes, measured in bare.items():
                    each = CLIENTS // processes if batch == 1 else 1
                    measured.append(reference(cluster, of, batches, processes, each))
                found.append(ours(cluster, of, options.workers))
            best = max(statistics.median(each) for each in bare.values())
            ratio = statistics.median(found) / best
            told = at_half_load(cluster, of, options.workers, statistics.median(found))
            p99 = told.percentile(0.99) * 1000
            result = {
                "name": f"http-{batch}",
                "ratio": round(ratio, 3),
                "bound": BOUNDS[batch],
                "holds": ratio >= BOUNDS[batch] and p99 <= P99_BOUND_MS,
                "sizes": {"events": events, "accounts": ACCOUNTS, "prefixes": PREFIXES, "clients": _clients(of)},
                "events_a_second": {
                    "ours": round(statistics.median(found)),
                    **{f"bare_{name}": round(statistics.median(each)) for name, each in bare.items()},
                },
                "p99_ms_at_half_load": round(p99, 1),
                "p99_bound_ms": P99_BOUND_MS,
                "workers": options.workers,
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
