from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import PeriodInvalidError
from billing.periods import Period, months_before

MONTHS = st.builds(Period.of_month, st.integers(2, 9998), st.integers(1, 12))


def test_a_month_is_half_open_in_utc() -> None:
    october = Period.parse("2026-10")
    assert Period(start=date(2026, 10, 1), end=date(2026, 11, 1)) == october
    assert (31, "2026-10") == (october.days, str(october))


@pytest.mark.parametrize(
    "text", ["2026", "2026-13", "2026-00", "26-10", "2026-10-01", "2026-1", "٢٠٢٦-10", "0001-01", ""]
)
def test_what_is_not_a_month_is_refused(text: str) -> None:
    with pytest.raises(PeriodInvalidError):
        Period.parse(text)


@given(MONTHS)
def test_months_tile_time(month: Period) -> None:
    assert month == Period.parse(str(month))
    assert month.end == month.next().start
    assert month == Period.at(month.opens) == Period.at(month.closes - timedelta(microseconds=1))
    assert 28 <= month.days <= 31


def test_an_instant_without_a_zone_is_in_no_period() -> None:
    with pytest.raises(PeriodInvalidError):
        Period.at(datetime(2026, 10, 1))  # noqa: DTZ001  that is the point
    with pytest.raises(PeriodInvalidError):
        Period(start=date(2026, 10, 1), end=date(2026, 10, 1))


def test_a_part_of_a_month_says_its_days() -> None:
    week = Period(start=date(2026, 10, 5), end=date(2026, 10, 12))
    assert (7, "2026-10-05/2026-10-12") == (week.days, str(week))
    assert Period.parse("2026-11") == week.next()


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 10, 15), 13, date(2025, 9, 15)),
        (date(2026, 3, 31), 1, date(2026, 2, 28)),
        (date(2024, 3, 30), 1, date(2024, 2, 29)),
        (date(2026, 1, 31), 12, date(2025, 1, 31)),
    ],
)
def test_months_before_is_the_same_day_or_the_last(day: date, months: int, expected: date) -> None:
    assert expected == months_before(day, months)
