"""Compose a customer's statement: what a period comes to so far, line by line, and where the counters stand."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from billing.flows.price import Pricer
from billing.payers import payers_of, paying
from billing.periods import Period
from billing.runs import GRACE
from billing.statements import Statement, compose
from billing.store.accounts import read_accounts
from billing.store.engine import Engine, snapshot
from rates.pricing import standings
from rates.products import Product


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
        return compose(
            pricer.price_one(number, totals),
            standings(totals, terms),
            payers[number].party,
            {each: name for name, each in accounts.numbers.items()},
            period=period,
            at=at,
            estimate=at < period.closes + grace,
        )
