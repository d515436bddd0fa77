"""Forced changes of the books: rated usage is charged otherwise, amounts are told, and final invoices stay."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from billing.contracts import Contract
from billing.corrections import Correction, Subject, Worth
from billing.errors import PublicationBackdatedError
from billing.flows.correct import rerate_period
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.publish import Published, Status, add_contracts, publish
from billing.flows.release import release
from billing.flows.verify import verify
from billing.payers import SubjectMissingError
from billing.runs import GRACE, PeriodLockedError
from billing.store.drafts import lock_period
from billing.store.engine import snapshot, transaction
from billing.store.queries.cards import card_before, published_card, published_cards
from billing.store.ratebooks import lock_books
from cli.world import product_tables
from rates.cards import Card, identity
from rates.products import Product
from tests.shop import AT, OCTOBER, Shop, call, card, products, tiered

GB = "voice.outbound,44,minute,60/60,0.02,0.05"
DEAR = GB.replace("0.02", "0.03")
FR = "voice.outbound,33,minute,60/60,0.03,"
CLOSED = OCTOBER.closes + GRACE
ACME = Subject("2026-10", "acme", "voice.outbound", "USD")
DAYS = ["2026-10-02T10:00:00Z", "2026-10-04T10:00:00Z", "2026-10-06T10:00:00Z"]

STORED = (
    "SELECT id, price_id, billed, reason FROM events ORDER BY id",
    "SELECT id, price_id, billed FROM event_elements ORDER BY id, price_id",
    "SELECT id, account, product, reason, batch, received_at, measured, to_e164, status FROM quarantine ORDER BY id",
    "SELECT payer_id, outcome FROM draft_stops ORDER BY payer_id",
    "SELECT payer_id, total_minor FROM draft_invoices ORDER BY payer_id",
)


def force(shop: Shop, of: Card, *, dry_run: bool = False, events_at_once: int = 50_000) -> Published:
    return publish(
        shop.engine,
        of,
        products(),
        at=CLOSED,
        actor="ann",
        reason="wrong price",
        dry_run=dry_run,
        events_at_once=events_at_once,
    )


def rerated(
    shop: Shop,
    by: dict[str, Product] | None = None,
    *accounts: str,
    dry_run: bool = False,
    events_at_once: int = 50_000,
) -> Correction:
    return rerate_period(
        shop.engine,
        by or products(),
        OCTOBER,
        at=CLOSED,
        actor="ann",
        reason="why",
        accounts=accounts,
        dry_run=dry_run,
        events_at_once=events_at_once,
    )


def all_stored(shop: Shop) -> list[object]:
    return [shop.totals(), *(shop.rows(query) for query in STORED)]


def invoices(shop: Shop) -> list[object]:
    return [shop.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in ("invoices", "invoice_lines")]


def agrees(shop: Shop) -> None:
    found = verify(shop.engine, products(), product_tables(), OCTOBER)
    assert () == found.disagreements
    assert 0 == found.unbalanced_totals


def corrected(changed: Published) -> Correction:
    assert changed.correction is not None
    return changed.correction


def bill(shop: Shop, *, issue: bool = False) -> None:
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    if issue:
        finalize(shop.engine, OCTOBER, CLOSED)


def otherwise_billable() -> dict[str, Product]:
    """The products, of which calls with status `busy` are billed, and no others."""
    voice = products()["voice.outbound"]
    rules = tuple(replace(rule, billable={"status": frozenset({"busy"})}) for rule in voice.rules)
    return {**products(), "voice.outbound": replace(voice, rules=rules)}


@pytest.fixture
def month(shop: Shop) -> Shop:
    """Three calls of two minutes and a setup fee by acme on three days, one by bolt, and one that costs nothing."""
    shop.publish(card(GB))
    shop.admit("acme", "bolt")
    shop.post(*(call(number, occurred_at=at) for number, at in enumerate(DAYS)))
    shop.post(call(3, occurred_at=DAYS[1], status="busy"), call(4, occurred_at=DAYS[1], account="bolt"))
    return shop


@pytest.mark.parametrize("events_at_once", [1, 50_000])
def test_a_forced_card_charges_the_past_otherwise_and_tells_the_amounts(month: Shop, events_at_once: int) -> None:
    fold(month.engine)
    found = corrected(force(month, card(DEAR, since="2026-10-03"), events_at_once=events_at_once))
    assert (4, 3, 0, {}) == (found.events, found.rewritten, found.quarantined, found.invoiced)
    bolt = ACME._replace(account="bolt")
    assert {ACME: Worth(3, 27), bolt: Worth(1, 9)} == found.before
    assert {ACME: Worth(3, 31), bolt: Worth(1, 11)} == found.after
    assert [(Worth(4, 36), Worth(4, 42), 6)] == [(d.before, d.after, d.amount_minor) for d in found.in_all]
    agrees(month)


def test_a_forced_card_takes_the_place_of_the_one_from_the_same_instant(month: Shop) -> None:
    bill(month)
    found = corrected(force(month, card(DEAR)))
    assert (5, 4, 2) == (found.events, found.rewritten, found.withdrawn)
    assert [(36, 44)] == [(each.before.amount_minor, each.after.amount_minor) for each in found.in_all]
    with snapshot(month.engine) as connection:
        assert [card(DEAR).version] == [
            f"{each.id}@{each.effective_from:%Y-%m-%dT%H:%M:%SZ}" for each in published_cards(connection)
        ]
        published = published_card(connection, "list", AT, products())
    assert published is not None
    assert identity(card(DEAR)) == identity(published)
    agrees(month)
    force(month, card(GB))
    assert Status.UNCHANGED is force(month, card(GB)).status
    bill(month)
    assert [(27,), (9,)] == month.rows("SELECT total_minor FROM draft_invoices ORDER BY payer_id")
    agrees(month)


def test_a_replaced_version_counts_nothing_any_more(shop: Shop) -> None:
    shop.publish(tiered(("44", "0.02 0.01")))
    shop.admit("acme")
    shop.post(*(call(number, occurred_at=at) for number, at in enumerate(DAYS)))
    found = corrected(force(shop, tiered(("44", "0.03 0.02"))))
    assert ([4], [7]) == (
        [each.amount_minor for each in found.before.values()],
        [each.amount_minor for each in found.after.values()],
    )
    agrees(shop)


def test_a_card_is_replaced_under_a_final_invoice_that_stays(month: Shop) -> None:
    bill(month, issue=True)
    before = invoices(month)
    changed = force(month, card(DEAR))
    assert changed.correction is not None
    assert ({"acme": 3, "bolt": 1}, False) == (changed.correction.invoiced, changed.correction.needs_a_person)
    assert before == invoices(month)
    assert [(2, 1)] == month.rows("SELECT card_version_id, replaces FROM card_versions WHERE replaces IS NOT NULL")
    agrees(month)


def test_what_is_not_forced_is_still_refused(month: Shop) -> None:
    with pytest.raises(PublicationBackdatedError, match="3 rated events would be charged otherwise"):
        month.publish(card(DEAR, since="2026-10-03"))


@pytest.mark.parametrize("events_at_once", [1, 50_000])
def test_what_loses_its_price_waits_as_it_was_reported_and_is_let_out_as_it_was(
    month: Shop, events_at_once: int
) -> None:
    reported = "id, received_at, batch, to_e164, measured, source_id, revision, status, stated_country"
    before = month.rows(f"SELECT {reported} FROM events WHERE id IN ('call-1', 'call-2', 'call-4') ORDER BY id")
    totals = sum(row[5] for row in month.totals())
    found = corrected(force(month, card(FR, since="2026-10-03"), events_at_once=events_at_once))
    assert (3, 3) == (found.rewritten, found.quarantined)
    assert before == month.rows(f"SELECT {reported} FROM quarantine ORDER BY id")
    assert [("acme", "voice.outbound"), ("bolt", "voice.outbound")] == month.rows(
        "SELECT DISTINCT account, product FROM quarantine ORDER BY 1"
    )
    assert [("call-0",), ("call-3",)] == month.rows("SELECT id FROM events ORDER BY id")
    assert [("call-0",)] == month.rows("SELECT id FROM event_elements")
    assert 2 == sum(row[5] for row in month.totals())
    agrees(month)
    month.publish(card(GB, id_="second"))
    contract = Contract(account="acme", effective_from=date(2026, 10, 3), cards=("list", "second"))
    add_contracts(month.engine, [contract], products(), at=AT, actor="finance")
    contract = replace(contract, account="bolt")
    add_contracts(month.engine, [contract], products(), at=AT, actor="finance")
    release(month.engine, products(), at=AT, actor="finance")
    assert totals == sum(row[5] for row in month.totals())
    agrees(month)


def test_counters_may_be_forced_to_count_otherwise(shop: Shop) -> None:
    shop.publish(tiered(("44", "0.02 0.01")))
    shop.admit("acme")
    shop.post(*(call(number, occurred_at=at) for number, at in enumerate(DAYS)))
    flat = replace(card("voice.outbound,44,minute,1/1,0.60"), effective_from=datetime(2026, 10, 3, tzinfo=UTC))
    found = corrected(force(shop, flat))
    assert (3, 4) == (found.before[ACME].events, found.before[ACME].amount_minor)
    assert (3, 124) == (found.after[ACME].events, found.after[ACME].amount_minor)
    agrees(shop)


def test_drafts_are_withdrawn_and_drawn_again(month: Shop) -> None:
    bill(month)
    assert 2 == force(month, card(DEAR, since="2026-10-03")).withdrawn
    assert [] == month.rows("SELECT * FROM draft_invoices")
    bill(month)
    assert [(31,), (11,)] == month.rows("SELECT total_minor FROM draft_invoices ORDER BY payer_id")
    agrees(month)


def test_final_invoices_forbid_a_contract_that_is_forced(month: Shop) -> None:
    bill(month, issue=True)
    month.publish(card(DEAR, id_="mended"))
    before = all_stored(month)
    contract = Contract(account="acme", effective_from=date(2026, 10, 3), cards=("mended",))
    refused = r"contract acme .*: 2 rated events are on the side of final invoices.*such as 2026-10-07.*the card itself"
    with pytest.raises(PublicationBackdatedError, match=refused):
        add_contracts(month.engine, [contract], products(), at=CLOSED, actor="ann", reason="wrong price")
    assert before == all_stored(month)
    agrees(month)


def test_counters_of_final_invoices_are_forced_to_count_otherwise(shop: Shop) -> None:
    shop.publish(tiered(("44", "0.02 0.01")))
    shop.admit("acme")
    shop.post(call(1))
    bill(shop, issue=True)
    before = invoices(shop)
    force(shop, replace(card(), effective_from=datetime(2026, 10, 20, tzinfo=UTC)))
    assert before == invoices(shop)


def test_accounts_without_an_invoice_get_the_mended_card_by_contract(month: Shop) -> None:
    draw_up(month.engine, products(), OCTOBER, CLOSED, write=True)
    with transaction(month.engine) as connection:
        connection.execute("DELETE FROM draft_invoices WHERE account = 'bolt'")
    finalize(month.engine, OCTOBER, CLOSED)
    month.publish(card(DEAR, id_="mended"))
    contract = Contract(account="bolt", effective_from=date(2026, 10, 3), cards=("mended",))
    changed = add_contracts(month.engine, [contract], products(), at=CLOSED, actor="ann", reason="wrong price")
    assert changed.correction is not None
    assert [(9, 11)] == [(d.before.amount_minor, d.after.amount_minor) for d in changed.correction.differences]
    agrees(month)


def test_a_month_that_is_as_the_books_say_stays(month: Shop) -> None:
    bill(month)
    before = all_stored(month)
    assert Correction(events=5) == rerated(month)
    assert before == all_stored(month)


def test_a_month_is_rated_again_by_the_books_as_they_are(month: Shop) -> None:
    bill(month)
    with transaction(month.engine) as connection:
        connection.execute("UPDATE events SET billed = 60 WHERE id = 'call-1'")
        connection.execute(
            "INSERT INTO unfolded SELECT 0, -60, payer_id, account_id, price_id, date '2026-10-04',"
            " country FROM events WHERE id = 'call-1'"
        )
    found = rerated(month)
    assert (5, 1, 1) == (found.events, found.rewritten, found.withdrawn)
    assert ({ACME: Worth(3, 25)}, {ACME: Worth(3, 27)}) == (found.before, found.after)
    assert [(2,)] == month.rows("SELECT payer_id FROM draft_invoices")
    agrees(month)


def lost(shop: Shop, *, dry_run: bool) -> Correction:
    return corrected(force(shop, card(FR, since="2026-10-03"), dry_run=dry_run))


def unbilled(shop: Shop, *, dry_run: bool) -> Correction:
    return rerated(shop, otherwise_billable(), dry_run=dry_run)


@pytest.mark.parametrize("change", [lost, unbilled])
def test_a_dry_run_tells_the_same_and_nothing_stays(month: Shop, change: Callable[..., Correction]) -> None:
    bill(month)
    before = all_stored(month)
    foreseen = change(month, dry_run=True)
    assert before == all_stored(month)
    assert foreseen == change(month, dry_run=False)
    assert before != all_stored(month)


def test_accounts_are_rated_again_alone(month: Shop) -> None:
    found = rerated(month, otherwise_billable(), "bolt")
    assert (1, 1, {}) == (found.events, found.rewritten, found.after)
    assert [("acme", 27, 9)] == [
        (each.subject.account, each.before.amount_minor, each.after.amount_minor)
        for each in rerated(month, otherwise_billable()).differences
    ]


def test_usage_of_final_invoices_is_rated_again_and_counted_and_the_invoices_stay(month: Shop) -> None:
    bill(month, issue=True)
    before = invoices(month)
    found = rerated(month, otherwise_billable())
    assert (5, {"acme": 4, "bolt": 1}, False) == (found.rewritten, found.invoiced, found.needs_a_person)
    assert [(27, 9), (9, 0)] == [(each.before.amount_minor, each.after.amount_minor) for each in found.differences]
    assert before == invoices(month)


def test_who_did_it_and_why_is_in_the_audit_log(month: Shop) -> None:
    rerated(month, otherwise_billable())
    force(month, card(DEAR, since="2026-10-03"))
    assert [
        ("ann", "rerate", "2026-10", "why", [36, 9]),
    ] == month.rows(
        "SELECT actor, action, subject, details ->> 'reason', details -> 'amounts' -> '2026-10' -> 'USD' FROM audit_log"
        " WHERE action = 'rerate'"
    )
    assert [("ann", "wrong price")] == month.rows(
        "SELECT actor, details -> 'forced' ->> 'reason' FROM audit_log WHERE details ? 'forced'"
    )


def test_who_does_not_pay_or_a_month_at_work_is_refused(month: Shop) -> None:
    with pytest.raises(SubjectMissingError, match="nobody"):
        rerated(month, None, "nobody")
    with transaction(month.engine) as connection:
        assert lock_period(connection, OCTOBER, shared=True)
        with pytest.raises(PeriodLockedError):
            rerated(month)


def test_a_rerating_waits_until_usage_that_is_being_written_is_there(month: Shop) -> None:
    with ThreadPoolExecutor(max_workers=1) as thread:
        with transaction(month.engine) as writing:
            lock_books(writing, exclusive=False)
            waiting = thread.submit(rerated, month)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
        assert 0 == waiting.result().rewritten


def test_who_could_not_be_priced_is_told_with_the_reason(month: Shop) -> None:
    with transaction(month.engine) as connection:
        connection.execute(
            "UPDATE unfolded SET quantity = 9223372036854775807"
            " WHERE account_id = (SELECT account_id FROM accounts WHERE id = 'acme')"
        )
    found = corrected(force(month, card(DEAR, since="2026-10-03")))
    assert ["acme"] == [*found.unpriced]
    assert "Error: " in found.unpriced["acme"]
    assert {ACME._replace(account="bolt")} == {*found.before} == {*found.after}
    assert found.needs_a_person


def test_a_price_that_jumps_is_seen_also_where_a_card_takes_the_place_of_the_first(month: Shop) -> None:
    with snapshot(month.engine) as connection:
        before = card_before(connection, card(DEAR), products())
        none = card_before(connection, card(GB), products())
    assert before is not None
    assert (identity(card(GB)), None) == (identity(before), none)
