"""Two months side by side for people: a table stays one in the room of a plain terminal."""

import pytest

from billing.comparison import Change, What
from cli.output import Format
from cli.reports import show_changes
from rates.money import Currency

USD = Currency("USD")
LINES_OF_A_NOTE = {80: 9, 100: 6, 160: 4}
HELD = "parked: its total of 1,240,240.62 USD is more than 3 times 81,068.50, the median of its last 3 invoices"
CHANGES = [
    Change(what=What.TOTAL, name="", currency=USD, before_minor=123456789, after_minor=98765432),
    Change(what=What.IN_ALL, name="", currency=USD, before_minor=123456789, after_minor=198765432),
    Change(
        what=What.ACCOUNT,
        name="parcel-service-of-the-north",
        currency=USD,
        before_minor=123456,
        after_minor=124024062,
        note=HELD,
        beyond=True,
    ),
    Change(what=What.CARD, name="list-usd@2026-10-01T00:00:00Z", currency=Currency(""), note="new"),
    Change(
        what=What.PRICE,
        name="voice.outbound usage DE Germany, mobile 3 per minute",
        currency=USD,
        before="0.6783 / 0.6483 / 0.6183",
        after="0.6783 / 0.6483 / 6.783",
        note="more than 3 times up or down",
        beyond=True,
    ),
]


@pytest.mark.parametrize("room", [80, 100, 160])
def test_changes_are_a_table_that_names_what_is_left_out(
    room: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(room))
    show_changes(CHANGES, Format.TABLE, top=20, title="2026-10 against 2026-09")
    lines = capsys.readouterr().out.splitlines()
    assert ["what", "name", "currency", "before", "after"] == lines[2].split()[:5], lines
    assert room >= max(map(len, lines))
    for whole in ("1,234,567.89", "1,987,654.32", "1,240,240.62", "0.6483", "6.783"):
        assert any(whole in line for line in lines), whole
    first, last = (next(n for n, line in enumerate(lines) if word in line) for word in ("account", "invoices"))
    assert last - first < LINES_OF_A_NOTE[room], "a long note has the room of what can be left out"
    if room == 80:
        assert "Left out for want of room: change, %." in lines
