"""What it costs that there are many events already: new ones taken in, and a customer's month read.

New events go into a database that holds fifty million and into an empty one, in turn, through what requests go through
(`Gathering`), once with ids that grow with time and once, right after a checkpoint, with random ones. Totals, statement
and usage of an account are read where 100,000 events are stored and where all of them are.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import count
from uuid import UUID

from benchmarks.calls import ACCOUNTS, AT, PREFIXES, deck
from benchmarks.databases import restarted, server
from benchmarks.harness import RUNS, Prepare, Run, Times, alternate
from benchmarks.stored import (
    BYTES_AN_EVENT,
    GROWING,
    MONTHS,
    ORDERED,
    QUICK,
    RANDOM,
    STEADY,
    TIERED,
    UNTIL,
    admitted,
    checkpoint,
    events_in,
    quieten,
    size_of,
    stored,
    warm,
)
from billing.flows.compose import compose_statement
from billing.flows.fold import fold
from billing.flows.gather import NUMBERS_AHEAD, Gathering
from billing.flows.ingest import Intake
from billing.receipts import Outcome
from billing.store.embedded import Cluster, address_of
from billing.store.engine import Engine, open_engine, snapshot
from billing.store.queries.sight import account_seen
from billing.store.queries.spent import By, Wanted, usage_by
from billing.store.totals import read_totals
from cli.world import products

EVENTS = 50_000_000
FEW = 100_000
NEW = 100_000
BOUNDS = {ORDERED: 0.85, RANDOM: 0.3}
BOUND_OF_READING = 1.3
MOST_BYTES = 40_000_000_000
FREE_BYTES = 12_000_000_000

MONTH = MONTHS[-1]
_BATCH = 1_000
_WARM = 5_000
_WARM_READS = 7  # the fifth is prepared, and the first has read what is not in memory yet
_FEWEST_READS = 31
_READ_SECONDS = 3

Read = Callable[[Engine, str], object]


def new_events(source: str, run: int, events: int) -> list[bytes]:
    """Calls of an hour that nobody has reported yet, in the order of time; runs have hours of their own."""
    rng, step = random.Random(f"{source} {run}"), timedelta(hours=1) / events
    made = []
    for number in range(events):
        at = UNTIL + run * timedelta(hours=1) + number * step
        head = int(at.timestamp() * 1000) if source == ORDERED else rng.getrandbits(48)
        identity = UUID(int=head << 80 | 7 << 76 | rng.getrandbits(76))
        made.append(
            f'{{"id":"{identity}","account":"acct-{rng.randrange(ACCOUNTS)}","product":"voice.outbound",'
            f'"occurred_at":"{at.isoformat(timespec="milliseconds")}","from":"+1415555{rng.randrange(10_000):04}",'
            f'"to":"+44{rng.randrange(10**9, 10**10)}","duration_seconds":"{rng.randrange(1, 900)}",'
            '"status":"completed"}'.encode()
        )
    return made


def taking_in(cluster: Cluster, opened: Callable[[], Engine], source: str, events: int) -> Prepare:
    """New events to committed, by a database that is warm; of random ids right after a checkpoint.

    Of the others shortly after it, since what it costs them is a page of each account, once in a quarter of an hour.
    """
    runs = count()

    def prepare() -> Run:
        payloads = new_events(source, next(runs), _WARM + events)
        engine = opened()
        intake = Intake(engine=engine, products=products(), source=None, ahead=NUMBERS_AHEAD)
        if source == ORDERED:
            checkpoint(cluster)
        take_in(intake, source, payloads[:_WARM])
        if source == RANDOM:
            checkpoint(cluster)

        def run() -> None:
            take_in(intake, source, payloads[_WARM:])
            engine.dispose()

        return run

    return prepare


def take_in(intake: Intake, source: str, payloads: Sequence[bytes]) -> None:
    """Hand payloads in, a thousand at a time, and wait until all are committed."""
    with Gathering(intake, lambda: AT) as gathering:
        answers = [
            gathering.submit(payloads[start : start + _BATCH], source) for start in range(0, len(payloads), _BATCH)
        ]
        accepted = sum(each.outcome == Outcome.ACCEPTED for answer in answers for each in answer.result())
    if accepted != len(payloads):
        raise ValueError(f"{len(payloads) - accepted} of {len(payloads)} events were not accepted")


def totals(engine: Engine, account: str) -> object:
    """The totals of an account's month."""
    with snapshot(engine) as connection:
        seen = account_seen(connection, account)
        if seen is None:
            raise LookupError(account)
        found = read_totals(connection, MONTH, [seen.payer_number])
    if not len(found):
        raise ValueError("nothing was read")
    return found


def statement(engine: Engine, account: str) -> object:
    """The statement of an account's month."""
    return compose_statement(engine, products(), MONTH, AT, account)


def usage(engine: Engine, account: str) -> object:
    """What `GET /v1/usage` asks for an account: its month by day and product."""
    with snapshot(engine) as connection:
        seen = account_seen(connection, account)
        if seen is None:
            raise LookupError(account)
        wanted = Wanted(MONTH.start, MONTH.end, payer=seen.payer_number)
        return usage_by(connection, wanted, [By.DAY, By.PRODUCT], after=["", "", ""], limit=1000)


READS: dict[str, Read] = {"totals": totals, "statement": statement, "usage": usage}


def reading(cluster: Cluster, read: Read, account: str) -> dict[str, float]:
    """Median milliseconds of a read in both databases, in turn, and how often the one takes the other's time."""
    engines = {name: open_engine(address_of(cluster, name).sqlalchemy_url) for name in ("few", "full")}
    took: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        for _ in range(_WARM_READS):
            read(engine, account)
    start = time.perf_counter()
    # One by one, in turn: whatever else the machine does, it does to both.
    while len(took["full"]) < _FEWEST_READS or time.perf_counter() < start + _READ_SECONDS:
        for name, engine in engines.items():
            before = time.perf_counter()
            read(engine, account)
            took[name].append(time.perf_counter() - before)
    for engine in engines.values():
        engine.dispose()
    few, full = (statistics.median(took[name]) * 1000 for name in ("few", "full"))
    return {"ratio": round(full / few, 3), "ms_of_few": round(few, 2), "ms_of_full": round(full, 2)}


def opened_full(cluster: Cluster) -> Callable[[], Engine]:
    """The database that holds the events; what was taken in before is folded, as a worker does all the time."""

    def opened() -> Engine:
        engine = open_engine(address_of(cluster, "full").sqlalchemy_url)
        fold(engine)
        return engine

    return opened


def room_for(events: int) -> int:
    """As many events as there is room for on the disk; says so when that is fewer."""
    free = shutil.disk_usage(tempfile.gettempdir()).free - FREE_BYTES
    fits = int(min(MOST_BYTES, free) // BYTES_AN_EVENT)
    if fits < events:
        print(f"{fits} events instead of {events}: there is no room for more", file=sys.stderr)
    return min(events, fits)


def _measures(cluster: Cluster, rates: bytes, runs: int, new: int) -> Iterator[tuple[str, Times]]:
    for source in BOUNDS:
        full = taking_in(cluster, opened_full(cluster), source, new)
        empty = taking_in(cluster, lambda: admitted(cluster, "empty", rates), source, new)
        yield source, alternate(full, empty, runs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the events that are stored")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--new", type=int, default=NEW, help="events that each run takes in")
    options = parser.parse_args()
    events, rates, start = room_for(int(EVENTS * options.scale)), deck(), time.perf_counter()
    with server(QUICK) as quick:
        stored(quick, "few", rates, min(FEW, events))
        stored(quick, "full", rates, events)
        cluster = restarted(quick, {})
        quieten(cluster, "full")
        seeded, size = time.perf_counter() - start, size_of(cluster, "full")
        counted = {name: events_in(cluster, name) for name in ("few", "full")}
        read = {
            account: {name: reading(cluster, each, account) for name, each in READS.items()}
            for account in (STEADY, GROWING, TIERED)
        }
        warm(cluster, "full")
        taken = dict(_measures(cluster, rates, options.runs, options.new))
    into = {
        f"{source}_ids": {
            "ratio": round(times.reference / times.ours, 3),
            "bound": BOUNDS[source],
            "events_a_second": {
                "full": round(options.new / times.ours),
                "empty": round(options.new / times.reference),
            },
        }
        for source, times in taken.items()
    }
    kept = all(each["ratio"] >= each["bound"] for each in into.values())  # type: ignore[operator]
    flat = [each["ratio"] for account in (STEADY, GROWING) for each in read[account].values()]
    result = {
        "name": "flat",
        "holds": kept and max(flat) <= BOUND_OF_READING,
        **into,
        "reading": {"bound": BOUND_OF_READING, **read},
        "sizes": {
            "events": counted["full"],
            "few_events": counted["few"],
            "new_events": options.new,
            "accounts": ACCOUNTS,
            "prefixes": PREFIXES,
            "bytes": size,
            "seconds_to_seed": round(seeded),
        },
        "compared": "new events a second, parsed, rated and committed, into a database that holds `events`, divided by"
        " those into an empty one; of random ids right after a checkpoint, and with as much of their index in the"
        " kernel's memory as it keeps; reading: milliseconds where `events` are stored divided by those where"
        " `few_events` are, of an account with as many events in both (steady), with a hundredth of all (growing), and"
        " of such a one whose counter crosses into another tier, so that a day's events are read in order (tiered;"
        " without a bound)",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
