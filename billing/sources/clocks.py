"""Times as switches write them, made instants: with the offset that they state, or by the clock of a stated zone.

A time by a clock on the wall may not exist (the hour that is skipped as clocks go forward) or exist twice (the hour
that is repeated as they go back). Neither is guessed at.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple
from zoneinfo import ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.written import Column
from rates.compiled.calendars import zone_offsets
from rates.usage import MICROSECONDS_A_DAY, Int64s

TIME = (
    r"^(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(?P<part>[0-9]{1,9}))?"
    r" ?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?$"
)
"""As in `2026-10-02 10:11:12`, also with a fraction, and with an offset, `Z` or `UTC`."""

LATEST = 253_402_300_800_000_000 - 1
"""The last microsecond of the year 9999, since 1970: what is later no calendar has."""

_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>0[0-9]|1[0-4]):?(?P<minutes>[0-5][0-9])")
_UTC = frozenset({"Z", "UTC", "GMT"})
_SECOND = 1_000_000
_FIRST = np.iinfo(np.int64).min


class Clock(IntEnum):
    """What is wrong with a time."""

    RIGHT = 0
    NO_TIME = 1
    NO_ZONE = 2
    SKIPPED = 3
    TWICE = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Zone:
    """A clock: from which instants (int64[t], microseconds, ascending) which offsets (int64[t], seconds) hold."""

    name: str
    instants: Int64s
    offsets: Int64s

    def at(self, instants: Int64s) -> Int64s:
        """The offsets at some instants, in microseconds."""
        place = np.maximum(np.searchsorted(self.instants, instants, side="right") - 1, 0)
        found: Int64s = self.offsets[place] * _SECOND
        return found


class Instants(NamedTuple):
    """n times understood: microseconds since 1970 (int64[n]), and codes of `Clock` (int8[n])."""

    micros: Int64s
    clock: NDArray[np.int8]


def parse_zone(text: str) -> Zone:
    """The zone of an IANA name as in `Europe/Paris`, or of a fixed offset as in `+02:00`. Raises ValueError."""
    offset = _offset(text)
    if offset is not None:
        return Zone(name=text, instants=np.array([_FIRST]), offsets=np.array([offset]))
    try:
        instants, offsets = zone_offsets(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{text} is not a time zone") from error
    return Zone(name=text, instants=instants, offsets=offsets)


def read_times(text: Column, zone: Zone | None) -> Instants:
    """The instants of n times; what states no offset is by the clock of `zone`. What is finer is cut off."""
    parts = pc.extract_regex(text, TIME)
    clock = np.where(_bools(pc.is_valid(parts)), Clock.RIGHT, Clock.NO_TIME).astype(np.int8)
    zones = pc.fill_null(pc.struct_field(parts, "zone"), "")
    wall = _walls(parts, clock)
    offsets = np.zeros(len(clock), dtype=np.int64)
    for each in pc.unique(zones).to_pylist():
        if not each:
            continue
        here = _bools(pc.equal(zones, each))
        offset = _offset(each)
        offsets[here] = 0 if offset is None else offset * _SECOND
        clock[here & (offset is None)] = Clock.NO_TIME
    micros = wall - offsets
    naive = (clock == Clock.RIGHT) & _bools(pc.equal(zones, ""))
    if zone is None:
        clock[naive] = Clock.NO_ZONE
    elif naive.any():
        micros[naive], clock[naive] = _by_the_clock(wall[naive], zone)
    # Of a clock that was never set, or beyond the calendar.
    clock[(clock == Clock.RIGHT) & ((micros < 0) | (micros > LATEST))] = Clock.NO_TIME
    return Instants(micros, clock)


def _by_the_clock(wall: Int64s, zone: Zone) -> Instants:
    # An offset is less than a day, so these two are the only ones that can hold: no two changes are that close.
    before, after = zone.at(wall - MICROSECONDS_A_DAY), zone.at(wall + MICROSECONDS_A_DAY)
    early, late = wall - before, wall - after
    is_early, is_late = zone.at(early) == before, zone.at(late) == after
    clock = np.zeros(len(wall), dtype=np.int8)
    clock[~is_early & ~is_late] = Clock.SKIPPED
    clock[is_early & is_late & (early != late)] = Clock.TWICE
    return Instants(np.where(is_early, early, late), clock)


def _walls(parts: Column, clock: NDArray[np.int8]) -> Int64s:
    """Microseconds by the clock on the wall; `clock` is told which dates and times do not exist."""
    part = pc.fill_null(pc.struct_field(parts, "part"), "")
    part = pc.utf8_rpad(pc.utf8_slice_codeunits(part, 0, 6), 6, "0")
    joined = pc.binary_join_element_wise(pc.struct_field(parts, "date"), pc.struct_field(parts, "time"), "T")
    text = pc.fill_null(pc.binary_join_element_wise(joined, part, "."), "1970-01-01T00:00:00.000000")
    try:
        return _cast(text)
    except pa.ArrowInvalid:
        found = np.zeros(len(clock), dtype=np.int64)
        for row, value in enumerate(text.to_pylist()):
            try:
                found[row] = _cast(pa.array([value]))[0]
            except pa.ArrowInvalid:
                clock[row] = Clock.NO_TIME
        return found


def _cast(text: Column) -> Int64s:
    found: Int64s = text.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(zero_copy_only=False).copy()
    return found


def _offset(text: str) -> int | None:
    """Seconds ahead of UTC; None if the text is no offset."""
    if text in _UTC:
        return 0
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    seconds = int(found["hours"]) * 3600 + int(found["minutes"]) * 60
    return -seconds if found["sign"] == "-" else seconds


def _bools(column: Column) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = column.to_numpy(zero_copy_only=False)
    return found
