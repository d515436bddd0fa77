"""The verifier's answer for one event: who pays it, which rows price it, and how much of it bills, or why nothing does.

The payer decides the contract, the contract the cards, the product's rule what bills; then each element is matched by
itself. The rules are those of DESIGN 5 and 6 and FORMATS 1 and 4.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from math import ceil

import billing.verifier_cards as on_card
import billing.verifier_usage as given
from billing.verifier_cards import Book, Match, Row, Terms
from billing.verifier_charges import BlockedPartError, ChargeTooLargeError, Element, settle, usage_parts
from billing.verifier_parts import charges_of, packages_of, parts_of
from billing.verifier_traits import Traits, traits_of
from billing.verifier_usage import DatedFacts, InputFaultError, Product, Raw, Usage, text

Payer = tuple[str, str]  # the paying account and its currency

_RESOLD = "resold:"

Reason = StrEnum(
    "Reason",
    "PENDING STATUS_NOT_BILLABLE ZERO_QUANTITY"
    " UNKNOWN_ACCOUNT NO_PAYER UNKNOWN_PRODUCT NO_PRODUCT_RULE NO_CONTRACT NO_CARD NO_RATE BLOCKED CURRENCY_MISMATCH"
    " NO_INCREMENTS MAX_QUANTITY CHARGE_TOO_LARGE CHARGE_MISSING CHARGE_UNPRICED",
)
"""Why an event is on no line (the value is the name in lower case): the first three zero-rated, else quarantined."""

ZERO_RATED = frozenset({Reason.PENDING, Reason.STATUS_NOT_BILLABLE, Reason.ZERO_QUANTITY})


class UsageUnratedError(Exception):
    """Ends the rating of one event; its only argument is the Reason, which `rate_event` returns as a value."""


def payer_of(terms: Terms, account: str, at: datetime) -> Payer:
    """The nearest paying account at or above this one. A root pays unless it says no, a subaccount if it says so."""
    seen: set[str] = set()
    while (known := given.in_force(terms.accounts.get(account, ()), at)) is not None and account not in seen:
        parent = text(known.facts, "parent")
        if given.flag(known.facts, "pays", default=not parent):
            return account, text(known.facts, "currency")
        seen.add(account)
        account = parent
    raise UsageUnratedError(Reason.NO_PAYER if seen else Reason.UNKNOWN_ACCOUNT)


def payers_of(terms: Terms, account: str, at: datetime) -> list[Payer]:
    """Who pays for an account: the supplier's customer and, if that one resells, whoever has a contract below it."""
    supplied = payer_of(terms, account, at)
    agreed = given.in_force(terms.contracts.get(supplied[0], ()), at)
    if agreed is None or not given.flag(agreed.facts, "resells"):
        return [supplied]
    while account != supplied[0] and given.in_force(terms.contracts.get(account, ()), at) is None:
        account = text(terms.accounts[account][0].facts, "parent")
    if account == supplied[0]:
        return [supplied]
    return [supplied, (account, text(terms.accounts[account][0].facts, "currency"))]


def is_resold(usage: Usage) -> bool:
    """Whether it is what a reseller charges for an event."""
    return usage.source.startswith(_RESOLD)


def sides_of(usage: Usage, terms: Terms) -> list[Usage]:
    """An event as each of its payers is charged for it."""
    try:
        payers = payers_of(terms, usage.account, usage.occurred_at)
    except UsageUnratedError:
        return [usage]
    return [usage, *(replace(usage, source=f"{_RESOLD}{usage.source}") for _ in payers[1:])]


def contract_of(terms: Terms, payer: str, at: datetime) -> DatedFacts:
    """What the payer agreed for that moment."""
    contract = given.in_force(terms.contracts.get(payer, ()), at)
    if contract is None:
        raise UsageUnratedError(Reason.NO_CONTRACT)
    return contract


def book_of(terms: Terms, payer: str, at: datetime) -> Book:
    """The card versions in force for the payer, in the order of its contract."""
    names = given.words(contract_of(terms, payer, at).facts.get("cards"))
    found = [given.in_force(terms.cards.get(name, ()), at) for name in names]
    return tuple(version for version in found if version is not None)


def books_of(terms: Terms, account: str, at: datetime) -> list[tuple[Payer, Book]]:
    """Who pays for an account, each with its book; an empty one where it has no contract."""
    try:
        payers = payers_of(terms, account, at)
    except UsageUnratedError:
        return []
    agreed = [given.in_force(terms.contracts.get(payer[0], ()), at) for payer in payers]
    return [(payer, book_of(terms, payer[0], at) if one else ()) for payer, one in zip(payers, agreed, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedEvent:
    """An event, who pays it, and what it is charged: the `parts` of its usage, and the `elements` beside them.

    `book` is that of its day's end, by which it is counted, `contract` what the payer agreed for its day.
    There are no parts where only a fee bills, or where a minimum or a maximum stands in place of the usage.
    """

    usage: Usage
    payer: Payer
    traits: Traits
    book: Book
    contract: DatedFacts
    parts: tuple[Element, ...]
    elements: tuple[Element, ...]


def rate_events(event: Raw | Usage, terms: Terms) -> list[RatedEvent] | Reason:
    """The same of an event that may be several of one identity: if one of them waits, all do."""
    usage = event if isinstance(event, Usage) else given.read_usage(event)
    answers = [rate_event(part, terms) for part in parts_of(usage)]
    reasons = [answer for answer in answers if isinstance(answer, Reason)]
    waiting = [reason for reason in reasons if reason not in ZERO_RATED]
    rated = [answer for answer in answers if isinstance(answer, RatedEvent)]
    return waiting[0] if waiting else rated or reasons[0]


def rate_event(event: Raw | Usage, terms: Terms) -> RatedEvent | Reason:
    """Which row prices each part of an event and how much of it bills, or why nothing does."""
    try:
        return _rate(event if isinstance(event, Usage) else given.read_usage(event), terms)
    except UsageUnratedError as stop:
        return Reason(stop.args[0])


def _rate(usage: Usage, terms: Terms) -> RatedEvent:
    payers = payers_of(terms, usage.account, usage.occurred_at)
    payer = payers[-1] if is_resold(usage) else payers[0]
    product, rule = _product_of(terms, usage)
    silent = given.why_silent(rule, usage)
    quantity = 0 if silent else measured_quantity(product, usage)
    silent = silent or ("" if quantity else Reason.ZERO_QUANTITY)
    fees = [] if silent == Reason.PENDING else given.fees_due(rule, usage)
    if silent and not fees:
        raise UsageUnratedError(silent)
    book = book_of(terms, payer[0], usage.occurred_at)
    if not book:
        raise UsageUnratedError(Reason.NO_CARD)
    traits = traits_of(product, usage, terms.plan)
    parts, elements = ((), list[Element]()) if silent else _charged(book, rule, usage, traits, quantity)
    for fee in fees:
        match = _match(book, fee, usage, traits)
        elements += [Element(name=fee, match=match, unit="event", price=match.row.prices[0])] if match else []
    if not parts and not elements:
        raise UsageUnratedError(silent or Reason.ZERO_QUANTITY)
    if any(element.match.card.currency != payer[1] for element in (*parts, *elements)):
        raise UsageUnratedError(Reason.CURRENCY_MISMATCH)
    book = book_of(terms, payer[0], usage.occurred_at.replace(hour=23, minute=59, second=59, microsecond=999_999))
    if parts:  # selectors ask for the kind of number that the row names
        traits = replace(traits, number_type=parts[0].match.row.dimensions.get("number_type", ""))
    return RatedEvent(
        usage=usage, payer=payer, traits=traits, book=book, contract=contract_of(terms, payer[0], usage.occurred_at),
        parts=parts, elements=tuple(elements),
    )  # fmt: skip


def _product_of(terms: Terms, usage: Usage) -> tuple[Product, DatedFacts]:
    """The product that an event is billed as, and its rule in force: it may have been delivered as another."""
    product, rule, name = *_ruled(terms, usage.product, usage.occurred_at), usage.value("delivered_as")
    if name:
        other = text(given.table(rule.facts, "delivered_as"), name)
        if not other:
            raise UsageUnratedError(Reason.NO_PRODUCT_RULE)
        product, rule = _ruled(terms, other, usage.occurred_at)
    return product, rule


def _ruled(terms: Terms, name: str, at: datetime) -> tuple[Product, DatedFacts]:
    product = terms.products.get(name)
    rule = None if product is None else given.in_force(product.rules, at)
    if product is None or rule is None:
        raise UsageUnratedError(Reason.UNKNOWN_PRODUCT if product is None else Reason.NO_PRODUCT_RULE)
    return product, rule


def measured_quantity(product: Product, usage: Usage) -> int:
    """The event's quantity in base units, before increments. Given in several ways, they must agree."""
    claims = {given.whole(usage.fields, "quantity", usage.place), *_measured(product.measure, usage)}
    stated = [claim for claim in claims if claim is not None]
    if len(stated) != 1 or stated[0] < 0:
        how = f"quantity or {product.measure or 'a measure'}"
        raise InputFaultError(usage.place, f"needs one quantity of 0 or more: {how}")
    return stated[0]


def _measured(measure: str, usage: Usage) -> list[int | None]:
    """What the event says of its quantity in the product's own fields."""
    fields = usage.fields
    if measure.endswith("_seconds"):
        seconds = given.number(fields, measure, usage.place)
        return [None if seconds is None else ceil(seconds)]
    if measure == "bytes":
        ways = [given.whole(fields, name, usage.place) for name in ("bytes_sent", "bytes_received")]
        return [None if None in ways else sum(way or 0 for way in ways)]
    if measure == "packages":
        return [len(packages_of(usage))] if "packages" in fields else []
    found = [given.whole(fields, measure, usage.place)] if measure else []
    if measure == "segments" and "text" in fields:
        found.append(given.count_segments(str(fields["text"])))
    return found


def _charged(
    book: Book, rule: DatedFacts, usage: Usage, traits: Traits, quantity: int
) -> tuple[tuple[Element, ...], list[Element]]:
    """The parts of the usage, and what comes with it. Of 0 nothing comes: no setup and no minimum either."""
    main, product = _match(book, "usage", usage, traits), traits.product
    if main is None or (main.row.max_quantity is not None and quantity > main.row.max_quantity):
        raise UsageUnratedError(Reason.NO_RATE if main is None else Reason.MAX_QUANTITY)
    billable, charges = _billable(main.row, rule, product, quantity), charges_of(usage)
    billable = _counted(main.row, billable, charges.get("usage"), required=True)
    if billable == 0:
        return (), []
    beside, fee = list[Element](), main.row.setup_fee
    if fee:  # a fee of nothing is none
        beside.append(Element(name="setup", match=main, unit="event", price=fee))
    if product.fees & charges.keys():
        raise UsageUnratedError(Reason.CHARGE_UNPRICED)
    known = {element for card in book for own, element in card.shelves if own == product.id}
    settled = {"usage", *product.fees} | ({"setup"} if fee else set())
    for name in sorted((known | product.required | charges.keys()) - settled):
        match = _match(book, name, usage, traits, needed=name in charges)
        size = match and _billable(match.row, rule, product, quantity)
        if match:
            size = _counted(match.row, size or 0, charges.get(name), required=name in product.required)
        if match and size:
            unit, price = match.row.unit, match.row.prices[0]
            per = product.size(unit)
            beside.append(Element(name=name, match=match, unit=unit, price=price, size=per, quantity=size))
    try:
        parts = usage_parts(main, product, usage.occurred_at, quantity, billable)
    except BlockedPartError:
        raise UsageUnratedError(Reason.BLOCKED) from None
    try:
        return settle(main, parts, beside)
    except ChargeTooLargeError:
        raise UsageUnratedError(Reason.CHARGE_TOO_LARGE) from None


def _counted(row: Row, billable: int, charge: int | None, *, required: bool) -> int:
    """What counts: of a row in money the charge that the event brings, for which it must be. 0: nothing is due."""
    if row.unit != "money":
        if charge is not None:
            raise UsageUnratedError(Reason.CHARGE_UNPRICED)
        return billable
    if charge is None and required:
        raise UsageUnratedError(Reason.CHARGE_MISSING)
    return charge or 0


def _match(book: Book, element: str, usage: Usage, traits: Traits, *, needed: bool = False) -> Match | None:
    """The row that decides. Only of an element that is needed, none or a blocked one stops the whole event."""
    match = on_card.decide(book, element, traits, usage.occurred_at)
    if (match is None or match.row.blocked) and (needed or element in traits.product.required):
        raise UsageUnratedError(Reason.NO_RATE if match is None else Reason.BLOCKED)
    return None if match is None or match.row.blocked else match


def _billable(row: Row, rule: DatedFacts, product: Product, quantity: int) -> int:
    """Nothing below the grace; then by the row's increments, else the product's. What is counted needs none."""
    if row.unit == "money":
        return quantity
    grace = given.whole(rule.facts, "grace", product.id) if row.grace is None else row.grace
    increments = row.increments or text(rule.facts, "increments")
    if not increments and product.base == "second":
        raise UsageUnratedError(Reason.NO_INCREMENTS)
    return 0 if quantity < (grace or 0) else given.apply_increments(quantity, increments or "1/1")
