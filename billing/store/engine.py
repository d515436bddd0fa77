"""The way to the database: an engine (a pool of connections) and units of work on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy
from sqlalchemy import Engine, event
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from billing.store.idle import watch_idle

__all__ = [
    "Connection",
    "Engine",
    "at_once",
    "has_free",
    "open_engine",
    "rehearsal",
    "snapshot",
    "transaction",
    "watch_pool",
]

Connection = psycopg.Connection
"""A connection inside a unit of work: what the store's functions take."""

_SESSION = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c client_min_messages=warning"


def open_engine(url: str, *, connections: int = 5) -> Engine:
    """An engine for a `postgresql://` or `postgresql+psycopg://` address; it connects when first used."""
    address = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(
        address, pool_size=connections, max_overflow=0, connect_args={"options": _SESSION}
    )
    watch_idle(engine)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A unit of work at READ COMMITTED: committed at the end, rolled back if anything is raised."""
    with _checked_out(engine) as connection, connection.transaction():
        yield connection


@contextmanager
def rehearsal(engine: Engine) -> Iterator[Connection]:
    """A unit of work at READ COMMITTED of which nothing stays: it is rolled back, however it ends."""
    with _checked_out(engine) as connection, connection.transaction(force_rollback=True):
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Reads that all see the database as it is at the first of them (REPEATABLE READ, read-only)."""
    with _checked_out(engine) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection


def at_once(connection: Connection, *statements: str) -> list[list[tuple[Any, ...]]]:
    """Run statements without parameters that are sent in one message, and give the rows of each.

    Each sees what was committed before it begins, as if it were sent by itself; after one that fails none is run.
    """
    cursor = connection.execute("; ".join(statements).encode(), prepare=False)
    rows = [cursor.fetchall() if cursor.description else []]
    while cursor.nextset():
        rows.append(cursor.fetchall() if cursor.description else [])
    return rows


def watch_pool(engine: Engine, told: Callable[[int], None]) -> None:
    """Let `told` hear how many connections are in use, whenever that changes; it is called by whoever changes it."""
    pool = _pool(engine)
    event.listen(pool, "checkout", lambda *_: told(pool.checkedout()))
    event.listen(pool, "checkin", lambda *_: told(max(0, pool.checkedout() - 1)))  # it is told of before it is back


def has_free(engine: Engine) -> bool:
    """Whether a connection can be had without waiting for one."""
    pool = _pool(engine)
    return pool.checkedout() < pool.size()


def _pool(engine: Engine) -> QueuePool:
    if not isinstance(engine.pool, QueuePool):
        raise TypeError(f"not a pool that counts: {engine.pool!r}")
    return engine.pool


@contextmanager
def _checked_out(engine: Engine) -> Iterator[Connection]:
    pooled: PoolProxiedConnection = engine.raw_connection()
    try:
        connection = pooled.driver_connection
        if not isinstance(connection, psycopg.Connection):
            raise TypeError(f"not a psycopg connection: {connection!r}")
        yield connection
    finally:
        pooled.close()
