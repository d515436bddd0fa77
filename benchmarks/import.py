"""A million calls from NDJSON to stored: parsed, fingerprinted, identified, rated, counted, committed.

Compared with the least that the same statements take on the same tables and indexes, by one connection, with rows that
were parsed, rated and written as COPY reads them before the watch started.
"""

import argparse
import io
from collections.abc import Iterator

import psycopg

from benchmarks.calls import ACCOUNTS, AT, PREFIXES, SOURCE, Finished, deck, finished, opened, usage, write
from benchmarks.databases import server
from benchmarks.harness import RUNS, Prepare, Run, alternate, report
from billing.flows.ingest import Intake, import_usage
from billing.receipts import Outcome
from billing.sources.ndjson import read_chunks
from billing.store.embedded import Cluster
from cli.world import products

EVENTS = 1_000_000
BOUND = 0.6


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
