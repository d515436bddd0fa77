"""The audit log: what was done to the books, by whom and why. Rows are added and never changed."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from billing.store.engine import Connection


def record(
    connection: Connection, *, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, object]
) -> None:
    """Add an entry, in the same transaction as what it is about."""
    connection.execute(
        "INSERT INTO audit_log (at, actor, action, subject, details) VALUES (%s, %s, %s, %s, %s)",
        [at, actor, action, subject, json.dumps(details)],
    )


def record_each(connection: Connection, *, at: datetime, actor: str, action: str, subjects: Sequence[str]) -> None:
    """Add an entry for each of many subjects."""
    connection.execute(
        "INSERT INTO audit_log (at, actor, action, subject, details) SELECT %s, %s, %s, subject, '{}'"
        " FROM unnest(%s::text[]) AS subject",
        [at, actor, action, list(subjects)],
    )
