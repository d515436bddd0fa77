"""Spreadsheets as text: a sheet of a workbook (XLSX, XLSB, XLS, ODS) in the form in which decks are read.

A spreadsheet holds numbers as doubles. Each becomes its shortest decimal text, the one that reads back as the same
double: 0.014 is `0.014`, and what has been calculated into 0.30000000000000004 is visible as that. Nothing is rounded.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain, repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetVisibleEnum

from rates.dialects.files import Grid
from rates.errors import Fault

_ZIP, _COMPOUND = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MOST_BYTES = 2 << 30  # unpacked: a million rows of thirty columns
_MOST_CELLS = 32 << 20
"""Between the first and the farthest cell of a sheet: all of them are held at once, those that are empty too."""

_CELL = re.compile(rb"""r=["']([A-Z]{1,3})([0-9]{1,7})["']""")
_FAR = re.compile(rb"""r=["']([A-Z]{2,3}|[A-Z](?=[0-9]{6}))([0-9]{1,7})["']""")
"""Cells beyond the first 26 columns or 99,999 rows: in most decks there are none, and looking is quick."""

_NEAR = (26, 99_999)
_BLOCK, _LONGEST_PLACE = 1 << 24, 16
_WHOLE = 2**53
"""Above it not every whole number is a double."""

# What Python's reader of archives may raise of a damaged one.
_BROKEN = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError)

Cell = str | float | bool | date | datetime | time | object


def is_spreadsheet(data: bytes) -> bool:
    """Whether a file is a workbook, by how it begins."""
    return data.startswith((_ZIP, _COMPOUND))


def open_spreadsheet(data: bytes, place: str, *, sheet: str = "") -> tuple[Grid | None, list[Fault]]:
    """The sheet that is told, else the only visible one with cells; or what is wrong with the file."""
    if data.startswith(_ZIP) and (_unpacked(data) > _MOST_BYTES or _spanned(data) > _MOST_CELLS):
        remedy = "save the sheet alone, without cells far off the others, or as CSV"
        return None, [Fault(place=place, value="", problem="is larger than any deck when unpacked", remedy=remedy)]
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        return _chosen(workbook, place, sheet)
    except PasswordError:
        return None, [Fault(place=place, value="", problem="has a password", remedy="save it without one")]
    except (CalamineError, OSError) as error:
        return None, [Fault(place=place, value="", problem=f"is no workbook: {error}", remedy="save it as XLSX or CSV")]


def _chosen(workbook: CalamineWorkbook, place: str, sheet: str) -> tuple[Grid | None, list[Fault]]:
    if sheet:
        if sheet not in workbook.sheet_names:
            remedy = f"the workbook has {', '.join(workbook.sheet_names)}"
            return None, [Fault(place=place, value=sheet, problem="is not a sheet of it", remedy=remedy)]
        told = workbook.get_sheet_by_name(sheet)
        return (_grid(told, f"{place} {sheet}"), []) if told.height else (None, [_empty(f"{place} {sheet}")])
    visible = [one.name for one in workbook.sheets_metadata if one.visible == SheetVisibleEnum.Visible]
    sheets = [workbook.get_sheet_by_name(name) for name in visible]
    filled = [one for one in sheets if one.height]
    if len(filled) > 1:
        remedy = f"tell file.sheet, one of {', '.join(one.name for one in filled)}"
        return None, [Fault(place=place, value="", problem="has several sheets", remedy=remedy)]
    if not filled:
        return None, [_empty(place)]
    return _grid(filled[0], place), []


def _empty(place: str) -> Fault:
    return Fault(place=place, value="", problem="has no rows", remedy="a deck has a header and rows")


def _grid(sheet: CalamineSheet, place: str) -> Grid:
    rows = sheet.to_python(skip_empty_area=False)  # all of one width
    width, flat = len(rows[0]), list(chain.from_iterable(rows))
    read = [texts(flat[i::width]) for i in range(width)]
    return Grid(place=place, columns=tuple(text for text, _ in read), numbers=tuple(held for _, held in read))


def texts(cells: Sequence[Cell]) -> tuple[pa.Array, NDArray[np.bool_] | None]:
    """A column of n cells as text, and which of them are numbers (bool[n]; None where none is).

    Each distinct cell is converted once: numbers to their shortest decimal text, dates to ISO 8601, flags to true and
    false.
    """
    kinds = set(map(type, cells))
    if kinds <= {str}:
        return pa.array(cells, pa.string()), None
    if bool in kinds:  # True is 1.0 as a key
        cells = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
    distinct = dict.fromkeys(cells)
    numbers = [cell for cell in distinct if isinstance(cell, float)]
    known: dict[object, str] = dict(zip(numbers, decimal_texts(numbers), strict=True))
    known |= {cell: _text(cell) for cell in distinct if not isinstance(cell, float)}
    held = np.fromiter(map(isinstance, cells, repeat(float)), dtype=bool, count=len(cells))
    return pa.array(list(map(known.__getitem__, cells)), pa.string()), (held if held.any() else None)


def decimal_texts(numbers: Sequence[float]) -> list[str]:
    """The shortest decimal text of each number, without an exponent."""
    values = np.array(numbers, dtype=np.float64)
    whole = (np.abs(values) < _WHOLE) & (values == np.trunc(values))
    shown: list[str] = pc.cast(pa.array(np.where(whole, values, 0).astype(np.int64)), pa.string()).to_pylist()
    for i in np.flatnonzero(~whole).tolist():
        shown[i] = format(Decimal(repr(numbers[i])), "f").removesuffix(".0")
    return shown


def _text(cell: Cell) -> str:
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)


def _unpacked(data: bytes) -> int:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except _BROKEN:
        return 0


def _spanned(data: bytes) -> int:
    """How many cells the largest sheet of an XLSX file spans, if too many; one that is far off makes it large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
            large = [name for name in sheets if _span(archive, name, _FAR, _NEAR) > _MOST_CELLS]
            return max((_span(archive, name, _CELL) for name in large), default=0)
    except _BROKEN:  # and what reads it says so
        return 0


def _span(archive: zipfile.ZipFile, name: str, cell: re.Pattern[bytes], at_least: tuple[int, int] = (0, 0)) -> int:
    columns, rows = at_least
    with archive.open(name) as part:
        rest = b""
        while block := part.read(_BLOCK):
            found = cell.findall(rest + block)
            columns = max([columns, *map(_column, {letters for letters, _ in found})])
            rows = max([rows, *map(int, {row for _, row in found})])
            rest = block[-_LONGEST_PLACE:]
    return columns * rows


def _column(letters: bytes) -> int:
    """The number of a column, from 1."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
