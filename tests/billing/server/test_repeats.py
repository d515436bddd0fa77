"""A POST with an Idempotency-Key is done once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from billing.flows.repeat import Asked, begin, forget_old
from billing.store.engine import Engine, snapshot
from tests.answering import Answering, answering, keys
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
    assert begin(engine, asked, AT) is None
    assert begin(engine, asked, AT + timedelta(minutes=4)) is not None
    assert begin(engine, asked, AT + timedelta(minutes=6)) is None


def test_answers_are_forgotten_after_a_day(engine: Engine, api: Answering) -> None:
    post(api, "order-1", ACCOUNT)
    assert 0 == forget_old(engine, AT + timedelta(hours=23))
    assert 1 == forget_old(engine, AT + timedelta(hours=25))


def test_a_name_that_is_none_is_refused(api: Answering) -> None:
    assert 400 == post(api, "x" * 201, ACCOUNT).status_code
