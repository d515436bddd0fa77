"""Dates in decks: in the order that is told, never in a guessed one."""

import pytest

from rates.checking.cells import CellInvalidError
from rates.dialects.dates import DatesInvalidError, check_dates, date_pattern


def at(text: str, form: str = "", timezone: str = "UTC", *, inclusive: bool = False) -> str:
    return check_dates(form, timezone, inclusive=inclusive)(text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("M/D/YYYY", "8/6/2026"),
        ("D/M/YYYY", "6/8/2026"),
        ("D.M.YYYY", "06.08.2026"),
        ("DD-MON-YY", "06-Aug-26"),
        ("YYYYMMDD", "20260806"),
        ("MON D, YYYY", "August 6, 2026"),
        ("", "2026-08-06"),
        ("M/D/YYYY", "2026-08-06"),
        ("M/D/YYYY", "8/6/2026 0:00"),
        ("M/D/YYYY", "8/6/2026 00:00:00"),
    ],
)
def test_a_date_is_read_in_the_order_that_is_told(form: str, text: str) -> None:
    assert "2026-08-06T00:00:00Z" == at(text, form)


def test_an_order_that_is_not_told_is_a_fault_and_not_a_guess() -> None:
    with pytest.raises(CellInvalidError) as error:
        at("8/6/2026")
    assert "is a date whose order of day and month is not told" == error.value.problem
    assert "dates=M/D/YYYY or dates=D/M/YYYY" in error.value.remedy


def test_a_day_that_the_calendar_does_not_have_is_a_fault() -> None:
    with pytest.raises(CellInvalidError, match="is no day of the calendar"):
        at("31/8/2026", "M/D/YYYY")
    with pytest.raises(CellInvalidError, match="is not a date as M/D/YYYY"):
        at("soon", "M/D/YYYY")


def test_a_date_begins_at_midnight_where_the_deck_is() -> None:
    assert "2026-07-31T22:00:00Z" == at("2026-08-01", timezone="Europe/Paris")
    assert "2026-08-01T14:30:00Z" == at("1/8/2026 14:30", "D/M/YYYY")
    assert "2026-08-01T12:00:00Z" == at("2026-08-01T14:00:00+02:00", timezone="America/New_York")


def test_a_last_day_that_still_counts_ends_with_the_next_one() -> None:
    assert "2027-01-01T00:00:00Z" == at("12/31/2026", "M/D/YYYY", inclusive=True)
    assert "2026-12-31T23:00:00Z" == at("12/31/2026 23:00", "M/D/YYYY", inclusive=True)


@pytest.mark.parametrize("form", ["M/D", "YYYY", "D/D/YYYY", "W/D/YYYY", "M/D/YYYY Z"])
def test_a_form_of_dates_names_day_month_and_year(form: str) -> None:
    with pytest.raises(DatesInvalidError, match="is not a form of dates"):
        date_pattern(form)


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("01.10.2026", ["M.D.YYYY", "D.M.YYYY"]),
        ("01-10-26", ["M-D-YY", "D-M-YY"]),
        ("31.10.2026 00:00", ["D.M.YYYY"]),
        ("01-Oct-26", ["DD-MON-YY"]),
        ("2026/10/01", ["YYYY/M/D"]),
        ("20261001", ["YYYYMMDD"]),
        ("soon", ["M/D/YYYY", "D/M/YYYY"]),
    ],
)
def test_the_forms_that_are_offered_are_those_in_which_the_cell_is_a_date(text: str, forms: list[str]) -> None:
    with pytest.raises(CellInvalidError) as error:
        at(text)
    assert f"as in {' or '.join(f'dates={form}' for form in forms)}; it is not guessed" in error.value.remedy
    assert text == "soon" or all(at(text, form) for form in forms)


def test_a_cell_in_another_form_than_is_told_is_offered_its_own() -> None:
    with pytest.raises(CellInvalidError) as error:
        at("31.10.2026", "D/M/YYYY")
    assert "mend it, or tell another form, as in dates=D.M.YYYY" == error.value.remedy
