"""Webhooks as an operator sees them: endpoints with what waits and what died, deliveries, and their tries."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from billing.store.engine import Connection
from billing.webhooks import Answer


class ListedEndpoint(NamedTuple):
    """An endpoint, without its secret, and how many of its messages wait and are dead.

    `disabled_why` is "" while messages are sent there. `two_secrets_until`: the secret before this one signs till then.
    """

    id: str
    url: str
    types: tuple[str, ...]
    account: str
    description: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str
    failing_since: datetime | None
    two_secrets_until: datetime | None
    waiting: int
    dead: int


class ListedDelivery(NamedTuple):
    """What became of a message at an endpoint; `status` and `problem` are those of the newest of its `tries`.

    `message` is the `webhook-id`; `number` orders messages as they were told.
    """

    number: int
    endpoint: str
    message: str
    type: str
    subject: str
    account: str
    told_at: datetime
    state: str
    tries: int
    next_at: datetime | None
    ended_at: datetime | None
    status: int
    problem: str


class ListedTry(NamedTuple):
    """One try of a delivery."""

    at: datetime
    status: int
    said: str
    problem: str

    @property
    def taken(self) -> bool:
        """Whether the message arrived."""
        return Answer(status=self.status).is_taken


def listed_endpoints(connection: Connection, at: datetime, id_: str = "") -> list[ListedEndpoint]:
    """All endpoints that are not removed, the oldest first; with `id_` that one."""
    rows = connection.execute(_ENDPOINTS, {"at": at, "id": id_})
    return [ListedEndpoint(id_, url, tuple(types), *others) for id_, url, types, *others in rows]


def listed_deliveries(
    connection: Connection,
    *,
    endpoint: str = "",
    message: str = "",
    states: Sequence[str] = (),
    limit: int = 100,
    before: tuple[int, str] | None = None,
) -> list[ListedDelivery]:
    """Deliveries, the newest message first; with `message` those of that one.

    `before` (number, endpoint) of the last one that was listed goes on.
    """
    values = {
        "endpoint": endpoint,
        "message": message,
        "states": list(states),
        "limit": limit,
        "before": None if before is None else before[0],
        "after": "" if before is None else before[1],
    }
    return [ListedDelivery(*row) for row in connection.execute(_DELIVERIES, values)]


def listed_tries(connection: Connection, endpoint: str, message: str) -> list[ListedTry]:
    """The tries of a delivery, the first one first."""
    rows = connection.execute(
        "SELECT attempt.at, status, said, problem FROM webhook_attempts AS attempt"
        " JOIN webhook_endpoints AS endpoint USING (endpoint_id) JOIN webhook_messages AS message USING (message_id)"
        " WHERE endpoint.id = %s AND message.id = %s ORDER BY attempt_id",
        [endpoint, message],
    )
    return [ListedTry(*row) for row in rows]


def body_of(connection: Connection, message: str) -> str | None:
    """The body of a message as it is sent; None where there is no such message."""
    row = connection.execute("SELECT body FROM webhook_messages WHERE id = %s", [message]).fetchone()
    return None if row is None else str(row[0])


_ENDPOINTS = """
SELECT endpoint.id, url, types, coalesce(accounts.id, ''), description, created_at, disabled_at,
       coalesce(disabled_why, ''), failing_since, CASE WHEN old_until > %(at)s THEN old_until END,
       (SELECT count(*) FROM webhook_deliveries AS d
        WHERE d.endpoint_id = endpoint.endpoint_id AND state IN ('pending', 'retry')),
       (SELECT count(*) FROM webhook_deliveries AS d WHERE d.endpoint_id = endpoint.endpoint_id AND state = 'dead')
FROM webhook_endpoints AS endpoint LEFT JOIN accounts USING (account_id)
WHERE disabled_why IS DISTINCT FROM 'removed' AND %(id)s IN ('', endpoint.id) ORDER BY endpoint_id
"""

_DELIVERIES = """
SELECT message_id, endpoint.id, message.id, type, subject, account, message.at, state, coalesce(tries, 0), next_at,
       ended_at, coalesce(newest.status, 0), coalesce(newest.problem, '')
FROM webhook_deliveries JOIN webhook_endpoints AS endpoint USING (endpoint_id)
JOIN webhook_messages AS message USING (message_id)
LEFT JOIN LATERAL (
    SELECT status, problem, count(*) OVER () AS tries FROM webhook_attempts AS attempt
    WHERE (attempt.endpoint_id, attempt.message_id) = (webhook_deliveries.endpoint_id, webhook_deliveries.message_id)
    ORDER BY attempt_id DESC LIMIT 1
) AS newest ON true
WHERE disabled_why IS DISTINCT FROM 'removed' AND %(endpoint)s IN ('', endpoint.id)
  AND %(message)s IN ('', message.id) AND (%(states)s::text[] = '{}' OR state = ANY(%(states)s))
  AND (%(before)s::bigint IS NULL OR (message_id, endpoint.id) < (%(before)s, %(after)s))
ORDER BY message_id DESC, endpoint.id DESC LIMIT %(limit)s
"""
