"""From what was measured to what bills: outcomes by a product's rule, increments, grace."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rates.cardtables import Terms
from rates.patterns import microseconds
from rates.products import Conditions, Product, Rule
from rates.quantities import billable_column
from rates.usage import UsageColumns

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Flags = NDArray[np.bool_]


def rules_in_force(product: Product, occurred_at: Int64s) -> Iterator[tuple[Rule | None, Int64s]]:
    """Each rule with the places of the events that occur while it is in force; None before the first."""
    starts = np.array([microseconds(rule.effective_from) for rule in product.rules], dtype=np.int64)
    if len(starts) and len(occurred_at) and occurred_at.min() >= starts[-1]:
        yield product.rules[-1], np.arange(len(occurred_at))
        return
    number = np.searchsorted(starts, occurred_at, side="right")
    for i in np.unique(number).tolist():
        yield product.rules[i - 1] if i else None, np.flatnonzero(number == i)


def fulfilled(conditions: Conditions, usage: UsageColumns, rows: Int64s, *, when_silent: bool) -> Flags:
    """Whether each event has, in every field, one of the values; `when_silent` for a field that it does not state."""
    holds = np.ones(len(rows), dtype=np.bool_)
    for name, allowed in conditions.items():
        text = usage.texts.get(name)
        if text is None:
            holds &= when_silent
        else:
            of_value = [value in allowed if value else when_silent for value in text.values]
            holds &= np.array(of_value, dtype=np.bool_)[text.codes[rows]]
    return holds


def is_pending(rule: Rule, usage: UsageColumns, rows: Int64s) -> Flags:
    """Whether each event waits for its outcome."""
    if not rule.pending:
        return np.zeros(len(rows), dtype=np.bool_)
    return fulfilled(rule.pending, usage, rows, when_silent=False)


def is_billable(rule: Rule, usage: UsageColumns, rows: Int64s) -> Flags:
    """Whether each event has an outcome that bills; one that states none is taken to have happened."""
    return fulfilled(rule.billable, usage, rows, when_silent=True)


def fees_due(rule: Rule, usage: UsageColumns, rows: Int64s) -> Iterator[tuple[str, Int64s]]:
    """The elements that outcomes bring, each with the places of the events that it is due for."""
    for fee in rule.fees:
        due = fulfilled(fee.when, usage, rows, when_silent=False)
        if fee.exempt:
            due &= ~fulfilled(fee.exempt, usage, rows, when_silent=False)
        if due.any():
            yield fee.element, np.flatnonzero(due)


def has_increments(product: Product, rule: Rule, terms: Terms, row: Int32s) -> Flags:
    """Whether each event's row (or else the rule) says how it is measured; only time needs to be told."""
    if rule.increments is not None or not product.timed:
        return np.ones(len(row), dtype=np.bool_)
    return terms.first[row] > 0


def billable(rule: Rule, terms: Terms, row: Int32s, measured: Int64s) -> Int64s:
    """The billable quantity of events that matched these rows, in base units: int64[n] -> int64[n].

    Events count as 1 where the row's unit is the event. Raises `QuantityOverflowError`.
    """
    first, next_, grace = terms.first[row], terms.next[row], terms.grace[row]
    default = (rule.increments.first, rule.increments.next) if rule.increments else (1, 1)
    own = first > 0
    if not own.all():
        first, next_ = np.where(own, first, default[0]), np.where(own, next_, default[1])
    grace = np.where(grace < 0, rule.grace_seconds, grace)
    quantity = billable_column(measured, first, next_, grace)
    return np.where(terms.per_event[row], np.minimum(quantity, 1), quantity)
