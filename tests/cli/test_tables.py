"""Tables in the room that there is: what is folded, what is left out, and that no number is ever cut."""

import io

import pytest
from rich.console import Console

from billing.invoices import LINE_FIELDS
from cli.output import LINE, LINES, table
from cli.tables import NARROW, Column, Row, number, text

ROWS = [
    {
        "line": number,
        "product": "voice.outbound",
        "element": "usage",
        "country": "GB",
        "destination": "United Kingdom, mobile and satellite",
        "tier": "2",
        "events": "1775",
        "quantity": "12345.678912",
        "unit": "minute",
        "unit_price": "0.0135",
        "amount": amount,
    }
    for number, amount in ((1, "1234567.89"), (12, "-86.75"))
]
NUMBERS = ("12,345.678912", "0.0135", "1,234,567.89", "-86.75")


def printed(room: int, rows: list[Row] = ROWS, columns: tuple[Column, ...] = LINES) -> list[str]:  # type: ignore[assignment]
    """The lines that a table of some rows is printed as."""
    out = io.StringIO()
    Console(file=out, width=room, highlight=False).print(table(rows, columns, title="Lines"), crop=False)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def headings(room: int) -> str:
    return " ".join(" ".join(printed(room)[:4]).split())


@pytest.mark.parametrize("room", [20, 30, 40, 50, 59, 60, 70, 80, 90, 100, 120, 160])
def test_no_number_is_cut_whatever_the_room(room: int) -> None:
    lines = printed(room)
    assert [each for each in NUMBERS if not any(each in line for line in lines)] == []
    assert room >= max(map(len, lines)) or room < 30, "below that a name and a number may not fit beside each other"


def test_with_enough_room_all_stands_on_one_line() -> None:
    lines = printed(200)
    assert any("United Kingdom, mobile and satellite" in line and "1,234,567.89" in line for line in lines)
    assert not any("Left out" in line for line in lines)


def test_texts_are_folded_before_a_column_is_left_out() -> None:
    assert not any("Left out" in line for line in printed(130))
    assert not any("United Kingdom, mobile and satellite" in line for line in printed(130))


def test_what_is_spare_goes_in_its_order_and_is_named() -> None:
    left_out = [line for room in (110, 102, 93) for line in printed(room) if "Left out" in line]
    assert [
        "Left out for want of room: events.",
        "Left out for want of room: country, events.",
        "Left out for want of room: country, tier, events.",
    ] == left_out


def test_a_narrow_screen_gets_cards_with_everything() -> None:
    lines = printed(NARROW - 1)
    assert [" line         1", " product      voice.outbound", " element      usage", " country      GB"] == lines[2:6]
    assert 2 == sum(line.startswith(" amount") for line in lines)


def test_columns_that_fit_stay_beside_each_other_on_a_narrow_screen() -> None:
    few = [{"product": "voice.outbound", "amount": "342.02"}]
    assert any("voice.outbound   342.02" in line for line in printed(40, few, (text("product"), number("amount"))))  # type: ignore[arg-type]


def test_nothing_that_a_person_pays_by_is_ever_left_out() -> None:
    kept = {column.key for column in LINES if not column.spare}
    assert {"line", "product", "element", "destination", "quantity", "unit", "unit_price", "amount"} == kept


def test_the_columns_of_a_line_are_those_of_every_output() -> None:
    assert list(LINE_FIELDS) == [column.key for column in LINE]
