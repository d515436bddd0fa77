"""Pricing: totals, crossings and terms in, invoice lines out. One pure function for every bill there is.

The live statement, the preview, the final invoice and the what-if are `price` on different totals. Money appears
here for the first time: integers are summed, multiplied once by an exact unit price, and rounded once per line.

Order of quantity: free units of pools, then whole blocks, then tiers. Only `usage` is pooled, tiered and fills.
Order of money: prices of tiers, the contract's percent; then, over the rounded lines, maximum, minimum and credits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.lines import LineKey, Parts, PricedLines, Summing, lines_of
from rates.netting import net
from rates.prices import Price
from rates.runs import in_threads
from rates.summing import Sums
from rates.tally.counters import Bools, Int64s
from rates.tally.daily import fits_days
from rates.tally.flats import add_flats
from rates.tally.items import CrossingsIncompleteError, Items, items_by_day, items_of
from rates.tally.kinds import Kinds
from rates.tally.orders import ROWS_AT_ONCE, Stretch, distinct, distinct_days, stretches
from rates.tally.pools import drain, has_pools, undrained
from rates.tally.rules import Rule, Strand, counters_of, rules_of
from rates.tally.tariffs import Tariff, unplaced
from rates.terms import Terms
from rates.tiers import Measure, Mode, Schedule, Scope
from rates.usage import Totals, no_totals


class Wanted(NamedTuple):
    """Days whose events are needed in order: `payer` int64[w] and `day` int32[w]."""

    payer: Int64s
    day: NDArray[np.int32]


class Standing(NamedTuple):
    """Where a counter stands: `position` and `bounds` in units of the counter, of which `unit_size` are one unit.

    `owner` is the payer or the account whose counter it is. Of a counter of money a unit is one of the currency.
    """

    schedule: Schedule
    owner: int
    position: int
    bounds: tuple[int, ...]
    unit_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placements:
    """On which lines each of n events, or totals of a day without order, lies: m parts of them, in no order.

    `rows` are the n, day by day, and `ordered` int64[c] the places of the c events among them, in their order.
    An event that was cut when it was rated is several of the n, one after the other. `event` is int64[m] into them,
    `key` int64[m] into `keys`, `events` (1 on the line on which the event is counted) and `quantity` int64[m].
    `position` is int64[n]: where the counter that prices an event stood before it
    (a volume schedule's: where it ended), in units of the counter, -1 where none does: Python's integers, of which
    `scale` by the counter's name are one of money where it counts that. `cut` is what lies on a line beside quantity
    times price, by event and key: the money of a part of a unit.
    """

    rows: Totals
    ordered: Int64s
    keys: Sequence[LineKey]
    event: Int64s
    key: Int64s
    events: Int64s
    quantity: Int64s
    position: NDArray[Any]
    scale: Mapping[str, int] = field(default_factory=dict)
    cut: Mapping[tuple[int, int], Fraction] = field(default_factory=dict)


def price(
    totals: Totals, crossings: Totals, terms: Terms, *, payers: Sequence[int] = (), rows_at_once: int = ROWS_AT_ONCE
) -> PricedLines:
    """The lines of all payers in `totals`, who share `terms`; `payers` also names those without usage.

    Where the order within days is nothing but for the crossings, some payers are priced at a time, in threads.
    Raises `CrossingsIncompleteError` unless `crossings` holds the ordered events of all `crossing_days`.
    """
    lines, wanted = _priced(totals, crossings, terms, payers, rows_at_once)
    if len(wanted.payer):
        where = f"payer {wanted.payer[0]}, day {wanted.day[0]}"
        raise CrossingsIncompleteError("the events of a crossing day are missing", place=where)
    return net(lines, terms, payers)


def estimate(totals: Totals, terms: Terms, *, payers: Sequence[int] = ()) -> PricedLines:
    """The lines as if the usage of a crossing day had come in the order of its totals: no event is read."""
    return net(_priced(totals, no_totals(), terms, payers, ROWS_AT_ONCE)[0], terms, payers)


def crossing_days(totals: Totals, crossings: Totals, terms: Terms, *, rows_at_once: int = ROWS_AT_ONCE) -> Wanted:
    """The days whose ordered events `price` needs and `crossings` does not hold yet; empty when it has them all.

    Free units decide what is left to fill the counters, so that a second call may want more days than the first.
    """
    if len(crossings):
        some = distinct([crossings.price.astype(np.int64)])
        if not has_pools([terms.prices[number] for number in some.tolist()], terms):
            # Nothing is in a pool on these days, so their order frees no other units: the first call named them all.
            return _wanted([])
    ground = _Ground.of(totals, crossings, terms)

    def missing(stretch: Stretch) -> Wanted:
        strands = ground.strands(stretch, Parts())
        (items, rest), *_ = strands
        found = rest.missing
        for rule in ground.rules:
            counter, *_ = counters_of(rule, strands)
            found = found | unplaced(rule.versions, items, counter) | add_flats(Parts(), items, counter, ())
        return _days(items, found)

    return _wanted(in_threads(missing, ground.stretches(totals, crossings, rows_at_once)))


def standings(totals: Totals, terms: Terms) -> list[Standing]:
    """Where each counter stands that these totals filled, by schedule name and owner."""
    kinds = Kinds.of([totals], terms)
    items = items_of(totals, no_totals(), kinds)
    strands = [Strand(items, drain(items, Parts()))]
    found = []
    for rule in rules_of(kinds):
        (counter,) = counters_of(rule, strands)
        owners, rows = np.unique(counter.owner[counter.filling], return_index=True)
        positions = counter.course.total[counter.filling][rows].tolist()
        size = counter.unit_size
        bounds = tuple(counter.schedule.bounds(size).tolist())
        for owner, position in zip(owners.tolist(), positions, strict=True):
            found.append(Standing(counter.schedule, owner, position, bounds, size))
    return found


def place(totals: Totals, crossings: Totals, terms: Terms) -> Placements:
    """Where one payer's usage of a period came to lie: the events of some days, and of the others their totals.

    `crossings` are these events in chronological order, a row each: those of all `crossing_days`, and of any others.
    """
    kinds, parts = Kinds.of([totals, crossings], terms), Parts()
    rules = list(rules_of(kinds))
    tariff, items = Tariff.of(kinds, rules, parts), items_of(totals, crossings, kinds)
    strands = [Strand(items, drain(items, parts))]
    tariff.emit_untiered(strands, parts)
    position, scale = np.full(len(items.rows), -1, dtype=object), dict[str, int]()
    for rule in rules:
        counters = counters_of(rule, strands)
        tariff.emit_tiers(rule, strands, parts, counters)
        (counter,) = counters
        course, name = counter.course, counter.schedule.name
        stood = course.total if counter.schedule.mode is Mode.VOLUME else course.start
        position = np.where(items.where(kinds.which(partial(_goes_by, name))), stood, position)
        scale |= {name: counter.unit_size}
    _, line, _, counted, quantity, event = parts.columns()
    lines, key = np.unique(line, return_inverse=True)
    cut: dict[tuple[int, int], Fraction] = {}
    for each in parts.cuts:
        at = each.place, int(np.searchsorted(lines, each.line))
        cut[at] = cut.get(at, Fraction(0)) + each.amount
    return Placements(
        rows=items.rows,
        ordered=np.flatnonzero(items.ordered),
        keys=[parts.key(each) for each in lines.tolist()],
        event=event,
        key=key.astype(np.int64, copy=False),
        events=counted,
        quantity=quantity,
        position=position,
        scale=scale,
        cut=cut,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What is known of usage before its rows are looked at: its kinds and the rules of counters.

    `by_day`: no pool and no counter asks for the order of days, so that each day of a payer may be added up.
    """

    kinds: Kinds
    rules: Sequence[Rule]
    by_day: bool

    @classmethod
    def of(cls, totals: Totals, crossings: Totals, terms: Terms) -> "_Ground":
        kinds = Kinds.of([totals, crossings], terms)
        schedules = [each for card in terms.cards.values() for each in card.schedules.values()]
        # Flats, counters of money and those of each account ask for it.
        by_day = (
            not any(any(s.flats) or s.measure is Measure.AMOUNT or s.scope is Scope.ACCOUNT for s in schedules)
            and fits_days(totals.payer, totals.day)
            and not has_pools(kinds.prices, terms)
        )
        return cls(kinds=kinds, rules=list(rules_of(kinds)), by_day=by_day)

    def stretches(self, totals: Totals, crossings: Totals, rows_at_once: int) -> Sequence[Stretch]:
        """Usage of some payers at a time, where what is reckoned of one is nothing to another."""
        return stretches(totals, crossings, rows_at_once) if self.by_day else [Stretch(totals, crossings)]

    def strands(self, stretch: Stretch, parts: Parts) -> list[Strand]:
        """What is priced, free units on their lines. Of the first strand the order within a day may be missing."""
        if self.by_day:
            return [Strand(items, undrained(items)) for items in items_by_day(*stretch, self.kinds)]
        items = items_of(*stretch, self.kinds)
        return [Strand(items, drain(items, parts))]

    def distribute(self, stretch: Stretch, tariff: Tariff, parts: Parts, payers: Sequence[int]) -> Wanted:
        """Put all that is priced on its lines; gives the days whose events that lacks."""
        strands = self.strands(stretch, parts)
        tariff.emit_untiered(strands, parts)
        (items, rest), *_ = strands
        missing = rest.missing
        for rule in self.rules:
            counters = counters_of(rule, strands)
            missing = missing | tariff.emit_tiers(rule, strands, parts, counters)
            missing = missing | add_flats(parts, items, counters[0], payers)
        return _days(items, missing)


def _priced(
    totals: Totals, crossings: Totals, terms: Terms, payers: Sequence[int], rows_at_once: int
) -> tuple[PricedLines, Wanted]:
    """The lines, and the days whose events they lack."""
    ground, parts = _Ground.of(totals, crossings, terms), Parts()
    tariff = Tariff.of(ground.kinds, ground.rules, parts)
    if not ground.by_day:
        wanted = ground.distribute(Stretch(totals, crossings), tariff, parts, payers)
        return lines_of(parts, terms.currency), wanted
    summing = Summing.of(parts, tariff.numbers())
    ranked = tariff.numbered(summing.known.rank)

    def add(stretch: Stretch) -> tuple[Sums, Wanted]:
        own = parts.beside()
        wanted = ground.distribute(stretch, ranked, own, payers)
        return summing.sums(own), wanted

    found = in_threads(add, ground.stretches(totals, crossings, rows_at_once))
    return summing.lines([sums for sums, _ in found], terms.currency), _wanted([wanted for _, wanted in found])


def _wanted(found: Sequence[Wanted]) -> Wanted:
    """All of them."""
    nothing = Wanted(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32))
    return Wanted(*map(np.concatenate, zip(nothing, *found, strict=True)))


def _days(items: Items, missing: Bools) -> Wanted:
    """The days of some items."""
    rows = np.flatnonzero(missing)
    return Wanted(*distinct_days(items.rows.payer[rows], items.rows.day[rows]))


def _goes_by(schedule: str, price: Price) -> bool:
    return price.schedule == schedule
