"""Usage, for people: where it comes from, and what waits in quarantine."""

from datetime import datetime
from typing import NamedTuple

from billing.store.engine import Connection
from rates.rating import REASONS, Reason


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


def sources(connection: Connection) -> list[str]:
    """The sources that usage has come from, by name."""
    return [name for (name,) in connection.execute("SELECT id FROM sources ORDER BY id")]


def waiting_usage(connection: Connection) -> list[Waiting]:
    """What waits in quarantine, by reason, account and product."""
    rows = connection.execute(
        "SELECT q.reason, q.account, q.product, count(*), min(q.occurred_at), max(q.occurred_at),"
        " (array_agg(s.id ORDER BY q.occurred_at, s.id, q.id))[1],"
        " (array_agg(q.id ORDER BY q.occurred_at, s.id, q.id))[1]"
        " FROM quarantine q JOIN sources s USING (source_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [Waiting(REASONS[reason], *facts) for reason, *facts in rows]
