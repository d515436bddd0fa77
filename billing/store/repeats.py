"""Answers to named requests in the store: claimed before the work, kept for a day after it."""

from datetime import datetime, timedelta
from typing import NamedTuple

from billing.store.engine import Connection

KEPT = timedelta(days=1)
"""How long an answer is given again."""

ABANDONED = timedelta(minutes=5)
"""How long after its process was last seen at work a request without an answer is taken for one that was killed."""


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


def claim(connection: Connection, asked: Asked, at: datetime) -> int | Kept:
    """Claim a request's name: its turn, by which it is answered; or else the request that has the name."""
    values = {**asked._asdict(), "at": at, "kept": at - KEPT, "abandoned": at - ABANDONED}
    claimed = connection.execute(_CLAIM, values).fetchone()
    if claimed is not None:
        return int(claimed[0])
    row = connection.execute(
        "SELECT asked, status, coalesce(kind, ''), coalesce(answer, '') FROM repeats WHERE key_id = %s AND name = %s",
        [asked.key, asked.name],
    ).fetchone()
    return Kept(asked.sha256, None, "", b"") if row is None else Kept(bytes(row[0]), row[1], row[2], bytes(row[3]))


def see(connection: Connection, asked: Asked, turn: int, at: datetime) -> bool:
    """Note that whoever claimed a name is at work; False where it has it no more."""
    values = [at, asked.key, asked.name, turn]
    return connection.execute(f"UPDATE repeats SET seen_at = %s {_MINE}", values).rowcount == 1  # noqa: S608


def keep(connection: Connection, asked: Asked, turn: int, status: int, kind: str, answer: bytes) -> None:
    """Keep the answer to a request whose name is claimed, unless another one has taken it over."""
    values = [status, kind, answer, asked.key, asked.name, turn]
    connection.execute(f"UPDATE repeats SET status = %s, kind = %s, answer = %s {_MINE}", values)  # noqa: S608


def give_up(connection: Connection, asked: Asked, turn: int) -> None:
    """Let the name of a request go that came to no answer, unless another one has taken it over."""
    connection.execute(f"DELETE FROM repeats {_MINE}", [asked.key, asked.name, turn])  # noqa: S608


def forget(connection: Connection, at: datetime) -> int:
    """Forget what is older than it is kept. Gives how many."""
    return connection.execute("DELETE FROM repeats WHERE seen_at < %s", [at - KEPT]).rowcount


_MINE = "WHERE key_id = %s AND name = %s AND turn = %s AND status IS NULL"

_CLAIM = """
INSERT INTO repeats AS held (key_id, name, asked, seen_at)
VALUES (%(key)s, %(name)s, %(sha256)s, %(at)s)
ON CONFLICT (key_id, name) DO UPDATE
SET asked = excluded.asked, seen_at = excluded.seen_at, turn = held.turn + 1,
    status = NULL, kind = NULL, answer = NULL
WHERE held.seen_at < CASE WHEN held.status IS NULL THEN %(abandoned)s ELSE %(kept)s END
RETURNING turn
"""
