"""The margin of a reseller: what a month costs it, and what it bills its customers, by product, country and account.

The lines of both sides' invoices are divided among the accounts that used them, by quantity where several did; what no
account used (a flat, a true-up, a credit) stands by itself, and so does what rounding the lines added. So each side's
rows add up to its invoices.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from billing.invoices import InvoiceLine
from rates.money import EXPONENTS, Currency

LineOf = tuple[str, str, str, str]
"""What lines and totals have in common: product, element, country, destination."""

ROUNDING = "rounding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the lines of one product, element, country and destination an account used."""

    of: LineOf
    account: str
    events: int
    quantity: int


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """What a row is of. `subaccount` is whoever is resold to, "" of what the reseller used itself; `account` is who
    used it, "" of what no account did: then `what` is the element of its lines, or `rounding`.
    """

    subaccount: str
    what: str
    product: str
    country: str
    account: str


@dataclass(slots=True, kw_only=True)
class Row:
    """What an item costs the reseller and what it bills for it, in major units, exact; None: it is not on that side."""

    cost: Fraction | None = None
    revenue: Fraction | None = None


@dataclass(slots=True, kw_only=True)
class Resold:
    """A reseller's month. `currencies` are those of the invoices, by account, and `totals` what these come to."""

    reseller: str
    period: str
    currencies: dict[str, Currency] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    rows: dict[Item, Row] = field(default_factory=dict)

    def bill(self, payer: str, lines: Sequence[InvoiceLine], shares: Iterable[Share], under: Mapping[str, str]) -> None:
        """Add the lines of an invoice of the month. `under`: to whom each account's usage is resold."""
        used: dict[LineOf, list[Share]] = {}
        for share in shares:
            used.setdefault(share.of, []).append(share)
        unit = 10 ** EXPONENTS[self.currencies[payer]]
        beside = "" if payer == self.reseller else payer
        for line in lines:
            exact = Fraction(line.amount_minor, unit) + line.residual
            of = (line.product, line.element, line.country, line.destination)
            parts = divided(exact, used.get(of, ()))
            for account, amount in parts:
                item = Item(under.get(account, ""), line.element, line.product, line.country, account)
                self._add(payer, item, amount)
            if not parts:
                self._add(payer, Item(beside, line.element, line.product, line.country, ""), exact)
            if line.residual:
                self._add(payer, Item(beside, ROUNDING, "", "", ""), -line.residual)

    def margin(self, item: Item) -> Fraction | None:
        """What is left of an item; None where its sides are in two currencies."""
        row = self.rows[item]
        if self.currencies[self.reseller] != self.currencies[item.subaccount or self.reseller]:
            return None
        return (row.revenue or Fraction(0)) - (row.cost or Fraction(0))

    def _add(self, payer: str, item: Item, amount: Fraction) -> None:
        row = self.rows.setdefault(item, Row())
        if payer == self.reseller:
            row.cost = (row.cost or Fraction(0)) + amount
        else:
            row.revenue = (row.revenue or Fraction(0)) + amount


def divided(amount: Fraction, shares: Sequence[Share]) -> list[tuple[str, Fraction]]:
    """An amount among those who used it, by quantity; by events where there is none."""
    weights = [share.quantity for share in shares]
    if not sum(weights):
        weights = [share.events for share in shares]
    whole = sum(weights)
    return [
        (share.account, amount * Fraction(weight, whole))
        for share, weight in zip(shares, weights, strict=True)
        if whole
    ]
