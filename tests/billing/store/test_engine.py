"""A database that hangs is not waited for without end: it is silent, somebody holds a lock, a statement takes long."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import sqlalchemy

from billing.store.embedded import Address
from billing.store.engine import Patience, open_engine, snapshot, transaction, unhurried
from billing.store.outages import is_passing
from tests.relaying import Relay, silent

SHORT = Patience(statement_seconds=1, lock_seconds=1)


@pytest.fixture
def relay(database: Address) -> Iterator[Relay]:
    """The way to a database over TCP."""
    found = Relay(database)
    yield found
    found.close()


@contextmanager
def given_up(kind: type[Exception], *, within: float) -> Iterator[None]:
    """What is begun here ends soon, in an error that passes."""
    began = time.monotonic()
    with pytest.raises(kind) as raised:
        yield
    assert time.monotonic() - began < within
    assert is_passing(raised.value)


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.store.engine.CONNECT_SECONDS", 2)
    with silent() as port, given_up(sqlalchemy.exc.OperationalError, within=5):
        open_engine(f"postgresql://127.0.0.1:{port}/books").connect()


def test_what_an_address_says_of_time_outs_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.store.engine.CONNECT_SECONDS", 60)
    with silent() as port, given_up(sqlalchemy.exc.OperationalError, within=5):
        open_engine(f"postgresql://127.0.0.1:{port}/books?connect_timeout=2").connect()


def test_a_connection_asks_whether_its_server_is_still_there(relay: Relay) -> None:
    engine = open_engine(relay.url)
    with transaction(engine) as connection, socket.socket(fileno=socket.dup(connection.fileno())) as there:
        found = {
            name: there.getsockopt(level, getattr(socket, name))
            for level, name in (
                (socket.SOL_SOCKET, "SO_KEEPALIVE"),
                (socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
                (socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
                (socket.IPPROTO_TCP, "TCP_KEEPCNT"),
                (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
            )
        }
    engine.dispose()
    assert found["SO_KEEPALIVE"]
    assert found["TCP_KEEPIDLE"] + found["TCP_KEEPINTVL"] * found["TCP_KEEPCNT"] <= 30
    assert 0 < found["TCP_USER_TIMEOUT"] <= 30_000


def test_a_lock_is_waited_for_as_long_as_patience_says(database: Address) -> None:
    engine = open_engine(database.sqlalchemy_url, patience=SHORT)
    with transaction(engine) as holding:
        holding.execute("SELECT pg_advisory_xact_lock(1)")
        with given_up(psycopg.errors.LockNotAvailable, within=5), transaction(engine) as waiting:
            waiting.execute("SELECT pg_advisory_xact_lock(1)")
    engine.dispose()


def test_a_read_takes_no_longer_than_patience_says(database: Address) -> None:
    engine = open_engine(database.sqlalchemy_url, patience=SHORT)
    for _ in range(7):  # also when psycopg has come to know the statement
        with snapshot(engine) as connection:
            assert ("on", "1s") == tuple(connection.execute(_READING).fetchone() or ())
    with given_up(psycopg.errors.QueryCanceled, within=5), snapshot(engine) as connection:
        connection.execute("SELECT pg_sleep(30)")
    engine.dispose()


_READING = "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout')"


def test_a_server_that_falls_silent_is_left(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """At work, and when it is asked whether it is there; and when it is back, it is worked with again."""
    monkeypatch.setattr("billing.store.engine.CONNECT_SECONDS", 2)
    monkeypatch.setattr("billing.store.engine._GRACE_SECONDS", 1)
    engine = open_engine(relay.url, connections=2, patience=SHORT)
    with transaction(engine) as first, transaction(engine) as second:
        assert [(1,), (1,)] == [each.execute("SELECT 1").fetchone() for each in (first, second)]
    with given_up(psycopg.OperationalError, within=8), transaction(engine) as connection:
        relay.hush()
        connection.execute("SELECT 1")
    with given_up(psycopg.OperationalError, within=16), transaction(engine):
        pass
    relay.speak()
    with transaction(engine) as connection:
        assert (1,) == connection.execute("SELECT 1").fetchone()
    engine.dispose()


def test_what_is_unhurried_takes_as_long_as_it_takes(database: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.store.engine._GRACE_SECONDS", 0)
    engine = open_engine(database.sqlalchemy_url, patience=SHORT)
    with transaction(engine):
        pass
    with snapshot(unhurried(engine)) as connection:
        assert ("on", "0") == tuple(connection.execute(_READING).fetchone() or ())
        connection.execute("SELECT pg_sleep(1.5)")
    with transaction(unhurried(engine)) as connection:
        assert ("0",) == connection.execute("SELECT current_setting('lock_timeout')").fetchone()
        connection.execute("SELECT pg_sleep(1.5)")
    with transaction(engine) as connection:
        assert ("1s",) == connection.execute("SELECT current_setting('lock_timeout')").fetchone()
    engine.dispose()
