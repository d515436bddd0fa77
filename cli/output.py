"""What commands print: tables for people, JSON and CSV for programs. Data on stdout, everything else on stderr.

Off a terminal there is no colour and no line is cut to a width.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Row = Mapping[str, object]

_WIDE = 1000  # a pipe has no width: nothing is wrapped or cut
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[
    Format,
    typer.Option("--format", "-f", help="A table for people, JSON or CSV for programs.", metavar="table|json|csv"),
]
"""`--format table|json|csv`, the same on every command that prints data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: the key of each row, its heading, and whether it holds numbers (right-aligned, digits grouped)."""

    key: str
    heading: str = ""
    number: bool = False
    faint: bool = False

    @property
    def title(self) -> str:
        """The heading; without one, the key in words."""
        return self.heading or self.key.replace("_", " ")


def text(key: str, heading: str = "", *, faint: bool = False) -> Column:
    """A column of words."""
    return Column(key=key, heading=heading, faint=faint)


def number(key: str, heading: str = "") -> Column:
    """A column of numbers, written as plain decimals."""
    return Column(key=key, heading=heading, number=True)


def emit(
    rows: Sequence[Row], columns: Sequence[Column], form: Format, *, title: str = "", total: Row | None = None
) -> None:
    """Print rows in the form asked for. `title` and the `total` row are for people only."""
    if form is Format.JSON:
        emit_json([dict(row) for row in rows])
    elif form is Format.CSV:
        emit_csv(rows, columns)
    else:
        show(table(rows, columns, title=title, total=total))


def emit_record(record: Row, form: Format, *, title: str = "") -> None:
    """Print one thing: for people its facts below each other, else as `emit` prints one row."""
    if form is Format.JSON:
        emit_json(dict(record))
    elif form is Format.CSV:
        emit_csv([record], [text(key) for key in record])
    else:
        rows = [
            {"fact": key.replace("_", " "), "value": value}
            for key, value in record.items()
            if value not in (None, "", [])
        ]
        show(table(rows, [text("fact", faint=True), text("value")], title=title, header=False), "")


def emit_json(document: object) -> None:
    """Print a JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def emit_csv(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    """Print rows as CSV (FORMATS 6): a header, fixed columns, no text cell that a spreadsheet would calculate."""
    write = csv.writer(sys.stdout, lineterminator="\n").writerow
    write([column.key for column in columns])
    for row in rows:
        write([_cell(row.get(column.key), column) for column in columns])


def table(
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    title: str = "",
    total: Row | None = None,
    header: bool = True,
) -> "RenderableType":
    """A table for people."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        box=box.SIMPLE_HEAD if header else None,
        show_header=header,
        show_footer=total is not None,
    )
    for column in columns:
        shown.add_column(
            Text(column.title),
            Text(shape(total.get(column.key, ""), column)) if total is not None else "",
            justify="right" if column.number else "left",
            style="dim" if column.faint else "",
            overflow="fold",
            no_wrap=column.number,
        )
    for row in rows:
        shown.add_row(*(Text(shape(row.get(column.key), column)) for column in columns))
    # Not the table's own title: that is wrapped to the width of the table.
    return Group(Text(title, style="bold"), shown) if title else shown


def shape(value: object, column: Column) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    return grouped(str(value)) if column.number else printable(_flat(value))


def printable(words: str) -> str:
    """Words from strangers on one line: what would steer a terminal is shown, not sent."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in words)


def grouped(plain: str) -> str:
    """A plain decimal with its thousands apart: `1234567.0140` -> `1,234,567.0140`. Other texts as they are."""
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    whole, point, decimals = digits.partition(".")
    if not (whole.isdecimal() and whole.isascii()):
        return plain
    return f"{sign}{int(whole):,}{point}{decimals}"


def readable(exact: str) -> str:
    """An exact number as a person reads it: one without an end is cut to six decimals and marked, `≈0.013522`."""
    from fractions import Fraction

    from rates.money import format_fraction, round_ratio

    if "/" not in exact:
        return exact
    value = Fraction(exact)
    return f"≈{format_fraction(Fraction(round_ratio(value.numerator * 10**6, value.denominator), 10**6))}"


def money(amount: str, currency: str) -> str:
    """An amount as a person reads it: `1,234.50 USD`."""
    return f"{grouped(amount)} {currency}"


def show(*renderables: "RenderableType", style: str | None = None) -> None:
    """Print for people, on stdout."""
    _console(sys.stdout).print(*renderables, sep="\n", style=style)


def say(message: str) -> None:
    """One line for a person, on stderr: what happens, what to do next. Never data."""
    sys.stderr.write(message + "\n")


Counter = Callable[[int], None]
"""Says how much is done now."""


@contextmanager
def progress(label: str, size: int | None = None) -> Iterator[Counter]:
    """A progress bar on stderr while the block reads so many bytes; off a terminal nothing is drawn."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    console = _console(sys.stderr)
    parts = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*parts, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(label, total=size)
        yield lambda done: bar.update(task, completed=done)


def _console(file: IO[str]) -> "Console":
    from rich.console import Console

    # Rich asks the environment for a width (COLUMNS) only on a terminal's behalf; a pipe gets lines as long as needed.
    return Console(file=file, width=None if file.isatty() else _WIDE, highlight=False, soft_wrap=False)


def _cell(value: object, column: Column) -> str:
    if value is None:
        return ""
    plain = _flat(value)
    return f"'{plain}" if not column.number and plain.startswith(_FORMULA) else plain


def _flat(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
