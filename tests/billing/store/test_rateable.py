"""Reading stored usage to rate it again: every event once, wherever it lies."""

from billing.store.engine import snapshot, transaction
from billing.store.partitions import pages_of
from billing.store.rateable import Selection, rated_usage
from tests.shop import OCTOBER, Shop, call, card

EVENTS = 150


def occurred(shop: Shop, which: Selection) -> list[list[int]]:
    """When the events occurred that are read, part by part."""
    with snapshot(shop.engine) as connection:
        return [some.usage.occurred_at.tolist() for some in rated_usage(connection, OCTOBER, which)]


def test_two_halves_of_the_pages_hold_each_event_once_also_those_that_were_rewritten(shop: Shop) -> None:
    shop.publish(card())
    shop.admit("acme", "bolt")
    times = [f"2026-10-{1 + n % 10:02}T10:{n // 10:02}:00Z" for n in range(EVENTS)]
    shop.post(*(call(n, occurred_at=at, account=("acme", "bolt")[n % 2]) for n, at in enumerate(times)))
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE events SET billed = billed WHERE occurred_at >= '2026-10-07'")
        assert 3 < pages_of(connection, OCTOBER.start)  # else a page that is in neither half would not be missed
    first, second = occurred(shop, Selection())
    assert EVENTS == len({*first, *second}) == len(first) + len(second)
    some = occurred(shop, Selection(account="bolt"))
    assert EVENTS // 2 == len({at for part in some for at in part}) == sum(map(len, some))


def test_a_month_without_a_partition_has_no_pages_and_no_usage(shop: Shop) -> None:
    with snapshot(shop.engine) as connection:
        assert 0 == pages_of(connection, OCTOBER.before().start)
        assert [] == list(rated_usage(connection, OCTOBER.before(), Selection()))
