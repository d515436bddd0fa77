"""Usage, for people: where it comes from, and what waits in quarantine."""

from datetime import datetime
from typing import NamedTuple

from billing.store.engine import Connection
from rates.rating import CODES, REASONS, Reason


class Waiting(NamedTuple):
    """Quarantined events of one kind: how many, and one of them to look at.

    `has_number` is false for those without a rate that call no number written with `+`.
    """

    reason: Reason | None
    account: str
    product: str
    has_number: bool
    events: int
    first_at: datetime
    last_at: datetime
    source: str
    id: str


def sources(connection: Connection) -> list[str]:
    """The sources that usage has come from, by name."""
    return [name for (name,) in connection.execute("SELECT id FROM sources ORDER BY id")]


def waiting_usage(connection: Connection) -> list[Waiting]:
    """What waits in quarantine, by reason, account and product; without a rate, also by whether it has a number."""
    rows = connection.execute(
        "SELECT q.reason, q.account, q.product,"
        " q.reason <> %s OR q.to_e164 IS NOT NULL OR q.rated_to_e164 IS NOT NULL,"
        " count(*), min(q.occurred_at), max(q.occurred_at),"
        " (array_agg(s.id ORDER BY q.occurred_at, s.id, q.id))[1],"
        " (array_agg(q.id ORDER BY q.occurred_at, s.id, q.id))[1]"
        " FROM quarantine q JOIN sources s USING (source_id) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        [CODES[Reason.NO_RATE]],
    )
    return [Waiting(REASONS[reason], *facts) for reason, *facts in rows]
