"""A statement says what is on no line: what waits in quarantine, and what came after an invoice."""

import pytest

from billing.flows.compose import compose_statement
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.publish import add_accounts
from billing.statements import Statement
from tests.invoicing import CLOSED, card
from tests.shop import AT, OCTOBER, Shop, account, call, products

NOWHERE = "+81312345678"


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish(card())
    shop.admit("acme", "other")
    below = [account("acme-fr", parent="acme", pays=False), account("acme-de", parent="acme")]
    add_accounts(shop.engine, below, at=AT, actor="finance")


def stated(shop: Shop) -> Statement:
    return compose_statement(shop.engine, products(), OCTOBER, CLOSED, "acme")


def test_it_counts_what_waits_of_the_accounts_that_it_pays_for_in_its_period(shop: Shop) -> None:
    assert {} == stated(shop).waiting
    shop.post(
        call(1, to=NOWHERE),
        call(2, to=NOWHERE, account="acme-fr"),
        call(4, to=NOWHERE, account="acme-de"),  # pays for itself
        call(5, to=NOWHERE, account="other"),
        call(6, to=NOWHERE, account="nobody"),
        call(7, to=NOWHERE, occurred_at="2026-09-30T23:59:59Z"),
        at=CLOSED,
    )
    assert {"no_rate": 2} == stated(shop).waiting


def test_before_an_invoice_is_issued_nothing_is_after_it(shop: Shop) -> None:
    shop.post(call(1), at=CLOSED)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    found = stated(shop)
    assert ((), 0, (), 0) == (found.invoices, found.later, found.unbilled, found.unbilled_minor)


def test_it_names_the_invoice_and_what_of_the_usage_came_after_it(shop: Shop) -> None:
    shop.post(call(1, duration_seconds="1200"), at=CLOSED)  # 20 minutes at 0.0217: the first tier is full
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(shop.engine, OCTOBER, CLOSED)
    before = stated(shop)
    assert (["INV-000001"], 0, ()) == ([each.number for each in before.invoices], before.later, before.unbilled)
    # Earlier, and a minute: the last minute of the call that was billed goes up to the second tier, with its flat.
    shop.post(call(2, duration_seconds="60", occurred_at="2026-10-01T00:00:00Z"), call(3, status="busy"), at=CLOSED)
    found = stated(shop)
    assert 1 == found.later
    assert found.total_minor - found.invoices[0].total_minor == found.unbilled_minor
    moved = {(line.element, line.tier): (line.events, line.base_quantity) for line in found.unbilled}
    assert {("flat", "2"): (0, 1), ("setup", ""): (1, 1), ("usage", "1"): (1, 0), ("usage", "2"): (0, 60)} == moved
