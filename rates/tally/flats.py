"""Flats: due once per counter. Graduated: of each tier entered; volume: of the tier reached.

The card version that rated the usage which entered a tier says what its flat is; where its card does not define the
schedule, the first one of the book that does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rates.lines import FLAT, LineKey, Parts
from rates.money import exact
from rates.tally.counters import Bools, Int64s, Run
from rates.tally.daily import DailyRun
from rates.tally.items import Items
from rates.tally.spend import Integers, Spend
from rates.tally.versions import Said
from rates.terms import CardTerms
from rates.tiers import Mode, Schedule, edges_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A named counter over n items: whose it is, which items fill it and by how much, where it stands before each.

    `unit_size` of what it counts are one of its unit. `spend` is what items add to a counter of money, None of others;
    `at_zero` is the version whose flat is due where nothing fills it.
    """

    schedule: Schedule
    unit_size: int
    owner: Int64s
    filling: Bools
    moved: Integers
    course: Run | DailyRun
    said: Said
    at_zero: CardTerms | None
    spend: Spend | None = None


def add_flats(parts: Parts, items: Items, counter: Counter, payers: Sequence[int]) -> Bools:
    """Put the flats that are due on their lines; `payers` also names those without usage.

    Returns the items whose order within the day decides whose flat it is.
    """
    name = counter.schedule.name
    missing = np.zeros(len(items.kind), dtype=bool)
    if not any(any(card.schedules[name].flats) for card in counter.said.cards):
        return missing
    filled = np.unique(items.rows.payer[counter.moved > 0])
    first: dict[tuple[int, int], tuple[int, int]] = {}
    for place, card in enumerate(counter.said.cards):
        for tier, row in _entering(counter, card.schedules[name], counter.said.place == place):
            owner = int(counter.owner[row])
            first[owner, tier] = min(first.get((owner, tier), (row, place)), (row, place))
    for (_, tier), (row, place) in sorted(first.items()):
        _add(parts, counter.said.cards[place], name, tier, items.billed[row : row + 1])
    if counter.at_zero is not None:
        idle = np.setdiff1d(np.union1d(np.array(payers, dtype=np.int64), items.rows.payer), filled)
        _add(parts, counter.at_zero, name, 0, idle)
    if len(counter.said.cards) > 1:
        missing = _disputed(items, counter)
    return missing


def _disputed(items: Items, counter: Counter) -> Bools:
    """Items that are not in order, on days on which a tier is entered and several versions rated what may enter it."""
    moving = counter.moved > 0
    # What moves nothing, such as a setup fee, comes in no order, and would be asked for again and again.
    several = counter.said.differ(items, moving, counter.owner) & moving & ~items.ordered
    if not several.any():
        return several
    course, name = counter.course, counter.schedule.name
    # For volume the day of the last unit; for graduated also that of the first, and the first of each version.
    entered: Bools = (course.day_end == course.total) | (course.day_start == 0)
    for place, card in enumerate(counter.said.cards):
        bounds = card.schedules[name].bounds(counter.unit_size)
        entered |= course.crossed(bounds) | _first_day(items, counter, counter.said.place == place)
    entered &= several
    return entered


def _first_day(items: Items, counter: Counter, rows: Bools) -> Bools:
    """Items of the day on which some items first move their counter."""
    moving = np.flatnonzero(rows & (counter.moved > 0))
    _, first = np.unique(counter.owner[moving], return_index=True)
    day = counter.owner * (1 << 20) + items.rows.day
    found: Bools = np.isin(day, day[moving[first]])
    return found


def _entering(counter: Counter, schedule: Schedule, rows: Bools) -> Iterator[tuple[int, int]]:
    """Each tier with the first item of each counter that has units in it (volume: its last, in the tier reached)."""
    bounds = schedule.bounds(counter.unit_size)
    moving = np.flatnonzero(rows & (counter.moved > 0))
    start, end = counter.course.start[moving], (counter.course.start + counter.moved)[moving]
    total = counter.course.total[moving]
    reached = np.searchsorted(bounds, total, side="left")
    edges = edges_of(bounds, end)
    for tier in range(schedule.tiers):
        if schedule.mode is Mode.VOLUME:
            entering = moving[(reached == tier) & (end == total)]
        else:
            inside = moving[(start < edges[tier + 1]) & (edges[tier] < end)]
            entering = inside[np.unique(counter.owner[inside], return_index=True)[1]]
        yield from ((tier, row) for row in entering.tolist())


def _add(parts: Parts, card: CardTerms, name: str, tier: int, payer: Int64s) -> None:
    flats = card.schedules[name].flats
    if not flats or not flats[tier] or not len(payer):
        return
    line = parts.line(LineKey("", FLAT, "", name, str(tier + 1), exact(flats[tier]), FLAT, 1, FLAT))
    one = np.ones_like(payer)
    parts.add(payer, one * line, one * parts.version(card.version), one * 0, one)
