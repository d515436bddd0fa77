"""Revisions of events in the store: which one is in force, and what the others were.

Whoever revises an event holds the row of its identity, and takes these in the order of source and id, after all new
identities: so nobody waits in a circle. Everything is of one transaction, the totals with it.
"""

from collections.abc import Sequence
from typing import LiteralString, NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from billing.errors import EventMissingError
from billing.store.binary import Columns
from billing.store.engine import Connection
from rates.usage import Int64s

Flags = NDArray[np.bool_]


class Kept(NamedTuple):
    """The tables of identities, and of the revisions that are not in force: the store's own, or a rehearsal's."""

    identities: LiteralString
    revisions: LiteralString


STORED = Kept("event_identity", "event_revisions")


class Settled(NamedTuple):
    """What becomes of claims whose identity has another revision, each by their rows (int64): known ones, and whether
    their content is the same; those that a higher revision stands above; those that take the place of a lower one.
    """

    known: Int64s
    same: Flags
    superseded: Int64s
    amending: Int64s


def settle(connection: Connection, kept: Kept, claims: Columns, rows: Sequence[int]) -> Settled:
    """Hold the identities of some claims, and say what becomes of these. `claims` lie in the table `incoming`."""
    names = {"identities": sql.Identifier(kept.identities), "revisions": sql.Identifier(kept.revisions)}
    connection.execute(sql.SQL(_HOLD).format(**names), [list(rows)])
    # In a statement of its own: it sees what was committed by those that this one had to wait for.
    found = connection.execute(sql.SQL(_KNOWN).format(**names), [list(rows)]).fetchall()
    row = np.array([row for row, _, _ in found], dtype=np.int64)
    stands = np.array([revision for _, revision, _ in found], dtype=np.int64)
    is_known = np.array([same is not None for *_, same in found], dtype=np.bool_)
    same = np.array([bool(same) for *_, same in found], dtype=np.bool_)
    new, new_stands = row[~is_known], stands[~is_known]
    first, alike = _said_first(claims, new)
    identity = np.cumsum(~claims["later"])[new]
    highest = np.diff(identity, prepend=0) != 0
    amending = highest & (claims["revision"][new] > new_stands)
    return Settled(
        known=np.concatenate([row[is_known], new[~first]]),
        same=np.concatenate([same[is_known], alike[~first]]),
        superseded=new[first & ~amending],
        amending=new[amending],
    )


def _said_first(claims: Columns, rows: Int64s) -> tuple[Flags, Flags]:
    """Of some claims, which are the first of their revision; and which have the content of the first."""
    identity = np.cumsum(~claims["later"])[rows]
    revision = claims["revision"][rows]
    first = (np.diff(identity, prepend=0) != 0) | (np.diff(revision, prepend=0) != 0)
    head = rows[np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))]
    content = claims["fingerprint"]
    return first, content[rows] == content[head]


def amend(connection: Connection, batch: int, rows: Sequence[int]) -> None:
    """Take what is in force out for some claims of `incoming`, whose identities are held, and put these in force.

    What it was rated at is taken from the totals, and it is kept beside with that. The claims' own events are still to
    be written.
    """
    values = {"rows": list(rows), "batch": batch}
    for statement in (_TAKING, "TRUNCATE taking"):
        connection.execute(statement)
    connection.execute(_FILL, values)
    connection.execute("ANALYZE taking")
    connection.execute(_TAKE_ELEMENTS, values)
    taken = sum(connection.execute(statement, values).rowcount for statement in (_TAKE_EVENTS, _TAKE_QUARANTINED))
    voids = connection.execute(_COUNT_VOIDS).fetchone()
    if taken + (voids[0] if voids else 0) != len(rows):
        raise EventMissingError(
            "an event is to be amended that is known and is not there",
            place="events",
            value=f"{len(rows) - taken} of {len(rows)}",
            remedy="restore the events from a backup; nothing of this was stored",
        )
    connection.execute(_PUT_IN_FORCE, values)


def foresee_amended(connection: Connection, batch: int, rows: Sequence[int]) -> None:
    """The same of what a rehearsal foresees, which has no events."""
    values = {"rows": list(rows), "batch": batch}
    connection.execute(_FORESEE_TAKEN, values)
    connection.execute(_FORESEE_IN_FORCE, values)


_HOLD = """
SELECT FROM incoming i JOIN {identities} e ON e.source_id = i.source_id AND e.id = i.id
WHERE i.n = ANY(%s::integer[]) ORDER BY i.n FOR NO KEY UPDATE OF e
"""

_KNOWN = """
SELECT i.n, e.revision,
    coalesce(r.fingerprint, CASE WHEN e.revision = i.revision THEN e.fingerprint END) = i.fingerprint
FROM incoming i JOIN {identities} e ON e.source_id = i.source_id AND e.id = i.id
LEFT JOIN {revisions} r ON r.source_id = i.source_id AND r.id = i.id AND r.revision = i.revision
WHERE i.n = ANY(%s::integer[]) ORDER BY i.n
"""

# What is in force and is to be taken out. The planner is told how much it is: it would read all events otherwise.
_TAKING = """
CREATE TEMPORARY TABLE IF NOT EXISTS taking (
    occurred_at timestamptz,
    fingerprint uuid NOT NULL,
    source_id integer NOT NULL,
    revision integer NOT NULL,
    payer_id integer,
    id text COLLATE "C" NOT NULL
) ON COMMIT DELETE ROWS
"""
_FILL = """
INSERT INTO taking
SELECT known.occurred_at, known.fingerprint, known.source_id, known.revision, known.payer_id, known.id
FROM incoming i JOIN event_identity known ON known.source_id = i.source_id AND known.id = i.id
WHERE i.n = ANY(%(rows)s::integer[]) ORDER BY i.n
"""
_WHERE_IT_LIES = """
    event.payer_id = known.payer_id AND event.occurred_at = known.occurred_at
    AND event.source_id = known.source_id AND event.id = known.id
"""
_REPORTED = """
    occurred_at, received_at, batch, to_e164, from_e164, rated_to_e164, measured, fingerprint, source_id, revision,
    reason, stated_country, to_address, from_address, mcc, mnc, number_type, region, jurisdiction, package, status,
    error_code, attributes
"""

_TAKE_EVENTS = f"""
WITH old AS (
    DELETE FROM events AS event USING taking AS known WHERE {_WHERE_IT_LIES} RETURNING event.*, known.fingerprint
), less AS (
    INSERT INTO unfolded (events, quantity, payer_id, account_id, price_id, day, country)
    SELECT -1, -billed, payer_id, account_id, price_id, (occurred_at AT TIME ZONE 'UTC')::date, country
    FROM old WHERE price_id IS NOT NULL
)
INSERT INTO event_revisions ({_REPORTED}, id, superseded_in, rate_id, billed, price_id, payer_id, account_id, country,
    account, product)
SELECT {_REPORTED}, old.id, %(batch)s, rate_id, billed, price_id, payer_id, account_id, country,
    accounts.id, products.id
FROM old JOIN accounts USING (account_id) JOIN products USING (product_id)
"""  # noqa: S608

_TAKE_ELEMENTS = f"""
WITH old AS (
    DELETE FROM event_elements AS event USING taking AS known WHERE {_WHERE_IT_LIES} RETURNING event.*, known.revision
), less AS (
    INSERT INTO unfolded (events, quantity, payer_id, account_id, price_id, day, country)
    SELECT -events, -billed, payer_id, account_id, price_id, (occurred_at AT TIME ZONE 'UTC')::date, country FROM old
)
INSERT INTO event_revision_elements (occurred_at, batch, superseded_in, rate_id, billed, price_id, payer_id, account_id,
    source_id, revision, part, events, id, country)
SELECT occurred_at, batch, %(batch)s, rate_id, billed, price_id, payer_id, account_id,
    source_id, revision, part, events, id, country
FROM old
"""  # noqa: S608

_TAKE_QUARANTINED = f"""
WITH old AS (
    DELETE FROM quarantine AS event USING taking AS known
    WHERE event.source_id = known.source_id AND event.id = known.id
    RETURNING event.*, known.fingerprint
)
INSERT INTO event_revisions ({_REPORTED}, id, superseded_in, account, product)
SELECT {_REPORTED}, id, %(batch)s, account, product FROM old
"""  # noqa: S608

# What takes an event back is kept when it comes.
_COUNT_VOIDS = "SELECT count(*) FROM taking WHERE occurred_at IS NULL"

_PUT_IN_FORCE = """
UPDATE event_identity AS known SET batch = %(batch)s, occurred_at = i.occurred_at, fingerprint = i.fingerprint,
    revision = i.revision, payer_id = i.payer_id
FROM incoming i WHERE i.n = ANY(%(rows)s::integer[]) AND known.source_id = i.source_id AND known.id = i.id
"""

_FORESEE_TAKEN = """
INSERT INTO foreseen_revisions (source_id, id, revision, fingerprint)
SELECT known.source_id, known.id, known.revision, known.fingerprint
FROM incoming i JOIN foreseen known ON known.source_id = i.source_id AND known.id = i.id
WHERE i.n = ANY(%(rows)s::integer[])
ON CONFLICT DO NOTHING
"""

_FORESEE_IN_FORCE = """
UPDATE foreseen AS known SET batch = %(batch)s, occurred_at = i.occurred_at, fingerprint = i.fingerprint,
    revision = i.revision, payer_id = i.payer_id
FROM incoming i WHERE i.n = ANY(%(rows)s::integer[]) AND known.source_id = i.source_id AND known.id = i.id
"""
