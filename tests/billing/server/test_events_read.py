"""Events read over HTTP: in the order of time, filtered, a page at a time; one of them with how it was rated."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from billing.accounts import Account, AccountId
from billing.flows.publish import add_accounts
from billing.flows.release import release
from billing.keys import Grant, Scope
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from tests.answering import Answering, answering, keys
from tests.shop import AT, SOURCE, Shop, call, card, products

SAME = "2026-10-05T00:00:00Z"


@pytest.fixture(scope="module")
def api(cluster: Cluster, migrated: str) -> Iterator[Answering]:
    engine = open_engine(create_database(cluster, "test_reads_events", migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish(card())
    shop.admit("acme", "zen")
    add_accounts(engine, [Account(id=AccountId("acme-sub"), parent="acme", pays=False)], at=AT, actor="t")
    shop.post(
        call(1, occurred_at="2026-10-01T00:00:00Z"),
        call(2, occurred_at="2026-10-02T00:00:00Z", account="zen"),
        call(3, occurred_at="2026-10-03T00:00:00Z", account="acme-sub"),
        call(4, occurred_at="2026-10-04T00:00:00Z", to="+81312345678"),
        call(5, occurred_at=SAME),
        call(6, occurred_at=SAME, status="busy"),
        call(7, occurred_at=SAME, account="zen"),
        call(8, occurred_at="2026-10-06T00:00:00Z", account="nobody"),
        call(9, occurred_at="2026-10-07T00:00:00Z", id="tree/branch/1"),
        call(12, occurred_at="2026-10-10T00:00:00Z", id="zero\u200bwidth", account="acme"),
        call(10, occurred_at="2026-10-08T00:00:00Z"),
        call(11, occurred_at="2026-10-09T00:00:00Z", account="zen"),
    )
    shop.post(
        {**call(10), "occurred_at": "2026-10-08T00:00:00Z", "duration_seconds": "121", "revision": 2},
        {**call(11), "occurred_at": "2026-10-09T00:00:00Z", "account": "acme", "revision": 2},
    )
    shop.post({**call(1), "id": "gone"})
    shop.post({"id": "gone", "account": "acme", "product": "voice.outbound", "occurred_at": "2026-10-02T10:11:12Z",
               "revision": 2, "void": True})  # fmt: skip
    try:
        switch = Grant(name="switch", scopes=frozenset({Scope.INGEST}), source="switch-9")
        with answering(engine, [*keys("acme", "zen"), switch]) as running:
            yield running
    finally:
        engine.dispose()
        drop_database(cluster, "test_reads_events")


def ids(api: Answering, key: str = "read", **query: object) -> list[str]:
    """The ids of all pages of a list."""
    found, cursor = [], ""
    for _ in range(100):
        answer = api.get("/v1/events", key, cursor=cursor, **query)
        assert 200 == answer.status_code, answer.text
        found += [each["id"].removeprefix("call-") for each in answer.json()["items"]]
        if not (cursor := answer.json()["next"] or ""):
            return found
    raise AssertionError("the pages do not end")


ALL = ["1", "2", "3", "4", "5", "6", "7", "8", "tree/branch/1", "10", "11", "zero\u200bwidth"]
ACME = ["1", "3", "4", "5", "6", "tree/branch/1", "10", "11", "zero\u200bwidth"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_event_is_on_one_page_in_either_order(api: Answering, limit: int) -> None:
    assert ALL == ids(api, limit=limit, order="oldest")
    assert ALL[::-1] == ids(api, limit=limit)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_customer_sees_events_that_it_pays_for(api: Answering, limit: int) -> None:
    assert ACME == ids(api, "acme", limit=limit, order="oldest")
    assert ["2", "7"] == ids(api, "zen", limit=limit, order="oldest")
    assert ACME == ids(api, account="acme", limit=limit, order="oldest")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"account": "acme-sub"}, ["3"]),
        ({"outcome": "rated"}, ["1", "2", "3", "5", "7", "tree/branch/1", "10", "11", "zero\u200bwidth"]),
        ({"outcome": "zero_rated"}, ["6"]),
        ({"outcome": "quarantined"}, ["4", "8"]),
        ({"from_": "2026-10-04T00:00:00Z", "to": SAME}, ["4"]),
        ({"product": "voice.inbound"}, []),
        ({"source": "voice-eu-1", "to": "2026-10-03T00:00:00Z"}, ["1", "2"]),
        ({"source": "unheard-of"}, []),
    ],
)
def test_events_are_filtered(api: Answering, query: dict[str, str], expected: list[str]) -> None:
    assert expected == ids(api, order="oldest", **query)


def test_an_event_in_the_list_says_what_became_of_it(api: Answering) -> None:
    (waiting,) = api.get("/v1/events", "acme", outcome="quarantined").json()["items"]
    expected = {"account": "acme", "to": "+81312345678", "quantity": "61", "reason": "no_rate", "revision": 1}
    assert expected.items() <= waiting.items()


def test_an_event_is_told_with_how_it_was_rated(api: Answering) -> None:
    found = api.get("/v1/events/voice-eu-1/call-10", "acme").json()
    assert ("acme", "121", "180") == (found["payer"], found["measured"], found["billed"])
    assert ["180 second ÷ 60 = 3 minute × 0.02 = 0.06"] == [part["arithmetic"] for part in found["parts"]]
    assert [2, 1] == [report["revision"] for report in found["revisions"]]
    assert [{"field": "quantity", "old": "61", "new": "121"}] == found["revisions"][0]["changes"]


def test_a_slash_in_an_id_is_part_of_it(api: Answering) -> None:
    assert "tree/branch/1" == api.get("/v1/events/voice-eu-1/tree%2Fbranch%2F1", "acme").json()["id"]


def test_an_event_that_was_taken_back_says_so(api: Answering) -> None:
    found = api.get("/v1/events/voice-eu-1/gone", "acme").json()
    assert (True, [True, False]) == (found["void"], [report["void"] for report in found["revisions"]])
    assert 404 == api.get("/v1/events/voice-eu-1/gone", "zen").status_code


def test_what_was_another_customers_before_is_not_shown(api: Answering) -> None:
    """Event 11 was zen's until its second revision."""
    now = api.get("/v1/events/voice-eu-1/call-11", "acme")
    assert [2] == [report["revision"] for report in now.json()["revisions"]]
    assert [] == now.json()["revisions"][0]["changes"]
    assert 404 == api.get("/v1/events/voice-eu-1/call-11", "zen").status_code
    assert [2, 1] == [each["revision"] for each in api.get("/v1/events/voice-eu-1/call-11").json()["revisions"]]


def test_anothers_event_is_told_as_one_that_is_not_there(api: Answering) -> None:
    there, nowhere = (api.get(f"/v1/events/voice-eu-1/{name}", "acme") for name in ("call-2", "call-77"))
    assert (404, there.text) == (nowhere.status_code, nowhere.text)


def test_what_waits_is_told_by_what_is_missing(api: Answering) -> None:
    items = api.get("/v1/quarantine").json()["items"]
    assert {("no_rate", "JP"), ("unknown_account", "")} == {(each["reason"], each["country"]) for each in items}
    assert ["no_rate"] == [each["reason"] for each in api.get("/v1/quarantine", "acme").json()["items"]]
    assert [] == api.get("/v1/quarantine", "zen").json()["items"]
    assert ["unknown_account"] == [
        each["reason"] for each in api.get("/v1/quarantine", account="nobody").json()["items"]
    ]
    assert [] == api.get("/v1/quarantine", period="2026-11").json()["items"]
    first = api.get("/v1/quarantine", limit=1).json()
    second = api.get("/v1/quarantine", limit=1, cursor=first["next"]).json()
    assert (items, None) == ([*first["items"], *second["items"]], second["next"])


@pytest.fixture
def shop(cluster: Cluster, migrated: str) -> Iterator[Shop]:
    engine = open_engine(create_database(cluster, "test_reads_pages", migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish(card())
    shop.admit("acme")
    try:
        yield shop
    finally:
        engine.dispose()
        drop_database(cluster, "test_reads_pages")


def test_what_waits_is_on_one_page_whatever_is_released_and_comes_in_between(shop: Shop) -> None:
    japan, korea, nepal = "+81312345678", "+82212345678", "+97714412345"
    shop.post(call(1, to=japan), call(2, to=korea), call(3, to=nepal), call(4, account="x"), call(5, account="y"))
    with answering(shop.engine, keys()) as api:

        def page(cursor: str = "", limit: int = 2) -> tuple[list[str], str | None]:
            answer = api.get("/v1/quarantine", cursor=cursor, limit=limit).json()
            return [each["country"] or each["account"] for each in answer["items"]], answer["next"]

        everything = ["x", "y", "JP", "KR", "NP"]
        assert (everything, None) == page(limit=5)
        first, cursor = page(limit=3)
        assert (everything[:3], True) == (first, cursor is not None)
        shop.admit("x", "y")
        release(shop.engine, products(), at=AT, actor="t")
        shop.post(*(call(n, to=nepal) for n in range(10, 13)), call(20, account="nobody"))
        assert (["KR", "NP"], None) == page(cursor or "")


@pytest.mark.parametrize("mismatches", [True, False])
def test_control_totals_are_on_one_page_whatever_is_counted_in_between(shop: Shop, *, mismatches: bool) -> None:
    shop.post(call(1), call(2, occurred_at="2026-10-03T00:00:00Z"))
    count = {"source": SOURCE, "product": "voice.outbound", "events": 2, "quantity": "61"}
    days = [f"2026-10-{day:02}" for day in range(2, 9)]
    with answering(shop.engine, keys()) as api:
        api.post("/v1/controls", {"controls": [{**count, "day": day} for day in days]})
        first = api.get("/v1/controls", limit=3, mismatches=mismatches, period="2026-10").json()
        assert days[:3] == [each["day"] for each in first["items"]]
        api.post("/v1/controls", {"controls": [{**count, "events": 1, "day": day} for day in days[:2]]})
        api.post("/v1/controls", {"controls": [{**count, "source": "0", "day": "2026-10-01"}]})
        second = api.get("/v1/controls", limit=3, cursor=first["next"], mismatches=mismatches, period="2026-10").json()
        third = api.get("/v1/controls", limit=3, cursor=second["next"], mismatches=mismatches, period="2026-10").json()
        assert days[3:6] == [each["day"] for each in second["items"]]
        assert (days[6:], None) == ([each["day"] for each in third["items"]], third["next"])
        again = api.get("/v1/controls", mismatches=mismatches, period="2026-10").json()["items"]
        right = [] if mismatches else [(SOURCE, day) for day in days[:2]]
        assert [("0", "2026-10-01"), *right, *((SOURCE, day) for day in days[2:])] == [
            (each["source"], each["day"]) for each in again
        ]


def test_control_totals_are_compared_with_what_was_accepted(api: Answering) -> None:
    given = {"source": "voice-eu-1", "product": "voice.outbound", "day": "2026-10-05", "events": 3, "quantity": "183"}
    more = {**given, "day": "2026-10-06", "events": 7}
    first = api.post("/v1/controls", {"controls": [given, more]}, key="ingest")
    assert (200, 2) == (first.status_code, first.json()["added"]), first.text
    assert 0 == api.post("/v1/controls", {"controls": [given]}, key="ingest").json()["added"]
    found = api.get("/v1/controls", key="read", period="2026-10").json()["items"]
    assert [True, False] == [each["matches"] for each in found]
    assert {"events": 1, "quantity": "61"} == found[1]["accepted"]
    assert 1 == len(api.get("/v1/controls", period="2026-10", mismatches=True).json()["items"])


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"day": "2026-02-30"}, "/controls/0/day"),
        ({"product": "tea"}, "/controls/0/product"),
        ({"events": "3"}, "/controls/0/events"),
        ({"source": ""}, "/controls/0/source"),
    ],
)
def test_a_control_total_that_is_none_is_refused(api: Answering, change: dict[str, object], pointer: str) -> None:
    given = {"source": "s", "product": "voice.outbound", "day": "2026-10-05", "events": 3, "quantity": "183"}
    answer = api.post("/v1/controls", {"controls": [given | change]}, key="ingest")
    assert (422, pointer) == (answer.status_code, answer.json()["errors"][0]["pointer"]), answer.text


def test_a_key_of_a_source_counts_for_no_other(api: Answering) -> None:
    """As with usage: another's count would park accounts for what a source never said."""
    given = {"product": "voice.outbound", "day": "2026-09-05", "events": 3, "quantity": "183"}
    assert 200 == api.post("/v1/controls", {"controls": [given | {"source": "switch-9"}]}, key="switch").status_code
    assert 200 == api.post("/v1/controls", {"controls": [given]}, key="switch").status_code
    answer = api.post("/v1/controls", {"controls": [given, given | {"source": "voice-eu-1"}]}, key="switch")
    assert 422 == answer.status_code
    assert ["/controls/1/source"] == [each["pointer"] for each in answer.json()["errors"]]


def test_usage_that_says_what_other_usage_says_is_listed_a_page_at_a_time(shop: Shop) -> None:
    shop.admit("zen")
    again = [call(n, account=account, id=f"{account}-{n}") for account in ("acme", "zen") for n in range(3)]
    late = call(9, occurred_at="2026-11-01T00:00:00Z")
    shop.post(*again, call(8, to="+447700900124"), late, {**late, "id": "late"}, at=datetime(2026, 11, 2, tzinfo=UTC))
    with answering(shop.engine, keys("acme")) as api:

        def page(**query: object) -> tuple[list[str], str | None]:
            answer = api.get("/v1/near-duplicates", "read", from_="2026-10-01", to="2026-11-01", **query)
            assert 200 == answer.status_code, answer.text
            return [each["id"] for each in answer.json()["items"]], answer.json()["next"]

        assert (["acme-1", "acme-2", "zen-1", "zen-2"], None) == page()
        first, cursor = page(limit=3)
        assert (["zen-2"], None) == page(limit=3, cursor=cursor or "")
        assert (["acme-1", "acme-2", "zen-1"], ["zen-1", "zen-2"]) == (first, page(account="zen")[0])
        assert [] == api.get("/v1/near-duplicates").json()["items"]
        (twin,) = api.get("/v1/near-duplicates", from_="2026-11-01").json()["items"]
        expected = {"id": "late", "first_id": "call-9", "first_source": SOURCE, "measured": "61", "from": ""}
        assert expected.items() <= twin.items()
        assert 404 == api.get("/v1/near-duplicates", account="nobody").status_code
        for since, until in (("2026-10-01", "2026-11-02"), ("2026-10-02", "2026-10-02"), ("9999-12-31", "9999-01-01")):
            assert 422 == api.get("/v1/near-duplicates", from_=since, to=until).status_code
        assert 422 == api.get("/v1/near-duplicates", from_="9999-12-31").status_code  # no day is after it


@pytest.mark.parametrize("cursor", ["x", "W10", "WzEsMiwzXQ", "WzkyMjMzNzIwMzY4NTQ3NzU4MDgsMSwieCJd"])
def test_a_cursor_of_another_list_is_refused(api: Answering, cursor: str) -> None:
    assert 422 == api.get("/v1/events", cursor=cursor).status_code


@pytest.mark.parametrize("instant", ["0.5", "2026-10-02", "2026-10-02T00:00:00", "2026-10-02T25:00:00Z"])
def test_what_is_no_instant_is_refused(api: Answering, instant: str) -> None:
    answer = api.get("/v1/events", to=instant)
    assert (422, "query to") == (answer.status_code, answer.json()["errors"][0]["pointer"])


def test_a_name_that_nothing_can_have_is_not_there(api: Answering) -> None:
    assert [404, 404] == [api.get(f"/v1/accounts/{name}").status_code for name in ("%00", "%18B")]


def test_a_method_that_a_path_does_not_know_is_told_with_those_that_it_does(api: Answering) -> None:
    with api.client() as client:
        answer = client.request("DELETE", "/v1/accounts")
    assert (405, {"GET", "POST"}) == (answer.status_code, set(answer.headers["Allow"].split(", ")))
