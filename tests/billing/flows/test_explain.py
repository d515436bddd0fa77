"""Explaining: a line adds up from its events, an event says its row, its increments, its tiers and its arithmetic."""

from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from billing.explanations import LineExplanation
from billing.flows.compose import compose_statement
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_event, explain_line
from billing.flows.finalize import finalize
from billing.flows.ingest import Intake
from billing.flows.limits import Limits
from billing.flows.release import release
from billing.payers import SubjectMissingError
from billing.store.engine import snapshot, transaction
from billing.store.queries.invoices import all_invoices
from billing.store.ratebooks import lock_books
from billing.store.usage import write_batch
from tests.invoicing import CLOSED, card
from tests.shop import OCTOBER, SOURCE, Shop, call, payloads, products
from tests.shop import card as shop_card


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
    assert 3 == len(lines - {None})


def test_what_is_known_of_accounts_and_cards_holds_no_longer_than_it_is_so(shop: Shop) -> None:
    with snapshot(shop.engine) as connection:
        known = Limits.read(connection, products())
    shop.publish(shop_card("voice.outbound,49,minute,60/60,0.05", id_="other"), at=CLOSED)
    shop.admit("later", cards=("other",))
    shop.post(call(1, account="later", to="+4930123456"), at=CLOSED)
    plain = explain_event(shop.engine, products(), SOURCE, "call-1")
    assert ("later", ["0.1"]) == (plain.payer, [part.exact_amount for part in plain.parts])
    assert plain == explain_event(shop.engine, products(), SOURCE, "call-1", known=known)
    line = explain_line(shop.engine, products(), OCTOBER, "later", 1, known=known)
    assert explain_line(shop.engine, products(), OCTOBER, "later", 1) == line


def test_a_line_lists_its_events_in_order_a_page_at_a_time(shop: Shop) -> None:
    post(shop, 60, 60, 60)
    number = explain_event(shop.engine, products(), SOURCE, "call-0").parts[0].line_no
    assert number is not None
    pages = [explain_line(shop.engine, products(), OCTOBER, "acme", number, first=first, size=2) for first in (0, 2)]
    assert ["call-0", "call-1", "call-2"] == [share.id for page in pages for share in page.page]
    assert all(page.adds_up and page.events == 3 and page.base_quantity == 180 for page in pages)
    assert "180 second ÷ 60 = 3 minute × 0.0217 = 0.0651, rounded 0.07 USD" == pages[0].arithmetic


def issue(shop: Shop) -> None:
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(shop.engine, OCTOBER, CLOSED)


def explained(shop: Shop) -> list[LineExplanation]:
    """All lines of acme's October."""
    statement = compose_statement(shop.engine, products(), OCTOBER, CLOSED, "acme")
    with snapshot(shop.engine) as connection:
        stored = [i for final in (True, False) for i in all_invoices(connection, OCTOBER, final=final)]
    lines = stored[0].lines if stored else statement.lines
    return [explain_line(shop.engine, products(), OCTOBER, "acme", n) for n in range(1, len(lines) + 1)]


def on_lines(shop: Shop) -> set[str]:
    """The events that acme's October lists, after all of its lines add up."""
    found = explained(shop)
    assert [True] * len(found) == [line.adds_up for line in found]
    return {share.id for line in found for share in line.page}


def test_an_invoice_lists_the_events_that_were_billed_and_none_that_came_later(shop: Shop) -> None:
    post(shop, 1170, 61)  # the second one crosses into the second tier
    issue(shop)
    before = explained(shop)
    assert {0} == {line.later for line in before}
    shop.post(
        call(8, occurred_at="2026-10-01T00:00:00Z", duration_seconds="600"),  # would move all others to the second tier
        call(9, to="+33123456789"),
        call(10, status="busy"),  # nothing of it is priced
        at=CLOSED,
    )
    assert {"call-0", "call-1"} == on_lines(shop)
    assert [replace(line, later=2) for line in before] == explained(shop)


def test_a_batch_that_was_under_way_when_the_invoice_was_drawn_up_is_not_on_it(shop: Shop) -> None:
    """It has the lower number, and is written later: no order of numbers tells what was billed."""
    post(shop, 60)
    slow = Intake(engine=shop.engine, products=products(), source=SOURCE)
    prepared = slow.prepare(payloads([call(7)]), CLOSED)
    shop.post(call(8), at=CLOSED)
    with transaction(shop.engine) as writing:  # written, and not committed yet
        lock_books(writing, exclusive=False)
        write_batch(writing, prepared.batch)
        issue(shop)
    assert {"call-0", "call-8"} == on_lines(shop)
    assert {1} == {line.later for line in explained(shop)}


def test_a_batch_cannot_be_written_in_two_parts(shop: Shop) -> None:
    """Else an invoice could be of one part of it, and its events be told by the whole."""
    slow = Intake(engine=shop.engine, products=products(), source=SOURCE)
    first, other = slow.prepare(payloads([call(1)]), CLOSED), slow.prepare(payloads([call(2)]), CLOSED)
    slow.write(first, CLOSED)
    for again in (first, other._replace(batch=replace(other.batch, number=first.batch.number))):
        with pytest.raises(psycopg.errors.UniqueViolation):
            slow.write(again, CLOSED)
    assert [("call-1",)] == shop.rows("SELECT id FROM events")


def test_what_leaves_the_quarantine_later_is_not_on_the_invoice(shop: Shop) -> None:
    post(shop, 60)
    shop.post(call(5, to="+81312345678"), at=CLOSED)
    issue(shop)
    japan = shop_card("voice.outbound,81,minute,60/60,0.05", id_="japan")
    shop.publish(japan, at=CLOSED)
    with transaction(shop.engine) as changing:
        changing.execute("UPDATE contracts SET cards = '{list,japan}'")
        changing.execute("UPDATE book_version SET version = version + 1")
    release(shop.engine, products(), at=CLOSED, actor="finance")
    assert {"call-0"} == on_lines(shop)
    assert {1} == {line.later for line in explained(shop)}
    late = explain_event(shop.engine, products(), SOURCE, "call-5")
    assert ("", "INV-000001", True, [None]) == (
        late.invoice,
        late.missed,
        late.late,
        [part.line_no for part in late.parts],
    )
    billed = explain_event(shop.engine, products(), SOURCE, "call-0")
    assert ("INV-000001", False) == (billed.invoice, billed.late)
    assert all(part.line_no for part in billed.parts)


def test_a_draft_lists_what_it_was_drawn_of_until_it_is_drawn_again(shop: Shop) -> None:
    post(shop, 60)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    shop.post(call(9), at=CLOSED)
    assert {"call-0"} == on_lines(shop)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    assert {"call-0", "call-9"} == on_lines(shop)
    assert {0} == {line.later for line in explained(shop)}


def test_each_event_on_a_line_says_when_it_was_and_between_whom(shop: Shop) -> None:
    shop.post(call(1, **{"from": "+14155550123"}), at=CLOSED)
    share = explained(shop)[0].page[0]
    assert (datetime(2026, 10, 2, 10, 11, 12, tzinfo=UTC), "+14155550123", "+447700900123") == (
        share.occurred_at,
        share.from_,
        share.to,
    )


def test_a_rate_is_named_as_a_person_finds_it(shop: Shop) -> None:
    """The second `[[rate]]` table is row 2; the second line of a CSV file, its header being the first, is line 2."""
    post(shop, 60)
    tables = explain_event(shop.engine, products(), SOURCE, "call-0")
    assert {"row 2"} == {part.row for part in tables.parts}
    shop.publish(shop_card(id_="csv"), at=CLOSED)
    shop.admit("csv", cards=("csv",))
    shop.post(call(5, account="csv"), at=CLOSED)
    (part,) = explain_event(shop.engine, products(), SOURCE, "call-5").parts
    assert "line 2" == part.row


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
    number = found.parts[0].line_no
    assert number is not None
    assert explain_line(shop.engine, products(), OCTOBER, "acme", number).adds_up


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
