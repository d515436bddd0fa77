"""Spreadsheets for tests and benchmarks: the least of an XLSX file that holds cells of every kind."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from xml.sax.saxutils import escape

Cell = str | int | float | bool | date | None

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><fonts><font/></fonts><fills><fill/></fills><borders><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf/><xf numFmtId="14" applyNumberFormat="1"/>'
    "</cellXfs></styleSheet>"
)
_FIRST_DAY = date(1899, 12, 30)


def workbook(sheets: Mapping[str, Iterable[Sequence[Cell]]], hidden: Sequence[str] = ()) -> bytes:
    """An XLSX file of some sheets, each a sequence of rows."""
    names = list(sheets)
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{i}" r:id="r{i}" state="{_state(name, hidden)}"/>'
        for i, name in enumerate(names, 1)
    )
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = "".join(
        f'<Override PartName="/xl/worksheets/s{i}.xml" ContentType="{kind}.worksheet+xml"/>'
        for i in range(1, len(names) + 1)
    )
    links = "".join(
        f'<Relationship Id="r{i}" Type="{_RELATED}/worksheet" Target="worksheets/s{i}.xml"/>'
        for i in range(1, len(names) + 1)
    )
    styles = f'<Relationship Id="r0" Type="{_RELATED}/styles" Target="styles.xml"/>'
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>{parts}</Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="r1" Type="{_RELATED}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATED}"><sheets>{listed}</sheets></workbook>'
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">{links}{styles}</Relationships>',
        )
        archive.writestr("xl/styles.xml", _STYLES)
        for i, rows in enumerate(sheets.values(), 1):
            written = "".join(f"<row r='{r}'>{_row(cells, r)}</row>" for r, cells in enumerate(rows, 1))
            archive.writestr(
                f"xl/worksheets/s{i}.xml",
                f'<worksheet xmlns="{_MAIN}"><sheetData>{written}</sheetData></worksheet>',
            )
    return held.getvalue()


def _state(name: str, hidden: Sequence[str]) -> str:
    return "hidden" if name in hidden else "visible"


def _row(cells: Sequence[Cell], row: int) -> str:
    return "".join(_cell(cell, f"{_letters(i)}{row}") for i, cell in enumerate(cells) if cell is not None)


def _cell(cell: Cell, place: str) -> str:
    if isinstance(cell, bool):
        return f'<c r="{place}" t="b"><v>{int(cell)}</v></c>'
    if isinstance(cell, int | float):
        return f'<c r="{place}"><v>{cell!r}</v></c>'
    if isinstance(cell, date):
        return f'<c r="{place}" s="1"><v>{(cell - _FIRST_DAY).days}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(str(cell))}</t></is></c>'


def _letters(column: int) -> str:
    return chr(ord("A") + column)
