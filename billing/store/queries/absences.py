"""On which days of a month products were reported, zero or not, that are billed by the month's average."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from billing.periods import Period
from billing.store.engine import Connection


class Reported(NamedTuple):
    """The days of an account's reports of a product; `payer` is the number of who pays for it."""

    payer: int
    account: str
    product: str
    days: frozenset[date]


def reported_days(
    connection: Connection, period: Period, payers: Sequence[int], products: Sequence[str]
) -> list[Reported]:
    """The days of all accounts of some payers, in the order of their names."""
    values = {"opens": period.opens, "closes": period.closes, "payers": list(payers), "products": list(products)}
    return [
        Reported(payer, account, product, frozenset(days))
        for payer, account, product, days in connection.execute(_REPORTED, values)
    ]


_REPORTED = """
    SELECT payer_id, accounts.id, products.id, array_agg(DISTINCT (occurred_at AT TIME ZONE 'UTC')::date)
    FROM events JOIN accounts USING (account_id) JOIN products USING (product_id)
    WHERE payer_id = ANY(%(payers)s) AND occurred_at >= %(opens)s AND occurred_at < %(closes)s
      AND products.id = ANY(%(products)s)
    GROUP BY 1, 2, 3 ORDER BY 2, 3
"""
