"""Finalizing: exactly the drafts that were drawn, numbered without a gap, and never changed again."""

from dataclasses import replace
from datetime import date, timedelta

import psycopg
import pytest

from billing.contracts import Contract
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.publish import add_accounts, add_contracts
from billing.invoices import State
from billing.runs import (
    GRACE,
    IssueReport,
    PeriodLockedError,
    PeriodNotDrawnError,
    PeriodOpenError,
)
from billing.store.drafts import lock_period
from billing.store.engine import snapshot, transaction
from billing.store.queries.invoices import all_invoices, invoices_by_number
from tests.shop import OCTOBER, Shop, account, call, products

CLOSED = OCTOBER.closes + GRACE

FINAL_TABLES = ("billed_batches", "invoices", "invoice_lines", "invoice_billed_totals", "invoice_events")


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "bolt", "core")
    shop.post(*(call(i, account=name) for i, name in enumerate(["core", "acme", "bolt", "acme"])))


def run(shop: Shop, **options: object) -> None:
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True, **options)  # type: ignore[arg-type]


def issue(shop: Shop, **options: object) -> IssueReport:
    return finalize(shop.engine, OCTOBER, CLOSED, actor="finance", **options)  # type: ignore[arg-type]


def numbers(shop: Shop) -> list[tuple[object, ...]]:
    return shop.rows("SELECT number, account FROM invoices ORDER BY legal_entity, number")


def test_drafts_become_invoices_with_numbers_from_one_on(shop: Shop) -> None:
    run(shop)
    with snapshot(shop.engine) as connection:
        drafts = list(all_invoices(connection, OCTOBER, final=False))
    report = issue(shop)
    assert (3, {"USD": 16}, {"": ("INV-000001", "INV-000002", "INV-000003")}) == (
        report.issued,
        report.totals_minor,
        report.numbers,
    )
    with snapshot(shop.engine) as connection:
        final = list(all_invoices(connection, OCTOBER, final=True))
        assert [] == list(all_invoices(connection, OCTOBER, final=False))
    day = date(2026, 11, 4)
    assert [
        replace(
            draft,
            state=State.FINAL,
            number=f"INV-{n:06d}",
            issued_on=day,
            due_on=day + timedelta(days=30),
        )
        for n, draft in enumerate(drafts, start=1)
    ] == final
    assert [(0, 0, 0)] == shop.rows(
        "SELECT (SELECT count(*) FROM draft_invoices), (SELECT count(*) FROM draft_lines),"
        " (SELECT count(*) FROM draft_billed_totals)"
    )
    assert [(3, "issued", "finance")] == shop.rows("SELECT count(*), event, actor FROM invoice_events GROUP BY 2, 3")


def test_finalizing_again_issues_nothing_more(shop: Shop) -> None:
    run(shop)
    issue(shop)
    assert 0 == issue(shop).issued
    run(shop)
    assert 0 == issue(shop).issued
    assert [(1, "acme"), (2, "bolt"), (3, "core")] == numbers(shop)


def test_numbers_run_on_over_batches_and_periods(shop: Shop) -> None:
    run(shop)
    assert {"": ("INV-000001", "INV-000002", "INV-000003")} == issue(shop, batch=1).numbers
    november = OCTOBER.next()
    shop.post(call(9, occurred_at="2026-11-03T00:00:00Z"), at=november.closes)
    at = november.closes + GRACE
    draw_up(shop.engine, products(), november, at, write=True)
    assert {"": ("INV-000004",)} == finalize(shop.engine, november, at).numbers


def test_each_legal_entity_has_its_own_numbers(shop: Shop) -> None:
    add_accounts(shop.engine, [account("dino", legal_entity="Toll BV")], at=CLOSED, actor="finance")
    contract = Contract(account="dino", effective_from=date(2026, 10, 1), cards=("list",))
    add_contracts(shop.engine, [contract], products(), at=CLOSED, actor="finance")
    shop.post(call(9, account="dino"))
    run(shop)
    report = issue(shop)
    assert {"": ("INV-000001", "INV-000002", "INV-000003"), "Toll BV": ("INV-000001",)} == report.numbers


def test_an_invoice_is_found_by_its_number(shop: Shop) -> None:
    run(shop)
    issue(shop)
    with snapshot(shop.engine) as connection:
        (found,) = invoices_by_number(connection, "INV", 2)
        assert "bolt" == found.party.account
        assert [] == invoices_by_number(connection, "INV", 4)


@pytest.mark.parametrize("table", FINAL_TABLES)
@pytest.mark.parametrize("change", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"])
def test_a_final_invoice_refuses_every_change(shop: Shop, table: str, change: str) -> None:
    run(shop)
    issue(shop)
    before = shop.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
    assert before
    column = "batches" if table == "billed_batches" else "payer_id"
    with pytest.raises(psycopg.errors.RestrictViolation, match="is not allowed"), transaction(shop.engine) as changing:
        changing.execute(change.format(table, column).encode())
    assert before == shop.rows(f"SELECT * FROM {table} ORDER BY 1, 2")


@pytest.mark.parametrize("table", FINAL_TABLES)
def test_the_guards_are_awake_in_every_role(shop: Shop, table: str) -> None:
    """A replica, or whoever restores a dump, sleeps through triggers that are not ENABLE ALWAYS."""
    found = shop.rows(f"SELECT tgenabled, tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass")
    assert ["A"] == [enabled for enabled, name in found if name == f"{table}_stay"]


def test_a_second_invoice_of_an_account_and_period_is_refused(shop: Shop) -> None:
    run(shop)
    issue(shop)
    with pytest.raises(psycopg.errors.UniqueViolation), transaction(shop.engine) as connection:
        connection.execute(
            "INSERT INTO invoices SELECT nextval('invoice_ids'), 99, total_minor, snapshot_id, payer_id, lines,"
            " period_start, period_end, issued_on, due_on, series, kind, currency, account, name, address, tax_id,"
            " language, legal_entity, billed_sha256, summed_sha256, sha256 FROM invoices LIMIT 1"
        )


@pytest.mark.parametrize(
    "alteration",
    [
        "UPDATE draft_lines SET amount_minor = amount_minor + 1",
        "UPDATE draft_lines SET unit_price = 0.03",
        "UPDATE draft_lines SET destination = 'Elsewhere'",
        "UPDATE draft_invoices SET total_minor = 1",
        "UPDATE draft_invoices SET name = 'Somebody else'",
        "UPDATE draft_invoices SET sha256 = sha256('')",
        "DELETE FROM draft_lines",
        "UPDATE draft_invoices SET lines = 2",
        "UPDATE draft_billed_totals SET quantity = quantity * 10",
        "UPDATE draft_billed_totals SET events = events + 1",
        "UPDATE draft_billed_totals SET country = 'FR'",
        "UPDATE draft_billed_totals SET account_id = account_id + 1",
        "DELETE FROM draft_billed_totals",
        "UPDATE draft_invoices SET summed_sha256 = sha256('')",
    ],
)
def test_a_draft_that_is_not_what_was_drawn_is_refused_and_the_others_are_issued(shop: Shop, alteration: str) -> None:
    run(shop)
    own = "payer_id = (SELECT account_id FROM accounts WHERE id = 'acme')"
    with transaction(shop.engine) as connection:
        connection.execute(f"{alteration} WHERE {own}".encode())
    report = issue(shop)
    assert (2, ("acme",), True) == (report.issued, report.refused, report.needs_a_person)
    assert [(1, "bolt"), (2, "core")] == numbers(shop)
    run(shop)
    again = issue(shop)
    assert ((), 1) == (again.refused, again.issued), "drawn again, it is as it should be"
    assert [(1, "bolt"), (2, "core"), (3, "acme")] == numbers(shop)


def test_nothing_is_issued_before_the_grace_is_over(shop: Shop) -> None:
    run(shop)
    with pytest.raises(PeriodOpenError, match="is open for late usage until 2026-11-04T00:00Z"):
        finalize(shop.engine, OCTOBER, CLOSED - timedelta(microseconds=1))
    assert [] == numbers(shop)
    assert 3 == finalize(shop.engine, OCTOBER, CLOSED - timedelta(microseconds=1), early=True).issued


def test_drafts_of_before_the_grace_was_over_are_drawn_again_first(shop: Shop) -> None:
    draw_up(shop.engine, products(), OCTOBER, OCTOBER.closes, write=True)
    with pytest.raises(PeriodOpenError, match="tollbook invoices run 2026-10"):
        issue(shop)
    run(shop)
    assert 3 == issue(shop).issued


def test_a_period_without_a_run_has_nothing_to_issue(shop: Shop) -> None:
    with pytest.raises(PeriodNotDrawnError, match="tollbook invoices run 2026-10"):
        issue(shop)


def test_a_finalization_does_not_wait_for_a_run_but_works_beside_another(shop: Shop) -> None:
    run(shop)
    with transaction(shop.engine) as connection:
        assert lock_period(connection, OCTOBER, shared=False)
        with pytest.raises(PeriodLockedError):
            issue(shop)
    with transaction(shop.engine) as connection:
        assert lock_period(connection, OCTOBER, shared=True)
        assert 3 == issue(shop).issued


def test_accounts_that_the_run_stopped_at_are_named(shop: Shop) -> None:
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE accounts SET currency = 'EUR' WHERE id = 'bolt'")
    run(shop)
    report = issue(shop)
    assert (2, ("bolt",)) == (report.issued, report.stopped)


def test_every_batch_is_in_the_audit_log(shop: Shop) -> None:
    run(shop)
    issue(shop, batch=2)
    entries = shop.rows(
        "SELECT actor, details ->> 'issued' FROM audit_log WHERE action = 'invoices.finalize' ORDER BY entry"
    )
    assert [("finance", "2"), ("finance", "1")] == entries


def test_a_number_whose_invoice_could_not_be_stored_is_given_to_the_next(shop: Shop) -> None:
    """A database that refuses at the very end, when the numbers are taken and the invoices written."""
    run(shop)
    with transaction(shop.engine) as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$;"
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON invoice_events DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    for _ in range(2):
        with pytest.raises(psycopg.errors.RaiseException, match="the disk is full"):
            issue(shop)
    with transaction(shop.engine) as connection:
        connection.execute("DROP TRIGGER refuse ON invoice_events")
    assert {"": ("INV-000001", "INV-000002", "INV-000003")} == issue(shop).numbers


def test_what_came_after_the_run_and_what_nothing_prices_needs_a_person(shop: Shop) -> None:
    run(shop)
    assert not issue(shop).needs_a_person
    shop.post(call(20, account="bolt"), call(21, account="core", to="+81312345678"), call(22, status="busy"))
    found = issue(shop)
    assert (0, ("bolt",), {"no_rate": 1}, True) == (found.issued, found.late, found.quarantined, found.needs_a_person)
    run(shop)  # sees it, and cannot change an invoice
    assert ("bolt",) == issue(shop).late


def test_an_account_whose_first_usage_came_after_the_run_is_late_until_the_next_run(shop: Shop) -> None:
    shop.admit("dino")
    run(shop)
    shop.post(call(20, account="dino"))
    assert ("dino",) == issue(shop).late
    run(shop)
    found = issue(shop)
    assert (1, ()) == (found.issued, found.late)


def test_usage_between_a_run_and_its_finalization_is_said_and_a_draft_is_issued_as_it_was_drawn(shop: Shop) -> None:
    run(shop)
    shop.post(call(20, account="acme"))
    found = issue(shop)
    assert (3, {"USD": 16}, ("acme",)) == (found.issued, found.totals_minor, found.late)
