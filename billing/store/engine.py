"""The way to the database: an engine (a pool of connections) and units of work on it.

A server that is not there any more is noticed within half a minute by whatever waits for it: a host that stalls, a
network that drops what is sent. One that is there, and does not answer or holds a lock, is waited for by `Patience`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, TypeVar

import psycopg
import sqlalchemy
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from sqlalchemy import Engine, event
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from billing.store.idle import watch_idle

__all__ = [
    "Connection",
    "Engine",
    "Patience",
    "at_once",
    "has_free",
    "open_engine",
    "rehearsal",
    "snapshot",
    "transaction",
    "unhurried",
    "watch_pool",
]

Connection = psycopg.Connection
"""A connection inside a unit of work: what the store's functions take."""

_SESSION = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c client_min_messages=warning"
CONNECT_SECONDS = 5
"""For how long each address of a server is tried."""

_NOTICED: Mapping[str, int] = {
    "tcp_user_timeout": 20_000,  # milliseconds for which what was sent may be without a receipt
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""By what the system notices that a server over TCP is gone (libpq's options; sockets of this machine need none)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How many seconds a statement is waited for, and may itself wait for a lock; 0: as long as it takes.

    The server ends what reads for longer. What writes is left to it, some seconds later, by closing the connection, and
    whether it is done is not known: of a commit that waits for a standby the server, asked to end it, says that it is.
    """

    statement_seconds: int = 0
    lock_seconds: int = 0


_GRACE_SECONDS = 5
"""How much later than the server whoever waits for it loses patience."""

_Found = TypeVar("_Found")
_ENDLESS = Patience()
_PATIENCE = "tollbook_patience"
_UNHURRIED = "tollbook_unhurried"


def open_engine(url: str, *, connections: int = 5, patience: Patience = _ENDLESS) -> Engine:
    """An engine for a `postgresql://` or `postgresql+psycopg://` address; it connects when first used.

    What the address says of time-outs and keepalives goes before what is said here. What comes to the end of `patience`
    raises what `billing.store.outages` takes for passing.
    """
    address = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
    noticed = {"connect_timeout": CONNECT_SECONDS, **_NOTICED}
    engine = sqlalchemy.create_engine(
        address,
        pool_size=connections,
        max_overflow=0,
        connect_args={
            "options": _SESSION + (f" -c lock_timeout={patience.lock_seconds}s" if patience.lock_seconds else ""),
            **{name: value for name, value in noticed.items() if name not in address.query},
        },
    )
    watch_idle(engine)
    if patience.statement_seconds:
        event.listen(engine, "do_connect", lambda _dialect, _record, args, named: _Bounded.connect(*args, **named))
    return engine.execution_options(**{_PATIENCE: patience})


def unhurried(engine: Engine) -> Engine:
    """The same connections, for work that takes as long as it takes: no patience holds in its units of work."""
    return engine.execution_options(**{_PATIENCE: _ENDLESS, _UNHURRIED: True})


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A unit of work at READ COMMITTED: committed at the end, rolled back if anything is raised."""
    with _checked_out(engine) as connection, connection.transaction():
        _take_time(engine, connection)
        yield connection


@contextmanager
def rehearsal(engine: Engine) -> Iterator[Connection]:
    """A unit of work at READ COMMITTED of which nothing stays: it is rolled back, however it ends."""
    with _checked_out(engine) as connection, connection.transaction(force_rollback=True):
        _take_time(engine, connection)
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Reads that all see the database as it is at the first of them (REPEATABLE READ, read-only)."""
    with _checked_out(engine) as connection, connection.transaction():
        connection.execute(_reads_of(engine), prepare=False)
        _take_time(engine, connection)
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


def _reads_of(engine: Engine) -> LiteralString:
    """What begins reads, in one statement or, with a bound, two that are sent at once."""
    seconds = _patience(engine).statement_seconds
    level: LiteralString = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    return f"{level}; SET LOCAL statement_timeout = '{seconds}s'" if seconds else level


def _take_time(engine: Engine, connection: Connection) -> None:
    """Let a unit of work that is unhurried wait for locks without end."""
    if engine.get_execution_options().get(_UNHURRIED):
        connection.execute("SET LOCAL lock_timeout = 0")


def _patience(engine: Engine) -> Patience:
    found: Patience = engine.get_execution_options().get(_PATIENCE, _ENDLESS)
    return found


class _Bounded(psycopg.Connection[TupleRow]):
    """A connection that is closed where an answer does not come in time: what it is doing then is not known."""

    seconds: float | None = CONNECT_SECONDS
    """How long each answer may take: of one that nobody works with, which is asked whether it is there, not long."""

    def wait(self, gen: PQGen[_Found], interval: float = 0.1, timeout: float | None = None) -> _Found:
        """What the server answers. Raises psycopg.OperationalError."""
        try:
            return super().wait(gen, interval, self.seconds if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is None and timeout is None:  # it is not the server who says so
                self.close()
            raise


def _pool(engine: Engine) -> QueuePool:
    if not isinstance(engine.pool, QueuePool):
        raise TypeError(f"not a pool that counts: {engine.pool!r}")
    return engine.pool


@contextmanager
def _checked_out(engine: Engine) -> Iterator[Connection]:
    pooled: PoolProxiedConnection = engine.raw_connection()
    connection = pooled.driver_connection
    if not isinstance(connection, psycopg.Connection):
        raise TypeError(f"not a psycopg connection: {connection!r}")
    try:
        if isinstance(connection, _Bounded):
            seconds = _patience(engine).statement_seconds
            connection.seconds = seconds + _GRACE_SECONDS if seconds else None
        yield connection
    finally:
        if isinstance(connection, _Bounded):
            connection.seconds = CONNECT_SECONDS
        if connection.closed:
            pooled.invalidate()
        else:
            pooled.close()
