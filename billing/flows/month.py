"""A payer's month as its bill has it: the totals of its usage, and in order the events of as few days as need be.

Where order decides nothing, a day's totals lie where its events lie. So only those days are read event by event on
which a counter crosses a bound, and those that somebody asks about.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from billing.drafts import NO_TOTALS_SHA256, totals_sha256
from billing.flows.limits import Limits
from billing.flows.price import Pricer
from billing.invoices import InvoiceLine, lines_by_payer
from billing.payers import billed_by, paying
from billing.periods import Period, day_of
from billing.store.engine import Connection
from billing.store.queries.explain import (
    Ordered,
    StoredElement,
    StoredEvent,
    add_up_usage,
    is_seen,
    later_events,
    read_usage_in_order,
)
from billing.store.queries.invoices import stored_invoice
from rates.lines import LineKey, key_of
from rates.money import exact
from rates.numbering import COUNTRIES
from rates.prices import USAGE
from rates.pricing import Placements, crossing_days, place
from rates.products import Product
from rates.terms import Terms
from rates.usage import Int64s, Totals, no_totals


def _sha256(totals: Totals, payer: int) -> str:
    return totals_sha256(totals).get(payer, NO_TOTALS_SHA256)


@dataclass(slots=True, kw_only=True)
class Month:
    """A payer's period: its bill, and the usage that the bill is of.

    `billed` is the snapshot that the invoice, or the draft, is of, `seen` the one of which `totals` are; None is now.
    `lines` are the lines of what is stored, else of the bill as of now. `further` are the totals some of which is a
    further part of its event. `usage` are the events of some `days`, and `placed` says where these lie, and the totals
    of the others.
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
    totals: Totals
    further: Totals
    usage: Ordered = field(init=False)
    placed: Placements = field(init=False)
    days: frozenset[date] = frozenset()

    @classmethod
    def read(
        cls,
        connection: Connection,
        products: Mapping[str, Product],
        limits: Limits,
        period: Period,
        account: str,
        *,
        of: StoredEvent | None = None,
    ) -> Self:
        """Read an account's invoice of a period, else its draft, else price it as of now; and the usage it is of.

        `limits` has the accounts and cards as the connection sees them. An event that is not on the invoice (`of`) is
        placed among all usage so far, where it will be billed.
        """
        known = limits.accounts
        billed_account = paying(account, known.accounts, known.contracts)
        payer, contracts = known.numbers[billed_account.id], known.contracts.get(billed_account.id, ())
        payers = {payer: billed_by(billed_account, contracts, period)}
        pricer = Pricer.with_heads(connection, period, products, payers, limits.heads)
        now = pricer.read([payer])
        stored, billed = stored_invoice(connection, payer, account, period)
        is_late = billed is not None and of is not None and not is_seen(connection, billed, of.batch)
        seen = None if is_late else billed
        if stored is not None:
            lines: Sequence[InvoiceLine] = [each for each in stored.lines if each.origin_period == str(period)]
        else:
            priced = list(pricer.price([payer], now))
            lines = [line for each in priced for line in lines_by_payer(each, str(period)).get(payer, [])]
        totals, further = now, no_totals()
        is_same = seen is None or (stored is not None and stored.billed_sha256 == _sha256(now, payer))
        if of is None or not is_same:  # a line is held against its events
            # What came later may be rated by cards that had no word in what was billed, and what was billed be amended.
            totals, further = add_up_usage(connection, payer, period, seen)
            pricer.learn(totals.price)
        month = cls(
            connection=connection,
            period=period,
            payer=payer,
            pricer=pricer,
            terms=pricer.terms(payer, totals),
            billed=billed,
            seen=seen,
            invoice="" if stored is None else stored.number,
            lines=lines,
            totals=totals,
            further=further,
        )
        month._place({of.occurred_at.date()} if of is not None else frozenset())
        return month

    def order(self, days: Collection[date]) -> None:
        """Have the events of some days in order, too."""
        if not self.days.issuperset(days):
            self._place(self.days.union(days))

    def cut_days(self) -> set[date]:
        """Days on which usage was cut when it was rated, so that an event has several parts."""
        rows = zip(self.further.price.tolist(), self.further.day.tolist(), strict=True)
        return {day_of(day) for number, day in set(rows) if self.pricer.prices[number].element == USAGE}

    def _place(self, days: Collection[date]) -> None:
        """Place the events of some days and of those whose order decides, and of the others the totals."""
        prices = np.unique(self.totals.price).tolist()
        usage = [number for number in prices if self.pricer.prices[number].element == USAGE]
        totals = self.totals.take(np.isin(self.totals.price, usage))
        wanted = {*days, *self._crossed(totals, no_totals())}
        self.usage = read_usage_in_order(self.connection, self.payer, wanted, self.seen)
        while more := self._crossed(totals, self.usage.totals) - wanted:  # units that pools leave cross other bounds
            wanted |= more
            self.usage = read_usage_in_order(self.connection, self.payer, wanted, self.seen)
        self.days, self.placed = frozenset(wanted), place(totals, self.usage.totals, self.terms)

    def _crossed(self, totals: Totals, crossings: Totals) -> set[date]:
        return {day_of(day) for day in crossing_days(totals, crossings, self.terms).day.tolist()}

    @property
    def head(self) -> Int64s:
        """For each place, the first of the parts of the same event."""
        head = np.arange(len(self.placed.rows), dtype=np.int64)
        head[self.placed.ordered] = self.placed.ordered[self.usage.head]
        return head

    def place_of(self, event: StoredEvent) -> int:
        """The place of the first priced part of an event, whose day is in order; -1 where it has none."""
        row = self.usage.row_of(event.source, event.id)
        return int(self.placed.ordered[row]) if row >= 0 else -1

    def element_key(self, price_id: int, country: str, day: date) -> LineKey:
        """The line of an element beside usage, by its price, its country and its day."""
        price = self.pricer.prices[price_id]
        return key_of(price, country, "", exact(price.prices[0]) * self.left(price_id, country, day))

    def left(self, price_id: int, country: str, day: date) -> Fraction:
        """What the contract of a day leaves of a price."""
        return self.terms.left_of(self.pricer.prices[price_id], country, self.payer, day)

    def is_on(self, key: LineKey, totals: Totals) -> NDArray[np.bool_]:
        """Which rows are on the line of an element beside usage."""
        named = (totals.price.astype(np.int64), totals.country, totals.day)
        kinds, kind = np.unique(np.stack(named, axis=1), axis=0, return_inverse=True)
        alike = [self.element_key(number, COUNTRIES[code], day_of(day)) == key for number, code, day in kinds.tolist()]
        found: NDArray[np.bool_] = np.array(alike, dtype=bool)[kind.reshape(-1)]
        return found

    def later(self) -> int:
        """How many events came after what is stored was drawn up."""
        if self.billed is None:
            return 0
        return later_events(self.connection, self.payer, self.period, self.billed)

    def is_late(self, event: StoredEvent) -> bool:
        """Whether an event came after what is stored was drawn up."""
        return self.billed is not None and not is_seen(self.connection, self.billed, event.batch)

    def is_part(self, element: StoredElement) -> bool:
        """Whether an element is a further part of its event's usage."""
        return self.pricer.prices[element.price_id].element == USAGE
