"""Usage that may have been reported twice under different ids: the same numbers, instant and quantity."""

from datetime import datetime
from typing import NamedTuple

from billing.store.engine import Connection

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
