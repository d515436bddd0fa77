"""Columns in and out of PostgreSQL by COPY: Arrow writes and reads the text, and no row passes through Python."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from pyarrow import csv

Table = Any  # Arrow publishes no types

_PIECE = 1 << 20
_WRITTEN = csv.WriteOptions(include_header=False)


def copy_in(connection: psycopg.Connection, table: str, columns: Mapping[str, Table]) -> int:
    """Append columns (Arrow arrays; null becomes NULL) to a table; returns the number of rows."""
    rows = pa.table(dict(columns))
    if rows.num_rows:
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(table), names)
        copy_text(connection, statement, csv_of(rows))
    return int(rows.num_rows)


def csv_of(rows: Table) -> Table:
    """The rows of an Arrow table as the text that COPY reads, in a buffer. Texts are quoted, nulls are not."""
    out = pa.BufferOutputStream()
    csv.write_csv(rows, out, _WRITTEN)
    return out.getvalue()


def copy_text(connection: psycopg.Connection, statement: sql.Composed, text: Table) -> None:
    """Run a COPY … FROM STDIN on a buffer of text."""
    view = memoryview(text)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, len(view), _PIECE):
            copy.write(view[start : start + _PIECE])


def copy_out(
    connection: psycopg.Connection,
    query: sql.Composed | sql.SQL,
    types: Mapping[str, Table],
    values: Sequence[object] = (),
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
