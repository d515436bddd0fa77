"""Pricing from the store: which unit is in which tier is decided by when usage occurred, not by how it came or lies."""

from datetime import UTC, datetime

import pytest

from billing.flows.draw_up import draw_up
from billing.flows.fold import fold
from billing.flows.ingest import Intake
from rates.cardfile import read_card
from tests.shop import OCTOBER, Shop, call, payloads, products

AT = datetime(2026, 10, 15, 12, tzinfo=UTC)

# One counter over both countries: the first minute of all costs 0.02 to Britain and 0.10 to France.
CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.all]
up_to = ["1"]
unit = "minute"
fill = [{product = "voice.outbound"}]
[[rate]]
product = "voice.outbound"
prefixes = ["44"]
unit = "minute"
increments = "1/1"
tiers = "all"
prices = ["0.02", "0.01"]
[[rate]]
product = "voice.outbound"
prefixes = ["33"]
unit = "minute"
increments = "1/1"
tiers = "all"
prices = ["0.10", "0.05"]
"""
BRITAIN, FRANCE = "+447700900123", "+33123456789"


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    card, faults = read_card(CARD, {}, products())
    assert card is not None, faults
    shop.publish(card)
    shop.admit("acme")


def report(shop: Shop, source: str, name: str, to: str, at: str) -> None:
    """A call of one minute, alone in its transaction."""
    event = call(1, id=name, to=to, occurred_at=f"2026-10-07T{at}Z", duration_seconds="60")
    Intake(engine=shop.engine, products=products(), source=source).ingest(payloads([event]), AT)


def lines(shop: Shop) -> list[tuple[object, ...]]:
    draw_up(shop.engine, products(), OCTOBER, OCTOBER.closes, write=True)
    return shop.rows("SELECT country, tier, events, base_quantity, amount_minor FROM draft_lines ORDER BY country")


# The row of Britain stands first on the card, and the calls to Britain come first: neither may decide.
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(
    ("britain", "france"),
    [
        (("switch", "a", "11:00:00"), ("switch", "b", "10:00:00")),
        (("z", "a", "10:00:00"), ("a", "b", "10:00:00")),
        (("switch", "a", "10:00:00"), ("switch", "B", "10:00:00")),
    ],
    ids=["earlier", "same instant, source before", "same instant and source, id before in bytes"],
)
def test_what_occurred_first_is_in_the_first_tier(
    shop: Shop, britain: tuple[str, str, str], france: tuple[str, str, str], *, folded: bool
) -> None:
    for to, (source, name, at) in ((BRITAIN, britain), (FRANCE, france)):
        report(shop, source, name, to, at)
    if folded:
        fold(shop.engine)
    assert [("FR", "1", 1, 60, 10), ("GB", "2", 1, 60, 1)] == lines(shop)
