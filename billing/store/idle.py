"""Connections that lie idle in a pool: one that was lost meanwhile is found out before anybody uses it."""

import select
import time

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

ASKED_AFTER_SECONDS = 1.0
"""A connection that lay idle for longer is asked whether it is still there."""

_LEFT_AT = "left_at"


def watch_idle(engine: Engine) -> None:
    """Let the pool of an engine make all its connections anew where one that lay idle is lost.

    A question takes as long as a statement. It is spared whoever was here just now: a server that has gone since, or
    has ended the connection, has said so, and only one that has said something need be asked.
    """
    event.listen(engine, "checkin", _note)
    event.listen(engine, "checkout", _require_there)


def _note(_: object, entry: ConnectionPoolEntry) -> None:
    entry.info[_LEFT_AT] = time.monotonic()


def _require_there(connection: psycopg.Connection, entry: ConnectionPoolEntry, _: object) -> None:
    left_at = entry.info.get(_LEFT_AT)
    if left_at is None:  # just made
        return
    try:
        if time.monotonic() - left_at > ASKED_AFTER_SECONDS or _has_spoken(connection):
            connection.execute("SELECT 1")
            connection.rollback()
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def _has_spoken(connection: psycopg.Connection) -> bool:
    """Whether something is there to be read, be it the end."""
    reading = select.poll()
    reading.register(connection.fileno(), select.POLLIN)
    return bool(reading.poll(0))
