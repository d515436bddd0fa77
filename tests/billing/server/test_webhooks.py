"""The routes of webhooks, over real HTTP; what is sent goes to a real receiver."""

from collections.abc import Iterator

import httpx
import pytest

from billing.flows.deliver import deliver
from tests.answering import Answering, answering, keys
from tests.hooking import HOME, START, Clock, Post, Receiver, least, receiving
from tests.shop import Shop


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def post(shop: Shop) -> Post:
    return Post(engine=shop.engine, clock=Clock())


@pytest.fixture
def running(post: Post, shop: Shop) -> Iterator[Answering]:
    shop.publish()
    shop.admit("acme")
    with answering(post.engine, keys("acme"), START, reach=HOME) as found:
        yield found


@pytest.fixture
def api(running: Answering) -> Iterator[httpx.Client]:
    with running.client("admin") as client:
        client.base_url = httpx.URL(f"{running.url}/v1")
        yield client


def added(api: httpx.Client, url: str, **facts: object) -> dict[str, object]:
    answer = api.post("/webhooks", json={"url": url, **facts})
    assert 201 == answer.status_code, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_an_endpoint_is_added_read_changed_and_removed(api: httpx.Client, receiver: Receiver) -> None:
    new = added(api, receiver.url(), types=["invoice.issued"], description="the ledger")
    secret = new.pop("secret")
    assert {
        "id": new["id"],
        "url": receiver.url(),
        "types": ["invoice.issued"],
        "account": None,
        "description": "the ledger",
        "created_at": "2026-11-21T12:00:00Z",
        "disabled_at": None,
        "disabled_why": None,
        "failing_since": None,
        "two_secrets_until": None,
        "waiting": 0,
        "dead": 0,
    } == new
    assert {"items": [new], "next": None} == api.get("/webhooks").json()
    path = f"/webhooks/{new['id']}"
    assert new == api.get(path).json()
    assert {**new, "types": []} == api.patch(path, json={"types": []}).json()
    rotated = api.post(f"{path}/rotate", json={}).json()
    assert str(rotated["secret"]).startswith("whsec_")
    assert secret != rotated["secret"]
    assert "2026-11-22T12:00:00Z" == api.get(path).json()["two_secrets_until"]
    assert 204 == api.delete(path).status_code
    gone, never = api.get(path), api.get("/webhooks/ep_000000000000000000000000")
    assert (404, gone.content) == (gone.status_code, never.content)
    assert {404} == {
        api.post(f"{path}/{verb}", json={}).status_code for verb in ("rotate", "test", "disable", "enable")
    }


def test_what_was_told_is_listed_and_sent_again(api: httpx.Client, post: Post, receiver: Receiver) -> None:
    endpoint = added(api, receiver.url())
    path = f"/webhooks/{endpoint['id']}"
    receiver.answers(410, b"no more")
    post.tell("a", "b", "c")
    deliver(post.engine, post.sender, post.clock, least)
    assert "gone" == api.get(path).json()["disabled_why"]
    assert 409 == api.post(f"{path}/test").status_code
    first = api.get(f"{path}/deliveries", params={"limit": 2, "state": ["dead", "pending"]}).json()
    rest = api.get(f"{path}/deliveries", params={"limit": 2, "cursor": first["next"]}).json()
    assert ["c", "b", "a", None] == [each["subject"] for each in first["items"] + rest["items"]] + [rest["next"]]
    tried = rest["items"][0]
    assert ("dead", 1, 410, "usage.trigger.fired") == tuple(tried[key] for key in ("state", "tries", "status", "type"))
    in_full = api.get(f"{path}/deliveries/{tried['message']}").json()
    assert [{"at": "2026-11-21T12:00:00Z", "status": 410, "said": "no more", "problem": ""}] == in_full["attempts"]
    assert receiver.requests[0].body.decode() == in_full["body"]
    assert api.post(f"{path}/enable").json()["disabled_at"] is None
    assert 409 == api.post(f"{path}/enable").status_code
    receiver.answers(200)
    assert {"messages": 1} == api.post(f"{path}/deliveries/{tried['message']}/replay").json()
    assert {"messages": 0} == api.post(f"{path}/deliveries/{tried['message']}/replay").json()
    since = {"since": "2026-11-21T12:00:00Z", "until": "2026-11-21T13:00:00+01:00"}
    assert {"messages": 0} == api.post(f"{path}/replay", json=since).json()
    since["until"] = "2026-11-22T00:00:00Z"
    # Two alarms, and that this endpoint, which is told of all, was disabled.
    assert {"messages": 3} == api.post(f"{path}/replay", json=since).json()
    assert 202 == (test := api.post(f"{path}/test")).status_code
    assert 5 == deliver(post.engine, post.sender, post.clock, least).delivered
    assert test.json()["message"] in receiver.ids


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": "https://169.254.169.254/latest"}, "/url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "/url"),
        ({"url": "gopher://example.com/"}, "/url"),
        ({"url": "https://example.com/", "types": ["webhook.test"]}, "/types"),
        ({"url": "https://example.com/", "account": "nobody"}, "/account"),
        ({"url": "https://example.com/", "account": "a\x00"}, "/account"),
        ({"url": "https://example.com/", "secret": "mine"}, "/secret"),
        ({"url": "https://example.com/", "types": "all"}, "/types"),
        ({"url": 1}, "/url"),
        ({}, "/url"),
    ],
)
def test_what_cannot_be_an_endpoint_is_told_with_its_place(
    api: httpx.Client, body: dict[str, object], pointer: str
) -> None:
    answer = api.post("/webhooks", json=body)
    assert (422, pointer) == (answer.status_code, answer.json()["errors"][0]["pointer"])
    assert [] == api.get("/webhooks").json()["items"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": f"msg_{'0' * 32}", "since": "2026-11-21T12:00:00Z"},
        {"since": "2026-11-21T12:00:00Z", "delivered": "yes"},
        {"since": "2026-11-21"},
        {"since": "2026-11-21T12:00:00"},
        {"until": "2026-11-21T12:00:00Z"},
    ],
)
def test_a_replay_says_since_when(api: httpx.Client, receiver: Receiver, body: dict[str, object]) -> None:
    id_ = added(api, receiver.url())["id"]
    assert 422 == api.post(f"/webhooks/{id_}/replay", json=body).status_code


def test_a_message_that_was_never_to_be_sent_there_is_not_replayed(api: httpx.Client, receiver: Receiver) -> None:
    id_ = added(api, receiver.url())["id"]
    message = f"msg_{'0' * 32}"
    assert 404 == api.post(f"/webhooks/{id_}/deliveries/{message}/replay").status_code
    assert 404 == api.get(f"/webhooks/{id_}/deliveries/{message}").status_code


ROUTES = [
    ("GET", "/webhooks"),
    ("POST", "/webhooks"),
    *((verb, "/webhooks/ep_000000000000000000000000") for verb in ("GET", "PATCH", "DELETE")),
    *(
        ("POST", f"/webhooks/ep_000000000000000000000000/{what}")
        for what in ("rotate", "disable", "enable", "test", "replay")
    ),
    ("GET", "/webhooks/ep_000000000000000000000000/deliveries"),
    ("POST", f"/webhooks/ep_000000000000000000000000/deliveries/msg_{'0' * 32}/replay"),
    ("GET", f"/webhooks/ep_000000000000000000000000/deliveries/msg_{'0' * 32}"),
]


def test_only_administrators_have_these_routes(running: Answering, api: httpx.Client) -> None:
    names = ("ingest", "read", "finance", "acme", "unheard-of")
    for verb, path in ROUTES:
        for name in names:
            token = running.tokens.get(name, name)
            told = api.request(verb, path, headers={"Authorization": f"Bearer {token}"}, json={}).status_code
            assert (401 if name == "unheard-of" else 403) == told, (verb, path, name)
    paths = api.get("/openapi.json").json()["paths"]
    asked = {(verb.upper(), path) for path, verbs in paths.items() if "/webhooks" in path for verb in verbs}
    assert len(ROUTES) == len(asked), "every route is in the list above"


def test_no_secret_is_kept_a_second_time_for_who_repeats_a_request(
    api: httpx.Client, shop: Shop, receiver: Receiver
) -> None:
    for _ in range(2):
        answer = api.post("/webhooks", json={"url": receiver.url()}, headers={"Idempotency-Key": "once"})
        assert (201, "no-store") == (answer.status_code, answer.headers["Cache-Control"])
    tables = shop.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    holding = [
        name
        for (name,) in tables
        if shop.rows(f"SELECT 1 FROM {name} WHERE {name}::text LIKE '%whsec_%' LIMIT 1")
        or shop.rows(f"SELECT 1 FROM {name} WHERE {name}::text LIKE '%{b'whsec_'.hex()}%' LIMIT 1")
    ]
    assert ["webhook_endpoints"] == holding
