"""How a page of events is read: by the index of a payer's events in time, however many there are."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import sql

from billing.store.engine import Engine, snapshot, transaction
from billing.store.queries.recent import Place, Wanted, recent_events
from tests.shop import Shop, call

EVENTS = 20_000
SINCE, UNTIL = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)

_STOCK = """
    INSERT INTO events (occurred_at, received_at, batch, measured, billed, rate_id, price_id, payer_id, account_id,
        source_id, revision, product_id, reason, id, country)
    SELECT occurred_at + n * interval '100 seconds', received_at, batch, measured, billed, rate_id, price_id,
        1 + n %% 2, 1 + n %% 2, source_id, revision, product_id, reason, 'n' || n, country
    FROM events, generate_series(1, %s) AS n
"""


class Explaining:
    """A connection whose queries are explained before they are run; `plans` are what was said."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 (any connection)
        self.connection, self.plans = connection, list[str]()

    def execute(self, query: sql.Composed, values: object = None) -> Any:  # noqa: ANN401
        """Explain a query, and run it."""
        rows = self.connection.execute(sql.SQL("EXPLAIN (ANALYZE) ") + query, values)
        self.plans.append("\n".join(line for (line,) in rows))
        return self.connection.execute(query, values)


@contextmanager
def explaining(engine: Engine) -> Iterator[Explaining]:
    with snapshot(engine) as connection:
        yield Explaining(connection)


@pytest.fixture
def full(shop: Shop) -> Engine:
    """Two payers with 10,000 events each."""
    shop.publish()
    shop.admit("acme", "zen")
    shop.post(call(1, occurred_at="2026-10-01T00:00:00Z"))
    with transaction(shop.engine) as connection:
        connection.execute(_STOCK, [EVENTS])
        connection.execute("ANALYZE events")
    return shop.engine


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("payer", [1, None])
def test_a_page_in_the_middle_is_read_by_the_index_alone(
    full: Engine, payer: int | None, *, newest_first: bool
) -> None:
    wanted = Wanted(SINCE, UNTIL, payer=payer, root="acme" if payer else "")
    middle = Place(datetime(2026, 10, 12, tzinfo=UTC), 1, "")
    with explaining(full) as connection:
        found = recent_events(connection, wanted, after=middle, newest_first=newest_first, limit=10)  # type: ignore[arg-type]
    (plan,) = connection.plans
    assert 10 == len(found)
    assert "events_2026_10_payer_id_occurred_at_idx" in plan
    assert "Seq Scan on events" not in plan
    read = [int(float(line.split("rows=")[2].split()[0])) for line in plan.splitlines() if "payer_id_occurred" in line]
    assert max(read) < 100, plan


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_of_more_payers_than_a_page_has_events_those_count_whose_events_come_first(
    shop: Shop, limit: int, *, newest_first: bool
) -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    shop.publish()
    shop.admit(*names)
    days = {"a": (3, 9), "b": (5,), "c": (9, 2), "d": (1,), "e": (9,), "f": (4, 6)}
    calls = [(day, name) for name, some in days.items() for day in some]
    shop.post(
        *(call(0, id=f"{name}{day}", account=name, occurred_at=f"2026-10-0{day}T00:00:00Z") for day, name in calls)
    )
    place, found = None, list[str]()
    with snapshot(shop.engine) as connection:
        for _ in range(len(calls) + 1):
            wanted = Wanted(SINCE, UNTIL)
            page = recent_events(connection, wanted, after=place, newest_first=newest_first, limit=limit)
            if not page:
                break
            found += [each.id for each in page]
            place = page[-1].place
    expected = [f"{name}{day}" for day, name in sorted(calls, reverse=newest_first)]
    assert expected == found
