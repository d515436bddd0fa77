"""Bills beyond the safety bounds: parked by the run, released by a named person, drawn up by the next run."""

import json
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import psycopg
import pytest

from billing.accounts import Account, AccountId
from billing.bounds import Bounds, Past, Released, ReleaseNeedlessError, ReleaseRefusedError
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize, rehearse
from billing.flows.hold import Holds
from billing.flows.publish import add_accounts
from billing.flows.unpark import unpark
from billing.invoices import Party
from billing.payers import SubjectMissingError
from billing.periods import Period
from billing.runs import DEFAULT_RULES, GRACE, PeriodLockedError, PeriodNotDrawnError, RunReport
from billing.store.accounts import read_accounts
from billing.store.bounds import past_invoices
from billing.store.drafts import lock_period
from billing.store.engine import transaction
from rates.money import Currency
from tests.shop import OCTOBER, Shop, call, products

NOVEMBER = Period.parse("2026-11")
CLOSED = NOVEMBER.closes + GRACE
BOUNDS = Bounds(factor=Fraction(3), least=1)
HOUR = "3600"  # seconds, at 0.02 a minute


@pytest.fixture(autouse=True)
def october(shop: Shop) -> None:
    """Three accounts with an invoice of 1.20 each of October."""
    shop.publish()
    shop.admit("acme", "bolt", "core")
    shop.post(*(call(i, account=name, duration_seconds=HOUR) for i, name in enumerate(["acme", "bolt", "core"])))
    at = OCTOBER.closes + GRACE
    draw_up(shop.engine, products(), OCTOBER, at, write=True, bounds=BOUNDS)
    assert 3 == finalize(shop.engine, OCTOBER, at).issued


def talk(shop: Shop, number: int, account: str, hours: int, **changes: object) -> None:
    seconds = str(3600 * hours)
    each = call(number, account=account, duration_seconds=seconds, occurred_at="2026-11-02T00:00:00Z", **changes)
    shop.post(each, at=CLOSED)


def run(shop: Shop, period: Period = NOVEMBER, bounds: Bounds = BOUNDS) -> RunReport:
    found = draw_up(shop.engine, products(), period, CLOSED, write=True, bounds=bounds).report
    assert found.billed + found.zero + found.parked + found.failed == found.active
    return found


def release(shop: Shop, account: str) -> Released:
    said = {"name": "controller", "reason": "a new campaign", "actor": "root"}
    return unpark(shop.engine, NOVEMBER, account, CLOSED, **said)


def drafts(shop: Shop) -> list[object]:
    return [account for (account,) in shop.rows("SELECT account FROM draft_invoices ORDER BY 1")]


def test_what_is_far_is_parked_and_the_others_are_billed(shop: Shop) -> None:
    talk(shop, 10, "acme", 1)
    talk(shop, 11, "bolt", 4)
    report = run(shop)
    assert (3, 1, 2) == (report.active, report.billed, report.parked)
    assert ["bolt", "core"] == [each.account for each in report.stopped]
    assert "4.80 USD is more than 3 times 1.20" in report.stopped[0].reason
    assert "0.00 USD is less than 1/3 of 1.20" in report.stopped[1].reason, "it had an invoice last month, and has none"
    assert ["acme"] == drafts(shop)
    found = finalize(shop.engine, NOVEMBER, CLOSED)
    assert (1, ("bolt", "core")) == (found.issued, found.stopped)


def test_what_was_released_is_drawn_up_by_the_next_run(shop: Shop) -> None:
    talk(shop, 11, "bolt", 4)
    run(shop)
    released = release(shop, "bolt")
    assert (480, "controller", "a new campaign") == (released.total_minor, released.person, released.reason)
    release(shop, "core")
    report = run(shop)
    assert (1, 1, 1) == (report.billed, report.zero, report.parked)
    assert ["bolt"] == drafts(shop)
    assert [("root", "bolt", "controller", "a new campaign")] == shop.rows(
        "SELECT actor, details ->> 'account', details ->> 'as', details ->> 'reason' FROM audit_log"
        " WHERE action = 'invoices.release' AND details ->> 'account' = 'bolt'"
    )


def test_a_draft_that_was_within_bounds_goes_away_when_its_bill_is_not_any_more(shop: Shop) -> None:
    talk(shop, 10, "acme", 1)
    run(shop)
    assert ["acme"] == drafts(shop)
    talk(shop, 11, "acme", 9)
    run(shop)
    assert [] == drafts(shop)


def test_a_release_does_not_cover_what_comes_later_and_is_far_from_it(shop: Shop) -> None:
    talk(shop, 11, "bolt", 4)
    run(shop)
    release(shop, "bolt")
    talk(shop, 12, "bolt", 4)
    run(shop)
    assert ["bolt"] == drafts(shop), "twice as much is near"
    talk(shop, 13, "bolt", 20)
    run(shop)
    assert [] == drafts(shop)


def test_usage_that_nothing_prices_parks_its_payer_until_it_is_released(shop: Shop) -> None:
    for number, account in enumerate(["acme", "bolt", "core"], start=10):
        talk(shop, number, account, 1)
    talk(shop, 20, "bolt", 1, to="+81312345678")
    talk(shop, 21, "nobody", 1)
    talk(shop, 22, "core", 1, product="fax.outbound")
    report = run(shop)
    assert [("bolt", 1)] == [(each.account, each.waiting) for each in report.stopped]
    assert "1 event waits for a price" in report.stopped[0].reason
    release(shop, "bolt")
    assert 3 == run(shop).billed
    talk(shop, 23, "bolt", 1, to="+81312345678")
    assert ["bolt"] == [each.account for each in run(shop).stopped], "more waits than was released"
    assert 3 == run(shop, bounds=Bounds(waiting=False)).billed


def test_a_release_because_usage_waits_lets_no_total_pass_that_is_far_from_the_past(shop: Shop) -> None:
    talk(shop, 10, "bolt", 2)
    talk(shop, 20, "bolt", 1, to="+81312345678")
    run(shop)
    release(shop, "bolt")
    assert 1 == run(shop).billed
    talk(shop, 11, "bolt", 3)
    (held,) = (each for each in run(shop).stopped if each.account == "bolt")
    assert held.reason.startswith("its total of 6.00 USD is more than 3 times 1.20")
    release(shop, "bolt")
    assert 1 == run(shop).billed, "what waited stays released beside the total"


def test_usage_that_waits_since_the_draft_holds_it_as_a_run_would_until_it_is_released(shop: Shop) -> None:
    rules = replace(DEFAULT_RULES, bounds=BOUNDS)
    children = [Account(id=AccountId("north"), pays=False, parent="bolt")]
    add_accounts(shop.engine, children, at=CLOSED, actor="finance")
    for number, account in enumerate(["acme", "bolt", "core"], start=10):
        talk(shop, number, account, 1)
    run(shop)
    talk(shop, 20, "north", 1, to="+81312345678")
    talk(shop, 21, "bolt", 1, to="+81312345678")
    foreseen = rehearse(shop.engine, NOVEMBER, CLOSED, rules=rules)
    found = finalize(shop.engine, NOVEMBER, CLOSED, rules=rules)
    assert foreseen.waiting == found.waiting == {"bolt": 2}
    assert (2, True) == (found.issued, found.needs_a_person)
    assert ["bolt"] == drafts(shop)
    assert [("bolt", 2)] == [(each.account, each.waiting) for each in run(shop).stopped]
    release(shop, "bolt")
    run(shop)
    talk(shop, 22, "bolt", 1, to="+81312345678")
    assert {"bolt": 3} == finalize(shop.engine, NOVEMBER, CLOSED, rules=rules).waiting, "more than was released"
    run(shop)
    release(shop, "bolt")
    run(shop)
    assert 1 == finalize(shop.engine, NOVEMBER, CLOSED, rules=rules).issued


@pytest.mark.parametrize("bounds", [None, replace(BOUNDS, waiting=False)])
def test_usage_that_waits_holds_no_draft_where_the_bounds_do_not_ask_for_it(shop: Shop, bounds: Bounds | None) -> None:
    for number, account in enumerate(["acme", "bolt", "core"], start=10):
        talk(shop, number, account, 1)
    run(shop)
    talk(shop, 20, "bolt", 1, to="+81312345678")
    found = finalize(shop.engine, NOVEMBER, CLOSED, rules=replace(DEFAULT_RULES, bounds=bounds))
    assert (3, {}) == (found.issued, found.waiting)


def test_only_who_is_held_back_is_released(shop: Shop) -> None:
    talk(shop, 10, "acme", 1)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE accounts SET currency = 'EUR' WHERE id = 'acme'")
    run(shop)
    with pytest.raises(ReleaseRefusedError, match="mend its currency"):
        release(shop, "acme")
    for account in ("nobody", "acme-sales"):
        with pytest.raises(SubjectMissingError, match="is no billing account"):
            release(shop, account)
    shop.admit("idle")
    with pytest.raises(ReleaseNeedlessError, match="no run of 2026-11 holds it back"):
        release(shop, "idle")
    with pytest.raises(PeriodNotDrawnError):
        unpark(shop.engine, Period.parse("2026-12"), "acme", CLOSED, name="controller", reason="a guess")
    assert [] == shop.rows("SELECT FROM bound_releases")


def test_a_bill_is_held_against_the_past_in_its_own_currency(shop: Shop) -> None:
    with transaction(shop.engine) as connection:
        holds = Holds.begin(connection, NOVEMBER, BOUNDS, read_accounts(connection))
    (acme, dollars), past = next(iter(holds.past.items()))
    far = past.totals_minor[0] * 10
    assert "USD" == dollars
    for currency, held in (("USD", True), ("EUR", False)):
        party = Party(account="acme", currency=Currency(currency))
        assert held == (holds.of(acme, party, far) is not None)


def test_who_failed_is_not_released_and_is_told_why(shop: Shop) -> None:
    run(shop)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE draft_stops SET outcome = 'failed', reason = 'broken', releasable = false")
    with pytest.raises(ReleaseRefusedError, match="cannot be released: broken"):
        release(shop, "core")


def test_only_usage_of_the_month_waits(shop: Shop) -> None:
    for number, account in enumerate(["acme", "bolt", "core"], start=10):
        talk(shop, number, account, 1)
    later = NOVEMBER.closes + timedelta(seconds=1)
    for number, day in enumerate(["2026-10-31T23:59:59Z", "2026-12-01T00:00:00Z"], start=20):
        shop.post(call(number, account="bolt", to="+81312345678", occurred_at=day), at=later)
    assert 3 == run(shop).billed
    shop.post(call(30, account="bolt", to="+81312345678", occurred_at="2026-11-30T23:59:59Z"), at=later)
    assert ["bolt"] == [each.account for each in run(shop).stopped]


def test_what_waits_of_subaccounts_holds_back_who_pays_for_them_and_is_added_up(shop: Shop) -> None:
    talk(shop, 10, "acme", 1)
    children = [Account(id=AccountId(name), pays=False, parent="acme") for name in ("north", "south")]
    add_accounts(shop.engine, children, at=CLOSED, actor="finance")
    for number, name in enumerate(["acme", "north", "south"], start=20):
        talk(shop, number, name, 1, to="+81312345678")
    assert [("acme", 3)] == [(each.account, each.waiting) for each in run(shop).stopped if each.waiting]


def test_the_past_is_the_newest_final_invoices_before_the_month_in_the_same_currency(shop: Shop) -> None:
    copies = [("2026-09-01", "2026-10-01", "USD", 7), ("2026-08-01", "2026-09-01", "EUR", 9)]
    copies += [("2026-11-01", "2026-12-01", "USD", 8)]
    with transaction(shop.engine) as connection:
        for number, (start, end, currency, total) in enumerate(copies, start=100):
            changes = {"period_start": start, "period_end": end, "currency": currency, "total_minor": total}
            facts = json.dumps({**changes, "invoice_id": number, "number": number})
            connection.execute(
                "INSERT INTO invoices SELECT (jsonb_populate_record(found, %s)).* FROM invoices AS found"
                " WHERE account = 'acme' AND period_start = '2026-10-01'",
                [facts],
            )
        acme = connection.execute("SELECT account_id FROM accounts WHERE id = 'acme'").fetchall()[0][0]
        found = {months: past_invoices(connection, NOVEMBER, months) for months in (1, 2)}
    dollars, euros = (acme, Currency("USD")), (acme, Currency("EUR"))
    assert Past(totals_minor=(120,), ended=NOVEMBER.start) == found[1][dollars]
    assert Past(totals_minor=(120, 7), ended=NOVEMBER.start) == found[2][dollars]
    assert Past(totals_minor=(9,), ended=date(2026, 9, 1)) == found[1][euros] == found[2][euros]


def test_what_was_released_is_not_released_again_until_something_else_holds_it_back(shop: Shop) -> None:
    talk(shop, 11, "bolt", 4)
    run(shop)
    release(shop, "bolt")
    with pytest.raises(ReleaseNeedlessError, match="was released for 2026-11 already; draw its bill up with"):
        release(shop, "bolt")
    assert [(1,)] == shop.rows("SELECT count(*) FROM bound_releases")
    talk(shop, 12, "bolt", 40)
    run(shop)
    release(shop, "bolt")
    assert [(2,)] == shop.rows("SELECT count(*) FROM bound_releases")


def test_nobody_is_released_while_a_run_is_at_work(shop: Shop) -> None:
    run(shop)
    with transaction(shop.engine) as connection:
        assert lock_period(connection, NOVEMBER, shared=False)
        with pytest.raises(PeriodLockedError):
            release(shop, "core")


@pytest.mark.parametrize("change", ["UPDATE {0} SET held = held", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_a_release_refuses_every_change(shop: Shop, change: str) -> None:
    run(shop)
    release(shop, "core")
    with pytest.raises(psycopg.errors.RestrictViolation, match="is not allowed"), transaction(shop.engine) as changing:
        changing.execute(change.format("bound_releases").encode())


def test_the_preview_says_what_the_run_will_park(shop: Shop) -> None:
    talk(shop, 11, "bolt", 4)
    preview = draw_up(shop.engine, products(), NOVEMBER, CLOSED, write=False, bounds=BOUNDS).report
    assert preview.stopped == run(shop).stopped
