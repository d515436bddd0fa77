"""`POST /v1/events`: every form of a body, what became of each event, and what is a fault of the request as a whole."""

import gzip
import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from billing.charges import SOURCE as CHARGES
from billing.keys import Grant, Scope
from billing.server.bodies import LARGEST_BODY, MOST_EVENTS
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine, transaction
from tests.answering import Answering, answering, keys
from tests.shop import SOURCE, Shop, call, payloads

JSON = {"Content-Type": "application/json"}
_gzipped = partial(gzip.compress, mtime=0)  # of one instant: the name of a test is of its bytes
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def shop(cluster: Cluster, migrated: str) -> Iterator[Shop]:
    engine = open_engine(create_database(cluster, "test_events", migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish()
    shop.admit("acme")
    try:
        yield shop
    finally:
        engine.dispose()
        drop_database(cluster, "test_events")


@pytest.fixture(scope="module")
def api(shop: Shop) -> Iterator[Answering]:
    switch = Grant(name="switch", scopes=frozenset({Scope.INGEST}), source=SOURCE)
    with answering(shop.engine, [*keys("acme"), switch]) as running:
        yield running


@pytest.fixture(autouse=True)
def empty(shop: Shop) -> None:
    shop.forget()


def send(api: Answering, content: bytes, headers: Mapping[str, str] = JSON, key: str = "switch") -> httpx.Response:
    with api.client(key) as client:
        return client.post("/v1/events", content=content, headers=headers)


def results(answer: httpx.Response) -> list[str]:
    return [each["result"] for each in answer.json()["results"]]


def cloud(number: int, **changes: object) -> dict[str, object]:
    """A call as a CloudEvent."""
    data = {"to": "+447700900123", "duration_seconds": "61"}
    return {
        "specversion": "1.0", "source": SOURCE, "id": f"call-{number}", "type": "usage.voice.outbound",
        "subject": "acme", "time": "2026-10-02T10:11:12Z", "data": data,
    } | changes  # fmt: skip


def test_one_event_is_stored_and_told(shop: Shop, api: Answering) -> None:
    answer = send(api, payloads([call(1)])[0])
    assert {
        "results": [{"id": "call-1", "result": "accepted", "revision": 1}],
        "counts": {"accepted": 1},
    } == answer.json()
    assert (200, [("call-1",)]) == (answer.status_code, shop.rows("SELECT id FROM events"))


def test_the_forms_of_a_body_say_the_same(shop: Shop, api: Answering) -> None:
    events = [call(number) for number in range(3)]
    completed = {"to": "+447700900123", "duration_seconds": "61", "status": "completed"}
    bodies = [
        (json.dumps(events, indent=1).encode(), JSON),
        (b"\n".join(payloads(events)), LINES),
        (b"\r\n\n".join(payloads(events)) + b"\n", {"Content-Type": "application/jsonl; charset=utf-8"}),
        (json.dumps(events).encode(), {}),
        (_gzipped(json.dumps(events).encode()), JSON | {"Content-Encoding": "gzip"}),
        (
            b"".join(_gzipped(each + b"\n") for each in payloads(events)),
            LINES | {"Content-Encoding": "gzip"},
        ),
        (
            json.dumps([cloud(number, data=completed) for number in range(3)]).encode(),
            {"Content-Type": "application/cloudevents-batch+json"},
        ),
    ]
    assert [["accepted"] * 3, *[["duplicate"] * 3] * 6] == [results(send(api, *each)) for each in bodies]
    assert [(3,)] == shop.rows("SELECT count(*) FROM events")


def test_one_cloud_event_is_an_event(api: Answering) -> None:
    body, headers = json.dumps(cloud(1)).encode(), {"Content-Type": "application/cloudevents+json"}
    assert ["accepted"] == results(send(api, body, headers))
    assert ["conflict"] == results(send(api, json.dumps(cloud(1, subject="other")).encode(), headers))


def test_each_event_is_answered_for_itself(api: Answering) -> None:
    send(api, payloads([call(1)])[0])
    events = [
        call(1),
        call(1, to="+447700900999"),
        call(2),
        call(2),
        call(3, duration_seconds=-1),
        call(4, account="x"),
    ]
    answer = send(api, json.dumps([*events, call(1, revision=3), call(1, revision=2), 7, []]).encode())
    assert [
        "duplicate", "conflict", "accepted", "duplicate", "rejected", "quarantined", "accepted", "superseded",
        "rejected", "rejected",
    ] == results(answer)  # fmt: skip
    told = answer.json()["results"]
    assert {"id": "call-3", "result": "rejected", "pointer": "/duration_seconds", "reason": told[4]["reason"]} == told[
        4
    ]
    assert ("call-4", "unknown_account", 3) == (told[5]["id"], told[5]["reason"], told[6]["revision"])
    assert (207, 3) == (answer.status_code, answer.json()["counts"]["rejected"])


def test_a_request_of_which_all_was_refused_is_refused(api: Answering) -> None:
    assert 422 == send(api, b'{"id":"call-1"}').status_code
    assert 422 == send(api, b"7").status_code
    send(api, payloads([call(1)])[0])
    assert (422, ["conflict"]) == (
        (answer := send(api, payloads([call(1, to="+447700900999")])[0])).status_code,
        results(answer),
    )


def test_whoever_has_no_source_of_its_own_names_one(api: Answering) -> None:
    assert ["rejected"] == results(send(api, payloads([call(1)])[0], key="ingest"))
    assert ["accepted"] == results(send(api, payloads([call(1, source="voice-us-1")])[0], key="ingest"))
    assert ["rejected"] == results(send(api, payloads([call(2, source="voice-us-1")])[0]))
    assert ["rejected"] == results(send(api, payloads([call(2, source=CHARGES)])[0], key="ingest"))


@pytest.mark.parametrize(
    ("body", "headers", "status", "problem"),
    [
        (b"", JSON, 400, "body-empty"),
        (b" \n", LINES, 422, ""),
        (b"\n\n", LINES, 400, "body-empty"),
        (b"[]", JSON, 400, "body-empty"),
        (b"[1,", JSON, 400, "body-unreadable"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "media-type-unknown"),
        (b"{}", JSON | {"Content-Encoding": "br"}, 415, "encoding-unknown"),
        (b"{}", JSON | {"Content-Encoding": "gzip"}, 400, "body-unreadable"),
        (_gzipped(b"{}")[:-3], JSON | {"Content-Encoding": "gzip"}, 400, "body-unreadable"),
        (b"[" + b"1," * MOST_EVENTS + b"1]", JSON, 413, "events-too-many"),
        (b"1\n" * (MOST_EVENTS + 1), LINES, 413, "events-too-many"),
        (b"1\n" * MOST_EVENTS + b"1", LINES, 413, "events-too-many"),
        (b"1\n" + b"\n" * MOST_EVENTS, LINES, 422, ""),
        (b"\n" * 2_000_000, LINES, 413, "events-too-many"),
        (b"[" + b"1," * 2_000_000 + b"1]", JSON, 413, "events-too-many"),
        (_gzipped(b" " * (LARGEST_BODY + 1)), JSON | {"Content-Encoding": "gzip"}, 413, "body-too-large"),
        (_gzipped(bytes(400 << 20)), JSON | {"Content-Encoding": "gzip"}, 413, "body-too-large"),
    ],
)
def test_a_body_that_is_none_is_a_problem(
    api: Answering, body: bytes, headers: dict[str, str], status: int, problem: str
) -> None:
    answer = send(api, body, headers)
    assert (status, problem) == (
        answer.status_code,
        answer.json().get("type", "").removeprefix("urn:tollbook:problem:"),
    )


@pytest.mark.parametrize("depth", [900, 5_000, 30_000])
def test_what_is_nested_too_deeply_is_its_own_fault(api: Answering, depth: int) -> None:
    deep = b'{"id":"deep","attributes":' + b"[" * depth + b"]" * depth + b"}"
    answer = send(api, b"[" + deep + b", " + payloads([call(1)])[0] + b"]")
    assert (207, ["rejected", "accepted"]) == (answer.status_code, results(answer))
    assert ["rejected"] == results(send(api, deep))


@pytest.mark.parametrize("odd", [b'"\\ud800"', b'"\xff"', b'"\\u0000"', b"1e400", b"NaN", b'{"\\ud800":1}'])
def test_odd_payloads_are_told_and_hide_no_other(api: Answering, odd: bytes) -> None:
    event = payloads([call(1)])[0]
    answer = send(api, b"\n".join([b'{"id":' + odd + b"}", event, b'{"id":"a","' + odd.strip(b'"{}') + b'":1}']), LINES)
    assert ["rejected", "accepted", "rejected"] == results(answer)


@pytest.mark.parametrize(
    ("key", "status"), [("nobody", 401), ("read", 403), ("finance", 403), ("admin", 403), ("acme", 403)]
)
def test_only_reporters_report(shop: Shop, api: Answering, key: str, status: int) -> None:
    event = payloads([call(1, source=SOURCE)])[0]
    assert status == send(api, event, key=key).status_code
    with api.client(key) as client:
        assert status == client.put(f"/v1/events/{SOURCE}/call-1", content=event).status_code
        assert status == client.post(f"/v1/events/{SOURCE}/call-1/void", json={"revision": 2}).status_code
    assert [] == shop.rows("SELECT FROM event_identity")


def test_an_event_is_amended_and_taken_back(shop: Shop, api: Answering) -> None:
    odd = "call/1 é"
    send(api, payloads([call(1, id=odd)])[0])
    path = f"/v1/events/{SOURCE}/call%2F1%20%C3%A9"
    with api.client("switch") as client:
        amended = client.put(path, json=call(1, id=None, revision=2, duration_seconds="120"))
        same = client.put(path, json=call(1, id=odd, source=SOURCE, revision=2, duration_seconds="120"))
        other = client.put(path, json=call(1, id="call-2", revision=2))
        assert [(120,)] == shop.rows("SELECT measured FROM events")
        void = client.post(f"{path}/void", json={"revision": 3})
        again = client.post(f"{path}/void", json={"revision": 3})
        wrong = client.post(f"{path}/void", json={"revision": "3"})
        nothing = client.put(path, content=b"[]")
        bare = client.put(path, content=b"{}")
    assert [["accepted"], ["duplicate"], ["accepted"], ["duplicate"], ["rejected"]] == [
        results(each) for each in (amended, same, void, again, bare)
    ]
    assert [422, 422, 400] == [each.status_code for each in (other, wrong, nothing)]
    assert [] == shop.rows("SELECT FROM events")


def test_many_at_once_are_each_told_their_own(shop: Shop, api: Answering) -> None:
    with ThreadPoolExecutor(16) as pool, api.client("switch") as client:
        answers = list(pool.map(lambda n: client.post("/v1/events", json=call(n % 150)), range(300)))
    assert [f"call-{number % 150}" for number in range(300)] == [a.json()["results"][0]["id"] for a in answers]
    found = [results(answer)[0] for answer in answers]
    assert (150, 150) == (found.count("accepted"), found.count("duplicate"))
    assert [(150,)] == shop.rows("SELECT count(*) FROM events")


def test_nobody_has_an_answer_before_the_commit(shop: Shop, api: Answering) -> None:
    answers: list[httpx.Response] = []
    with transaction(shop.engine) as connection:
        connection.execute("LOCK TABLE written_batches IN ACCESS EXCLUSIVE MODE")
        posting = threading.Thread(target=lambda: answers.append(send(api, payloads([call(1)])[0])))
        posting.start()
        time.sleep(0.5)
        assert ([], [(0,)]) == (answers, shop.rows("SELECT count(*) FROM event_identity"))
    posting.join()
    assert [["accepted"]] == [results(answer) for answer in answers]


def test_what_there_is_no_room_for_is_to_be_sent_again(shop: Shop, api: Answering) -> None:
    large = json.dumps([7] * (MOST_EVENTS - 1)).encode()
    with ThreadPoolExecutor(3) as pool:
        with transaction(shop.engine) as connection:
            connection.execute("LOCK TABLE written_batches IN ACCESS EXCLUSIVE MODE")
            posted = [pool.submit(send, api, large) for _ in range(3)]
            while not (done := [each for each in posted if each.done()]):
                time.sleep(0.05)
            refused = done[0].result()
        found = sorted(each.result().status_code for each in posted)
    assert (503, "urn:tollbook:problem:queue-full") == (refused.status_code, refused.json()["type"])
    assert ([422, 422, 503], True) == (found, int(refused.headers["Retry-After"]) >= 1)


def test_an_accepted_event_that_costs_nothing_says_why(api: Answering) -> None:
    (found,) = send(api, payloads([call(1, status="busy")])[0]).json()["results"]
    assert ("accepted", "status_not_billable") == (found["result"], found["reason"])
