"""A deck's file as rows of text cells, before its mapping says what they mean: the same for CSV and spreadsheets.

The rows above the header (titles, dates, notes) are part of it, and so are rows of another width: whether they are
skipped is the mapping's to say.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from rates.checking.sheet import quote_faults
from rates.dialects.texts import FileUnclearError, decoded, delimiter_of, top_rows
from rates.errors import Fault

Bools = NDArray[np.bool_]

_TOP = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The n rows below a row of a file; rows in which nothing stands are left out.

    `lines` is int32[n], the line of each in the file; `columns` are text arrays of n cells, `""` where nothing
    stands, without white space around. `odd` (bool[n]) are rows with more or fewer cells than the others.
    `numbers` are, for columns of a spreadsheet that hold numbers, the cells that are one (bool[n]).
    """

    lines: NDArray[np.int32]
    columns: tuple[pa.Array, ...]
    odd: Bools
    numbers: tuple[Bools | None, ...] = ()


class DeckFile(Protocol):
    """Any file of a deck."""

    @property
    def place(self) -> str:
        """What faults begin with: the file's name, and the sheet's where there are several."""

    @property
    def top(self) -> Sequence[Sequence[str]]:
        """The cells of the first rows, 50 at most."""

    @property
    def said(self) -> tuple[str, ...]:
        """What was found and not told, in words: the encoding, the delimiter."""

    def below(self, row: int) -> tuple[Body | None, list[Fault]]:
        """The rows below row `row` of `top` (-1: all of them), or every fault of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFile:
    """A text with delimiters."""

    place: str
    text: str
    delimiter: str
    skipped: int
    encoding: str
    top: Sequence[Sequence[str]]
    ends: Sequence[int] = field(repr=False)

    @property
    def said(self) -> tuple[str, ...]:
        """The encoding and the delimiter."""
        sign = {"\t": "a tab"}.get(self.delimiter, self.delimiter)
        return (f"encoding {self.encoding}", f"delimiter {sign}")

    def below(self, row: int) -> tuple[Body | None, list[Fault]]:
        """The rows below row `row` of `top`, or every fault of the file."""
        start = self.skipped if row < 0 else self.ends[row]
        offset = _offset(self.text, start)
        data = self.text[offset:].encode()
        if not data.strip():
            return None, [_empty(self.place)]
        faults = quote_faults(data, self.place, start) if b'"' in data else []
        if faults:
            return None, faults
        width = _width(self.top, row)
        odd: list[arrow_csv.InvalidRow] = []
        try:
            table = _table(data, self.delimiter, width, odd)
        except pa.ArrowInvalid as error:
            return None, [Fault(place=self.place, value="", problem=f"is not a table: {error}", remedy="check its end")]
        return _body(table, odd, start, self.delimiter), []


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The cells of one sheet of a spreadsheet, already text: every row of it, in columns of equal length.

    `numbers` are, per column, the cells that the spreadsheet holds as numbers (bool[n]), None where none is.
    """

    place: str
    columns: tuple[pa.Array, ...]
    numbers: tuple[Bools | None, ...]

    @property
    def top(self) -> Sequence[Sequence[str]]:
        """The cells of the first rows."""
        heads = [cells.slice(0, _TOP).to_pylist() for cells in self.columns]
        return list(zip(*heads, strict=True))

    @property
    def said(self) -> tuple[str, ...]:
        """Nothing was found that could have been told."""
        return ()

    def below(self, row: int) -> tuple[Body | None, list[Fault]]:
        """The rows below row `row`, or the fault that there are none."""
        columns = tuple(pc.utf8_trim_whitespace(cells.slice(row + 1)) for cells in self.columns)
        count = len(columns[0]) if columns else 0
        filled = _filled(columns, count)
        if not filled.any():
            return None, [_empty(self.place)]
        lines = np.arange(row + 2, row + 2 + count, dtype=np.int32)[filled]
        numbers = tuple(None if held is None else held[row + 1 :][filled] for held in self.numbers)
        kept = tuple(cells.filter(pa.array(filled)) for cells in columns)
        return Body(lines=lines, columns=kept, odd=np.zeros(len(lines), dtype=bool), numbers=numbers), []


def open_csv(data: bytes, place: str, *, encoding: str = "", delimiter: str = "") -> tuple[CsvFile | None, list[Fault]]:
    """A text file of a deck, its encoding and delimiter as told or found; or what is wrong with it."""
    try:
        text, found = decoded(data, encoding)
    except FileUnclearError as error:
        return None, [error.fault(f"{place}:{error.place}" if error.place else place)]
    if not text.strip():
        return None, [_empty(place)]
    try:
        sign, skipped = delimiter_of(text)
        sign = delimiter or sign
        top, ends = _top(text, sign, skipped)
    except csv.Error as error:
        return None, [Fault(place=place, value="", problem=f"is not a table: {error}", remedy="check the file")]
    if not any(map(any, top)):
        return None, [_empty(place)]
    return CsvFile(
        place=place, text=text, delimiter=sign, skipped=skipped, encoding=found, top=top, ends=ends
    ), []  # fmt: skip


def _empty(place: str) -> Fault:
    return Fault(place=place, value="", problem="has no rows", remedy="a deck has a header and at least one row")


def _top(text: str, delimiter: str, skipped: int) -> tuple[list[list[str]], list[int]]:
    """The first rows, and the line at which each ends: a quoted title may go over several."""
    rows: list[list[str]] = []
    ends: list[int] = []
    line = skipped
    for row in top_rows(text[_offset(text, skipped) :], delimiter):
        line += 1 + sum(cell.count("\n") for cell in row)
        rows.append([" ".join(cell.split()) for cell in row])
        ends.append(line)
    return rows, ends


def _offset(text: str, lines: int) -> int:
    offset = 0
    for _ in range(lines):
        end = text.find("\n", offset)
        if end < 0:
            return len(text)
        offset = end + 1
    return offset


def _width(top: Sequence[Sequence[str]], row: int) -> int:
    """How many columns the rows below a header have: its own, or more where the rows have more."""
    header = len(_cut(top[row])) if row >= 0 else 0
    widths = [len(cells) for cells in top[row + 1 :] if any(cells)]
    usual = max(set(widths), key=widths.count) if widths else header
    return max(header, usual, 1)


def _cut(cells: Sequence[str]) -> Sequence[str]:
    last = max((i for i, cell in enumerate(cells) if cell), default=-1)
    return cells[: last + 1]


def _table(data: bytes, delimiter: str, width: int, odd: list[arrow_csv.InvalidRow]) -> pa.Table:
    def note(row: arrow_csv.InvalidRow) -> str:
        odd.append(row)
        return "skip"

    names = [str(i) for i in range(width)]
    return arrow_csv.read_csv(
        io.BytesIO(data),
        # One thread, or Arrow could not say which line is ragged.
        arrow_csv.ReadOptions(use_threads=False, column_names=names),
        arrow_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=note, ignore_empty_lines=False),
        arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )


def _body(table: pa.Table, odd: Sequence[arrow_csv.InvalidRow], start: int, delimiter: str) -> Body:
    columns = [pc.utf8_trim_whitespace(cells.combine_chunks()) for cells in table.columns]
    width, rows = len(columns), table.num_rows + len(odd)
    ragged = np.array([row.number for row in odd], dtype=np.int64) - 1
    regular = np.ones(rows, dtype=bool)
    regular[ragged] = False
    lines = np.concatenate([np.flatnonzero(regular), ragged]).astype(np.int32) + np.int32(start + 1)
    marks = np.zeros(rows, dtype=bool)
    if odd:
        read = [[cell.strip() for cell in next(csv.reader([row.text], delimiter=delimiter), [])] for row in odd]
        marks[table.num_rows :] = [len(cells) < width or any(cells[width:]) for cells in read]
        padded = [(cells + [""] * width)[:width] for cells in read]
        more = [pa.array(list(cells), pa.string()) for cells in zip(*padded, strict=True)]
        columns = [pa.concat_arrays([cells, added]) for cells, added in zip(columns, more, strict=True)]
    filled = _filled(tuple(columns), rows)
    order = np.argsort(lines, kind="stable") if odd else np.arange(rows)
    kept = order[filled[order]]
    taken = columns if len(kept) == rows and not odd else [cells.take(pa.array(kept)) for cells in columns]
    return Body(lines=lines[kept], columns=tuple(taken), odd=marks[kept], numbers=(None,) * width)


def _filled(columns: tuple[pa.Array, ...], rows: int) -> Bools:
    filled = np.zeros(rows, dtype=bool)
    for cells in columns:
        if filled.all():
            break
        filled |= pc.not_equal(cells, "").to_numpy(zero_copy_only=False)
    return filled
