"""Columns in and out of PostgreSQL by COPY: Arrow writes and reads the text, and no row passes through Python."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, LiteralString

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql
from pyarrow import csv

Table = Any  # Arrow publishes no types

Int64s = NDArray[np.int64]

_PIECE = 1 << 20
_ARRAY_HEADER_BYTES = 20
_ELEMENT = np.dtype([("size", ">i4"), ("value", ">i8")])
_WRITTEN = csv.WriteOptions(include_header=False)


def copy_in(connection: psycopg.Connection, table: str, columns: Mapping[str, Table]) -> int:
    """Append columns (Arrow arrays; null becomes NULL) to a table; returns the number of rows."""
    rows = pa.table(dict(columns))
    copy_rows(connection, table, rows.column_names, csv_of(rows))
    return int(rows.num_rows)


def csv_of(rows: Table) -> Table:
    """The rows of an Arrow table as the text that COPY reads, in a buffer. Texts are quoted, nulls are not."""
    out = pa.BufferOutputStream()
    csv.write_csv(rows, out, _WRITTEN)
    return out.getvalue()


def copy_rows(connection: psycopg.Connection, table: str, names: Sequence[str], text: Table) -> None:
    """Append rows, as `csv_of` wrote them, to these columns of a table."""
    stream(connection, table, names, text, "csv")


def stream(
    connection: psycopg.Connection,
    table: str,
    names: Sequence[str],
    rows: Table,
    form: LiteralString,
) -> None:
    """Append rows, as COPY reads them in a form (csv, binary), to columns of a table."""
    view = memoryview(rows)
    if view.nbytes == 0:
        return
    with connection.cursor() as cursor, cursor.copy(_copying(table, tuple(names), form)) as copy:
        # Whoever writes waits for its turn each time: what goes into one piece is one.
        for start in range(0, len(view), _PIECE):
            copy.write(view[start : start + _PIECE])


@lru_cache(maxsize=256)
def _copying(table: str, names: tuple[str, ...], form: LiteralString) -> bytes:
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(sql.Identifier(table), columns, sql.SQL(form))
    return statement.as_bytes()


def copy_out(
    connection: psycopg.Connection,
    query: sql.Composed | sql.SQL,
    types: Mapping[str, Table],
    values: Sequence[object] | Mapping[str, object] = (),
) -> Table:
    """The result of a query as an Arrow table with these columns; NULL becomes null, and no text is lost.

    `values` fill the placeholders of the query.
    """
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor() as cursor, cursor.copy(statement, values or None) as copy:
        text = b"".join(copy)
    if not text:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    return csv.read_csv(
        pa.BufferReader(text),
        read_options=csv.ReadOptions(column_names=list(types)),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict(types), strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        ),
    )


def or_null(text: Table) -> Table:
    """Texts, with null for the empty one."""
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def integers_out(
    connection: psycopg.Connection,
    query: sql.Composable,
    names: Sequence[str],
    values: Sequence[object] | Mapping[str, object] = (),
) -> dict[str, Int64s]:
    """The integer columns of a query's result, int64[n] each, in its order; none of them may be NULL.

    Each column comes as one value. A row of COPY or of a result is a message of its own, and costs as much in Python
    as all the rest.
    """
    columns = [sql.SQL("array_agg({}::bigint)").format(sql.Identifier(name)) for name in names]
    statement = sql.SQL("SELECT {} FROM ({}) AS rows ({})").format(
        sql.SQL(", ").join(columns), query, sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values, binary=True)
        result = cursor.pgresult
        arrays = [None if result is None else result.get_value(0, place) for place in range(len(names))]
    return {name: _integers(array or b"") for name, array in zip(names, arrays, strict=True)}


def columns_out(
    connection: psycopg.Connection,
    query: sql.Composable,
    numbers: Sequence[str],
    texts: Sequence[str],
    values: Mapping[str, object],
) -> tuple[dict[str, Int64s], dict[str, Table]]:
    """As `integers_out`, with columns of text behind those of integers, as Arrow arrays; none may be NULL."""
    wanted = [sql.SQL("array_agg({}::bigint)").format(sql.Identifier(name)) for name in numbers]
    for name in map(sql.Identifier, texts):
        wanted += [sql.SQL(form).format(name) for form in ("array_agg(octet_length({})::bigint)", "string_agg({}, '')")]
    statement = sql.SQL("SELECT {} FROM ({}) AS rows ({})").format(
        sql.SQL(", ").join(wanted), query, sql.SQL(", ").join(map(sql.Identifier, (*numbers, *texts)))
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values, binary=True)
        result = cursor.pgresult
        found = [b"" if result is None else result.get_value(0, place) or b"" for place in range(len(wanted))]
    pairs = zip(found[len(numbers) :: 2], found[len(numbers) + 1 :: 2], strict=True)
    said = {name: _texts(_integers(lengths), text) for name, (lengths, text) in zip(texts, pairs, strict=True)}
    return {name: _integers(array) for name, array in zip(numbers, found, strict=False)}, said


def _texts(lengths: Int64s, text: bytes) -> Table:
    """Texts of some lengths in bytes that stand one behind the other."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(text))


def _integers(array: bytes) -> Int64s:
    """A PostgreSQL array of bigint in binary: a header, and for each element its size and its bytes."""
    elements = np.frombuffer(array, dtype=_ELEMENT, offset=min(_ARRAY_HEADER_BYTES, len(array)))
    return elements["value"].astype(np.int64)
