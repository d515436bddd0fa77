"""Approving: a person signs the drafts of a period, and exactly these are issued."""

from dataclasses import replace
from datetime import date, timedelta

import psycopg
import pytest

from billing.approvals import (
    ApprovalMissingError,
    ApprovalReport,
    Approvals,
    ApprovalSelfError,
    ApprovalUnseenError,
    Unsigned,
    signature,
)
from billing.contracts import Contract
from billing.flows.approve import approve
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize, rehearse
from billing.flows.publish import add_contracts, publish
from billing.runs import (
    DEFAULT_RULES,
    GRACE,
    IssueReport,
    IssueRules,
    PeriodLockedError,
    PeriodNotDrawnError,
    PeriodOpenError,
)
from billing.store.approvals import signable_drafts
from billing.store.drafts import lock_period
from billing.store.engine import transaction
from tests.shop import OCTOBER, Shop, call, card, products

CLOSED = OCTOBER.closes + GRACE
ONE = replace(DEFAULT_RULES, approvals=Approvals.ONE)
TWO = replace(DEFAULT_RULES, approvals=Approvals.TWO_PEOPLE)


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "bolt", "core")
    shop.post(*(call(i, account=name) for i, name in enumerate(["core", "acme", "bolt", "acme"])))


def run(shop: Shop, name: str = "finance") -> None:
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True, actor="root", drawn_by=name)


def sign(shop: Shop, name: str = "controller", **options: object) -> ApprovalReport:
    return approve(shop.engine, OCTOBER, CLOSED, approver=name, actor="root", **options)  # type: ignore[arg-type]


def issue(shop: Shop, **options: object) -> IssueReport:
    return finalize(shop.engine, OCTOBER, CLOSED, actor="finance", **options)  # type: ignore[arg-type]


def issued(shop: Shop) -> list[object]:
    return [account for (account,) in shop.rows("SELECT account FROM invoices ORDER BY 1")]


def test_what_was_signed_is_issued(shop: Shop) -> None:
    run(shop)
    report = sign(shop)
    assert (3, {"USD": 16}, ("finance",), True) == (
        report.drafts,
        report.totals_minor,
        report.drawn_by,
        report.written,
    )
    found = issue(shop, rules=TWO)
    assert (3, {}, False) == (found.issued, found.unsigned, found.needs_a_person)
    assert [("controller", 3, report.sha256)] == shop.rows(
        "SELECT approver, drafts, encode(sha256, 'hex') FROM approvals"
    )
    signed = "SELECT account, encode(sha256, 'hex') FROM {} ORDER BY account"
    assert shop.rows(signed.format("invoices")) == shop.rows(signed.format("approved_drafts"))
    assert [("root", "controller", "3")] == shop.rows(
        "SELECT actor, details ->> 'as', details ->> 'drafts' FROM audit_log WHERE action = 'invoices.approve'"
    )


@pytest.mark.parametrize("rules", [ONE, TWO])
def test_where_approval_is_demanded_nothing_is_issued_without_one(shop: Shop, rules: object) -> None:
    run(shop)
    with pytest.raises(ApprovalMissingError, match="tollbook invoices approve 2026-10 --as NAME"):
        issue(shop, rules=rules)
    assert [] == issued(shop)


def test_whoever_ran_the_invoices_does_not_approve_them_where_two_people_are_asked_for(shop: Shop) -> None:
    run(shop, "Finance")
    with pytest.raises(ApprovalSelfError, match="ran these invoices"):
        sign(shop, " finance ", rules=TWO)
    assert [] == shop.rows("SELECT FROM approvals")
    assert sign(shop, "finance", rules=ONE).written
    with pytest.raises(ApprovalSelfError, match="let somebody else approve them"):
        issue(shop, rules=TWO)
    assert sign(shop, "controller", rules=TWO).written, "the same drafts, by another"
    assert 3 == issue(shop, rules=TWO).issued


def test_who_drew_a_draft_that_a_later_run_left_as_it_is_does_not_approve_it(shop: Shop) -> None:
    run(shop, "finance")
    shop.post(call(9, account="bolt"))
    run(shop, "controller")
    for name in ("finance", "controller"):
        with pytest.raises(ApprovalSelfError):
            sign(shop, name, rules=TWO)
    assert ("controller", "finance") == sign(shop, "auditor", rules=TWO).drawn_by


def test_a_draft_that_was_drawn_anew_or_came_along_is_named_and_not_issued(shop: Shop) -> None:
    run(shop)
    sign(shop)
    shop.admit("dino")
    shop.post(call(20, account="bolt"), call(21, account="dino"))
    run(shop)
    found = issue(shop)
    assert (2, {"bolt": Unsigned.CHANGED, "dino": Unsigned.ADDED}) == (found.issued, found.unsigned)
    assert found.needs_a_person
    assert ["acme", "core"] == issued(shop)
    assert 2 == sign(shop).drafts
    again = issue(shop)
    assert (2, {}) == (again.issued, again.unsigned)


def test_a_draft_that_went_away_is_named_until_somebody_signs_without_it(shop: Shop) -> None:
    run(shop)
    sign(shop)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE accounts SET currency = 'EUR' WHERE id = 'bolt'")  # the run stops at it
    run(shop)
    assert {"bolt": Unsigned.WITHDRAWN} == issue(shop).unsigned
    assert {"bolt": Unsigned.WITHDRAWN} == issue(shop).unsigned
    assert sign(shop).written
    assert {} == issue(shop).unsigned
    assert ["acme", "core"] == issued(shop)


def test_a_draft_whose_contract_was_changed_behind_its_back_is_not_issued(shop: Shop) -> None:
    run(shop)
    sign(shop)
    with transaction(shop.engine) as connection:
        connection.execute(
            "INSERT INTO contracts (account_id, effective_from, cards, added_at)"
            " SELECT account_id, '2026-10-20', '{list}', now() FROM accounts WHERE id = 'bolt'"
        )
    found = issue(shop)
    assert (2, {"bolt": Unsigned.INPUTS}) == (found.issued, found.unsigned)


def test_a_card_that_was_replaced_and_put_back_is_what_was_signed(shop: Shop) -> None:
    """Of a replaced version nothing is rated: it is no input any more, also of a draft that it does not reach."""
    late = [card(f"voice.outbound,44,minute,60/60,{price}", since="2026-10-20") for price in ("0.02", "0.03")]
    shop.publish(late[0])
    shop.publish(card(id_="other"))
    away = Contract(account="bolt", effective_from=date(2026, 10, 10), cards=("other",))
    add_contracts(shop.engine, [away], products(), at=CLOSED, actor="finance")
    run(shop)
    sign(shop)
    for of, unsigned in ((late[1], Unsigned.INPUTS), (late[0], None)):
        publish(shop.engine, of, products(), at=CLOSED, actor="ann", reason="mistyped")
        assert unsigned == rehearse(shop.engine, OCTOBER, CLOSED).unsigned.get("bolt")
    assert 3 == len(shop.rows("SELECT FROM card_versions WHERE card_id = 'list' AND effective_from > '2026-10-02'"))
    issue(shop)
    assert ["bolt"] == issued(shop), "the drafts of the others were withdrawn"


def test_a_contract_of_the_next_month_changes_nothing_that_was_signed(shop: Shop) -> None:
    run(shop)
    sign(shop)
    shop.publish(card(id_="other"))
    later = Contract(account="bolt", effective_from=date(2026, 11, 1), cards=("other",))
    add_contracts(shop.engine, [later], products(), at=CLOSED, actor="finance")
    assert 3 == issue(shop).issued


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE draft_lines SET amount_minor = amount_minor + 1 WHERE {0}",
        "UPDATE draft_invoices SET invoice_id = nextval('invoice_ids') WHERE {0}",
        "UPDATE draft_invoices SET sha256 = sha256('') WHERE {0}",
    ],
)
def test_a_signed_draft_that_somebody_altered_is_not_issued(shop: Shop, tampering: str) -> None:
    run(shop)
    sign(shop)
    with transaction(shop.engine) as connection:
        own = "payer_id = (SELECT account_id FROM accounts WHERE id = 'bolt')"
        connection.execute(tampering.format(own).encode())
    found = issue(shop)
    assert ("bolt",) == (*found.refused, *found.unsigned)
    assert ["acme", "core"] == issued(shop)


def test_a_draft_that_calls_itself_approved_is_not_issued_without_a_signature(shop: Shop) -> None:
    run(shop)
    sign(shop)
    shop.post(call(20, account="bolt"))
    run(shop)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE draft_invoices SET state = 'approved'")
    assert {"bolt": Unsigned.CHANGED} == issue(shop).unsigned
    assert ["acme", "core"] == issued(shop)


def test_another_draft_under_the_number_of_a_signed_one_is_not_issued(shop: Shop) -> None:
    run(shop)
    sign(shop)
    signed = shop.rows("SELECT invoice_id FROM draft_invoices WHERE account = 'bolt'")[0][0]
    shop.post(call(20, account="bolt"))
    run(shop)
    own = "payer_id = (SELECT account_id FROM accounts WHERE id = 'bolt')"
    with transaction(shop.engine) as connection:
        for table in ("draft_lines", "draft_billed_totals", "draft_invoices"):
            connection.execute(f"UPDATE {table} SET invoice_id = {signed} WHERE {own}".encode())
        connection.execute("UPDATE draft_invoices SET state = 'approved'")
    found = issue(shop)
    assert ((), {"bolt": Unsigned.CHANGED}) == (found.refused, found.unsigned), "it is sound, and not what was signed"
    assert ["acme", "core"] == issued(shop)


def test_an_altered_draft_is_not_signed_and_is_named(shop: Shop) -> None:
    run(shop)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE draft_invoices SET name = 'Somebody else' WHERE account = 'bolt'")
    report = sign(shop)
    assert (("bolt",), 2, {"USD": 12}) == (report.altered, report.drafts, report.totals_minor)
    assert [("acme", "approved"), ("bolt", "draft"), ("core", "approved")] == shop.rows(
        "SELECT account, state FROM draft_invoices ORDER BY account"
    )


@pytest.mark.parametrize("rules", [ONE, TWO])
def test_where_there_is_nothing_to_issue_nobody_has_to_approve_it(shop: Shop, rules: IssueRules) -> None:
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE accounts SET currency = 'EUR'")  # the run stops at all of them
    run(shop)
    assert not sign(shop).written
    assert (0, ("acme", "bolt", "core")) == ((found := issue(shop, rules=rules)).issued, found.stopped)


def test_what_would_not_be_issued_is_told_beforehand(shop: Shop) -> None:
    with pytest.raises(PeriodNotDrawnError):
        rehearse(shop.engine, OCTOBER, CLOSED)
    run(shop)
    with pytest.raises(PeriodOpenError):
        rehearse(shop.engine, OCTOBER, CLOSED - timedelta(hours=1))
    with pytest.raises(ApprovalMissingError):
        rehearse(shop.engine, OCTOBER, CLOSED, rules=ONE)
    sign(shop)
    shop.post(call(20, account="bolt"))
    run(shop)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE draft_invoices SET name = 'Somebody else' WHERE account = 'core'")
    told = rehearse(shop.engine, OCTOBER, CLOSED, rules=ONE)
    assert (0, {"bolt": Unsigned.CHANGED}, ("core",)) == (told.issued, told.unsigned, told.refused)
    assert [] == issued(shop)
    assert replace(issue(shop), issued=0, numbers={}, totals_minor={}) == told


def test_signing_again_changes_nothing_also_after_a_part_was_issued(shop: Shop) -> None:
    run(shop)
    assert sign(shop).written
    assert not sign(shop).written
    run(shop)
    assert not sign(shop).written, "a run that changes nothing leaves the signature"
    assert not sign(shop, "Controller").written, "a name is a name, however it is capitalised"
    issue(shop)
    assert not sign(shop).written
    assert [(1,)] == shop.rows("SELECT count(*) FROM approvals")


def test_a_signature_waits_for_a_run_and_for_the_grace(shop: Shop) -> None:
    with pytest.raises(PeriodNotDrawnError):
        sign(shop)
    draw_up(shop.engine, products(), OCTOBER, CLOSED - timedelta(hours=1), write=True)
    with pytest.raises(PeriodOpenError):
        sign(shop)
    assert sign(shop, early=True).written
    with transaction(shop.engine) as connection:
        assert lock_period(connection, OCTOBER, shared=True)
        with pytest.raises(PeriodLockedError, match="a run or a finalization is at work"):
            sign(shop)


@pytest.mark.parametrize("table", ["approvals", "approved_drafts"])
@pytest.mark.parametrize("change", ["UPDATE {0} SET sha256 = sha256", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"])
def test_a_signature_refuses_every_change(shop: Shop, table: str, change: str) -> None:
    run(shop)
    sign(shop)
    with pytest.raises(psycopg.errors.RestrictViolation, match="is not allowed"), transaction(shop.engine) as changing:
        changing.execute(change.format(table).encode())
    found = shop.rows(f"SELECT tgenabled FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND tgname LIKE '%_stay'")
    assert [("A",)] == found


def test_nothing_is_signed_but_what_was_seen(shop: Shop) -> None:
    run(shop)
    with transaction(shop.engine) as connection:
        digest = signature(OCTOBER, signable_drafts(connection, OCTOBER).values())
    shop.post(call(9, account="bolt"))
    run(shop, "colleague")
    with pytest.raises(ApprovalUnseenError, match="is not the digest of these drafts"):
        sign(shop, seen=digest[:16])
    assert [] == shop.rows("SELECT 1 FROM approvals")
    with transaction(shop.engine) as connection:
        digest = signature(OCTOBER, signable_drafts(connection, OCTOBER).values())
    assert digest == sign(shop, seen=digest[:16].upper()).sha256
