"""Invoices and credit notes are told to others when they are issued, in the same transaction."""

from collections.abc import Iterator

import pytest

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.runs import GRACE
from billing.store.engine import snapshot
from billing.store.queries.webhooks import body_of, listed_deliveries
from tests.hooking import Clock, Post, Receiver, receiving
from tests.shop import OCTOBER, Shop, call, products

CLOSED = OCTOBER.closes + GRACE
NOVEMBER = OCTOBER.next()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def post(shop: Shop) -> Post:
    shop.publish()
    shop.admit("acme", "bolt")
    shop.post(*(call(n, account=name, duration_seconds="600") for n, name in enumerate(["acme", "bolt", "acme"])))
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    return Post(engine=shop.engine, clock=Clock(CLOSED))


def test_each_invoice_is_told_once_to_who_wants_it(post: Post, receiver: Receiver) -> None:
    _, secret = post.endpoint(receiver.url("/all"))
    post.endpoint(receiver.url("/bolt"), account="bolt")
    assert 2 == finalize(post.engine, OCTOBER, CLOSED, batch=1).issued
    assert 0 == finalize(post.engine, OCTOBER, CLOSED).issued
    assert 3 == post.round().delivered
    told = [each.verified(secret) for each in receiver.requests if each.path == "/all"]
    assert {
        "type": "invoice.issued",
        "timestamp": "2026-11-04T00:00:00Z",
        "data": {
            "number": "INV-000001",
            "legal_entity": "",
            "account": "acme",
            "period": "2026-10",
            "currency": "USD",
            "total": "0.40",
            "lines": 1,
            "issued_on": "2026-11-04",
            "due_on": "2026-12-04",
        },
    } == told[0]
    assert ["acme", "bolt"] == [each["data"]["account"] for each in told]
    assert 1 == [each.path for each in receiver.requests].count("/bolt")


def test_where_nobody_listens_finalizing_writes_no_message(post: Post, shop: Shop) -> None:
    assert 2 == finalize(post.engine, OCTOBER, CLOSED).issued
    assert [(0,)] == shop.rows("SELECT count(*) FROM webhook_messages")


def test_a_credit_note_is_told_with_what_it_corrects(post: Post, shop: Shop, receiver: Receiver) -> None:
    finalize(post.engine, OCTOBER, CLOSED)
    at = NOVEMBER.closes + GRACE
    shop.post({"id": "call-1", "revision": 2, "void": True}, at=at)
    post.endpoint(receiver.url())
    draw_up(shop.engine, products(), NOVEMBER, at, write=True)
    assert 1 == finalize(post.engine, NOVEMBER, at).issued
    with snapshot(post.engine) as connection:
        (told,) = listed_deliveries(connection)
        body = body_of(connection, told.message) or ""
    assert ("credit_note.issued", "CN-000001", "bolt") == (told.type, told.subject, told.account)
    assert '"total":"-0.20"' in body
    assert '"corrects":"INV-000002","reason":"correction","origin_period":"2026-10"' in body


def test_invoices_that_are_not_issued_after_all_are_not_told(
    post: Post, shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.endpoint(receiver.url())

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("billing.flows.finalize._audit", fail)  # the last step of the transaction
    with pytest.raises(KeyboardInterrupt):
        finalize(post.engine, OCTOBER, CLOSED)
    assert [(0, 0)] == shop.rows("SELECT (SELECT count(*) FROM invoices), (SELECT count(*) FROM webhook_messages)")
