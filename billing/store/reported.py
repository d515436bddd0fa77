"""Usage as it was reported, read back as the columns that are rated."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql

from billing.columns import encoded
from billing.payloads import attributes_of
from billing.store.bulk import Table
from billing.store.usage import TEXT_COLUMNS
from billing.usage import Usage
from rates.usage import Texts, encode

_NUMBERS = ("to_e164", "from_e164", "rated_to_e164", "measured")
_SAID = ("attributes", *TEXT_COLUMNS.values())
_TEXTS = ("account", "product", *_SAID)

REPORTED = {
    "occurred_at": pa.int64(),
    "source": pa.string(),
    "id": pa.string(),
    "account": pa.string(),
    "product": pa.string(),
    **dict.fromkeys(_NUMBERS, pa.int64()),
    **dict.fromkeys(_SAID, pa.string()),
}
"""The columns that `usage_of` reads; `occurred_at` is in microseconds. All but the first five are `said_by`."""


def said_by(table: str) -> sql.Composed:
    """The columns that a table of events has under the names of `REPORTED`."""
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in (*_NUMBERS, *_SAID))


def usage_of(column: Mapping[str, Table]) -> Usage:
    """The usage of the columns `REPORTED`; nothing of it counts as too old."""
    n = len(column["id"])
    text = {name: pc.fill_null(column[name], "") for name in _TEXTS}
    number = {name: numpy_of(pc.fill_null(column[name], 0)) for name in _NUMBERS}
    stated = {name: encoded(text[of]) for name, of in TEXT_COLUMNS.items() if column[of].null_count < n}
    attributes = encoded(text["attributes"])
    return Usage(
        row=np.arange(n, dtype=np.int64),
        source=encoded(column["source"]),
        id=column["id"],
        account=encoded(text["account"]),
        product=encoded(text["product"]),
        occurred_at=numpy_of(column["occurred_at"]),
        to=number["to_e164"],
        from_=number["from_e164"],
        rated_to=number["rated_to_e164"],
        measured=number["measured"],
        texts=stated | _declared(attributes),
        attributes=attributes,
        fingerprint=pa.nulls(n, pa.string()),  # the identity has it
        too_old=np.zeros(n, dtype=np.bool_),
    )


def numpy_of(column: Table) -> NDArray[Any]:
    """An Arrow column without nulls."""
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found


def _declared(attributes: Texts) -> dict[str, Texts]:
    """The columns of the attributes that some event states. Each distinct text of them is read once."""
    stated = attributes_of(attributes.values)
    names = sorted({name for each in stated for name in each})
    distinct = {name: encode([each.get(name, "") for each in stated]) for name in names}
    return {name: Texts(values=text.values, codes=text.codes[attributes.codes]) for name, text in distinct.items()}
