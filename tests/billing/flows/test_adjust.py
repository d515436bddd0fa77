"""What came late for a month that is issued is billed by the next run, as lines or as a credit note."""

from datetime import UTC, datetime

import pytest

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.invoices import Invoice, Kind
from billing.periods import Period
from billing.runs import GRACE, Run
from billing.store.engine import snapshot
from billing.store.queries.invoices import all_invoices
from rates.money import format_minor
from tests.shop import OCTOBER, Shop, call, products

NOVEMBER = Period.parse("2026-11")
DECEMBER = Period.parse("2026-12")


def closed(period: Period) -> datetime:
    return period.closes + GRACE


def run(shop: Shop, period: Period, late_limit: int = 3) -> Run:
    return draw_up(shop.engine, products(), period, closed(period), write=True, late_limit=late_limit)


def issue(shop: Shop, period: Period) -> list[Invoice]:
    run(shop, period)
    finalize(shop.engine, period, closed(period))
    return documents(shop, period)


def documents(shop: Shop, period: Period, *, final: bool = True) -> list[Invoice]:
    with snapshot(shop.engine) as connection:
        return [each for kind in Kind for each in all_invoices(connection, period, final=final, kind=kind)]


def said(invoices: list[Invoice]) -> list[tuple[str, ...]]:
    """Number, total, and month and amount of each line."""
    found = []
    for each in invoices:
        lines = (f"{line.origin_period} {line.events} {line.base_quantity} {line.amount_minor}" for line in each.lines)
        found.append((each.number, format_minor(each.total_minor, each.party.currency), *lines))
    return found


@pytest.fixture
def october(shop: Shop) -> Shop:
    """One call of two minutes to Britain, at 0.02, is issued for October."""
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    assert [("INV-000001", "0.04", "2026-10 1 120 4")] == said(issue(shop, OCTOBER))
    return shop


LATE = datetime(2026, 12, 3, tzinfo=UTC)


def test_a_late_call_is_a_line_of_its_month_on_the_next_invoice(october: Shop) -> None:
    october.post(call(2), call(3, occurred_at="2026-11-02T00:00:00Z"), at=LATE)
    drawn = run(october, NOVEMBER)
    assert (1, 8, (("2026-10", 4),)) == tuple(
        getattr(drawn.outcomes[0], name) for name in ("lines", "total_minor", "adjusts")
    ) or drawn.outcomes[0].lines == 2
    assert [("INV-000002", "0.08", "2026-11 1 120 4", "2026-10 1 120 4")] == said(issue(october, NOVEMBER))


def test_a_month_without_usage_has_an_invoice_of_what_came_late(october: Shop) -> None:
    october.post(call(2), at=LATE)
    assert [("INV-000002", "0.04", "2026-10 1 120 4")] == said(issue(october, NOVEMBER))
    assert [] == said(issue(october, DECEMBER))
