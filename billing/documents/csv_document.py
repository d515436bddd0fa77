"""Invoice lines as CSV: UTF-8, a header, the same columns in the same order, one row a line.

A text that a spreadsheet would calculate gets an apostrophe before it; `parse` takes it off again.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

from billing.invoices import LINE_FIELDS, Invoice, record
from rates.errors import TollbookError

COLUMNS = (
    "number",
    "account",
    "period",
    "issued_on",
    "currency",
    *LINE_FIELDS,
    "line",
    "state",
    "due_on",
    "kind",
    "corrects",
)
"""The columns, in their order. It is never changed: new ones are added at the end."""

NUMBERS = frozenset({"events", "quantity", "unit_price", "amount", "residual", "base_quantity", "line"})
"""Columns that hold numbers: a minus sign in them starts no formula."""

# With the apostrophes before it, so that a text that has one of its own comes back as it was.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


class CsvInvalidError(TollbookError):
    """A file does not have the columns of an invoice export."""


def render(invoices: Iterable[Invoice]) -> Iterator[str]:
    """The header and then one row for each line, each with its end of line. Of a draft number and dates are empty."""
    yield row_text(COLUMNS)
    for invoice in invoices:
        head = {
            "number": invoice.number,
            "account": invoice.party.account,
            "period": invoice.period,
            "issued_on": invoice.issued_on.isoformat() if invoice.issued_on else "",
            "currency": invoice.party.currency,
            "state": invoice.state.value,
            "due_on": invoice.due_on.isoformat() if invoice.due_on else "",
            "kind": invoice.kind.value,
            "corrects": invoice.corrects,
        }
        for number, line in enumerate(invoice.lines, start=1):
            yield row_text(_cells({**head, "line": number, **record(line, invoice.party.currency)}))


def parse(text: str) -> list[dict[str, object]]:
    """The rows of a rendering: records of lines, numbered, and of their invoices. Raises CsvInvalidError."""
    return [_values(row) for row in cells(text)]


def cells(text: str) -> list[dict[str, str]]:
    """The cells of a rendering as they stand, by their columns. Raises CsvInvalidError."""
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows, [])
    if tuple(header) != COLUMNS:
        raise CsvInvalidError("not the columns of an invoice export", place="line 1", value=",".join(header))
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def cell(text: str, *, number: bool = False) -> str:
    """A cell that no spreadsheet calculates; a number is one as it stands."""
    return text if number or not _FORMULA.match(text) else f"'{text}"


def row_text(cells: Sequence[str]) -> str:
    """A row with its end of line."""
    line = io.StringIO(newline="")
    # The writer quotes only the ends of line that it is told of, and a reader knows both.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cells(values: dict[str, object]) -> list[str]:
    texts = {
        name: " ".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in values.items()
    }
    return [cell(texts[column], number=column in NUMBERS) for column in COLUMNS]


def _values(cells: dict[str, str]) -> dict[str, object]:
    texts = {
        column: cell if column in NUMBERS or not (cell[:1] == "'" and _FORMULA.match(cell)) else cell[1:]
        for column, cell in cells.items()
    }
    counts = {name: int(texts[name]) for name in ("events", "line")}
    return {**texts, **counts, "cards": texts["cards"].split()}
