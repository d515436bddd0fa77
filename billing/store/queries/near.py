"""Usage that may have been reported twice under different ids: the same numbers, instant and quantity."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from billing.periods import Period
from billing.store.engine import Connection
from billing.store.queries.usage import mirror_ids

_NEAR = """
    SELECT count(*) OVER (), occurred_at, id, other_source, other_id FROM (
    SELECT DISTINCT ON (a.occurred_at, a.id) a.occurred_at, a.id, theirs.id AS other_source, b.id AS other_id
    FROM events a
    JOIN sources mine ON mine.source_id = a.source_id AND mine.id = %(source)s
    JOIN events b ON b.payer_id = a.payer_id AND b.occurred_at = a.occurred_at
        AND b.measured = a.measured AND b.product_id = a.product_id AND b.account_id = a.account_id
        AND b.to_e164 IS NOT DISTINCT FROM a.to_e164 AND b.from_e164 IS NOT DISTINCT FROM a.from_e164
        AND b.to_address IS NOT DISTINCT FROM a.to_address AND b.from_address IS NOT DISTINCT FROM a.from_address
        AND (b.source_id <> a.source_id OR b.id <> a.id)
    JOIN sources theirs ON theirs.source_id = b.source_id
    WHERE a.received_at = %(at)s AND a.measured > 0
        AND a.occurred_at BETWEEN %(earliest)s AND %(latest)s AND b.occurred_at BETWEEN %(earliest)s AND %(latest)s
        -- Of two that came together, the later id is near the earlier one, and not the other way round.
        AND (b.received_at < a.received_at OR (b.source_id, b.id) < (a.source_id, a.id))
    ORDER BY a.occurred_at, a.id, theirs.id, b.id
    ) near ORDER BY occurred_at, id LIMIT %(first)s
"""


class Near(NamedTuple):
    """An event, and another that says the same under another id."""

    occurred_at: datetime
    id: str
    other_source: str
    other_id: str


def near_duplicates(
    connection: Connection, source: str, at: datetime, span: tuple[datetime, datetime], *, first: int
) -> tuple[int, list[Near]]:
    """How many events of a source that were received `at` say what another event says, and the first of them.

    `span` holds when the events were, at the earliest and at the latest. What waits in quarantine is not looked at.
    """
    facts = {"source": source, "at": at, "earliest": span[0], "latest": span[1], "first": first}
    rows = connection.execute(_NEAR, facts).fetchall()
    return (rows[0][0] if rows else 0), [Near(*near) for _, *near in rows]


class Place(NamedTuple):
    """Where a page of near-duplicates ended: at whose event, and which one."""

    payer: int
    occurred_at: datetime
    source: int
    id: str


class Twin(NamedTuple):
    """An event that says what another one said before it under another id, or from another source (`first_…`).

    `measured` is in base units of the product; the parties are as they were reported.
    """

    occurred_at: datetime
    received_at: datetime
    account: str
    product: str
    from_: str
    to: str
    measured: int
    source: str
    id: str
    first_source: str
    first_id: str
    place: Place


# In the order of the index by payer and instant, which alone says at which instants a payer has several events; only
# those are read, compared by what they say, and all of it as it comes: of a month nothing is kept or sorted as a whole,
# so that a page costs as much as the part of the month that it is of.
_TWINS = """
WITH instants AS (
    SELECT payer_id, occurred_at FROM events
    WHERE occurred_at >= %(opens)s AND occurred_at < %(closes)s AND (payer_id, occurred_at) >= (%(payer)s, %(at)s)
    GROUP BY payer_id, occurred_at HAVING count(*) > 1
), said AS (
    SELECT e.*, row_number() OVER same AS nth,
        first_value(e.source_id) OVER same AS first_source_id, first_value(e.id) OVER same AS first_id
    FROM instants JOIN events e USING (payer_id, occurred_at)
    WHERE e.occurred_at >= %(opens)s AND e.occurred_at < %(closes)s
        AND e.measured > 0 AND num_nonnulls(e.to_e164, e.from_e164, e.to_address, e.from_address) > 0
        AND e.source_id <> ALL(%(mirrors)s)
    WINDOW same AS (
        PARTITION BY e.payer_id, e.occurred_at, e.account_id, e.product_id, e.measured,
            e.to_e164, e.from_e164, e.to_address, e.from_address
        ORDER BY e.received_at, e.source_id, e.id)
), page AS (
    SELECT * FROM said
    WHERE nth > 1 AND (payer_id, occurred_at, source_id, id) > (%(payer)s, %(at)s, %(source)s, %(id)s)
        AND (%(accounts)s::text[] IS NULL
            OR account_id IN (SELECT account_id FROM accounts WHERE accounts.id = ANY(%(accounts)s)))
    ORDER BY payer_id, occurred_at, source_id, id LIMIT %(limit)s
)
SELECT p.occurred_at, p.received_at, a.id, products.id, p.from_e164, p.from_address, p.to_e164, p.to_address,
    p.measured, theirs.id, p.id, firsts.id, p.first_id, p.payer_id, p.source_id
FROM page p JOIN accounts a USING (account_id) JOIN products USING (product_id)
    JOIN sources theirs ON theirs.source_id = p.source_id JOIN sources firsts ON firsts.source_id = p.first_source_id
ORDER BY p.payer_id, p.occurred_at, p.source_id, p.id
"""


def twins(
    connection: Connection,
    span: Period,
    *,
    accounts: Collection[str] | None = None,
    after: Place | None = None,
    limit: int,
) -> list[Twin]:
    """A page of the events of some days that say what another one says: same account, product, parties, start, amount.

    Of `accounts`, or all, in the order of payers and then of time, `after` the end of the page before. Events without
    any party are not compared (a month's charges all look alike), nor those that measure nothing, what waits in
    quarantine, and what a reseller bills of usage that was reported once.
    """
    begins = after or Place(0, span.opens, 0, "")
    facts = {
        "opens": span.opens,
        "closes": span.closes,
        "payer": begins.payer,
        "at": begins.occurred_at,
        "source": begins.source,
        "id": begins.id,
        "mirrors": mirror_ids(connection),
        "accounts": None if accounts is None else list(accounts),
        "limit": limit,
    }
    return [_twin(row) for row in connection.execute(_TWINS, facts)]


def _twin(row: tuple[Any, ...]) -> Twin:
    at, received_at, account, product, from_, from_address, to, to_address, measured, source, name, *rest = row
    first_source, first_id, payer, source_id = rest
    return Twin(
        occurred_at=at,
        received_at=received_at,
        account=account,
        product=product,
        from_=_party(from_, from_address),
        to=_party(to, to_address),
        measured=measured,
        source=source,
        id=name,
        first_source=first_source,
        first_id=first_id,
        place=Place(payer, at, source_id, name),
    )


def _party(number: int | None, address: str | None) -> str:
    return f"+{number}" if number else address or ""
