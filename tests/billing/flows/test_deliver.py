"""Deliveries over real HTTP: each message arrives, is tried again, or is a dead letter; nothing twice without need."""

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, NoReturn

import psycopg
import pytest

from billing.accounts import Account, AccountId
from billing.errors import InputFaultyError
from billing.flows.deliver import LEASE, Delivered, deliver, deliver_all, forget_ended
from billing.flows.publish import add_accounts
from billing.flows.webhooks import (
    add_endpoint,
    change_endpoint,
    disable,
    enable,
    remove,
    replay_between,
    replay_message,
    rotate,
    send_test,
)
from billing.outbound.webhooks import Sender
from billing.store.deliveries import claim, give_back, lock_delivery
from billing.store.engine import open_engine, rehearsal, snapshot, transaction
from billing.store.queries.webhooks import listed_deliveries, listed_endpoints, listed_tries
from billing.store.webhooks import emit, lock_endpoint
from billing.webhooks import (
    FAILING_FOR,
    KEPT,
    RETRY_AFTER,
    Answer,
    EndpointAsked,
    EndpointDisabledError,
    EndpointUnchangedError,
    EndpointUnknownError,
    Message,
    MessageType,
    Outgoing,
)
from tests.hooking import HOME, START, Clock, Post, Receiver, Request, least, receiving, reply
from tests.shop import Shop, account


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def post(shop: Shop) -> Post:
    return Post(engine=shop.engine)


def states(post: Post, endpoint: str = "") -> list[tuple[str, str, int]]:
    with snapshot(post.engine) as connection:
        return [(d.subject, d.state, d.tries) for d in listed_deliveries(connection, endpoint=endpoint)]


def by(what: str) -> dict[str, Any]:
    return {"at": START, "actor": what}


def test_what_is_told_arrives_once_signed_and_is_delivered(post: Post, receiver: Receiver) -> None:
    _, secret = post.endpoint(receiver.url())
    assert 2 == post.tell("a", "b")
    assert Delivered(delivered=2) == post.round()
    assert Delivered() == post.round()
    assert [
        {"type": "usage.trigger.fired", "timestamp": "2026-11-21T12:00:00Z", "data": {"subject": each}} for each in "ab"
    ] == [each.verified(secret) for each in sorted(receiver.requests, key=lambda each: each.body)]
    assert [("b", "delivered", 1), ("a", "delivered", 1)] == states(post)


def test_where_nobody_listens_nothing_is_written(post: Post, shop: Shop, receiver: Receiver) -> None:
    assert 0 == post.tell("a")
    id_, _ = post.endpoint(receiver.url())
    remove(post.engine, id_, **by("ops"))
    assert 0 == post.tell("b")
    assert [(0,)] == shop.rows("SELECT count(*) FROM webhook_messages")


def test_a_message_is_told_with_what_it_tells_of_or_not_at_all(post: Post, receiver: Receiver) -> None:
    post.endpoint(receiver.url())
    message = Message(type=MessageType.TRIGGER_FIRED, subject="a", account="", at=START, data={})
    with rehearsal(post.engine) as connection:
        assert 1 == emit(connection, [message])
    assert Delivered() == post.round()
    assert 1 == post.tell("a")


def test_the_same_subject_is_told_once(post: Post, receiver: Receiver) -> None:
    post.endpoint(receiver.url())
    assert [1, 0, 1] == [post.tell("a"), post.tell("a"), post.tell("a", "b")]
    assert 2 == post.round().delivered
    assert 1 == post.tell("a", type_=MessageType.INVOICE_ISSUED), "of another type it is something else"


def test_an_endpoint_gets_what_it_wants_of_the_accounts_it_is_for(post: Post, shop: Shop, receiver: Receiver) -> None:
    sales = Account(id=AccountId("acme-sales"), parent="acme", pays=False, currency="")
    add_accounts(shop.engine, [account("acme"), account("other"), sales], at=START, actor="ops")
    post.endpoint(receiver.url("/all"))
    post.endpoint(receiver.url("/acme"), account="acme")
    post.endpoint(receiver.url("/sales"), account="acme-sales")
    post.endpoint(receiver.url("/bills"), "invoice.issued", account="acme")
    post.tell("1", account="acme")
    post.tell("2", account="acme-sales")
    post.tell("3", account="other")
    post.tell("4")
    post.tell("5", type_=MessageType.INVOICE_ISSUED, account="acme")
    post.tell("6", type_=MessageType.ENDPOINT_DISABLED, account="acme")
    while post.round().tried:
        pass
    got = Counter((each.path, each.body.split(b'"subject":"')[1][:1].decode()) for each in receiver.requests)
    assert {
        "/all": list("123456"),
        "/acme": list("125"),
        "/sales": ["2"],
        "/bills": ["5"],
    } == {path: sorted(s for p, s in got if p == path) for path in ("/all", "/acme", "/sales", "/bills")}
    assert {1} == {*got.values()}


def test_an_account_that_nobody_knows_has_no_endpoint(post: Post, receiver: Receiver) -> None:
    with pytest.raises(InputFaultyError, match='account "nobody": is not known'):
        post.endpoint(receiver.url(), account="nobody")


# --- failures -----------------------------------------------------------------------------------------------


def hang(_: Request, handler: BaseHTTPRequestHandler) -> None:
    """Never answers; ends when the other side has left."""
    handler.connection.recv(1)


@pytest.mark.parametrize("trouble", ["500", "timeout", "refused", "cut", "redirect"])
def test_what_failed_is_tried_again_with_the_same_id_until_it_arrives(
    post: Post, receiver: Receiver, trouble: str
) -> None:
    port = receiver.port
    id_, secret = post.endpoint(receiver.url())
    sender = Sender(reach=HOME, seconds=0.3)
    post = Post(engine=post.engine, clock=post.clock, sender=sender)
    match trouble:
        case "500":
            receiver.answers(500)
        case "timeout":
            receiver.answer = hang
        case "cut":
            receiver.answer = lambda _, handler: handler.connection.close()
        case "redirect":
            receiver.answers(302, Location=receiver.url("/elsewhere"))
        case "refused":
            change_endpoint(post.engine, id_, url="http://127.0.0.1:1/", reach=HOME, **by("ops"))
    post.tell("a")
    assert Delivered(retried=1) == post.round()
    assert [("a", "retry", 1)] == states(post)
    post.clock.forward(timedelta(seconds=4))
    assert Delivered() == post.round(), "not before its time"
    post.clock.forward(timedelta(seconds=2))
    receiver.answers(200)
    change_endpoint(post.engine, id_, url=f"http://127.0.0.1:{port}/hooks", reach=HOME, **by("ops"))
    assert Delivered(delivered=1) == post.round()
    assert 1 == len({*receiver.ids})
    assert {"subject": "a"} == receiver.requests[-1].verified(secret)["data"]
    assert [("a", "delivered", 2)] == states(post)


def exhaust(post: Post) -> list[Delivered]:
    done = [post.round()]
    for wait in RETRY_AFTER:
        post.clock.forward(wait)
        done.append(post.round())
    return done


def test_after_the_last_try_a_message_is_a_dead_letter_and_replayed_it_arrives(post: Post, receiver: Receiver) -> None:
    id_, _ = post.endpoint(receiver.url())
    receiver.answers(503, b"down for maintenance")
    post.tell("a")
    assert [Delivered(retried=1)] * 9 + [Delivered(dead=1)] == exhaust(post)
    post.clock.forward(timedelta(days=30))
    assert Delivered() == post.round()
    assert [("a", "dead", 10)] == states(post)
    with snapshot(post.engine) as connection:
        (dead,) = listed_deliveries(connection, states=["dead"])
        tries = listed_tries(connection, id_, dead.message)
    assert ([503] * 10, "down for maintenance") == ([each.status for each in tries], tries[-1].said)
    receiver.answers(200)
    assert replay_message(post.engine, id_, dead.message, at=post.clock(), actor="ops")
    assert not replay_message(post.engine, id_, dead.message, at=post.clock(), actor="ops"), "it is under way"
    assert Delivered(delivered=1) == post.round()
    assert {dead.message} == {*receiver.ids}
    assert [("a", "delivered", 11)] == states(post)


def test_a_replayed_letter_has_all_its_tries_anew(post: Post, receiver: Receiver) -> None:
    id_, _ = post.endpoint(receiver.url())
    receiver.answers(500)
    post.tell("a")
    exhaust(post)
    replay_message(post.engine, id_, receiver.ids[0], at=post.clock(), actor="ops")
    assert [Delivered(retried=1)] * 8 == exhaust(post)[:8]


def test_gone_ends_an_endpoint_and_the_operator_is_told(post: Post, receiver: Receiver) -> None:
    with receiving() as operator:
        gone, _ = post.endpoint(receiver.url(), "usage.trigger.fired")
        _, secret = post.endpoint(operator.url(), "webhook.disabled")
        receiver.answers(410)
        post.tell("a", "b")
        assert Delivered(dead=1, disabled=(gone,)) == post.round()
        assert Delivered(delivered=1) == post.round()
        told = operator.requests[0].verified(secret)
    assert ("webhook.disabled", gone, "gone") == (told["type"], told["data"]["endpoint"], told["data"]["reason"])
    assert [("b", "dead", 0), ("a", "dead", 1)] == states(post, gone)
    assert 1 == len(receiver.requests)
    post.tell("c")
    assert [("b", "dead", 0), ("a", "dead", 1)] == states(post, gone), "what is told meanwhile does not wait for it"


def test_an_endpoint_that_takes_nothing_for_long_is_disabled_and_what_it_missed_is_replayed(
    post: Post, receiver: Receiver
) -> None:
    id_, _ = post.endpoint(receiver.url())
    receiver.answers(500)
    begun = post.clock()
    post.tell("a")
    post.round()
    post.clock.forward(FAILING_FOR - timedelta(seconds=1))
    post.tell("b")
    assert () == post.round().disabled
    post.clock.forward(timedelta(seconds=1))
    post.tell("c")
    disabled = [post.round().disabled for _ in range(2)]
    assert (id_,) in disabled
    with snapshot(post.engine) as connection:
        (listed,) = listed_endpoints(connection, post.clock())
    assert ("failing", begun, 0, 3) == (listed.disabled_why, listed.failing_since, listed.waiting, listed.dead)
    post.tell("d")
    with pytest.raises(EndpointDisabledError, match="webhooks enable"):
        replay_between(post.engine, id_, begun, post.clock(), **by("ops"))
    enable(post.engine, id_, **by("ops"))
    receiver.answers(200)
    receiver.requests.clear()
    until = post.clock() + timedelta(seconds=1)
    # Four alarms, and that the endpoint itself was disabled.
    assert 5 == replay_between(post.engine, id_, begun, until, at=post.clock(), actor="ops")
    assert 5 == post.round().delivered
    assert 5 == len({*receiver.ids})
    assert {"delivered"} == {state for _, state, _ in states(post)}


def test_one_arrival_begins_the_count_of_failing_anew(post: Post, receiver: Receiver) -> None:
    post.endpoint(receiver.url())
    receiver.answers(500)
    post.tell("a")
    post.round()
    post.clock.forward(FAILING_FOR)
    receiver.answers(200)
    assert 1 == post.round().delivered
    receiver.answers(500)
    post.tell("b")
    assert () == post.round().disabled


def test_what_is_left_of_a_turn_after_a_failure_is_given_back(post: Post, receiver: Receiver) -> None:
    """An endpoint that hangs costs one wait a round; its messages are due at once in the next."""
    post.endpoint(receiver.url())
    receiver.answers(500)
    post.tell("a", "b", "c")
    assert Delivered(retried=1) == post.round()
    receiver.answers(200)
    assert Delivered(delivered=2) == post.round()


def test_who_gives_back_and_who_disables_never_wait_for_each_other(post: Post, receiver: Receiver) -> None:
    """Both change many deliveries, each in an order of its own: whoever has locked the endpoint is alone."""
    id_, _ = post.endpoint(receiver.url())
    post.tell("a", "b")
    with transaction(post.engine) as connection:
        first, second = claim(connection, START, START + LEASE, turn=10, most=10)

    def giving_back() -> None:
        with transaction(post.engine) as connection:
            give_back(connection, [first, second])

    worker = threading.Thread(target=giving_back)
    with transaction(post.engine) as connection:
        assert lock_endpoint(connection, id_) is not None
        lock_delivery(connection, second)
        worker.start()
        time.sleep(0.2)
        assert lock_delivery(connection, first).claimed
    worker.join()
    assert Delivered(delivered=2) == post.round()


def test_who_asks_to_be_left_alone_is_with_all_that_is_told_there(post: Post, receiver: Receiver) -> None:
    id_, _ = post.endpoint(receiver.url())
    receiver.answer = lambda _, handler: reply(handler, 429, b"", **{"Retry-After": "600"})
    post.tell("a", "b")
    assert Delivered(retried=1) == post.round()
    receiver.answers(204)
    post.clock.forward(timedelta(seconds=599))
    assert Delivered() == post.round(), "neither is tried, though one was never, and the other is due after 5 s"
    assert Delivered(delivered=1) == post.round(only=(id_, post_of(post, "b"))), "a person may"
    post.clock.forward(timedelta(seconds=1))
    assert Delivered(delivered=1) == post.round()


def test_who_is_enabled_again_is_not_left_alone_for_what_it_asked_before(post: Post, receiver: Receiver) -> None:
    id_, _ = post.endpoint(receiver.url())
    receiver.answer = lambda _, handler: reply(handler, 503, b"", **{"Retry-After": "3600"})
    post.tell("a")
    post.round()
    receiver.answers(204)
    disable(post.engine, id_, **by("ops"))
    enable(post.engine, id_, **by("ops"))
    post.tell("b")
    assert Delivered(delivered=1) == post.round()


def post_of(post: Post, subject: str) -> str:
    """The message about a subject."""
    with snapshot(post.engine) as connection:
        return next(each.message for each in listed_deliveries(connection) if each.subject == subject)


def test_what_failed_is_tried_later_by_chance_and_never_sooner(post: Post, receiver: Receiver) -> None:
    post.endpoint(receiver.url())
    receiver.answers(500)
    post.tell("a")
    post.round(chance=lambda most: most - 1)
    with snapshot(post.engine) as connection:
        assert post.clock() + RETRY_AFTER[0] * 6 / 5 == listed_deliveries(connection)[0].next_at


def test_what_ended_long_ago_is_forgotten_with_its_tries_and_not_told_again(
    post: Post, shop: Shop, receiver: Receiver
) -> None:
    id_, _ = post.endpoint(receiver.url())
    post.tell("old")
    post.round()
    post.clock.forward(timedelta(days=1))
    post.tell("new")
    post.round()
    assert 0 == forget_ended(post.engine, START + KEPT)
    post.clock.forward(KEPT - timedelta(days=1) + timedelta(seconds=1))
    assert 2 == forget_ended(post.engine, post.clock()), "a try and a delivery"
    assert [("new", "delivered", 1)] == states(post)
    assert [(1,)] == shop.rows("SELECT count(*) FROM webhook_attempts")
    assert [0, 0] == [post.tell("old"), forget_ended(post.engine, post.clock())]
    again = {"at": post.clock(), "actor": "ops", "delivered": True}
    assert 1 == replay_between(post.engine, id_, START, post.clock(), **again), "what is forgotten may have arrived"  # type: ignore[arg-type]


def test_a_delivery_that_is_open_is_not_forgotten(post: Post, receiver: Receiver) -> None:
    post.endpoint(receiver.url())
    post.tell("a")
    forget_ended(post.engine, START + 2 * KEPT)
    assert [("a", "pending", 0)] == states(post)


def test_all_that_is_due_is_sent_in_rounds_that_leave_the_dead_alone(post: Post, receiver: Receiver) -> None:
    with receiving() as broken:
        broken.answers(500)
        post.endpoint(broken.url())
        post.endpoint(receiver.url())
        post.tell(*(f"m{n}" for n in range(250)))
        done = deliver_all(post.engine, post.sender, post.clock, least)
        assert (250, 0, 250) == (done.delivered, done.dead, len({*receiver.ids}))
        assert done.retried == len(broken.requests) < 10


def test_an_endpoint_that_hangs_holds_no_other_up(post: Post, receiver: Receiver) -> None:
    with receiving() as slow:
        released = threading.Event()

        def wait(_: Request, handler: BaseHTTPRequestHandler) -> None:
            released.wait(5)
            reply(handler, 200)

        slow.answer = wait
        post.endpoint(slow.url())
        post.endpoint(receiver.url())
        post.tell("a")
        worker = threading.Thread(target=post.round)
        worker.start()
        for _ in range(200):
            if receiver.requests:
                break
            worker.join(0.01)
        assert (1, True) == (len(receiver.requests), worker.is_alive())
        released.set()
        worker.join()


# --- two workers, and one that is killed ---------------------------------------------------------------------


def test_two_workers_at_once_deliver_each_message_once(post: Post, receiver: Receiver) -> None:
    post.endpoint(receiver.url("/one"))
    post.endpoint(receiver.url("/two"))
    post.tell(*(f"m{n}" for n in range(100)))
    engines = [open_engine(post.engine.url.render_as_string(hide_password=False)) for _ in range(4)]
    done: list[Delivered] = []

    def work(number: int) -> None:
        while (found := deliver(engines[number], post.sender, post.clock, least, turn=3, most=7)).tried:
            done.append(found)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert 200 == sum(each.delivered for each in done) == len(receiver.requests)
    assert {1} == {*Counter((each.path, each.id) for each in receiver.requests).values()}
    for engine in engines:
        engine.dispose()


def work_until_killed(url: str) -> None:
    """Deliver in a process of its own, which dies where the answer is known and not yet noted."""
    sender = Sender(reach=HOME, seconds=5)

    def send(message: Outgoing, at: datetime) -> NoReturn:
        sender(message, at)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    deliver(open_engine(url), send, Clock(), least)


def test_a_worker_that_is_killed_between_sending_and_noting_leads_to_the_same_id_again(
    post: Post, receiver: Receiver
) -> None:
    post.endpoint(receiver.url())
    post.tell("a")
    url = post.engine.url.render_as_string(hide_password=False)
    worker = multiprocessing.get_context("spawn").Process(target=work_until_killed, args=(url,))
    worker.start()
    worker.join()
    assert (-signal.SIGKILL, 1) == (worker.exitcode, len(receiver.requests))
    assert Delivered() == post.round(), "the claim still holds"
    post.clock.forward(LEASE)
    assert Delivered(delivered=1) == post.round()
    assert (2, 1) == (len(receiver.ids), len({*receiver.ids}))
    assert {b"a"} == {each.body.split(b'"subject":"')[1][:1] for each in receiver.requests}


@pytest.mark.parametrize("late", [500, 200])
def test_what_a_late_worker_notes_of_a_claim_that_ended_undoes_nothing(
    post: Post, receiver: Receiver, late: int
) -> None:
    """What it was answered is kept as a try; the delivery stays as the one who took it over left it."""
    post.endpoint(receiver.url())
    post.tell("a")

    def send(message: Outgoing, at: datetime) -> Answer:
        first = not receiver.requests
        answer = post.sender(message, at)
        if first:
            post.clock.forward(LEASE)
            assert Delivered(delivered=1) == post.round()
        return answer

    receiver.answer = lambda _, handler: reply(handler, late if len(receiver.requests) == 1 else 200)
    deliver(post.engine, send, post.clock, least)
    assert [("a", "delivered", 2)] == states(post)


def test_a_late_failure_counts_for_nothing_where_another_worker_took_over(post: Post, receiver: Receiver) -> None:
    """It had its try, which is listed; the schedule is that of the one whose claim it is now."""
    post.endpoint(receiver.url())
    post.tell("a")
    receiver.answers(500)

    def send(message: Outgoing, at: datetime) -> Answer:
        post.clock.forward(LEASE)
        assert Delivered(retried=1) == post.round()
        return post.sender(message, at)

    deliver(post.engine, send, post.clock, least)
    assert [("a", "retry", 2)] == states(post)
    with snapshot(post.engine) as connection:
        assert post.clock() + RETRY_AFTER[0] == listed_deliveries(connection)[0].next_at


# --- what a person does --------------------------------------------------------------------------------------


def test_a_new_secret_signs_at_once_and_the_old_one_until_the_overlap_ends(post: Post, receiver: Receiver) -> None:
    id_, old = post.endpoint(receiver.url())
    new = rotate(post.engine, id_, at=post.clock(), actor="ops")
    post.tell("a")
    post.round()
    assert [receiver.requests[0].verified(each)["data"] for each in (old, new)] == [{"subject": "a"}] * 2
    post.clock.forward(timedelta(hours=24))
    post.tell("b")
    post.round()
    assert (1, {"subject": "b"}) == (
        len(receiver.requests[1].headers["webhook-signature"].split()),
        receiver.requests[1].verified(new)["data"],
    )


def test_an_overlap_of_nothing_ends_a_secret_that_leaked_now(post: Post, receiver: Receiver) -> None:
    id_, _ = post.endpoint(receiver.url())
    rotate(post.engine, id_, at=post.clock(), actor="ops", overlap=timedelta())
    post.tell("a")
    post.round()
    assert 1 == len(receiver.requests[0].headers["webhook-signature"].split())


def test_a_test_message_goes_to_one_endpoint_whatever_it_wants(post: Post, receiver: Receiver) -> None:
    id_, _ = post.endpoint(receiver.url("/one"), "invoice.issued")
    post.endpoint(receiver.url("/other"))
    message = send_test(post.engine, id_, at=post.clock(), actor="ops")
    post.tell("a")
    assert 1 == post.round(only=(id_, message)).delivered
    assert [("/one", message)] == [(each.path, each.id) for each in receiver.requests]


def test_replay_of_a_time_sends_what_did_not_arrive_and_if_asked_what_did(post: Post, receiver: Receiver) -> None:
    post.tell("before there was anybody")
    id_, _ = post.endpoint(receiver.url(), "usage.trigger.fired")
    post.tell("a")
    post.round()
    post.tell("invoice", type_=MessageType.INVOICE_ISSUED)
    later = post.clock() + timedelta(hours=1)
    assert 0 == replay_between(post.engine, id_, START, later, **by("ops"))
    assert 1 == replay_between(post.engine, id_, START, later, **by("ops"), delivered=True)
    assert 0 == replay_between(post.engine, id_, START - timedelta(hours=1), START, **by("ops"), delivered=True)
    post.round()
    assert (2, 1) == (len(receiver.ids), len({*receiver.ids}))


def test_what_somebody_disables_gets_nothing_and_says_so(post: Post, receiver: Receiver) -> None:
    id_, _ = post.endpoint(receiver.url())
    post.tell("a")
    assert 1 == disable(post.engine, id_, **by("ops"))
    assert Delivered() == post.round()
    with pytest.raises(EndpointUnchangedError):
        disable(post.engine, id_, **by("ops"))
    with pytest.raises(EndpointDisabledError):
        send_test(post.engine, id_, **by("ops"))
    assert START == enable(post.engine, id_, **by("ops"))
    with pytest.raises(EndpointUnchangedError):
        enable(post.engine, id_, **by("ops"))


def test_what_is_told_just_while_an_endpoint_is_disabled_waits_until_it_is_enabled(
    post: Post, receiver: Receiver
) -> None:
    id_, _ = post.endpoint(receiver.url())
    message = Message(type=MessageType.TRIGGER_FIRED, subject="a", account="", at=START, data={})
    with transaction(post.engine) as connection:
        emit(connection, [message])
        assert 0 == disable(post.engine, id_, **by("ops")), "it does not see what is not committed"
    assert Delivered() == post.round()
    enable(post.engine, id_, **by("ops"))
    assert Delivered(delivered=1) == post.round()


def test_what_is_removed_is_unknown_and_its_secrets_are_gone(post: Post, shop: Shop, receiver: Receiver) -> None:
    id_, _ = post.endpoint(receiver.url())
    rotate(post.engine, id_, **by("ops"))
    post.tell("a")
    remove(post.engine, id_, **by("ops"))
    assert Delivered() == post.round()
    assert [("", "")] == shop.rows("SELECT secret, old_secret FROM webhook_endpoints")
    for name in (id_, "ep_nobody"):
        with pytest.raises(EndpointUnknownError):
            rotate(post.engine, name, **by("ops"))


def test_an_endpoint_that_cannot_be_posted_to_is_not_added(post: Post, shop: Shop) -> None:
    for url in ("https://10.0.0.1/", "http://example.com/", "https://[::1]/"):
        with pytest.raises(InputFaultyError):
            add_endpoint(post.engine, EndpointAsked(url=url), **by("ops"))
    assert [(0,)] == shop.rows("SELECT count(*) FROM webhook_endpoints")


def test_messages_stay_as_they_were_told(post: Post, receiver: Receiver) -> None:
    post.endpoint(receiver.url())
    post.tell("a")
    for change in ("UPDATE webhook_messages SET body = body", "DELETE FROM webhook_messages"):
        with pytest.raises(psycopg.errors.RestrictViolation), transaction(post.engine) as connection:
            connection.execute(change.encode())


def test_secrets_are_in_no_audit_entry(post: Post, shop: Shop, receiver: Receiver) -> None:
    id_, secret = post.endpoint(receiver.url())
    new = rotate(post.engine, id_, **by("ops"))
    said = " ".join(str(row) for row in shop.rows("SELECT action, subject, details::text FROM audit_log"))
    assert "webhooks.add" in said
    assert "webhooks.rotate" in said
    assert not any(each in said for each in (secret, new, "whsec_"))
