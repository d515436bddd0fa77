"""Totals: sums of rated usage by payer, account, price, country and day. Integers only, so the order is nothing.

Sums of sums are sums: `Totals` may be split, joined and summed again in any order and come to the same.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.matching import Book, Books
from rates.packing import Packing, joined, room
from rates.products import Product
from rates.quantities import require_headroom
from rates.rating import REASONS, Ratings, rate
from rates.usage import MICROSECONDS_A_DAY, Totals, UsageColumns

Int64s = NDArray[np.int64]

_CHUNK = 1 << 18


def elements(ratings: Ratings, columns: UsageColumns, payer: Int64s, account: Int64s) -> Totals:
    """Every priced element as a row of its own: the usage of the events in their order, then what comes beside it.

    Of what is cut into several parts, the event is counted with the first.

    `payer` and `account` are int64[n], of each event.
    """
    usage = np.flatnonzero(ratings.price >= 0)
    event = np.concatenate([usage, ratings.extra_event])
    return Totals(
        payer=payer[event],
        account=account[event],
        price=np.concatenate([ratings.price[usage], ratings.extra_price]),
        country=ratings.country[event],
        day=(columns.occurred_at[event] // MICROSECONDS_A_DAY).astype(np.int32),
        events=np.concatenate([np.ones(len(usage), dtype=np.int64), ratings.extra_events]),
        quantity=np.concatenate([ratings.billed[usage], ratings.extra_billed]),
    )


def summed(rows: Totals) -> Totals:
    """The same sums with one row a key, in the order of keys. Raises `QuantityOverflowError`."""
    if not len(rows):
        return rows
    order = np.lexsort((rows.day, rows.country, rows.price, rows.account, rows.payer))
    rows = rows.take(order)
    new = np.zeros(len(rows), dtype=np.bool_)
    new[0] = True
    for column in (rows.payer, rows.account, rows.price, rows.country, rows.day):
        new[1:] |= column[1:] != column[:-1]
    first = np.flatnonzero(new)
    return Totals(
        payer=rows.payer[first],
        account=rows.account[first],
        price=rows.price[first],
        country=rows.country[first],
        day=rows.day[first],
        events=sums_of(rows.events, first, "events"),
        quantity=sums_of(rows.quantity, first, "a quantity"),
    )


def rate_totals(
    columns: UsageColumns,
    books: Sequence[Book],
    products: Mapping[str, Product],
    payer: Int64s,
    account: Int64s,
    *,
    threads: int = 2,
    events_at_once: int = _CHUNK,
) -> tuple[Totals, Int64s]:
    """The sums of `elements`, without keeping the ratings, and the events by reason, int64[len(REASONS)].

    For rating again what was rated before, as with other cards: there only the sums are asked for. Whoever stores the
    events or tells of each, as `rate` does, has no use for it. Takes 8 bytes an event and what the keys take. Raises
    `QuantityOverflowError`.
    """
    ready = Books.of(books)
    packing = Packing.of(columns.occurred_at, payer, account, *ready.price_ids)
    found = tally(columns, ready, products, payer, account, packing, threads=threads, events_at_once=events_at_once)
    return found.totals, found.reasons


class Tally(NamedTuple):
    """What n events come to: sums, events by reason (int64[len(REASONS)]), and the rows of what waits, int64[w]."""

    totals: Totals
    reasons: Int64s
    waiting: Int64s


def tally(
    columns: UsageColumns,
    books: Books,
    products: Mapping[str, Product],
    payer: Int64s,
    account: Int64s,
    packing: Packing,
    *,
    threads: int = 2,
    events_at_once: int = _CHUNK,
) -> Tally:
    """As `rate_totals`, of one part of the events after the other: `packing` is that of them all."""
    with ThreadPoolExecutor(threads) as pool:

        def rated(start: int) -> _Chunk:
            some = slice(start, start + events_at_once)
            usage = columns.take(some)
            ratings = rate(usage, books, products)
            packed, rest = packing.pack(elements(ratings, usage, payer[some], account[some]))
            reasons = np.bincount(ratings.reason, minlength=len(REASONS))
            return _Chunk(packed, rest, reasons, start + np.flatnonzero(ratings.is_quarantined))

        chunks = list(pool.map(rated, range(0, len(columns), events_at_once)))
        ranges = list(pool.map(packing.merged, packing.ranges([chunk.packed for chunk in chunks])))
        found, stretches = room(ranges)
        list(pool.map(packing.write, ranges, stretches))
    rest = [chunk.rest for chunk in chunks if len(chunk.rest)]
    reasons = np.zeros(len(REASONS), dtype=np.int64)
    for chunk in chunks:
        reasons += chunk.reasons
    totals = summed(joined([found, *rest])) if rest else packing.ordered(found)
    return Tally(totals, reasons, np.concatenate([np.empty(0, np.int64), *(chunk.waiting for chunk in chunks)]))


class _Chunk(NamedTuple):
    packed: Int64s
    rest: Totals
    reasons: Int64s
    waiting: Int64s


def sums_of(values: Int64s, first: Int64s, what: str) -> Int64s:
    """The sums of runs that begin at `first`. Halves are summed apart, so that nothing overflows unseen."""
    low = np.add.reduceat(values & 0xFFFFFFFF, first)
    high = np.add.reduceat(values >> 32, first) + (low >> 32)
    largest = max(abs(int(high.max())), abs(int(high.min()))) if len(first) else 0
    require_headroom(largest << 32 | 0xFFFFFFFF, what)
    sums: Int64s = (high << 32) + (low & 0xFFFFFFFF)
    return sums
