"""A look-up of several packages is as many events, also on a day that is read in order for a counter that crosses."""

import pytest

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.verify import verify
from cli.world import product_tables
from tests.invoicing import CLOSED
from tests.shop import OCTOBER, Shop, products, read

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.lookups]
up_to = ["3"]
unit = "request"
fill = [{product = "lookup"}]
[[rate]]
product = "lookup"
unit = "request"
tiers = "lookups"
prices = ["1.00", "0.10"]
"""


@pytest.fixture
def month(shop: Shop) -> Shop:
    """Three look-ups of two packages each: the counter crosses its bound within the second."""
    shop.publish(read(CARD))
    shop.admit("acme")
    facts = {"account": "acme", "product": "lookup", "to": "+447700900123", "packages": ["caller_name", "sim_swap"]}
    shop.post(*({"id": f"l{n}", "occurred_at": f"2026-10-02T0{n}:00:00Z", **facts} for n in range(3)))
    return shop


def test_packages_are_billed_on_a_day_that_crosses_a_bound(month: Shop) -> None:
    run = draw_up(month.engine, products(), OCTOBER, CLOSED, write=True)
    assert [("acme", 330, "")] == [(each.account, each.total_minor, each.reason) for each in run.outcomes]
    assert 1 == finalize(month.engine, OCTOBER, CLOSED).issued
    found = verify(month.engine, products(), product_tables(), OCTOBER)
    assert ((), 3) == (found.disagreements, found.events)
