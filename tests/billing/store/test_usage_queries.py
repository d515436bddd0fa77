"""What people ask of stored usage: one event, what waits, how much there is; who the accounts are."""

from datetime import UTC, date, datetime

from billing.flows.publish import add_accounts
from billing.store.engine import snapshot
from billing.store.queries.accounts import listed_accounts, listed_contracts
from billing.store.queries.usage import StoredElement, count_usage, find_event, waiting_usage
from rates.rating import Reason
from tests.shop import AT, OCTOBER, SOURCE, Shop, account, call, card


def test_an_event_is_found_with_what_it_came_to(shop: Shop) -> None:
    shop.publish(card("voice.outbound,44,minute,60/60,0.02,0.05"))
    shop.admit("acme")
    shop.post(call(1, **{"from": "anonymous"}), call(2, to="112", status="busy"))
    with snapshot(shop.engine) as connection:
        rated, busy = (find_event(connection, SOURCE, name) for name in ("call-1", "call-2"))
        assert find_event(connection, SOURCE, "call-3") is None
        assert find_event(connection, "elsewhere", "call-1") is None
    assert rated is not None
    assert busy is not None
    assert ("acme", "voice.outbound", "+447700900123", "anonymous", "GB", 61) == (
        *(rated.account, rated.product, rated.to, rated.from_, rated.country),
        rated.measured,
    )
    assert (datetime(2026, 10, 2, 10, 11, 12, tzinfo=UTC), AT) == (rated.occurred_at, rated.received_at)
    assert (StoredElement("usage", "list", 1, 1, 120), StoredElement("setup", "list", 1, 2, 1)) == rated.elements
    assert (Reason.STATUS_NOT_BILLABLE, "112", ()) == (busy.reason, busy.to, busy.elements)


def test_what_waits_is_shown_by_its_cause_with_one_to_look_at(shop: Shop) -> None:
    shop.post(call(2, occurred_at="2026-10-03T00:00:00Z"), call(1), call(3, account="beta", product="new"))
    with snapshot(shop.engine) as connection:
        acme, beta = waiting_usage(connection)
        event = find_event(connection, SOURCE, "call-1")
    assert (Reason.UNKNOWN_ACCOUNT, "acme", "voice.outbound", 2) == acme[:4]
    assert ("beta", "new", SOURCE, "call-3") == (beta.account, beta.product, beta.source, beta.id)
    assert ("call-1", acme.first_at) == (acme.id, datetime(2026, 10, 2, 10, 11, 12, tzinfo=UTC))
    assert event is not None
    assert (True, "acme", Reason.UNKNOWN_ACCOUNT) == (event.is_quarantined, event.account, event.reason)


def test_events_of_a_period_are_counted_by_what_became_of_them(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "beta", since=date(2026, 9, 1))
    shop.post(call(1), call(2, account="beta"), call(3, status="busy"), call(4, account="nobody"))
    shop.post(call(5, occurred_at="2026-09-30T23:59:59Z", status="busy"))
    with snapshot(shop.engine) as connection:
        assert (2, 1, 1, 2) == count_usage(connection, OCTOBER)
        assert (1, 1) == count_usage(connection, OCTOBER, [1])[:2]
        assert (0, 1, 0, 2) == count_usage(connection, OCTOBER.previous())


def test_accounts_are_listed_with_who_pays(shop: Shop) -> None:
    shop.publish()
    shop.admit("beta", "acme")
    add_accounts(shop.engine, [account("below", parent="acme", pays=False, currency="")], at=AT, actor="finance")
    with snapshot(shop.engine) as connection:
        assert [("acme", "acme"), ("below", "acme"), ("beta", "beta")] == [
            (each.id, each.payer) for each in listed_accounts(connection)
        ]
        assert [("acme", ("list",)), ("beta", ("list",))] == [
            (each.account, each.cards) for each in listed_contracts(connection)
        ]


def test_the_first_instant_of_a_period_counts_in_it_and_not_in_the_one_before(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", since=date(2026, 9, 1))
    first = {"occurred_at": "2026-10-01T00:00:00Z"}
    shop.post(call(1, **first), call(2, status="busy", **first), call(3, account="nobody", **first))
    with snapshot(shop.engine) as connection:
        assert (1, 1, 1) == count_usage(connection, OCTOBER)[:3]
        assert (0, 0, 0) == count_usage(connection, OCTOBER.previous())[:3]
