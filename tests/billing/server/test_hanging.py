"""A database that hangs takes no request, and no thread of the service, with it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine, transaction
from tests.relaying import Relay
from tests.serving import Served, new_key, serving
from tests.shop import SOURCE, Shop, call

READERS = 24
"""More than there are threads and connections for them."""

_SHORT = {"TOLLBOOK_STATEMENT_SECONDS": "3", "TOLLBOOK_LOCK_SECONDS": "1"}


@pytest.fixture(scope="module")
def relay(cluster: Cluster, migrated: str) -> Iterator[Relay]:
    """The way of the service to its database."""
    found = Relay(create_database(cluster, "test_hanging", migrated))
    yield found
    found.close()
    drop_database(cluster, "test_hanging")


@pytest.fixture(scope="module")
def shop(relay: Relay) -> Iterator[Shop]:
    """The shop, by a way of its own."""
    found = Shop(engine=open_engine(relay.database.sqlalchemy_url))
    found.publish()
    found.admit("acme")
    yield found
    found.engine.dispose()


@pytest.fixture(scope="module")
def served(relay: Relay, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service, which waits seconds and no longer."""
    assert shop.engine.url.database == "test_hanging"
    with serving(relay.url, tmp_path_factory.mktemp("hanging"), environ=_SHORT) as running:
        yield running


@pytest.fixture(scope="module")
def token(relay: Relay, served: Served, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A key for what these tests ask."""
    assert served.process.poll() is None
    scopes = [word for scope in ("ingest", "read", "finance") for word in ("--scope", scope)]
    return new_key(relay.url, tmp_path_factory.mktemp("keys"), "k", *scopes, "--source", SOURCE)


@contextmanager
def locked(shop: Shop, table: str) -> Iterator[None]:
    """While somebody holds a table."""
    with transaction(shop.engine) as holding:
        holding.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def kept(shop: Shop, number: int) -> int:
    """How many events of a call are stored."""
    return len(shop.rows(f"SELECT FROM events WHERE id = 'call-{number}'"))


def test_reads_that_wait_for_a_lock_are_told_so_and_end(shop: Shop, served: Served, token: str) -> None:
    def read() -> tuple[int, str, str]:
        with served.client(token) as client:
            answer = client.get("/v1/usage", timeout=60)
        return answer.status_code, answer.json()["type"], answer.headers["Retry-After"]

    began = time.monotonic()
    with locked(shop, "usage_totals"), ThreadPoolExecutor(READERS) as readers:
        found = {each.result() for each in [readers.submit(read) for _ in range(READERS)]}
        assert {(503, "urn:tollbook:problem:database-held", "1")} == found
    assert time.monotonic() - began < 20


def test_usage_that_waits_for_a_lock_is_not_acknowledged_and_counts_once_when_it_is_sent_again(
    shop: Shop, served: Served, token: str
) -> None:
    with served.client(token) as client:
        with locked(shop, "written_batches"):
            began = time.monotonic()
            answer = client.post("/v1/events", json=call(1), timeout=60)
            assert 9 < time.monotonic() - began < 25
            assert (503, "urn:tollbook:problem:database-unreachable") == (answer.status_code, answer.json()["type"])
        assert 0 == kept(shop, 1)
        assert {"accepted": 1} == client.post("/v1/events", json=call(1)).json()["counts"]
    assert 1 == kept(shop, 1)


def test_a_run_waits_as_long_as_it_takes(shop: Shop, served: Served, token: str) -> None:
    with served.client(token) as client, ThreadPoolExecutor(1) as pool:
        with locked(shop, "invoices"):
            running = pool.submit(client.post, "/v1/runs", json={"period": "2026-10", "early": True}, timeout=60)
            time.sleep(3)
            assert not running.done()
        assert 200 == running.result().status_code


def test_a_database_that_falls_silent_is_told_as_away_until_it_is_back(
    relay: Relay, shop: Shop, served: Served, token: str
) -> None:
    """No request waits longer than a proxy would, whatever its way: by key, by read, by usage."""
    with served.client(token) as client:
        assert 200 == client.get("/v1/usage").status_code
        relay.hush()
        with ThreadPoolExecutor(READERS) as pool:
            began = time.monotonic()
            reads = [pool.submit(client.get, "/v1/usage", timeout=60) for _ in range(READERS - 4)]
            posts = [pool.submit(client.post, "/v1/events", json=call(2), timeout=60) for _ in range(4)]
            answers = [each.result() for each in (*reads, *posts)]
            assert {(503, "urn:tollbook:problem:database-unreachable")} == {
                (each.status_code, each.json()["type"]) for each in answers
            }
            assert time.monotonic() - began < 60
        relay.speak()
        until = time.monotonic() + 30
        while client.get("/v1/usage").status_code != 200 and time.monotonic() < until:
            time.sleep(0.2)
        counts = client.post("/v1/events", json=call(2)).json()["counts"]
    assert counts in ({"accepted": 1}, {"duplicate": 1})
    assert 1 == kept(shop, 2)
