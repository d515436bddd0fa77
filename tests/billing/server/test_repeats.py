"""A POST with an Idempotency-Key is done once."""

import asyncio
from asyncio import to_thread
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from billing.flows.repeat import Asked, Kept, answered, at_work, begin, forget_old, unanswered
from billing.server.repeats import Repeats
from billing.store.engine import Engine, snapshot
from tests.answering import OPERATOR, Answering, answering, keys
from tests.hooking import Clock
from tests.shop import AT

ACCOUNT = {"accounts": [{"id": "acme", "currency": "USD"}]}
OTHER = {"accounts": [{"id": "zen", "currency": "USD"}]}


@pytest.fixture
def api(engine: Engine) -> Iterator[Answering]:
    with answering(engine, keys()) as running:
        yield running


def post(api: Answering, name: str, body: object, key: str = "operator") -> httpx.Response:
    with api.client(key) as client:
        return client.post("/v1/accounts", json=body, headers={"Idempotency-Key": name})


def test_the_same_request_again_gets_the_same_answer(api: Answering) -> None:
    first, again = post(api, "order-1", ACCOUNT), post(api, "order-1", ACCOUNT)
    assert first.is_success
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert [None, "true"] == [each.headers.get("Idempotency-Replayed") for each in (first, again)]


def test_a_refusal_is_given_again_too(api: Answering) -> None:
    first, again = post(api, "order-1", {"accounts": [{"id": ""}]}), post(api, "order-1", {"accounts": [{"id": ""}]})
    assert (422, "true") == (first.status_code, again.headers.get("Idempotency-Replayed"))


@pytest.mark.parametrize("path", ["/v1/unheard-of", "/v1/runs/2026-10/approve", "/v1/usage"])
def test_what_is_not_there_may_come_and_is_not_kept(api: Answering, engine: Engine, path: str) -> None:
    """Any key could fill the table with what is nowhere, a customer's too."""
    with api.client() as client:
        answers = [client.post(path, json={}, headers={"Idempotency-Key": "order-1"}) for _ in range(2)]
    assert {404, 405} >= {each.status_code for each in answers}
    assert ["Idempotency-Replayed" in each.headers for each in answers] == [False, False]
    with snapshot(engine) as connection:
        assert [] == connection.execute("SELECT FROM repeats").fetchall()


def test_another_request_under_the_name_is_refused(api: Answering) -> None:
    post(api, "order-1", ACCOUNT)
    answer = post(api, "order-1", OTHER)
    assert (422, "urn:tollbook:problem:idempotency-key-reused") == (answer.status_code, answer.json()["type"])


def test_names_are_each_callers_own(api: Answering) -> None:
    post(api, "order-1", ACCOUNT)
    assert "Idempotency-Replayed" not in post(api, "order-1", OTHER, "finance").headers


def test_of_many_at_once_one_is_done(api: Answering) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: post(api, "order-1", ACCOUNT), range(8)))
    first = [each for each in found if each.is_success and "Idempotency-Replayed" not in each.headers]
    assert 1 == len(first)
    assert {first[0].status_code, 409} >= {each.status_code for each in found}


def test_what_is_not_allowed_may_be_asked_again_with_another_key(api: Answering) -> None:
    assert 403 == post(api, "order-1", ACCOUNT, "read").status_code
    assert "Idempotency-Replayed" not in post(api, "order-1", ACCOUNT, "read").headers


def test_a_claim_whose_process_was_killed_is_taken_over_after_some_minutes(engine: Engine, api: Answering) -> None:
    asked = Asked(1, "order-1", b"x" * 32)
    assert api.world.engine is engine
    assert 1 == begin(engine, asked, AT)
    assert Kept(asked.sha256, None, "", b"") == begin(engine, asked, AT + timedelta(minutes=4))
    assert 2 == begin(engine, asked, AT + timedelta(minutes=6))


def test_who_was_taken_for_dead_answers_nothing_in_the_place_of_who_took_over(engine: Engine, api: Answering) -> None:
    asked = Asked(1, "order-1", b"x" * 32)
    assert api.world.engine is engine
    first = begin(engine, asked, AT)
    late = AT + timedelta(minutes=6)
    second = begin(engine, asked, late)
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert [False, True] == [at_work(engine, asked, turn, late) for turn in (first, second)]
    unanswered(engine, asked, first)
    answered(engine, asked, first, 200, "text/plain", b"first")
    assert Kept(asked.sha256, None, "", b"") == begin(engine, asked, late)
    answered(engine, asked, second, 200, "text/plain", b"second")
    assert Kept(asked.sha256, 200, "text/plain", b"second") == begin(engine, asked, late)


def test_work_that_takes_long_is_not_begun_a_second_time(api: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve minutes of it, as this clock has them; once its process says nothing for five, it may be."""
    monkeypatch.setattr("billing.server.repeats.SAID_EVERY", timedelta(milliseconds=10))
    clock, times, begun, done = Clock(AT), list[int](), asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        times.append(1)
        begun.set()
        await done.wait()
        await PlainTextResponse("done")(scope, receive, send)

    repeats = Repeats(slow, replace(api.world, clock=clock))

    async def ask() -> httpx.Response:
        headers = {"Idempotency-Key": "run-1", "Authorization": f"Bearer {api.tokens[OPERATOR]}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=repeats), base_url="http://here") as client:
            return await client.post("/v1/runs", headers=headers)

    async def seen() -> None:
        """Wait until the process was seen at work by this clock."""
        while (await to_thread(_seen, api.world.engine)) < clock.at:  # noqa: ASYNC110 (the database tells nobody)
            await asyncio.sleep(0.005)

    async def meanwhile() -> list[httpx.Response]:
        first = asyncio.create_task(ask())
        await begun.wait()
        found = []
        for _ in range(4):
            clock.at += timedelta(minutes=3)
            await asyncio.wait_for(seen(), 30)
            found.append(await ask())
        done.set()
        return [*found, await first, await ask()]

    *refused, first, again = asyncio.run(meanwhile())
    assert [409] * 4 == [each.status_code for each in refused]
    assert [(200, "done", None), (200, "done", "true")] == [
        (each.status_code, each.text, each.headers.get("Idempotency-Replayed")) for each in (first, again)
    ]
    assert [1] == times


def _seen(engine: Engine) -> datetime:
    with snapshot(engine) as connection:
        (row,) = connection.execute("SELECT seen_at FROM repeats").fetchall()
    at: datetime = row[0]
    return at


def test_answers_are_forgotten_after_a_day(engine: Engine, api: Answering) -> None:
    post(api, "order-1", ACCOUNT)
    assert 0 == forget_old(engine, AT + timedelta(hours=23))
    assert 1 == forget_old(engine, AT + timedelta(hours=25))


def test_a_name_that_is_none_is_refused(api: Answering) -> None:
    assert 400 == post(api, "x" * 201, ACCOUNT).status_code


def test_a_refusal_that_the_books_give_is_given_again_too(api: Answering) -> None:
    """It is no fault of the request's form: it is said by what the request is for."""
    orphan = {"accounts": [{"id": "acme", "parent": "nowhere", "pays": False}]}
    first, again = post(api, "order-1", orphan), post(api, "order-1", orphan)
    assert (422, None) == (first.status_code, first.headers.get("Idempotency-Replayed"))
    assert (422, "true", first.content) == (again.status_code, again.headers.get("Idempotency-Replayed"), again.content)
    assert "urn:tollbook:problem:idempotency-key-reused" == post(api, "order-1", OTHER).json()["type"]
