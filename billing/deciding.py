"""Whether usage may begin: what is known of it and of its account held against budgets and guards. Nothing is read.

All that speaks against it is told, not only the first: whoever releases one rule sees what would stop it next.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import NamedTuple

from billing.guards import Guard, Kind, Release, unit_price
from billing.triggers import Measure, Trigger
from rates.money import EXPONENTS, Currency, format_fraction, format_minor
from rates.prices import Price

BUDGET, STATE, ACCOUNT, PRICE = "budget", "state", "account", "price"
"""What may speak against usage beside guards: a trigger that stops; that nobody knows how things stand; its account,
which is not known or suspended; that it has no price.
"""


_UNEVALUATED = "so nobody can tell whether it lets this pass: set it again, remove it, or release the account from it"


class WhenStale(StrEnum):
    """What is said where nobody knows how things stand: yes, by what is known, with a warning, or no."""

    OPEN = "fail_open"
    CLOSED = "fail_closed"


class Refusal(NamedTuple):
    """What speaks against usage: the rule by its name, what kind of rule it is, and why, in words."""

    rule: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Usage that is to begin, as it would be rated. `path`: its account and those above it.

    `base` is what a unit of its `price` costs as the card lists it. `quantity`, billable, and `cost`, in major units,
    are what is expected of it, 0 where nothing is. `number` are the digits that are called, 0 for none.
    """

    path: tuple[str, ...]
    product: str
    country: str
    destination: str
    number: int
    currency: str
    price: Price
    base: Fraction
    quantity: int
    cost: Fraction
    at: datetime

    @property
    def cost_minor(self) -> Fraction:
        """The expected cost in minor units, exactly."""
        return self.cost * int(10 ** EXPONENTS[Currency(self.currency)])


class Budget(NamedTuple):
    """A trigger that stops, and what its window came to when it was looked at last."""

    trigger: Trigger
    used: int


class Owed(NamedTuple):
    """What a month of a payer comes to, in minor units, invoiced or not."""

    month: str
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """How things stand with a payer: what is spent on a country on the day, what its months come to, and of which
    (country, destination) it had usage in earlier months.
    """

    spent: Mapping[str, int]
    owed: Sequence[Owed]
    known: Collection[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether usage may begin, and all that speaks against it. Prices are exact, per `unit`, as texts.

    `expected_cost`: what is expected of it would cost, at the price of the next unit; "" where nothing is expected.
    `age` is that of the state by which it was decided, None where there is none; `is_stale`: it was too old.
    `warnings`: what nobody could tell, where that does not speak against it (`WhenStale.OPEN`).
    """

    account: str
    product: str
    at: datetime
    allow: bool = True
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[Refusal, ...] = ()
    payer: str = ""
    country: str = ""
    destination: str = ""
    currency: str = ""
    unit: str = ""
    base_price: str = ""
    current_price: str = ""
    expected_cost: str = ""
    age: timedelta | None = None
    is_stale: bool = False


def refusals(
    wanted: Wanted,
    budgets: Sequence[Budget],
    guards: Sequence[Guard],
    stands: Stands,
    releases: Mapping[str, Sequence[Release]],
    units: Callable[[str], int | None],
) -> Iterator[Refusal]:
    """What speaks against usage; `units` are the sizes of the units of its product."""
    for guard in guards:
        if guard.faults or not guard.takes(wanted.product, wanted.country, wanted.number):
            continue
        why = _JUDGES[guard.kind](guard, wanted, stands, units)
        if why and not _released(wanted, releases.get(guard.id, ())):
            yield Refusal(guard.id, guard.kind, why)
    for trigger, used in budgets:
        why = _exhausted(trigger, used, wanted)
        if why:
            yield Refusal(trigger.id, BUDGET, why)


def unevaluated(
    wanted: Wanted, guards: Sequence[Guard], releases: Mapping[str, Sequence[Release]]
) -> Iterator[Refusal]:
    """The guards about usage of which nobody can tell whether they speak against it."""
    for guard in guards:
        if not guard.faults or _released(wanted, releases.get(guard.id, ())):
            continue
        if guard.takes(wanted.product, wanted.country, wanted.number):
            yield Refusal(guard.id, guard.kind, f"{guard.fault}; {_UNEVALUATED}")


def _exhausted(trigger: Trigger, used: int, wanted: Wanted) -> str:
    """Why a budget stops usage: it is used up, or what is expected goes beyond it. "" where it does not."""
    if trigger.country not in {"", wanted.country} or not fnmatchcase(wanted.product, trigger.product):
        return ""
    more = {Measure.EVENTS: Fraction(1), Measure.QUANTITY: Fraction(wanted.quantity), Measure.AMOUNT: wanted.cost_minor}
    if used < trigger.threshold and used + more[trigger.measure] <= trigger.threshold:
        return ""
    unit, words = trigger.unit, trigger.in_words
    said = f"{words(used)} of {words(trigger.threshold)} {unit} of the {trigger.window} are used"
    return said if used >= trigger.threshold else f"{said}, and what is expected goes beyond that"


def _released(wanted: Wanted, releases: Sequence[Release]) -> bool:
    return any(
        each.account in wanted.path and each.holds(wanted.country, wanted.number, wanted.at) for each in releases
    )


Units = Callable[[str], int | None]


def _blocked(guard: Guard, wanted: Wanted, _stands: Stands, _units: Units) -> str:
    return f"usage to {_where(wanted, guard)} is blocked"


def _too_dear(guard: Guard, wanted: Wanted, _stands: Stands, units: Units) -> str:
    per_unit = unit_price(guard, wanted.price, wanted.base, units(guard.unit))
    if per_unit is None or guard.limit is None or per_unit <= guard.limit:
        return ""
    return f"a {guard.unit} costs {format_fraction(per_unit)} {wanted.currency}, more than {_limit(guard)}"


def _unknown(guard: Guard, wanted: Wanted, stands: Stands, units: Units) -> str:
    why = _too_dear(guard, wanted, stands, units)
    if not why or (wanted.country, wanted.destination) in stands.known:
        return ""
    return f"{why}, and no earlier month has usage to {_where(wanted, guard)}: it needs a release"


def _overspent(guard: Guard, wanted: Wanted, stands: Stands, _units: Units) -> str:
    spent = stands.spent.get(wanted.country, 0)
    if not _beyond(guard, wanted, spent):
        return ""
    return f"{_money(spent, guard)} of {_limit(guard)} are spent on {wanted.country or 'no country'} on {_day(wanted)}"


def _overdrawn(guard: Guard, wanted: Wanted, stands: Stands, _units: Units) -> str:
    owed = sum(each.minor for each in stands.owed if each.month > guard.paid_through)
    if not _beyond(guard, wanted, owed):
        return ""
    return f"{_money(owed, guard)} of a credit of {_limit(guard)} are used, invoiced or not"


_JUDGES: Mapping[Kind, Callable[[Guard, Wanted, Stands, Units], str]] = {
    Kind.BLOCKED: _blocked,
    Kind.PRICE: _too_dear,
    Kind.DEAR: _unknown,
    Kind.SPEND: _overspent,
    Kind.CREDIT: _overdrawn,
}


def _beyond(guard: Guard, wanted: Wanted, used: int) -> bool:
    """Whether a limit of money is used up, or what is expected goes beyond it."""
    if guard.currency != wanted.currency:
        return False
    return used >= guard.limit_minor or used + wanted.cost_minor > guard.limit_minor


def _limit(guard: Guard) -> str:
    return f"{format_fraction(guard.limit or Fraction(0))} {guard.currency}"


def _money(minor: int, guard: Guard) -> str:
    return format_minor(minor, Currency(guard.currency))


def _where(wanted: Wanted, guard: Guard) -> str:
    named = wanted.destination or wanted.country or "this destination"
    return named if wanted.country not in guard.countries else wanted.country


def _day(wanted: Wanted) -> date:
    return wanted.at.date()
