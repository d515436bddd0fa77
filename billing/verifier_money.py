"""What a contract says of money: percents off, a minimum and a maximum of the month, promotional credits (FORMATS 3).

A percent is in the unit price. The rest comes after all lines are rounded, in this order, and each of it is a line of
its own: what is above the maximum is taken off; what the month lacks of the minimum is added; then credits pay, those
first that expire first. What is taken off is divided by largest remainder among what it is taken off from, in the
smallest amounts that an invoice has. `docs/decisions/0014-the-order-of-money.md` says what the design leaves open.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from math import floor

import billing.verifier_usage as given
from billing.verifier_traits import fits
from billing.verifier_usage import DatedFacts, InputFaultError, Product, Raw, text

On = frozenset[tuple[frozenset[str], ...]]  # any of these: patterns of products, of countries, of number types
Name = tuple[str, str, str, str]  # product, element, country, destination
Added = Mapping[Name, Fraction]  # what is added, or taken off
Cell = tuple[str, str, bool, int]  # product, country, whether no commitment is about it, the terms of its days
_NEVER = date.max


@dataclass(frozen=True, slots=True)
class Commitment:
    """The least and the most of a month."""

    least: Fraction | None
    most: Fraction | None
    on: On


@dataclass(frozen=True, slots=True)
class Credit:
    """What pays for usage before the day `until`."""

    until: date
    id: str
    amount: Fraction
    on: On


@dataclass(frozen=True, slots=True)
class Deal:
    """All that one contract says of money; of the percents the first that takes something holds."""

    percents: tuple[tuple[Fraction, On], ...]
    commitment: Commitment | None
    credits: tuple[Credit, ...]

    def on_day(self, day: date) -> "Terms":
        """What a day's lines are under."""
        return self.commitment, tuple(credit for credit in self.credits if day < credit.until)


Terms = tuple[Commitment | None, tuple[Credit, ...]]


@lru_cache(maxsize=65536)
def deal_of(contract: DatedFacts) -> Deal:
    """The deal of a contract. Raises InputFaultError."""
    place, facts = f"contract of {text(contract.facts, 'account')}", contract.facts
    percents = [
        (given.exact(each.get("percent", ""), f"{place} percent"), _read_on(each, place, "number_type"))
        for each in given.tables(facts, "discounts")
    ]
    promised = [_read_credit(each, place) for each in given.tables(facts, "credits")]
    if len({each.id for each in promised}) < len(promised):
        raise InputFaultError(place, "has two credits of one id")
    commitment = None
    if said := given.table(facts, "commitment"):
        low, high = (given.number(said, key, place) for key in ("min", "max"))
        commitment = Commitment(low, high, _read_on(said, place))
    return Deal(tuple(percents), commitment, tuple(sorted(promised, key=lambda each: (each.until, each.id))))


def _read_credit(raw: Raw, place: str) -> Credit:
    until = given.instant(raw, "until", place)
    amount = given.exact(raw.get("amount", ""), f"{place} amount")
    return Credit(_NEVER if until is None else until.date(), text(raw, "id"), amount, _read_on(raw, place))


def _read_on(raw: Raw, place: str, *more: str) -> On:
    found, names = given.tables(raw, "on"), ("product", "country", *more)
    if any(set(each) - set(names) for each in found):
        raise InputFaultError(place, f"on selects by {', '.join(names)}")
    known = (tuple(frozenset(given.words(each.get(name))) for name in names) for each in found)
    return frozenset(known) or frozenset({(frozenset[str](),) * len(names)})


def takes(on: On, *said: str) -> bool:
    """Whether something of a product, a country and, of prices, a number type is selected."""
    return any(
        all(
            not patterns or any(fits(each, word) for each in patterns)
            for patterns, word in zip(one, said, strict=False)
        )
        for one in on
    )


def is_aside(product: Product | None, element: str) -> bool:
    """Whether percents, maximum and minimum leave it out: carrier fees, support, products that are not discountable."""
    return element in ("carrier_fee", "support") or (product is not None and not product.discountable)


@lru_cache(maxsize=65536)
def left_of(contract: DatedFacts, product: Product, element: str, country: str, number_type: str) -> Fraction:
    """What a contract leaves of a price: 19/20 where it takes 5 percent off."""
    if is_aside(product, element):
        return Fraction(1)
    off = (percent for percent, on in deal_of(contract).percents if takes(on, product.id, country, number_type))
    return 1 - Fraction(next(off, Fraction(0)), 100)


@dataclass(frozen=True, slots=True)
class Amount:
    """A line in the second pass: what it is of, its rounded amount, and the exact amounts of its days."""

    product: str
    element: str
    country: str
    rounded: Fraction
    days: Mapping[date, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The days of a month, each with its terms; `step` is the smallest amount of an invoice, of `digits` decimals."""

    terms: Mapping[date, Terms]
    step: Fraction
    digits: int

    def kinds(self) -> list[Terms]:
        """The different terms, in the order in which they first hold."""
        return list(dict.fromkeys(self.terms[day] for day in sorted(self.terms)))


def month_of(contracts: Iterable[DatedFacts], begin: date, end: date, step: Fraction, digits: int) -> Month | None:
    """The terms of each day from the first contract on. None where no day has any."""
    begun = sorted(
        (one.effective_from.date() if one.effective_from else date.min, number, one)
        for number, one in enumerate(contracts)
    )
    terms: dict[date, Terms] = {}
    day = begin
    while day < end:
        held = [one for since, _, one in begun if since <= day]
        if held:
            terms[day] = deal_of(held[-1]).on_day(day)
        day += timedelta(days=1)
    return Month(terms=terms, step=step, digits=digits) if any(any(each) for each in terms.values()) else None


def second_pass(
    lines: Iterable[Amount],
    month: Month,
    days: int,
    products: Mapping[str, Product],
    used: Mapping[str, Fraction],
    posted: Added,
) -> Added:
    """What commitments and credits add to the lines of a month of so many days. `used`: what credits paid before.

    `posted` is what support plans add, on the first day: no commitment is about it, and credits pay it.
    """
    bill, paid = _Bill(month=month, kinds=month.kinds()), dict(used)
    for line in lines:
        bill.take_in(line, aside=is_aside(products.get(line.product), line.element))
    for commitment in dict.fromkeys(one for one, _ in bill.kinds if one is not None):
        bill.hold_to(commitment, days)
    for name, amount in posted.items():
        bill.owe((name[0], name[2], True, 0), amount)
        bill.add(name, amount)
    promised = dict.fromkeys(one for _, some in bill.kinds for one in some)
    for credit in sorted(promised, key=lambda one: (one.until, one.id)):
        paid[credit.id] = paid.get(credit.id, Fraction(0)) + bill.pay(credit, paid.get(credit.id, Fraction(0)))
    return {key: amount for key, amount in bill.added.items() if amount}


@dataclass(slots=True, kw_only=True)
class _Bill:
    """What is still due, by product, country and terms, and what has been added or taken off so far."""

    month: Month
    kinds: list[Terms]
    cells: dict[Cell, Fraction] = field(default_factory=dict)
    added: dict[Name, Fraction] = field(default_factory=dict)

    def take_in(self, line: Amount, *, aside: bool) -> None:
        """Divide a line among the terms of its days; what is due before the first contract is under its terms."""
        exact, first = [Fraction(0)] * len(self.kinds), min(self.month.terms)
        for day, amount in line.days.items():
            exact[self.kinds.index(self.month.terms[max(day, first)])] += amount
        for place, share in enumerate(shared_out(line.rounded, exact, self.month.step)):
            self.owe((line.product, line.country, aside, place), share)

    def owe(self, cell: Cell, amount: Fraction) -> None:
        """Add to a cell."""
        self.cells[cell] = self.cells.get(cell, Fraction(0)) + amount

    def add(self, name: Name, amount: Fraction) -> None:
        """Add to a line of the second pass."""
        self.added[name] = self.added.get(name, Fraction(0)) + amount

    def hold_to(self, commitment: Commitment, days: int) -> None:
        """What is above the maximum is taken off, what lacks of the minimum is added to the last day."""
        month, kinds = self.month, {place for place, one in enumerate(self.kinds) if one[0] == commitment}
        own = [day for day in sorted(month.terms) if month.terms[day][0] == commitment]
        cells = [one for one in self.of(commitment.on) if one[3] in kinds and not one[2]]
        total = sum((self.cells[one] for one in cells), Fraction(0))
        low, high = (
            None if bound is None else given.to_step(bound * Fraction(len(own), days), month.step)
            for bound in (commitment.least, commitment.most)
        )
        if high is not None and total > high:
            self.take_off("maximum_spend", f"maximum {given.plain(high, month.digits)}", total - high, cells)
            total = high
        if low is not None and total < low:
            self.add(("", "true_up", "", f"minimum {given.plain(low, month.digits)}"), low - total)
            self.owe(("", "", False, self.kinds.index(month.terms[own[-1]])), low - total)

    def pay(self, credit: Credit, paid: Fraction) -> Fraction:
        """What a credit pays that has paid so much already."""
        cells = [one for one in self.of(credit.on) if credit in self.kinds[one[3]][1]]
        due = sum((self.cells[one] for one in cells), Fraction(0))
        pays = max(min(given.to_step(credit.amount, self.month.step) - paid, due), Fraction(0))
        self.take_off("credit", credit.id, pays, cells)
        return pays

    def of(self, on: On) -> list[Cell]:
        """The cells that are selected, in order."""
        return [cell for cell in sorted(self.cells) if takes(on, cell[0], cell[1])]

    def take_off(self, element: str, name: str, by: Fraction, cells: Sequence[Cell]) -> None:
        """Take an amount off cells; what is of one product and country is one line."""
        for cell, share in zip(cells, shared_out(by, [self.cells[one] for one in cells], self.month.step), strict=True):
            self.owe(cell, -share)
            self.add((cell[0], element, cell[1], name), -share)


def shared_out(amount: Fraction, weights: Sequence[Fraction], step: Fraction) -> list[Fraction]:
    """An amount of whole steps in proportion to weights: first rounded down, the rest to the largest remainders."""
    whole = sum(weights, Fraction(0))
    if not whole:
        return [Fraction(0) for _ in weights]
    quotas = [Fraction(amount * weight, whole * step) for weight in weights]
    below = [floor(quota) for quota in quotas]
    rest = int(Fraction(amount, step)) - sum(below)
    order = sorted(range(len(weights)), key=lambda place: (below[place] - quotas[place], place))
    return [(below[place] + (place in order[:rest])) * step for place in range(len(weights))]
