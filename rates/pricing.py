"""Pricing: totals, crossings and terms in, invoice lines out. One pure function for every bill there is.

The live statement, the preview, the final invoice and the what-if are `price` on different totals. Money appears
here for the first time: integers are summed, multiplied once by an exact unit price, and rounded once per line.

Order of quantity: free units of pools, then whole blocks, then tiers. Only `usage` is pooled, tiered and fills.
Order of money: prices of tiers, the contract's percent; then, over the rounded lines, maximum, minimum and credits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.lines import LineKey, Parts, PricedLines, lines_of
from rates.money import exact
from rates.netting import net
from rates.prices import Price
from rates.tally.counters import Bools, Int64s, Run, run
from rates.tally.daily import DailyRun, Moves, fits_days, run_by_day
from rates.tally.flats import Counter, add_flats
from rates.tally.items import CrossingsIncompleteError, Items, items_by_day, items_of
from rates.tally.orders import distinct_days
from rates.tally.pools import Rest, drain, has_pools
from rates.tally.spend import Spend, cut_by_money, spend_of
from rates.tally.versions import said_by
from rates.terms import CardTerms, Terms
from rates.tiers import Measure, Mode, Schedule, Scope, split
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


def price(totals: Totals, crossings: Totals, terms: Terms, *, payers: Sequence[int] = ()) -> PricedLines:
    """The lines of all payers in `totals`, who share `terms`; `payers` also names those without usage.

    Raises `CrossingsIncompleteError` unless `crossings` holds the ordered events of all `crossing_days`.
    """
    parts, wanted = _distribute(totals, crossings, terms, payers)
    if len(wanted.payer):
        where = f"payer {wanted.payer[0]}, day {wanted.day[0]}"
        raise CrossingsIncompleteError("the events of a crossing day are missing", place=where)
    return net(lines_of(parts, terms.currency), terms, payers)


def estimate(totals: Totals, terms: Terms, *, payers: Sequence[int] = ()) -> PricedLines:
    """The lines as if the usage of a crossing day had come in the order of its totals: no event is read."""
    return net(lines_of(_distribute(totals, no_totals(), terms, payers)[0], terms.currency), terms, payers)


def crossing_days(totals: Totals, crossings: Totals, terms: Terms) -> Wanted:
    """The days whose ordered events `price` needs and `crossings` does not hold yet; empty when it has them all.

    Free units decide what is left to fill the counters, so that a second call may want more days than the first.
    """
    if len(crossings) and not has_pools(crossings, terms):
        # Nothing is in a pool on these days, so their order frees no other units: the first call named them all.
        return Wanted(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32))
    strands = _strands(totals, crossings, terms, Parts())
    items, missing = strands[0].items, strands[0].rest.missing
    for counter, *_ in _counters(strands, terms):
        name = counter.schedule.name
        for version in _versions(items, name):
            priced = _priced_by(items, version, name)
            missing = missing | _unplaced(terms.cards[version].schedules[name], items, counter, priced)
        missing = missing | add_flats(Parts(), items, counter, ())
    return _wanted(items, missing)


def standings(totals: Totals, terms: Terms) -> list[Standing]:
    """Where each counter stands that these totals filled, by schedule name and owner."""
    items = items_of(totals, no_totals(), terms)
    found = []
    for (counter,) in _counters([_Strand(items, drain(items, terms, Parts()))], terms):
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
    items, parts = items_of(totals, crossings, terms), Parts()
    strands = [_Strand(items, drain(items, terms, parts))]
    _emit_untiered(strands, parts)
    position, scale = np.full(len(items.rows), -1, dtype=object), dict[str, int]()
    for counters in _counters(strands, terms):
        _emit_tiers(strands, terms, parts, counters)
        (counter,) = counters
        course, name = counter.course, counter.schedule.name
        stood = course.total if counter.schedule.mode is Mode.VOLUME else course.start
        position = np.where(items.where([price.schedule == name for price in items.prices]), stood, position)
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


class _Strand(NamedTuple):
    """Items, and what pools leave of them."""

    items: Items
    rest: Rest


def _strands(totals: Totals, crossings: Totals, terms: Terms, parts: Parts) -> list[_Strand]:
    """All that is priced, its free units on their lines. Of the first strand the order within a day may be missing."""
    apart = items_by_day if _needs_no_order(totals, terms) else _in_one
    return [_Strand(items, drain(items, terms, parts)) for items in apart(totals, crossings, terms)]


def _in_one(totals: Totals, crossings: Totals, terms: Terms) -> list[Items]:
    return [items_of(totals, crossings, terms)]


def _distribute(totals: Totals, crossings: Totals, terms: Terms, payers: Sequence[int]) -> tuple[Parts, Wanted]:
    parts = Parts()
    strands = _strands(totals, crossings, terms, parts)
    _emit_untiered(strands, parts)
    items, missing = strands[0].items, strands[0].rest.missing
    for counters in _counters(strands, terms):
        missing = missing | _emit_tiers(strands, terms, parts, counters)
        missing = missing | add_flats(parts, items, counters[0], payers)
    return parts, _wanted(items, missing)


def _needs_no_order(totals: Totals, terms: Terms) -> bool:
    """Whether no pool and no counter asks for the order of days, so that each day of a payer may be added up.

    Flats, counters of money and those of each account do.
    """
    schedules = [each for card in terms.cards.values() for each in card.schedules.values()]
    if any(any(s.flats) or s.measure is Measure.AMOUNT or s.scope is Scope.ACCOUNT for s in schedules):
        return False
    return fits_days(totals.payer, totals.day) and not has_pools(totals, terms)


def _wanted(items: Items, missing: Bools) -> Wanted:
    """The days of some items."""
    rows = np.flatnonzero(missing)
    return Wanted(*distinct_days(items.rows.payer[rows], items.rows.day[rows]))


def _counters(strands: Sequence[_Strand], terms: Terms) -> Iterator[list[Counter]]:
    """Each counter, as each strand sees it."""
    for name, schedule in sorted(terms.schedules().items()):
        stated = [card.schedules[name] for card in terms.cards.values() if name in card.schedules]
        taken = strands[0].items.taken_by(schedule.fill)
        said = [said_by(items, terms, partial(_has_schedule, name)) for items, _ in strands]
        filling = [items.where(taken) & (each.place >= 0) for (items, _), each in zip(strands, said, strict=True)]
        moves = [_moved(schedule, *each, stated) for each in zip(strands, filling, strict=True)]
        size = terms.unit_size(schedule.unit, schedule.fill) if schedule.measure is Measure.QUANTITY else 1
        size = moves[0].spend.scale if moves[0].spend is not None else size
        courses = _courses(strands, schedule, [each.moved for each in moves], [each.bounds(size) for each in stated])
        yield [
            Counter(
                schedule=schedule,
                unit_size=size,
                owner=strand.items.scope(schedule.scope),
                filling=filling[at],
                moved=moves[at].moved,
                course=courses[at],
                said=said[at],
                at_zero=terms.due_at_zero(name),
                spend=moves[at].spend,
            )
            for at, strand in enumerate(strands)
        ]


class _Moved(NamedTuple):
    """By how much each of n items moves a counter; of a counter of money, what it counts."""

    moved: NDArray[Any]
    spend: Spend | None


def _moved(schedule: Schedule, strand: _Strand, filling: Bools, stated: Sequence[Schedule]) -> _Moved:
    items, rest = strand
    if schedule.measure is Measure.AMOUNT:
        spend = spend_of(items, filling, rest.charged, stated)
        return _Moved(spend.each * rest.charged, spend)
    moves = _paid_events(items, rest) if schedule.measure is Measure.EVENTS else rest.quantity
    return _Moved(moves if filling.all() else np.where(filling, moves, 0), None)


def _courses(
    strands: Sequence[_Strand], schedule: Schedule, moved: Sequence[NDArray[Any]], bounds: Sequence[NDArray[Any]]
) -> Sequence[Run | DailyRun]:
    moves = [
        Moves(fill, items.scope(schedule.scope), items.rows.day, items.replaced)
        for (items, _), fill in zip(strands, moved, strict=True)
    ]
    if strands[0].items.as_they_come:
        return run_by_day(moves, bounds)
    return [run(each.fill, each.scope, each.day) for each in moves]


def _paid_events(items: Items, rest: Rest) -> Int64s:
    """The events of items that fill counters of events: free units fill none, and so no event of nothing else does."""
    paid = rest.quantity > 0
    if items.is_further.any():
        np.logical_or.at(paid, items.head, rest.quantity > 0)
    return np.where(paid, items.rows.events, 0)


def _has_schedule(name: str, card: CardTerms) -> bool:
    return name in card.schedules


def _emit_untiered(strands: Sequence[_Strand], parts: Parts) -> None:
    for items, rest in strands:
        wanted = [not price.schedule for price in items.prices]
        if not any(wanted):
            return
        untiered = items.where(wanted)
        lines = items.lines(parts, "", lambda price: None if price.schedule else exact(price.prices[0]))
        untiered = untiered & ~items.is_charge
        events, charged = rest.events, rest.charged
        if not untiered.all():
            events, charged = np.where(untiered, events, 0), np.where(untiered, charged, 0)
        items.emit(parts, lines, events, charged)
        items.emit_rounded(parts, lines, charged)


def _emit_tiers(strands: Sequence[_Strand], terms: Terms, parts: Parts, counters: Sequence[Counter]) -> Bools:
    """Put what a counter prices on its tiers; returns the items of the first strand whose order that needs."""
    name = counters[0].schedule.name
    missing = np.zeros(len(strands[0].items.kind), dtype=bool)
    for version in _versions(strands[0].items, name):
        schedule = terms.cards[version].schedules[name]
        of_tier = [partial(_in_tier, version, schedule, tier) for tier in range(schedule.tiers)]
        lines = [strands[0].items.lines(parts, str(tier), price_of) for tier, price_of in enumerate(of_tier, start=1)]
        for (items, rest), counter in zip(strands, counters, strict=True):
            priced = _priced_by(items, version, name)
            if items is strands[0].items:
                missing |= _unplaced(schedule, items, counter, priced)
            by_money = counter.spend is not None and schedule.mode is Mode.GRADUATED
            emit = _emit_by_money if by_money else _emit_by_units
            emit(schedule, items, parts, rest, counter, lines, priced)
    return missing


def _emit_by_units(
    schedule: Schedule,
    items: Items,
    parts: Parts,
    rest: Rest,
    counter: Counter,
    lines: Sequence[Int64s],
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
    lines: Sequence[Int64s],
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


def _versions(items: Items, schedule: str) -> list[str]:
    """The card versions whose prices go by a schedule."""
    return sorted({price.card for price in items.prices if price.schedule == schedule})


def _priced_by(items: Items, version: str, schedule: str) -> Bools:
    """Items that a card version prices by a schedule."""
    return items.where([(price.card, price.schedule) == (version, schedule) for price in items.prices])


def _unplaced(schedule: Schedule, items: Items, counter: Counter, priced: Bools) -> Bools:
    """Items on whose order within the day it depends in which tiers they are."""
    if schedule.mode is not Mode.GRADUATED:
        return np.zeros(len(priced), dtype=bool)
    unplaced = counter.course.crossed(schedule.bounds(counter.unit_size))
    unplaced &= priced
    unplaced &= ~items.ordered
    return unplaced


def _in_tier(version: str, schedule: Schedule, tier: int, price: Price) -> Fraction | None:
    """The unit price in a tier of a version's schedule; None for what it does not price."""
    priced = (price.card, price.schedule) == (version, schedule.name)
    return price.unit_price(tier, schedule) if priced else None


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
    return first, cut[counter.filling[cut] & ~items.per_event[cut]]
