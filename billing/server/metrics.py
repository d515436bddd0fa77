"""What the service counts of itself, for Prometheus: requests, events by result, the queue, commits, the fold's lag.

`docs/operations.md` says what each of them means and when to be alarmed.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from billing.flows.gather import Committed

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which several processes of one service add up their figures.

It is read when this module is imported, and never again.
"""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROUND_SECONDS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 600)


class _Soon:
    """Figures of one turn of the event loop, added up and written once, when it ends.

    To write one takes a lock, a look at which process this is, and a place in a file.
    """

    def __init__(self) -> None:
        self._counted: dict[Counter, int] = {}
        self._set: dict[Gauge, int] = {}

    def inc(self, counter: Counter, amount: int = 1) -> None:
        """Add to a counter."""
        self._come()
        self._counted[counter] = self._counted.get(counter, 0) + amount

    def set(self, gauge: Gauge, value: int) -> None:
        """Set a gauge."""
        self._come()
        self._set[gauge] = value

    def _come(self) -> None:
        if not self._counted and not self._set:
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        counted, self._counted = self._counted, {}  # first: who comes from now on comes to the next turn
        values, self._set = self._set, {}
        for counter, amount in counted.items():
            counter.inc(amount)
        for gauge, value in values.items():
            gauge.set(value)


SOON = _Soon()
REQUESTS = Counter("tollbook_requests", "Requests answered.", ("method", "route", "status"))
REQUEST_SECONDS = Histogram(
    "tollbook_request_seconds", "Seconds from a request to its answer.", ("route",), buckets=_SECONDS
)
EVENTS = Counter("tollbook_events", "Events that were posted, by what became of them.", ("outcome",))
GROUP_EVENTS = Histogram(
    "tollbook_group_events", "Events that shared a transaction.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)
COMMIT_SECONDS = Histogram("tollbook_commit_seconds", "Seconds of a transaction of usage.", buckets=_SECONDS)
WAITING = Gauge("tollbook_waiting_events", "Events that wait to be written.", multiprocess_mode="livesum")
CONNECTIONS = Gauge(
    "tollbook_database_connections_in_use", "Connections of the pools that are in use.", multiprocess_mode="livesum"
)
DATABASE_UP = Gauge(
    "tollbook_database_up", "1: the database answered just now; 0: not.", multiprocess_mode="mostrecent"
)
SKEW_SECONDS = Gauge(
    "tollbook_clock_skew_seconds", "How far the database's clock is ahead of ours.", multiprocess_mode="mostrecent"
)
UNFOLDED = Gauge("tollbook_unfolded_changes", "Changes that are not in the totals yet.", multiprocess_mode="mostrecent")
UNFOLDED_SECONDS = Gauge(
    "tollbook_unfolded_oldest_seconds", "How long the oldest of them has waited.", multiprocess_mode="mostrecent"
)
ROUNDS = Counter("tollbook_rounds", "Turns of a worker's rounds, by how they ended.", ("round", "ending"))
ROUND_SECONDS = Histogram("tollbook_round_seconds", "Seconds of a turn.", ("round",), buckets=_ROUND_SECONDS)
ROUND_COUNT = Counter("tollbook_round_items", "What rounds did: changes folded, charges posted.", ("round",))
ROUND_DONE = Gauge(
    "tollbook_round_done_timestamp_seconds",
    "When a round last ended well, here or elsewhere.",
    ("round",),
    multiprocess_mode="max",
)


def note_commit(group: Committed) -> None:
    """Count a group of requests that is committed."""
    COMMIT_SECONDS.observe(group.write_seconds)
    GROUP_EVENTS.observe(group.payloads)


def figures() -> bytes:
    """All of it as Prometheus reads it; of several processes, those of all."""
    shared = os.environ.get(SHARED)
    if not shared:
        return generate_latest(REGISTRY)
    for pid in _dead(Path(shared)):
        mark_process_dead(pid, shared)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def figures_at(host: str, port: int) -> None:
    """Show the figures of this process at a port, from now on, at any path."""
    start_http_server(port, host)


def _dead(folder: Path) -> Iterator[int]:
    """The processes that left what holds only while they live, such as how much waits in them."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            yield pid
        except PermissionError:
            continue
