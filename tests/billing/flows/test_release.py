"""Release: what waited is rated when what was missing has come, and only once."""

import threading
from datetime import date

from billing.contracts import Contract
from billing.flows.publish import add_accounts, add_contracts
from billing.flows.release import Released, release
from billing.store.engine import transaction
from rates.rating import Reason
from tests.shop import AT, Shop, account, call, card, outcomes, products


def let_out(shop: Shop, *, too_old: bool = False, events_at_once: int = 2) -> Released:
    return release(shop.engine, products(), at=AT, actor="finance", too_old=too_old, events_at_once=events_at_once)


def test_usage_is_let_out_when_all_that_was_missing_is_there(shop: Shop) -> None:
    shop.publish()
    shop.post(*(call(number, **{"from": "+14155550100", "country": "GB"}) for number in range(5)))
    assert {Reason.UNKNOWN_ACCOUNT: 5} == let_out(shop).waiting
    add_accounts(shop.engine, [account("acme")], at=AT, actor="finance")
    assert ({}, {Reason.NO_CONTRACT: 5}) == (let_out(shop).released, let_out(shop).waiting)
    contract = Contract(account="acme", effective_from=date(2026, 10, 1), cards=("list",))
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    assert ({Reason.NO_CONTRACT: 5}, {}) == (let_out(shop).released, let_out(shop).waiting)
    assert [(5, 600)] == [row[5:] for row in shop.totals()]
    assert [(0,)] == shop.rows("SELECT count(*) FROM quarantine")
    assert [(5, 5)] == shop.rows("SELECT count(*), count(payer_id) FROM event_identity")


def test_a_released_event_is_as_if_it_had_been_rated_at_once(shop: Shop) -> None:
    columns = (
        "received_at, to_e164, from_e164, from_address, measured, billed, revision, reason, country, stated_country,"
        " status, error_code, occurred_at"
    )
    shop.publish(card("voice.outbound,44,minute,60/60,0.02,0.05"))
    event = call(1, **{"from": "anonymous", "country": "GB", "error_code": "7"})
    shop.post(event)
    shop.admit("acme")
    let_out(shop)
    shop.post(event | {"id": "call-2"})
    first, second = shop.rows(f"SELECT {columns} FROM events ORDER BY id")
    assert first == second
    assert {(2, 240), (2, 2)} == {row[5:] for row in shop.totals()}


def test_what_was_let_out_is_known_and_not_let_out_again(shop: Shop) -> None:
    shop.post(call(1))
    shop.publish()
    shop.admit("acme")
    let_out(shop)
    assert {} == let_out(shop).released
    assert ["duplicate"] == outcomes(shop.post(call(1)))
    assert [(1, 120)] == [row[5:] for row in shop.totals()]


def test_what_came_too_late_is_let_out_by_name_only(shop: Shop) -> None:
    shop.publish(card(since="2024-01-01"))
    shop.admit("acme", since=date(2024, 1, 1))
    shop.post(call(1, occurred_at="2025-01-01T00:00:00Z"))
    assert ({}, {}) == (let_out(shop).released, let_out(shop).waiting)
    assert {Reason.TOO_OLD: 1} == let_out(shop, too_old=True).released
    assert [("finance", "release")] == shop.rows("SELECT actor, action FROM audit_log WHERE subject = 'quarantine'")


def test_a_new_reason_is_noted(shop: Shop) -> None:
    shop.publish()
    shop.post(call(1, to="+33123456789"))
    shop.admit("acme")
    let_out(shop)
    assert {Reason.NO_RATE: 1} == let_out(shop).waiting


def test_nobody_waits_for_a_release_that_waits_to_make_a_month(shop: Shop) -> None:
    shop.publish(card(since="2024-01-01"))
    shop.admit("acme", since=date(2024, 1, 1))
    shop.post(call(1, occurred_at="2025-01-01T00:00:00Z"), call(2, occurred_at="2025-03-01T00:00:00Z"))
    found: list[Released] = []
    releasing = threading.Thread(target=lambda: found.append(let_out(shop, too_old=True)))
    with transaction(shop.engine) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(b"months")])
        releasing.start()
        while shop.rows("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'") == [(0,)]:
            assert releasing.is_alive(), "it did not wait"
        books = "SELECT pg_try_advisory_xact_lock(%s)"
        assert (True,) == connection.execute(books, [int.from_bytes(b"books")]).fetchone()
        assert 2 == connection.execute("SELECT FROM quarantine FOR UPDATE NOWAIT").rowcount
    releasing.join()
    assert [{Reason.TOO_OLD: 2}] == [each.released for each in found]
    assert [(2,)] == shop.rows("SELECT count(*) FROM events")
