"""Usage, for people: one event with what it came to, what waits in quarantine, and how far the store has got."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from billing.periods import Period
from billing.store.engine import Connection
from rates.rating import REASONS, Reason


class StoredElement(NamedTuple):
    """One priced element of an event: the rate that matched, the price it has, the billable quantity."""

    element: str
    card: str
    rate_id: int
    price_id: int
    billed: int


class StoredEvent(NamedTuple):
    """An event as it is stored. `reason` says why it has no price, `to` and `from_` are as they were reported."""

    source: str
    id: str
    account: str
    product: str
    occurred_at: datetime
    received_at: datetime
    to: str
    from_: str
    country: str
    status: str
    measured: int
    reason: Reason | None
    is_quarantined: bool
    elements: tuple[StoredElement, ...]


class Waiting(NamedTuple):
    """Quarantined events of one kind: how many, and one of them to look at."""

    reason: Reason | None
    account: str
    product: str
    events: int
    first_at: datetime
    last_at: datetime
    source: str
    id: str


class Counts(NamedTuple):
    """How many events of a period there are of each kind, and how many changes are not folded yet."""

    rated: int
    zero_rated: int
    quarantined: int
    unfolded: int


def find_event(connection: Connection, source: str, id_: str) -> StoredEvent | None:
    """An event by its identity; None if nothing was ever accepted under it."""
    known = connection.execute(
        "SELECT e.source_id, e.payer_id, e.occurred_at FROM event_identity e JOIN sources s USING (source_id)"
        " WHERE s.id = %s AND e.id = %s",
        [source, id_],
    ).fetchone()
    if known is None:
        return None
    source_id, payer, occurred_at = known
    values = {"source_id": source_id, "id": id_, "payer": payer, "at": occurred_at}
    row = connection.execute(_EVENT, values).fetchone()
    waits = row is None
    if row is None:
        row = connection.execute(_WAITING_EVENT, values).fetchone()
    if row is None:
        return None  # archived
    elements = () if waits else tuple(StoredElement(*each) for each in connection.execute(_ELEMENTS, values))
    *facts, reason = row
    return StoredEvent._make((source, id_, *facts, REASONS[reason], waits, elements))


def waiting_usage(connection: Connection) -> list[Waiting]:
    """What waits in quarantine, by reason, account and product."""
    rows = connection.execute(
        "SELECT q.reason, q.account, q.product, count(*), min(q.occurred_at), max(q.occurred_at),"
        " (array_agg(s.id ORDER BY q.occurred_at, s.id, q.id))[1],"
        " (array_agg(q.id ORDER BY q.occurred_at, s.id, q.id))[1]"
        " FROM quarantine q JOIN sources s USING (source_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [Waiting(REASONS[reason], *facts) for reason, *facts in rows]


def count_usage(connection: Connection, period: Period, payers: Sequence[int] | None = None) -> Counts:
    """How many events of a period are stored, of some payers or all (quarantine: always all)."""
    values = {"start": period.opens, "end": period.closes, "payers": None if payers is None else list(payers)}
    rated, zero_rated = connection.execute(_COUNTS, values).fetchone() or (0, 0)
    (quarantined,) = connection.execute(
        "SELECT count(*) FROM quarantine WHERE occurred_at >= %(start)s AND occurred_at < %(end)s", values
    ).fetchone() or (0,)
    (unfolded,) = connection.execute("SELECT count(*) FROM unfolded").fetchone() or (0,)
    return Counts(rated, zero_rated, quarantined, unfolded)


_EVENT = """
SELECT a.id, p.id, e.occurred_at, e.received_at,
    coalesce('+' || e.to_e164, e.to_address, ''), coalesce('+' || e.from_e164, e.from_address, ''),
    e.country, coalesce(e.status, ''), e.measured, e.reason
FROM events e JOIN accounts a USING (account_id) JOIN products p USING (product_id)
WHERE e.payer_id = %(payer)s AND e.occurred_at = %(at)s AND e.source_id = %(source_id)s AND e.id = %(id)s
"""
_WAITING_EVENT = """
SELECT q.account, q.product, q.occurred_at, q.received_at,
    coalesce('+' || q.to_e164, q.to_address, ''), coalesce('+' || q.from_e164, q.from_address, ''),
    coalesce(q.stated_country, ''), coalesce(q.status, ''), q.measured, q.reason
FROM quarantine q WHERE q.source_id = %(source_id)s AND q.id = %(id)s
"""
_ELEMENTS = """
SELECT p.element, v.card_id, e.rate_id, e.price_id, e.billed
FROM (
    SELECT rate_id, price_id, billed FROM events
    WHERE payer_id = %(payer)s AND occurred_at = %(at)s AND source_id = %(source_id)s AND id = %(id)s
        AND price_id IS NOT NULL
    UNION ALL
    SELECT rate_id, price_id, billed FROM event_elements
    WHERE payer_id = %(payer)s AND occurred_at = %(at)s AND source_id = %(source_id)s AND id = %(id)s
) AS e
JOIN prices p USING (price_id) JOIN card_versions v USING (card_version_id)
ORDER BY p.element <> 'usage', p.element, e.price_id
"""
_COUNTS = """
SELECT count(*) FILTER (WHERE reason = 0), count(*) FILTER (WHERE reason <> 0) FROM events
WHERE occurred_at >= %(start)s AND occurred_at < %(end)s
    AND (%(payers)s::integer[] IS NULL OR payer_id = ANY(%(payers)s::integer[]))
"""
