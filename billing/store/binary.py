"""Rows as COPY reads them in binary: put together by numpy and Arrow, read by PostgreSQL without parsing.

The types of columns are those of the table, width for width: PostgreSQL refuses another width. Eight bytes of an
integer would pass for an instant, though; so instants have to be `datetime64[us]` here, and days `datetime64[D]`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.store.bulk import Table, stream
from rates.usage import Flags, Int64s

Values = NDArray[Any]


class Nullable(NamedTuple):
    """Values of which some are NULL; what stands in their place is of no matter."""

    values: Values
    is_null: Flags


Column = Any
"""A column of n rows: numpy values, or one for all rows; `Nullable` ones; or texts, as an Arrow array."""

Columns = Mapping[str, Column]

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_DAYS_TO_2000 = 10_957
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000
_BINARY = pa.binary()

MICROS = np.dtype("datetime64[us]")
"""The type of instants."""


class _Kind(NamedTuple):
    """How values of a type are written: a numpy type, and where PostgreSQL begins to count."""

    written: str
    width: int
    since: int = 0


_KINDS = {
    np.dtype(np.bool_): _Kind("u1", 1),
    np.dtype(np.int16): _Kind(">i2", 2),
    np.dtype(np.int32): _Kind(">i4", 4),
    np.dtype(np.int64): _Kind(">i8", 8),
    np.dtype("datetime64[D]"): _Kind(">i4", 4, _DAYS_TO_2000),
    MICROS: _Kind(">i8", 8, _MICROSECONDS_TO_2000),
    np.dtype("V6"): _Kind("V6", 6),  # tid
    np.dtype("V16"): _Kind("V16", 16),  # uuid
}


def binary_of(columns: Columns, rows: int) -> memoryview:
    """So many rows as the bytes that COPY reads in binary, from its first to its last; nothing for none."""
    if not rows:
        return memoryview(b"")
    pieces = _Pieces(rows)
    pieces.add_same(len(columns).to_bytes(2, "big"))
    for name, column in columns.items():
        if _length(column, rows) != rows:
            raise ValueError(f"{_length(column, rows)} values of {name!r} for {rows} rows")
        if isinstance(column, pa.StringArray):
            pieces.add_texts(column)
        elif isinstance(column, Nullable):
            pieces.add_nullable(*column)
        else:
            pieces.add_values(column)
    return pieces.joined()


def copy_binary(connection: psycopg.Connection, table: str, names: Sequence[str], rows: Table) -> None:
    """Append rows, as `binary_of` wrote them, to these columns of a table."""
    stream(connection, table, names, rows, "binary")


def taken(columns: Columns, rows: Int64s) -> Columns:
    """Some of the rows, in the order given."""
    return {name: _taken(column, rows) for name, column in columns.items()}


def octets_of(column: Table) -> Column:
    """An Arrow array of bytes of one width as a column, V{width}[n]; it may be that some are NULL."""
    width = column.type.byte_width
    octets = np.frombuffer(column.buffers()[1], dtype=f"V{width}", count=len(column), offset=column.offset * width)
    return Nullable(octets, column.is_null().to_numpy(zero_copy_only=False)) if column.null_count else octets


def is_nothing(column: Column) -> bool:
    """Whether a column is NULL in every row."""
    if isinstance(column, pa.Array):
        return bool(column.null_count == len(column))
    return isinstance(column, Nullable) and bool(column.is_null.all())


def _length(column: Column, rows: int) -> int:
    if isinstance(column, np.generic):
        return rows
    return len(column.values) if isinstance(column, Nullable) else len(column)


def _taken(column: Column, rows: Int64s) -> Column:
    if isinstance(column, pa.Array):
        return column.take(pa.array(rows))
    if isinstance(column, Nullable):
        return Nullable(column.values[rows], column.is_null[rows])
    return column if isinstance(column, np.generic) else column[rows]


class _Pieces:
    """Rows in the making: columns of bytes that stand one behind the other in each row.

    What has the same width in every row is collected, and becomes one such column; often that is all there is.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._pieces: list[Table] = []
        self._same = bytearray()  # what is the same in every row, with room for what is not
        self._fields: list[tuple[Values, str, int]] = []

    def add_same(self, octets: bytes) -> None:
        """The same bytes in every row."""
        self._same += octets

    def add(self, values: Values, written: str, width: int) -> None:
        """Values of one width, without a length before them."""
        self._fields.append((values, written, len(self._same)))
        self._same += bytes(width)

    def add_values(self, column: Values) -> None:
        """A column in which nothing is NULL."""
        kind = _KINDS[column.dtype]
        self.add_same(kind.width.to_bytes(4, "big"))
        self.add(_counted(column, kind), kind.written, kind.width)

    def add_nullable(self, values: Values, is_null: Flags) -> None:
        """A column of values of which some are NULL."""
        nulls = np.count_nonzero(is_null)
        if not nulls:
            self.add_values(values)
        elif nulls == self._rows:
            self.add_same(_NULL)
        else:
            self._flush()
            kind = _KINDS[values.dtype]
            same = kind.width.to_bytes(4, "big") + bytes(kind.width)
            written = _written(self._rows, same, [(_counted(values, kind), kind.written, 4)])
            self._pieces.append(pc.if_else(pa.array(is_null), pa.scalar(_NULL, _BINARY), _strung(written, len(same))))

    def add_texts(self, column: Table) -> None:
        """A column of texts, of which some may be NULL."""
        if column.null_count == self._rows:
            self.add_same(_NULL)
            return
        lengths = np.diff(_offsets(column))
        width = int(lengths[0])
        if not column.null_count and (lengths == width).all():
            self.add_same(width.to_bytes(4, "big"))
            if width:
                start = int(_offsets(column)[0])
                self.add(np.frombuffer(column.buffers()[2], f"V{width}", self._rows, start), f"V{width}", width)
            return
        if column.null_count:
            lengths[column.is_null().to_numpy(zero_copy_only=False)] = -1
            column = pc.fill_null(column, "")
        self.add(lengths, ">i4", 4)
        self._flush()
        self._pieces.append(column.view(_BINARY))

    def joined(self) -> memoryview:
        """All rows, one behind the other."""
        if not self._pieces:
            return memoryview(_written(self._rows, self._same, self._fields, _SIGNATURE, _END))
        self._flush()
        joined = pc.binary_join_element_wise(*self._pieces, pa.scalar(b"", _BINARY))
        ends = _offsets(joined)
        rows = memoryview(joined.buffers()[2])[int(ends[0]) : int(ends[-1])]
        return memoryview(b"".join([_SIGNATURE, rows, _END]))

    def _flush(self) -> None:
        if self._same:
            written = _written(self._rows, self._same, self._fields)
            self._pieces.append(_strung(written, len(self._same)))
            self._same, self._fields = bytearray(), []


def _counted(values: Values, kind: _Kind) -> Values:
    """Values as they are written, but for the order of their bytes."""
    return values.view(np.int64) - kind.since if kind.since else values


def _offsets(column: Table) -> NDArray[np.int32]:
    """Where each value of an Arrow array begins, and where the last one ends (int32[n + 1])."""
    return np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset)


def _written(
    rows: int, same: bytes | bytearray, fields: Sequence[tuple[Values, str, int]], head: bytes = b"", end: bytes = b""
) -> bytearray:
    """Rows of one width: values where they belong among what is the same in all. Head and end stand around them."""
    octets = bytearray().join([head, same * rows, end])
    kind = _layout(len(same), tuple((written, place) for _, written, place in fields))
    records = np.frombuffer(octets, kind, rows, len(head))
    for name, (values, _, _) in zip(kind.names or (), fields, strict=True):
        records[name] = values
    return octets


@lru_cache(maxsize=1024)
def _layout(width: int, fields: tuple[tuple[str, int], ...]) -> np.dtype[np.void]:
    return np.dtype(
        {
            "names": [f"at {place}" for _, place in fields],
            "formats": [written for written, _ in fields],
            "offsets": [place for _, place in fields],
            "itemsize": width,
        }
    )


def _strung(octets: bytearray, width: int) -> Table:
    """Rows of one width as an Arrow array of bytes."""
    offsets = np.arange(0, len(octets) + 1, width, dtype=np.int32)
    return pa.Array.from_buffers(_BINARY, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(octets)])
