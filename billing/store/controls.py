"""Control totals in the store: what sources counted, in revisions that stay."""

from collections.abc import Sequence
from datetime import datetime

from billing.controls import Control
from billing.store.engine import Connection


def insert_controls(connection: Connection, controls: Sequence[Control], *, at: datetime, actor: str) -> int:
    """Add control totals as new revisions; those that say what the newest one says are left out. Gives how many."""
    connection.execute("LOCK TABLE usage_controls IN SHARE ROW EXCLUSIVE MODE")
    columns = [list(column) for column in zip(*((*each.key, *each.counted) for each in controls), strict=True)]
    return connection.execute(_INSERT, [at, actor, *columns]).rowcount if columns else 0


_INSERT = """
INSERT INTO usage_controls (at, actor, source, product, day, events, quantity, revision)
SELECT %s, %s, new.*, coalesce(last.revision, 0) + 1
FROM unnest(%s::text[], %s::text[], %s::date[], %s::bigint[], %s::bigint[])
    AS new (source, product, day, events, quantity)
LEFT JOIN LATERAL (
    SELECT revision, events, quantity FROM usage_controls AS old
    WHERE old.source = new.source AND old.product = new.product AND old.day = new.day ORDER BY revision DESC LIMIT 1
) AS last ON true
WHERE last.revision IS NULL OR (last.events, last.quantity) <> (new.events, new.quantity)
"""
