"""Deals: what contracts say of money beside their cards. Percents off, a commitment, credits, a support plan.

Percents are in the unit prices of lines, by the day of the usage. Commitments and credits are a second pass over the
priced lines (`rates.netting`), in the order of DESIGN 7; `docs/decisions/0014-the-order-of-money.md` has all of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.errors import Fault
from rates.money import exact, normal
from rates.numbering import ASSIGNED
from rates.products import Product
from rates.reading import Reader
from rates.support import SUPPORT, Support, Supported, read_support
from rates.support import in_words as support_in_words
from rates.support import table_of as table_of_support
from rates.tiers import Selector, selected

Int64s = NDArray[np.int64]

CARRIER_FEE = "carrier_fee"
"""The element that no percent, maximum or minimum is about: it is passed on."""

WHOLE = Fraction(1)
"""What is left of a price where nothing is taken off."""

_EPOCH = date(1970, 1, 1)
_HUNDRED = 100
_MOST = 10**12
"""More than any month comes to; its minor units, and those of many such, are far below 64 bits."""
_EVERYTHING = (Selector(),)
_DAY_BITS = 32
_PAYER_BITS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """A percent off the unit prices of what `on` selects."""

    percent: Decimal
    on: tuple[Selector, ...] = _EVERYTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """The least and the most that a month of what `on` selects comes to, in major units; None for no such bound."""

    least: Decimal | None = None
    most: Decimal | None = None
    on: tuple[Selector, ...] = _EVERYTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """Money of ours that pays for what `on` selects, used before the day `until`; None: as long as there is some."""

    id: str
    amount: Decimal
    until: date | None = None
    on: tuple[Selector, ...] = _EVERYTHING

    @property
    def turn(self) -> tuple[date, str]:
        """Credits are used in this order: what expires first, then by id."""
        return self.until or date.max, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """What one contract says of money. Of the discounts that take something, the first holds."""

    discounts: tuple[Discount, ...] = ()
    commitment: Commitment | None = None
    credits: tuple[Credit, ...] = ()
    support: Support | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether it says nothing at all."""
        return self == NO_DEAL

    @property
    def money(self) -> "Money":
        """What is about whole lines, and not about unit prices."""
        return Money(self.commitment, self.credits)


NO_DEAL = Deal()


class Money(NamedTuple):
    """The terms that a day's lines are under in the second pass."""

    commitment: Commitment | None
    credits: tuple[Credit, ...]


class Span(NamedTuple):
    """Days of a period under one deal: from `since` until the next span begins."""

    since: date
    days: int
    deal: Deal


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The deals of one payer in a period of so many `days`; `used`: minor units that its credits paid before, by id.

    `support` are the plans of the month before, which are posted in this one.
    """

    spans: tuple[Span, ...]
    days: int
    used: Mapping[str, int] = field(default_factory=dict)
    support: tuple[Supported, ...] = ()

    def terms(self) -> tuple[Money, ...]:
        """The distinct money terms, in the order in which they first hold."""
        return tuple(dict.fromkeys(span.deal.money for span in self.spans))

    @property
    def has_money(self) -> bool:
        """Whether there is a commitment, a credit or a support plan in it."""
        return bool(self.support) or any(span.deal.commitment or span.deal.credits for span in self.spans)


class Placed(NamedTuple):
    """Of n items: under which of the `offers` (discounts) and of its payer's money terms each is, int64[n]."""

    offer: Int64s
    terms: Int64s


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreements:
    """What several payers agreed, by their numbers; a payer without a deal is not in it. See `agreements_of`.

    `offers` are the distinct discounts of contracts, the first of which is none at all. The spans of all payers are
    rows in order: `begins` int64[n] is payer and first day, `offer` and `terms` int64[n] what holds from then on.
    """

    by_payer: Mapping[int, Agreed]
    offers: tuple[tuple[Discount, ...], ...]
    begins: Int64s
    offer: Int64s
    terms: Int64s

    def place(self, payer: Int64s, day: NDArray[np.int32]) -> Placed:
        """The terms of n payers (int64[n]) on their days (since the epoch)."""
        at = np.searchsorted(self.begins, (payer << _DAY_BITS) + day, side="right") - 1
        # What is before the first span of its payer is found at another's, and is under the first terms of its own.
        own = (at >= 0) & (self.begins[at] >> _DAY_BITS == payer)
        return Placed(np.where(own, self.offer[at], 0), np.where(own, self.terms[at], 0))

    def left(self, payer: int, day: date, product: Product, element: str, kind: tuple[str, str]) -> Fraction:
        """What a payer's contract of a day leaves of one price; `kind` is its country and number type."""
        agreed = self.by_payer.get(payer)
        begun = [span for span in agreed.spans if span.since <= day] if agreed is not None else []
        return left_of(begun[-1].deal.discounts, product, element, *kind) if begun else WHOLE


def agreements_of(by_payer: Mapping[int, Agreed]) -> Agreements | None:
    """What payers agreed, to be looked up by columns; None where nobody agreed anything."""
    if not by_payer:
        return None
    offers = {(): 0} | dict.fromkeys(span.deal.discounts for agreed in by_payer.values() for span in agreed.spans)
    numbers = {offer: number for number, offer in enumerate(offers)}
    rows = []
    for payer, agreed in sorted(by_payer.items()):
        terms = {each: number for number, each in enumerate(agreed.terms())}
        for since, _, deal in agreed.spans:
            begins = (payer << _DAY_BITS) + (since - _EPOCH).days
            rows.append((begins, numbers[deal.discounts], terms[deal.money]))
    begins, offer, held = np.array(rows, dtype=np.int64).T
    return Agreements(by_payer=by_payer, offers=tuple(offers), begins=begins, offer=offer, terms=held)


def under(payer: Int64s, terms: Int64s) -> Int64s:
    """Payers (int64[n]) and their terms as one number each: a payer's own number under its first terms."""
    return payer + (terms << _PAYER_BITS)


def payer_and_terms(number: Int64s) -> tuple[Int64s, Int64s]:
    """What `under` put together."""
    return number & ((1 << _PAYER_BITS) - 1), number >> _PAYER_BITS


def is_committed(product: Product | None, element: str) -> bool:
    """Whether percents, maxima and minima are about an element of a product; one that nobody declares is a flat."""
    return element not in {CARRIER_FEE, SUPPORT} and (product is None or product.discountable)


def left_of(discounts: Iterable[Discount], product: Product, element: str, country: str, number_type: str) -> Fraction:
    """What discounts leave of a price: 19/20 after 5 percent."""
    if not is_committed(product, element):
        return WHOLE
    found = next((each for each in discounts if selected(each.on, product.id, country, number_type)), None)
    return WHOLE if found is None else Fraction(_HUNDRED - exact(found.percent), _HUNDRED)


def read_deal(read: Reader) -> Deal:
    """What a contract's table says of money; faults go to the reader."""
    discounts: list[Discount] = []
    general = ""
    for each in read.each("discounts"):
        if general:
            each.fault("", f"never holds: {general} is on everything", "put it before that one")
        elif "on" not in each.table:
            general = f"discounts[{len(discounts)}]"
        discounts.append(Discount(percent=each.decimal("percent"), on=_on(each, of_prices=True)))
        each.finish()
        if not (0 < discounts[-1].percent <= _HUNDRED or each.is_faulty("percent")):
            each.fault("percent", "is outside 0 to 100", "a discount is a percent off the price")
    credit = [_credit(each) for each in read.each("credits")]
    if len({each.id for each in credit}) != len(credit):
        read.fault("credits", "has an id twice", "a credit is known by its id: give each its own")
    commitment = _commitment(read.below("commitment")) if "commitment" in read.table else None
    read.seen.add("commitment")
    support = read_support(read.below("support")) if "support" in read.table else None
    read.seen.add("support")
    ordered = tuple(sorted(credit, key=lambda each: each.turn))
    return Deal(discounts=tuple(discounts), commitment=commitment, credits=ordered, support=support)


def unsold(deal: Deal, products: Iterable[str], place: str) -> list[Fault]:
    """The patterns of products in a deal at `place` that no product fits: nobody would get what was agreed on them."""
    ons = {"discounts": [one.on for one in deal.discounts], "credits": [one.on for one in deal.credits]}
    ons["commitment"] = [] if deal.commitment is None else [deal.commitment.on]
    names = sorted(products)
    remedy = f"known: {', '.join(names)}"
    return [
        Fault(place=f"{place}: {key}", value=pattern, problem="selects no product", remedy=remedy)
        for key, each in ons.items()
        for pattern in dict.fromkeys(pattern for on in each for one in on for pattern in one.product)
        if pattern and not any(fnmatchcase(name, pattern) for name in names)
    ]


def table_of(deal: Deal) -> dict[str, object]:
    """A deal in the form of `contract.toml`, read back by `read_deal`; what it does not say is not in it."""
    table: dict[str, object] = {}
    if deal.discounts:
        table["discounts"] = [{"percent": normal(each.percent), **_on_table(each.on)} for each in deal.discounts]
    if deal.commitment is not None:
        bounds = {"min": deal.commitment.least, "max": deal.commitment.most}
        stated = {key: normal(bound) for key, bound in bounds.items() if bound is not None}
        table["commitment"] = {**stated, **_on_table(deal.commitment.on)}
    if deal.credits:
        table["credits"] = [
            {"id": each.id, "amount": normal(each.amount)}
            | ({"until": each.until.isoformat()} if each.until else {})
            | _on_table(each.on)
            for each in deal.credits
        ]
    if deal.support is not None:
        table["support"] = table_of_support(deal.support)
    return table


def in_words(deal: Deal) -> str:
    """`5 % off voice.*; minimum 5000; credit welcome 100 until 2027-01-01`; "" where nothing is agreed."""
    said = [f"{normal(each.percent)} % off{_on_in_words(each.on)}" for each in deal.discounts]
    if deal.commitment is not None:
        bounds = (("minimum", deal.commitment.least), ("maximum", deal.commitment.most))
        stated = " and ".join(f"{name} {normal(bound)}" for name, bound in bounds if bound is not None)
        said.append(f"{stated}{_on_in_words(deal.commitment.on, 'of ')}")
    for each in deal.credits:
        until = f" until {each.until}" if each.until else ""
        said.append(f"credit {each.id} {normal(each.amount)}{until}{_on_in_words(each.on, 'on ')}")
    if deal.support is not None:
        said.append(support_in_words(deal.support))
    return "; ".join(said)


def _on_in_words(on: tuple[Selector, ...], joint: str = "") -> str:
    if on == _EVERYTHING:
        return ""
    named = ((each.product, each.country, each.number_type) for each in on)
    said = (" ".join(filter(None, map("/".join, each))) for each in named)
    return f" {joint}{', '.join(said)}"


def _commitment(read: Reader) -> Commitment:
    bounds = {key: read.decimal(key) if key in read.table else None for key in ("min", "max")}
    read.seen.update(bounds)
    found = Commitment(least=bounds["min"], most=bounds["max"], on=_on(read))
    read.finish()
    if not bounds.keys() & read.table.keys() and not read.is_faulty(""):
        read.fault("", "has neither min nor max", 'write commitment = {min = "5000"}')
    for key, bound in bounds.items():
        if bound is not None and bound < 0:
            read.fault(key, "is below 0", "a month comes to 0 or more")
        _bounded(read, key, bound)
    if found.least is not None and found.most is not None and found.most < found.least:
        read.fault("max", "is below min", "the most of a month is not below its least")
    return found


def _credit(read: Reader) -> Credit:
    until = read.instant("until", required=False)
    found = Credit(
        id=read.text("id"), amount=read.decimal("amount"), until=None if until is None else until.date(), on=_on(read)
    )
    read.finish()
    if not found.id.isprintable():
        read.fault("id", "has a control character", "write a short name, as in welcome")
    if until is not None and (until.hour, until.minute, until.second, until.microsecond) != (0, 0, 0, 0):
        read.fault("until", "is not the beginning of a UTC day", f"credits end at 00:00 UTC: write {until.date()}")
    if found.amount <= 0 and not read.is_faulty("amount"):
        read.fault("amount", "is not above 0", "a credit gives something")
    _bounded(read, "amount", found.amount)
    return found


def _bounded(read: Reader, key: str, amount: Decimal | None) -> None:
    if amount is not None and amount > _MOST:
        read.fault(key, f"is absurd: more than {_MOST}", "no month comes to that: write the amount in major units")


def _on(read: Reader, *, of_prices: bool = False) -> tuple[Selector, ...]:
    """The selectors of `on`, in one order however they are written: by product and country as lines have them.

    Those of prices also select by number type, as rates name it.
    """
    found = []
    for item in read.each("on"):
        number_type = _sorted(item.texts("number_type")) if of_prices else ()
        products, countries = _sorted(item.texts("product")), _sorted(item.texts("country"))
        found.append(Selector(product=products, country=countries, number_type=number_type))
        item.finish()
        for country in found[-1].country:
            if country and not any(fnmatchcase(code, country) for code in ASSIGNED):
                problem = f"selects no country: {country}"
                item.fault("country", problem, "write its two capital letters, as in GB")
    if "on" in read.table and not found and read.table["on"] == []:
        read.fault("on", "selects nothing", 'write on = [{product = "..."}], or leave it out for everything')
    ordered = sorted(set(found), key=lambda each: (each.product, each.country, each.number_type))
    return tuple(ordered) or _EVERYTHING


def _sorted(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))


def _on_table(on: tuple[Selector, ...]) -> dict[str, object]:
    if on == _EVERYTHING:
        return {}
    names = ("product", "country", "number_type")
    stated = [{name: list(getattr(each, name)) for name in names} for each in on]
    return {"on": [{key: value for key, value in each.items() if value} for each in stated]}
