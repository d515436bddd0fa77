"""Keys in the store: added and ended, never edited; looked up by their digests."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from billing.keys import Grant, Key, Mode, Scope
from billing.periods import ALWAYS
from billing.store.engine import Connection

NOTED_EVERY = timedelta(minutes=1)
"""How often the use of a key is noted at most."""


class Version(NamedTuple):
    """How many keys and ends of keys there have been: as long as both are the same, nothing has changed."""

    keys: int
    ends: int


def lock_keys(connection: Connection) -> None:
    """Let nobody else add or end keys until the transaction ends. Whoever reads does not wait."""
    connection.execute("LOCK TABLE keys IN SHARE ROW EXCLUSIVE MODE")


def note_mode(connection: Connection, mode: Mode, at: datetime) -> None:
    """Note what this deployment is, if nobody has; what is noted stays."""
    connection.execute(
        "INSERT INTO deployment (mode, noted_at) VALUES (%s, %s) ON CONFLICT DO NOTHING", [str(mode), at]
    )


def read_mode(connection: Connection) -> Mode | None:
    """What this deployment is; None if it is not noted yet."""
    row = connection.execute("SELECT mode FROM deployment").fetchone()
    return None if row is None else Mode(row[0])


def insert_key(connection: Connection, grant: Grant, digest: bytes, at: datetime) -> Key:
    """Add a key of an account that is there, or of none, to a deployment whose mode is noted."""
    expires = None if grant.expires_at == ALWAYS else grant.expires_at
    values = [grant.name, digest, sorted(map(str, grant.scopes)), grant.source, expires, at, grant.account]
    row = connection.execute(_INSERT, values).fetchone()
    mode = read_mode(connection)
    if row is None or mode is None:
        raise LookupError("a key needs a deployment whose mode is noted")
    return Key(
        number=row[0],
        name=grant.name,
        mode=mode,
        scopes=grant.scopes,
        source=grant.source,
        account=grant.account,
        added_at=at,
        expires_at=grant.expires_at,
    )


def insert_end(connection: Connection, key: int, cause: str, ends_at: datetime) -> None:
    """Note that a key ends: `cause` is replaced or revoked."""
    connection.execute("INSERT INTO key_ends (key_id, cause, ends_at) VALUES (%s, %s, %s)", [key, cause, ends_at])


def read_version(connection: Connection) -> Version:
    """How far the keys have come; read before they are."""
    row = connection.execute("SELECT (SELECT max(key_id) FROM keys), (SELECT max(end_id) FROM key_ends)").fetchone()
    return Version(*(number or 0 for number in row or (0, 0)))


def read_keys(connection: Connection) -> dict[bytes, Key]:
    """All keys by their digests, also those that have ended, in the order in which they were added."""
    rows = connection.cursor(row_factory=dict_row).execute(_READ)
    return {bytes(row.pop("sha256")): _key(row) for row in rows}


def _key(row: dict[str, Any]) -> Key:
    said = {"mode": Mode(row["mode"]), "scopes": frozenset(map(Scope, row["scopes"]))}
    until = {name: row[name] or ALWAYS for name in ("expires_at", "replaced_at")}
    return Key(**row | said | until)


def note_uses(connection: Connection, uses: Mapping[int, datetime]) -> dict[int, datetime]:
    """Note when keys were used last, by their numbers, where what is noted is a minute old or more; gives what is."""
    numbers = sorted(uses)  # in one order: two writers of several rows would wait for each other
    connection.execute(_USE, [numbers, [uses[number] for number in numbers], NOTED_EVERY])
    noted = connection.execute("SELECT key_id, used_at FROM key_uses WHERE key_id = ANY(%s)", [numbers])
    return dict(noted.fetchall())


_INSERT = """
INSERT INTO keys (name, sha256, scopes, source, account_id, expires_at, added_at)
SELECT %s, %s, %s, %s, account_id, %s, %s
FROM (VALUES (%s)) AS whose (id) LEFT JOIN accounts USING (id) WHERE whose.id = '' OR account_id IS NOT NULL
RETURNING key_id
"""

_READ = """
SELECT sha256, key_id AS number, keys.name, mode, scopes, source, coalesce(accounts.id, '') AS account, keys.added_at,
    expires_at, used_at AS last_used_at,
    (SELECT min(ends_at) FROM key_ends WHERE key_ends.key_id = keys.key_id AND cause = 'replaced') AS replaced_at,
    (SELECT min(ends_at) FROM key_ends WHERE key_ends.key_id = keys.key_id AND cause = 'revoked') AS revoked_at
FROM keys CROSS JOIN deployment LEFT JOIN accounts USING (account_id) LEFT JOIN key_uses USING (key_id)
ORDER BY key_id
"""

_USE = """
INSERT INTO key_uses AS noted (key_id, used_at)
SELECT key_id, used_at FROM unnest(%s::integer[], %s::timestamptz[]) AS used (key_id, used_at) ORDER BY key_id
ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at WHERE noted.used_at <= excluded.used_at - %s::interval
"""
