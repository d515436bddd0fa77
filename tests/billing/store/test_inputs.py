"""The digest of what a month's bills go by: contracts and card versions that are in force within it, and no others."""

from collections.abc import Callable
from datetime import date

import pytest

from billing.contracts import Contract
from billing.flows.publish import add_contracts
from billing.store.approvals import inputs_digests
from billing.store.engine import snapshot
from tests.shop import AT, OCTOBER, Shop, card, products

RATE = "voice.outbound,44,minute,60/60,{}"


@pytest.fixture
def books(shop: Shop) -> Shop:
    """Three cards of two versions each, from September on and from October 10 on, and acme with the first two."""
    for id_ in ("one", "two", "three"):
        shop.publish(card(since="2026-09-01", id_=id_))
        shop.publish(card(RATE.format("0.03"), since="2026-10-10", id_=id_))
    shop.admit("acme", cards=("one", "two"), since=date(2026, 9, 1))
    shop.admit("bolt", cards=("three",), since=date(2026, 9, 1))
    return shop


def inputs(shop: Shop) -> dict[str, str]:
    with snapshot(shop.engine) as connection:
        names = dict(connection.execute("SELECT account_id, id FROM accounts").fetchall())
        return {names[payer]: each for payer, each in inputs_digests(connection, OCTOBER, [*names]).items()}


def contract(shop: Shop, since: date, *cards: str) -> None:
    each = Contract(account="acme", effective_from=since, cards=cards)
    add_contracts(shop.engine, [each], products(), at=AT, actor="finance")


def version(shop: Shop, id_: str, since: str) -> None:
    shop.publish(card(RATE.format("0.07"), since=since, id_=id_))


def test_each_account_has_its_own(books: Shop) -> None:
    found = inputs(books)
    assert {"acme", "bolt"} == {*found}
    assert found["acme"] != found["bolt"]


def test_the_order_of_a_contracts_cards_is_in_it(books: Shop) -> None:
    books.admit("core", cards=("two", "one"), since=date(2026, 9, 1))
    books.admit("dino", cards=("one", "two"), since=date(2026, 9, 1))
    found = inputs(books)
    assert found["acme"] == found["dino"] != found["core"]


@pytest.mark.parametrize(
    "change",
    [
        lambda shop: contract(shop, date(2026, 10, 31), "two", "one"),
        lambda shop: contract(shop, date(2026, 10, 1), "one"),
        lambda shop: version(shop, "one", "2026-10-31"),
        lambda shop: version(shop, "two", "2026-09-30"),
    ],
    ids=["other order", "fewer cards", "a version to the end", "a version into the beginning"],
)
def test_what_is_in_force_within_the_month_is_in_it(books: Shop, change: Callable[[Shop], None]) -> None:
    before = inputs(books)
    change(books)
    after = inputs(books)
    assert before["acme"] != after["acme"]
    assert before["bolt"] == after["bolt"]


@pytest.mark.parametrize(
    "change",
    [
        lambda shop: contract(shop, date(2026, 11, 1), "three"),
        lambda shop: contract(shop, date(2026, 8, 1), "three"),
        lambda shop: version(shop, "one", "2026-11-01"),
        lambda shop: version(shop, "one", "2026-08-01"),
        lambda shop: version(shop, "three", "2026-10-20"),
    ],
    ids=["a later contract", "an earlier contract", "a later version", "an earlier version", "a card of others"],
)
def test_what_is_not_in_force_within_the_month_is_not_in_it(books: Shop, change: Callable[[Shop], None]) -> None:
    before = inputs(books)
    change(books)
    assert before["acme"] == inputs(books)["acme"]
