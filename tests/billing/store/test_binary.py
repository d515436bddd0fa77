"""Rows in binary: what COPY makes of them is what they say, of every type, with NULLs and without."""

from datetime import UTC, date, datetime
from uuid import UUID

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.store.binary import binary_of, copy_binary
from billing.store.engine import Engine, transaction

COLUMNS = {
    "here": (pa.bool_(), "boolean", st.booleans()),
    "small": (pa.int16(), "smallint", st.integers(-(2**15), 2**15 - 1)),
    "name": (pa.string(), "text", st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))),
    "middle": (pa.int32(), "integer", st.integers(-(2**31), 2**31 - 1)),
    "large": (pa.int64(), "bigint", st.integers(-(2**63), 2**63 - 1)),
    "day": (pa.date32(), "date", st.dates(date(1970, 1, 1), date(2100, 1, 1))),
    "at": (pa.timestamp("us"), "timestamptz", st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))),  # noqa: DTZ001
    "print": (pa.binary(16), "uuid", st.binary(min_size=16, max_size=16)),
    "last": (pa.string(), "text", st.sampled_from(["", "GB"])),
}
SCHEMA = pa.schema([(name, of) for name, (of, _, _) in COLUMNS.items()])
VALUES = {name: values for name, (_, _, values) in COLUMNS.items()}
FULL = st.lists(st.fixed_dictionaries(VALUES), max_size=4)
WITH_NULLS = st.lists(st.fixed_dictionaries({k: st.none() | values for k, values in VALUES.items()}), max_size=4)


def through(engine: Engine, rows: pa.Table) -> list[tuple[object, ...]]:
    """What a table holds after COPY has read the rows."""
    with transaction(engine) as connection:
        types = ", ".join(f'"{name}" {kind}' for name, (_, kind, _) in COLUMNS.items())
        connection.execute(f"CREATE TEMPORARY TABLE read ({types}, line serial) ON COMMIT DROP".encode())
        copy_binary(connection, "read", rows.column_names, binary_of(rows))
        return [row[:-1] for row in connection.execute("TABLE read ORDER BY line")]


def as_read(row: dict[str, object]) -> tuple[object, ...]:
    """The values of a row as PostgreSQL gives them back."""
    at, print_ = row["at"], row["print"]
    if isinstance(at, datetime):
        row = {**row, "at": at.replace(tzinfo=UTC)}
    if isinstance(print_, bytes):
        row = {**row, "print": UUID(bytes=print_)}
    return tuple(row[name] for name in COLUMNS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(FULL | WITH_NULLS)
def test_whatever_is_written_is_read(engine: Engine, rows: list[dict[str, object]]) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    assert [as_read(row) for row in rows] == through(engine, table)
    assert [as_read(row) for row in rows[1:]] == through(engine, table.slice(1)), "a part of longer columns"


def test_columns_in_parts_are_one(engine: Engine) -> None:
    one = pa.Table.from_pylist([dict.fromkeys(COLUMNS) | {"name": "a", "large": 1, "print": bytes(16)}], SCHEMA)
    assert 3 == len(through(engine, pa.concat_tables([one, one.slice(1), one, one])))


def test_a_width_that_is_not_the_column_s_is_refused(engine: Engine) -> None:
    rows = pa.table({"middle": pa.array([1], pa.int64())})
    with pytest.raises(psycopg.errors.InvalidBinaryRepresentation):
        through(engine, rows)
