"""Tier schedules: what fills a counter, where its bounds are, which tier a unit falls into.

The counter axis (what fills it: the schedule's `fill`) is separate from the price axis (what each rate costs per
tier). Positions and bounds are integers of the counter: base units, or events. A bound is inclusive: with bounds
`[500]` the 500th unit is in tier 1 and the 501st in tier 2, so tier k holds the positions `(bounds[k-1], bounds[k]]`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rates.errors import Fault
from rates.money import exact
from rates.reading import Reader

Int64s = NDArray[np.int64]

AXIS = ("unit", "measure", "scope", "fill", "mode")
"""What decides which counter a schedule has, where it stands, and whose tier counts: each unit's, or the month's."""

_WHOLE_PERCENT = 100
_HALF_OF_INT64 = 1 << 62


class Mode(StrEnum):
    """Each unit at its own tier, or all units at the tier that the window's counter reached."""

    GRADUATED = "graduated"
    VOLUME = "volume"


class Measure(StrEnum):
    """What moves the counter."""

    QUANTITY = "quantity"
    EVENTS = "events"
    AMOUNT = "amount"


class Scope(StrEnum):
    """Whose usage moves one counter: the payer's with all its subaccounts, or each account's own."""

    BILLING_ACCOUNT = "billing_account"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A set of prices by their product, country and number type; an empty condition takes everything."""

    product: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    number_type: tuple[str, ...] = ()

    def takes_product(self, product: str) -> bool:
        """Whether some usage of this product is selected."""
        return _any_matches(self.product, product)

    def takes(self, product: str, country: str, number_type: str) -> bool:
        """Whether usage of this kind is selected; `*` in a pattern stands for any run of characters."""
        return (
            self.takes_product(product)
            and _any_matches(self.country, country)
            and _any_matches(self.number_type, number_type)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Thresholds and mode of one named counter, as one card version states them.

    `up_to` are the inclusive bounds in `unit`; the last tier is open, so there are `len(up_to) + 1` tiers. `flats`
    are due once per counter, `discounts` are percents off each row's price.
    """

    name: str
    mode: Mode
    up_to: tuple[Decimal, ...]
    unit: str
    measure: Measure
    scope: Scope
    fill: tuple[Selector, ...]
    flats: tuple[Decimal, ...] = ()
    flat_at_zero: bool = False
    discounts: tuple[Decimal, ...] = ()

    @property
    def tiers(self) -> int:
        """How many tiers there are."""
        return len(self.up_to) + 1

    @property
    def axis(self) -> tuple[object, ...]:
        """What all cards of a book that define this name must agree on, in the order of `AXIS`."""
        return (self.unit, self.measure, self.scope, frozenset(self.fill), self.mode)

    def bounds(self, unit_size: int) -> NDArray[Any]:
        """The bounds as integers of the counter, [tiers - 1]; `unit_size` base units are one `unit`.

        int64, or Python's integers where a counter of money needs them. Raises ValueError where a bound is not a whole
        number of base units.
        """
        found = [whole(bound, unit_size) for bound in self.up_to]
        return integers(found, max(found, default=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Free units and whole blocks over all that `fill` selects, once a month and scope.

    Free units are the first ones in chronological order; what remains is rounded up to whole blocks, once.
    """

    name: str
    free: Decimal
    block: Decimal
    unit: str
    scope: Scope
    fill: tuple[Selector, ...]


def axis_faults(cards: Iterable[tuple[str, Mapping[str, Schedule]]]) -> list[Fault]:
    """Where cards that rate one account, by their names and schedules, count otherwise under the same name.

    They share the counter of that name; the first card that states it is taken at its word.
    """
    first: dict[str, tuple[str, Schedule]] = {}
    faults = []
    for card, schedules in cards:
        for name, schedule in schedules.items():
            other, stated = first.setdefault(name, (card, schedule))
            pairs = zip(AXIS, schedule.axis, stated.axis, strict=True)
            if differ := [key for key, here, there in pairs if here != there]:
                problem = f"counts otherwise than in card {other}, in {', '.join(differ)}"
                remedy = "cards that share a schedule name share its counter: let them agree, or take another name"
                faults.append(Fault(place=f"card {card}: tiers.{name}", value="", problem=problem, remedy=remedy))
    return faults


def whole(quantity: Decimal, unit_size: int) -> int:
    """`quantity` units as base units; ValueError where that is not a whole number."""
    base = exact(quantity) * unit_size
    if base.denominator != 1:
        raise ValueError(f"{quantity} is not a whole number of base units")
    return base.numerator


def integers(values: list[int], most: int) -> NDArray[Any]:
    """Values as int64 where what is reckoned with them comes to `most`, and 64 bits hold that; else as they are."""
    return np.array(values, dtype=np.int64 if most < _HALF_OF_INT64 else object)


def edges_of(bounds: NDArray[Any], end: NDArray[Any]) -> NDArray[Any]:
    """Where each tier begins, and where the last one that anything up to `end` is in is over: [tiers + 1]."""
    last = int(bounds[-1]) if len(bounds) else 0
    return np.array([0, *bounds.tolist(), max(last, int(end.max(initial=0))) + 1], dtype=np.result_type(bounds, end))


def tier_of(positions: NDArray[Any], bounds: NDArray[Any]) -> Int64s:
    """The tier (from 0) of the unit that follows each position, `int64[n]`."""
    return np.searchsorted(bounds, positions, side="right").astype(np.int64, copy=False)


def split(start: Int64s, quantity: Int64s, bounds: Int64s) -> Int64s:
    """How many of the units `(start, start + quantity]` fall into each tier: `int64[n, tiers]`."""
    edges = np.concatenate([[0], bounds, [np.iinfo(np.int64).max]])
    reached = np.clip((start + quantity)[:, None], edges[:-1], edges[1:])
    spread: Int64s = reached - np.clip(start[:, None], edges[:-1], edges[1:])
    return spread


def read_schedule(read: Reader, name: str) -> Schedule:
    """The schedule of the table `tiers.NAME`; faults go to the reader."""
    measure = Measure(read.choice("measure", tuple(Measure), Measure.QUANTITY))
    schedule = Schedule(
        name=name,
        mode=Mode(read.choice("mode", tuple(Mode), Mode.GRADUATED)),
        up_to=read.decimals("up_to"),
        unit=read.text("unit", "" if measure is Measure.AMOUNT else None),
        measure=measure,
        scope=Scope(read.choice("scope", tuple(Scope), Scope.BILLING_ACCOUNT)),
        fill=read_selectors(read, "fill"),
        flats=read.decimals("flats"),
        flat_at_zero=read.flag("flat_at_zero"),
        discounts=read.decimals("discounts"),
    )
    read.choice("window", ("month",), "month")
    read.finish()
    _check(schedule, read)
    return schedule


def read_pool(read: Reader, name: str) -> Pool:
    """The pool of the table `pools.NAME`; faults go to the reader."""
    pool = Pool(
        name=name,
        free=read.decimal("free", "0"),
        block=read.decimal("block", "0"),
        unit=read.text("unit"),
        scope=Scope(read.choice("scope", tuple(Scope), Scope.BILLING_ACCOUNT)),
        fill=read_selectors(read, "fill"),
    )
    read.finish()
    if pool.free < 0 or pool.block < 0:
        read.fault("free" if pool.free < 0 else "block", "is negative", "free units and blocks are not below zero")
    if not pool.fill:
        read.fault("fill", "selects nothing", 'write fill = [{product = "..."}]')
    return pool


def read_selectors(read: Reader, key: str) -> tuple[Selector, ...]:
    """The selectors of the list at `key`."""
    selectors = []
    for item in read.each(key):
        selectors.append(
            Selector(
                product=item.texts("product"),
                country=item.texts("country"),
                number_type=item.texts("number_type"),
            )
        )
        item.finish()
    return tuple(selectors)


def selected(selectors: tuple[Selector, ...], product: str, country: str, number_type: str) -> bool:
    """Whether any of the selectors takes usage of this kind."""
    return any(selector.takes(product, country, number_type) for selector in selectors)


def _any_matches(patterns: tuple[str, ...], value: str) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)


def _check(schedule: Schedule, read: Reader) -> None:
    for i, (below, bound) in enumerate(zip((Decimal(0), *schedule.up_to), schedule.up_to, strict=False)):
        if bound <= below:
            place = read.at(f"up_to[{i}]")
            problem = f"is not above {below}" if i == 0 else f"{bound} is not above {below}"
            read.faults.append(
                Fault(place=place, value=str(bound), problem=problem, remedy="bounds rise and begin above 0")
            )
    for key in ("flats", "discounts"):
        given = len(getattr(schedule, key))
        if given not in {0, schedule.tiers}:
            read.fault(key, f"has {given} values for {schedule.tiers} tiers", "give one per tier")
    if any(not 0 <= percent <= _WHOLE_PERCENT for percent in schedule.discounts):
        read.fault("discounts", "has a percent outside 0 to 100", "a discount is a percent off the price")
    if any(flat < 0 for flat in schedule.flats):
        read.fault("flats", "has one below 0", "a flat charges; give money back as a credit")
    if schedule.flat_at_zero and schedule.scope is Scope.ACCOUNT:
        read.fault("flat_at_zero", "with a counter for each account is not rated by this version", "remove it")
    if not schedule.fill:
        read.fault("fill", "selects nothing", "a counter that nothing fills never leaves tier 1")
