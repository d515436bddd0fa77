"""Changes of the totals in the store: what usage adds to them, or takes from them, as rows of `unfolded`."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from billing.store.binary import Columns
from billing.store.bulk import Table
from rates.numbering import COUNTRIES
from rates.quantities import INT64_MAX
from rates.rating import Ratings
from rates.usage import MICROSECONDS_A_DAY, Int32s, Int64s, Totals

CHANGES = ("payer_id", "account_id", "price_id", "day", "country", "events", "quantity")
"""The columns of `unfolded`."""

_COUNTRIES = pa.array(COUNTRIES, pa.string())
_COUNTRY_BITS = 10
_DAY_BITS = 21
_ACCOUNT_BITS = 32


def changes_of(ratings: Ratings, occurred_at: Int64s, payer: Int32s, account: Int32s) -> tuple[Totals, Int64s]:
    """What the elements of n events add to the totals, a row for each element, and the event of each (int64[m])."""
    priced = np.flatnonzero(ratings.price >= 0)
    event = np.concatenate([priced, ratings.extra_event])
    changes = Totals(
        payer=payer[event].astype(np.int64),
        account=account[event].astype(np.int64),
        price=np.concatenate([ratings.price[priced], ratings.extra_price]),
        country=ratings.country[event],
        day=(occurred_at[event] // MICROSECONDS_A_DAY).astype(np.int32),
        events=np.concatenate([np.ones(len(priced), dtype=np.int64), ratings.extra_events]),
        quantity=np.concatenate([ratings.billed[priced], ratings.extra_billed]),
    )
    return changes, event


def summed(changes: Totals) -> Totals:
    """Changes of totals, those of one key added up; those apart whose sum could leave 64 bits.

    One charge in units of 10^-12 is as large as all the minutes of a month.
    """
    bound = INT64_MAX // max(len(changes), 1)
    small = (changes.quantity <= bound) & (changes.quantity >= -bound)
    if small.all():
        return _added_up(changes)
    return _added_up(changes.take(small)).plus(changes.take(~small))


def columns_of(changes: Totals) -> Columns:
    """Changes of totals as columns of `unfolded`."""
    columns = (
        changes.payer.astype(np.int32),
        changes.account.astype(np.int32),
        changes.price,
        changes.day.astype("datetime64[D]"),
        countries_of(changes.country),
        changes.events,
        changes.quantity,
    )
    return dict(zip(CHANGES, columns, strict=True))


def countries_of(codes: NDArray[np.int16]) -> Table:
    """Countries by their codes, as an Arrow array of texts."""
    return _COUNTRIES.take(pa.array(codes))


def _added_up(changes: Totals) -> Totals:
    if len(changes) < 2:  # noqa: PLR2004 - there is nothing to be added up
        return changes
    # All that a sum is of, in two integers: a sort by two columns is sooner done than one by five.
    who = (changes.payer << _ACCOUNT_BITS) | changes.account
    what = changes.price.astype(np.int64) << _COUNTRY_BITS | changes.country
    what = what << _DAY_BITS | changes.day
    order = np.lexsort((what, who))
    who, what = who[order], what[order]
    first = np.flatnonzero(np.append(True, (who[1:] != who[:-1]) | (what[1:] != what[:-1])))
    sums = changes.take(order[first])
    events, quantity = (np.add.reduceat(column[order], first) for column in (changes.events, changes.quantity))
    return Totals(
        payer=sums.payer,
        account=sums.account,
        price=sums.price,
        country=sums.country,
        day=sums.day,
        events=events,
        quantity=quantity,
    )
