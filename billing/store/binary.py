"""Rows as COPY reads them in binary: put together by Arrow and numpy, read by PostgreSQL without parsing.

The types of the Arrow table are those of the columns, width for width: PostgreSQL refuses another width. Eight bytes
of an integer would pass for an instant, though; so instants have to be timestamps here.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.store.bulk import Table, stream

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_DAYS_TO_2000 = 10_957
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000
_BINARY = pa.binary()

Values = NDArray[Any]


class _Kind(NamedTuple):
    """How values of a type are written: a numpy type, and their values, int[n] or the like."""

    written: str
    values: Callable[[Table], Values]


def _plain(column: Table) -> Values:
    found: Values = column.to_numpy(zero_copy_only=False)
    return found


def _octets(column: Table) -> Values:
    width = column.type.byte_width
    return np.frombuffer(column.buffers()[1], dtype=f"V{width}", count=len(column), offset=column.offset * width)


_KINDS = {
    pa.bool_(): _Kind("u1", _plain),
    pa.int16(): _Kind(">i2", _plain),
    pa.int32(): _Kind(">i4", _plain),
    pa.int64(): _Kind(">i8", _plain),
    pa.date32(): _Kind(">i4", lambda column: _plain(column.cast(pa.int32())) - _DAYS_TO_2000),
    pa.timestamp("us"): _Kind(">i8", lambda column: _plain(column.cast(pa.int64())) - _MICROSECONDS_TO_2000),
    pa.binary(6): _Kind("V6", _octets),  # tid
    pa.binary(16): _Kind("V16", _octets),  # uuid
}


def binary_of(rows: Table) -> Table:
    """The rows of an Arrow table as the bytes that COPY reads in binary, in buffers; texts are `string`, UTF-8."""
    if not rows.num_rows:
        return pa.py_buffer(b"")
    pieces = _Pieces(rows.num_rows)
    pieces.add(rows.num_columns, ">i2")
    for column in rows.columns:
        values = column.combine_chunks()
        if values.type == pa.string():
            pieces.add_texts(values)
        else:
            pieces.add_values(values)
    return pieces.joined()


def copy_binary(connection: psycopg.Connection, table: str, names: Sequence[str], rows: Table) -> None:
    """Append rows, as `binary_of` wrote them, to these columns of a table."""
    stream(connection, table, names, rows, "binary", _SIGNATURE, _END)


class _Pieces:
    """Rows in the making: columns of bytes that stand one behind the other in each row.

    What has the same width in every row is collected, and becomes one such column.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._pieces: list[Table] = []
        self._fixed: list[tuple[Values | int, str]] = []

    def add(self, values: Values | int, written: str) -> None:
        """Values of one width, or one for all rows, without a length before them."""
        self._fixed.append((values, written))

    def add_values(self, column: Table) -> None:
        """A column of a type that has one width."""
        kind = _KINDS[column.type]
        width = np.dtype(kind.written).itemsize
        if column.null_count == 0:
            self.add(width, ">i4")
            self.add(kind.values(column), kind.written)
            return
        self._flush()
        # What stands in the place of a null is of no matter.
        whole = pa.Array.from_buffers(column.type, self._rows, [None, column.buffers()[1]], 0, column.offset)
        value = _records(self._rows, [(width, ">i4"), (kind.values(whole), kind.written)])
        self._pieces.append(pc.if_else(column.is_valid(), value, pa.scalar(_NULL, _BINARY)))

    def add_texts(self, column: Table) -> None:
        """A column of texts."""
        self.add(_plain(pc.fill_null(pc.binary_length(column), -1)), ">i4")
        self._flush()
        self._pieces.append(pc.fill_null(column, "").cast(_BINARY) if column.null_count else column.cast(_BINARY))

    def joined(self) -> Table:
        """All rows, one behind the other."""
        self._flush()
        joined = pc.binary_join_element_wise(*self._pieces, pa.scalar(b"", _BINARY))
        _, offsets, octets = joined.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32, count=self._rows + 1, offset=joined.offset * 4)
        return octets[int(ends[0]) : int(ends[-1])]

    def _flush(self) -> None:
        if self._fixed:
            self._pieces.append(_records(self._rows, self._fixed))
            self._fixed = []


def _records(rows: int, fields: Sequence[tuple[Values | int, str]]) -> Table:
    """Values side by side, as an Arrow array of bytes."""
    records = np.empty(rows, dtype=[(f"f{place}", written) for place, (_, written) in enumerate(fields)])
    for place, (values, _) in enumerate(fields):
        records[f"f{place}"] = values
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(records.dtype.itemsize)
    return pa.Array.from_buffers(_BINARY, rows, [None, pa.py_buffer(offsets), pa.py_buffer(records)])
