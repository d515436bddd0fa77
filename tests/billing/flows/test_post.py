"""What is due of charges becomes usage, once; charges are added and ended, never edited."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import psycopg
import pytest

from billing.accounts import Suspension
from billing.charges import (
    SOURCE,
    Charge,
    ChargeMissingError,
    ChargePostedError,
    ChargesUnpostedError,
    SourceReservedError,
)
from billing.errors import InputFaultyError, PublicationConflictError
from billing.flows.charge import Added, add_charges, end_charge
from billing.flows.close import Rules, close
from billing.flows.draw_up import draw_up
from billing.flows.ingest import Intake, import_usage
from billing.flows.post import post_charges, unposted
from billing.flows.publish import add_accounts
from billing.flows.rehearse import rehearse_usage
from billing.flows.verify import verify
from billing.receipts import Outcome
from billing.runs import DEFAULT_RULES, GRACE
from billing.store.charges import lock_charges, read_charges
from billing.store.engine import snapshot, transaction
from cli.world import product_tables
from tests.charging import card, charge
from tests.shop import AT, OCTOBER, Shop, account, call, outcomes, payloads, products

CLOSED = OCTOBER.closes + GRACE
NOTHING = dict.fromkeys(Outcome, 0)


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}T09:00:00+00:00")


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish(card())
    shop.admit("acme", since=date(2025, 1, 1))


def add(shop: Shop, *charges: Charge) -> Added:
    return add_charges(shop.engine, charges, at=AT, actor="finance")


def post(shop: Shop, until: datetime = AT, at: datetime | None = None) -> dict[str, int]:
    """Post, and say what came of it, without what came to nothing."""
    found = post_charges(shop.engine, products(), at=at or until, until=until)
    return {str(outcome): count for outcome, count in found.items() if count}


def events(shop: Shop) -> list[tuple[object, ...]]:
    asked = "SELECT id, to_char(occurred_at, 'MM-DD') FROM event_identity ORDER BY id"
    return shop.rows(asked)


def end(shop: Shop, ends: str, charge_id: str = "num-1") -> tuple[Charge, bool]:
    return end_charge(shop.engine, charge_id, day(ends), at=AT, actor="finance")


def suspend(shop: Shop, *told: Suspension) -> None:
    add_accounts(shop.engine, [account("acme", suspended=told)], at=AT, actor="finance")


def test_what_is_due_is_posted_once_as_ordinary_usage(shop: Shop) -> None:
    add(shop, charge())
    assert {"accepted": 2} == post(shop)
    assert [("num-1/1", "08-31"), ("num-1/2", "09-30")] == events(shop)
    assert {} == post(shop)
    assert {"accepted": 1} == post(shop, day("2026-10-30"))
    found = shop.rows("SELECT sources.id, measured, country, reason FROM events JOIN sources USING (source_id)")
    assert [(SOURCE, 1, "US", 0)] * 3 == found


def test_an_outage_of_months_is_made_up_for_at_once(shop: Shop) -> None:
    add(shop, charge(effective_from="2026-01-31T09:00:00Z"), charge("num-2", effective_from="2026-03-01T09:00:00Z"))
    assert {"accepted": 9 + 8} == post(shop)


def test_what_is_older_than_usage_may_be_waits_and_is_posted_once_all_the_same(shop: Shop) -> None:
    add(shop, charge(effective_from="2025-08-31T09:00:00Z", every="year"))
    assert {"accepted": 1, "quarantined": 1} == post(shop, day("2026-10-15"))
    assert {} == post(shop, day("2026-10-15"))


def test_nothing_is_posted_ahead_of_the_clock(shop: Shop) -> None:
    add(shop, charge())
    assert {"accepted": 1} == post(shop, until=day("2026-10-15"), at=day("2026-09-15"))


def test_a_charge_that_nothing_prices_waits_as_any_usage_does(shop: Shop) -> None:
    add(shop, charge(dimensions={"country": "GB", "number_type": "local"}))
    assert {"quarantined": 2} == post(shop)
    assert {} == post(shop)


def test_a_rehearsal_stores_nothing(shop: Shop) -> None:
    add(shop, charge())
    found = post_charges(shop.engine, products(), at=AT, dry_run=True)
    assert {**NOTHING, Outcome.ACCEPTED: 2} == found
    assert [] == events(shop)


def test_gaps_among_what_was_posted_are_filled_and_nothing_is_repeated(shop: Shop) -> None:
    """Identity decides: what is there is asked for one by one, wherever it is."""
    add(shop, charge("a/1", effective_from="2026-05-31T09:00:00Z"), charge("a", effective_from="2026-05-31T09:00:00Z"))
    assert {"accepted": 10} == post(shop)
    with transaction(shop.engine) as connection:
        connection.execute("DELETE FROM event_identity WHERE id IN ('a/1/2', 'a/3', 'a/5')")
        connection.execute("DELETE FROM events WHERE id IN ('a/1/2', 'a/3', 'a/5')")
    assert 3 == unposted(shop.engine, AT)
    assert {"accepted": 3} == post(shop)
    assert 0 == unposted(shop.engine, AT)


def test_many_charges_are_posted_in_few_transactions(shop: Shop) -> None:
    add(shop, *(charge(f"num-{n}") for n in range(250)))
    post_charges(shop.engine, products(), at=AT, dues_at_once=100)
    assert [(5, 500)] == shop.rows("SELECT count(DISTINCT batch), count(*) FROM events")


def test_while_an_account_is_suspended_nothing_is_posted_and_all_of_it_when_it_is_reactivated(shop: Shop) -> None:
    add(shop, charge(effective_from="2026-07-31T09:00:00Z"))
    suspend(shop, Suspension(day("2026-08-15")))
    assert {"accepted": 1} == post(shop)
    assert 0 == unposted(shop.engine, AT)
    suspend(shop, Suspension(day("2026-08-15"), day("2026-10-10")))
    assert {"accepted": 2} == post(shop)
    assert [("num-1/1", "07-31"), ("num-1/2", "10-10"), ("num-1/3", "10-10")] == events(shop)
    assert {"accepted": 1} == post(shop, day("2026-10-30"))


def test_what_was_posted_before_a_suspension_was_known_stays(shop: Shop) -> None:
    add(shop, charge())
    post(shop)
    suspend(shop, Suspension(day("2026-09-15"), day("2026-10-10")))
    assert {} == post(shop)
    assert [("num-1/1", "08-31"), ("num-1/2", "09-30")] == events(shop)
    suspend(shop, Suspension(day("2026-09-15"), day("2026-10-10")), Suspension(day("2026-10-12")))
    assert {} == post(shop, day("2026-11-15"))


def test_a_suspension_that_was_told_is_not_taken_back(shop: Shop) -> None:
    suspend(shop, Suspension(day("2026-08-15")))
    with pytest.raises(InputFaultyError, match="leaves out that it was suspended from 2026-08-15"):
        suspend(shop)


def test_ordinary_usage_of_a_suspended_account_is_rated(shop: Shop) -> None:
    suspend(shop, Suspension(day("2026-08-15")))
    event = {"id": "n", "account": "acme", "product": "number.monthly", "occurred_at": "2026-10-02T00:00:00Z"}
    event |= {"quantity": "1", "country": "US", "number_type": "local"}
    assert ["accepted"] == outcomes(shop.post(event))


def test_a_charge_ends_before_its_next_term(shop: Shop) -> None:
    add(shop, charge())
    found, changed = end(shop, "2026-09-30")
    assert (True, day("2026-09-30")) == (changed, found.effective_to)
    assert {"accepted": 1} == post(shop)
    assert not end(shop, "2026-10-30")[1], "it ends sooner already"
    assert [("finance", "add"), ("finance", "end")] == shop.rows(
        "SELECT actor, action FROM audit_log WHERE subject = 'charge num-1' ORDER BY entry"
    )


def test_a_charge_does_not_end_before_a_term_that_was_posted(shop: Shop) -> None:
    add(shop, charge())
    post(shop)
    with pytest.raises(ChargePostedError, match=r"its term 2 from 2026-09-30T09:00:00Z was posted"):
        end(shop, "2026-09-30")
    assert end(shop, "2026-10-01")[1]
    assert {} == post(shop, day("2026-12-31"))


def test_nobody_ends_a_charge_or_suspends_an_account_while_something_is_posted(shop: Shop) -> None:
    """Or a term would be posted that was not to be charged any more, by a poster that had read the charge before."""
    add(shop, charge())
    with ThreadPoolExecutor(2) as threads:
        with transaction(shop.engine) as posting:
            lock_charges(posting, exclusive=False)
            assert {"accepted": 2} == post(shop), "another poster is not in the way"
            ending = threads.submit(end, shop, "2026-11-15")
            suspending = threads.submit(suspend, shop, Suspension(day("2026-11-20")))
            time.sleep(0.3)
            assert (False, False) == (ending.done(), suspending.done())
        assert ending.result(10)[1]
        suspending.result(10)


def test_a_charge_may_end_sooner_than_was_said(shop: Shop) -> None:
    add(shop, charge(effective_to="2026-12-31T00:00:00Z"))
    end(shop, "2026-11-15")
    end(shop, "2026-10-15")
    with snapshot(shop.engine) as connection:
        assert [day("2026-10-15")] == [each.effective_to for each in read_charges(connection)]


def test_what_is_no_charge_does_not_end(shop: Shop) -> None:
    with pytest.raises(ChargeMissingError, match="num-9"):
        end(shop, "2026-10-15", "num-9")


def test_the_same_charge_again_changes_nothing_also_when_it_has_ended(shop: Shop) -> None:
    assert Added(added=1, known=0) == add(shop, charge())
    assert Added(added=0, known=1) == add(shop, charge())
    end(shop, "2026-10-15")
    assert Added(added=1, known=1) == add(shop, charge(), charge("num-2"), charge("num-2"))


@pytest.mark.parametrize("changes", [{"quantity": 2}, {"effective_to": "2026-12-31T00:00:00Z"}, {"drift": False}])
def test_a_charge_is_not_edited(shop: Shop, changes: dict[str, Any]) -> None:
    add(shop, charge())
    with pytest.raises(PublicationConflictError, match="another charge has this id"):
        add(shop, charge(**changes))
    with pytest.raises(InputFaultyError, match="given twice, and differs"):
        add(shop, charge("num-2"), charge("num-2", **changes))


def test_what_was_stored_is_what_was_added(shop: Shop) -> None:
    said = [
        charge("a", effective_to="2027-01-01T00:00:00Z", timing="arrears", quantity=3),
        charge("b", product="shortcode.lease", every="quarter", lead_days=14, dimensions={"code_type": "vanity"}),
        charge("c", every="once", drift=False, dimensions={}),
    ]
    add(shop, *said)
    with snapshot(shop.engine) as connection:
        assert said == read_charges(connection)
        assert said[1:2] == read_charges(connection, ["b"])


def test_a_charge_of_nobody_is_refused(shop: Shop) -> None:
    with pytest.raises(InputFaultyError, match=r"charge num-1: account .*is not an account"):
        add(shop, charge(account="nobody"))


@pytest.mark.parametrize(
    "statement", ["UPDATE charges SET quantity = 2", "DELETE FROM charge_ends", "TRUNCATE charges"]
)
def test_charges_stay_as_they_were_added(shop: Shop, statement: str) -> None:
    add(shop, charge())
    with pytest.raises(psycopg.Error), transaction(shop.engine) as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize("take_in", [import_usage, rehearse_usage])
def test_the_name_of_the_source_is_nobody_elses(shop: Shop, take_in: type) -> None:
    with pytest.raises(SourceReservedError, match=r"tollbook\.charges"):
        take_in(shop.engine, SOURCE, [], products=products(), at=AT)


def test_an_event_that_names_the_source_is_rejected_and_the_others_are_taken(shop: Shop) -> None:
    intake = Intake(engine=shop.engine, products=products(), source=None)
    named = [call(1, source="a"), call(2, source=SOURCE), call(3, source="a", to="x y"), call(4, source="b")]
    receipt = intake.ingest(payloads(named), AT)
    assert ["quarantined", "rejected", "rejected", "quarantined"] == outcomes(receipt)
    assert "/source" == receipt.findings[1].pointer
    assert [("a",), ("b",)] == shop.rows("SELECT id FROM sources ORDER BY id")


def test_a_month_is_not_drawn_up_while_charges_of_it_are_unposted(shop: Shop) -> None:
    add(shop, charge(), charge("num-2", effective_from="2026-11-01T00:00:00Z"))
    post(shop, day("2026-10-01"))
    with pytest.raises(ChargesUnpostedError, match=r"were not posted \(1 in all\)"):
        draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    assert [] == shop.rows("SELECT * FROM draft_runs")
    post(shop, day("2026-10-31"))
    assert 1 == draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True).report.billed


def test_what_is_due_later_in_the_month_does_not_stop_who_draws_up_early(shop: Shop) -> None:
    add(shop, charge())
    post(shop, day("2026-10-15"))
    draw_up(shop.engine, products(), OCTOBER, day("2026-10-15"), write=True, early=True)


def test_closing_a_month_posts_its_charges_and_bills_them(shop: Shop) -> None:
    add(shop, charge(effective_from="2026-10-30T09:00:00Z"), charge("num-2", effective_from="2026-11-01T00:00:00Z"))
    rules = Rules(issue=DEFAULT_RULES, factor=Fraction(3))
    found = close(shop.engine, products(), product_tables(), OCTOBER, CLOSED, rules=rules)
    assert (1, 1) == (found.posted, found.drafts)
    assert [(115,)] == shop.rows("SELECT total_minor FROM draft_invoices")
    again = close(shop.engine, products(), product_tables(), OCTOBER, CLOSED, rules=rules)
    assert 0 == again.posted
    assert verify(shop.engine, products(), product_tables(), OCTOBER).agrees
