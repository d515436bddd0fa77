"""Webhooks in the store: endpoints, and the outbox: what is told, to whom, and what is told anew."""

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from billing.store.engine import Connection
from billing.webhooks import OPERATORS, UNASKED, Endpoint, Message, MessageType, State, Why

_TO_BE_SENT = "state IN ('pending', 'retry')"


def insert_endpoint(connection: Connection, endpoint: Endpoint, secret: str) -> bool:
    """Add an endpoint; False where its account is none."""
    found = connection.execute(
        "INSERT INTO webhook_endpoints (id, url, types, account_id, description, secret, created_at)"
        " SELECT %(id)s, %(url)s, %(types)s, (SELECT account_id FROM accounts WHERE id = %(account)s), %(about)s,"
        " %(secret)s, %(at)s WHERE %(account)s = '' OR EXISTS (SELECT FROM accounts WHERE id = %(account)s)",
        {
            **_said(endpoint),
            "account": endpoint.account,
            "secret": secret,
            "at": endpoint.created_at,
        },
    )
    return found.rowcount == 1


def update_endpoint(connection: Connection, endpoint: Endpoint) -> None:
    """Write what an endpoint says now: its address, types and description."""
    connection.execute(
        "UPDATE webhook_endpoints SET url = %(url)s, types = %(types)s, description = %(about)s WHERE id = %(id)s",
        _said(endpoint),
    )


def _said(endpoint: Endpoint) -> dict[str, object]:
    types = [each.value for each in endpoint.types]
    return {"id": endpoint.id, "url": endpoint.url, "types": types, "about": endpoint.description}


def lock_endpoint(connection: Connection, id_: str) -> Endpoint | None:
    """An endpoint that nobody else changes until the transaction ends; None where there is none, or not any more."""
    row = connection.execute(
        "SELECT endpoint.id, url, types, coalesce(accounts.id, ''), description, created_at, disabled_at, disabled_why,"
        " failing_since FROM webhook_endpoints AS endpoint LEFT JOIN accounts USING (account_id)"
        " WHERE endpoint.id = %s AND disabled_why IS DISTINCT FROM 'removed' FOR NO KEY UPDATE OF endpoint",
        [id_],
    ).fetchone()
    if row is None:
        return None
    name, url, types, account, description, created_at, disabled_at, why, failing_since = row
    return Endpoint(
        id=name,
        url=url,
        types=tuple(map(MessageType, types)),
        account=account,
        description=description,
        created_at=created_at,
        disabled_at=disabled_at,
        disabled_why=Why(why) if why else None,
        failing_since=failing_since,
    )


def rotate_secret(connection: Connection, id_: str, secret: str, old_until: datetime) -> None:
    """Sign with a new secret, and with the one before it until an instant; one before that signs no longer."""
    connection.execute(
        "UPDATE webhook_endpoints SET old_secret = secret, old_until = %s, secret = %s WHERE id = %s",
        [old_until, secret, id_],
    )


def disable(connection: Connection, id_: str, why: Why, at: datetime) -> int:
    """Send nothing more to an endpoint: what was to be sent is dead. Gives how much that was."""
    connection.execute(
        "UPDATE webhook_endpoints SET disabled_at = %(at)s, disabled_why = %(why)s,"
        " secret = CASE %(why)s WHEN 'removed' THEN '' ELSE secret END,"
        " old_secret = CASE %(why)s WHEN 'removed' THEN '' ELSE old_secret END WHERE id = %(id)s",
        {"at": at, "why": why.value, "id": id_},
    )
    withdrawn = connection.execute(
        sql.SQL(
            "UPDATE webhook_deliveries SET state = 'dead', ended_at = %s, next_at = NULL, claimed_until = NULL"
            " WHERE endpoint_id = (SELECT endpoint_id FROM webhook_endpoints WHERE id = %s) AND {open}"
        ).format(open=sql.SQL(_TO_BE_SENT)),
        [at, id_],
    )
    return withdrawn.rowcount


def enable(connection: Connection, id_: str) -> None:
    """Send to an endpoint again, as if it had never failed."""
    connection.execute(
        "UPDATE webhook_endpoints SET disabled_at = NULL, disabled_why = NULL, failing_since = NULL, left_until = NULL"
        " WHERE id = %s",
        [id_],
    )


def set_failing(connection: Connection, id_: str, since: datetime | None) -> None:
    """Keep since when an endpoint has taken nothing; None where it took something."""
    connection.execute(
        "UPDATE webhook_endpoints SET failing_since = %(since)s"
        " WHERE id = %(id)s AND failing_since IS DISTINCT FROM %(since)s",
        {"since": since, "id": id_},
    )


def leave_alone(connection: Connection, id_: str, until: datetime) -> None:
    """Try nothing at an endpoint until an instant, or longer if it was to be left alone longer."""
    connection.execute("UPDATE webhook_endpoints SET left_until = greatest(left_until, %s) WHERE id = %s", [until, id_])


# --- the outbox ---------------------------------------------------------------------------------------------


def has_endpoints(connection: Connection) -> bool:
    """Whether there is anybody to tell, also later: an endpoint that is disabled may be replayed to."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM webhook_endpoints WHERE disabled_why IS DISTINCT FROM 'removed')"
    ).fetchone()
    return row is not None and bool(row[0])


def emit(connection: Connection, messages: Sequence[Message]) -> int:
    """Tell messages, in the transaction of what they tell of, to each endpoint that wants them. Gives how many are new.

    Nothing is written where there is no endpoint. What was told before, by type and subject, is not told again.
    """
    if not messages or not has_endpoints(connection):
        return 0
    new = _insert(connection, messages)
    connection.execute(_FAN_OUT, {**_CLOSED, "messages": new})
    return len(new)


def emit_to(connection: Connection, endpoint: str, message: Message) -> str:
    """Tell a message to one endpoint, whatever it wants. Gives the message's id."""
    (new,) = _insert(connection, [message])
    row = connection.execute(
        "INSERT INTO webhook_deliveries (message_id, endpoint_id, state, next_at)"
        " SELECT message_id, endpoint_id, 'pending', message.at"
        " FROM webhook_messages AS message, webhook_endpoints AS endpoint"
        " WHERE message_id = %s AND endpoint.id = %s"
        " RETURNING (SELECT id FROM webhook_messages WHERE message_id = webhook_deliveries.message_id)",
        [new, endpoint],
    ).fetchone()
    return str(row[0]) if row else ""


def _insert(connection: Connection, messages: Sequence[Message]) -> list[int]:
    """Write messages; the numbers of those that are new."""
    rows = connection.execute(
        "INSERT INTO webhook_messages (at, id, type, subject, account, body)"
        " SELECT at, 'msg_' || replace(gen_random_uuid()::text, '-', ''), type, subject, account, body"
        " FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[])"
        " AS told (at, type, subject, account, body)"
        " ON CONFLICT (type, subject) DO NOTHING RETURNING message_id",
        [
            [each.at for each in messages],
            [each.type.value for each in messages],
            [each.subject for each in messages],
            [each.account for each in messages],
            [each.body() for each in messages],
        ],
    )
    return [number for (number,) in rows]


def replay_message(connection: Connection, endpoint: str, message: str, at: datetime) -> State | None:
    """Begin one delivery anew, if it has ended; the state that it was in. None where there is no such delivery."""
    row = connection.execute(
        "SELECT state FROM webhook_deliveries JOIN webhook_endpoints USING (endpoint_id)"
        " JOIN webhook_messages USING (message_id) WHERE webhook_endpoints.id = %s AND webhook_messages.id = %s"
        " FOR UPDATE OF webhook_deliveries",
        [endpoint, message],
    ).fetchone()
    if row is None:
        return None
    connection.execute(
        "UPDATE webhook_deliveries SET state = 'pending', failures = 0, next_at = %s, ended_at = NULL,"
        " claimed_until = NULL"
        " WHERE state IN ('delivered', 'dead')"
        " AND endpoint_id = (SELECT endpoint_id FROM webhook_endpoints WHERE id = %s)"
        " AND message_id = (SELECT message_id FROM webhook_messages WHERE id = %s)",
        [at, endpoint, message],
    )
    return State(row[0])


def replay_between(
    connection: Connection, endpoint: str, since: datetime, until: datetime, at: datetime, *, delivered: bool
) -> int:
    """Begin anew what an endpoint wants of what was told within `[since, until)`: dead, and never tried there.

    With `delivered` also what it took. Gives how many.
    """
    again = [State.DEAD.value, *([State.DELIVERED.value] if delivered else [])]
    values = {"endpoint": endpoint, "since": since, "until": until, "at": at, "again": again}
    return connection.execute(_REPLAY, {**_CLOSED, **values}).rowcount


_CLOSED = {"operators": [each.value for each in OPERATORS], "unasked": [each.value for each in UNASKED]}

# Which endpoints want which messages: by type, and by the account, which is that of the endpoint or lies below it.
_WANTED = sql.SQL("""
WITH RECURSIVE asked AS (
    SELECT message_id, at, type, account FROM webhook_messages AS message WHERE {asked} AND type <> ALL(%(unasked)s)
), above (account, account_id, parent_id) AS (
    SELECT id, account_id, parent_id FROM accounts WHERE id IN (SELECT account FROM asked)
    UNION ALL
    SELECT above.account, accounts.account_id, accounts.parent_id
    FROM above JOIN accounts ON accounts.account_id = above.parent_id
), wanted AS (
    SELECT message_id, endpoint_id, at FROM asked JOIN webhook_endpoints AS endpoint
        ON (cardinality(types) = 0 OR type = ANY(types)) AND (endpoint.account_id IS NULL OR (
            type <> ALL(%(operators)s)
            AND (asked.account, endpoint.account_id) IN (SELECT account, account_id FROM above)))
    WHERE {endpoint}
)
{insert}
""")

_FAN_OUT = _WANTED.format(
    asked=sql.SQL("message_id = ANY(%(messages)s)"),
    endpoint=sql.SQL("disabled_at IS NULL"),
    insert=sql.SQL("""
        INSERT INTO webhook_deliveries (message_id, endpoint_id, state, next_at)
        SELECT message_id, endpoint_id, 'pending', at FROM wanted
    """),
)

_REPLAY = _WANTED.format(
    asked=sql.SQL("at >= %(since)s AND at < %(until)s"),
    endpoint=sql.SQL("endpoint.id = %(endpoint)s"),
    insert=sql.SQL("""
        INSERT INTO webhook_deliveries AS delivery (message_id, endpoint_id, state, next_at)
        SELECT message_id, endpoint_id, 'pending', %(at)s FROM wanted
        ON CONFLICT (endpoint_id, message_id) DO UPDATE
        SET state = 'pending', failures = 0, next_at = %(at)s, ended_at = NULL, claimed_until = NULL
        WHERE delivery.state = ANY(%(again)s)
    """),
)
