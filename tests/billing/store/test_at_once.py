"""Statements that are sent in one message are still statements of their own."""

import threading

import psycopg
import pytest

from billing.store.engine import Engine, at_once, transaction


def test_of_statements_that_are_sent_at_once_each_sees_what_was_committed_before_it_began(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute("CREATE TABLE seen (n integer)")
    found: list[list[list[tuple[object, ...]]]] = []

    def look() -> None:
        with transaction(engine) as connection:
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
