"""The rows of a card as written, before any of it is understood: text columns, and where each row stands.

Owns the two ways to write rows (a CSV file, `[[rate]]` tables) and what is wrong with a file as a file: its encoding,
its header, its quotes, rows of another width. Does not know what a cell means.
"""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from rates.errors import Fault
from rates.reading import Reader

FLAGS = frozenset({"exact", "blocked"})
LISTS = frozenset({"prefixes", "origin_prefixes", "prices", "steps"})
INSTANTS = frozenset({"effective_from", "effective_to"})
WHOLE = frozenset({"grace", "max_quantity"})

_BOM = b"\xef\xbb\xbf"
_HEAD, _TENTH = 1000, 10
_QUOTE, _NEWLINE = ord('"'), ord("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """n rows as written. Each column is a text array of n cells, `""` where nothing stands.

    `lines` is int32[n]: the line in the CSV file `place`, or the position (from 0) among the tables `place`.
    `names` says what a column is called in its file, where that is not its key.
    """

    place: str
    inline: bool
    lines: NDArray[np.int32]
    columns: Mapping[str, pa.Array]
    names: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lines)

    def at(self, row: int, key: str) -> str:
        """Where a cell stands: `rates.csv:417 prefixes`, or `card.toml: rate[3].prefixes`; a row, where key is ""."""
        line, name = self.lines[row], self.names.get(key, key)
        return f"{self.place}[{line}].{key}".rstrip(".") if self.inline else f"{self.place}:{line} {name}".rstrip()

    def cells(self, key: str) -> pa.Array:
        """A column, empty throughout where there is none."""
        found = self.columns.get(key)
        return found if found is not None else pa.repeat(pa.scalar(""), len(self))

    def faults(self, key: str, bad: NDArray[np.bool_], cells: pa.Array, problem: str, remedy: str) -> list[Fault]:
        """A fault at `key` of each row that is bad (bool[n]), with what `cells` have there."""
        rows = np.flatnonzero(bad)
        values = cells.take(pa.array(rows)).to_pylist()
        return [
            Fault(place=self.at(row, key), value=value, problem=problem, remedy=remedy)
            for row, value in zip(rows.tolist(), values, strict=True)
        ]


def read_csv(data: bytes, place: str, known: Collection[str]) -> tuple[Sheet | None, list[Fault]]:
    """The rows of a comma-separated file in UTF-8 (a byte order mark is skipped) whose header is among `known`.

    Lines in which nothing stands are skipped. No sheet where there is a fault.
    """
    data = data.removeprefix(_BOM)
    faults = _file_faults(data, place)
    if faults:
        return None, faults
    header = header_of(data)
    faults = header_faults(header, known, f"{place}:1")
    if faults:
        return None, faults
    try:
        table, faults = _table(data, header, place)
    except pa.ArrowInvalid as error:
        return None, [Fault(place=place, value="", problem=f"is not a table: {error}", remedy="check its last line")]
    if faults:
        return None, faults
    lines = np.arange(2, table.num_rows + 2, dtype=np.int32)
    columns = {name: table[name].combine_chunks() for name in header}
    written = _written(columns, len(lines))
    if not written.any():
        return None, [_no_rows(place)]
    if not written.all():
        kept = pa.array(written)
        columns, lines = {name: cells.filter(kept) for name, cells in columns.items()}, lines[written]
    return Sheet(place=place, inline=False, lines=lines, columns=columns), []


def from_tables(read: Reader, key: str, known: Collection[str]) -> Sheet:
    """The rows of the `[[key]]` tables below a reader, which takes the faults."""
    columns: dict[str, list[str]] = {}
    rows = 0
    for row in read.each(key):
        for name in row.table:
            if name in known:
                columns.setdefault(name, [""] * rows).append(_cell(row, name))
        row.seen.update(row.table.keys() & known)
        rows += 1
        _finish(row, known)
        for cells in columns.values():
            cells.extend([""] * (rows - len(cells)))
    arrays = {name: pa.array(cells, pa.string()) for name, cells in columns.items()}
    return Sheet(place=read.at(key), inline=True, lines=np.arange(rows, dtype=np.int32), columns=arrays)


def header_faults(header: Sequence[str], known: Collection[str], place: str) -> list[Fault]:
    """What is wrong with the names of columns."""
    faults = []
    for i, name in enumerate(header):
        if name not in known:
            remedy = _nearest(name, known)
            if len(header) == 1 and any(sign in name for sign in ";\t|"):
                remedy = "separate columns with commas"
            faults.append(Fault(place=place, value=name, problem="is not a column of a rate card", remedy=remedy))
        elif name in header[:i]:
            faults.append(
                Fault(place=place, value=name, problem="stands twice in the header", remedy="keep one column")
            )
    return faults


def header_of(data: bytes) -> list[str]:
    """The names in the first line of a file; what is not UTF-8 in it is replaced. A line that is no row is one name."""
    line = data.removeprefix(_BOM).split(b"\n", 1)[0].rstrip(b"\r").decode(errors="replace")
    try:
        return next(csv.reader([line]), []) or [""]
    except csv.Error:
        return [line]


def write_csv(columns: Mapping[str, pa.Array]) -> bytes:
    """Text columns of n cells as a CSV file, quoted only where a cell needs it."""
    cells = [_quoted(cells) for cells in columns.values()]
    lines = pc.binary_join_element_wise(*cells, ",") if cells else pa.array([], pa.string())
    body = "\n".join([",".join(columns), *lines.to_pylist(), ""])
    return body.encode()


def _file_faults(data: bytes, place: str) -> list[Fault]:
    head = data[:_HEAD]
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or head.count(0) * _TENTH > len(head):
        return [Fault(place=place, value="", problem="is not UTF-8 but UTF-16", remedy="save it as CSV UTF-8")]
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        return [Fault(place=f"{place}:{line}", value="", problem=problem, remedy="save it as CSV UTF-8")]
    if data.count(b"\r") != data.count(b"\r\n"):
        problem = "has a carriage return without a line feed"
        return [Fault(place=place, value="", problem=problem, remedy="end lines with LF or CRLF")]
    if not data.partition(b"\n")[2].strip():
        return [_no_rows(place)]
    return quote_faults(data, place) if b'"' in data else []


def _no_rows(place: str) -> Fault:
    return Fault(place=place, value="", problem="has no rows", remedy="write a header and at least one row")


def quote_faults(data: bytes, place: str, above: int = 0) -> list[Fault]:
    """The first line of a text (with `above` lines before it) on which a quoted cell is not closed.

    It would swallow the lines after it as one cell.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    quotes, ends = np.flatnonzero(text == _QUOTE), np.flatnonzero(text == _NEWLINE)
    opened = np.searchsorted(quotes, np.append(ends, len(text))) % 2
    if not opened.any():
        return []
    line = above + int(np.argmax(opened)) + 1
    problem = "a quoted cell is not closed on its line"
    return [Fault(place=f"{place}:{line}", value="", problem=problem, remedy='close it with ", and double a " inside')]


def _table(data: bytes, header: list[str], place: str) -> tuple[pa.Table, list[Fault]]:
    ragged: list[tuple[int, int]] = []

    def note(row: arrow_csv.InvalidRow) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    # One thread, or Arrow could not say which line is ragged; small cards would gain nothing from more.
    table = arrow_csv.read_csv(
        io.BytesIO(data),
        arrow_csv.ReadOptions(use_threads=False, skip_rows=1, column_names=header),
        arrow_csv.ParseOptions(invalid_row_handler=note, ignore_empty_lines=False),
        arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
    )
    faults = [
        Fault(
            place=f"{place}:{line}",
            value="",
            problem=f"has {cells} cells where the header has {len(header)}",
            remedy="quote cells that have a comma in them",
        )
        for line, cells in ragged
    ]
    return table, faults


def _written(columns: Mapping[str, pa.Array], rows: int) -> NDArray[np.bool_]:
    written = np.zeros(rows, dtype=bool)
    for cells in columns.values():
        if written.all():
            break
        written |= pc.not_equal(cells, "").to_numpy(zero_copy_only=False)
    return written


def _cell(read: Reader, name: str) -> str:
    if name in FLAGS:
        return "true" if read.flag(name) else ""
    if name in LISTS:
        texts = read.texts(name)
        if any(not text or text != text.strip() or " " in text for text in texts) and len(texts) > 1:
            read.fault(name, "has an empty item or one with a space", "give each its own string")
        return " ".join(texts)
    value = read.table[name]
    if name in INSTANTS:
        instant = value.isoformat() if hasattr(value, "isoformat") else value
        return instant if isinstance(instant, str) else read.text(name, "")
    if name in WHOLE and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    # A number where a string belongs is one fault, not also a cell that is missing.
    return read.text(name, "") or str(value)


def _finish(read: Reader, known: Collection[str]) -> None:
    for name in read.table:
        if name not in known:
            read.fault(name, "is not a key of a rate", _nearest(name, known))


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name.strip().lower(), known, 1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"


def _quoted(cells: pa.Array) -> pa.Array:
    needs = pc.match_substring_regex(cells, '[",]')
    if not pc.any(needs).as_py():
        return cells
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise("", doubled, "", '"'), cells)
