"""Which days were not reported, of what is billed by the average of a month."""

from datetime import date

from billing.absences import absence, missing_days


def days(*numbers: int) -> list[date]:
    return [date(2026, 10, number) for number in numbers]


def test_days_are_missing_from_the_first_report_on() -> None:
    assert days(6, 8, 9) == missing_days(days(10, 5, 7), date(2026, 10, 11))
    assert days(11, 12) == missing_days(days(10), date(2026, 10, 13))
    assert [] == missing_days(days(*range(1, 32)), date(2026, 11, 1))
    assert [] == missing_days([], date(2026, 11, 1)), "who never reported has nothing to report"


def test_what_is_missing_is_said_day_by_day_and_in_runs() -> None:
    said = absence("recording.storage", "acme", days(3, 7, 8, 9))
    assert "acme reported no recording.storage of 2026-10-03, 2026-10-07 to 2026-10-09, and absent is not zero" == said
