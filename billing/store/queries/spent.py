"""Usage by account, product, country and day: sums of the totals, with what is not folded into them yet."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from psycopg import sql

from billing.store.engine import Connection
from rates.prices import MAXIMUM, MINIMUM, USAGE


class By(StrEnum):
    """What usage is summed by."""

    DAY = "day"
    PRODUCT = "product"
    COUNTRY = "country"
    ACCOUNT = "account"


class Wanted(NamedTuple):
    """Whose usage: that a payer pays (None: anybody), of one account (None: any of its); of which UTC days, half-open.

    `product` and `country`: only such; "" for any.
    """

    since: date
    until: date
    payer: int | None = None
    account: int | None = None
    product: str = ""
    country: str = ""


class Used(NamedTuple):
    """Priced usage of one group: its words, in the order that was asked for; its events and its quantity in `unit`.

    What is priced per event, or for which a minimum or a maximum charge stands, is counted in the unit `event`.
    """

    words: tuple[str, ...]
    unit: str
    events: int
    quantity: int


def usage_by(
    connection: Connection, wanted: Wanted, by: Sequence[By], *, after: Sequence[str], limit: int
) -> list[Used]:
    """Usage by some words and, always, the unit it is counted in; those that follow `after` (words and unit), in order.

    One statement, one snapshot: what was acknowledged before it is in it. Usage without a price is in none of it.
    """
    words = [_WORDS[each] for each in by]
    keys = sql.SQL(", ").join([*(sql.SQL('({}) COLLATE "C"').format(word) for word in words), sql.SQL(_UNIT)])
    places = sql.SQL(", ").join(sql.Placeholder(f"after{n}") for n in range(len(after)))
    numbers = sql.SQL(", ").join(sql.SQL(str(n + 1)) for n in range(len(by) + 1))
    whose = sql.SQL(_PAYERS if wanted.payer is None else "AND payer_id = %(payer)s")
    part = sql.SQL("" if wanted.account is None else "AND account_id = %(account)s")
    query = sql.SQL(_USED).format(
        totals=sql.SQL(_CHANGES).format(table=sql.Identifier("usage_totals"), whose=whose, part=part),
        unfolded=sql.SQL(_CHANGES).format(table=sql.Identifier("unfolded"), whose=whose, part=part),
        keys=keys,
        places=places,
        numbers=numbers,
    )
    facts = {**wanted._asdict(), "limit": limit, "elements": [USAGE, MINIMUM, MAXIMUM]}
    rows = connection.execute(query, facts | {f"after{n}": text for n, text in enumerate(after)})
    return [Used(tuple(each), unit, events, int(quantity)) for *each, unit, events, quantity in rows]


_UNIT = 'price.base COLLATE "C"'

_WORDS = {
    By.DAY: sql.SQL("to_char(day, 'YYYY-MM-DD')"),
    By.PRODUCT: sql.SQL("price.product"),
    By.COUNTRY: sql.SQL("country"),
    By.ACCOUNT: sql.SQL("account.id"),
}

# Summed before the words are looked up: a payer's month is some thousand rows however many events it had.
_CHANGES = """
    SELECT day, price_id, account_id, country COLLATE "C" AS country, events, quantity
    FROM {table} WHERE day >= %(since)s AND day < %(until)s {whose} {part}
"""

# Of resold usage the reseller's side is left out: whom it bills does not pay for itself.
_PAYERS = "AND payer_id IN (SELECT account_id FROM accounts WHERE pays)"

_USED = """
WITH change AS ({totals} UNION ALL {unfolded}), used AS (
    SELECT day, price_id, account_id, country, sum(events) AS events, sum(quantity) AS quantity
    FROM change GROUP BY 1, 2, 3, 4
)
SELECT {keys}, sum(events)::bigint, sum(quantity)
FROM used JOIN prices AS price USING (price_id) JOIN accounts AS account USING (account_id)
WHERE price.element = ANY(%(elements)s)
    AND (%(product)s = '' OR price.product = %(product)s) AND (%(country)s = '' OR country = %(country)s)
    AND ({keys}) > ({places})
GROUP BY {numbers} HAVING sum(events) <> 0 OR sum(quantity) <> 0
ORDER BY {numbers} LIMIT %(limit)s
"""
