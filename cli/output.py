"""What commands print: tables for people, JSON and CSV for programs. Data on stdout, everything else on stderr.

Off a terminal there is no colour, and a table is as wide as it needs to be, unless COLUMNS says how wide it may be.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Annotated

import typer

from cli.tables import Column, Row, Table, number, text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = [
    "LINE", "LINES", "Column", "Counter", "Format", "FormatOption", "Row", "address_cells", "address_columns",
    "emit", "emit_csv", "emit_json", "emit_lines", "emit_record", "grouped", "money", "number", "printable",
    "progress", "readable", "say", "shape", "show", "table", "text",
]  # fmt: skip

_WIDE = 1000  # a pipe has no width: nothing is folded


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


LINE = (
    text("product"),
    text("element"),
    text("country", spare=2),
    text("destination"),
    text("tier", spare=1),
    number("events", spare=3),
    number("quantity"),
    text("unit"),
    number("unit_price", "unit price"),
    number("amount"),
    number("residual"),
    number("base_quantity", "base quantity"),
    text("base_unit", "base unit"),
    text("origin_period", "origin period"),
    text("cards"),
)
"""All that a line of a bill says, in the order in which it says it everywhere (FORMATS 6)."""

LINES = (number("line"), *LINE[:10])
"""The columns of a bill's lines as a person reads them. Where room is short, how many events goes first, the tier last.

The element stays: without it, usage and the fees beside it look alike.
"""


def emit_lines(rows: Iterable[Row], *about: Column) -> None:
    """Print lines of bills as CSV: `about` whose they are, and then all that a line says."""
    emit_csv(rows, (*about, *LINE))


def address_columns(side: str) -> tuple[Column, Column]:
    """The columns of a party of a call as CSV (FORMATS 6): a number's digits, and apart what is no number."""
    return number(f"{side}_e164"), text(f"{side}_address")


def address_cells(side: str, plain: str) -> dict[str, str]:
    """What stands in the two columns of a party that is written as `+442079460000` or `sip:alice`."""
    is_number = plain.startswith("+")
    return {f"{side}_e164": plain[1:] if is_number else "", f"{side}_address": "" if is_number else plain}


def emit(
    rows: Sequence[Row], columns: Sequence[Column], form: Format, *, title: str = "", total: Row | None = None
) -> None:
    """Print rows in the form asked for. `title` and the `total` row are for people only."""
    if form is Format.JSON:
        emit_json([dict(row) for row in rows])
    elif form is Format.CSV:
        emit_csv(rows, columns)
    elif rows or total is not None:  # of nothing there is no table
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
        show(table(rows, [text("fact", faint=True, whole=True), text("value")], title=title, header=False), "")


def emit_json(document: object) -> None:
    """Print a JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def emit_csv(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    """Print rows as CSV (FORMATS 6): a header, fixed columns, no text cell that a spreadsheet would calculate."""
    from billing.documents.csv_document import cell, row_text

    write = sys.stdout.write
    write(row_text([column.key for column in columns]))
    for row in rows:
        write(row_text([cell(_plain(row.get(column.key)), number=column.number) for column in columns]))


def table(
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    title: str = "",
    total: Row | None = None,
    header: bool = True,
) -> Table:
    """A table for people."""
    return Table(
        columns=columns,
        cells=[[shape(row.get(column.key), column) for column in columns] for row in rows],
        title=title,
        total=[shape(total.get(column.key), column) for column in columns] if total is not None else (),
        header=header,
    )


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
    _console(sys.stdout).print(*renderables, sep="\n", style=style, crop=False)


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

    stated = os.environ.get("COLUMNS", "")
    width = int(stated) if stated.isascii() and stated.isdecimal() and int(stated) else None
    return Console(file=file, width=width or (None if file.isatty() else _WIDE), highlight=False, soft_wrap=False)


def _plain(value: object) -> str:
    return "" if value is None else _flat(value)


def _flat(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
