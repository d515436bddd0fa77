"""A service that is asked to end under load answers what it has accepted, and nothing that it answered for is lost."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest

from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from tests.serving import Served, new_key, serving
from tests.shop import Shop, call

CLIENTS = 8
SECONDS = 30.0
ENOUGH = 60
"""Of one client, before the service is asked to end."""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_stored_was_answered_and_what_was_answered_is_stored(
    cluster: Cluster, migrated: str, tmp_path: Path, workers: str
) -> None:
    address = create_database(cluster, f"test_shutdown_{workers}", migrated)
    shop = Shop(engine=open_engine(address.sqlalchemy_url))
    shop.publish()
    shop.admit("acme")
    key = new_key(address.libpq_uri, tmp_path, "switch", "--scope", "ingest", "--source", "switch-1")
    with serving(address.libpq_uri, tmp_path, "--workers", workers, work=True) as running:
        stopping, began = Event(), Event()
        with ThreadPoolExecutor(CLIENTS) as clients:
            found = [clients.submit(post_on, running, key, name, stopping, began) for name in range(CLIENTS)]
            assert began.wait(SECONDS)
            started = time.monotonic()
            assert 0 == running.stop()
            took = time.monotonic() - started
            stopping.set()
            acknowledged = [name for each in found for name in each.result()]
    stored = [str(name) for (name,) in shop.rows("SELECT id FROM event_identity")]
    assert Counter(acknowledged) == Counter(stored)
    assert ENOUGH <= len(acknowledged)
    assert took < SECONDS
    assert [(len(stored),)] == shop.rows(
        "SELECT sum(events)::int FROM (SELECT events FROM usage_totals UNION ALL SELECT events FROM unfolded) AS totals"
    )
    shop.engine.dispose()
    drop_database(cluster, f"test_shutdown_{workers}")


def post_on(running: Served, key: str, client: int, stopping: Event, began: Event) -> list[str]:
    """Post three calls at a time, each time over a connection of its own; the ids of those that were acknowledged."""
    acknowledged: list[str] = []
    number = 0
    one_request_each = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=running.url, limits=one_request_each, timeout=30) as http:
        while not stopping.is_set():
            names = [f"{client}-{number + each}" for each in range(3)]
            number += 3
            events = [call(0) | {"id": name} for name in names]
            try:
                answer = http.post("/v1/events", json=events, headers={"Authorization": f"Bearer {key}"})
            except httpx.TransportError:  # nobody listens any more
                time.sleep(0.01)
                continue
            assert answer.status_code in {200, 503}, answer.text
            if answer.status_code == 200:
                assert {"accepted": 3} == json.loads(answer.text)["counts"]
                acknowledged += names
            if len(acknowledged) >= ENOUGH:
                began.set()
    return acknowledged
