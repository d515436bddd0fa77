"""Reads that take all the connections and threads there are for them do not keep usage from being stored."""

import gzip
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from billing.store.engine import open_engine, transaction
from tests.serving import Served, new_key, serving
from tests.shop import SOURCE, Shop, call

READERS = 16


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[Served]:
    """The service, which waits for a lock for longer than this test takes."""
    with serving(database_url, tmp_path, environ={"TOLLBOOK_LOCK_SECONDS": "60"}) as running:
        yield running


def test_usage_is_taken_while_every_reader_waits(database_url: str, served: Served, tmp_path: Path) -> None:
    shop = Shop(engine=open_engine(database_url))
    shop.publish()
    shop.admit("acme")
    token = new_key(database_url, tmp_path, "k", "--scope", "ingest", "--scope", "read", "--source", SOURCE)

    def read() -> int:
        with served.client(token) as client:
            return client.get("/v1/usage", timeout=60).status_code

    with served.client(token) as client, ThreadPoolExecutor(READERS) as readers:
        assert 200 == client.post("/v1/events", json=call(1)).status_code
        with transaction(shop.engine) as holding:
            holding.execute("LOCK TABLE usage_totals IN ACCESS EXCLUSIVE MODE")
            waiting = [readers.submit(read) for _ in range(READERS)]
            until = time.monotonic() + 20
            while len(shop.rows("SELECT FROM pg_locks WHERE NOT granted")) < 12 and time.monotonic() < until:
                time.sleep(0.05)
            began = time.monotonic()
            answer = client.post("/v1/events", json=call(2), timeout=20)
            assert (200, {"accepted": 1}) == (answer.status_code, answer.json()["counts"])
            packed = gzip.compress(json.dumps(call(3)).encode())  # taken apart in a thread
            headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            answer = client.post("/v1/events", content=packed, headers=headers, timeout=20)
            assert (200, {"accepted": 1}) == (answer.status_code, answer.json()["counts"])
            assert time.monotonic() - began < 5
        assert {200} == {each.result() for each in waiting}
    shop.engine.dispose()
