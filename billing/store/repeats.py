"""Answers to named requests in the store: claimed before the work, kept for a day after it."""

from datetime import datetime, timedelta
from typing import NamedTuple

from billing.store.engine import Connection

KEPT = timedelta(days=1)
"""How long an answer is given again."""

ABANDONED = timedelta(minutes=5)
"""After how long a request that has no answer is taken for one whose process was killed: it may be asked again."""


class Asked(NamedTuple):
    """A request: whose key (by number), what the caller calls it, and the digest of what it asks."""

    key: int
    name: str
    sha256: bytes


class Kept(NamedTuple):
    """A request that was made before: what it asked, and its answer; without one, `status` is None."""

    sha256: bytes
    status: int | None
    kind: str
    answer: bytes


def claim(connection: Connection, asked: Asked, at: datetime) -> Kept | None:
    """Claim a request's name. None: it is this one's, to be answered; else the request that has it."""
    values = {**asked._asdict(), "at": at, "kept": at - KEPT, "abandoned": at - ABANDONED}
    if connection.execute(_CLAIM, values).rowcount:
        return None
    row = connection.execute(
        "SELECT asked, status, coalesce(kind, ''), coalesce(answer, '') FROM repeats WHERE key_id = %s AND name = %s",
        [asked.key, asked.name],
    ).fetchone()
    return Kept(asked.sha256, None, "", b"") if row is None else Kept(bytes(row[0]), row[1], row[2], bytes(row[3]))


def keep(connection: Connection, asked: Asked, status: int, kind: str, answer: bytes) -> None:
    """Keep the answer to a request whose name is claimed."""
    connection.execute(
        "UPDATE repeats SET status = %s, kind = %s, answer = %s WHERE key_id = %s AND name = %s AND status IS NULL",
        [status, kind, answer, asked.key, asked.name],
    )


def give_up(connection: Connection, asked: Asked) -> None:
    """Let the name of a request go that came to no answer."""
    connection.execute(
        "DELETE FROM repeats WHERE key_id = %s AND name = %s AND status IS NULL", [asked.key, asked.name]
    )


def forget(connection: Connection, at: datetime) -> int:
    """Forget what is older than it is kept. Gives how many."""
    return connection.execute("DELETE FROM repeats WHERE begun_at < %s", [at - KEPT]).rowcount


_CLAIM = """
INSERT INTO repeats AS held (key_id, name, asked, begun_at)
VALUES (%(key)s, %(name)s, %(sha256)s, %(at)s)
ON CONFLICT (key_id, name) DO UPDATE
SET asked = excluded.asked, begun_at = excluded.begun_at, status = NULL, kind = NULL, answer = NULL
WHERE held.begun_at < CASE WHEN held.status IS NULL THEN %(abandoned)s ELSE %(kept)s END
"""
