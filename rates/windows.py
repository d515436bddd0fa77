"""Windows: the times of the week, by the clock on the wall, in which the rows that name them apply.

A window belongs to the day on which it begins. One whose end is not later on the same day ends on the next.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rates.reading import Reader

Flags = NDArray[np.bool_]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY = 1440
MINUTES_A_WEEK = len(DAYS) * MINUTES_A_DAY

_CLOCK = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time-of-day profile of a card.

    `days` are those on which it begins, in the order of the week; `begins` and `ends` are minutes of the day, `ends`
    up to 1440 and half-open. `split`: an event that runs over its edges is cut there.
    """

    name: str
    days: tuple[str, ...]
    begins: int
    ends: int
    split: bool = False

    def minutes(self) -> Flags:
        """Which minutes of the local week, from Monday 00:00, lie inside: bool[10080]."""
        inside = np.zeros(MINUTES_A_WEEK, dtype=np.bool_)
        length = self.ends - self.begins if self.ends > self.begins else self.ends + MINUTES_A_DAY - self.begins
        for day in self.days:
            start = DAYS.index(day) * MINUTES_A_DAY + self.begins
            inside[np.arange(start, start + length) % MINUTES_A_WEEK] = True
        return inside

    def __str__(self) -> str:
        days = self.days
        first, last = DAYS.index(days[0]), DAYS.index(days[-1])
        run = len(days) > 1 and days == DAYS[first : last + 1]
        said = f"{days[0]}-{days[-1]}" if run else ",".join(days)
        return f"{said} {clock(self.begins)}-{clock(self.ends)}"


def clock(minute: int) -> str:
    """A minute of the day as `08:00`; 1440 is `24:00`."""
    return f"{minute // 60:02}:{minute % 60:02}"


def week_minute(minute: int) -> str:
    """A minute of the week as `mon 08:00`."""
    day, rest = divmod(minute % MINUTES_A_WEEK, MINUTES_A_DAY)
    return f"{DAYS[day]} {clock(rest)}"


def read_window(read: Reader, name: str) -> Window:
    """The window of the table `windows.NAME`; faults go to the reader."""
    window = Window(
        name=name,
        days=_days(read),
        begins=_minute(read, "from"),
        ends=_minute(read, "to"),
        split=read.flag("split"),
    )
    read.finish()
    if not name or any(character.isspace() or not character.isprintable() for character in name):
        read.fault("", "has a name with a space or a control character, or none", "write a short name, as in peak")
    if window.begins == window.ends and {"from", "to"} <= read.table.keys():
        read.fault("to", "is where it begins", 'a whole day is from = "00:00", to = "24:00"')
    return window


def _days(read: Reader) -> tuple[str, ...]:
    if "days" not in read.table:
        read.fault("days", "is missing", f"list the days on which it begins, of {', '.join(DAYS)}")
    days = read.texts("days")
    if "days" in read.table and read.table["days"] == []:
        read.fault("days", "is empty", "list the days on which it begins")
    for i, day in enumerate(days):
        if day not in DAYS or day in days[:i]:
            problem = "is listed twice" if day in DAYS else "is not a day"
            read.fault("days", f"{problem}: {day}" if day else problem, f"use each of {', '.join(DAYS)} at most once")
    return tuple(day for day in DAYS if day in days)


def _minute(read: Reader, key: str) -> int:
    text = read.text(key)
    match = _CLOCK.fullmatch(text)
    if match is not None:
        return int(match[1]) * 60 + int(match[2])
    if key == "to" and text == "24:00":
        return MINUTES_A_DAY
    if text:
        read.fault(key, "is not a time of day", "write it as 08:00" + (", or 24:00" if key == "to" else ""))
    return 0
