"""Whatever a file is, it is a deck or a list of faults with their place: never a traceback, never half a card."""

from hypothesis import given
from hypothesis import strategies as st

from billing.sources.spreadsheets import open_spreadsheet
from rates.dialects.files import open_csv
from rates.dialects.sniffing import sniff
from tests.decks import BUILT_IN, mapped, read

DIALECTS = {name: mapped(name) for name in BUILT_IN}
OPEN = mapped(
    """
product = "voice.outbound"
unit = "minute"
increments = "1/1"
dates = "M/D/YYYY"
[columns]
prefixes = {column = "a", hyphen = "range"}
origin_prefixes = {column = "c", optional = true}
destination = {column = "d", optional = true}
effective_from = {column = "e", optional = true}
[[prices]]
column = "b"
"""
)
CELLS = st.text("0123456789+-.,^*/ \"'€$axE;|\t\u00a0\n\x00\ud7ff", max_size=9) | st.sampled_from(
    ["44", "0.01", "1/2/2026", "9370-9372", "total", "4.95E+12", '"', "sep=;"]
)
LINES = st.lists(st.lists(CELLS, max_size=6).map(",".join), max_size=8)


@given(st.binary(max_size=200) | LINES.map(lambda lines: "\n".join(lines).encode("utf-8", "replace")))
def test_a_file_of_anything_is_sniffed_or_refused(data: bytes) -> None:
    file, faults = open_csv(data, "deck.csv")
    if file is None:
        assert faults
        return
    found, faults = sniff(file, DIALECTS)
    assert (found is None) == bool(faults)


@given(LINES, st.sampled_from(["", "title\n"]))
def test_a_deck_of_anything_is_a_card_or_faults_with_their_place(lines: list[str], title: str) -> None:
    text = "\n".join([f"{title}a,b,c,d,e", *lines])
    reading = read(text.encode("utf-8", "replace"), OPEN)
    assert (reading.card is None) == bool(reading.faults)
    assert all(fault.place for fault in reading.faults)


@given(st.binary(max_size=200))
def test_a_workbook_of_anything_is_refused(data: bytes) -> None:
    found, faults = open_spreadsheet(b"PK\x03\x04" + data, "deck.xlsx")
    assert None is found
    assert faults
