"""What people ask about who the accounts are."""

from billing.flows.publish import add_accounts
from billing.store.engine import snapshot
from billing.store.queries.accounts import listed_accounts, listed_contracts
from tests.shop import AT, Shop, account


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
