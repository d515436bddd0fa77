"""Simulations: what a month's real usage comes to now and would come to by other books, side by side.

Sums are by account, product and country, of the rounded lines that bills would have; a part is named once a currency.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing.invoices import InvoiceLine
from billing.periods import Period
from rates.lines import PricedLines
from rates.money import Currency
from rates.prices import USAGE

Int64s = NDArray[np.int64]


class By(StrEnum):
    """What sums are of."""

    COUNTRY = "country"
    PRODUCT = "product"
    ACCOUNT = "account"
    ALL = "all"


class Part(NamedTuple):
    """What a sum is of: all usage of a country, product or account, in one currency."""

    by: By
    name: str
    currency: str


class Sums(NamedTuple):
    """Events whose usage is on lines, the lines' amounts in minor units, and what it costs where it is bought."""

    events: int = 0
    amount_minor: int = 0
    cost: Fraction = Fraction(0)


class Change(NamedTuple):
    """What a part comes to now, and what it would come to."""

    part: Part
    now: Sums
    then: Sums

    @property
    def amount_minor(self) -> int:
        """By how much the amount would change, in minor units."""
        return self.then.amount_minor - self.now.amount_minor


@dataclass(slots=True, kw_only=True)
class Side:
    """One side of a simulation being summed; `names` are the payers' names, by their numbers."""

    names: Mapping[int, str]
    events: Counter[Part] = field(default_factory=Counter)
    amounts: Counter[Part] = field(default_factory=Counter)
    costs: dict[Part, Fraction] = field(default_factory=dict)

    def add(self, lines: PricedLines) -> None:
        """Add the lines of some payers."""
        keys = range(len(lines.keys))
        groups: dict[By, tuple[NDArray[np.signedinteger], Mapping[int, str]]] = {
            By.ACCOUNT: (lines.payer, self.names),
            By.PRODUCT: (lines.key, {number: lines.keys[number].product for number in keys}),
            By.COUNTRY: (lines.key, {number: lines.keys[number].country for number in keys}),
            By.ALL: (np.zeros(len(lines.key), dtype=np.int64), {0: ""}),
        }
        usage = np.array([key.element == USAGE for key in lines.keys], dtype=np.bool_)
        events = np.where(usage[lines.key], lines.events, 0) if len(lines.keys) else lines.events
        for by, (column, names) in groups.items():
            for number, count, amount in _summed(column, events, lines.amount_minor):
                part = Part(by, names[number], lines.currency)
                self.events[part] += count
                self.amounts[part] += amount

    def plus(self, other: "Side") -> "Side":
        """The sums of both."""
        costs = {part: self.costs.get(part, Fraction(0)) + amount for part, amount in other.costs.items()}
        return Side(
            names=self.names,
            events=self.events + other.events,
            amounts=Counter({part: self.amounts[part] + other.amounts[part] for part in self.parts | other.parts}),
            costs={**self.costs, **costs},
        )

    def cost(self, account: str, product: str, country: str, currency: str, amount: Fraction) -> None:
        """Add what usage costs where it is bought."""
        for by, name in ((By.ACCOUNT, account), (By.PRODUCT, product), (By.COUNTRY, country), (By.ALL, "")):
            part = Part(by, name, currency)
            self.costs[part] = self.costs.get(part, Fraction(0)) + amount

    def of(self, part: Part) -> Sums:
        """What a part comes to."""
        return Sums(self.events[part], self.amounts[part], self.costs.get(part, Fraction(0)))

    @property
    def parts(self) -> set[Part]:
        """What there are sums of."""
        return {*self.events, *self.amounts, *self.costs}


def _summed(column: NDArray[np.signedinteger], events: Int64s, amounts: Int64s) -> Iterator[tuple[int, int, int]]:
    """Each value of a column with the sums of its rows; amounts in Python's integers, which have no bounds."""
    order = np.argsort(column, kind="stable")
    values = column[order]
    first = np.flatnonzero(np.concatenate([np.ones(min(len(values), 1), dtype=np.bool_), values[1:] != values[:-1]]))
    if not len(first):
        return
    sums = (np.add.reduceat(each[order].astype(object), first).tolist() for each in (events, amounts))
    yield from zip(values[first].tolist(), *sums, strict=True)


class Lines(NamedTuple):
    """The lines of an account, now and then."""

    now: Sequence[InvoiceLine]
    then: Sequence[InvoiceLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a month comes to now and would come to.

    `accounts` are those that are looked at, by name and currency; `events` how many were rated again. `unpriced` and
    `priced` count by account the events that would lose their price, and that would get one; `unbought` those that the
    buy card has no price for. `failed` says by account why it cannot be priced, now or then, and is in no sum; `lines`
    are by account, where they were asked for.
    """

    period: Period
    accounts: Mapping[str, Currency]
    now: Side
    then: Side
    events: int = 0
    unpriced: Mapping[str, int] = field(default_factory=dict)
    priced: Mapping[str, int] = field(default_factory=dict)
    unbought: int = 0
    has_costs: bool = False
    failed: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, Lines] = field(default_factory=dict)

    def changes(self, by: By) -> list[Change]:
        """Now and then of each part, what changes most first."""
        parts = sorted(part for part in self.now.parts | self.then.parts if part.by is by)
        found = [Change(part, self.now.of(part), self.then.of(part)) for part in parts]
        return sorted(found, key=lambda each: (each.part.currency, -abs(each.amount_minor)))

    @property
    def needs_a_person(self) -> bool:
        """Whether somebody would lose a price, or cannot be priced."""
        return bool(self.unpriced or self.failed)
