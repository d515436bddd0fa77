"""From what was measured to what bills: outcomes by a product's rule, increments, grace."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rates.compiled.cards import Ways
from rates.compiled.patterns import microseconds
from rates.products import DELIVERED_AS, Conditions, Fee, Product, Rule
from rates.quantities import billable_column
from rates.usage import Rows, UsageColumns, Which, inverse, pick

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Flags = NDArray[np.bool_]


def rules_in_force(product: Product, occurred_at: Int64s) -> Iterator[tuple[Rule | None, Int64s | None]]:
    """Each rule with the places of the events that occur while it is in force (None: all); no rule before the first."""
    starts = np.array([microseconds(rule.effective_from) for rule in product.rules], dtype=np.int64)
    if len(starts) and len(occurred_at) and occurred_at.min() >= starts[-1]:
        yield product.rules[-1], None
        return
    number = np.searchsorted(starts, occurred_at, side="right")
    for i in np.unique(number).tolist():
        yield product.rules[i - 1] if i else None, np.flatnonzero(number == i)


def delivered(
    usage: UsageColumns, product: Product | None, rows: Rows, products: Mapping[str, Product]
) -> Iterator[tuple[Product | None, Rows, bool]]:
    """Events of a product by the one that they are billed as, which is what they were delivered as, if they say so.

    False where the rule in force does not know what that is.
    """
    text = usage.texts.get(DELIVERED_AS)
    if product is None or text is None or len(text.values) <= 1:
        yield product, rows, True
        return
    for rule, place in rules_in_force(product, usage.occurred_at[rows]):
        some = rows if place is None else pick(rows, place)
        code = text.codes[some]
        for number in np.unique(code).tolist():
            these, value = pick(some, np.flatnonzero(code == number)), text.values[number]
            if not value or rule is None:
                yield product, these, True
            else:
                yield products.get(rule.delivered_as.get(value, "")), these, value in rule.delivered_as


def fulfilled(conditions: Conditions, usage: UsageColumns, rows: Rows, *, when_silent: bool) -> Which:
    """Which events have, in every field, one of the values; `when_silent` for a field that they do not state."""
    holds: Which = True
    for name, allowed in conditions.items():
        text = usage.texts.get(name)
        of_value = [value in allowed if value else when_silent for value in (text.values if text else [""])]
        if text is None or all(of_value) or not any(of_value):
            holds = holds if of_value[0] else False
        else:
            of_event = np.array(of_value, dtype=np.bool_)[text.codes[rows]]
            holds = of_event if holds is True else of_event & holds
    return holds


def is_pending(rule: Rule, usage: UsageColumns, rows: Rows) -> Which:
    """Which events wait for their outcome."""
    return fulfilled(rule.pending, usage, rows, when_silent=False) if rule.pending else False


def is_billable(rule: Rule, usage: UsageColumns, rows: Rows) -> Which:
    """Which events have an outcome that bills; one that states none is taken to have happened."""
    return fulfilled(rule.billable, usage, rows, when_silent=True)


def is_due(fee: Fee, usage: UsageColumns, rows: Rows) -> Which:
    """Which events have an outcome that brings the fee."""
    due = fulfilled(fee.when, usage, rows, when_silent=False)
    if due is False or not fee.exempt:
        return due
    others = inverse(fulfilled(fee.exempt, usage, rows, when_silent=False))
    return others if due is True else due & others


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The ways of a card's rows completed by a product's rule, k of them.

    int64[k]: increments, grace, the most that is believed. bool[k]: whether the way is `told` at all (time without
    increments is not), `blocked`, counted `per_event`, and `in_money`: by what events bring.
    """

    first: Int64s
    next: Int64s
    grace: Int64s
    max_quantity: Int64s
    told: Flags
    blocked: Flags
    per_event: Flags
    in_money: Flags

    @classmethod
    def of(cls, product: Product, rule: Rule, ways: Ways) -> "Measures":
        """The ways of some rows under a rule of their product."""
        own = ways.first > 0
        default = None if ways.in_money.all() else rule.increments
        return cls(
            first=np.where(own, ways.first, np.where(ways.in_money, 1, default.first if default else 1)),
            next=np.where(own, ways.next, np.where(ways.in_money, 1, default.next if default else 1)),
            grace=np.where(ways.in_money, 0, np.where(ways.grace < 0, rule.grace_seconds, ways.grace)),
            max_quantity=ways.max_quantity,
            told=own | (default is not None) | (not product.timed) | ways.in_money,
            blocked=ways.blocked,
            per_event=ways.per_event,
            in_money=ways.in_money,
        )

    def billable(self, way: Int32s, measured: Int64s) -> Int64s:
        """The billable quantities of events measured in these ways, in base units: int64[n] -> int64[n].

        Raises `QuantityOverflowError`.
        """
        grace = self.grace[way] if (self.grace > 1).any() else None
        if len(self.first) == 1:
            quantity = billable_column(measured, self.first, self.next, grace)
        else:
            quantity = billable_column(measured, self.first.take(way), self.next.take(way), grace)
        return quantity

    def counted(self, way: Int32s, measured: Int64s) -> Int64s:
        """What an element beside the usage counts of each event: 1 where its unit is the event, else the billable."""
        quantity = self.billable(way, measured)
        return np.where(self.per_event[way], np.minimum(quantity, 1), quantity)
