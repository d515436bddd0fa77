"""Rows in binary: what COPY makes of them is what they say, of every type, with NULLs and without."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.store.binary import Column, Nullable, binary_of, copy_binary, is_nothing, taken
from billing.store.engine import Engine, transaction

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
COLUMNS: dict[str, tuple[str | None, str, st.SearchStrategy[Any]]] = {
    "here": ("?", "boolean", st.booleans()),
    "small": ("i2", "smallint", st.integers(-(2**15), 2**15 - 1)),
    "name": (None, "text", TEXT),
    "middle": ("i4", "integer", st.integers(-(2**31), 2**31 - 1)),
    "large": ("i8", "bigint", st.integers(-(2**63), 2**63 - 1)),
    "day": ("M8[D]", "date", st.dates(date(1970, 1, 1), date(2100, 1, 1))),
    "at": ("M8[us]", "timestamptz", st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))),  # noqa: DTZ001
    "print": ("V16", "uuid", st.binary(min_size=16, max_size=16)),
    "last": (None, "text", st.sampled_from(["", "GB", "NL"])),
}
VALUES = {name: values for name, (_, _, values) in COLUMNS.items()}
FULL = st.lists(st.fixed_dictionaries(VALUES), max_size=4)
WITH_NULLS = st.lists(st.fixed_dictionaries({k: st.none() | values for k, values in VALUES.items()}), max_size=4)

Row = dict[str, Any]


def column_of(name: str, values: Sequence[Any]) -> Column:
    """Values as a column: one in which nothing is NULL is not always said to be one that could be."""
    written, is_null = COLUMNS[name][0], np.array([value is None for value in values], dtype=np.bool_)
    if written is None:
        return pa.array(values, pa.string())
    blank = bytes(16) if written == "V16" else np.zeros(1, written)[0]
    column = np.array([blank if value is None else value for value in values], dtype=written)
    return Nullable(column, is_null) if is_null.any() or len(values) % 2 else column


def through(engine: Engine, columns: dict[str, Column], rows: int) -> list[tuple[object, ...]]:
    """What a table holds after COPY has read the rows."""
    with transaction(engine) as connection:
        types = ", ".join(f'"{name}" {kind}' for name, (_, kind, _) in COLUMNS.items())
        connection.execute(f"CREATE TEMPORARY TABLE read ({types}, line serial) ON COMMIT DROP".encode())
        copy_binary(connection, "read", tuple(columns), binary_of(columns, rows))
        return [row[:-1] for row in connection.execute("TABLE read ORDER BY line")]


def as_read(row: Row) -> tuple[object, ...]:
    """The values of a row as PostgreSQL gives them back."""
    at, print_ = row["at"], row["print"]
    if isinstance(at, datetime):
        row = {**row, "at": at.replace(tzinfo=UTC)}
    if isinstance(print_, bytes):
        row = {**row, "print": UUID(bytes=print_)}
    return tuple(row[name] for name in COLUMNS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(FULL | WITH_NULLS)
def test_whatever_is_written_is_read(engine: Engine, rows: list[Row]) -> None:
    columns = {name: column_of(name, [row[name] for row in rows]) for name in COLUMNS}
    assert [as_read(row) for row in rows] == through(engine, columns, len(rows))
    some = taken(columns, np.arange(1, len(rows)))
    assert [as_read(row) for row in rows[1:]] == through(engine, dict(some), len(rows[1:])), "a part of the rows"
    nothing = [name for name in COLUMNS if rows and all(row[name] is None for row in rows)]
    assert nothing == [name for name in COLUMNS if rows and is_nothing(columns[name])]


def test_a_part_of_a_longer_column_of_texts_is_that_part(engine: Engine) -> None:
    texts = [pa.array(["left", "ab", "cd", "out"]).slice(1, 2), pa.array(["left", "a", None, "out"]).slice(1, 2)]
    found = [through(engine, {"name": name, "last": last}, 2) for name in texts for last in texts]
    name, last = list(COLUMNS).index("name"), list(COLUMNS).index("last")
    alike, apart = ["ab", "cd"], ["a", None]
    expected = [[*zip(one, other, strict=True)] for one in (alike, apart) for other in (alike, apart)]
    assert expected == [[(row[name], row[last]) for row in rows] for rows in found]


def test_one_value_stands_for_all_rows(engine: Engine) -> None:
    rows = through(engine, {"large": np.int64(-7), "at": np.datetime64(0, "us"), "small": np.array([1, 2], "i2")}, 2)
    kept = [tuple(value for value in row if value is not None) for row in rows]
    assert [(n, -7, datetime(1970, 1, 1, tzinfo=UTC)) for n in (1, 2)] == kept


def test_a_width_that_is_not_the_column_s_is_refused(engine: Engine) -> None:
    with pytest.raises(psycopg.errors.InvalidBinaryRepresentation):
        through(engine, {"middle": np.array([1], dtype=np.int64)}, 1)


@pytest.mark.parametrize(
    "column", [np.array([1], "i8"), Nullable(np.zeros(3, "i8"), np.zeros(3, "?")), pa.array(["a"])]
)
def test_a_column_of_another_length_is_refused(column: Column) -> None:
    with pytest.raises(ValueError, match="values of 'large' for 2 rows"):
        binary_of({"large": column}, 2)


def test_a_type_that_no_column_has_is_refused() -> None:
    with pytest.raises(KeyError):
        binary_of({"large": np.array([1.5])}, 1)
    with pytest.raises(AttributeError):
        binary_of({"name": pa.array(["a"], pa.large_string())}, 1)
