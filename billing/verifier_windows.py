"""Time-of-day windows of a card: what the clock on the wall of the card's zone shows at an instant (FORMATS 2)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import billing.verifier_usage as given
from billing.verifier_usage import CardFaultError, Raw, flag, text, words

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """From `begins` until just before `ends`, in minutes of the day, on the `days` (0 is Monday) on which it begins.

    Where it ends at or before its beginning it crosses midnight, and is then open on the morning after such a day.
    """

    name: str
    zone: ZoneInfo
    days: frozenset[int]
    begins: int
    ends: int
    split: bool

    def holds_at(self, at: datetime) -> bool:
        """Whether the clock on the wall is inside. Both passes of an hour that the clock repeats are, or neither."""
        wall = at.astimezone(self.zone)
        minute, today, yesterday = wall.hour * 60 + wall.minute, wall.weekday(), (wall.weekday() - 1) % 7
        if self.begins < self.ends:
            return today in self.days and self.begins <= minute < self.ends
        return (today in self.days and minute >= self.begins) or (yesterday in self.days and minute < self.ends)


def read_windows(raw: Raw, place: str) -> Mapping[str, Window]:
    """The windows of a card by their name."""
    named, said = given.table(raw, "windows"), text(raw, "timezone") or "UTC"
    try:
        zone = ZoneInfo(said)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CardFaultError(f"{place} timezone", f"{said!r} is no time zone") from None
    return {name: _read_window(name, given.table(named, name), zone) for name in named}


def _read_window(name: str, raw: Raw, zone: ZoneInfo) -> Window:
    place, days = f"windows.{name}", words(raw.get("days"))
    begins, ends = (_minute(raw, key, place) for key in ("from", "to"))
    if not days or not set(days) <= set(DAYS):
        raise CardFaultError(f"{place}.days", f"{' '.join(days)!r} is not one or more of {' '.join(DAYS)}")
    if begins == ends or text(raw, "from") == "24:00":
        raise CardFaultError(place, "begins at 24:00 or where it ends; a whole day is from 00:00 to 24:00")
    return Window(
        name=name, zone=zone, days=frozenset(map(DAYS.index, days)), begins=begins, ends=ends, split=flag(raw, "split")
    )


def _minute(raw: Raw, key: str, place: str) -> int:
    """The minute of the day, 24:00 being the end of it."""
    clock = text(raw, key)
    if _CLOCK.fullmatch(clock) is None:
        raise CardFaultError(f"{place}.{key}", f"{clock!r} is not a time of day like 08:00")
    return int(clock[:2]) * 60 + int(clock[3:])
