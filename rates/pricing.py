"""Pricing: totals, crossings and terms in, invoice lines out. One pure function for every bill there is.

The live statement, the preview, the final invoice and the what-if are `price` on different totals. Money appears
here for the first time: integers are summed, multiplied once by an exact unit price, and rounded once per line.

Order of quantity: free units of pools, then whole blocks, then tiers. Only `usage` is pooled, tiered and fills.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.counters import Bools, Int64s, Run, run
from rates.errors import TollbookError
from rates.lines import LineKey, Parts, PricedLines, lines_of
from rates.money import exact
from rates.numbering import COUNTRIES
from rates.prices import USAGE, Price
from rates.terms import Terms
from rates.tiers import Measure, Mode, Schedule, Scope, selected, split, tier_of, whole
from rates.usage import Totals, no_totals

FLAT = "flat"
FREE = "free"


class CrossingsIncompleteError(TollbookError):
    """Events of a crossing day are missing, or do not add up to the day's totals."""


class Wanted(NamedTuple):
    """Days whose events are needed in order: `payer` int64[w] and `day` int32[w]."""

    payer: Int64s
    day: NDArray[np.int32]


class Standing(NamedTuple):
    """Where a counter stands: `position` and `bounds` in units of the counter, of which `unit_size` are one unit.

    `owner` is the payer or the account whose counter it is.
    """

    schedule: Schedule
    owner: int
    position: int
    bounds: tuple[int, ...]
    unit_size: int


@dataclass(slots=True)
class _Items:
    """What is priced, in chronological order within each payer, and the distinct (price, country) kinds of it."""

    rows: Totals
    kind: Int64s
    prices: list[Price]
    countries: list[str]
    ordered: Bools

    def where(self, wanted: Sequence[bool]) -> Bools:
        """Items whose kind is wanted."""
        return np.array(wanted, dtype=bool)[self.kind] if len(self.kind) else np.zeros(0, dtype=bool)

    def scope(self, scope: Scope) -> Int64s:
        """The payer or the account of each item."""
        return self.rows.payer if scope is Scope.BILLING_ACCOUNT else self.rows.account


def price(totals: Totals, crossings: Totals, terms: Terms, *, payers: Sequence[int] = ()) -> PricedLines:
    """The lines of all payers in `totals`, who share `terms`; `payers` also names those without usage.

    Raises `CrossingsIncompleteError` unless `crossings` holds the ordered events of all `crossing_days`.
    """
    parts, wanted = _distribute(totals, crossings, terms, payers)
    if len(wanted.payer):
        where = f"payer {wanted.payer[0]}, day {wanted.day[0]}"
        raise CrossingsIncompleteError("the events of a crossing day are missing", place=where)
    return lines_of(parts, terms.currency)


def estimate(totals: Totals, terms: Terms, *, payers: Sequence[int] = ()) -> PricedLines:
    """The lines as if the usage of a crossing day had come in the order of its totals: no event is read."""
    return lines_of(_distribute(totals, no_totals(), terms, payers)[0], terms.currency)


def crossing_days(totals: Totals, crossings: Totals, terms: Terms) -> Wanted:
    """The days whose ordered events `price` needs and `crossings` does not hold yet; empty when it has them all.

    Free units decide what is left to fill the counters, so that a second call may want more days than the first.
    """
    return _distribute(totals, crossings, terms, ())[1]


def standings(totals: Totals, terms: Terms) -> list[Standing]:
    """Where each counter stands that these totals filled, by schedule name and owner."""
    items = _items(totals, no_totals(), terms)
    left, _, _ = _pools(items, terms, Parts())
    found = []
    for _, schedule in sorted(terms.schedules().items()):
        filling = items.where(_filling(items, schedule))
        course = _course(items, schedule, filling, left)
        owners, rows = np.unique(items.scope(schedule.scope)[filling], return_index=True)
        size = _bound_size(terms, schedule)
        bounds = tuple(schedule.bounds(size).tolist())
        positions = course.total[filling][rows].tolist()
        found += [Standing(schedule, o, at, bounds, size) for o, at in zip(owners.tolist(), positions, strict=True)]
    return found


def _filling(items: _Items, schedule: Schedule) -> list[bool]:
    return [
        price.element == USAGE and selected(schedule.fill, price.product, country, price.number_type)
        for price, country in zip(items.prices, items.countries, strict=True)
    ]


def _course(items: _Items, schedule: Schedule, filling: Bools, left: Int64s) -> Run:
    moved = left if schedule.measure is Measure.QUANTITY else items.rows.events
    return run(np.where(filling, moved, 0), items.scope(schedule.scope), items.rows.day)


def _distribute(totals: Totals, crossings: Totals, terms: Terms, payers: Sequence[int]) -> tuple[Parts, Wanted]:
    items = _items(totals, crossings, terms)
    parts = Parts()
    left, events, missing = _pools(items, terms, parts)
    missing |= _tiers(items, terms, parts, left, events, payers)
    wanted = np.unique(np.stack([items.rows.payer[missing], items.rows.day[missing]], axis=1), axis=0)
    return parts, Wanted(wanted[:, 0], wanted[:, 1].astype(np.int32))


def _items(totals: Totals, crossings: Totals, terms: Terms) -> _Items:
    rows = _replace_ordered(totals, crossings, terms)
    ordered = np.concatenate([np.zeros(len(rows) - len(crossings), dtype=bool), np.ones(len(crossings), dtype=bool)])
    order = np.lexsort((rows.day, rows.payer))
    rows, ordered = rows.take(order), ordered[order]
    pairs = rows.price.astype(np.int64) * len(COUNTRIES) + rows.country
    distinct, kind = np.unique(pairs, return_inverse=True)
    price_ids, countries = np.divmod(distinct, len(COUNTRIES))
    return _Items(
        rows=rows,
        kind=kind,
        prices=[terms.prices[p] for p in price_ids.tolist()],
        countries=[COUNTRIES[c] for c in countries.tolist()],
        ordered=ordered,
    )


def _replace_ordered(totals: Totals, crossings: Totals, terms: Terms) -> Totals:
    """The totals with the usage of ordered days replaced by its events."""
    if not len(crossings):
        return totals
    usage = [p for p in np.unique(totals.price).tolist() if terms.prices[p].element == USAGE]
    days = np.unique(_payer_days(crossings))
    replaced = np.isin(_payer_days(totals), days) & np.isin(totals.price, usage)
    if _sum(totals.quantity[replaced]) != _sum(crossings.quantity) or _sum(totals.events[replaced]) != len(crossings):
        raise CrossingsIncompleteError("ordered events do not add up to the totals of their days", place="crossings")
    return totals.take(~replaced).plus(crossings)


def _payer_days(totals: Totals) -> Int64s:
    return totals.payer * (1 << 20) + totals.day


def _sum(column: Int64s) -> int:
    return int(column.sum())


def _pools(items: _Items, terms: Terms, parts: Parts) -> tuple[Int64s, Int64s, Bools]:
    """What free units and blocks leave: billable quantity and events of each item, and items that lack their order."""
    left, events = items.rows.quantity.copy(), items.rows.events.copy()
    missing = np.zeros(len(left), dtype=bool)
    for members, scope, free, block in _pool_instances(items, terms):
        course = run(np.where(members, left, 0), scope, items.rows.day)
        if free:
            missing |= members & ~items.ordered & course.crossed(np.array([free]))
        free_part = np.where(members, np.clip(free - course.start, 0, left), 0)
        free_events = np.where(members & (course.start < free), events, 0)
        _emit_free(items, parts, free_part, free_events)
        left, events = left - free_part, events - free_events
        if block:
            missing |= _pad(items, members, scope, block, left)
    return left, events, missing


def _pool_instances(items: _Items, terms: Terms) -> list[tuple[Bools, Int64s, int, int]]:
    instances = []
    for pool in terms.pools().values():
        size = terms.unit_size(pool.unit)
        inside = [
            price.element == USAGE and selected(pool.fill, price.product, country, price.number_type)
            for price, country in zip(items.prices, items.countries, strict=True)
        ]
        instances.append(
            (items.where(inside), items.scope(pool.scope), whole(pool.free, size), whole(pool.block, size))
        )
    for own in sorted({_own_pool(price) for price in items.prices if price.free_units or price.block}):
        product, destination, free, block = own
        inside = [(p.product, p.destination) == (product, destination) and p.element == USAGE for p in items.prices]
        instances.append((items.where(inside), items.rows.payer, free, block))
    return instances


def _own_pool(price: Price) -> tuple[str, str, int, int]:
    """The pool that a row's `free_units` and `block` stand for: of its product and destination."""
    return (
        price.product,
        price.destination,
        whole(price.free_units, price.unit_size),
        whole(price.block, price.unit_size),
    )


def _emit_free(items: _Items, parts: Parts, quantity: Int64s, events: Int64s) -> None:
    lines = [parts.line(_key(p, c, FREE, Fraction(0))) for p, c in zip(items.prices, items.countries, strict=True)]
    _emit(items, parts, lines, events, quantity)


def _emit(items: _Items, parts: Parts, lines: list[int], events: Int64s, quantity: Int64s) -> None:
    versions = [parts.version(price.card) for price in items.prices]
    line, version = np.array(lines, dtype=np.int64), np.array(versions, dtype=np.int64)
    if len(items.kind):
        parts.add(items.rows.payer, line[items.kind], version[items.kind], events, quantity)


def _pad(items: _Items, members: Bools, scope: Int64s, block: int, left: Int64s) -> Bools:
    """Round each scope's remaining quantity up to whole blocks, the padding on the item of the last unit."""
    rows = np.flatnonzero(members & (left > 0))
    missing = np.zeros(len(left), dtype=bool)
    for owner in np.unique(scope[rows]):
        own = rows[scope[rows] == owner]
        last_day = own[items.rows.day[own] == items.rows.day[own[-1]]]
        missing[last_day] = (len(np.unique(items.kind[last_day])) > 1) & ~items.ordered[last_day]
        left[own[-1]] += -_sum(left[own]) % block
    return missing


def _tiers(items: _Items, terms: Terms, parts: Parts, left: Int64s, events: Int64s, payers: Sequence[int]) -> Bools:
    """Put what is left on its tiers; returns the items whose order within the day is missing."""
    missing = np.zeros(len(left), dtype=bool)
    _emit_plain(items, parts, left, events)
    for name, schedule in sorted(terms.schedules().items()):
        filling = items.where(_filling(items, schedule))
        course = _course(items, schedule, filling, left)
        _emit_flats(items, terms, parts, schedule, course, payers)
        for version in sorted({p.card for p in items.prices if p.schedule == name}):
            priced = items.where([p.card == version and p.schedule == name for p in items.prices])
            own = terms.cards[version].schedules[name]
            bounds = own.bounds(_bound_size(terms, own))
            if own.mode is Mode.GRADUATED:
                missing |= priced & ~items.ordered & course.crossed(bounds)
            spread, first = _spread(own, course, bounds, left, filling)
            _emit_tiers(items, parts, own, priced, spread, np.where(priced, events, 0), first)
    return missing


def _bound_size(terms: Terms, schedule: Schedule) -> int:
    return 1 if schedule.measure is Measure.EVENTS else terms.unit_size(schedule.unit)


def _spread(schedule: Schedule, course: Run, bounds: Int64s, left: Int64s, filling: Bools) -> tuple[Int64s, Int64s]:
    """The units of each item by tier, int64[n, tiers], and the tier in which the item starts."""
    if schedule.mode is Mode.VOLUME:
        first = np.searchsorted(bounds, course.total, side="left")
    else:
        first = tier_of(course.start, bounds)
    whole_items = (first[:, None] == np.arange(schedule.tiers)) * left[:, None]
    if schedule.mode is Mode.VOLUME or schedule.measure is Measure.EVENTS:
        return whole_items, first
    return np.where(filling[:, None], split(course.start, left, bounds), whole_items), first


def _emit_plain(items: _Items, parts: Parts, left: Int64s, events: Int64s) -> None:
    plain = items.where([not price.schedule for price in items.prices])
    pairs = zip(items.prices, items.countries, strict=True)
    lines = [parts.line(_key(p, c, "", exact(p.prices[0]))) for p, c in pairs]
    _emit(items, parts, lines, np.where(plain, events, 0), np.where(plain, left, 0))


def _emit_tiers(
    items: _Items,
    parts: Parts,
    schedule: Schedule,
    priced: Bools,
    spread: Int64s,
    events: Int64s,
    first: Int64s,
) -> None:
    for tier in range(schedule.tiers):
        lines = [
            parts.line(_key(p, c, str(tier + 1), p.unit_price(tier, schedule))) if p.schedule == schedule.name else 0
            for p, c in zip(items.prices, items.countries, strict=True)
        ]
        _emit(items, parts, lines, np.where(first == tier, events, 0), np.where(priced, spread[:, tier], 0))


def _emit_flats(
    items: _Items, terms: Terms, parts: Parts, schedule: Schedule, course: Run, payers: Sequence[int]
) -> None:
    """One flat a counter and tier entered (volume: the tier reached); tier 1's also at zero where it says so."""
    if not any(schedule.flats):
        return
    _, firsts = np.unique(items.scope(schedule.scope), return_index=True)
    payer, total = items.rows.payer[firsts], course.total[firsts]
    if schedule.flat_at_zero:
        idle = np.setdiff1d(np.array(payers, dtype=np.int64), payer)
        payer, total = np.concatenate([payer, idle]), np.concatenate([total, np.zeros_like(idle)])
    else:
        payer, total = payer[total > 0], total[total > 0]
    reached = np.searchsorted(schedule.bounds(_bound_size(terms, schedule)), total, side="left")
    version = max((c for c in terms.cards.values() if schedule.name in c.schedules), key=lambda c: c.effective_from)
    for tier, flat in enumerate(schedule.flats):
        entered = payer[reached == tier] if schedule.mode is Mode.VOLUME else payer[reached >= tier]
        line = parts.line(LineKey("", FLAT, "", schedule.name, str(tier + 1), exact(flat), "counter", 1, "counter"))
        ones = np.ones_like(entered)
        parts.add(entered, ones * line, ones * parts.version(version.version), ones * 0, ones * bool(flat))


def _key(price: Price, country: str, tier: str, unit_price: Fraction) -> LineKey:
    return LineKey(
        price.product,
        price.element,
        country,
        price.destination,
        tier,
        unit_price,
        price.unit,
        price.unit_size,
        price.base,
    )
