"""Billing periods: half-open ranges of UTC days. The default, and all that has a name, is the calendar month.

The grid is the UTC day: a period begins and ends at 00:00 UTC, so that every instant is in exactly one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from billing.errors import PeriodInvalidError

MONTHS_A_YEAR = 12
_EPOCH = date(1970, 1, 1).toordinal()
ALWAYS = datetime.max.replace(tzinfo=UTC)
"""Until when holds what nothing ends."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Period:
    """The days from `start` up to, not including, `end`."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise PeriodInvalidError("a period ends after it starts", value=f"{self.start}/{self.end}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The calendar month `2026-10`. Raises PeriodInvalidError."""
        match = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
        # The first and last years have no neighbour to go back or on to.
        if match is None or not 1 < int(match[1]) < 9999:  # noqa: PLR2004
            raise PeriodInvalidError("not a month", value=text, remedy="write it as 2026-10")
        return cls.of_month(int(match[1]), int(match[2]))

    @classmethod
    def of_month(cls, year: int, month: int) -> Self:
        """A calendar month."""
        end = date(year + month // MONTHS_A_YEAR, month % MONTHS_A_YEAR + 1, 1)
        return cls(start=date(year, month, 1), end=end)

    @classmethod
    def at(cls, instant: datetime) -> Self:
        """The calendar month in which an instant lies; the instant must have a zone."""
        day = _utc(instant).date()
        return cls.of_month(day.year, day.month)

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days

    @property
    def opens(self) -> datetime:
        """Its first instant."""
        return datetime.combine(self.start, time(), UTC)

    @property
    def closes(self) -> datetime:
        """The first instant after it."""
        return datetime.combine(self.end, time(), UTC)

    def next(self) -> Self:
        """The calendar month that begins with or follows its end."""
        after = self.end if self.end.day == 1 else self.of_month(self.end.year, self.end.month).end
        return self.of_month(after.year, after.month)

    def before(self) -> Self:
        """The calendar month in which the day before its beginning lies."""
        last = self.start - timedelta(days=1)
        return self.of_month(last.year, last.month)

    def __str__(self) -> str:
        if self == self.of_month(self.start.year, self.start.month):
            return f"{self.start.year:04}-{self.start.month:02}"
        return f"{self.start}/{self.end}"


def months_before(day: date, months: int) -> date:
    """The same day `months` months earlier, or the last day of that month where it has no such day."""
    index = day.year * MONTHS_A_YEAR + day.month - 1 - months
    month = Period.of_month(index // MONTHS_A_YEAR, index % MONTHS_A_YEAR + 1)
    return min(month.start.replace(day=1) + timedelta(days=day.day - 1), month.end - timedelta(days=1))


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise PeriodInvalidError("an instant without a time zone is in no period", value=str(instant))
    return instant.astimezone(UTC)


def day_of(number: int) -> date:
    """The day that is so many days after the epoch."""
    return date.fromordinal(_EPOCH + number)
