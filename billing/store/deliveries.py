"""Deliveries of webhooks in the store: workers claim them, and note what came of each try."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from billing.store.engine import Connection
from billing.store.webhooks import lock_endpoint
from billing.webhooks import Next, Outgoing, State


def claim(
    connection: Connection, at: datetime, until: datetime, *, turn: int, most: int, only: tuple[str, str] | None = None
) -> list[Outgoing]:
    """Take deliveries that are due, up to `turn` of an endpoint and `most` in all; nobody else takes them `until` then.

    Endpoints come in an order of chance, so that none of many waits for the others for ever; those that are left alone
    do not come. With `only`, of that endpoint that message, and at once.
    """
    endpoint, message = only or ("", "")
    values = {"at": at, "until": until, "turn": turn, "most": most, "endpoint": endpoint, "message": message}
    rows = connection.execute(_CLAIM, values).fetchall()
    names = ("endpoint", "id", "claim", "url", "body")
    return [
        Outgoing(**dict(zip(names, facts, strict=True)), secrets=tuple(filter(None, secrets)))
        for _, *facts, secrets in sorted(rows, key=lambda row: (row[1], row[0]))  # of an endpoint as they were told
    ]


def give_back(connection: Connection, untried: Sequence[Outgoing]) -> None:
    """Let others take what was claimed and not tried, of one endpoint, which is locked before its deliveries are."""
    lock_endpoint(connection, untried[0].endpoint)
    connection.execute(
        "UPDATE webhook_deliveries AS delivery SET claimed_until = NULL"
        " FROM unnest(%s::text[], %s::text[], %s::integer[]) AS untried (endpoint, message, claim),"
        " webhook_endpoints AS endpoint, webhook_messages AS message"
        " WHERE endpoint.id = untried.endpoint AND message.id = untried.message AND delivery.claim = untried.claim"
        " AND (delivery.endpoint_id, delivery.message_id) = (endpoint.endpoint_id, message.message_id)",
        [[each.endpoint for each in untried], [each.id for each in untried], [each.claim for each in untried]],
    )


class Standing(NamedTuple):
    """How a delivery stands: its state, how often it failed since it began, and whether a claim of it still holds."""

    state: State
    failures: int
    claimed: bool


def lock_delivery(connection: Connection, sent: Outgoing) -> Standing:
    """How the delivery of a try stands; nobody else changes it until the transaction ends."""
    row = connection.execute(
        "SELECT state, failures, claim = %s FROM webhook_deliveries JOIN webhook_endpoints USING (endpoint_id)"
        " JOIN webhook_messages USING (message_id) WHERE webhook_endpoints.id = %s AND webhook_messages.id = %s"
        " FOR UPDATE OF webhook_deliveries",
        [sent.claim, sent.endpoint, sent.id],
    ).fetchone()
    if row is None:
        raise LookupError("a delivery that was claimed stays")
    return Standing(State(row[0]), row[1], row[2])


def write_attempt(connection: Connection, sent: Outgoing, at: datetime, status: int, said: str, problem: str) -> None:
    """Keep what a try brought."""
    connection.execute(
        "INSERT INTO webhook_attempts (message_id, endpoint_id, at, status, said, problem)"
        " SELECT message_id, endpoint_id, %s, %s, %s, %s"
        " FROM webhook_messages AS message, webhook_endpoints AS endpoint WHERE message.id = %s AND endpoint.id = %s",
        [at, status, said, problem, sent.id, sent.endpoint],
    )


def move_on(connection: Connection, sent: Outgoing, reached: Next, failures: int, at: datetime) -> None:
    """Write what became of a delivery, and end its claim."""
    ended = at if reached.at is None else None
    connection.execute(
        "UPDATE webhook_deliveries SET state = %s, next_at = %s, ended_at = %s, failures = %s, claimed_until = NULL"
        " WHERE endpoint_id = (SELECT endpoint_id FROM webhook_endpoints WHERE id = %s)"
        " AND message_id = (SELECT message_id FROM webhook_messages WHERE id = %s)",
        [reached.state.value, reached.at, ended, failures, sent.endpoint, sent.id],
    )


def forget(connection: Connection, before: datetime, *, most: int) -> int:
    """Forget tries before an instant, and deliveries that ended before it and have none left; `most` of each.

    Gives how many. Messages stay: by them nothing is told twice.
    """
    values = {"before": before, "most": most}
    return sum(connection.execute(each, values).rowcount for each in (_FORGET_TRIES, _FORGET_ENDED))


# Tries are numbered in the order in which they were made.
_FORGET_TRIES = """
DELETE FROM webhook_attempts WHERE attempt_id IN (
    SELECT attempt_id FROM (SELECT attempt_id, at FROM webhook_attempts ORDER BY attempt_id LIMIT %(most)s) AS oldest
    WHERE at < %(before)s
)
"""

_FORGET_ENDED = """
DELETE FROM webhook_deliveries WHERE (endpoint_id, message_id) IN (
    SELECT endpoint_id, message_id FROM webhook_deliveries AS delivery
    WHERE ended_at < %(before)s AND NOT EXISTS (
        SELECT FROM webhook_attempts AS attempt
        WHERE (attempt.endpoint_id, attempt.message_id) = (delivery.endpoint_id, delivery.message_id)
    )
    ORDER BY ended_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
"""

_CLAIM = """
WITH turns AS MATERIALIZED (
    SELECT endpoint_id FROM webhook_endpoints
    WHERE disabled_at IS NULL AND %(endpoint)s IN ('', id)
      AND (left_until IS NULL OR left_until <= %(at)s OR %(message)s <> '') ORDER BY random()
), due AS MATERIALIZED (
    SELECT turns.endpoint_id, first.message_id FROM turns CROSS JOIN LATERAL (
        SELECT message_id FROM webhook_deliveries
        WHERE endpoint_id = turns.endpoint_id AND state IN ('pending', 'retry') AND next_at <= %(at)s
          AND (claimed_until IS NULL OR claimed_until <= %(at)s)
          AND (%(message)s = '' OR message_id = (SELECT message_id FROM webhook_messages WHERE id = %(message)s))
        ORDER BY next_at, message_id LIMIT %(turn)s FOR UPDATE SKIP LOCKED
    ) AS first LIMIT %(most)s
)
UPDATE webhook_deliveries AS delivery SET claim = delivery.claim + 1, claimed_until = %(until)s
FROM due JOIN webhook_endpoints AS endpoint USING (endpoint_id) JOIN webhook_messages AS message USING (message_id)
WHERE (delivery.endpoint_id, delivery.message_id) = (due.endpoint_id, due.message_id)
RETURNING delivery.message_id, endpoint.id, message.id, delivery.claim, url, body,
          ARRAY[secret, CASE WHEN old_until > %(at)s THEN old_secret END]
"""
