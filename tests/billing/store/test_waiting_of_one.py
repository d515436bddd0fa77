"""What waits for one account is read without reading what waits for others."""

from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from billing.periods import Period
from billing.store.engine import snapshot, transaction
from billing.store.queries.pricing import quarantined_events
from tests.shop import Shop

OCTOBER = Period.parse("2026-10")

_WAITING = """
    INSERT INTO quarantine (occurred_at, received_at, batch, measured, source_id, revision, reason, id, account,
        product)
    SELECT %(at)s, %(at)s, 1, 60, 1, 1, 2, 'n' || n, CASE WHEN n <= 3 THEN 'acme' ELSE 'other-' || n %% 100 END, 'voice'
    FROM generate_series(1, 20000) AS n
"""


class Explaining:
    """A connection that explains a query before it is run."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 (any connection)
        self.connection, self.plan = connection, ""

    def execute(self, query: str, values: object) -> Any:  # noqa: ANN401
        """Explain a query, and run it."""
        rows = self.connection.execute(sql.SQL("EXPLAIN (ANALYZE) ") + sql.SQL(query), values)
        self.plan = "\n".join(line for (line,) in rows)
        return self.connection.execute(query, values)


def test_what_waits_for_one_account_is_read_by_the_index_alone(shop: Shop) -> None:
    with transaction(shop.engine) as connection:
        connection.execute(_WAITING, {"at": datetime(2026, 10, 2, tzinfo=UTC)})
        connection.execute("ANALYZE quarantine")
    with snapshot(shop.engine) as connection:
        explaining = Explaining(connection)
        found = quarantined_events(explaining, OCTOBER, ["acme"])  # type: ignore[arg-type]
    assert 3 == sum(found.values())
    assert "quarantine_account_occurred_at_idx" in explaining.plan
    assert "Seq Scan on quarantine" not in explaining.plan
