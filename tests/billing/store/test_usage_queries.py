"""What people ask of stored usage: what waits; who the accounts are."""

from datetime import UTC, datetime

from billing.flows.publish import add_accounts
from billing.store.engine import snapshot
from billing.store.queries.accounts import listed_accounts, listed_contracts
from billing.store.queries.usage import waiting_usage
from rates.rating import Reason
from tests.shop import AT, SOURCE, Shop, account, call


def test_what_waits_is_shown_by_its_cause_with_one_to_look_at(shop: Shop) -> None:
    shop.post(call(2, occurred_at="2026-10-03T00:00:00Z"), call(1), call(3, account="beta", product="new"))
    with snapshot(shop.engine) as connection:
        acme, beta = waiting_usage(connection)
    assert (Reason.UNKNOWN_ACCOUNT, "acme", "voice.outbound", True, 2) == acme[:5]
    assert ("beta", "new", SOURCE, "call-3") == (beta.account, beta.product, beta.source, beta.id)
    assert ("call-1", acme.first_at) == (acme.id, datetime(2026, 10, 2, 10, 11, 12, tzinfo=UTC))


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
