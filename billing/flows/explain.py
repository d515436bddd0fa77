"""Explain a line by its events, and an event by its card, its prefix, its increments, its tiers and its price."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from billing.adjustments import key_of_line
from billing.explanations import (
    EventExplanation,
    EventShare,
    LineExplanation,
    Part,
    cuts_on,
    exact_amount,
    exact_amounts,
    increments_in_words,
    increments_of,
    line_arithmetic,
    line_number,
    lines_of,
    matched_prefix,
    part_arithmetic,
    parts_on,
    percents_of,
    position_in_words,
    remedy_of,
    said_by,
    why_limited,
)
from billing.flows.limits import Limits
from billing.flows.month import Month
from billing.invoices import InvoiceLine
from billing.netted import explain as netting
from billing.netted import is_netted
from billing.payers import SubjectMissingError, side_payer
from billing.periods import Period, day_of
from billing.reselling import PREFIX
from billing.store.engine import Engine, snapshot
from billing.store.queries.explain import (
    Ordered,
    RateRow,
    StoredElement,
    StoredEvent,
    read_details,
    read_elements_in_order,
    read_event,
)
from rates.cards import Card
from rates.lines import FLAT, LineKey
from rates.money import format_fraction, parse_fraction
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, MAXIMUM, MINIMUM, USAGE
from rates.products import Product, is_called
from rates.usage import Totals, no_totals
from rates.worded import amount_of, percent_in_words, rounding_in_words, step_in_words, window_in_words

PAGE = 20

_LIMITS = frozenset({MINIMUM, MAXIMUM})


def explain_line(
    engine: Engine,
    products: Mapping[str, Product],
    period: Period,
    account: str,
    number: int,
    *,
    first: int = 0,
    size: int = PAGE,
    known: Limits | None = None,
) -> LineExplanation:
    """The events on a line of an account's invoice (or draft, or bill as of now), `size` of them from `first` on.

    What is `known` of accounts and cards is read again only if it has changed.
    """
    with snapshot(engine) as connection:
        month = Month.read(connection, products, Limits.read(connection, products, known), period, account)
        if not 1 <= number <= len(month.lines):
            remedy = f"its lines are numbered 1 to {len(month.lines)}" if month.lines else "it has no lines"
            raise SubjectMissingError("no such line", place=f"{account} {period}", value=str(number), remedy=remedy)
        line = month.lines[number - 1]
        listing = _listing(month, line, first, size)
        currency = month.pricer.payers[month.payer].party.currency
        agreed = None if month.terms.agreements is None else month.terms.agreements.by_payer.get(month.payer)
        netted = netting(line, month.lines, agreed, products, currency)
        return LineExplanation(
            account=account,
            period=str(period),
            line=line,
            arithmetic=line_arithmetic(line, currency) if netted is None else netted.words,
            listed=listing.listed,
            events=int(listing.rows.events.sum()),
            base_quantity=int(listing.rows.quantity.sum()),
            page=_page(month, line, listing),
            invoice=month.invoice,
            later=month.later(),
            of=() if netted is None else netted.of,
            unit_price=_percents(month, line, listing.rows),
        )


def explain_event(
    engine: Engine, products: Mapping[str, Product], source: str, identity: str, *, known: Limits | None = None
) -> EventExplanation:
    """What became of one event and why. What is `known` of accounts and cards is read again only if it has changed."""
    with snapshot(engine) as connection:
        event = read_event(connection, source, identity)
        if event is None:
            problem, remedy = "no such event was ever accepted", "check its source and its id"
            raise SubjectMissingError(problem, place=source, value=identity, remedy=remedy)
        limits = Limits.read(connection, products, known)
        accounts = limits.accounts
        resold = source.startswith(PREFIX)
        payer = side_payer(event.account, accounts.accounts, accounts.contracts, resold=resold)
        month: Month | None = None
        billed = event.billed
        if payer is not None and (event.price_id or event.elements):
            month = Month.read(connection, products, limits, Period.at(event.occurred_at), payer.id, of=event)
            billed += sum(each.billed for each in event.elements if month.is_part(each))
        invoice = "" if month is None else month.invoice
        late = month is not None and month.is_late(event)
        has_number = event.to.startswith("+") or not is_called(products, event.product)
        product = products.get(event.product)
        increments = increments_of(event.cells, product, event.occurred_at)
        return EventExplanation(
            source=source,
            id=identity,
            account=event.account,
            payer="" if payer is None else payer.id,
            product=event.product,
            occurred_at=event.occurred_at,
            received_at=event.received_at,
            to=event.to,
            from_=event.from_,
            country=event.country,
            status=event.status,
            said=said_by(event.said, product),
            measured=event.measured,
            increments=increments_in_words(increments, event.measured, billed),
            billed=billed,
            reason=event.reason,
            remedy=remedy_of(event.reason, has_number=has_number),
            parts=() if month is None else tuple(_parts(month, event)),
            invoice="" if late else invoice,
            late=late,
            missed=invoice if late else "",
        )


class _Listing(NamedTuple):
    """What lies on a line: `listed` events, of which `page` are some, as (row, whether it is counted, base units).

    `rows` is all that lies there, by events or by the totals of a day; `source` are the events that `page` is of.
    """

    rows: Totals
    listed: int
    page: Sequence[tuple[int, int, int]] = ()
    source: Ordered | None = None


def _listing(month: Month, line: InvoiceLine, first: int, size: int) -> _Listing:
    if line.element == FLAT or is_netted(line):
        return _Listing(no_totals(), 0)
    key = key_of_line(line)
    return (_usage_on if line.element == USAGE else _elements_on)(month, key, first, size)


def _usage_on(month: Month, key: LineKey, first: int, size: int) -> _Listing:
    """Usage on a line: days are read of which some event is on the page, and those on which one may be there twice."""
    month.order(month.cut_days())
    while True:
        shares = parts_on(month.placed, key, month.head)
        place, counted, quantity = np.array(shares, dtype=np.int64).reshape(-1, 3).T
        is_event = np.isin(place, month.placed.ordered)
        many = np.where(is_event, 1, counted)
        ends = np.cumsum(many)
        here = (ends > first) & (ends - many < first + size)
        unread = place[~is_event & (here | (many == 0))]
        if not len(unread):
            break
        month.order({day_of(day) for day in month.placed.rows.day[unread].tolist()})
    rows = replace(month.placed.rows.take(place), events=counted, quantity=quantity)
    row = np.searchsorted(month.placed.ordered, place[here])
    page = list(zip(row.tolist(), counted[here].tolist(), quantity[here].tolist(), strict=True))
    return _Listing(rows, int(ends[-1]) if len(ends) else 0, page, month.usage)


def _elements_on(month: Month, key: LineKey, first: int, size: int) -> _Listing:
    """What lies on the line of an element beside usage: the days are read of which some event is on the page."""
    rows = month.totals.take(month.is_on(key, month.totals))
    rows = rows.take(np.argsort(rows.day, kind="stable"))
    ends = np.cumsum(rows.events)
    here = (ends > first) & (ends - rows.events < first + size)
    days = np.unique(rows.day[here])
    source = read_elements_in_order(month.connection, month.payer, [*map(day_of, days.tolist())], month.seen)
    found = np.flatnonzero(month.is_on(key, source.totals))
    skipped = int(rows.events[rows.day < days[0]].sum()) if len(days) else 0
    found = found[max(0, first - skipped) : first + size - skipped]
    quantity = source.totals.quantity[found].tolist()
    page = list(zip(found.tolist(), source.totals.events[found].tolist(), quantity, strict=True))
    return _Listing(rows, int(rows.events.sum()), page, source)


def _page(month: Month, line: InvoiceLine, listing: _Listing) -> tuple[EventShare, ...]:
    """The events of a page, with what a person knows them by."""
    if listing.source is None:
        return ()
    identities = listing.source.identities(np.array([row for row, *_ in listing.page], dtype=np.int64))
    details = read_details(month.connection, month.payer, identities, month.seen)
    amounts = _amounts(month, line, listing.source, listing.page)
    return tuple(
        EventShare(
            source=name,
            id=identity,
            occurred_at=known.occurred_at,
            to=known.to,
            from_=known.from_,
            events=counted,
            base_quantity=quantity,
            exact_amount=amount,
        )
        for (name, identity), known, (_, counted, quantity), amount in zip(
            identities, details, listing.page, amounts, strict=True
        )
    )


def _percents(month: Month, line: InvoiceLine, rows: Totals) -> str:
    """What percents make of the listed price the price of a line, in words; "" where none does."""
    named = np.unique(np.stack([rows.price, rows.country, rows.day], axis=1).astype(np.int64), axis=0)
    kinds = {(n, month.left(n, COUNTRIES[code], day_of(day))) for n, code, day in named.tolist()}
    listed = [(month.pricer.prices[number], left) for number, left in kinds]
    return percents_of(line, [(price, month.terms.schedule_of(price), left) for price, left in listed])


def _amounts(month: Month, line: InvoiceLine, source: Ordered, page: Sequence[tuple[int, int, int]]) -> list[str]:
    """What some shares of a line come to exactly; of events rounded one by one, what they were rounded to."""
    key = key_of_line(line)
    if line.element != USAGE:
        return exact_amounts(key, page, {})
    places = [(int(month.placed.ordered[row]), counted, quantity) for row, counted, quantity in page]
    whole = exact_amounts(key, places, cuts_on(month.placed, key, month.head))
    rows = np.array([row for row, *_ in page], dtype=np.int64)
    prices = [month.pricer.prices[number] for number in source.totals.price[rows].tolist()]
    if not any(price.is_rounded for price in prices):
        return whole
    charges = _charges(month, key, {day_of(day) for day in source.totals.day[rows].tolist()})
    return [
        format_fraction(charges.get(name, Fraction(0))) if price.is_rounded else amount
        for name, price, amount in zip(source.identities(rows), prices, whole, strict=True)
    ]


def _charges(month: Month, key: LineKey, days: Collection[date]) -> dict[tuple[str, str], Fraction]:
    """What events of some days that are rounded one by one come to on a line, by source and id."""
    elements = read_elements_in_order(month.connection, month.payer, days, month.seen)
    totals = elements.totals
    columns = (totals.price.tolist(), totals.country.tolist(), totals.day.tolist(), totals.quantity.tolist())
    prices = month.pricer.prices
    charges = {
        row: amount_of(prices[number], quantity) * month.left(number, COUNTRIES[country], day_of(day))
        for row, (number, country, day, quantity) in enumerate(zip(*columns, strict=True))
        if prices[number].element == CHARGE and month.element_key(number, COUNTRIES[country], day_of(day)) == key
    }
    names = elements.identities(np.array(list(charges), dtype=np.int64))
    return dict(zip(names, charges.values(), strict=True))


def _parts(month: Month, event: StoredEvent) -> list[Part]:
    """The lines that an event lies on."""
    found = _usage_parts(month, event)
    for element in event.elements:
        price = month.pricer.prices[element.price_id]
        if price.element in {USAGE, CHARGE}:
            continue  # the parts of its usage, and what they were rounded to
        key = month.element_key(element.price_id, event.country, event.occurred_at.date())
        part = _part(month, key, element.billed, element.rate, event, Fraction(0))
        known = (element.rate.cells, event.billed, month.pricer.products[price.product], _card(month, price.card))
        limit = why_limited(price, *known) if price.element in _LIMITS else ""
        found.append(replace(part, note="; ".join(filter(None, (limit, _off(month, element.price_id, event))))))
    return found


def _usage_parts(month: Month, event: StoredEvent) -> list[Part]:
    first = month.place_of(event)
    # Where a limit stands for its first package, a look-up has usage of others all the same.
    priced = [(event.rate, event.price_id)] if event.rate is not None and event.price_id else []
    priced += [(each.rate, each.price_id) for each in event.elements if month.is_part(each)]
    found: list[Part] = []
    for at, (rate, number) in enumerate(priced if first >= 0 else [], start=first):
        price, step = month.pricer.prices[number], number - priced[0][1]
        note = step_in_words(rate.cells, step, price.base) if rate == priced[0][0] else ""
        note = "; ".join(filter(None, (note, "" if price.is_rounded else _off(month, number, event))))
        schedule = month.terms.schedule_of(price)
        stood = "" if schedule is None else position_in_words(month.placed, at, schedule, month.terms.currency)
        for key, quantity, cut in lines_of(month.placed, at):
            said = _part(month, key, quantity, rate, event, cut)
            found.append(replace(said, counter=price.schedule, position=stood, note=note))
    if not found or not month.pricer.prices[priced[0][1]].is_rounded:
        return found
    charges = [each for each in event.elements if month.pricer.prices[each.price_id].element == CHARGE]
    if len(charges) != len(found):
        return _rounded(month, event, priced[0], found, charges)
    alone = zip(priced, found, charges, strict=True)  # packages are rounded each by itself
    return [_rounded(month, event, about, [part], [charge])[0] for about, part, charge in alone]


def _rounded(
    month: Month, event: StoredEvent, about: tuple[RateRow, int], parts: list[Part], charges: Sequence[StoredElement]
) -> list[Part]:
    """The parts of what was rounded by itself, by its row and price: what it came to is on the first."""
    price, fee = month.pricer.prices[about[1]], Fraction(about[0].cells.get("setup_fee", "0"))
    left = month.left(about[1], event.country, event.occurred_at.date())
    come_to = sum((parse_fraction(part.exact_amount) for part in parts), Fraction(0))
    whole = fee + come_to * Fraction(left.denominator, left.numerator or 1)  # rounded before the percent
    charge = sum((amount_of(month.pricer.prices[each.price_id], each.billed) for each in charges), Fraction(0))
    said = rounding_in_words(price, whole, charge)
    said = f"with setup {format_fraction(fee)}; {said}" if fee else said
    # Of nothing, no more can be said than that.
    note = "; ".join(filter(None, (parts[0].note, said if left else "", _off(month, about[1], event))))
    first = replace(parts[0], exact_amount=format_fraction(charge * left), note=note)
    return [first, *(replace(part, exact_amount="0") for part in parts[1:])]


def _card(month: Month, version: str) -> Card:
    return next(card for card in month.pricer.heads.values() if card.version == version)


def _part(month: Month, key: LineKey, quantity: int, rate: RateRow, event: StoredEvent, cut: Fraction) -> Part:
    prefixes, window = rate.cells.get("prefixes", "").split(), rate.cells.get("window", "")
    return Part(
        element=key.element,
        line_no=None if month.is_late(event) else line_number(month.lines, key),
        card=rate.card,
        row=rate.row,
        matched=matched_prefix(prefixes, event.to, exact=rate.cells.get("exact") == "true"),
        destination=key.destination,
        tier=key.tier,
        counter="",
        position="",
        base_quantity=quantity,
        base_unit=key.base,
        arithmetic=part_arithmetic(key, quantity, cut),
        exact_amount=exact_amount(quantity, key.unit_size, key.unit_price, cut),
        window=window_in_words(_card(month, rate.card), window),
    )


def _off(month: Month, price_id: int, event: StoredEvent) -> str:
    return percent_in_words(month.left(price_id, event.country, event.occurred_at.date()))
