"""Pools: free units and whole blocks, before any tier.

The first units in chronological order are free; what remains of the period is rounded up to whole blocks, once, the
padding on the item of the last unit. Usage is in one pool at most: its row's own, else the first that selects it. Like
a counter, a pool runs on across card versions; how many units are free, and how large a block is, says the version
that rated the usage, else the first one of the book that has a pool for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rates.lines import FREE, Parts
from rates.prices import USAGE, Price
from rates.tally.counters import Bools, Int64s, run
from rates.tally.items import Items
from rates.tally.versions import raters_of, speakers
from rates.terms import Terms
from rates.tiers import Pool, Scope, whole


class Rest(NamedTuple):
    """What pools leave of each item: billable `quantity` and `events` (int64[n]); `missing`: its day lacks an order.

    `charged` is what its price is for: the quantity, or the events where the price is per event.
    """

    quantity: Int64s
    charged: Int64s
    events: Int64s
    missing: Bools


class _Instance(NamedTuple):
    """A pool over n items: who is in it (bool[n]), whose it is, free units and block in base units (int64[n])."""

    members: Bools
    owner: Int64s
    free: Int64s
    block: Int64s


def drain(items: Items, parts: Parts) -> Rest:
    """Put free units on their lines; what is left goes on to the tiers."""
    left, events = items.rows.quantity, items.rows.events
    missing = np.zeros(len(left), dtype=bool)
    whole_events = items.where(items.kinds.per_event)
    for pool in _instances(items):
        if (pool.free[pool.members] > 0).any():
            course = run(np.where(pool.members, left, 0), pool.owner, items.rows.day)
            missing |= pool.members & ~items.ordered & course.crossed(np.unique(pool.free[pool.members]))
            free_part = np.where(pool.members, np.clip(pool.free - course.start, 0, left), 0)
            # A price per event is due once, unless all units of the event are free.
            starts_free = np.where(whole_events, free_part == left, course.start < pool.free)
            free_events = np.where(pool.members & starts_free, events, 0)
            lines = items.kinds.lines(parts, FREE, lambda _: Fraction(0))
            items.emit(parts, lines, free_events, np.where(whole_events, free_events, free_part))
            left, events = left - free_part, events - free_events
        if (pool.block[pool.members] > 0).any():
            padding, unordered = _padding(items, pool, left)
            left, missing = left + padding, missing | unordered
    return Rest(left, np.where(whole_events, events, left) if whole_events.any() else left, events, missing)


def undrained(items: Items) -> Rest:
    """All of them, where nothing is in a pool."""
    left, events = items.rows.quantity, items.rows.events
    charged = np.where(items.where(items.kinds.per_event), events, left) if items.kinds.per_event.any() else left
    return Rest(left, charged, events, np.zeros(len(left), dtype=bool))


def has_pools(prices: Iterable[Price], terms: Terms) -> bool:
    """Whether usage of these prices may be in a pool, a card's or its row's own."""
    return any(card.pools for card in terms.cards.values()) or any(_own_pool(price)[0] for price in prices)


def _instances(items: Items) -> Iterator[_Instance]:
    kinds = items.kinds
    own = [_own_pool(price) for price in kinds.prices]
    for shared in sorted({name for name, _, _ in own if name}):
        numbers = np.array([(free, block) for _, free, block in own], dtype=np.int64)[items.kind]
        members = np.array([name == shared for name, _, _ in own], dtype=np.bool_)
        yield _Instance(items.where(members), items.rows.payer, *numbers.T)
    pools = list(dict.fromkeys(pool for _, card in sorted(kinds.terms.cards.items()) for pool in card.pools.values()))
    if pools:
        # What is rounded event by event is charged already: no pool takes it.
        unpooled = np.array([not name for name, _, _ in own], dtype=np.bool_) & ~kinds.is_rounded
        yield from _named(items, pools, unpooled)


def _named(items: Items, pools: Sequence[Pool], unpooled: Bools) -> Iterator[_Instance]:
    """The pools that cards name. Pools of one name share their units, whichever of them takes an item."""
    chosen = _chosen(items, pools, unpooled)
    sizes = [items.kinds.terms.unit_size(pool.unit, pool.fill) for pool in pools]
    free = np.array([whole(pool.free, size) for pool, size in zip(pools, sizes, strict=True)], dtype=np.int64)[chosen]
    block = np.array([whole(pool.block, size) for pool, size in zip(pools, sizes, strict=True)], dtype=np.int64)[chosen]
    by_account = np.array([pool.scope is Scope.ACCOUNT for pool in pools], dtype=np.bool_)[chosen]
    owner = np.where(by_account, items.rows.account, items.rows.payer)
    for name in sorted({pool.name for pool in pools}):
        same = np.array([*(pool.name == name for pool in pools), False], dtype=np.bool_)
        yield _Instance(same[chosen], owner, free, block)


def _chosen(items: Items, pools: Sequence[Pool], unpooled: Bools) -> Int64s:
    """The pool of each item, int64[n] into `pools`, -1 for none: the first that selects it, of whoever has the word.

    `unpooled` are the kinds whose rows have no pool of their own, and may be in one.
    """
    places = {pool: place for place, pool in enumerate(pools)}
    taken = {pool.fill: items.kinds.taken_by(pool.fill) & unpooled for pool in pools}
    raters = raters_of(items.kinds)
    chosen = np.full((len(items.kinds.books), len(items.kinds)), -1, dtype=np.int64)
    for at, book in enumerate(items.kinds.books):
        for number, rater in enumerate(raters.cards):
            own = raters.of_kind == number
            for pool in reversed([pool for card in speakers(rater, book) for pool in card.pools.values()]):
                chosen[at, own & taken[pool.fill]] = places[pool]
    found: Int64s = chosen[items.book, items.kind]
    return found


def _own_pool(price: Price) -> tuple[tuple[str, str] | None, int, int]:
    """The pool that a row's `free_units` and `block` stand for: of its product and destination."""
    if price.element != USAGE or not (price.free_units or price.block):
        return None, 0, 0
    name = (price.product, price.destination)
    return name, whole(price.free_units, price.unit_size), whole(price.block, price.unit_size)


def _padding(items: Items, pool: _Instance, left: Int64s) -> tuple[Int64s, Bools]:
    """What rounds each owner's remaining quantity up to whole blocks, and the items whose order that needs."""
    padding, missing = np.zeros_like(left), np.zeros(len(left), dtype=bool)
    rows = np.flatnonzero(pool.members & (left > 0))
    rows = rows[np.argsort(pool.owner[rows], kind="stable")]
    if not len(rows):
        return padding, missing
    owner = pool.owner[rows]
    first = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    counts = np.diff(np.append(first, len(rows)))
    last = rows[first + counts - 1]
    block = pool.block[last]
    padding[last] = np.where(block > 0, -np.add.reduceat(left[rows], first) % np.maximum(block, 1), 0)
    on_last_day = items.rows.day[rows] == np.repeat(items.rows.day[last], counts)
    other_kind = on_last_day & (items.kind[rows] != np.repeat(items.kind[last], counts))
    mixed = np.repeat(np.logical_or.reduceat(other_kind, first), counts)
    missing[rows[on_last_day & mixed]] = True
    return padding, missing & ~items.ordered
