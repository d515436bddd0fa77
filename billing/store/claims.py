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


class Keys(NamedTuple):
    """What orders n events and v voids: a table of `source_id`, `id`, `revision` and `row`, of the payload.

    `place` is where each was before, among the events and then the voids; `event` its place among the events now, -1
    of a void. Both are int64[n + v].
    """

    table: Table
    place: Int64s
    event: Int64s


def ordered_keys(usage: Usage, sources: NDArray[np.int32], voids: Voids, source_ids: Mapping[str, int]) -> Keys:
    """The keys of usage, whose sources have these numbers, and of voids, in order."""
    keys = pa.table(
        {
            "source_id": pa.array(sources[usage.source.codes]),
            "id": usage.id,
            "revision": pa.array(usage.revision),
            "row": pa.array(usage.row),
        }
    )
    if len(voids):
        others = {
            "source_id": pa.array([source_ids[name] for name in voids.source], pa.int32()),
            "id": pa.array(voids.id, pa.string()),
            "revision": pa.array(voids.revision),
            "row": pa.array(voids.row),
        }
        keys = pa.concat_tables([keys, pa.table(others)]).combine_chunks()
    place = _order(keys)
    is_event = place < len(usage)
    return Keys(keys.take(pa.array(place)), place, np.where(is_event, np.cumsum(is_event) - 1, -1))


def _order(keys: Table) -> Int64s:
    """By source and id, in the order of their bytes, the highest revision first; equal ones as they came."""
    source, revision = keys["source_id"].to_numpy(), keys["revision"].to_numpy()
    if len(keys) and source.min() == source.max() and revision.max() == FIRST:
        order = pc.sort_indices(keys["id"])
    else:
        order = pc.sort_indices(keys, sort_keys=_BY)
    found: Int64s = order.to_numpy().astype(np.int64)
    return found


def claims_of(rated: Rated, keys: Keys) -> Table:
    """The claims of usage in order, and of the voids among it, of which no more is known than their keys."""
    usage, n = rated.usage, len(keys.event)
    identity, source = keys.table["id"].combine_chunks(), keys.table["source_id"].to_numpy()
    later = np.zeros(n, dtype=np.bool_)
    if n > 1:
        same_id = pc.equal(identity[1:], identity[:-1]).to_numpy(zero_copy_only=False)
        later[1:] = same_id & (source[1:] == source[:-1])
    said = {
        "occurred_at": pa.array(usage.occurred_at).cast(_MICROS),
        "fingerprint": usage.fingerprint,
        "payer_id": or_nobody(rated.payer),
    }
    if n > len(usage):
        place = pa.array(keys.event, mask=keys.event < 0)
        said = {name: column.take(place) for name, column in said.items()}
        void = pa.scalar(VOID_FINGERPRINT, pa.binary(FINGERPRINT_BYTES))
        said["fingerprint"] = pc.if_else(pc.is_null(place), void, said["fingerprint"])
    return pa.table(
        {
            "n": pa.array(np.arange(n, dtype=np.int32)),
            **said,
            "source_id": keys.table["source_id"],
            "revision": keys.table["revision"],
            "later": pa.array(later),
            "id": identity,
        }
    )


def identities_of(claims: Table, batch: int) -> Table:
    """The rows of the table of identities for claims that are all new."""
    columns = {name: claims[name] for name in IDENTITY if name != "batch"}
    return pa.table({"batch": pa.array(np.full(len(claims), batch)), **columns}).select(IDENTITY)


def or_nobody(column: Int32s | Int64s, nothing: int = NOBODY) -> Table:
    """Numbers as an Arrow column, with null for nothing."""
    return pa.array(column, mask=column == nothing)
