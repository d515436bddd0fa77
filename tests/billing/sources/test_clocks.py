"""Times by the clock on the wall: every minute of days on which clocks change, against the instants themselves."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.sources.clocks import Clock, parse_zone, read_times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHANGE_DAYS = [
    ("Europe/Paris", "2026-03-29"),
    ("Europe/Paris", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),  # by half an hour
    ("Australia/Lord_Howe", "2026-10-04"),
]


def clock_of(text: str, zone: str) -> Clock:
    return Clock(read_times(pa.array([text]), parse_zone(zone)).clock[0])


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(("zone", "day"), CHANGE_DAYS)
def test_each_minute_of_a_day_on_which_clocks_change_is_one_instant_none_or_two(zone: str, day: str) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    instants: dict[str, list[datetime]] = {}
    for minute in range(-48 * 60, 48 * 60):
        at = noon + timedelta(minutes=minute)
        instants.setdefault(at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S"), []).append(at)
    walls = [f"{day} {minute // 60:02}:{minute % 60:02}:00" for minute in range(1440)]
    found = read_times(pa.array(walls), parse_zone(zone))
    kinds = set()
    for wall, micro, clock in zip(walls, found.micros.tolist(), found.clock.tolist(), strict=True):
        here = instants.get(wall, [])
        expected = {0: Clock.SKIPPED, 1: Clock.RIGHT, 2: Clock.TWICE}[len(here)]
        assert expected == clock, wall
        kinds.add(expected)
        if len(here) == 1:
            assert micros(here[0]) == micro, wall
    assert 2 == len(kinds), "on such a day some times are skipped or repeated"


def test_a_day_that_a_country_left_out_does_not_exist() -> None:
    assert Clock.SKIPPED == clock_of("2011-12-30 12:00:00", "Pacific/Apia")
    assert Clock.RIGHT == clock_of("2011-12-29 23:59:59", "Pacific/Apia")
    assert Clock.RIGHT == clock_of("2011-12-31 00:00:00", "Pacific/Apia")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-02 10:11:12", "2026-10-02T08:11:12+00:00"),
        ("2026-10-02T10:11:12", "2026-10-02T08:11:12+00:00"),
        ("2026-10-02 10:11:12.5", "2026-10-02T08:11:12.500000+00:00"),
        ("2026-10-02 10:11:12.123456789", "2026-10-02T08:11:12.123456+00:00"),
        ("2026-10-02T10:11:12Z", "2026-10-02T10:11:12+00:00"),
        ("2026-10-02 10:11:12 UTC", "2026-10-02T10:11:12+00:00"),
        ("2026-10-02 10:11:12+0530", "2026-10-02T04:41:12+00:00"),
        ("2026-10-02 10:11:12 -03:00", "2026-10-02T13:11:12+00:00"),
        ("2026-10-25 02:30:00+02:00", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_a_time_is_read_by_the_zone_or_by_the_offset_that_it_states(text: str, expected: str) -> None:
    found = read_times(pa.array([text]), parse_zone("Europe/Paris"))
    assert Clock.RIGHT == found.clock[0]
    assert micros(datetime.fromisoformat(expected)) == found.micros[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30 10:00:00",
        "2026-10-02 24:00:00",
        "2026-10-02 10:60:00",
        "2026-10-02 10:11",
        "02/10/2026 10:11:12",
        "2026-10-02 10:11:12 CEST",
        "2026-10-02 10:11:12+15:00",
        "0000-00-00 00:00:00",
        "1969-12-31 23:59:59",
        "1790930472",
        "\uff12026-10-02 10:11:12",
    ],
)
def test_what_is_no_time_is_told_and_harms_no_other(text: str) -> None:
    found = read_times(pa.array([text, "2026-10-02 10:11:12"]), parse_zone("UTC"))
    assert [Clock.NO_TIME, Clock.RIGHT] == found.clock.tolist()


def test_a_time_without_a_zone_is_not_guessed_at() -> None:
    found = read_times(pa.array(["2026-10-02 10:11:12", "2026-10-02T10:11:12Z"]), None)
    assert [Clock.NO_ZONE, Clock.RIGHT] == found.clock.tolist()


@pytest.mark.parametrize("text", ["Europe/Atlantis", "", "CEST+", "+25:00", "../etc/passwd"])
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time zone"):
        parse_zone(text)


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001 (made an instant below)
    st.sampled_from(["Europe/Paris", "America/St_Johns", "Asia/Kathmandu", "Africa/Casablanca", "+02:00", "-09:30"]),
)
def test_an_instant_written_by_the_clock_is_read_back_unless_the_clock_shows_it_twice(at: datetime, zone: str) -> None:
    at = at.replace(tzinfo=UTC)
    named = ZoneInfo(zone) if "/" in zone else datetime.strptime(zone, "%z").tzinfo
    wall = at.astimezone(named).strftime("%Y-%m-%d %H:%M:%S.%f")
    found = read_times(pa.array([wall]), parse_zone(zone))
    assert found.clock[0] in {Clock.RIGHT, Clock.TWICE}
    if found.clock[0] == Clock.RIGHT:
        assert micros(at) == found.micros[0]
