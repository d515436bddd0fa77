"""When the windows of a card are open: its zone's offsets from UTC, and the week by the clock on the wall.

An instant has one local time, whether the clock shows it once or, when it is set back, twice: so each instant is in
exactly one class, the set of windows that are open then. What the clock skips never occurs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from rates.cards import Card, codes_and_values
from rates.compiled.patterns import Patterns, microseconds
from rates.usage import Int64s, Texts
from rates.windows import MINUTES_A_DAY, MINUTES_A_WEEK, Window

Int16s = NDArray[np.int16]

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_SAMPLE = timedelta(days=1)  # no zone has set its clock twice within a day since 1970, and back to what it was
_SECOND = timedelta(seconds=1)
_MICROS, _MINUTE = 1_000_000, 60_000_000
_THURSDAY = 3 * MINUTES_A_DAY
"""The epoch was a Thursday: minutes of the week before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The windows of a card by instant.

    `instants` int64[t] (microseconds, ascending) are those from which each of `offsets` (int64[t], seconds to add to
    UTC) holds in the time zone `zone`. The minutes of the local week are in stretches from `edges` (int64[e], from 0)
    on, each of the class that `classes` (int16[e]) says. `windows` names the open windows of each class; 0 is none.
    """

    zone: str
    instants: Int64s
    offsets: Int64s
    edges: Int64s
    classes: Int16s
    windows: tuple[tuple[str, ...], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """A text for each class, "" for that without a window."""
        return tuple(" ".join(names) for names in self.windows)

    @property
    def is_current(self) -> bool:
        """Whether the time zone database still says the same of its zone."""
        now = zone_offsets(self.zone)
        return all(np.array_equal(*pair) for pair in zip(now, (self.instants, self.offsets), strict=True))

    @property
    def content(self) -> bytes:
        """All that it says: calendars with the same content are alike."""
        columns = (self.instants, self.offsets, self.edges, self.classes)
        return b"".join([*(column.tobytes() for column in columns), repr(self.windows).encode()])

    def at(self, instants: Int64s) -> Int16s:
        """The class of each instant (microseconds), int16[n]."""
        offset = self.offsets[np.maximum(np.searchsorted(self.instants, instants, side="right") - 1, 0)]
        minute = ((instants + offset * _MICROS) // _MINUTE + _THURSDAY) % MINUTES_A_WEEK
        return self.classes[np.searchsorted(self.edges, minute, side="right") - 1]

    def changes(self, after: int, before: int) -> Int64s:
        """The instants between two at which another class begins, ascending."""
        first, last = (np.searchsorted(self.instants, [after, before], side="right") - 1).clip(0).tolist()
        found = [self.instants[first + 1 : last + 1]]
        for place in range(first, last + 1):
            start = max(after, int(self.instants[place])) if place else after
            end = min(before, int(self.instants[place + 1])) if place + 1 < len(self.instants) else before
            shift = int(self.offsets[place]) * _MICROS
            weeks = [((at + shift) // _MINUTE + _THURSDAY) // MINUTES_A_WEEK for at in (start, end)]
            minutes = (np.arange(weeks[0], weeks[1] + 1)[:, None] * MINUTES_A_WEEK + self.edges).ravel() - _THURSDAY
            edges = minutes * _MINUTE - shift
            found.append(edges[(start < edges) & (edges < end)])
        instants = np.unique(np.concatenate(found))
        instants = instants[(after < instants) & (instants < before)]
        changes: Int64s = instants[self.at(instants) != self.at(instants - 1)]
        return changes


def calendar_of(card: Card) -> Calendar | None:
    """When the windows of a card are open; None for a card without any."""
    if not card.windows:
        return None
    instants, offsets = zone_offsets(card.timezone)
    edges, classes, windows = _week(card.windows)
    return Calendar(
        zone=card.timezone, instants=instants, offsets=offsets, edges=edges, classes=classes, windows=windows
    )


def by_class(found: Patterns, card: Card, calendar: Calendar | None) -> tuple[Patterns, Texts | None]:
    """The patterns once for each class in which their row's window is open, and the classes that they ask for.

    None where no row names a window.
    """
    if calendar is None or "window" not in card.rows.column_names:
        return found, None
    codes, names = codes_and_values(card.rows, "window")
    of_window = [[code for code, window in enumerate(calendar.windows) if name in window] or [0] for name in names]
    counts = np.array([len(each) for each in of_window], dtype=np.int64)
    starts = np.cumsum(counts) - counts
    window = codes[found.row]
    many = counts[window]
    place = np.repeat(np.arange(len(found), dtype=np.int64), many)
    nth = np.arange(len(place), dtype=np.int64) - np.repeat(np.cumsum(many) - many, many)
    flat = np.array([code for each in of_window for code in each], dtype=np.int32)
    return found.take(place), Texts(flat[starts[window][place] + nth], calendar.labels)


@lru_cache
def zone_offsets(name: str) -> tuple[Int64s, Int64s]:
    """The instants (int64[t], microseconds) from which the offsets (int64[t], seconds) of a zone hold, 1970 to 2100.

    To the second, as far as the time zone database knows them. Read-only. Raises ZoneInfoNotFoundError.
    """
    zone = ZoneInfo(name)

    def offset(at: datetime) -> int:
        shift = at.astimezone(zone).utcoffset()
        return shift.days * 86_400 + shift.seconds if shift is not None else 0

    instants, offsets = [microseconds(_FIRST)], [offset(_FIRST)]
    before = _FIRST
    while before < _LAST:
        after = min(before + _SAMPLE, _LAST)
        if offset(after) != offsets[-1]:
            low, high = before, after
            while high - low > _SECOND:
                middle = low + (high - low) // 2 // _SECOND * _SECOND
                low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
            instants.append(microseconds(high))
            offsets.append(offset(high))
            before = high
        else:
            before = after
    found = np.array(instants, dtype=np.int64), np.array(offsets, dtype=np.int64)
    for each in found:
        each.flags.writeable = False
    return found


def _week(windows: Mapping[str, Window]) -> tuple[Int64s, Int16s, tuple[tuple[str, ...], ...]]:
    """The stretches of the week with the same open windows: where each begins, its class, the windows of each class."""
    names = sorted(windows)
    inside = np.stack([windows[name].minutes() for name in names])
    edges = np.flatnonzero(np.append(True, (inside[:, 1:] != inside[:, :-1]).any(axis=0)))
    classes: dict[tuple[str, ...], int] = {(): 0}
    codes = [classes.setdefault(_open(names, inside[:, edge].tolist()), len(classes)) for edge in edges.tolist()]
    return edges.astype(np.int64), np.array(codes, dtype=np.int16), tuple(classes)


def _open(names: Sequence[str], inside: Sequence[bool]) -> tuple[str, ...]:
    return tuple(name for name, is_open in zip(names, inside, strict=True) if is_open)
