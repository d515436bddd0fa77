"""Calendars: offsets as zoneinfo has them, and what is the same of two cards. Their windows: tests/laws."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa
import pytest

from rates.cards import Card
from rates.compiled.calendars import Calendar, calendar_of, zone_offsets
from rates.compiled.patterns import microseconds
from rates.windows import DAYS, Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = [
    "UTC",
    "Europe/London",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Apia",
    "Asia/Gaza",
    "Africa/Cairo",
    "Pacific/Chatham",
]


def instant(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def card(windows: list[Window], zone: str = "UTC") -> Card:
    start = datetime(2026, 10, 1, tzinfo=UTC)
    named = {window.name: window for window in windows}
    return Card(id="c", currency="USD", effective_from=start, timezone=zone, windows=named, rows=pa.table({}))


def calendar(windows: list[Window], zone: str = "UTC") -> Calendar:
    found = calendar_of(card(windows, zone))
    assert found is not None
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_the_offsets_of_a_zone_are_those_of_zoneinfo_at_every_hour(zone: str) -> None:
    starts, offsets = zone_offsets(zone)
    hours = np.arange(0, microseconds(datetime(2060, 1, 1, tzinfo=UTC)), 7 * 3_600_000_000)
    found = offsets[np.searchsorted(starts, hours, side="right") - 1]
    there = ZoneInfo(zone)
    expected = [(EPOCH + timedelta(hours=7 * n)).astimezone(there).utcoffset() for n in range(len(hours))]
    assert [shift.total_seconds() if shift else 0 for shift in expected] == found.tolist()


@pytest.mark.parametrize("zone", sorted(available_timezones())[::23])
def test_an_offset_holds_from_exactly_its_second_on(zone: str) -> None:
    starts, offsets = zone_offsets(zone)
    there = ZoneInfo(zone)
    assert (np.diff(starts) > 0).all()
    assert (np.diff(offsets) != 0).all()
    for start, before, after in zip(starts[1:].tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        for at, offset in ((start - 1_000_000, before), (start, after)):
            assert timedelta(seconds=offset) == instant(at).astimezone(there).utcoffset()


def test_the_spring_hour_that_is_skipped_never_occurs_and_the_autumn_hour_occurs_twice() -> None:
    night = Window(name="night", days=DAYS, begins=120, ends=180, split=True)
    found = calendar([night], "Europe/Paris")
    spring = [microseconds(datetime(2027, 3, 28, hour, tzinfo=UTC)) for hour in (0, 12)]
    assert [] == found.changes(*spring).tolist()
    autumn = [
        microseconds(datetime(2026, 10, 24, 23, tzinfo=UTC)),
        microseconds(datetime(2026, 10, 25, 12, tzinfo=UTC)),
    ]
    opens, closes = (instant(each) for each in found.changes(*autumn).tolist())
    assert (timedelta(hours=2), 0) == (closes - opens, opens.hour)


def test_a_card_without_windows_has_no_calendar() -> None:
    assert calendar_of(card([])) is None


def test_calendars_that_say_the_same_have_the_same_content() -> None:
    day = Window(name="day", days=DAYS, begins=0, ends=720)
    assert calendar([day]).content == calendar([day]).content
    others = [calendar([day], "Asia/Kathmandu"), calendar([Window(name="day", days=DAYS, begins=0, ends=721)])]
    assert 3 == len({each.content for each in (calendar([day]), *others)})
