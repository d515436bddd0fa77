"""Call records as comma-separated text, cut into sheets of columns. One damaged record never hides the others.

Memory is one sheet's, whatever the file holds. A record is one line; only where a dialect says that its texts may hold
line breaks is it as many as its quotes span.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.chunks import Refused
from billing.errors import StreamUnreadableError
from billing.payloads import LONGEST_LINE
from billing.sources.ndjson import lines_of, unpacked
from billing.written import Column

RECORDS_A_SHEET = 20_000
DELIMITERS = ",;\t|"
LONGEST_RECORD = 400
"""Lines of one record. A quote that is not closed by then was never meant to be one that opens."""

_SHOWN = 80
_CONTROL = "[\x00-\x1f\x7f]"
_LOOKS_LIKE = {
    b"\xff\xfe": "is UTF-16",
    b"\xfe\xff": "is UTF-16",
    b"PK\x03\x04": "is a spreadsheet or an archive",
    b"SQLite format 3": "is a database",
    b"%PDF": "is a PDF",
}

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which columns a file has: by its header if its first record is one, else by how many cells a record has.

    `header` gives the columns that a record names if it is a header (else None), `orders` are those of files without.
    """

    header: Callable[[Sequence[str]], tuple[str, ...] | None]
    orders: Sequence[tuple[str, ...]]
    needed: str
    multiline: bool = False


class Head(NamedTuple):
    """What a file's first record showed: the columns by the number of cells, and what separates these."""

    columns: Mapping[int, tuple[str, ...]]
    delimiter: str
    header: bytes | None


@dataclass(slots=True, kw_only=True)
class Sheet:
    """Some records of a file, n rows: the cells by column as they came, the lines (from 1) on which they begin.

    `names` are the columns that any of them has, `header` is the file's first line where it names them; `refused` are
    those that are no usage, by row, and `torn` records that are not even rows.
    """

    file: str
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    originals: Sequence[bytes]
    header: bytes = b""
    torn: list[Refused] = field(default_factory=list)
    refused: dict[int, Refused] = field(default_factory=dict)
    _columns: dict[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> Column:
        """The texts of a column, trimmed; "" where a record does not have it. What is no text is refused."""
        if name not in self._columns:
            self._columns[name] = self._read(name)
        return self._columns[name]

    def part(self, rows: Sequence[int]) -> "Sheet":
        """Some of the rows as a sheet of their own, of which nothing is refused yet."""
        return Sheet(
            file=self.file,
            names=self.names,
            rows=[self.rows[row] for row in rows],
            lines=[self.lines[row] for row in rows],
            originals=[self.originals[row] for row in rows],
            header=self.header,
        )

    def replace(self, name: str, column: Column) -> None:
        """Have a column read as other texts that mean the same."""
        self._columns[name] = column

    def refuse(self, wrong: Bools, column: str, problem: str, remedy: str = "") -> None:
        """Refuse the rows where something is wrong; what was found wrong first is what is told."""
        for row in np.flatnonzero(wrong).tolist():
            if row not in self.refused:
                self.refused[row] = self.refusal(row, column, problem, remedy)

    def refusal(self, row: int, column: str, problem: str, remedy: str = "") -> Refused:
        """The refusal of a row."""
        value = self._cell(row, column)
        return Refused(
            file=self.file,
            line=self.lines[row],
            column=column,
            value=value if len(value) <= _SHOWN else value[:_SHOWN] + "…",
            problem=problem,
            remedy=remedy,
            original=self.originals[row],
        )

    def _cell(self, row: int, column: str) -> str:
        if column not in self.names:
            return ""
        text = self.rows[row][self.names.index(column)].strip()
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode("ascii") for c in text)

    def _read(self, name: str) -> Column:
        if name not in self.names:
            return pa.repeat(pa.scalar("", pa.string()), len(self))
        place = self.names.index(name)
        cells = [row[place] for row in self.rows]
        try:
            column = pa.array(cells, pa.string())
        except UnicodeEncodeError:
            # Bytes that are not UTF-8 were kept as half characters, so that they harm only the columns that are read.
            broken = np.array([not _is_text(cell) for cell in cells])
            self.refuse(broken, name, "is not UTF-8", "save the file as UTF-8")
            column = pa.array([cell if _is_text(cell) else "" for cell in cells], pa.string())
        trimmed = pc.utf8_trim_whitespace(column)
        control: Bools = pc.match_substring_regex(trimmed, _CONTROL).to_numpy(zero_copy_only=False)
        if control.any():
            self.refuse(control, name, "has a control character in it", "mend the record")
            trimmed = pc.replace_substring_regex(trimmed, _CONTROL, "")
        return trimmed


def read_sheets(stream: BinaryIO, layout: Layout, *, file: str, rows: int = RECORDS_A_SHEET) -> Iterator[Sheet]:
    """The records of a stream, plain or gzipped, at most `rows` at a time. Blank lines are skipped.

    Raises StreamUnreadableError where the stream breaks off, after the records that were whole, and for a file whose
    columns are not known.
    """
    blocks = unpacked(stream)
    begins = next(blocks, b"")
    for sign, what in _LOOKS_LIKE.items():
        if begins.startswith(sign):
            raise StreamUnreadableError(what, place=file, remedy="save it as CSV in UTF-8 and import that")
    head: Head | None = None
    for records in _batched(_records(lines_of(chain([begins], blocks)), multiline=layout.multiline), rows):
        if head is None:
            head = _head(records[0][1], layout, file)
        kept = [record for record in records if record[1] != head.header] if head.header is not None else records
        if kept:
            yield _sheet(kept, head, file)


def _head(first: bytes, layout: Layout, file: str) -> Head:
    text = first.decode("utf-8", "surrogateescape")
    counts = Counter({delimiter: text.count(delimiter) for delimiter in DELIMITERS})
    delimiter = counts.most_common(1)[0][0]
    cells = _cells(text, delimiter) or []
    named = layout.header([cell.strip() for cell in cells])
    if named is not None:
        return Head({len(named): named}, delimiter, first)
    if not layout.orders:
        raise StreamUnreadableError(
            f"the first line is no header with {layout.needed}",
            place=f"{file}:1",
            remedy="export it with its header, or state the columns with --fields",
        )
    return Head({len(order): order for order in layout.orders}, delimiter, None)


def _records(groups: Iterator[list[bytes]], *, multiline: bool) -> Iterator[tuple[int, bytes]]:
    """Whole records, each with the line on which it begins."""
    line = 1
    open_: list[bytes] = []
    for group in groups:
        for text in group:
            bare = text.removesuffix(b"\r")
            if not multiline:
                if bare:
                    yield line, bare
            elif bare or open_:
                open_.append(bare)
                yield from _closed(open_, line)
            line += 1
    for number, text in enumerate(open_, start=line - len(open_)):
        if text:
            yield number, text  # not closed until the end: as it is, and so refused


def _closed(open_: list[bytes], line: int) -> Iterator[tuple[int, bytes]]:
    """The record that the last of some lines closes, if it does; or the first line alone, if none ever will."""
    if sum(text.count(b'"') for text in open_) % 2 == 0:
        yield line - len(open_) + 1, b"\n".join(open_)
        open_.clear()
    elif len(open_) > LONGEST_RECORD or sum(map(len, open_)) > LONGEST_LINE:
        waiting = open_.copy()
        open_.clear()
        yield line - len(waiting) + 1, waiting[0]
        for number, text in enumerate(waiting[1:], start=line - len(waiting) + 2):
            if text or open_:
                open_.append(text)
                yield from _closed(open_, number)


def _batched(records: Iterator[tuple[int, bytes]], size: int) -> Iterator[list[tuple[int, bytes]]]:
    batch: list[tuple[int, bytes]] = []
    try:
        for record in records:
            batch.append(record)
            if len(batch) >= size:
                yield batch
                batch = []
    except StreamUnreadableError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _sheet(records: list[tuple[int, bytes]], head: Head, file: str) -> Sheet:
    texts = [record.decode("utf-8", "surrogateescape") for _, record in records]
    lines = [line for line, _ in records]
    originals = [record for _, record in records]
    try:
        rows = list(csv.reader(texts, delimiter=head.delimiter, strict=True))
    except csv.Error:
        rows = []
    widths = set(map(len, rows))
    if len(rows) == len(texts) and len(widths) == 1 and widths <= set(head.columns) and _short(texts):
        names = head.columns[widths.pop()]
        return Sheet(file=file, names=names, rows=rows, lines=lines, originals=originals, header=head.header or b"")
    return _with_care(texts, lines, originals, head, file)


def _short(texts: list[str]) -> bool:
    return max(map(len, texts)) <= LONGEST_LINE


def _with_care(texts: list[str], lines: list[int], originals: list[bytes], head: Head, file: str) -> Sheet:
    """The same record by record: those that are not rows, and why; the others as rows of all columns."""
    names = tuple(dict.fromkeys(chain.from_iterable(head.columns.values())))
    found: list[tuple[int, list[str]]] = []
    torn = []
    places = {
        width: [order.index(name) if name in order else -1 for name in names] for width, order in head.columns.items()
    }
    for row, text in enumerate(texts):
        problem, cells = _row(text, head)
        if problem:
            remedy = "mend the record, or state the columns with --fields"
            torn.append(Refused(file, lines[row], "", "", problem, remedy, originals[row]))
        else:
            found.append((row, [cells[place] if place >= 0 else "" for place in places[len(cells)]]))
    return Sheet(
        file=file,
        names=names,
        rows=[cells for _, cells in found],
        lines=[lines[row] for row, _ in found],
        originals=[originals[row] for row, _ in found],
        header=head.header or b"",
        torn=torn,
    )


def _row(text: str, head: Head) -> tuple[str, list[str]]:
    """What is wrong with a record, and its cells if nothing is."""
    if len(text) > LONGEST_LINE:
        return f"is longer than {LONGEST_LINE} bytes", []
    cells = _cells(text, head.delimiter)
    if cells is None:
        # Some writers put texts between quotes without doubling those in them.
        cells = re.split(f'"{re.escape(head.delimiter)}"', text[1:-1]) if text[:1] == text[-1:] == '"' else []
        if len(cells) not in head.columns:
            return "has quotes that do not match", []
    if len(cells) not in head.columns:
        *most, last = sorted(head.columns)
        widths = f"{', '.join(map(str, most))} or {last}" if most else str(last)
        return f"has {len(cells)} cells and not {widths}", []
    return "", cells


def _cells(text: str, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _is_text(cell: str) -> bool:
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
