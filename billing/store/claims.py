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
from billing.store.bulk import Table
from billing.store.identity import IDENTITY
from billing.usage import Usage, Voids, voids_of
from rates.usage import Int32s, Int64s

NO_VOIDS = voids_of({})

_MICROS = pa.timestamp("us")
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
        source = np.concatenate([source, others["source_id"].to_numpy()])
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
) -> Table:
    """The claims of usage in order, and of the voids among it, of which no more is known than their names."""
    usage, n = rated.usage, len(order.event)
    columns = {
        "occurred_at": pa.array(usage.occurred_at).cast(_MICROS),
        "fingerprint": usage.fingerprint,
        "payer_id": or_nobody(rated.payer),
        "source_id": pa.array(source),
        "revision": pa.array(usage.revision),
        "row": pa.array(usage.row),
        "id": usage.id,
    }
    if voids:
        others, mixed = _void_columns(voids, source_ids), np.where(order.event < 0, order.place, order.event)
        both = {name: pa.concat_arrays([column, others[name]]) for name, column in columns.items()}
        columns = {name: column.take(pa.array(mixed)) for name, column in both.items()}
    later = np.zeros(n, dtype=np.bool_)
    if n > 1:
        identity, of = columns["id"], columns["source_id"].to_numpy()
        same_id = pc.equal(identity[1:], identity[:-1]).to_numpy(zero_copy_only=False)
        later[1:] = same_id & (of[1:] == of[:-1])
    return pa.table({"n": pa.array(np.arange(n, dtype=np.int32)), "later": pa.array(later), **columns})


def _void_columns(voids: Voids, source_ids: Mapping[str, int]) -> dict[str, Table]:
    """The columns of claims for voids, which have no instant, no payer, and all one content."""
    v = len(voids)
    return {
        "occurred_at": pa.nulls(v, _MICROS),
        "fingerprint": pa.array([VOID_FINGERPRINT] * v, pa.binary(FINGERPRINT_BYTES)),
        "payer_id": pa.nulls(v, pa.int32()),
        "source_id": pa.array([source_ids[name] for name in voids.source], pa.int32()),
        "revision": pa.array(voids.revision),
        "row": pa.array(voids.row),
        "id": pa.array(voids.id, pa.string()),
    }


def identities_of(claims: Table, batch: int) -> Table:
    """The rows of the table of identities for claims that are all new."""
    columns = {name: claims[name] for name in IDENTITY if name != "batch"}
    return pa.table({"batch": pa.array(np.full(len(claims), batch)), **columns}).select(IDENTITY)


def or_nobody(column: Int32s | Int64s, nothing: int = NOBODY) -> Table:
    """Numbers as an Arrow column, with null for nothing."""
    return pa.array(column, mask=column == nothing)
