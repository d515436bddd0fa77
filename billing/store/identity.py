"""Each event once: who was first with an identity, for ever."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from billing.errors import SourceUnknownError
from billing.store.binary import Columns, binary_of, copy_binary
from billing.store.engine import Connection, at_once
from billing.store.revisions import STORED, Kept, foresee_amended, settle
from rates.usage import Int64s

IDENTITY = ("batch", "occurred_at", "fingerprint", "source_id", "revision", "payer_id", "id")
"""The columns of the table of identities."""

WORTH_A_TRY = 16
"""Fewer events than this are not tried as if all were new: it costs them little to be asked about first."""

_TOLD = ("n", "source_id", "id", "revision", "later", "fingerprint", "payer_id", "occurred_at")
_INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    occurred_at timestamptz,
    fingerprint uuid NOT NULL,
    n integer NOT NULL,
    source_id integer NOT NULL,
    revision integer NOT NULL,
    payer_id integer,
    later boolean NOT NULL,
    id text COLLATE "C" NOT NULL
) ON COMMIT DELETE ROWS
"""
# What was written since the savepoint is committed with the rest: it is given up only where the try fails.
_BEFORE_THE_TRY = "SAVEPOINT before_the_try"
_AFTER_THE_TRY = ("ROLLBACK TO before_the_try", "RELEASE before_the_try", _INCOMING)
_FORESEEING = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS foreseen (LIKE event_identity INCLUDING INDEXES) ON COMMIT DROP",
    """
    CREATE TEMPORARY TABLE IF NOT EXISTS foreseen_revisions (
        source_id integer, id text COLLATE "C", revision integer, fingerprint uuid,
        PRIMARY KEY (source_id, id, revision)
    ) ON COMMIT DROP
    """,
)
_REMEMBER = (
    """
    INSERT INTO foreseen
    SELECT e.* FROM incoming i JOIN event_identity e ON e.source_id = i.source_id AND e.id = i.id
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO foreseen_revisions (source_id, id, revision, fingerprint)
    SELECT r.source_id, r.id, r.revision, r.fingerprint
    FROM incoming i JOIN event_revisions r ON r.source_id = i.source_id AND r.id = i.id
    ON CONFLICT DO NOTHING
    """,
)
_REMEMBER_SUPERSEDED = """
INSERT INTO foreseen_revisions (source_id, id, revision, fingerprint)
SELECT source_id, id, revision, fingerprint FROM incoming WHERE n = ANY(%s::integer[])
"""
_CLAIM = """
INSERT INTO {} (batch, occurred_at, fingerprint, source_id, revision, payer_id, id)
SELECT %s, occurred_at, fingerprint, source_id, revision, payer_id, id FROM incoming ORDER BY n
ON CONFLICT (source_id, id) DO NOTHING
"""
_COMPARE = """
SELECT i.n, e.fingerprint = i.fingerprint, e.revision = i.revision
FROM incoming i JOIN {} e ON e.source_id = i.source_id AND e.id = i.id
WHERE i.later OR e.batch <> %s
"""


def source_ids(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """The numbers of sources; one that has none gets it."""
    wanted = sorted(set(names))
    found = known_source_ids(connection, wanted)
    missing = [(name,) for name in wanted if name not in found]
    if missing:
        connection.cursor().executemany("INSERT INTO sources (id) VALUES (%s) ON CONFLICT DO NOTHING", missing)
        found = known_source_ids(connection, wanted)
    return found


def known_source_ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """The numbers of those sources that have one."""
    return dict(connection.execute("SELECT id, source_id FROM sources WHERE id = ANY(%s)", [list(names)]).fetchall())


def known_identities(connection: Connection, sources: Sequence[int], ids: Sequence[str]) -> list[int]:
    """The places of those identities, by the number of their source and their id, that are taken."""
    rows = connection.execute(
        "SELECT place - 1 FROM unnest(%s::integer[], %s::text[]) WITH ORDINALITY AS wanted (source_id, id, place)"
        ' JOIN event_identity AS known ON known.source_id = wanted.source_id AND known.id = wanted.id COLLATE "C"'
        " ORDER BY place",
        [list(sources), list(ids)],
    )
    return [int(place) for (place,) in rows]


def next_batch(connection: Connection) -> int:
    """A number for a transaction that writes usage. One that has failed is not used again."""
    return next_batches(connection, 1)[0]


def next_batches(connection: Connection, count: int) -> list[int]:
    """Numbers for so many transactions that write usage."""
    rows = connection.execute("SELECT nextval('batches') FROM generate_series(1, %s)", [count]).fetchall()
    return [int(number) for (number,) in rows]


def begin_batch(connection: Connection, batch: int, sources: Sequence[int], *, tries: bool) -> None:
    """Note that a batch of usage from some sources is written; what comes next is `take_new` if it `tries`, or `claim`.

    Raises SourceUnknownError unless there is a source of each number: usage of none could be stored twice. One
    statement a batch: a foreign key would look the same source up once an event.
    """
    numbers = ",".join(str(int(number)) for number in sources)
    known = f"SELECT source_id FROM sources WHERE source_id = ANY('{{{numbers}}}')"  # noqa: S608
    # A number that has written before is refused here: what a snapshot sees of a batch is all of it or nothing. Also
    # where nothing is new: numbers without a gap are few ranges for each run that keeps what it saw.
    noted = f"INSERT INTO written_batches (batch) VALUES ({int(batch)})"  # noqa: S608
    found, *_ = at_once(connection, known, noted, _BEFORE_THE_TRY if tries else _INCOMING)
    unknown = sorted(set(sources) - {number for (number,) in found})
    if unknown:
        raise SourceUnknownError(
            "usage names a source by a number that the database does not have",
            place="sources",
            value=str(unknown[0]),
            remedy="start again, so that sources are looked up anew; nothing of this was stored",
        )


def take_new(connection: Connection, identities: memoryview) -> bool:
    """Take the identities of events as if all were new, in a third of the time. False, and none taken, if one is not.

    `identities` are rows of `IDENTITY`, sorted as for `claim`, as COPY reads them. It comes right after `begin_batch`.
    """
    try:
        copy_binary(connection, "event_identity", IDENTITY, identities)
    except psycopg.errors.UniqueViolation:
        at_once(connection, *_AFTER_THE_TRY)
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What became of n claims, by their rows (int64): all others are of identities that nobody had taken.

    `known` ones were taken before, with the same content or not; above the `superseded` ones a higher revision stands,
    which is new with them or was there; the `amending` ones are above what was there.
    """

    known: Int64s
    same: NDArray[np.bool_]
    superseded: Int64s
    amending: Int64s

    @property
    def taken_before(self) -> int:
        """How many are not of a new identity."""
        return len(self.known) + len(self.superseded) + len(self.amending)


_NONE = np.zeros(0, dtype=np.int64)
ALL_NEW = Claimed(known=_NONE, same=np.zeros(0, dtype=np.bool_), superseded=_NONE, amending=_NONE)


def claim(connection: Connection, batch: int, claims: Columns) -> Claimed:
    """Take the identities of n claims, and hold those of which another revision is there.

    `claims` are columns of `n` (from 0), `source_id`, `id`, `revision`, `later` (the same identity stands in an
    earlier row), `fingerprint`, `payer_id` and `occurred_at`, sorted by source and id, the highest revision first:
    writers that take identities in one order do not deadlock. It comes after `begin_batch`, or a try that failed.
    """
    _copy_claims(connection, claims)
    return _claim(connection, STORED, batch, claims)


def claim_anew(connection: Connection) -> None:
    """Let a transaction that has claimed before claim others."""
    at_once(connection, _INCOMING, "TRUNCATE incoming")


def foresee(connection: Connection, batch: int, claims: Columns) -> Claimed:
    """What `claim` would give, after all that this transaction has foreseen before. Nothing of it outlives it.

    What it knows is kept in the database, so that a file of any length takes no more memory than one of its chunks,
    and in a temporary table, so that nobody who takes identities meanwhile has to wait.
    """
    claim_anew(connection)
    for statement in _FORESEEING:
        connection.execute(statement)
    _copy_claims(connection, claims)
    _use_the_index(connection)
    for statement in _REMEMBER:
        connection.execute(statement)
    found = _claim(connection, Kept("foreseen", "foreseen_revisions"), batch, claims)
    if len(found.superseded):
        connection.execute(_REMEMBER_SUPERSEDED, [found.superseded.tolist()])
    if len(found.amending):
        foresee_amended(connection, batch, found.amending.tolist())
    return found


def _copy_claims(connection: Connection, claims: Columns) -> None:
    told = {name: claims[name] for name in _TOLD}
    copy_binary(connection, "incoming", _TOLD, binary_of(told, len(told["n"])))


def _claim(connection: Connection, kept: Kept, batch: int, claims: Columns) -> Claimed:
    identity = sql.Identifier(kept.identities)
    taken = connection.execute(sql.SQL(_CLAIM).format(identity), [batch]).rowcount
    if taken == len(claims["n"]):
        return ALL_NEW
    # Rows of a transaction that committed while this one waited for it are invisible to the statement that waited,
    # and visible to the next one.
    _use_the_index(connection)
    found = connection.execute(sql.SQL(_COMPARE).format(identity), [batch]).fetchall()
    known = [(row, same) for row, same, is_revision in found if is_revision]
    rows = np.array([row for row, _ in known], dtype=np.int64)
    same = np.array([same for _, same in known], dtype=np.bool_)
    if len(known) == len(found):
        return Claimed(known=rows, same=same, superseded=_NONE, amending=_NONE)
    settled = settle(connection, kept, claims, [row for row, _, is_revision in found if not is_revision])
    return Claimed(
        known=np.concatenate([rows, settled.known]),
        same=np.concatenate([same, settled.same]),
        superseded=settled.superseded,
        amending=settled.amending,
    )


def _use_the_index(connection: Connection) -> None:
    """The planner knows nothing of the temporary table: it is told how to join it."""
    connection.execute("SET LOCAL enable_hashjoin = off")
    connection.execute("SET LOCAL enable_mergejoin = off")
