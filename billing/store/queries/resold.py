"""What is stored on the two sides of what resellers sell."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from billing.store.engine import Connection

_FIRST = """
    SELECT accounts.id, sources.id, event.id, occurred_at,
           (max(occurred_at) OVER () AT TIME ZONE 'UTC')::date
    FROM events AS event JOIN sources USING (source_id) JOIN accounts USING (account_id)
    WHERE payer_id = %s AND account_id = ANY(%s) AND occurred_at >= %s AND occurred_at < %s
    ORDER BY occurred_at, sources.id, event.id LIMIT 1
"""


class Used(NamedTuple):
    """The first event of some accounts, and the day after their last one."""

    account: str
    source: str
    id: str
    at: datetime
    after: date


def first_used(
    connection: Connection, payer: int, accounts: Sequence[int], since: datetime, until: datetime
) -> Used | None:
    """The first event that some accounts had between two instants, of those that a payer pays."""
    row = connection.execute(_FIRST, [payer, list(accounts), since, until]).fetchone()
    if row is None:
        return None
    account, source, id_, at, last = row
    return Used(account, source, id_, at, last + timedelta(days=1))
