"""Explaining: a line adds up from its events, an event says its row, its increments, its tiers and its arithmetic."""

import pytest

from billing.flows.compose import compose_statement
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_event, explain_line
from billing.flows.finalize import finalize
from billing.payers import SubjectMissingError
from tests.invoicing import CLOSED, card
from tests.shop import OCTOBER, SOURCE, Shop, call, products


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish(card())
    shop.admit("acme")


def post(shop: Shop, *seconds: int, to: str = "+447700900123") -> None:
    """Calls of so many seconds, one an hour."""
    calls = [
        call(number, duration_seconds=str(length), to=to, occurred_at=f"2026-10-02T{number:02}:00:00Z")
        for number, length in enumerate(seconds)
    ]
    shop.post(*calls, at=CLOSED)


def test_an_event_over_a_bound_says_where_its_counter_stood_and_what_lies_in_each_tier(shop: Shop) -> None:
    post(shop, 1170, 61)  # 19.5 minutes, then 61 seconds: 30 to the bound at 20 minutes and 31 beyond it
    found = explain_event(shop.engine, products(), SOURCE, "call-1")
    assert ("acme", "acme", "GB", 61, 61, "") == (
        *(found.account, found.payer, found.country),
        *(found.measured, found.billed, found.reason),
    )
    assert "61 -> first 1, then 60 × 1 -> 61 (1/1)" == found.increments
    first, second, setup = found.parts
    assert ("1", "19.5 minute", 30, "30 second ÷ 60 = 0.5 minute × 0.0217 = 0.01085") == (
        *(first.tier, first.position, first.base_quantity, first.arithmetic),
    )
    assert ("2", 31, "44") == (second.tier, second.base_quantity, second.matched)
    assert ("setup", "1 event × 0.005 = 0.005") == (setup.element, setup.arithmetic)
    assert ("list@2026-10-01T00:00:00Z", "United Kingdom") == (first.card, first.destination)
    lines = {part.line_no for part in found.parts}
    assert 3 == len(lines - {0})


def test_a_line_lists_its_events_in_order_a_page_at_a_time(shop: Shop) -> None:
    post(shop, 60, 60, 60)
    number = next(part.line_no for part in explain_event(shop.engine, products(), SOURCE, "call-0").parts)
    pages = [explain_line(shop.engine, products(), OCTOBER, "acme", number, first=first, size=2) for first in (0, 2)]
    assert ["call-0", "call-1", "call-2"] == [share.id for page in pages for share in page.page]
    assert all(page.adds_up and page.events == 3 and page.base_quantity == 180 for page in pages)
    assert "180 second ÷ 60 = 3 minute × 0.0217 = 0.0651, rounded 0.07 USD" == pages[0].arithmetic


def test_a_line_of_an_invoice_that_is_late_says_that_usage_has_changed(shop: Shop) -> None:
    post(shop, 60)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(shop.engine, OCTOBER, CLOSED)
    assert not explain_line(shop.engine, products(), OCTOBER, "acme", 1).outdated
    shop.post(call(9, to="+447700900123"), at=CLOSED)
    found = explain_line(shop.engine, products(), OCTOBER, "acme", 1)
    assert found.outdated
    assert not found.adds_up


def test_free_units_and_padding_are_on_lines_of_their_own_and_add_up(shop: Shop) -> None:
    post(shop, 170, 61, to="+33123456789")  # 174 and 66 seconds of 6/6: 180 free, 60 paid, a whole minute
    statement = compose_statement(shop.engine, products(), OCTOBER, OCTOBER.opens, "acme")
    assert [("free", 180), ("", 60)] == sorted(
        ((line.tier, line.base_quantity) for line in statement.lines), reverse=True
    )
    for number in range(1, len(statement.lines) + 1):
        assert explain_line(shop.engine, products(), OCTOBER, "acme", number).adds_up


def test_a_flat_has_no_events_and_needs_none(shop: Shop) -> None:
    post(shop, 1260)
    statement = compose_statement(shop.engine, products(), OCTOBER, OCTOBER.opens, "acme")
    number = next(n for n, line in enumerate(statement.lines, start=1) if line.element == "flat")
    found = explain_line(shop.engine, products(), OCTOBER, "acme", number)
    assert found.adds_up
    assert () == found.page


def test_an_event_that_bills_nothing_says_why_and_what_would_change_it(shop: Shop) -> None:
    shop.post(
        call(1, to="+81312345678"),
        call(2, status="busy"),
        call(3, account="nobody"),
        call(4, status="ringing"),
        at=CLOSED,
    )
    reasons = {n: explain_event(shop.engine, products(), SOURCE, f"call-{n}") for n in (1, 2, 3, 4)}
    assert ("no_rate", "publish a card with a rate for it") == (reasons[1].reason, reasons[1].remedy)
    assert ("status_not_billable", "") == (reasons[2].reason, reasons[2].remedy)
    assert ("unknown_account", "add the account", "") == (reasons[3].reason, reasons[3].remedy, reasons[3].payer)
    assert "pending" == reasons[4].reason
    assert [()] * 4 == [each.parts for each in reasons.values()]


def test_the_fee_of_a_failed_message_is_explained_although_its_usage_bills_nothing(shop: Shop) -> None:
    message = {**call(1, product="sms.outbound", segments="2", status="failed"), "duration_seconds": None}
    shop.post({key: value for key, value in message.items() if value is not None}, at=CLOSED)
    found = explain_event(shop.engine, products(), SOURCE, "call-1")
    assert [("failed_fee", "1 event × 0.001 = 0.001")] == [(part.element, part.arithmetic) for part in found.parts]
    assert explain_line(shop.engine, products(), OCTOBER, "acme", found.parts[0].line_no).adds_up


def test_what_is_not_there_is_said(shop: Shop) -> None:
    with pytest.raises(SubjectMissingError, match="no such event"):
        explain_event(shop.engine, products(), SOURCE, "call-1")
    with pytest.raises(SubjectMissingError, match="it has no lines"):
        explain_line(shop.engine, products(), OCTOBER, "acme", 1)
    with pytest.raises(SubjectMissingError, match="no billing account"):
        explain_line(shop.engine, products(), OCTOBER, "nobody", 1)
    post(shop, 60)
    with pytest.raises(SubjectMissingError, match="numbered 1 to 2"):
        explain_line(shop.engine, products(), OCTOBER, "acme", 3)


def test_a_statement_is_an_estimate_until_the_grace_is_over(shop: Shop) -> None:
    post(shop, 1170)
    early = compose_statement(shop.engine, products(), OCTOBER, OCTOBER.closes, "acme")
    late = compose_statement(shop.engine, products(), OCTOBER, CLOSED, "acme")
    assert (True, False) == (early.estimate, late.estimate)
    assert early.lines == late.lines
    (progress,) = late.progress
    assert ("voice", "19.5", "20", "0.5") == (
        *(progress.schedule, progress.position, progress.next_threshold, progress.to_go),
    )
