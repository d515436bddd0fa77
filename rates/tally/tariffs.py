"""Tariffs: the line of each kind of usage in each tier, and usage put on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.lines import Parts
from rates.money import exact
from rates.prices import Price
from rates.tally.counters import Bools, Int64s
from rates.tally.flats import Counter
from rates.tally.items import Items
from rates.tally.kinds import Kinds
from rates.tally.pools import Rest
from rates.tally.rules import Rule, Strand, Version
from rates.tally.spend import cut_by_money
from rates.tiers import Measure, Mode, Schedule, split


class Tariff(NamedTuple):
    """The numbers of lines of kinds: `untiered` [k], and by schedule and card version `tiers` [tiers, k], integers."""

    untiered: NDArray[np.integer]
    tiers: Mapping[tuple[str, str], NDArray[np.integer]]

    @classmethod
    def of(cls, kinds: Kinds, rules: Sequence[Rule], parts: Parts) -> "Tariff":
        """The lines on which kinds may come to be, all of which `parts` knows from then on."""
        for card in kinds.cards[0]:
            parts.version(card)
        return cls(
            untiered=kinds.lines(parts, "", lambda price: None if price.schedule else exact(price.prices[0])),
            tiers={
                (rule.schedule.name, version): np.stack(
                    [
                        kinds.lines(parts, str(tier + 1), partial(_in_tier, version, schedule, tier))
                        for tier in range(schedule.tiers)
                    ]
                )
                for rule in rules
                for version, schedule, _ in rule.versions
            },
        )

    def numbered(self, number: Callable[[NDArray[np.integer]], NDArray[np.integer]]) -> "Tariff":
        """The same lines by other numbers."""
        return Tariff(number(self.untiered), {name: number(lines) for name, lines in self.tiers.items()})

    def numbers(self) -> Iterator[NDArray[np.integer]]:
        """All of them."""
        yield self.untiered
        yield from (lines.ravel() for lines in self.tiers.values())

    def emit_untiered(self, strands: Sequence[Strand], parts: Parts) -> None:
        """Put what no schedule prices on its lines."""
        kinds = strands[0].items.kinds
        if not kinds.is_untiered.any():
            return
        for items, rest in strands:
            untiered = items.where(kinds.is_untiered & ~kinds.is_charge)
            events, charged = rest.events, rest.charged
            if not untiered.all():
                events, charged = np.where(untiered, events, 0), np.where(untiered, charged, 0)
            items.emit(parts, self.untiered, events, charged)
            items.emit_rounded(parts, self.untiered, charged)

    def emit_tiers(self, rule: Rule, strands: Sequence[Strand], parts: Parts, counters: Sequence[Counter]) -> Bools:
        """Put what a counter prices on its tiers; gives the items of the first strand whose order that needs."""
        for version in rule.versions:
            lines = self.tiers[rule.schedule.name, version.version]
            for (items, rest), counter in zip(strands, counters, strict=True):
                by_money = counter.spend is not None and version.schedule.mode is Mode.GRADUATED
                emit = _emit_by_money if by_money else _emit_by_units
                emit(version.schedule, items, parts, rest, counter, lines, items.where(version.priced))
        return unplaced(rule.versions, strands[0].items, counters[0])


def unplaced(versions: Sequence[Version], items: Items, counter: Counter) -> Bools:
    """Items on whose order within the day it depends in which tiers they are."""
    found = np.zeros(len(items.kind), dtype=bool)
    for _, schedule, priced in versions:
        if schedule.mode is Mode.GRADUATED:
            found |= counter.course.crossed(schedule.bounds(counter.unit_size)) & items.where(priced)
    found &= ~items.ordered
    return found


def _in_tier(version: str, schedule: Schedule, tier: int, price: Price) -> Fraction | None:
    """The unit price in a tier of a version's schedule; None for what it does not price."""
    priced = (price.card, price.schedule) == (version, schedule.name)
    return price.unit_price(tier, schedule) if priced else None


def _emit_by_units(
    schedule: Schedule,
    items: Items,
    parts: Parts,
    rest: Rest,
    counter: Counter,
    lines: NDArray[np.integer],
    priced: Bools,
) -> None:
    """Put what a counter prices on its tiers: what begins in one and is cut at its bound goes on in others."""
    first, cut = _tiers_of(schedule, counter, rest, items)
    cut = cut[priced[cut]]
    spread = split(counter.course.start_of(cut), rest.quantity[cut], schedule.bounds(counter.unit_size))
    charged = rest.charged
    if len(cut):
        charged = charged.copy()
        charged[cut] = spread[np.arange(len(cut)), first[cut]]
    if priced.all():
        items.emit_rows(parts, lines, None, first, rest.events, charged)
    else:
        rows = np.flatnonzero(priced)
        items.emit_rows(parts, lines, rows, first[rows], rest.events[rows], charged[rows])
    for tier in range(1, schedule.tiers):
        on = np.flatnonzero(first[cut] < tier)
        items.emit_rows(parts, lines, cut[on], np.full(len(on), tier), np.zeros_like(on), spread[on, tier])


def _emit_by_money(
    schedule: Schedule,
    items: Items,
    parts: Parts,
    rest: Rest,
    counter: Counter,
    lines: NDArray[np.integer],
    priced: Bools,
) -> None:
    """The same of a counter of money, where a unit may lie in several."""
    if counter.spend is None:
        return
    bounds = schedule.bounds(counter.unit_size)
    spread, first, beyond = cut_by_money(counter.spend, counter.course.start, rest.charged, bounds)
    for tier, of_tier in enumerate(lines):
        events = np.where(priced & (first == tier), rest.events, 0)
        items.emit(parts, of_tier, events, np.where(priced, spread[:, tier], 0))
        items.emit_cuts(parts, of_tier, [(at, units) for at, of, units in beyond if of == tier and priced[at]])


def _tiers_of(schedule: Schedule, counter: Counter, rest: Rest, items: Items) -> tuple[NDArray[np.integer], Int64s]:
    """The tier in which each item starts, [n], and which items' units are cut at a bound and go on in others."""
    bounds, by_events = schedule.bounds(counter.unit_size), schedule.measure is Measure.EVENTS
    nowhere = np.empty(0, dtype=np.int64)
    if schedule.mode is Mode.VOLUME:
        return np.searchsorted(bounds, counter.course.total, side="left").astype(np.int64, copy=False), nowhere
    # Counted by events, one is whole: its further parts are in the tier of its first.
    first = counter.course.tiers(bounds)
    if by_events:
        return first[items.head], nowhere
    cut = counter.course.beyond(rest.quantity, bounds)
    return first, cut[counter.filling[cut] & ~items.kinds.per_event[items.kind[cut]]]
