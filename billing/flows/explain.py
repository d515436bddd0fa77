"""Explain a line by its events, and an event by its card, its prefix, its increments, its tiers and its price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

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
from billing.flows.price import Pricer
from billing.invoices import InvoiceLine, lines_by_payer
from billing.netted import explain as netting
from billing.netted import is_netted
from billing.payers import SubjectMissingError, payers_of, paying, side_payer
from billing.periods import Period, day_of
from billing.reselling import PREFIX
from billing.store.accounts import read_accounts
from billing.store.engine import Connection, Engine, snapshot
from billing.store.queries.explain import (
    Ordered,
    RateRow,
    StoredElement,
    StoredEvent,
    element_prices,
    is_seen,
    later_events,
    read_details,
    read_elements_in_order,
    read_event,
    read_usage_in_order,
)
from billing.store.queries.invoices import stored_invoice
from rates.cards import Card
from rates.lines import FLAT, LineKey, key_of
from rates.money import exact, format_fraction, parse_fraction
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, MAXIMUM, MINIMUM, USAGE
from rates.pricing import Placements, place
from rates.products import Product, is_called
from rates.terms import Terms
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
) -> LineExplanation:
    """The events on a line of an account's invoice (or draft, or bill as of now), `size` of them from `first` on."""
    with snapshot(engine) as connection:
        month = _Month.read(connection, products, period, account)
        if not 1 <= number <= len(month.lines):
            remedy = f"its lines are numbered 1 to {len(month.lines)}" if month.lines else "it has no lines"
            raise SubjectMissingError("no such line", place=f"{account} {period}", value=str(number), remedy=remedy)
        line = month.lines[number - 1]
        source, shares = month.shares(line)
        currency = month.pricer.payers[month.payer].party.currency
        agreed = None if month.terms.agreements is None else month.terms.agreements.by_payer.get(month.payer)
        netted = netting(line, month.lines, agreed, products, currency)
        return LineExplanation(
            account=account,
            period=str(period),
            line=line,
            arithmetic=line_arithmetic(line, currency) if netted is None else netted.words,
            listed=len(shares),
            events=sum(counted for _, counted, _ in shares),
            base_quantity=sum(quantity for *_, quantity in shares),
            page=month.page(line, source, shares[first : first + size]) if source else (),
            invoice=month.invoice,
            later=month.later(),
            of=() if netted is None else netted.of,
            unit_price=month.percents(line, source, shares) if source else "",
        )


def explain_event(engine: Engine, products: Mapping[str, Product], source: str, identity: str) -> EventExplanation:
    """What became of one event and why."""
    with snapshot(engine) as connection:
        event = read_event(connection, source, identity)
        if event is None:
            problem, remedy = "no such event was ever accepted", "check its source and its id"
            raise SubjectMissingError(problem, place=source, value=identity, remedy=remedy)
        accounts = read_accounts(connection)
        resold = source.startswith(PREFIX)
        payer = side_payer(event.account, accounts.accounts, accounts.contracts, resold=resold)
        month: _Month | None = None
        billed = event.billed
        if payer is not None and (event.price_id or event.elements):
            month = _Month.read(connection, products, Period.at(event.occurred_at), payer.id, of=event)
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
            parts=() if month is None else tuple(month.parts(event)),
            invoice="" if late else invoice,
            late=late,
            missed=invoice if late else "",
        )


@dataclass(slots=True, kw_only=True)
class _Month:
    """A payer's period: its bill, and the usage that the bill is of, in order.

    `billed` is the snapshot that the invoice, or the draft, is of, `seen` the one of which `usage` is; None is now.
    `lines` are the lines of what is stored, else of the bill as of now.
    """

    connection: Connection
    period: Period
    payer: int
    pricer: Pricer
    terms: Terms
    billed: int | None
    seen: int | None
    invoice: str
    lines: Sequence[InvoiceLine]
    usage: Ordered
    placed: Placements

    @classmethod
    def read(
        cls,
        connection: Connection,
        products: Mapping[str, Product],
        period: Period,
        account: str,
        *,
        of: StoredEvent | None = None,
    ) -> "_Month":
        """Read an account's invoice of a period, else its draft, else price it as of now; and the usage it is of.

        An event that is not on the invoice (`of`) is placed among all usage so far, where it will be billed.
        """
        accounts = read_accounts(connection)
        payer = accounts.numbers[paying(account, accounts.accounts, accounts.contracts).id]
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        pricer = Pricer.begin(connection, period, products, payers)
        totals = pricer.read([payer])
        stored, billed = stored_invoice(connection, payer, account, period)
        is_late = billed is not None and of is not None and not is_seen(connection, billed, of.batch)
        seen = None if is_late else billed
        if stored is not None:
            lines: Sequence[InvoiceLine] = [each for each in stored.lines if each.origin_period == str(period)]
        else:
            priced = list(pricer.price([payer], totals))
            lines = [line for each in priced for line in lines_by_payer(each, str(period)).get(payer, [])]
        usage = read_usage_in_order(connection, payer, period, seen)
        if seen is not None:
            # What came later may be rated by cards that had no word in what was billed, and what was billed be amended.
            prices = {*usage.totals.price.tolist(), *element_prices(connection, payer, period, seen)}
            totals = pricer.rated_then(payer, sorted(prices))
        terms = pricer.terms(payer, totals)
        return cls(
            connection=connection,
            period=period,
            payer=payer,
            pricer=pricer,
            terms=terms,
            billed=billed,
            seen=seen,
            invoice="" if stored is None else stored.number,
            lines=lines,
            usage=usage,
            placed=place(usage.totals, terms),
        )

    def later(self) -> int:
        """How many events came after what is stored was drawn up."""
        if self.billed is None:
            return 0
        return later_events(self.connection, self.payer, self.period, self.billed)

    def is_late(self, event: StoredEvent) -> bool:
        """Whether an event came after what is stored was drawn up."""
        return self.billed is not None and not is_seen(self.connection, self.billed, event.batch)

    def page(
        self, line: InvoiceLine, source: Ordered, shares: Sequence[tuple[int, int, int]]
    ) -> tuple[EventShare, ...]:
        """Some of the events on a line, with what a person knows them by."""
        identities = source.identities(np.array([event for event, *_ in shares], dtype=np.int64))
        details = read_details(self.connection, self.payer, identities, self.seen)
        amounts = self._amounts(line, source, shares)
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
                identities, details, shares, amounts, strict=True
            )
        )

    def shares(self, line: InvoiceLine) -> tuple[Ordered | None, list[tuple[int, int, int]]]:
        """What lies on a line: (row, whether it is counted, base units), and the rows that these are of."""
        key = key_of_line(line)
        if line.element == FLAT or is_netted(line):
            return None, []
        if line.element == USAGE:
            return self.usage, parts_on(self.placed, key, self.usage.head)
        elements = read_elements_in_order(self.connection, self.payer, self.period, self.seen)
        named = (elements.totals.price.astype(np.int64), elements.totals.country, elements.totals.day)
        kinds, kind = np.unique(np.stack(named, axis=1), axis=0, return_inverse=True)
        alike = [self._element_key(number, COUNTRIES[code], day_of(day)) == key for number, code, day in kinds.tolist()]
        rows = np.flatnonzero(np.array(alike, dtype=bool)[kind.reshape(-1)]).tolist()
        totals = elements.totals
        return elements, [(row, int(totals.events[row]), int(totals.quantity[row])) for row in rows]

    def percents(self, line: InvoiceLine, source: Ordered, shares: Sequence[tuple[int, int, int]]) -> str:
        """What percents make of the listed price the price of a line, in words; "" where none does."""
        sold = source.totals.take(np.array([row for row, *_ in shares], dtype=np.int64))
        named = np.unique(np.stack([sold.price, sold.country, sold.day], axis=1).astype(np.int64), axis=0)
        kinds = {(n, self._left(n, COUNTRIES[code], day_of(day))) for n, code, day in named.tolist()}
        listed = [(self.pricer.prices[number], left) for number, left in kinds]
        return percents_of(line, [(price, self.terms.schedule_of(price), left) for price, left in listed])

    def _amounts(self, line: InvoiceLine, source: Ordered, page: Sequence[tuple[int, int, int]]) -> list[str]:
        """What some shares of a line come to exactly; of events rounded one by one, what they were rounded to."""
        key = key_of_line(line)
        whole = exact_amounts(key, page, cuts_on(self.placed, key, self.usage.head) if line.element == USAGE else {})
        if line.element != USAGE:
            return whole
        prices = [self.pricer.prices[number] for number in source.totals.price[[row for row, *_ in page]].tolist()]
        if not any(price.is_rounded for price in prices):
            return whole
        charges = self._charges(key)
        names = source.identities(np.array([row for row, *_ in page], dtype=np.int64))
        return [
            format_fraction(charges.get(name, Fraction(0))) if price.is_rounded else amount
            for name, price, amount in zip(names, prices, whole, strict=True)
        ]

    def _charges(self, key: LineKey) -> dict[tuple[str, str], Fraction]:
        """What events that are rounded one by one come to on a line, by source and id."""
        elements = read_elements_in_order(self.connection, self.payer, self.period, self.seen)
        totals = elements.totals
        columns = (totals.price.tolist(), totals.country.tolist(), totals.day.tolist(), totals.quantity.tolist())
        charges = {
            row: amount_of(self.pricer.prices[number], quantity) * self._left(number, COUNTRIES[country], day_of(day))
            for row, (number, country, day, quantity) in enumerate(zip(*columns, strict=True))
            if self.pricer.prices[number].element == CHARGE
            and self._element_key(number, COUNTRIES[country], day_of(day)) == key
        }
        names = elements.identities(np.array(list(charges), dtype=np.int64))
        return dict(zip(names, charges.values(), strict=True))

    def is_part(self, element: StoredElement) -> bool:
        """Whether an element is a further part of its event's usage."""
        return self.pricer.prices[element.price_id].element == USAGE

    def parts(self, event: StoredEvent) -> list[Part]:
        """The lines that an event lies on."""
        found = self._usage_parts(event)
        for element in event.elements:
            price = self.pricer.prices[element.price_id]
            if price.element in {USAGE, CHARGE}:
                continue  # the parts of its usage, and what they were rounded to
            key = self._element_key(element.price_id, event.country, event.occurred_at.date())
            part = self._part(key, element.billed, element.rate, event, Fraction(0))
            known = (element.rate.cells, event.billed, self.pricer.products[price.product], self._card(price.card))
            limit = why_limited(price, *known) if price.element in _LIMITS else ""
            found.append(replace(part, note="; ".join(filter(None, (limit, self._off(element.price_id, event))))))
        return found

    def _usage_parts(self, event: StoredEvent) -> list[Part]:
        row = self.usage.row_of(event.source, event.id)
        # Where a limit stands for its first package, a look-up has usage of others all the same.
        priced = [(event.rate, event.price_id)] if event.rate is not None and event.price_id else []
        priced += [(each.rate, each.price_id) for each in event.elements if self.is_part(each)]
        found: list[Part] = []
        for at, (rate, number) in enumerate(priced, start=row):
            price, step = self.pricer.prices[number], number - priced[0][1]
            note = step_in_words(rate.cells, step, price.base) if rate == priced[0][0] else ""
            note = "; ".join(filter(None, (note, "" if price.is_rounded else self._off(number, event))))
            schedule = self.terms.schedule_of(price)
            stood = "" if schedule is None else position_in_words(self.placed, at, schedule, self.terms.currency)
            for key, quantity, cut in lines_of(self.placed, at):
                said = self._part(key, quantity, rate, event, cut)
                found.append(replace(said, counter=price.schedule, position=stood, note=note))
        if not found or not self.pricer.prices[priced[0][1]].is_rounded:
            return found
        charges = [each for each in event.elements if self.pricer.prices[each.price_id].element == CHARGE]
        if len(charges) != len(found):
            return self._rounded(event, priced[0], found, charges)
        alone = zip(priced, found, charges, strict=True)  # packages are rounded each by itself
        return [self._rounded(event, about, [part], [charge])[0] for about, part, charge in alone]

    def _rounded(
        self, event: StoredEvent, about: tuple[RateRow, int], parts: list[Part], charges: Sequence[StoredElement]
    ) -> list[Part]:
        """The parts of what was rounded by itself, by its row and price: what it came to is on the first."""
        price, fee = self.pricer.prices[about[1]], Fraction(about[0].cells.get("setup_fee", "0"))
        left = self._left(about[1], event.country, event.occurred_at.date())
        come_to = sum((parse_fraction(part.exact_amount) for part in parts), Fraction(0))
        whole = fee + come_to * Fraction(left.denominator, left.numerator or 1)  # rounded before the percent
        charge = sum((amount_of(self.pricer.prices[each.price_id], each.billed) for each in charges), Fraction(0))
        said = rounding_in_words(price, whole, charge)
        said = f"with setup {format_fraction(fee)}; {said}" if fee else said
        # Of nothing, no more can be said than that.
        note = "; ".join(filter(None, (parts[0].note, said if left else "", self._off(about[1], event))))
        first = replace(parts[0], exact_amount=format_fraction(charge * left), note=note)
        return [first, *(replace(part, exact_amount="0") for part in parts[1:])]

    def _card(self, version: str) -> Card:
        return next(card for card in self.pricer.heads.values() if card.version == version)

    def _part(self, key: LineKey, quantity: int, rate: RateRow, event: StoredEvent, cut: Fraction) -> Part:
        prefixes, window = rate.cells.get("prefixes", "").split(), rate.cells.get("window", "")
        return Part(
            element=key.element,
            line_no=None if self.is_late(event) else line_number(self.lines, key),
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
            window=window_in_words(self._card(rate.card), window),
        )

    def _element_key(self, price_id: int, country: str, day: date) -> LineKey:
        price = self.pricer.prices[price_id]
        return key_of(price, country, "", exact(price.prices[0]) * self._left(price_id, country, day))

    def _left(self, price_id: int, country: str, day: date) -> Fraction:
        """What the contract of a day leaves of a price."""
        return self.terms.left_of(self.pricer.prices[price_id], country, self.payer, day)

    def _off(self, price_id: int, event: StoredEvent) -> str:
        return percent_in_words(self._left(price_id, event.country, event.occurred_at.date()))
