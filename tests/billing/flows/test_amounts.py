"""Schedules that count money, in the store: crossing days, explanations of what a bound cuts, statements."""

import tomllib
from pathlib import Path

import pytest

from billing.flows.compose import compose_statement
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_event, explain_line
from billing.flows.verify import verify
from tests.invoicing import CLOSED
from tests.shop import CATALOGUE, OCTOBER, SOURCE, Shop, call, products, read

TABLES = [tomllib.loads(Path(path).read_text()) for path in sorted(CATALOGUE.glob("*.toml"))]
CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.spend]
measure = "amount"
up_to = ["1"]
fill = [{product = "sms.outbound"}]
[[rate]]
product = "sms.outbound"
unit = "segment"
tiers = "spend"
prices = ["0.3", "0.1"]
"""


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    """Two days of messages at 0.30: the fourth one crosses 1.00, and is reported before those of the day before."""
    shop.publish(read(CARD))
    shop.admit("acme")
    shop.post(message(3, 5, segments="3"), message(1, 3, segments="2"), message(2, 5, segments="1"), at=CLOSED)


def message(number: int, day: int, *, segments: str) -> dict[str, object]:
    at = f"2026-10-{day:02}T{number:02}:00:00Z"
    event = call(number, product="sms.outbound", to="+447700900123", status="delivered", occurred_at=at)
    return {key: value for key, value in event.items() if key != "duration_seconds"} | {"segments": segments}


def test_a_month_by_amount_is_drawn_up_and_verified(shop: Shop) -> None:
    """1.00 at list is 3 1/3 messages; 2 2/3 at 0.10 are 0.26 2/3."""
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True, actor="finance")
    statement = compose_statement(shop.engine, products(), OCTOBER, CLOSED, "acme")
    found = [(line.tier, line.events, line.base_quantity, line.amount_minor) for line in statement.lines]
    assert [("1", 3, 4, 100), ("2", 0, 2, 27)] == found
    assert () == verify(shop.engine, products(), TABLES, OCTOBER).disagreements


def test_the_event_that_a_bound_of_money_cuts_says_what_lies_in_each_tier(shop: Shop) -> None:
    found = explain_event(shop.engine, products(), SOURCE, "call-3")
    assert [
        ("1", "0.9 USD", 1, "1 segment × 0.3, and -0.2 of a unit that a bound cuts = 0.1"),
        ("2", "0.9 USD", 2, "2 segment × 0.1, and 1/15 of a unit that a bound cuts = 4/15"),
    ] == [(part.tier, part.position, part.base_quantity, part.arithmetic) for part in found.parts]
    assert ["0.1", "4/15"] == [part.exact_amount for part in found.parts]


def test_a_line_by_amount_adds_up_from_its_events(shop: Shop) -> None:
    first, second = (explain_line(shop.engine, products(), OCTOBER, "acme", number) for number in (1, 2))
    assert first.adds_up
    assert second.adds_up
    assert [("call-1", "0.6"), ("call-2", "0.3"), ("call-3", "0.1")] == [(e.id, e.exact_amount) for e in first.page]
    assert "4 segment × 0.3, and -0.2 of units that a bound of money cuts = 1, rounded 1.00 USD" == first.arithmetic
    assert [("call-3", "4/15")] == [(each.id, each.exact_amount) for each in second.page]
    assert "-1/300" == str(second.line.residual)


def test_a_statement_says_how_much_money_is_to_go(shop: Shop) -> None:
    shop.admit("other")
    shop.post(message(7, 6, segments="2") | {"account": "other"}, at=CLOSED)
    (found,) = compose_statement(shop.engine, products(), OCTOBER, CLOSED, "other").progress
    assert ("USD", "0.6", "1", "0.4") == (found.unit, found.position, found.next_threshold, found.to_go)
