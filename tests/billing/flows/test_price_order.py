"""Order: which unit is in which tier is decided by when usage occurred, not by how it came or lies in the store."""

from datetime import UTC, datetime

import pytest

from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_event, explain_line
from billing.flows.fold import fold
from billing.flows.ingest import Intake
from tests.shop import OCTOBER, Shop, call, payloads, products, tiered

AT = datetime(2026, 11, 2, tzinfo=UTC)

BRITAIN, FRANCE = "+447700900123", "+33123456789"


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    # One counter over both countries: the first minute of all costs 0.02 to Britain and 0.10 to France.
    shop.publish(tiered(("44", "0.02 0.01"), ("33", "0.10 0.05")))
    shop.admit("acme")


def report(shop: Shop, source: str, name: str, to: str, at: str, *, seconds: int = 60) -> None:
    """A call, alone in its transaction."""
    event = call(1, id=name, to=to, occurred_at=f"{at}Z", duration_seconds=str(seconds))
    Intake(engine=shop.engine, products=products(), source=source).ingest(payloads([event]), AT)


def lines(shop: Shop) -> list[tuple[object, ...]]:
    draw_up(shop.engine, products(), OCTOBER, OCTOBER.closes, write=True)
    return shop.rows("SELECT country, tier, events, base_quantity, amount_minor FROM draft_lines ORDER BY country")


# The row of Britain stands first on the card, and the calls to Britain come first: neither may decide.
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(
    ("britain", "france"),
    [
        (("switch", "a", "2026-10-07T11:00:00"), ("switch", "b", "2026-10-07T10:00:00")),
        (("z", "a", "2026-10-07T10:00:00"), ("a", "b", "2026-10-07T10:00:00")),
        (("switch", "a", "2026-10-07T10:00:00"), ("switch", "B", "2026-10-07T10:00:00")),
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
    told = [explain_event(shop.engine, products(), source, name) for source, name, _ in (france, britain)]
    assert [["1"], ["2"]] == [[part.tier for part in event.parts] for event in told]


def test_what_occurs_when_the_next_period_begins_is_on_no_line_of_this_one(shop: Shop) -> None:
    report(shop, "switch", "a", BRITAIN, "2026-10-31T23:59:59.999999", seconds=30)
    report(shop, "switch", "b", BRITAIN, "2026-11-01T00:00:00", seconds=30)
    assert [("GB", "1", 1, 30, 1)] == lines(shop)
    for period, name in ((OCTOBER, "a"), (OCTOBER.next(), "b")):
        found = explain_line(shop.engine, products(), period, "acme", 1)
        assert ([name], True) == ([share.id for share in found.page], found.adds_up)
