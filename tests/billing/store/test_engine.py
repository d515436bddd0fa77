"""The way to the database: lost connections are made anew, and statements that are sent together are still apart."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from billing.store.engine import Engine, at_once, open_engine, transaction

CONNECTIONS = 3


@pytest.fixture
def pooled(engine: Engine) -> Iterator[Engine]:
    """A pool of which all connections are made and lie idle."""
    opened = open_engine(engine.url.render_as_string(hide_password=False), connections=CONNECTIONS)
    backends(opened)
    yield opened
    opened.dispose()


def backends(engine: Engine) -> list[int]:
    """The server processes behind all connections of a pool; the last one is that of the next connection."""
    with ExitStack() as stack:
        connections = [stack.enter_context(transaction(engine)) for _ in range(CONNECTIONS)]
        return [each.info.backend_pid for each in connections]


def end(engine: Engine, processes: list[int]) -> None:
    """End server processes, and wait until they are gone."""
    with transaction(engine) as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM unnest(%s) AS pid", [processes])


def test_connections_that_were_lost_while_they_lay_idle_are_made_anew_before_anybody_meets_one(
    engine: Engine, pooled: Engine
) -> None:
    before = backends(pooled)
    end(engine, before)
    assert not set(before) & set(backends(pooled))


def test_with_one_lost_connection_all_idle_ones_are_made_anew(engine: Engine, pooled: Engine) -> None:
    """Where one was lost the server was away: it is not found out of one after the other."""
    before = backends(pooled)
    end(engine, before[-1:])
    assert not set(before) & set(backends(pooled))


def test_a_connection_that_lay_idle_for_long_is_asked_also_if_the_server_said_nothing(
    engine: Engine, pooled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.store.engine._has_spoken", lambda _: False)
    end(engine, backends(pooled))
    with pytest.raises(psycopg.OperationalError), transaction(pooled) as connection:
        connection.execute("SELECT 1")
    monkeypatch.setattr("billing.store.engine.ASKED_AFTER_SECONDS", 0.0)
    assert CONNECTIONS == len(backends(pooled))


def test_what_is_done_on_a_connection_that_was_asked_is_committed(
    engine: Engine, pooled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.store.engine.ASKED_AFTER_SECONDS", 0.0)
    with transaction(pooled) as connection:
        connection.execute("CREATE TABLE there (n integer)")
    with transaction(engine) as connection:
        assert [] == connection.execute("SELECT n FROM there").fetchall()


def test_of_statements_that_are_sent_at_once_each_sees_what_was_committed_before_it_began(
    engine: Engine, pooled: Engine
) -> None:
    with transaction(engine) as connection:
        connection.execute("CREATE TABLE seen (n integer)")
    found: list[list[list[tuple[object, ...]]]] = []

    def look() -> None:
        with transaction(pooled) as connection:
            found.append(at_once(connection, "SELECT 1", "SELECT pg_advisory_xact_lock(17)", "SELECT n FROM seen"))

    with transaction(engine) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(17)")
        looking = threading.Thread(target=look)
        looking.start()
        waits = b"SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not connection.execute(waits).fetchall():
            assert looking.is_alive()
        connection.execute("INSERT INTO seen VALUES (3)")
    looking.join()
    assert [[[(1,)], [("",)], [(3,)]]] == found


def test_statements_that_are_sent_at_once_give_no_rows_where_they_have_none(engine: Engine) -> None:
    with transaction(engine) as connection:
        assert [[], [(2,)], []] == at_once(connection, "SET LOCAL jit = off", "SELECT 2", "SELECT 2 WHERE false")


def test_what_fails_of_statements_that_are_sent_at_once_ends_them_and_is_said(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute("SAVEPOINT before")
        with pytest.raises(psycopg.errors.DivisionByZero):
            at_once(connection, "CREATE TABLE first ()", "SELECT 1 / 0", "CREATE TABLE last ()")
        connection.execute("ROLLBACK TO before")
        assert [(None, None)] == connection.execute("SELECT to_regclass('first'), to_regclass('last')").fetchall()
