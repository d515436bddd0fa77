"""What is my price now: what the next unit of some usage costs an account, and what it takes to get to the next price.

The same counters and the same tiers as a bill has (`rates.pricing`), and the same words for where they stand as a
statement (`billing.statements`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from math import lcm

import numpy as np

from billing.invoices import peoples_quantity
from billing.periods import Period
from billing.statements import TierProgress, progress
from rates.lines import FREE, Parts
from rates.money import exact, format_fraction
from rates.numbering import COUNTRIES
from rates.prices import EVENT, Price
from rates.pricing import Standing, standings
from rates.tally.items import items_of
from rates.tally.kinds import Kinds
from rates.tally.pools import drain
from rates.terms import Terms
from rates.tiers import Measure, Mode, Schedule, Scope, whole
from rates.usage import TOTALS, Totals, no_totals

_PLENTY = 1 << 40
"""More base units than any pool has free."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Usage that is asked about: who pays it and whose it is, its price and its country by their numbers, and when."""

    payer: int
    account: int
    price: int
    country: int
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentPrice:
    """What the next unit costs now. Prices are exact, per `unit`, as `format_fraction` writes them.

    `base_price` is the first price of the row, as the card lists it; `current_price` that of the tier in which the next
    unit is, after all percents; `next_price` that of the tier after it. `progress` is where the counter stands that
    decides on the tier, None where no schedule does. `free_left` are units that are free before any of it counts, in
    `unit`; "" where no pool takes such usage, or its price is per event.
    """

    destination: str
    unit: str
    base_price: str
    current_price: str
    next_price: str
    progress: TierProgress | None
    free_left: str


def current_price(asked: Asked, totals: Totals, terms: Terms, period: Period, account: str) -> CurrentPrice:
    """The price of the next unit of some usage: `totals` are all of its payer's in the period, `account` its own name.

    Needs no order of events, which does not change where counters stand.
    """
    price = terms.prices[asked.price]
    schedule, left = terms.schedule_of(price), terms.left_of(price, COUNTRIES[asked.country], asked.payer, asked.day)
    stands = None if schedule is None else _standing(schedule, asked, standings(totals, terms), terms)
    found = None if stands is None else progress(stands, account, terms.currency)
    tier = 0 if found is None else found.tier - 1
    more = found is not None and found.tier < found.tiers
    return CurrentPrice(
        destination=price.destination,
        unit=price.unit,
        base_price=format_fraction(exact(price.prices[0])),
        current_price=format_fraction(price.unit_price(tier, schedule) * left),
        next_price=format_fraction(price.unit_price(tier + 1, schedule) * left) if more else "",
        progress=found,
        free_left=_free_left(asked, price, totals, terms, period),
    )


def _standing(schedule: Schedule, asked: Asked, found: Sequence[Standing], terms: Terms) -> Standing:
    """Where the counter stands that prices the usage, with the bounds of the version that would rate it."""
    owner = asked.account if schedule.scope is Scope.ACCOUNT else asked.payer
    own = next((each for each in found if (each.schedule.name, each.owner) == (schedule.name, owner)), None)
    size, position = (_size(schedule, terms), 0) if own is None else (own.unit_size, own.position)
    return Standing(schedule, owner, position, tuple(schedule.bounds(size).tolist()), size)


def _size(schedule: Schedule, terms: Terms) -> int:
    """Of what a counter that nothing has filled counts, how many are one of its unit."""
    if schedule.measure is Measure.AMOUNT:
        return lcm(*(exact(bound).denominator for bound in schedule.up_to))
    return terms.unit_size(schedule.unit, schedule.fill) if schedule.measure is Measure.QUANTITY else 1


def _free_left(asked: Asked, price: Price, totals: Totals, terms: Terms, period: Period) -> str:
    """How many units are still free: of plenty more usage at the end of the month, what pools would take."""
    pools = [pool for card in terms.cards.values() for pool in card.pools.values() if pool.free]
    if price.unit == EVENT or not (price.free_units or pools):
        return ""
    first = (max(asked.day, period.start) - _EPOCH).days
    day = max(first, int(totals.day.max(initial=first)))
    row = (asked.payer, asked.account, asked.price, asked.country, day, 1, _PLENTY)
    kinds = no_totals()
    more = Totals(
        **{name: np.array([value], dtype=getattr(kinds, name).dtype) for name, value in zip(TOTALS, row, strict=True)}
    )
    if not _free(more, terms):
        return ""
    return peoples_quantity(_free(totals.plus(more), terms) - _free(totals, terms), price.unit_size)


def _free(totals: Totals, terms: Terms) -> int:
    """How many base units pools give free."""
    parts = Parts()
    drain(items_of(totals, no_totals(), Kinds.of([totals], terms)), parts)
    numbers, place = np.unique(parts.columns()[1], return_inverse=True)
    free = np.array([parts.key(number).tier == FREE for number in numbers.tolist()], dtype=bool)
    return int(parts.columns()[4][free[place]].sum())


def tier_at(schedule: Schedule, position: int, size: int) -> int:
    """The tier (from 0) that a statement tells of a counter at a position, of which `size` are one of its units."""
    graduated = schedule.mode is Mode.GRADUATED
    return sum(bound < position + graduated for bound in _bounds(schedule.up_to, size))


@lru_cache(maxsize=4096)
def _bounds(up_to: tuple[Decimal, ...], size: int) -> tuple[int, ...]:
    return tuple(whole(bound, size) for bound in up_to)
