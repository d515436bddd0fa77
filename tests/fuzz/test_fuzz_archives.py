"""Workbooks that are damaged as files: refused with a fault, whatever is wrong inside."""

import io
import zipfile

from hypothesis import strategies as st

from billing.sources.spreadsheets import open_spreadsheet
from rates.dialects.sniffing import sniff
from tests.fuzz.fuzzing import bounded, fuzz, told
from tests.fuzz.mutations import damaged
from tests.workbooks import workbook

GOOD = workbook(
    {"Rates": [["Code", "Rate", "To"], ["44", 0.014, "UK"], [49, 0.02, "Germany"], [33, True, None]], "Notes": []}
)


def parts_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PARTS = parts_of(GOOD)
TOKENS = (
    b'r="XFD1048576"', b'r="A300000"', b'r="A0"', b'r="-1"', b'r="ZZZZZZZZ1"', b't="e"', b't="s"', b't="d"',
    b't="b"', b"<v>1e999</v>",
    b"<v>-1</v>", b"<v>99999999999999999999</v>", b"<v></v>", b"<v>NaN</v>", b's="99"', b"&lt;&#0;", b"&unknown;",
    b"<!DOCTYPE x>",
    b'<row r="1048577">', b"<c/>", b"</c>", b"]]>", b'state="veryHidden"', b"<f>1+1</f>", b"\xff",
)  # fmt: skip


@st.composite
def rebuilt(draw: st.DrawFn) -> bytes:
    """A workbook of which one part is damaged before it is packed."""
    name = draw(st.sampled_from(sorted(PARTS)))
    part = draw(damaged([PARTS[name]]) | st.just(PARTS[name]))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.sampled_from([i for i, c in enumerate(part) if c in b"<> "] or [0]))
        token = draw(st.sampled_from(TOKENS))
        part = part[:at] + (b" " if token[:1].isalpha() else b"") + token + part[at:]
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, data in PARTS.items():
            archive.writestr(each, part if each == name else data)
    return held.getvalue()


@fuzz(rebuilt() | damaged([GOOD]).map(lambda data: b"PK\x03\x04" + data[4:]), examples=80)
def test_a_damaged_workbook_is_a_grid_or_refused(data: bytes) -> None:
    for sheet in ("", "Rates", "Notes"):
        grid, faults = bounded(open_spreadsheet, data, "deck.xlsx", sheet=sheet)
        if grid is None:
            told(faults, "deck.xlsx")
            continue
        found, faults = bounded(sniff, grid, {})
        assert (found is None) == bool(faults)
