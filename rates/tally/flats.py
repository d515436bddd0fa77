"""Flats: due once per counter. Graduated: of each tier entered; volume: of the tier reached.

The card version that rated the usage which entered a tier says what its flat is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rates.lines import FLAT, LineKey, Parts
from rates.money import exact
from rates.tally.counters import Bools, Int64s
from rates.terms import CardTerms, Terms
from rates.tiers import Mode, Schedule

_EPOCH_ORDINAL = 719_163  # date(1970, 1, 1).toordinal(): days in columns count from there


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """A counter's course over the items, as far as flats need it: all columns of n items in chronological order."""

    schedule: Schedule
    unit_size: int
    owner: Int64s
    payer: Int64s
    day: NDArray[np.int32]
    card: NDArray[np.object_]
    moved: Int64s
    start: Int64s
    total: Int64s


def add_flats(parts: Parts, terms: Terms, counter: Entered, payers: Sequence[int]) -> None:
    """Put the flats that are due on their lines; `payers` also names those without usage."""
    cards = terms.defining(counter.schedule.name)
    if not any(any(card.schedules[counter.schedule.name].flats) for card in cards):
        return
    filled = np.zeros(0, dtype=np.int64)
    due: set[tuple[int, int]] = set()
    for card, rows in _by_version(counter, cards):
        for tier, entering in _entering(counter, card.schedules[counter.schedule.name], rows):
            fresh = [row for row in entering.tolist() if (int(counter.owner[row]), tier) not in due]
            due |= {(int(counter.owner[row]), tier) for row in fresh}
            _add(parts, card, counter.schedule.name, tier, counter.payer[np.array(fresh, dtype=np.int64)])
            filled = np.union1d(filled, counter.payer[entering])
    first = cards[0].schedules[counter.schedule.name]
    if first.flat_at_zero:
        idle = np.setdiff1d(np.union1d(np.array(payers, dtype=np.int64), counter.payer), filled)
        _add(parts, cards[0], first.name, 0, idle)


def _by_version(counter: Entered, cards: list[CardTerms]) -> Iterator[tuple[CardTerms, Bools]]:
    """Each version that defines the schedule, and the items it rated or, for other cards' usage, was in force for."""
    names = [card.version for card in cards]
    days = [card.effective_from.toordinal() - _EPOCH_ORDINAL for card in cards]
    in_force = np.maximum(np.searchsorted(days, counter.day, side="right") - 1, 0)
    own = {name: place for place, name in enumerate(names)}
    place = np.array([own.get(card, -1) for card in counter.card.tolist()], dtype=np.int64)
    place = np.where(place < 0, in_force, place)
    for index, card in enumerate(cards):
        yield card, place == index


def _entering(counter: Entered, schedule: Schedule, rows: Bools) -> Iterator[tuple[int, Int64s]]:
    """Each tier, and the items by which a counter enters it (volume: the last ones of counters that reached it)."""
    bounds = schedule.bounds(counter.unit_size)
    moving = np.flatnonzero(rows & (counter.moved > 0))
    start, end = counter.start[moving], (counter.start + counter.moved)[moving]
    lower = np.concatenate([np.zeros(1, dtype=np.int64), bounds])
    reached = np.searchsorted(bounds, counter.total[moving], side="left")
    for tier, edge in enumerate(lower.tolist()):
        if schedule.mode is Mode.VOLUME:
            yield tier, moving[(reached == tier) & (end == counter.total[moving])]
        else:
            yield tier, moving[(start <= edge) & (edge < end)]


def _add(parts: Parts, card: CardTerms, name: str, tier: int, payer: Int64s) -> None:
    flats = card.schedules[name].flats
    if not flats or not flats[tier] or not len(payer):
        return
    line = parts.line(LineKey("", FLAT, "", name, str(tier + 1), exact(flats[tier]), FLAT, 1, FLAT))
    one = np.ones_like(payer)
    parts.add(payer, one * line, one * parts.version(card.version), one * 0, one)
