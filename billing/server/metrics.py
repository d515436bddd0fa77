"""What the service counts of itself, for Prometheus: requests, events by result, the queue, commits, the fold's lag."""

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which several processes of one service add up their figures."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("tollbook_requests", "Requests answered.", ("method", "route", "status"))
REQUEST_SECONDS = Histogram(
    "tollbook_request_seconds", "Seconds from a request to its answer.", ("route",), buckets=_SECONDS
)
EVENTS = Counter("tollbook_events", "Events that were posted, by what became of them.", ("outcome",))
COMMIT_SECONDS = Histogram("tollbook_commit_seconds", "Seconds of a transaction of usage.", buckets=_SECONDS)
WAITING = Gauge("tollbook_waiting_events", "Events that wait to be written.", multiprocess_mode="livesum")
UNFOLDED = Gauge("tollbook_unfolded_changes", "Changes that are not in the totals yet.", multiprocess_mode="mostrecent")


def figures() -> bytes:
    """All of it as Prometheus reads it; of several processes, those of all."""
    if not os.environ.get(SHARED):
        return generate_latest(REGISTRY)
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return generate_latest(shared)
