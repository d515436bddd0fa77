"""Compose a customer's statement: what a period comes to so far, line by line, and where the counters stand."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from billing.adjustments import difference, line_of, parts_by_payer
from billing.drafts import NO_TOTALS_SHA256, totals_sha256
from billing.flows.adjust import frozen_pricer
from billing.flows.price import Pricer
from billing.invoices import InvoiceLine, Kind
from billing.payers import paid_by, payers_of, paying
from billing.periods import Period
from billing.runs import GRACE
from billing.statements import Statement, compose
from billing.store.accounts import Accounts, read_accounts
from billing.store.adjustments import billed_of, issued_lines
from billing.store.engine import Connection, Engine, snapshot
from billing.store.queries.adjustments import documents_of_month
from billing.store.queries.explain import later_events
from billing.store.queries.invoices import read_invoices
from billing.store.queries.pricing import pending_events, quarantined_events
from rates.pricing import standings
from rates.products import Product
from rates.usage import Totals


def compose_statement(
    engine: Engine,
    products: Mapping[str, Product],
    period: Period,
    at: datetime,
    account: str,
    *,
    grace: timedelta = GRACE,
) -> Statement:
    """The statement of a billing account as of now. Until the grace is over it is an estimate: usage may still arrive.

    Raises SubjectMissingError where there is no such billing account, and whatever makes its usage unpriceable.
    """
    with snapshot(engine) as connection:
        accounts = read_accounts(connection)
        number = accounts.numbers[paying(account, accounts.accounts, accounts.contracts).id]
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        pricer = Pricer.begin(connection, period, products, payers)
        totals = pricer.read([number])
        terms = pricer.terms(number, totals)
        invoices = read_invoices(connection, period, final=True, account=account)
        pending = _Pending.read(connection, period, number, pricer, accounts, totals)
        return compose(
            pricer.price_one(number, totals),
            standings(totals, terms),
            payers[number].party,
            {each: name for name, each in accounts.numbers.items()},
            period=period,
            at=at,
            estimate=at < period.closes + grace,
            waiting=quarantined_events(
                connection,
                period,
                paid_by(account, accounts.accounts, accounts.contracts),
                resold=payers[number].resold,
            ),
            pending=pending_events(connection, period, number),
            invoices=invoices,
            later=pending.later,
            unbilled=pending.lines,
            adjusted_by=pending.billed_by,
            adjustments=_adjustments(connection, period, account),
        )


class _Pending(NamedTuple):
    """How many events came after what has billed a month last; what that leaves to be billed; the numbers of all."""

    later: int
    lines: tuple[InvoiceLine, ...]
    billed_by: tuple[str, ...]

    @classmethod
    def read(
        cls, connection: Connection, period: Period, number: int, pricer: Pricer, accounts: Accounts, totals: Totals
    ) -> "_Pending":
        """What a run of a later month would adjust now."""
        documents = documents_of_month(connection, period, number)
        billed = billed_of(connection, period, [number]).get(number)
        if billed is None or billed.billed_sha256 == totals_sha256(totals).get(number, NO_TOTALS_SHA256):
            return cls(0, (), tuple(each for each, _ in documents))
        later = later_events(connection, number, period, documents[-1][1])
        frozen = frozen_pricer(connection, period, pricer.products, accounts, {number: billed})
        now = parts_by_payer(frozen.price_one(number, frozen.read([number]))).get(number, {})
        left = difference(now, issued_lines(connection, period, [number])[number].lines)
        lines = tuple(line_of(key, part, str(period)) for key, part in left.items())
        return cls(later, lines, tuple(each for each, _ in documents))


def _adjustments(connection: Connection, period: Period, account: str) -> tuple[InvoiceLine, ...]:
    """What the month's invoice and credit notes bill of earlier months; of drafts, where nothing is issued yet."""
    for final in (True, False):
        found = [
            each for kind in Kind for each in read_invoices(connection, period, final=final, account=account, kind=kind)
        ]
        if found:
            return tuple(line for each in found for line in each.lines if line.origin_period != str(period))
    return ()
