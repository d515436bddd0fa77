"""Pools: free units and whole blocks, before any tier.

The first units in chronological order are free; what remains of the period is rounded up to whole blocks, once, the
padding on the item of the last unit. Usage is in one pool at most: its row's own, else the first that selects it.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rates.lines import FREE, Parts, key_of
from rates.prices import USAGE, Price
from rates.tally.counters import Bools, Int64s, run
from rates.tally.items import Items
from rates.terms import Terms
from rates.tiers import whole


class Rest(NamedTuple):
    """What pools leave of each item: billable `quantity` and `events` (int64[n]); `missing`: its day lacks an order.

    `charged` is what its price is for: the quantity, or the events where the price is per event.
    """

    quantity: Int64s
    charged: Int64s
    events: Int64s
    missing: Bools


class _Instance(NamedTuple):
    """A pool over the items: who is in it (bool[n]), whose it is (int64[n]), free units and block in base units."""

    members: Bools
    owner: Int64s
    free: int
    block: int


def drain(items: Items, terms: Terms, parts: Parts) -> Rest:
    """Put free units on their lines; what is left goes on to the tiers."""
    left, events = items.rows.quantity.copy(), items.rows.events.copy()
    missing = np.zeros(len(left), dtype=bool)
    whole_events = items.per_event
    for pool in _instances(items, terms):
        if pool.free:
            course = run(np.where(pool.members, left, 0), pool.owner, items.rows.day)
            missing |= pool.members & ~items.ordered & course.crossed(np.array([pool.free]))
            free_part = np.where(pool.members, np.clip(pool.free - course.start, 0, left), 0)
            # A price per event is due once, unless all units of the event are free.
            starts_free = np.where(whole_events, free_part == left, course.start < pool.free)
            free_events = np.where(pool.members & starts_free, events, 0)
            kinds = zip(items.prices, items.countries, strict=True)
            lines = [parts.line(key_of(price, country, FREE, Fraction(0))) for price, country in kinds]
            items.emit(parts, lines, free_events, np.where(whole_events, free_events, free_part))
            left, events = left - free_part, events - free_events
        if pool.block:
            missing |= _pad(items, pool, left)
    return Rest(left, np.where(whole_events, events, left), events, missing)


def _instances(items: Items, terms: Terms) -> Iterator[_Instance]:
    own = [_own_pool(price) for price in items.prices]
    for shared in sorted({pool for pool in own if pool}):
        members = items.where([pool == shared for pool in own])
        yield _Instance(members, items.rows.payer, shared[2], shared[3])
    pooled = [bool(pool) for pool in own]
    for pool in terms.pools().values():
        taken = [fits and not already for fits, already in zip(items.taken_by(pool.fill), pooled, strict=True)]
        pooled = [already or fits for already, fits in zip(pooled, taken, strict=True)]
        size = terms.unit_size(pool.unit, pool.fill)
        free, block = whole(pool.free, size), whole(pool.block, size)
        yield _Instance(items.where(taken), items.scope(pool.scope), free, block)


def _own_pool(price: Price) -> tuple[str, str, int, int] | None:
    """The pool that a row's `free_units` and `block` stand for: of its product and destination."""
    if price.element != USAGE or not (price.free_units or price.block):
        return None
    free, block = whole(price.free_units, price.unit_size), whole(price.block, price.unit_size)
    return price.product, price.destination, free, block


def _pad(items: Items, pool: _Instance, left: Int64s) -> Bools:
    """Round each owner's remaining quantity up to whole blocks; returns items whose order the padding needs."""
    rows = np.flatnonzero(pool.members & (left > 0))
    missing = np.zeros(len(left), dtype=bool)
    for owner in np.unique(pool.owner[rows]):
        own = rows[pool.owner[rows] == owner]
        last_day = own[items.rows.day[own] == items.rows.day[own[-1]]]
        missing[last_day] = (len(np.unique(items.kind[last_day])) > 1) & ~items.ordered[last_day]
        left[own[-1]] += -int(left[own].sum()) % pool.block
    return missing
