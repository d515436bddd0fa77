"""The independent re-rater: from usage events and rate cards to invoice lines, by the standard library alone.

THEORY OF OPERATION. A customer who doubts an invoice runs this on the events, the cards and the contract, and compares.
It shares no code with the engine that made the invoice: it takes the events one by one, in the order in which they
happened, and works in exact fractions.

1. Identity    One event per (source, id); the highest revision wins, a void one leaves nothing.
2. Payer       The nearest account at or above the event's that pays. Its contract names the cards, in order. If it
               resells, the event is rated once more for whoever has a contract below it, as of `resold:` its source.
3. Outcome     The product's rule in force says whether the status bills, is pending, or brings a fee.
4. Matching    Each element (usage, surcharge, carrier_fee, ...) is matched alone, in the card versions in force when
               the event occurred; the first card in which a row fits decides. Inside it: longest destination prefix,
               longest origin prefix, then the other dimensions in the product's order, stated over any.
5. Measuring   Seconds become billable seconds by the row's increments (60/60), else by the product's.
6. Charges     Steps, windows that split, minimum and maximum charges and rounding per event are settled within the
               event, by the row in force when it began. One that a limit replaces fills no counter and no pool.
7. Pools       The first N units are free and fill no counter; what is paid is rounded up to whole blocks once a month,
               the padding on the last event that paid.
8. Tiers       Counters start at zero each UTC month and run in chronological order over all cards and versions. What
               fills a counter (the schedule's `fill`) and what it prices (the rows that name it) are two questions.
               graduated: each unit at the tier it falls in; volume: all at the tier reached. A counter of money grows
               by what usage costs at its first price; a unit that crosses a bound is cut there, and counted before it.
9. Percent     The contract's percent is off each unit price, by the day of the usage. Carrier fees have none.
10. Lines      The exact amounts of one line key are summed and rounded once, half away from zero. `residual` is exact
               minus rounded; the total is the sum of the rounded lines.
11. Commitment Over the rounded lines: the maximum of the month, its minimum, the support plans of the month before,
               then what credits pay, on their own lines.

Every event of the month ends in one place: on lines; in `quarantined`, where something is missing and nothing is billed
at a default; in `zero_rated`, with the reason; malformed ones in `rejected`. A card that no check lets pass raises
CardFaultError instead of giving a figure. Refused, since not rated here yet: reselling.

The modules, from the ground up: `verifier_usage` reads, `verifier_parts` takes events of several packages apart,
`verifier_states` derives jurisdictions, `verifier_traits` says what may be asked of an event, `verifier_counters` and
`verifier_windows` are parts of a card, `verifier_cards` finds the row, `verifier_charges` settles one charge,
`verifier_events` says which events have one, `verifier_money` what contracts take off and add, `verifier_support` what
their support comes to, and this module adds up the month.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import floor

import billing.verifier_cards as on_card
import billing.verifier_counters as counted
import billing.verifier_money as agreed
import billing.verifier_support as supported
import billing.verifier_usage as given
from billing.verifier_cards import CardVersion, Terms, schedules_of
from billing.verifier_charges import Element
from billing.verifier_counters import Count, Pool, Schedule
from billing.verifier_events import (
    ZERO_RATED,
    Payer,
    RatedEvent,
    UsageUnratedError,
    books_of,
    is_resold,
    payers_of,
    rate_events,
    sides_of,
)
from billing.verifier_states import placed
from billing.verifier_traits import selects
from billing.verifier_usage import CardFaultError, DatedFacts, InputFaultError, Raw, text

Raws = Iterable[Raw]  # tables as their reader left them
CounterKey = tuple[str, str]  # whose counter it is, and the name of the schedule or pool
LineKey = tuple[str, str, str, str, str, str, Fraction]  # product, element, country, destination, tier, unit, price


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
        dated[key].setdefault(text(raw, key), []).append(given.read_dated(raw, f"{key} {text(raw, key)}"))
    return Terms(cards=versions, products=known, accounts=dated["id"], contracts=dated["account"], plan=plan)


@dataclass(slots=True)
class Line:
    """What one line key collects; `size` base units are one unit."""

    base: str
    size: int
    events: int = 0
    quantity: Count = 0
    days: dict[date, Fraction] = field(default_factory=dict)
    cards: set[str] = field(default_factory=set)

    @property
    def amount(self) -> Fraction:
        """Its exact amount."""
        return sum(self.days.values(), Fraction(0))

    def charge(self, day: date, amount: Fraction) -> None:
        """Add what a day brings."""
        self.days[day] = self.days.get(day, Fraction(0)) + amount


@dataclass(slots=True)
class Month:
    """The month so far: lines, counters, usage waiting for the tier that its counter reaches, flats that are due."""

    lines: dict[Payer, dict[LineKey, Line]] = field(default_factory=dict)
    counters: dict[CounterKey, Count] = field(default_factory=dict)
    waiting: list[tuple[RatedEvent, Element, Schedule]] = field(default_factory=list)
    flats: dict[tuple[CounterKey, str], tuple[Payer, Schedule, CardVersion, int, date]] = field(default_factory=dict)

    def add(
        self, event: RatedEvent, element: Element, units: Count, tier: str, price: Fraction, counted: int | None = None
    ) -> None:
        """Put units of one element of an event on their line, at the price of the tier.

        `counted` is how many of them the line counts, where a bound of money lies inside of one.
        """
        row, product = element.match.row, event.traits.product
        kind = event.traits.country, row.dimensions.get("number_type", "")
        left = agreed.left_of(event.contract, product, element.name, *kind)
        price *= left
        key = (product.id, element.name, event.traits.country, row.destination, tier, element.unit, price)
        base = {"event": "event", "money": "nano"}.get(element.unit, product.base)
        line = self.lines.setdefault(event.payer, {}).setdefault(key, Line(base=base, size=element.size))
        line.events += element.events
        line.quantity += units if counted is None else counted
        amount = Fraction(units * price, line.size) if element.rounded is None else element.rounded * left
        line.charge(event.usage.occurred_at.date(), amount)
        line.cards.add(element.match.card.name)


def price_month(events: Sequence[RatedEvent]) -> Month:
    """The lines and counters of a month's events, given in chronological order."""
    month, pools = Month(), _settle_pools(events)
    for place, event in enumerate(events):
        _add_usage(month, event, [pools.get((place, part), (0, 0)) for part in range(len(event.parts))])
        for element in event.elements:
            month.add(event, element, element.units, "", element.price)
    for event, element, schedule in month.waiting:
        bounds, total = _standing(month, event, schedule)
        tier = counted.tier_reached(bounds, total)
        month.add(event, element, element.units, str(tier + 1), element.price_at(tier))
    return month


def _owner(scope: str, event: RatedEvent) -> str:
    return _counter_of(scope, event.usage.account, event.payer, is_resold(event.usage))


def _counter_of(scope: str, account: str, payer: Payer, resold: bool) -> str:  # noqa: FBT001 (which side it is)
    """Whose counter it is. What is resold is counted on both sides, each by itself."""
    return ("resold:" if resold else "") + (account if scope == "account" else payer[0])


def _pool_of(event: RatedEvent, part: Element) -> Pool | None:
    """The row's own pool, else the first that takes such usage. A charge rounded per event has no free units."""
    own, row = part.match.card, part.match.row
    pools = [row.pool, *(pool for card in (own, *event.book) for pool in card.pools.values())]
    fits = (pool for pool in pools if pool and (not pool.fill or selects(pool.fill, event.traits)))
    pool = None if part.rounded is not None or part.unit == "money" else next(fits, None)
    if pool in own.pools.values() and (row.steps or (row.min_charge, row.max_charge) != (None, None)):
        raise CardFaultError(f"card {own.name} rate[{row.number}]", "has steps or limits, and a pool takes its usage")
    return pool


def _settle_pools(events: Sequence[RatedEvent]) -> dict[tuple[int, int], tuple[int, int]]:
    """The free units of each part of each event, by their places in the order, and the padding that it carries."""
    settled: dict[tuple[int, int], tuple[int, int]] = {}
    used: dict[CounterKey, int] = {}
    paid: dict[CounterKey, tuple[int, tuple[int, int], int]] = {}
    for place, event in enumerate(events):
        for number, part in enumerate(event.parts):
            if (pool := _pool_of(event, part)) is None:
                continue
            key, size = (_owner(pool.scope, event), pool.name), event.traits.product.size(pool.unit)
            if pool.unit == "event" and number:  # an event is free whole or not at all
                settled[place, number] = (part.quantity if settled.get((place, 0), (0, 0))[0] else 0, 0)
                continue
            units = 1 if pool.unit == "event" else part.quantity
            free = min(max(floor(pool.free * size) - used.get(key, 0), 0), units)
            used[key] = used.get(key, 0) + units
            settled[place, number] = (free * part.quantity if pool.unit == "event" else free, 0)
            if units > free:
                total = paid[key][0] if key in paid else 0
                paid[key] = (total + units - free, (place, number), floor(pool.block * size))
    for total, last, block in paid.values():
        settled[last] = (settled[last][0], -total % block if block else 0)
    return settled


def _add_usage(month: Month, event: RatedEvent, pools: Sequence[tuple[int, int]]) -> None:
    """Free units at nothing, the others at their tier; then the counters that they fill move on."""
    bought = list[Element]()
    for part, (free, padding) in zip(event.parts, pools, strict=True):
        paid, whole, rest = part.quantity - free + padding, part.unit == "event", part
        if free and not (whole and paid):
            month.add(event, part, 1 if whole else free, "free", Fraction(0))
            rest = replace(part, events=0)
        if paid:
            rest = rest if paid == rest.quantity else replace(rest, quantity=paid)
            _add_part(month, event, rest, bought)
            bought.append(rest)
    if bought:
        _fill(month, event, bought)


def _add_part(month: Month, event: RatedEvent, part: Element, before: Sequence[Element]) -> None:
    """A paid part of the usage at its tier, where the counter stands after the parts `before` it."""
    row, card, whole = part.match.row, part.match.card, part.unit == "event"
    schedule = card.schedules.get(row.tiers)
    if schedule is None or part.rounded is not None:
        month.add(event, part, part.units, "", part.price)
    elif schedule.mode == "volume":
        month.waiting.append((event, part, schedule))
    else:
        fills, (bounds, position) = selects(schedule.fill, event.traits), _standing(month, event, schedule)
        if fills and schedule.measure != "events":  # an event is counted whole
            position += _growth(schedule, before)
        growth, cuts = _growth(schedule, [part]), [(counted.next_tier(bounds, position), Fraction(1))]
        # Only what fills the counter is cut at its bounds; all else is priced whole, where the counter stands.
        in_money, begun = schedule.measure == "amount", dict[int, int]()
        if growth and fills and (in_money or not whole):
            cuts = [(tier, Fraction(share, growth)) for tier, share in counted.cut(bounds, position, growth)]
            if in_money:  # a unit is counted in the tier in which it begins, and charged in all in which it lies
                begun = counted.begun(bounds, position, Fraction(growth, part.units), part.units)
        for tier, share in cuts:
            units = begun.get(tier, 0) if begun else None
            month.add(event, part, part.units * share, str(tier + 1), part.price_at(tier), units)
            part = replace(part, events=0)


def _standing(month: Month, event: RatedEvent, schedule: Schedule) -> tuple[Sequence[Count], Count]:
    """The bounds of the counter that an event fills or is priced by, and where it stands."""
    return counted.bounds_of(schedule), month.counters.get((_owner(schedule.scope, event), schedule.name), 0)


def _growth(schedule: Schedule, parts: Sequence[Element]) -> Count:
    """By how much paid parts of one event move a counter. Money is counted as it is before tiers and discounts."""
    if schedule.measure == "events":
        return 1
    if schedule.measure == "quantity":
        return sum(part.quantity for part in parts)
    return sum((part.list_cost for part in parts), Fraction(0))


def _fill(month: Month, event: RatedEvent, parts: Sequence[Element]) -> None:
    """Move on the counters that the event fills. Flats, of tiers entered or reached, are as its own card has them."""
    own, day = parts[0].match.card, event.usage.occurred_at.date()
    if parts[0].unit == "money":  # no counter counts it
        return
    for found in (one for one in schedules_of(event.book) if selects(one[0].fill, event.traits)):
        schedule, card = (own.schedules[found[0].name], own) if found[0].name in own.schedules else found
        key, growth = (_owner(schedule.scope, event), schedule.name), _growth(schedule, parts)
        counted.require_unit(schedule, event.traits.product)
        bounds, position = _standing(month, event, schedule)
        month.counters[key] = position + growth
        if schedule.mode == "volume":
            tier = counted.tier_reached(bounds, position + growth)
            month.flats[key, "reached"] = (event.payer, schedule, card, tier, day)
        for tier, _ in counted.cut(bounds, position, growth) if schedule.mode == "graduated" else ():
            month.flats.setdefault((key, str(tier)), (event.payer, schedule, card, tier, day))


def _add_flats(month: Month, terms: Terms, start: datetime, end: datetime) -> None:
    """Lines for the flats that are due, once those due at zero usage are noted."""
    versions = (*terms.cards.values(), *terms.accounts.values(), *terms.contracts.values())
    changes = {at for dated in versions for one in dated for at in (one.effective_from, one.effective_to) if at}
    for at in sorted({start, *(change for change in changes if start < change < end)}):
        for account in sorted(terms.accounts):
            for place, (payer, book) in enumerate(books_of(terms, account, at)):
                for schedule, card in schedules_of(book):
                    key = (_counter_of(schedule.scope, account, payer, place > 0), schedule.name)
                    if schedule.flat_at_zero:
                        which = "reached" if schedule.mode == "volume" else "0"
                        month.flats.setdefault((key, which), (payer, schedule, card, 0, start.date()))
    for payer, schedule, card, tier, day in month.flats.values():
        if schedule.flats and schedule.flats[tier] and card.currency == payer[1]:
            name = ("", "flat", "", schedule.name, str(tier + 1), "flat", schedule.flats[tier])
            line = month.lines.setdefault(payer, {}).setdefault(name, Line(base="flat", size=1))
            line.quantity += 1
            line.charge(day, schedule.flats[tier])
            line.cards.add(card.name)


def _second_pass(
    month: Month,
    terms: Terms,
    start: datetime,
    end: datetime,
    used: Mapping[tuple[str, str], str],
    before: Mapping[str, str],
) -> None:
    """Lines for what contracts of all who pay add to what is rounded, also where nothing was used."""
    for account, contracts in sorted(terms.contracts.items()):
        try:
            payers = payers_of(terms, account, end - timedelta(microseconds=1))
        except UsageUnratedError:
            continue
        payer = payers[-1]
        step, digits = given.minor_unit(payer[1])
        days = agreed.month_of(contracts, start.date(), end.date(), step, digits)
        base = given.exact(before.get(account, "0"), f"base of {account}")
        posted = supported.posted(contracts, start.date(), base, step)
        if payer[0] != account or (days is None and not posted):
            continue
        lines = month.lines.get(payer, {})
        amounts = [
            agreed.Amount(key[0], key[1], key[2], given.to_step(line.amount, step), line.days)
            for key, line in lines.items()
        ]
        paid = {name: given.exact(amount, f"credit {name}") for (of, name), amount in used.items() if of == account}
        added = (
            posted
            if days is None
            else agreed.second_pass(amounts, days, (end - start).days, terms.products, paid, posted)
        )
        for (product, element, country, name), amount in added.items():
            key = (product, element, country, name, "", payer[1], Fraction(1 if amount > 0 else -1))
            line = Line(base="minor", size=10**digits, quantity=int(abs(amount) * 10**digits))
            line.charge(start.date(), amount)
            month.lines.setdefault(payer, {})[key] = line


def rate(  # noqa: PLR0913 (each is a file of its own)
    *, period: str, events: Raws, cards: Raws, products: Raws, accounts: Raws, contracts: Raws, plan: Mapping[str, str],
    used: Mapping[tuple[str, str], str] | None = None, before: Mapping[str, str] | None = None,
    states: Mapping[str, str] | None = None,
) -> dict[str, object]:  # fmt: skip
    """The lines of the UTC month `period` per billing account, and every event that is on none, with the reason.

    `used` is what credits paid in earlier months, by account and credit, `states` those of area codes and exchanges.
    `before` is what support plans of the month before are a percent of, by account; without it, what the same events
    come to in that month.

    The result is that of `tollbook rate` (FORMATS 6), with `zero_rated` and `rejected` beside `quarantined`.
    """
    cards, products, accounts, contracts = ([*some] for some in (cards, products, accounts, contracts))
    start, end = given.month(period)
    sold = [counted.averaged(raw, (end - start).days) for raw in products]
    terms = read_terms(cards, sold, accounts, contracts, plan)
    if before is None and any(each.get("support") for each in contracts):
        events = [*events]
        earlier = rate(
            period=f"{supported.month_before(start):%Y-%m}", events=events, cards=cards, products=products,
            accounts=accounts, contracts=[supported.without_plan(each) for each in contracts], plan=plan, states=states,
        )  # fmt: skip
        before = supported.bases_of(earlier, terms.products)
    usages, rejected = given.settle_revisions(events)
    usages = [placed(one, terms.products.get(one.product), states or {}) for one in usages]
    rated, quarantined, zero_rated = list[RatedEvent](), list[dict[str, str]](), list[dict[str, str]]()
    sides = [side for one in usages if start <= one.occurred_at < end for side in sides_of(one, terms)]
    for usage in sorted(sides, key=lambda side: (side.occurred_at, side.source, side.id)):
        try:
            answer = rate_events(usage, terms)
        except InputFaultError as fault:
            rejected.append({"source": usage.source, "id": usage.id, "reason": str(fault)})
            continue
        if isinstance(answer, list):
            rated += answer
        else:
            unrated = zero_rated if answer in ZERO_RATED else quarantined
            unrated.append({"source": usage.source, "id": usage.id, "reason": str(answer)})
    month = price_month(rated)
    _add_flats(month, terms, start, end)
    _second_pass(month, terms, start, end, used or {}, before or {})
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
