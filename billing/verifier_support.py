"""Support plans (FORMATS 3): on the first of a month, a line for each plan that a contract had in the month before.

A plan comes to the percent of what that month came to, or to its minimum if that is more; of this, the part of the
days on which the contract had it; of this, what a partner's percent leaves. It is rounded once. What the month came to
are its rounded lines, with what a maximum took off, and without carrier fees, one-off charges, true-ups, credits and
support.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

import billing.verifier_usage as given
from billing.verifier_money import Added, is_aside
from billing.verifier_usage import DatedFacts, InputFaultError, Product, Raw, text

_NEITHER_USAGE_NOR_RECURRING = ("credit", "true_up", "support")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a contract says of support."""

    name: str
    percent: Fraction
    least: Fraction
    partner: Fraction

    def due(self, base: Fraction, part: Fraction) -> Fraction:
        """What it comes to of a month's base, for a part of the month."""
        whole = max(base * self.percent, 100 * self.least)
        return whole * part * (100 - self.partner) * Fraction(1, 10_000)


def plan_of(contract: DatedFacts) -> Plan | None:
    """The plan of a contract; None where it has none. Raises InputFaultError."""
    said, place = given.table(contract.facts, "support"), f"contract of {text(contract.facts, 'account')} support"
    if not said:
        return None
    numbers = [given.number(said, key, place) or Fraction(0) for key in ("percent", "min", "partner_discount")]
    if not text(said, "plan") or not (numbers[0] or numbers[1]):
        raise InputFaultError(place, "names no plan, or neither a percent nor a minimum")
    return Plan(text(said, "plan"), *numbers)


def without_plan(contract: Raw) -> dict[str, object]:
    """A contract as it was written, but for its plan."""
    return {key: value for key, value in contract.items() if key != "support"}


def month_before(start: datetime) -> datetime:
    """The first instant of the month before the one that begins so."""
    return (start - timedelta(days=1)).replace(day=1)


def bases_of(billed: Mapping[str, object], products: Mapping[str, Product]) -> dict[str, str]:
    """What a month came to by account, of bills as the verifier gives them."""
    found: dict[str, Fraction] = {}
    for bill in given.tables(billed, "accounts"):
        for line in given.tables(bill, "lines"):
            element = text(line, "element")
            if element not in _NEITHER_USAGE_NOR_RECURRING and not is_aside(
                products.get(text(line, "product")), element
            ):
                account, amount = text(bill, "account"), given.exact(line["amount"], "amount")
                found[account] = found.get(account, Fraction(0)) + amount
    return {account: given.shortest(amount) for account, amount in found.items()}


def posted(contracts: Sequence[DatedFacts], start: date, base: Fraction, step: Fraction) -> Added:
    """What the plans of the month before `start` come to, by the names of their lines."""
    last = start - timedelta(days=1)
    held: dict[Plan, int] = {}
    for day in range(1, last.day + 1):
        plan = _held_on(contracts, last.replace(day=day))
        if plan is not None:
            held[plan] = held.get(plan, 0) + 1
    found: dict[tuple[str, str, str, str], Fraction] = {}
    for plan, days in held.items():
        name = ("support.plan", "support", "", f"{plan.name} {last:%Y-%m}")
        due = given.to_step(plan.due(base, Fraction(days, last.day)), step)
        found[name] = found.get(name, Fraction(0)) + due
    return {name: amount for name, amount in found.items() if amount}


def _held_on(contracts: Iterable[DatedFacts], day: date) -> Plan | None:
    begun = [
        (one.effective_from.date() if one.effective_from else date.min, number, one)
        for number, one in enumerate(contracts)
    ]
    held = [one for since, _, one in sorted(begun, key=lambda each: each[:2]) if since <= day]
    return plan_of(held[-1]) if held else None
