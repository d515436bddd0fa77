"""Usage that waits for what is missing: read as it was reported, and let out when it can be rated."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql

from billing.columns import encoded
from billing.payloads import attributes_of
from billing.rated import Rated
from billing.store.bulk import Table, copy_out
from billing.store.engine import Connection
from billing.store.usage import TEXT_COLUMNS
from billing.usage import Usage
from rates.usage import Int64s, Texts, encode

Flags = NDArray[np.bool_]

_NUMBERS = ("to_e164", "from_e164", "rated_to_e164", "measured")
_TEXTS = ("account", "product", "attributes", *TEXT_COLUMNS.values())
_COLUMNS = {
    "occurred_at": pa.int64(),
    "received_at": pa.int64(),
    "source": pa.string(),
    "id": pa.string(),
    "source_id": pa.int32(),
    "reason": pa.int8(),
    **dict.fromkeys(_NUMBERS, pa.int64()),
    **dict.fromkeys(_TEXTS, pa.string()),
}
_NEXT = """
SELECT (extract(epoch FROM q.occurred_at) * 1000000)::bigint, (extract(epoch FROM q.received_at) * 1000000)::bigint,
    s.id, q.id, q.source_id, q.reason, {columns}
FROM quarantine q JOIN sources s USING (source_id)
WHERE (q.source_id, q.id) > (%s, %s COLLATE "C") AND q.reason <> ALL (%s)
ORDER BY q.source_id, q.id LIMIT %s
FOR UPDATE OF q SKIP LOCKED
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
    """The next quarantined events, locked; without those of some reasons (codes). None when there are no more."""
    columns = sql.SQL(", ").join(sql.SQL("q.{}").format(sql.Identifier(name)) for name in (*_NUMBERS, *_TEXTS))
    rows = copy_out(connection, sql.SQL(_NEXT).format(columns=columns), _COLUMNS, [*after, but, limit])
    if not rows.num_rows:
        return None
    column = {name: rows[name].combine_chunks() for name in _COLUMNS}
    sources = zip(column["source"].to_pylist(), column["source_id"].to_pylist(), strict=True)
    return Waiting(
        usage=_usage(column),
        received_at=_numpy(column["received_at"]),
        reason=_numpy(column["reason"]),
        source_ids=dict(sources),
        place=Place(column["source_id"][-1].as_py(), column["id"][-1].as_py()),
    )


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


def _usage(column: dict[str, Table]) -> Usage:
    n = len(column["id"])
    text = {name: pc.fill_null(column[name], "") for name in _TEXTS}
    number = {name: _numpy(pc.fill_null(column[name], 0)) for name in _NUMBERS}
    stated = {name: encoded(text[of]) for name, of in TEXT_COLUMNS.items() if column[of].null_count < n}
    return Usage(
        row=np.arange(n, dtype=np.int64),
        source=encoded(column["source"]),
        id=column["id"],
        account=encoded(text["account"]),
        product=encoded(text["product"]),
        occurred_at=_numpy(column["occurred_at"]),
        to=number["to_e164"],
        from_=number["from_e164"],
        rated_to=number["rated_to_e164"],
        measured=number["measured"],
        texts=stated | _declared(text["attributes"]),
        attributes=encoded(text["attributes"]),
        fingerprint=pa.nulls(n, pa.string()),  # the identity has it
        too_old=np.zeros(n, dtype=np.bool_),
    )


def _declared(texts: Table) -> dict[str, Texts]:
    stated = attributes_of(texts.to_pylist())
    names = sorted({name for attributes in stated for name in attributes})
    return {name: encode([attributes.get(name, "") for attributes in stated]) for name in names}


def _numpy(column: Table) -> NDArray[Any]:
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found
