"""Usage as it was reported, read back as the columns that are rated."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql

from billing.revisions import FINGERPRINT_BYTES, FIRST
from billing.store.bulk import Table
from billing.store.usage import TEXT_COLUMNS
from billing.usage import Usage, declared
from billing.written import encoded, written
from rates.usage import Texts

NUMBERS = ("to_e164", "from_e164", "rated_to_e164", "measured")
SAID = ("attributes", *TEXT_COLUMNS.values())
_NAMES = ("source", "account", "product")
_NO_NAMES: Mapping[str, Texts] = MappingProxyType({})

REPORTED = {
    "occurred_at": pa.int64(),
    "source": pa.string(),
    "id": pa.string(),
    "account": pa.string(),
    "product": pa.string(),
    **dict.fromkeys(NUMBERS, pa.int64()),
    **dict.fromkeys(SAID, pa.string()),
}
"""The columns that `usage_of` reads; `occurred_at` is in microseconds. All but the first five are `said_by`."""


def said_by(table: str) -> sql.Composed:
    """The columns that a table of events has under the names of `REPORTED`."""
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in (*NUMBERS, *SAID))


def usage_of(column: Mapping[str, Table], names: Mapping[str, Texts] = _NO_NAMES) -> Usage:
    """The usage of the columns `REPORTED`; nothing of it counts as too old. Which `revision` it is may stand beside.

    `names` may have the texts of the sources, accounts and products, instead of columns.
    """
    n = len(column["id"])
    names = names or {name: encoded(written(pc.fill_null(column[name], ""))) for name in _NAMES}
    number = {name: numpy_of(pc.fill_null(column[name], 0)) for name in NUMBERS}
    stated = {name: _texts(column[of]) for name, of in TEXT_COLUMNS.items() if column[of].null_count < n}
    attributes = _texts(column["attributes"])
    return Usage(
        row=np.arange(n, dtype=np.int64),
        source=names["source"],
        id=column["id"],
        account=names["account"],
        product=names["product"],
        occurred_at=numpy_of(column["occurred_at"]),
        to=number["to_e164"],
        from_=number["from_e164"],
        rated_to=number["rated_to_e164"],
        measured=number["measured"],
        texts=stated | declared(attributes),
        attributes=attributes,
        fingerprint=pa.nulls(n, pa.binary(FINGERPRINT_BYTES)),  # the identity has it
        too_old=np.zeros(n, dtype=np.bool_),
        revision=numpy_of(column["revision"]) if "revision" in column else np.full(n, FIRST, dtype=np.int32),
    )


def named(numbers: NDArray[np.int32] | NDArray[np.int16], names: Mapping[int, str]) -> Texts:
    """Numbers from 0 on as the texts that they stand for."""
    distinct = np.flatnonzero(np.bincount(numbers))
    place = np.zeros(int(distinct[-1]) + 1 if len(distinct) else 0, dtype=np.int32)
    place[distinct] = np.arange(1, len(distinct) + 1)
    return Texts(codes=place[numbers], values=("", *(names[number] for number in distinct.tolist())))


def whole(rows: Table) -> dict[str, Table]:
    """The columns of a table, each as one array; what is in one piece is not copied."""
    columns = {name: rows[name] for name in rows.column_names}
    return {name: each.chunk(0) if each.num_chunks == 1 else each.combine_chunks() for name, each in columns.items()}


def numpy_of(column: Table) -> NDArray[Any]:
    """An Arrow column without nulls."""
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found


def _texts(column: Table) -> Texts:
    """A column of texts; null is the empty one."""
    if column.null_count == len(column):
        return Texts(codes=np.zeros(len(column), dtype=np.int32), values=("",))
    return encoded(written(pc.fill_null(column, "")))
