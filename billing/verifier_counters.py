"""What is counted in a month: tier schedules with their bounds, and pools of free units and blocks (DESIGN 7)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import ceil, floor

import billing.verifier_usage as given
from billing.verifier_traits import Fill, filling, read_fill
from billing.verifier_usage import CardFaultError, Product, Raw, flag, text, words

_SCHEDULE_WORDS = {
    "mode": ("graduated", "volume"),
    "measure": ("quantity", "events", "amount"),
    "scope": ("billing_account", "account"),
    "window": ("month",),
}

Count = Fraction | int  # where a counter stands: base units, events, or money


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Free units and blocks over what `fill` selects; that of a row itself has none, and takes the row's usage."""

    name: str
    free: Fraction
    block: Fraction
    unit: str
    scope: str
    fill: Fill = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """A tier schedule: `up_to` are the inclusive bounds in `unit`; the last tier is open. Tiers count from 0.

    `size` is how many base units of what fills it are one `unit`. What it prices may have a unit of the same name.
    """

    name: str
    mode: str
    up_to: tuple[Fraction, ...]
    unit: str
    size: int
    measure: str
    scope: str
    fill: Fill
    flats: tuple[Fraction, ...]
    flat_at_zero: bool
    discounts: tuple[Fraction, ...]


def averaged(raw: Raw, days: int) -> Raw:
    """A product in a month of so many days, which are one unit of what is billed by the month's average."""
    unit = text(raw, "average")
    return {**raw, "units": {**given.table(raw, "units"), unit: days}} if unit else raw


@lru_cache(maxsize=4096)
def bounds_of(schedule: Schedule) -> tuple[Fraction | int, ...]:
    """The bounds on the counter: money for amounts, whole base units or events otherwise."""
    if schedule.measure == "amount":
        return schedule.up_to
    return tuple(floor(bound * schedule.size) for bound in schedule.up_to)


def require_unit(schedule: Schedule, product: Product) -> None:
    """Raises CardFaultError for a product that cannot be counted in the schedule's unit."""
    if schedule.measure == "quantity":
        product.size(schedule.unit)


def next_tier(bounds: Sequence[Count], position: Count) -> int:
    """The tier of the next unit: at a bound, which is inclusive, the next one is beyond it."""
    return sum(1 for bound in bounds if bound <= position)


def tier_reached(bounds: Sequence[Count], position: Count) -> int:
    """The tier of the last unit so far; the first one before there is any."""
    return sum(1 for bound in bounds if bound < position)


def cut(bounds: Sequence[Count], position: Count, growth: Count) -> list[tuple[int, Count]]:
    """The units after `position` by the tier each falls in: (tier, how much), in order."""
    parts, end = [], position + growth
    for tier, bound in enumerate((*bounds, end)):
        if position < min(bound, end):
            parts.append((tier, min(bound, end) - position))
            position = min(bound, end)
    return parts


def begun(bounds: Sequence[Count], position: Count, each: Count, units: int) -> dict[int, int]:
    """How many of some units, each of which moves a counter of money so far, begin in which tier: one by one in turn.

    A unit that begins at a bound, which is inclusive, is beyond it.
    """
    found: dict[int, int] = {}
    edges = [ceil(Fraction(bound - position, each)) for bound in bounds]
    for tier, (low, high) in enumerate(pairwise([0, *edges, units])):
        count = min(max(high, 0), units) - min(max(low, 0), units)
        if count > 0:
            found[tier] = count
    return found


def read_schedule(name: str, raw: Raw, products: Iterable[Product]) -> Schedule:
    """A schedule from its table, over units of some of the products."""
    place = f"tiers.{name}"
    lists = {
        key: tuple(given.exact(value, f"{place}.{key}") for value in words(raw.get(key)))
        for key in ("up_to", "flats", "discounts")
    }
    if any(low >= high for low, high in zip((Fraction(0), *lists["up_to"]), lists["up_to"], strict=False)):
        raise CardFaultError(place, "up_to must rise from above 0")
    if {len(lists["flats"]), len(lists["discounts"])} - {0, len(lists["up_to"]) + 1}:
        raise CardFaultError(place, "flats and discounts need one entry per tier, the open one included")
    for key, known in _SCHEDULE_WORDS.items():
        if text(raw, key) not in ("", *known):
            raise CardFaultError(f"{place}.{key}", f"{text(raw, key)!r} is not one of {', '.join(known)}")
    fill, measure, unit = read_fill(raw, place), text(raw, "measure") or "quantity", text(raw, "unit")
    counted = filling(fill, products) if measure == "quantity" else ()
    unit = "" if measure == "amount" else unit  # bounds of money are in the card's currency
    sizes = {product.units[unit] for product in counted if unit in product.units}
    if len(sizes) > 1:
        raise CardFaultError(f"{place}.unit", f"{unit!r} is {sorted(sizes)} base units in what fills it")
    return Schedule(
        name=name, mode=text(raw, "mode") or "graduated", up_to=lists["up_to"], unit=unit, size=max(sizes, default=1),
        measure=measure, scope=text(raw, "scope") or "billing_account",
        fill=fill, flats=lists["flats"], flat_at_zero=flag(raw, "flat_at_zero"),
        discounts=lists["discounts"],
    )  # fmt: skip


def read_pool(name: str, raw: Raw, *, own: bool = False) -> Pool:
    """A named pool, or the one that a row's own `free_units` and `block` stand for."""
    place = f"pools.{name}"
    free, block = given.number(raw, "free_units" if own else "free", place), given.number(raw, "block", place)
    if block and text(raw, "unit") == "event":
        raise CardFaultError(place, "blocks are of a unit of quantity, not of events")
    return Pool(
        name=name, free=free or Fraction(0), block=block or Fraction(0), unit=text(raw, "unit"),
        scope=text(raw, "scope") or "billing_account", fill=() if own else read_fill(raw, place),
    )  # fmt: skip
