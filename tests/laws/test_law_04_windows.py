"""Law 4: windows tile the week in every zone and over DST.

"Longest prefix = brute force; versions tile time; each instant is in exactly one period; windows tile the week in every
zone and over DST." The oracle asks zoneinfo for the clock on the wall of one instant, and reads the windows by the
words of the format.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rates.cards import Card
from rates.compiled.calendars import Calendar, calendar_of
from rates.compiled.patterns import microseconds
from rates.windows import DAYS, Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = [
    *("UTC", "Europe/London", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"),
    *("Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "Asia/Gaza", "Africa/Cairo", "Pacific/Chatham"),
]


def instant(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def calendar(windows: list[Window], zone: str) -> Calendar:
    start = datetime(2026, 10, 1, tzinfo=UTC)
    named = {window.name: window for window in windows}
    card = Card(id="c", currency="USD", effective_from=start, timezone=zone, windows=named, rows=pa.table({}))
    found = calendar_of(card)
    assert found is not None
    return found


def is_open(window: Window, local: datetime) -> bool:
    """By the words of the format: half-open, from a day on which it begins on, over midnight where it ends earlier."""
    minute, today = local.hour * 60 + local.minute, DAYS[local.weekday()]
    yesterday = DAYS[(local.weekday() - 1) % 7]
    if window.ends > window.begins:
        return today in window.days and window.begins <= minute < window.ends
    begun = today in window.days and minute >= window.begins
    return begun or (yesterday in window.days and minute < window.ends)


windows = st.builds(
    lambda name, days, begins, ends: Window(
        name=name, days=tuple(d for d in DAYS if d in days), begins=begins, ends=ends + (ends == begins)
    ),
    st.text("abcdef", min_size=1, max_size=3),
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.integers(0, 1438),
    st.integers(0, 1439),
)
lists = st.lists(windows, min_size=1, max_size=4, unique_by=lambda window: window.name)
# Around the days on which clocks are set, and anywhere.
instants = st.one_of(
    st.integers(0, 4_000_000_000_000_000),
    st.integers(microseconds(datetime(2026, 10, 24, tzinfo=UTC)), microseconds(datetime(2026, 11, 2, tzinfo=UTC))),
    st.integers(microseconds(datetime(2027, 3, 13, tzinfo=UTC)), microseconds(datetime(2027, 4, 5, tzinfo=UTC))),
)


@settings(max_examples=300, deadline=None)
@given(lists, st.sampled_from(ZONES), st.lists(instants, min_size=1, max_size=20))
def test_at_each_instant_the_windows_that_the_clock_on_the_wall_says_are_open(
    some: list[Window], zone: str, at: list[int]
) -> None:
    found = calendar(some, zone)
    there = ZoneInfo(zone)
    expected = [sorted(w.name for w in some if is_open(w, instant(each).astimezone(there))) for each in at]
    assert expected == [list(found.windows[code]) for code in found.at(np.array(at))]


@settings(max_examples=100, deadline=None)
@given(lists, st.sampled_from(ZONES), instants, st.integers(1, 9 * 86_400))
def test_the_class_changes_at_the_changes_and_nowhere_else(
    some: list[Window], zone: str, start: int, seconds: int
) -> None:
    found = calendar(some, zone)
    end = start + seconds * 1_000_000
    changes = found.changes(start, end)
    assert all(start < change < end for change in changes.tolist())
    minute = 60_000_000
    every = np.arange(start // minute + 1, -(-end // minute)) * minute  # zones change at whole minutes, since 1973
    expected = every[found.at(every) != found.at(every - 1)]
    if start > microseconds(datetime(1973, 1, 1, tzinfo=UTC)):
        assert expected.tolist() == changes.tolist()
