"""Events in the order of time, a page at a time: of one payer by its index, of all payers by that of each."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import LiteralString, NamedTuple

from psycopg import sql

from billing.reselling import PREFIX
from billing.store.engine import Connection
from rates.rating import REASONS


class Outcome(StrEnum):
    """What became of an event: it has a price, costs nothing by its outcome, or waits for a price."""

    RATED = "rated"
    ZERO_RATED = "zero_rated"
    QUARANTINED = "quarantined"


class Place(NamedTuple):
    """Where in the order of all events one stands: its instant, and its source by number."""

    occurred_at: datetime
    source: int
    id: str


class Wanted(NamedTuple):
    """Which events, half-open in time: None and "" for any.

    `payer` and `account` are numbers, `root` and `name` the same two by their ids, as what waits says whose it is.
    """

    since: datetime
    until: datetime
    payer: int | None = None
    account: int | None = None
    root: str = ""
    name: str = ""
    product: str = ""
    source: str = ""
    outcome: Outcome | None = None


class Listed(NamedTuple):
    """An event in short. `to` and `from_` are its numbers or addresses; `reason` is "" where it has a price."""

    place: Place
    source: str
    id: str
    revision: int
    account: str
    product: str
    occurred_at: datetime
    received_at: datetime
    to: str
    from_: str
    country: str
    status: str
    measured: int
    reason: str
    outcome: Outcome


def recent_events(
    connection: Connection, wanted: Wanted, *, after: Place | None, newest_first: bool, limit: int
) -> list[Listed]:
    """Events in the order of (instant, source, id), or against it, at most `limit` of those that follow a place.

    Of resold usage the reseller's side is left out, unless its source is named.
    """
    waiting = wanted.outcome in {None, Outcome.QUARANTINED}
    stored = wanted.outcome is not Outcome.QUARANTINED
    parts = [_QUARANTINED] * waiting + [_OF_PAYER if wanted.payer is not None else _OF_ALL] * stored
    words: dict[str, sql.Composable] = {
        "order": sql.SQL("DESC" if newest_first else "ASC"),
        "follows": sql.SQL("" if after is None else _BEFORE if newest_first else _AFTER),
        "reason": sql.SQL(_REASON[wanted.outcome]),
        "columns": sql.SQL(_COLUMNS),
    }
    where = sql.SQL(_WHERE).format(**words)
    found = sql.SQL(" UNION ALL ").join(
        sql.SQL("({})").format(sql.SQL(part).format(where=where, **words)) for part in parts
    )
    facts: Mapping[str, object] = {
        **wanted._asdict(),
        "at": after.occurred_at if after else None,
        "at_source": after.source if after else None,
        "at_id": after.id if after else None,
        "limit": limit,
        "mirrors": PREFIX,
    }
    rows = connection.execute(sql.SQL(_LISTED).format(found=found, **words), facts)
    return [_listed(*row) for row in rows]


def _listed(  # noqa: PLR0913, PLR0917 (the columns of the query)
    at: datetime, source_id: int, id_: str, source: str, revision: int, account: str, product: str,
    received_at: datetime, to: str | None, from_: str | None, country: str | None, status: str | None, measured: int,
    reason: int, waits: bool,  # noqa: FBT001
) -> Listed:  # fmt: skip
    why = str(REASONS[reason] or "")
    outcome = Outcome.QUARANTINED if waits else Outcome.ZERO_RATED if why else Outcome.RATED
    return Listed(
        place=Place(at, source_id, id_),
        source=source,
        id=id_,
        revision=revision,
        account=account,
        product=product,
        occurred_at=at,
        received_at=received_at,
        to=to or "",
        from_=from_ or "",
        country=country or "",
        status=status or "",
        measured=measured,
        reason=why,
        outcome=outcome,
    )


_REASON: Mapping[Outcome | None, LiteralString] = {
    None: "",
    Outcome.RATED: "AND reason = 0",
    Outcome.ZERO_RATED: "AND reason <> 0",
    Outcome.QUARANTINED: "",
}

_BEFORE = "AND occurred_at <= %(at)s AND (occurred_at, source_id, event.id) < (%(at)s, %(at_source)s, %(at_id)s)"
_AFTER = "AND occurred_at >= %(at)s AND (occurred_at, source_id, event.id) > (%(at)s, %(at_source)s, %(at_id)s)"

_COLUMNS = """
    occurred_at, source_id, event.id, revision, received_at, measured, reason, status,
    coalesce('+' || to_e164, to_address) AS called, coalesce('+' || from_e164, from_address) AS calling
"""

_WHERE = """
    occurred_at >= %(since)s AND occurred_at < %(until)s {follows}
    AND (%(source)s = '' OR source_id = (SELECT source_id FROM sources WHERE sources.id = %(source)s))
"""

_USED = """
    AND (%(account)s::integer IS NULL OR account_id = %(account)s)
    AND (%(product)s = '' OR product_id = (SELECT product_id FROM products WHERE products.id = %(product)s)) {reason}
"""

_STORED = "{columns}, account_id, NULL AS account, product_id, NULL AS product, country, false AS waits"

# The index (payer, instant) gives the page in order; what stands at one instant is sorted by itself.
_OF_PAYER = f"""
SELECT {_STORED} FROM events AS event WHERE payer_id = %(payer)s AND {{where}} {_USED}
ORDER BY occurred_at {{order}}, source_id {{order}}, event.id {{order}} LIMIT %(limit)s
"""  # noqa: S608

# A page of all has events only of those payers whose own first event is among as many first ones.
_OF_ALL = f"""
SELECT each.* FROM (
    SELECT account_id AS payer, first.occurred_at FROM accounts CROSS JOIN LATERAL (
        SELECT occurred_at FROM events AS event WHERE payer_id = accounts.account_id AND {{where}} {_USED}
        ORDER BY occurred_at {{order}} LIMIT 1
    ) AS first
    WHERE pays ORDER BY first.occurred_at {{order}} FETCH FIRST %(limit)s ROWS WITH TIES
) AS payers CROSS JOIN LATERAL (
    SELECT {_STORED} FROM events AS event WHERE payer_id = payers.payer AND {{where}} {_USED}
    ORDER BY occurred_at {{order}}, source_id {{order}}, event.id {{order}} LIMIT %(limit)s
) AS each
ORDER BY occurred_at {{order}}, source_id {{order}}, id {{order}} LIMIT %(limit)s
"""  # noqa: S608

# What waits says whose it is by name: also of accounts that nobody knows.
_QUARANTINED = """
WITH RECURSIVE paid AS (
    SELECT account_id, id FROM accounts WHERE id = %(root)s
    UNION ALL
    SELECT below.account_id, below.id FROM accounts AS below JOIN paid ON below.parent_id = paid.account_id
    WHERE NOT below.pays
)
SELECT {columns}, NULL::integer AS account_id, account, NULL::smallint AS product_id, product,
    stated_country AS country, true AS waits
FROM quarantine AS event
WHERE {where} AND (%(product)s = '' OR product = %(product)s) AND (%(name)s = '' OR account = %(name)s)
    AND (%(root)s = '' OR account IN (SELECT id FROM paid))
    AND (%(source)s <> '' OR source_id NOT IN (SELECT source_id FROM sources WHERE starts_with(id, %(mirrors)s)))
ORDER BY occurred_at {order}, source_id {order}, event.id {order} LIMIT %(limit)s
"""

_LISTED = """
SELECT occurred_at, source_id, found.id, sources.id, revision, coalesce(found.account, accounts.id),
    coalesce(found.product, products.id), received_at, called, calling, country, status, measured, reason, waits
FROM (
    SELECT * FROM ({found}) AS either ORDER BY occurred_at {order}, source_id {order}, id {order} LIMIT %(limit)s
) AS found
    JOIN sources USING (source_id) LEFT JOIN accounts USING (account_id) LEFT JOIN products USING (product_id)
ORDER BY occurred_at {order}, source_id {order}, found.id {order}
"""
