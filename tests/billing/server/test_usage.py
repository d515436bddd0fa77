"""`GET /v1/usage`: what was acknowledged is counted, folded or not."""

from collections.abc import Iterator

import pytest

from billing.accounts import Account, AccountId
from billing.flows.fold import fold
from billing.flows.publish import add_accounts
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import Engine, open_engine
from tests.answering import Answering, answering, keys
from tests.shop import AT, Shop, call, card


@pytest.fixture(scope="module")
def shop(cluster: Cluster, migrated: str) -> Iterator[Shop]:
    engine: Engine = open_engine(create_database(cluster, "test_reads_usage", migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish(
        card("voice.outbound,44,minute,60/60,0.02\nvoice.outbound,1,minute,60/60,0.01\nsms.outbound,,segment,,0.01")
    )
    shop.admit("acme", "zen")
    add_accounts(engine, [Account(id=AccountId("acme-sub"), parent="acme", pays=False)], at=AT, actor="t")
    shop.post(call(1), call(2, to="+14155550123"), call(3, account="acme-sub", occurred_at="2026-10-03T00:00:00Z"))
    fold(engine)
    shop.post(call(4), call(5, account="zen"))
    try:
        yield shop
    finally:
        engine.dispose()
        drop_database(cluster, "test_reads_usage")


@pytest.fixture(scope="module")
def api(shop: Shop) -> Iterator[Answering]:
    with answering(shop.engine, keys("acme", "zen")) as running:
        yield running


def rows(api: Answering, token: str = "read", **query: object) -> list[tuple[object, ...]]:
    found = api.get("/v1/usage", token, **query)
    assert 200 == found.status_code, found.text
    return [tuple(value for value in each.values() if value is not None) for each in found.json()["items"]]


def test_totals_and_what_is_not_folded_yet_are_counted_together(api: Answering) -> None:
    assert [("voice.outbound", "second", 5, "600")] == rows(api)


def test_it_is_summed_by_any_words_in_their_order(api: Answering) -> None:
    expected = [("2026-10-02", "GB", "second", 3, "360"), ("2026-10-02", "US", "second", 1, "120")]
    assert [*expected, ("2026-10-03", "GB", "second", 1, "120")] == rows(api, by="day,country")


def test_a_customer_sees_what_it_pays_for(api: Answering) -> None:
    assert [("acme", "second", 3, "360"), ("acme-sub", "second", 1, "120")] == rows(api, "acme", by="account")
    assert [("zen", "second", 1, "120")] == rows(api, "zen", by="account")


def test_an_account_below_another_is_its_own_usage_alone(api: Answering) -> None:
    assert [("voice.outbound", "second", 1, "120")] == rows(api, account="acme-sub")


def test_filters_and_days_are_half_open(api: Answering) -> None:
    assert [("voice.outbound", "second", 4, "480")] == rows(api, from_="2026-10-01", to="2026-10-03")
    assert [("voice.outbound", "second", 1, "120")] == rows(api, country="US")
    assert [] == rows(api, product="sms.outbound")


def test_another_customers_account_is_told_as_one_that_is_not_there(api: Answering) -> None:
    there, nowhere = api.get("/v1/usage", "acme", account="zen"), api.get("/v1/usage", "acme", account="nobody")
    assert (404, there.text) == (nowhere.status_code, nowhere.text)
    assert 404 == there.status_code


def test_pages_have_every_group_once(api: Answering) -> None:
    found, cursor = [], ""
    while True:
        page = api.get("/v1/usage", by="day,account,country", limit=1, cursor=cursor).json()
        found += page["items"]
        if not (cursor := page["next"] or ""):
            break
    assert found == api.get("/v1/usage", by="day,account,country").json()["items"]
    assert 4 == len(found)


def test_no_days_have_no_usage(api: Answering) -> None:
    assert [] == rows(api, from_="2026-10-02", to="2026-10-02")


@pytest.mark.parametrize("day", ["2026-02-30", "20261002", "0", "2026-10-02T00:00:00Z"])
def test_what_is_no_day_is_refused(api: Answering, day: str) -> None:
    answer = api.get("/v1/usage", from_=day)
    assert (422, "query from") == (answer.status_code, answer.json()["errors"][0]["pointer"])


def test_days_that_end_before_they_begin_are_refused(api: Answering) -> None:
    answer = api.get("/v1/usage", from_="2026-10-05", to="2026-10-04")
    assert (422, "urn:tollbook:problem:request-invalid") == (answer.status_code, answer.json()["type"])
