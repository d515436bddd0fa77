"""A tariff of another system as a card of this one: products, a card, events; and what they are billed.

Every bill is made twice, by `billing.bills.bill` and by the independent verifier, and the two must agree line by line.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import lcm
from typing import Any

from billing import verifier
from billing.accounts import Account, read_account
from billing.bills import Arrangement, Bills, bill
from billing.contracts import read_contract
from billing.invoices import InvoiceLine, record
from billing.periods import Period
from billing.verification import Bill, bill_disagreements, unrated_disagreements
from rates.cardfile import card_from_table
from rates.cards import Card
from rates.money import EXPONENTS, Currency, format_fraction, format_minor
from rates.numbering import PLAN
from rates.products import read_product
from tests.conformance.verdicts import CannotSayError

Table = dict[str, Any]
Number = str | int | Fraction

PAYER = "payer"
NOON = datetime(2026, 10, 15, 12, tzinfo=UTC)
_EARLY = "1970-01-01T00:00:00Z"


class BillsDifferError(AssertionError):
    """The engine and the verifier do not make the same bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier up to and with `up_to` units (None: open), its price per unit and its flat."""

    up_to: Fraction | None
    price: Fraction
    flat: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """One thing that is metered, in units that need not be whole, and what it costs.

    `per`: a price is for so many units. `tiers` instead of `price`; `mode` graduated or volume. `block`: rounded up to
    whole blocks, after `free` units. `setup`, `least` and `most` are per event. `used` are the quantities of events,
    by account. `counter`: the product that moves the counter of its tiers, where it is another. A unit is cut into a
    multiple of `parts`.
    """

    product: str = "metered"
    price: Fraction = Fraction(0)
    per: Fraction = Fraction(1)
    tiers: Sequence[Tier] = ()
    mode: str = "graduated"
    measure: str = "quantity"
    flat_at_zero: bool = False
    scope: str = "billing_account"
    counter: str = ""
    parts: int = 1
    closed: Fraction | None = None
    free: Fraction = Fraction(0)
    block: Fraction = Fraction(0)
    setup: Fraction | None = None
    least: Fraction | None = None
    most: Fraction | None = None
    used: Mapping[str, Sequence[Fraction]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many base units are one unit, so that every quantity and bound is a whole number of them."""
        bounds = [tier.up_to for tier in self.tiers if tier.up_to is not None]
        quantities = [quantity for events in self.used.values() for quantity in events]
        exact_ones = (self.per, self.free, self.block, *bounds, *quantities)
        return lcm(self.parts, *(each.denominator for each in exact_ones))

    def opened(self) -> "Sale":
        """The same with the last tier open, as it must be here; `closed` is the bound that it had."""
        last = self.tiers[-1]
        return replace(self, tiers=[*self.tiers[:-1], replace(last, up_to=None)], closed=last.up_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What a bill is made of, as the tables that people write."""

    products: Sequence[Table]
    cards: Sequence[Table]
    events: Sequence[Table]
    accounts: Sequence[Table]
    period: Period
    deal: Table = field(default_factory=dict)

    @property
    def contract(self) -> Table:
        """What the payer agreed: all cards, for the whole period unless its `deal` says otherwise, and the deal."""
        names = list(dict.fromkeys(table["id"] for table in self.cards))
        return {"account": PAYER, "effective_from": self.period.start, "cards": names, **self.deal}


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What the payer owes, and which events are on no line."""

    lines: tuple[InvoiceLine, ...]
    currency: Currency
    sizes: Mapping[str, int]
    quarantined: tuple[str, ...]

    @property
    def exact(self) -> Fraction:
        """The sum of the lines before they are rounded."""
        return sum((exact(line, self.currency) for line in self.lines), Fraction(0))

    @property
    def total(self) -> Fraction:
        """The total of the invoice: the sum of its rounded lines."""
        return Fraction(sum(line.amount_minor for line in self.lines), 10 ** EXPONENTS[self.currency])

    def quantity(self, product: str = "metered") -> Fraction:
        """How much usage of a product is on the lines, in units, what is free included."""
        usage = (line for line in self.lines if line.product == product and line.element == "usage")
        return Fraction(sum(line.base_quantity for line in usage), self.sizes[product])


def exact(line: InvoiceLine, currency: Currency) -> Fraction:
    """What a line comes to before it is rounded."""
    return Fraction(line.amount_minor, 10 ** EXPONENTS[currency]) + line.residual


def decimal(value: Fraction) -> str:
    """A number as a card writes it."""
    text = format_fraction(value)
    if "/" in text:
        raise CannotSayError("a price that is no decimal number")
    return text


def billed(tariff: Tariff) -> Billed:
    """The bill of the payer.

    Raises CannotSayError for what the checks of a card or of an event refuse, BillsDifferError where the verifier
    makes another bill.
    """
    bills = bills_of(tariff)
    verify(bills, tariff)
    lines = tuple(line for each in bills.bills for line in each.lines)
    return Billed(
        lines=lines,
        currency=Currency(str(tariff.cards[0]["currency"])),
        sizes={table["id"]: table["units"].get("unit", 1) for table in tariff.products},
        quarantined=tuple(str(each.reason) for each in bills.quarantined),
    )


def bills_of(tariff: Tariff) -> Bills:
    """The bills that the engine makes. Raises CannotSayError."""
    products = {table["id"]: _product(table) for table in tariff.products}
    cards = [_card(table, products) for table in tariff.cards]
    accounts = [_account(table) for table in tariff.accounts]
    contract, faults = read_contract(tariff.contract, "contract")
    if contract is None:
        raise CannotSayError(f"a contract's check refuses it: {faults[0].place} {faults[0].problem}")
    known: dict[str, Account] = {each.id: each for each in accounts}
    deal = Arrangement(cards=cards, products=products, accounts=known, contracts={PAYER: [contract]})
    bills = bill([json.dumps(event).encode() for event in tariff.events], deal, tariff.period)
    if bills.rejects:
        raise CannotSayError(f"an event is refused: {bills.rejects[0].pointer} {bills.rejects[0].reason}")
    return bills


def _product(table: Table) -> Any:  # noqa: ANN401
    product, faults = read_product(table, "product")
    if product is None:
        raise CannotSayError(f"a product is refused: {faults[0].problem}")
    return product


def _card(table: Table, products: Mapping[str, Any]) -> Card:
    card, faults = card_from_table(table, {}, products, place="")
    if card is None:
        raise CannotSayError(f"a card's check refuses it: {faults[0].place} {faults[0].problem}")
    return card


def _account(table: Table) -> Account:
    account, faults = read_account(table, "account")
    assert account is not None, faults
    return account


def verify(bills: Bills, tariff: Tariff) -> None:
    """Raises BillsDifferError unless the verifier makes the same bill of the same tables."""
    theirs: Table = verifier.rate(
        period=str(tariff.period),
        events=tariff.events,
        cards=tariff.cards,
        products=tariff.products,
        accounts=tariff.accounts,
        contracts=[tariff.contract],
        plan=PLAN,
    )
    expected = {
        each["account"]: Bill(currency=each["currency"], total=each["total"], lines=tuple(map(_shown, each["lines"])))
        for each in theirs["accounts"]
    }
    actual = {
        each.account: Bill(
            currency=each.currency,
            total=format_minor(each.total_minor, each.currency),
            lines=tuple(_shown(record(line, each.currency)) for line in each.lines),
        )
        for each in bills.bills
        if each.lines
    }
    unrated = frozenset(("quarantined", each.source, each.id, str(each.reason)) for each in bills.quarantined)
    said = frozenset(("quarantined", each["source"], each["id"], each["reason"]) for each in theirs["quarantined"])
    if differ := [*bill_disagreements(expected, actual), *unrated_disagreements(said, unrated)]:
        raise BillsDifferError(f"the verifier and the engine differ: {differ[0]}")


def _shown(line: Mapping[str, object]) -> Mapping[str, object]:
    """A line, but for the card version that a flat is said to be of."""
    return {**line, "cards": []} if line["element"] == "flat" else line


# --- from sales to tables ---------------------------------------------------------------------------------------------


def sold(*sales: Sale, currency: str = "USD", rounding: Table | None = None, deal: Table | None = None) -> Tariff:
    """The tariff of some sales: a product, a row and, as needed, a schedule and a pool for each; under a deal."""
    card: Table = {"id": "card", "currency": currency, "effective_from": _EARLY, "rate": list(map(_row, sales))}
    if tiered := [sale for sale in sales if sale.tiers]:
        card["tiers"] = {sale.product: _schedule(sale) for sale in tiered}
    if pooled := [sale for sale in sales if sale.free or sale.block]:
        card["pools"] = {sale.product: _pool(sale) for sale in pooled}
    if rounding is not None:
        card["rounding"] = rounding
    events = list(_events(sales))
    below = sorted({event["account"] for event in events} - {PAYER})
    return Tariff(
        products=list(map(product_table, sales)),
        cards=[card],
        events=events,
        accounts=[{"id": PAYER, "currency": currency}, *({"id": each, "parent": PAYER} for each in below)],
        period=Period.parse("2026-10"),
        deal=deal or {},
    )


def product_table(sale: Sale) -> Table:
    """A product that is metered in parts of a unit, small enough that all is whole."""
    units = {"part": 1, "unit": sale.size, "pack": int(sale.per * sale.size)}
    return product_named(sale.product, base="part", units=units)


def product_named(name: str, **facts: object) -> Table:
    """A product by its name, base and units."""
    rules = [{"effective_from": datetime(1970, 1, 1, tzinfo=UTC)}]
    return {"id": name, "name": name, "match": ["to"], "required": ["usage"], "rules": rules, **facts}


def _row(sale: Sale) -> Table:
    row: Table = {"product": sale.product, "unit": "pack", "destination": sale.product}
    limits = (("setup_fee", sale.setup), ("min_charge", sale.least), ("max_charge", sale.most))
    row |= {key: decimal(value) for key, value in limits if value is not None}
    if sale.tiers or sale.counter:
        row["tiers"] = sale.product
    if sale.tiers:
        return row | {"prices": [decimal(tier.price) for tier in sale.tiers]}
    return row | {"price": decimal(sale.price)}


def _schedule(sale: Sale) -> Table:
    return {
        "mode": sale.mode,
        "up_to": [decimal(tier.up_to) for tier in sale.tiers if tier.up_to is not None],
        "unit": "event" if sale.measure == "events" else "unit",
        "measure": sale.measure,
        "scope": sale.scope,
        "fill": [{"product": [sale.counter or sale.product]}],
        "flats": [decimal(tier.flat) for tier in sale.tiers],
        "flat_at_zero": sale.flat_at_zero,
    }


def _pool(sale: Sale) -> Table:
    fill = [{"product": [sale.product]}]
    return {
        "free": decimal(sale.free),
        "block": decimal(sale.block),
        "unit": "unit",
        "scope": sale.scope,
        "fill": fill,
    }


def _events(sales: Iterable[Sale]) -> Iterable[Table]:
    """The events of all sales, a minute apart."""
    number = 0
    for sale in sales:
        for account, quantities in sale.used.items():
            for quantity in quantities:
                number += 1
                yield {
                    "source": "source",
                    "id": f"e{number:06}",
                    "account": account,
                    "product": sale.product,
                    "occurred_at": (NOON + timedelta(minutes=number)).isoformat(),
                    "quantity": str(int(quantity * sale.size)),
                }


def changing(tariffs: Sequence[Tariff]) -> Tariff:
    """One tariff whose card changes: a version and its usage for each, three days apart."""
    cards, events = [], []
    for number, tariff in enumerate(tariffs):
        begins = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(days=3 * number)
        since = _EARLY if number == 0 else begins.isoformat().replace("+00:00", "Z")
        cards += [{**card, "effective_from": since} for card in tariff.cards]
        at = (begins + timedelta(hours=12)).isoformat()
        events += [{**event, "id": f"{number}-{event['id']}", "occurred_at": at} for event in tariff.events]
    return replace(tariffs[0], cards=cards, events=events)
