"""Connections that lie idle: nobody meets one that was lost, and one that is there is what it was."""

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from billing.store.engine import Engine, open_engine, transaction

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
    engine: Engine, pooled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.store.idle.ASKED_AFTER_SECONDS", 60.0)
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
    monkeypatch.setattr("billing.store.idle._has_spoken", lambda _: False)
    monkeypatch.setattr("billing.store.idle.ASKED_AFTER_SECONDS", 60.0)
    end(engine, backends(pooled))
    with pytest.raises(psycopg.OperationalError), transaction(pooled) as connection:
        connection.execute("SELECT 1")
    monkeypatch.setattr("billing.store.idle.ASKED_AFTER_SECONDS", 0.0)
    assert CONNECTIONS == len(backends(pooled))


def test_what_is_done_on_a_connection_that_was_asked_is_committed(
    engine: Engine, pooled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.store.idle.ASKED_AFTER_SECONDS", 0.0)
    with transaction(pooled) as connection:
        connection.execute("CREATE TABLE there (n integer)")
    with transaction(engine) as connection:
        assert [] == connection.execute("SELECT n FROM there").fetchall()
