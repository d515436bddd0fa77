"""The independent re-rater: from usage events and rate cards to invoice lines, by the standard library alone.

THEORY OF OPERATION. A customer who doubts an invoice runs this on the events, the cards and the contract, and compares.
It shares no code with the engine that made the invoice: it takes the events one by one, in the order in which they
happened, and works in exact fractions.

1. Identity    One event per (source, id); the highest revision wins, a void one leaves nothing.
2. Payer       The nearest account at or above the event's that pays. Its contract names the cards, in order.
3. Outcome     The product's rule in force says whether the status bills, is pending, or brings a fee.
4. Matching    Each element (usage, surcharge, carrier_fee, ...) is matched alone, in the card versions in force when
               the event occurred; the first card in which a row fits decides. Inside it: longest destination prefix,
               longest origin prefix, then the other dimensions in the product's order, stated over any.
5. Measuring   Seconds become billable seconds by the row's increments (60/60), else by the product's.
6. Pools       The first N units are free and fill no counter; what is paid is rounded up to whole blocks once a month,
               the padding on the last event that paid.
7. Tiers       Counters start at zero each UTC month and run in chronological order over all cards and versions. What
               fills a counter (the schedule's `fill`) and what it prices (the rows that name it) are two questions.
               graduated: each unit at the tier it falls in; volume: all at the tier reached.
8. Lines       The exact amounts of one line key are summed and rounded once, half away from zero. `residual` is exact
               minus rounded; the total is the sum of the rounded lines.

Every event of the month ends in one place: on lines; in `quarantined`, where something is missing and nothing is billed
at a default; in `zero_rated`, with the reason; malformed ones in `rejected`. A card that no check lets pass raises
CardFaultError instead of giving a figure. Refused, since not rated here yet: duration steps, minimum and maximum
charges, windows, contract discounts, commitments, credits and support.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from math import floor

import billing.verifier_cards as on_card
import billing.verifier_usage as given
from billing.verifier_cards import Book, CardVersion, Count, Match, Row, Schedule, Terms, Traits, schedules_of
from billing.verifier_usage import DatedFacts, InputFaultError, Product, Raw, Usage, text

_NOT_YET = ("discounts", "commitment", "credits", "support", "resells")

Reason = StrEnum(
    "Reason",
    "PENDING STATUS_NOT_BILLABLE ZERO_QUANTITY"
    " UNKNOWN_ACCOUNT NO_PAYER UNKNOWN_PRODUCT NO_PRODUCT_RULE NO_CONTRACT NO_CARD NO_RATE BLOCKED CURRENCY_MISMATCH"
    " NO_INCREMENTS MAX_QUANTITY",
)
"""Why an event is on no line (the value is the name in lower case): the first three zero-rated, else quarantined."""

ZERO_RATED = frozenset({Reason.PENDING, Reason.STATUS_NOT_BILLABLE, Reason.ZERO_QUANTITY})

Raws = Iterable[Raw]  # tables as their reader left them
Payer = tuple[str, str]  # the paying account and its currency
CounterKey = tuple[str, str]  # whose counter it is, and the name of the schedule or pool
Standing = tuple[CounterKey, Sequence[Count], Count, Count]  # key, bounds, position, growth
LineKey = tuple[str, str, str, str, str, str, Fraction]  # product, element, country, destination, tier, unit, price


class UsageUnratedError(Exception):
    """Ends the rating of one event; its only argument is the Reason, which `rate_event` returns as a value."""


def read_terms(cards: Raws, products: Raws, accounts: Raws, contracts: Raws, plan: Mapping[str, str]) -> Terms:
    """Read once what decides a price. `plan` maps E.164 prefixes to ISO countries."""
    known = {product.id: product for product in map(given.read_product, products)}
    versions: dict[str, list[CardVersion]] = {}
    for card in (on_card.read_card(raw, known) for raw in cards):
        if any(card.name == other.name for other in versions.setdefault(card.id, [])):
            raise InputFaultError(card.name, "two versions of one card begin at the same instant")
        versions[card.id].append(card)
    dated: dict[str, dict[str, list[DatedFacts]]] = {"id": {}, "account": {}}
    for key, raw in (*(("id", raw) for raw in accounts), *(("account", raw) for raw in contracts)):
        if unknown := [name for name in _NOT_YET if raw.get(name)]:
            raise InputFaultError(f"contract of {text(raw, key)}", f"{unknown} not priced by this verifier yet")
        dated[key].setdefault(text(raw, key), []).append(given.read_dated(raw, f"{key} {text(raw, key)}"))
    return Terms(cards=versions, products=known, accounts=dated["id"], contracts=dated["account"], plan=plan)


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


def book_of(terms: Terms, payer: str, at: datetime) -> Book:
    """The card versions in force for the payer, in the order of its contract."""
    contract = given.in_force(terms.contracts.get(payer, ()), at)
    if contract is None:
        raise UsageUnratedError(Reason.NO_CONTRACT)
    found = [given.in_force(terms.cards.get(name, ()), at) for name in given.words(contract.facts.get("cards"))]
    return tuple(version for version in found if version is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One priced part of an event; `quantity` in base units. A price `brought` by the event stands by its usage."""

    name: str
    match: Match
    unit: str
    price: Fraction
    quantity: int = 1
    brought: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedEvent:
    """An event, who pays it, what its parts matched, usage first where it bills, and the book of its day's end."""

    usage: Usage
    payer: Payer
    traits: Traits
    book: Book
    billable: int
    elements: tuple[Element, ...]


def rate_event(event: Raw | Usage, terms: Terms) -> RatedEvent | Reason:
    """Which row prices each part of an event and how much of it bills, or why nothing does."""
    try:
        return _rate(event if isinstance(event, Usage) else given.read_usage(event), terms)
    except UsageUnratedError as stop:
        return Reason(stop.args[0])


def _rate(usage: Usage, terms: Terms) -> RatedEvent:
    payer, product = payer_of(terms, usage.account, usage.occurred_at), terms.products.get(usage.product)
    rule = None if product is None else given.in_force(product.rules, usage.occurred_at)
    if product is None or rule is None:
        raise UsageUnratedError(Reason.UNKNOWN_PRODUCT if product is None else Reason.NO_PRODUCT_RULE)
    silent = given.why_silent(rule, usage)
    quantity = 0 if silent else given.measured_quantity(product, usage)
    silent = silent or ("" if quantity else Reason.ZERO_QUANTITY)
    fees = [] if silent == Reason.PENDING else given.fees_due(rule, usage)
    if silent and not fees:
        raise UsageUnratedError(silent)
    book = book_of(terms, payer[0], usage.occurred_at)
    if not book:
        raise UsageUnratedError(Reason.NO_CARD)
    traits = on_card.traits_of(product, usage, terms.plan)
    elements = [] if silent else _billable_elements(book, rule, usage, traits, quantity)
    billable = elements[0].quantity if elements else 0
    for fee in fees:
        match = _match(book, fee, usage, traits)
        elements += [Element(name=fee, match=match, unit="event", price=match.row.prices[0])] if match else []
    if not elements:
        raise UsageUnratedError(silent or Reason.ZERO_QUANTITY)
    if any(element.match.card.currency != payer[1] for element in elements):
        raise UsageUnratedError(Reason.CURRENCY_MISMATCH)
    book = book_of(terms, payer[0], usage.occurred_at.replace(hour=23, minute=59, second=59, microsecond=999_999))
    return RatedEvent(usage=usage, payer=payer, traits=traits, book=book, billable=billable, elements=tuple(elements))


def _billable_elements(book: Book, rule: DatedFacts, usage: Usage, traits: Traits, quantity: int) -> list[Element]:
    """Usage, in base units whatever its unit, and what comes with it. Of 0 nothing comes: no setup either."""
    main = _match(book, "usage", usage, traits)
    if main is None or (main.row.max_quantity is not None and quantity > main.row.max_quantity):
        raise UsageUnratedError(Reason.NO_RATE if main is None else Reason.MAX_QUANTITY)
    row, brought = main.row, given.table(usage.fields, "charges")
    billable = _billable(row, rule, traits.product, quantity)
    if billable == 0:
        return []
    elements = [Element(name="usage", match=main, unit=row.unit, price=row.prices[0], quantity=billable)]
    # Rounding per event is over the sum of a row's elements: there, the setup fee goes in with the usage.
    if row.setup_fee and main.card.per_event is None:
        elements.append(Element(name="setup", match=main, unit="event", price=row.setup_fee))
    known = {element for card in book for product, element in card.shelves if product == traits.product.id}
    settled = {"usage", *brought, *traits.product.fees} | (set() if row.setup_fee is None else {"setup"})
    for name in sorted((known | traits.product.required) - settled):
        match = _match(book, name, usage, traits)
        size = match and _billable(match.row, rule, traits.product, quantity)
        if match and size:
            price = match.row.prices[0]
            elements.append(Element(name=name, match=match, unit=match.row.unit, price=price, quantity=size))
    for name in brought:
        price = given.exact(brought[name], f"{usage.place} charges.{name}")
        elements.append(Element(name=name, match=main, unit="event", price=price, brought=True))
    return elements


def _match(book: Book, element: str, usage: Usage, traits: Traits) -> Match | None:
    """The row that decides. Only of a required element, none or a blocked one stops the whole event."""
    match = on_card.decide(book, element, traits, usage.occurred_at)
    if (match is None or match.row.blocked) and element in traits.product.required:
        raise UsageUnratedError(Reason.NO_RATE if match is None else Reason.BLOCKED)
    return None if match is None or match.row.blocked else match


def _billable(row: Row, rule: DatedFacts, product: Product, quantity: int) -> int:
    """Nothing below the grace; then by the row's increments, else the product's. What is counted needs none."""
    grace = given.whole(rule.facts, "grace", product.id) if row.grace is None else row.grace
    increments = row.increments or text(rule.facts, "increments")
    if not increments and product.base == "second":
        raise UsageUnratedError(Reason.NO_INCREMENTS)
    return 0 if quantity < (grace or 0) else given.apply_increments(quantity, increments or "1/1")


@dataclass(slots=True)
class Line:
    """What one line key collects; `size` base units are one unit."""

    base: str
    size: int
    events: int = 0
    quantity: Count = 0
    amount: Fraction = Fraction(0)
    cards: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Month:
    """The month so far: lines, counters, usage waiting for the tier that its counter reaches, flats that are due."""

    lines: dict[Payer, dict[LineKey, Line]] = field(default_factory=dict)
    counters: dict[CounterKey, Count] = field(default_factory=dict)
    waiting: list[tuple[RatedEvent, Row, Schedule, int, int]] = field(default_factory=list)
    flats: dict[tuple[CounterKey, str], tuple[Payer, Schedule, CardVersion, int]] = field(default_factory=dict)

    def add(self, event: RatedEvent, element: Element, units: Count, first: int, tier: str, price: Fraction) -> None:
        """Put units of one element of an event on their line; `first` is 1 where the event itself counts."""
        row, card, product = element.match.row, element.match.card, event.traits.product
        key = (product.id, element.name, event.traits.country, row.destination, tier, element.unit, price)
        base = "event" if element.unit == "event" else product.base
        fresh = Line(base=base, size=product.size(element.unit))
        line = self.lines.setdefault(event.payer, {}).setdefault(key, fresh)
        amount = Fraction(units * price, line.size)
        if card.per_event and not element.brought:
            setup = (row.setup_fee or 0) if element.name == "usage" else 0
            amount = given.to_step(amount + setup, *card.per_event)
        line.events, line.quantity, line.amount = line.events + first, line.quantity + units, line.amount + amount
        line.cards |= set() if element.brought else {card.name}


def price_month(events: Sequence[RatedEvent]) -> Month:
    """The lines and counters of a month's events, given in chronological order."""
    month, pools = Month(), _settle_pools(events)
    for place, event in enumerate(events):
        for element in event.elements:
            if element.name == "usage":
                _add_usage(month, event, *pools.get(place, (0, 0)))
            else:
                month.add(event, element, 1 if element.unit == "event" else element.quantity, 1, "", element.price)
    for event, row, schedule, units, first in month.waiting:
        _, bounds, total, _ = _standing(month, event, row, schedule, units)
        tier = on_card.tier_reached(bounds, total)
        month.add(event, event.elements[0], units, first, str(tier + 1), row.prices[tier])
    return month


def _owner(scope: str, event: RatedEvent) -> str:
    return event.usage.account if scope == "account" else event.payer[0]


def _settle_pools(events: Sequence[RatedEvent]) -> dict[int, tuple[int, int]]:
    """The free units of each event, by its place in the order, and the padding that it carries."""
    settled: dict[int, tuple[int, int]] = {}
    used: dict[CounterKey, int] = {}
    paid: dict[CounterKey, tuple[int, int, int]] = {}
    for place, event in enumerate(events):
        own = event.elements[0].match
        pools = [own.row.pool, *(pool for card in (own.card, *event.book) for pool in card.pools.values())]
        fits = (pool for pool in pools if pool and (not pool.fill or on_card.selects(pool.fill, event.traits)))
        if not event.billable or (pool := next(fits, None)) is None:
            continue
        key, size = (_owner(pool.scope, event), pool.name), event.traits.product.size(pool.unit)
        units = 1 if pool.unit == "event" else event.billable
        free = min(max(floor(pool.free * size) - used.get(key, 0), 0), units)
        used[key] = used.get(key, 0) + units
        settled[place] = (free * event.billable if pool.unit == "event" else free, 0)
        if units > free:
            paid[key] = (paid.get(key, (0, 0, 0))[0] + units - free, place, floor(pool.block * size))
    for total, place, block in paid.values():
        settled[place] = (settled[place][0], -total % block if block else 0)
    return settled


def _add_usage(month: Month, event: RatedEvent, free: int, padding: int) -> None:
    """Free units at nothing, the others at their tier; then the counters that they fill move on."""
    element, paid, first = event.elements[0], event.billable - free + padding, 1
    row, card, whole = element.match.row, element.match.card, element.unit == "event"
    if free and not (whole and paid):
        month.add(event, element, 1 if whole else free, 1, "free", Fraction(0))
        first = 0
    if not paid:
        return
    schedule, units = card.schedules.get(row.tiers), 1 if whole else paid
    if schedule is None or card.per_event:
        month.add(event, element, units, first, "", row.prices[0])
    elif schedule.mode == "volume":
        month.waiting.append((event, row, schedule, units, first))
    else:
        _, bounds, position, growth = _standing(month, event, row, schedule, paid)
        parts: Sequence[tuple[int, Count]] = [(on_card.next_tier(bounds, position), units)]
        # Only what fills the counter is cut at its bounds; all else is priced whole, where the counter stands.
        if growth and not whole and on_card.selects(schedule.fill, event.traits):
            cuts = on_card.cut(bounds, position, growth)
            parts = [(tier, Fraction(part * units, growth)) for tier, part in cuts]
        for tier, part in parts:
            month.add(event, element, part, first, str(tier + 1), row.prices[tier])
            first = 0
    _fill(month, event, row, paid)


def _standing(month: Month, event: RatedEvent, row: Row, schedule: Schedule, paid: int) -> Standing:
    """A counter for an event: its key, its bounds, where it stands, and by how much the event would move it."""
    key, product = (_owner(schedule.scope, event), schedule.name), event.traits.product
    growth: Count = 1 if schedule.measure == "events" else paid
    if schedule.measure == "amount":
        growth = Fraction(row.list_price * (1 if row.unit == "event" else paid), product.size(row.unit))
    return key, on_card.bounds_of(schedule, product), month.counters.get(key, 0), growth


def _fill(month: Month, event: RatedEvent, row: Row, paid: int) -> None:
    """Move on the counters that the event fills. Flats, of tiers entered or reached, are as its own card has them."""
    own = event.elements[0].match.card
    for found in (one for one in schedules_of(event.book) if on_card.selects(one[0].fill, event.traits)):
        schedule, card = (own.schedules[found[0].name], own) if found[0].name in own.schedules else found
        key, bounds, position, growth = _standing(month, event, row, schedule, paid)
        month.counters[key] = position + growth
        if schedule.mode == "volume":
            month.flats[key, "reached"] = (event.payer, schedule, card, on_card.tier_reached(bounds, position + growth))
        for tier, _ in on_card.cut(bounds, position, growth) if schedule.mode == "graduated" else ():
            month.flats.setdefault((key, str(tier)), (event.payer, schedule, card, tier))


def _add_flats(month: Month, terms: Terms, start: datetime, end: datetime) -> None:
    """Lines for the flats that are due, once those due at zero usage are noted."""
    versions = (*terms.cards.values(), *terms.accounts.values(), *terms.contracts.values())
    changes = {at for dated in versions for one in dated for at in (one.effective_from, one.effective_to) if at}
    for at in sorted({start, *(change for change in changes if start < change < end)}):
        for account in sorted(terms.accounts):
            try:
                payer = payer_of(terms, account, at)
                schedules = schedules_of(book_of(terms, payer[0], at))
            except UsageUnratedError:
                continue
            for schedule, card in schedules:
                key = (account if schedule.scope == "account" else payer[0], schedule.name)
                if schedule.flat_at_zero:
                    which = "reached" if schedule.mode == "volume" else "0"
                    month.flats.setdefault((key, which), (payer, schedule, card, 0))
    for payer, schedule, card, tier in month.flats.values():
        if schedule.flats and schedule.flats[tier] and card.currency == payer[1]:
            name = ("", "flat", "", schedule.name, str(tier + 1), "flat", schedule.flats[tier])
            line = month.lines.setdefault(payer, {}).setdefault(name, Line(base="flat", size=1))
            line.quantity, line.amount = line.quantity + 1, line.amount + schedule.flats[tier]
            line.cards.add(card.name)


def rate(
    *, period: str, events: Raws, cards: Raws, products: Raws, accounts: Raws, contracts: Raws, plan: Mapping[str, str]
) -> dict[str, object]:
    """The lines of the UTC month `period` per billing account, and every event that is on none, with the reason.

    The result is that of `tollbook rate` (FORMATS 6), with `zero_rated` and `rejected` beside `quarantined`.
    """
    terms, (start, end) = read_terms(cards, products, accounts, contracts, plan), given.month(period)
    usages, rejected = given.settle_revisions(events)
    rated, quarantined, zero_rated = list[RatedEvent](), list[dict[str, str]](), list[dict[str, str]]()
    for usage in (one for one in usages if start <= one.occurred_at < end):
        try:
            answer = rate_event(usage, terms)
        except InputFaultError as fault:
            rejected.append({"source": usage.source, "id": usage.id, "reason": str(fault)})
            continue
        if isinstance(answer, RatedEvent):
            rated.append(answer)
        else:
            unrated = zero_rated if answer in ZERO_RATED else quarantined
            unrated.append({"source": usage.source, "id": usage.id, "reason": str(answer)})
    month = price_month(rated)
    _add_flats(month, terms, start, end)
    billed = [_bill(payer, month.lines[payer], period) for payer in sorted(month.lines)]
    return {
        "period": period, "currency": " ".join(sorted({currency for _, currency in month.lines})), "accounts": billed,
        "quarantined": quarantined, "zero_rated": zero_rated, "rejected": rejected,
    }  # fmt: skip


def _bill(payer: Payer, lines: Mapping[LineKey, Line], period: str) -> dict[str, object]:
    """Round each line once, print it, and add the rounded ones up."""
    (step, digits), total, printed = given.minor_unit(payer[1]), Fraction(0), []
    for (*names, price), line in sorted(lines.items()):
        rounded = given.to_step(line.amount, step)
        total += rounded
        said = dict(zip(("product", "element", "country", "destination", "tier", "unit"), names, strict=True))
        printed.append(said | {
            "events": line.events, "unit_price": given.shortest(price),
            "quantity": given.shortest(given.to_step(Fraction(line.quantity, line.size), Fraction(1, 10**6))),
            "amount": given.plain(rounded, digits), "residual": str(line.amount - rounded),
            "base_quantity": given.shortest(Fraction(line.quantity)), "base_unit": line.base,
            "origin_period": period, "cards": sorted(line.cards),
        })  # fmt: skip
    return {"account": payer[0], "currency": payer[1], "lines": printed, "total": given.plain(total, digits)}
