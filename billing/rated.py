"""Usage with its ratings: who pays, what it comes to, and why some of it waits in quarantine."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from billing.assignment import NOBODY, Assigned, Assignment
from billing.reselling import is_resold
from billing.usage import Usage
from rates.matching import Books
from rates.products import Product
from rates.rating import CODES, Ratings, Reason, rate
from rates.usage import Int32s, Int64s, UsageColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """n usage events: `account` and `payer` are numbers of the store (int32[n], -1 for none)."""

    usage: Usage
    account: Int32s
    payer: Int32s
    ratings: Ratings

    def __len__(self) -> int:
        return len(self.usage)

    def take(self, rows: Int64s) -> Self:
        """Some of the events, in the order given."""
        return type(self)(
            usage=self.usage.take(rows),
            account=self.account[rows],
            payer=self.payer[rows],
            ratings=_taken(self.ratings, rows),
        )


def rate_usage(usage: Usage, assignment: Assignment, books: Books, products: Mapping[str, Product]) -> Rated:
    """Rate usage with the books of its accounts. What nobody owns or what came too late is quarantined."""
    resold = is_resold(usage.source) if assignment.resells else None
    assigned = assignment.assign(usage.account, usage.occurred_at, resold)
    ratings = rate(columns_of(usage, assigned, products), books, products)
    if assigned.all_pay and not usage.too_old.any():
        return Rated(usage=usage, account=assigned.account, payer=assigned.payer, ratings=ratings)
    reason = ratings.reason.copy()
    reason[assigned.payer == NOBODY] = CODES[Reason.NO_PAYER]
    reason[assigned.account == NOBODY] = CODES[Reason.UNKNOWN_ACCOUNT]
    reason[usage.too_old] = CODES[Reason.TOO_OLD]
    return Rated(usage=usage, account=assigned.account, payer=assigned.payer, ratings=_refused(ratings, reason))


def columns_of(usage: Usage, assigned: Assigned, products: Mapping[str, Product]) -> UsageColumns:
    """Usage as the kernel rates it, with the books of its accounts."""
    names = tuple(products)
    place = {name: code for code, name in enumerate(names)}
    codes = np.array([place.get(name, NOBODY) for name in usage.product.values], dtype=np.int64)
    return usage.to_rate(products=names, product=codes[usage.product.codes], book=assigned.book)


def _taken(ratings: Ratings, rows: Int64s) -> Ratings:
    place = np.full(len(ratings.reason), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    kept = np.flatnonzero(place[ratings.extra_event] >= 0)
    kept = kept[np.argsort(place[ratings.extra_event[kept]], kind="stable")]
    return Ratings(
        rate=ratings.rate[rows],
        price=ratings.price[rows],
        country=ratings.country[rows],
        billed=ratings.billed[rows],
        reason=ratings.reason[rows],
        extra_event=place[ratings.extra_event[kept]],
        extra_rate=ratings.extra_rate[kept],
        extra_price=ratings.extra_price[kept],
        extra_billed=ratings.extra_billed[kept],
        extra_events=ratings.extra_events[kept],
    )


def _refused(ratings: Ratings, reason: NDArray[np.int8]) -> Ratings:
    """The ratings with other reasons; what is quarantined has no price and no elements."""
    changed = replace(ratings, reason=reason)
    out = changed.is_quarantined
    kept = np.flatnonzero(~out[ratings.extra_event])
    return replace(
        changed,
        rate=np.where(out, -1, ratings.rate),
        price=np.where(out, np.int32(-1), ratings.price),
        billed=np.where(out, 0, ratings.billed),
        extra_event=ratings.extra_event[kept],
        extra_rate=ratings.extra_rate[kept],
        extra_price=ratings.extra_price[kept],
        extra_billed=ratings.extra_billed[kept],
        extra_events=ratings.extra_events[kept],
    )
