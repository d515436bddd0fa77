"""Keys over HTTP: what each opens, and how they are made, replaced and revoked."""

from collections.abc import Iterator

import httpx
import pytest

from billing.store.engine import Engine
from tests.answering import Answering, answering, keys
from tests.shop import Shop


@pytest.fixture
def api(engine: Engine, shop: Shop) -> Iterator[Answering]:
    shop.publish()
    shop.admit("acme")
    with answering(engine, keys("acme")) as running:
        yield running


def test_without_a_key_or_with_a_bad_one_nothing_is_told(api: Answering) -> None:
    bad = ["Bearer", "Basic YTpi", "Bearer tb_test_", f"Bearer tb_live_{'A' * 43}", f"Bearer tb_test_{'A' * 43}"]
    for said in bad:
        answer = httpx.get(f"{api.url}/v1/keys", headers={"Authorization": said})
        assert (401, "Bearer") == (answer.status_code, answer.headers["WWW-Authenticate"])
        assert answer.json()["type"] in {"urn:tollbook:problem:key-invalid", "urn:tollbook:problem:key-absent"}
        assert 1 >= answer.json()["detail"].count("the key")


def test_a_scope_opens_what_it_is_for_and_nothing_else(api: Answering) -> None:
    assert {"admin": 200, "finance": 403, "ingest": 403, "read": 403, "acme": 403} == {
        key: api.get("/v1/keys", key).status_code for key in ("admin", "finance", "ingest", "read", "acme")
    }


def test_a_key_is_shown_once_and_opens_at_once(api: Answering) -> None:
    made = api.post("/v1/keys", {"name": "switch-1", "scopes": ["ingest", "admin"], "source": "eu-1"})
    assert (201, "no-store") == (made.status_code, made.headers["Cache-Control"])
    token = made.json()["token"]
    listed = api.get("/v1/keys", token)
    assert 200 == listed.status_code
    assert token not in listed.text
    assert "eu-1" in listed.text


def test_a_customers_key_names_who_pays_and_only_reads(api: Answering) -> None:
    made = api.post("/v1/keys", {"name": "portal", "account": "acme"}).json()
    assert (["read"], "customer") == (made["scopes"], made["kind"])
    refused = api.post("/v1/keys", {"name": "portal-2", "account": "nobody"})
    assert 422 == refused.status_code
    assert "is not an account" in refused.json()["errors"][0]["reason"]


def test_two_of_a_name_are_live_at_most_and_a_revoked_one_opens_nothing(api: Answering) -> None:
    first = api.post("/v1/keys", {"name": "portal", "scopes": ["admin"]}).json()
    second = api.post("/v1/keys/portal/rotate", {}).json()
    assert [200, 200] == [api.get("/v1/keys", each["token"]).status_code for each in (first, second)]
    assert 409 == api.post("/v1/keys/portal/rotate", {}).status_code
    assert 409 == api.post("/v1/keys/portal/revoke").status_code
    assert 200 == api.post("/v1/keys/portal/revoke", every=True).status_code
    assert [401, 401] == [api.get("/v1/keys", each["token"]).status_code for each in (first, second)]
    assert 404 == api.post("/v1/keys/nobody/revoke").status_code


def test_what_nobody_asked_for_is_refused_with_its_place(api: Answering) -> None:
    answer = api.post("/v1/keys", {"name": "x", "scopes": ["everything"], "colour": "blue"})
    assert 422 == answer.status_code
    assert ["/colour", "/scopes/0"] == sorted(item["pointer"] for item in answer.json()["errors"])


def test_a_key_ends_when_it_is_said_to(api: Answering) -> None:
    """Requests are strict, and an instant is a text in them."""
    asked = {"name": "visitor", "scopes": ["read"]}
    for wrong in (1_800_000_000, "1800000000", "2026-10-16", "2026-10-16T00:00:00", True):
        assert 422 == api.post("/v1/keys", {**asked, "expires_at": wrong}).status_code
    made = api.post("/v1/keys", {**asked, "expires_at": "2026-10-16T02:00:00+02:00"})
    assert (201, "2026-10-16T00:00:00Z") == (made.status_code, made.json()["ends_at"])
