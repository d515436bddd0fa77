"""Claims: the identities that a batch takes, those of its events and those of what takes events back.

They are sorted by source and id, so that writers take them in one order, and the highest revision stands first: it
takes the identity, and the others find it taken.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.assignment import NOBODY
from billing.rated import Rated
from billing.revisions import FINGERPRINT_BYTES, FIRST, VOID_FINGERPRINT
from billing.store.binary import MICROS, Column, Columns, Nullable, octets_of, taken
from billing.store.identity import IDENTITY
from billing.usage import Usage, Voids, voids_of
from rates.usage import Int32s, Int64s

NO_VOIDS = voids_of({})

_BY = [("source_id", "ascending"), ("id", "ascending"), ("revision", "descending"), ("row", "ascending")]


class Order(NamedTuple):
    """The order of n events and v voids: where each was before, among the events and then the voids (`place`).

    `event` is its place among the events now, -1 of a void. Both are int64[n + v].
    """

    place: Int64s
    event: Int64s


def order_of(usage: Usage, sources: NDArray[np.int32], voids: Voids, source_ids: Mapping[str, int]) -> Order:
    """The order of usage, whose sources have these numbers, and of voids."""
    source, revision, name, row = sources[usage.source.codes], usage.revision, usage.id, usage.row
    if voids:
        others = _void_columns(voids, source_ids)
        source = np.concatenate([source, others["source_id"]])
        revision, row = np.concatenate([revision, voids.revision]), np.concatenate([row, voids.row])
        name = pa.concat_arrays([name, others["id"]])
    if len(source) and source.min() == source.max() and revision.max() == FIRST:
        order = pc.sort_indices(name)
    else:
        keys = {"source_id": source, "id": name, "revision": revision, "row": row}
        order = pc.sort_indices(pa.table({key: pa.array(column) for key, column in keys.items()}), sort_keys=_BY)
    place = order.to_numpy().astype(np.int64)
    is_event = place < len(usage)
    return Order(place, np.where(is_event, np.cumsum(is_event) - 1, -1))


def claims_of(
    rated: Rated, source: NDArray[np.int32], order: Order, voids: Voids, source_ids: Mapping[str, int]
) -> Columns:
    """The claims of usage in order, and of the voids among it, of which no more is known than their names."""
    usage, n = rated.usage, len(order.event)
    columns: Columns = {
        "occurred_at": usage.occurred_at.view(MICROS),
        "fingerprint": octets_of(usage.fingerprint),
        "payer_id": or_nobody(rated.payer),
        "source_id": source,
        "revision": usage.revision,
        "row": usage.row,
        "id": usage.id,
    }
    if voids:
        others, mixed = _void_columns(voids, source_ids), np.where(order.event < 0, order.place, order.event)
        columns = taken({name: _joined(column, others[name]) for name, column in columns.items()}, mixed)
    later = np.zeros(n, dtype=np.bool_)
    if n > 1:
        identity, of = columns["id"], columns["source_id"]
        same_id = pc.equal(identity[1:], identity[:-1]).to_numpy(zero_copy_only=False)
        later[1:] = same_id & (of[1:] == of[:-1])
    return {"n": np.arange(n, dtype=np.int32), "later": later, **columns}


def _void_columns(voids: Voids, source_ids: Mapping[str, int]) -> Columns:
    """The columns of claims for voids, which have no instant, no payer, and all one content."""
    v = len(voids)
    nothing = np.ones(v, dtype=np.bool_)
    return {
        "occurred_at": Nullable(np.zeros(v, dtype=MICROS), nothing),
        "fingerprint": np.frombuffer(VOID_FINGERPRINT * v, dtype=f"V{FINGERPRINT_BYTES}"),
        "payer_id": Nullable(np.zeros(v, dtype=np.int32), nothing),
        "source_id": np.array([source_ids[name] for name in voids.source], dtype=np.int32),
        "revision": voids.revision,
        "row": voids.row,
        "id": pa.array(voids.id, pa.string()),
    }


def _joined(column: Column, others: Column) -> Column:
    if isinstance(column, pa.Array):
        return pa.concat_arrays([column, others])
    if isinstance(others, Nullable):
        values, is_null = column if isinstance(column, Nullable) else (column, np.zeros(len(column), dtype=np.bool_))
        return Nullable(np.concatenate([values, others.values]), np.concatenate([is_null, others.is_null]))
    return np.concatenate([column, others])


def identities_of(claims: Columns, batch: int) -> Columns:
    """The columns of the table of identities for claims that are all new."""
    return {name: np.int64(batch) if name == "batch" else claims[name] for name in IDENTITY}


def or_nobody(column: Int32s | Int64s, nothing: int = NOBODY) -> Nullable:
    """Numbers, with NULL for nothing."""
    return Nullable(column, column == nothing)
