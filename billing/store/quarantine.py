"""Usage that waits for what is missing: read as it was reported, and let out when it can be rated."""

from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from billing.rated import Rated
from billing.store.bulk import copy_out
from billing.store.engine import Connection
from billing.store.reported import REPORTED, numpy_of, said_by, usage_of
from billing.usage import Usage
from rates.usage import Int64s

Flags = NDArray[np.bool_]

_COLUMNS = {
    **REPORTED,
    "received_at": pa.int64(),
    "source_id": pa.int32(),
    "revision": pa.int32(),
    "reason": pa.int8(),
}
_NEXT = """
SELECT (extract(epoch FROM q.occurred_at) * 1000000)::bigint, s.id, q.id, account, product, {columns},
    (extract(epoch FROM q.received_at) * 1000000)::bigint, q.source_id, q.revision, q.reason
FROM quarantine q JOIN sources s USING (source_id) JOIN event_identity e ON e.source_id = q.source_id AND e.id = q.id
WHERE (q.source_id, q.id) > (%s, %s COLLATE "C") AND q.reason <> ALL (%s)
ORDER BY q.source_id, q.id LIMIT %s
FOR UPDATE OF q, e SKIP LOCKED
"""
_EARLIEST = """
SELECT (extract(epoch FROM q.occurred_at) * 1000000)::bigint, s.id, q.id, account, product, {columns}
FROM quarantine q JOIN sources s USING (source_id)
WHERE q.occurred_at > %s AND q.reason = %s
ORDER BY q.occurred_at, q.source_id, q.id LIMIT %s
"""


class Place(NamedTuple):
    """Where a walk through the quarantine stands: behind the event of this source and id."""

    source_id: int = 0
    id: str = ""


class Waiting(NamedTuple):
    """Some quarantined events, when they were received (int64[n]), why they wait (int8[n]), and where they end."""

    usage: Usage
    received_at: Int64s
    reason: NDArray[np.int8]
    source_ids: dict[str, int]
    place: Place


def next_waiting(connection: Connection, after: Place, limit: int, but: list[int]) -> Waiting | None:
    """The next quarantined events, locked; without those of some reasons (codes). None when there are no more.

    Locked with their identities, which whoever amends them holds first: what is amended meanwhile is left to that.
    """
    query = sql.SQL(_NEXT).format(columns=said_by("q"))
    rows = copy_out(connection, query, _COLUMNS, [*after, but, limit])
    if not rows.num_rows:
        return None
    column = {name: rows[name].combine_chunks() for name in _COLUMNS}
    sources = zip(column["source"].to_pylist(), column["source_id"].to_pylist(), strict=True)
    return Waiting(
        usage=usage_of(column),
        received_at=numpy_of(column["received_at"]),
        reason=numpy_of(column["reason"]),
        source_ids=dict(sources),
        place=Place(column["source_id"][-1].as_py(), column["id"][-1].as_py()),
    )


def earliest_waiting(connection: Connection, after: datetime, reason: int, limit: int) -> Usage | None:
    """The first events after an instant that wait for a reason (a code), in the order of time; None without any."""
    query = sql.SQL(_EARLIEST).format(columns=said_by("q"))
    rows = copy_out(connection, query, REPORTED, [after, reason, limit])
    return usage_of({name: rows[name].combine_chunks() for name in REPORTED}) if rows.num_rows else None


def with_fingerprints(connection: Connection, some: Waiting, rows: Int64s) -> Usage:
    """Some of the events with the fingerprints that their identities have; what waits is read without."""
    usage = some.usage.take(rows)
    sources = [some.source_ids.get(name, 0) for name in usage.source.values]
    keys = [[sources[code] for code in usage.source.codes.tolist()], usage.id.to_pylist()]
    found = connection.execute(
        "SELECT fingerprint FROM unnest(%s::integer[], %s::text[]) WITH ORDINALITY AS wanted (source_id, id, place)"
        ' JOIN event_identity AS known ON known.source_id = wanted.source_id AND known.id = wanted.id COLLATE "C"'
        " ORDER BY place",
        keys,
    ).fetchall()
    return replace(usage, fingerprint=pa.array([each.bytes for (each,) in found], pa.binary(16)))


def let_out(connection: Connection, rated: Rated, source_ids: dict[str, int], before: NDArray[np.int8]) -> None:
    """Take out of the quarantine what is not to be quarantined any more, and note new reasons of what stays."""
    stays = rated.ratings.is_quarantined
    connection.execute(
        "DELETE FROM quarantine q USING unnest(%s::integer[], %s::text[]) AS released (source_id, id)"
        ' WHERE q.source_id = released.source_id AND q.id = released.id COLLATE "C"',
        _keys(rated, source_ids, ~stays),
    )
    connection.execute(
        "UPDATE event_identity e SET payer_id = released.payer_id"
        " FROM unnest(%s::integer[], %s::text[], %s::integer[]) AS released (source_id, id, payer_id)"
        ' WHERE e.source_id = released.source_id AND e.id = released.id COLLATE "C"',
        [*_keys(rated, source_ids, ~stays), rated.payer[~stays].tolist()],
    )
    changed = stays & (rated.ratings.reason != before)
    connection.execute(
        "UPDATE quarantine q SET reason = found.reason"
        " FROM unnest(%s::integer[], %s::text[], %s::smallint[]) AS found (source_id, id, reason)"
        ' WHERE q.source_id = found.source_id AND q.id = found.id COLLATE "C"',
        [*_keys(rated, source_ids, changed), rated.ratings.reason[changed].tolist()],
    )


def _keys(rated: Rated, source_ids: dict[str, int], which: Flags) -> list[list[Any]]:
    sources = [source_ids.get(name, 0) for name in rated.usage.source.values]
    codes = rated.usage.source.codes[which].tolist()
    return [[sources[code] for code in codes], rated.usage.id.filter(pa.array(which)).to_pylist()]
