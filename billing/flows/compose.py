"""Compose a customer's statement: what a period comes to so far, line by line, and where the counters stand."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from billing.accounts import Account, payer_of
from billing.drafts import NO_TOTALS_SHA256, totals_sha256
from billing.flows.price import Pricer
from billing.invoices import Invoice
from billing.payers import payers_of, paying
from billing.periods import Period
from billing.runs import GRACE
from billing.statements import Statement, compose
from billing.store.accounts import read_accounts
from billing.store.engine import Connection, Engine, snapshot
from billing.store.queries.explain import later_events
from billing.store.queries.invoices import read_invoices, snapshot_of
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
        number = accounts.numbers[paying(account, accounts.accounts).id]
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        pricer = Pricer.begin(connection, period, products, payers)
        totals = pricer.read([number])
        terms = pricer.terms(number, totals)
        invoices = read_invoices(connection, period, final=True, account=account)
        return compose(
            pricer.price_one(number, totals),
            standings(totals, terms),
            payers[number].party,
            {each: name for name, each in accounts.numbers.items()},
            period=period,
            at=at,
            estimate=at < period.closes + grace,
            waiting=quarantined_events(connection, period, _paid_by(account, accounts.accounts)),
            pending=pending_events(connection, period, number),
            invoices=invoices,
            later=_later(connection, period, number, totals, invoices),
        )


def _later(connection: Connection, period: Period, number: int, totals: Totals, invoices: Sequence[Invoice]) -> int:
    """How many events came after the invoices."""
    now = totals_sha256(totals).get(number, NO_TOTALS_SHA256)
    if all(invoice.billed_sha256 == now for invoice in invoices):
        return 0
    seen = snapshot_of(connection, number, period, final=True)
    return 0 if seen is None else later_events(connection, number, period, seen)


def _paid_by(account: str, accounts: Mapping[str, Account]) -> list[str]:
    """The account and those below it that it pays for."""
    payers = {name: payer_of(name, accounts) for name in accounts}
    return [name for name, payer in payers.items() if payer is not None and payer.id == account]
