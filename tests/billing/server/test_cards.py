"""Cards over HTTP: checked, published, listed, compared; what the next unit costs; what usage would cost."""

import json
from collections.abc import Iterator

import pytest

from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from tests.answering import Answering, answering, keys
from tests.shop import Shop, call, read

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
rates = "rates.csv"
[tiers.voice]
up_to = ["3"]
unit = "minute"
fill = [{product = "voice.outbound"}]
"""
HEADER = "product,destination,prefixes,unit,increments,tiers,prices\n"
ROWS = HEADER + "voice.outbound,Britain,44,minute,60/60,voice,0.02 0.01\n"
GIVEN = {"card": CARD, "files": {"rates.csv": ROWS}}
INLINE = """
id = "special"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[[rate]]
product = "voice.outbound"
prefixes = ["1"]
unit = "minute"
increments = "60/60"
price = "0.5"
"""


@pytest.fixture(scope="module")
def api(cluster: Cluster, migrated: str) -> Iterator[Answering]:
    engine = open_engine(create_database(cluster, "test_reads_cards", migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish(read(CARD, ROWS))
    shop.admit("acme", "zen")
    shop.post(call(1))
    try:
        with answering(engine, keys("acme", "zen")) as running:
            yield running
    finally:
        engine.dispose()
        drop_database(cluster, "test_reads_cards")


def later(prices: str = "0.02 0.01", since: str = "2026-11-01") -> dict[str, object]:
    """The card of another month."""
    return {
        "card": CARD.replace("2026-10-01", since),
        "files": {"rates.csv": ROWS.replace("0.02 0.01", prices) + "voice.outbound,Ireland,353,minute,60/60,,0.05\n"},
    }


def test_a_card_is_published_once_and_then_unchanged(api: Answering) -> None:
    first, again = api.post("/v1/cards", later()), api.post("/v1/cards", later())
    assert (200, "published", 2) == (first.status_code, first.json()["status"], first.json()["rates"]), first.text
    assert "unchanged" == again.json()["status"]


def test_toml_with_its_rows_in_it_is_a_body_too(api: Answering) -> None:
    with api.client() as client:
        answer = client.post("/v1/cards", content=INLINE, headers={"Content-Type": "application/toml"})
    assert ("published", "special@2026-10-01T00:00:00Z") == (answer.json()["status"], answer.json()["version"])


def test_a_check_and_a_rehearsal_store_nothing(api: Answering) -> None:
    other = {"card": CARD.replace('"list"', '"other"'), "files": {"rates.csv": ROWS}}
    assert {"version", "sha256", "currency", "rates", "warnings"} == set(
        api.post("/v1/cards", other, check=True).json()
    )
    assert api.post("/v1/cards", other, dry_run=True).json()["dry_run"]
    assert 404 == api.get("/v1/cards/other").status_code


def test_a_faulty_card_is_refused_with_every_fault(api: Answering) -> None:
    broken = {"card": CARD, "files": {"rates.csv": HEADER + "voice.outbound,B,4x,minute,60/60,voice,0.02\n"}}
    answer = api.post("/v1/cards", broken)
    assert (422, "urn:tollbook:problem:card-faulty") == (answer.status_code, answer.json()["type"])
    assert all(each["reason"].startswith("rates.csv:2") for each in answer.json()["errors"])


def test_prices_that_jump_are_refused_unless_they_are_accepted(api: Answering) -> None:
    dear = later("0.90 0.80", since="2027-01-01")
    assert 422 == api.post("/v1/cards", dear).status_code
    assert "published" == api.post("/v1/cards", dear, accept=True, dry_run=True).json()["status"]


def test_what_would_charge_rated_usage_otherwise_is_refused(api: Answering) -> None:
    answer = api.post("/v1/cards", later("0.03 0.02", since="2026-10-02"))
    assert (409, "urn:tollbook:problem:publication-backdated") == (answer.status_code, answer.json()["type"])


def test_cards_are_listed_in_pages_and_told_whole(api: Answering) -> None:
    api.post("/v1/cards", later())
    first = api.get("/v1/cards", limit=1).json()
    assert "list@2026-10-01T00:00:00Z" == first["items"][0]["version"]
    assert "2026-11-01T00:00:00Z" == first["items"][0]["in_force_until"]
    second = api.get("/v1/cards", limit=1, cursor=first["next"]).json()
    assert "list@2026-11-01T00:00:00Z" == second["items"][0]["version"]
    whole = api.get("/v1/cards/list").json()
    again = api.post("/v1/cards", {"card": whole["card"], "files": whole["files"]}, check=True).json()
    assert whole["sha256"] == again["sha256"]


def test_a_version_is_named_by_its_beginning(api: Answering) -> None:
    api.post("/v1/cards", later())
    assert "list@2026-11-01T00:00:00Z" == api.get("/v1/cards/list@2026-11-01T00:00:00Z").json()["version"]
    assert 404 == api.get("/v1/cards/list@2026-11-02T00:00:00Z").status_code


def test_a_diff_counts_and_lists_what_changes(api: Answering) -> None:
    api.post("/v1/cards", later())
    found = api.get("/v1/cards/diff", old="list", new="list@2026-11-01T00:00:00Z").json()
    assert [("new", "Ireland", "353")] == [(e["change"], e["destination"], e["code"]) for e in found["items"]]
    assert {"change": "unchanged", "codes": 1, "destinations": 1} in found["summary"]
    everything = api.get(
        "/v1/cards/diff", old="list", new="list@2026-11-01T00:00:00Z", by="code", unchanged=True, limit=1
    ).json()
    assert (1, True) == (len(everything["items"]), everything["next"] is not None)


def test_the_price_of_the_next_unit(api: Answering) -> None:
    asked = {"account": "acme", "product": "voice.outbound", "to": "+447700900123"}
    found = api.get("/v1/prices", "acme", **asked).json()
    expected = {"base_price": "0.02", "current_price": "0.02", "next_price": "0.01", "units_to_go": "1", "tier": 1}
    assert expected.items() <= found.items()


def test_a_card_that_is_published_is_the_price_of_the_next_request(api: Answering) -> None:
    """However often: what is held of prices holds as long as they do."""
    asked = {"account": "zen", "product": "voice.outbound", "to": "+447700900123", "at": "2026-12-05T00:00:00Z"}
    for day in range(1, 4):
        given = later(prices=f"0.0{day + 2} 0.01", since=f"2026-12-0{day}")
        assert 200 == api.post("/v1/cards", given, accept=True).status_code
        assert f"0.0{day + 2}" == api.get("/v1/prices", "zen", **asked).json()["current_price"]


def test_what_has_no_price_says_why(api: Answering) -> None:
    found = api.get("/v1/prices", account="acme", product="voice.outbound", to="+81312345678").json()
    assert ("no_rate", "") == (found["reason"], found["current_price"])


def test_supposed_usage_costs_what_it_would(api: Answering) -> None:
    before = api.get("/v1/usage").json()
    found = api.post("/v1/rate", {"usage": [call(1), call(2), call(3), call(3, to="+81312345678")]}, key="acme")
    told = found.json()
    assert 200 == found.status_code, found.text
    assert [("acme", "0.09")] == [(each["account"], each["total"]) for each in told["accounts"]]
    assert [3] == told["conflicts"]
    assert before == api.get("/v1/usage").json()


def test_supposed_usage_by_cards_of_the_request(api: Answering) -> None:
    body = {"cards": [{"card": INLINE}], "usage": [call(1, to="+14155550123"), call(2)], "period": "2026-10"}
    told = api.post("/v1/rate", body, key="acme").json()
    assert ["1.00"] == [each["total"] for each in told["accounts"]]
    assert ["no_rate"] == [each["reason"] for each in told["quarantined"]]


def test_another_customers_contracts_are_not_asked_about(api: Answering) -> None:
    there = api.post("/v1/rate", {"usage": [call(1, account="zen")]}, key="acme")
    nowhere = api.post("/v1/rate", {"usage": [call(1, account="nobody")]}, key="acme")
    assert (404, there.text) == (nowhere.status_code, nowhere.text)
    hidden = {**call(1), "account": "acme", "specversion": "1.0", "subject": "zen", "type": "usage.voice.outbound"}
    assert 404 == api.post("/v1/rate", {"usage": [hidden]}, key="acme").status_code


def test_a_number_is_rated_as_it_is_written_and_not_as_a_float_has_it(api: Answering) -> None:
    """60 and the least part of a second more is a minute that was begun, as it is where it is posted."""
    event = json.dumps(call(1, duration_seconds="#")).replace('"#"', "60.00000000000000001")
    with api.client("read") as client:
        answer = client.post(
            "/v1/rate", content=f'{{"usage": [{event}]}}', headers={"Content-Type": "application/json"}
        )
    (told,) = answer.json()["accounts"]
    assert [("2", "120")] == [(line["quantity"], line["base_quantity"]) for line in told["lines"]]


def test_a_request_of_one_event_that_says_its_account_twice_shows_nobody_anything(api: Answering) -> None:
    event = json.dumps(call(1))[:-1]
    body = f'{{"usage": [{event.replace("acme", "zen")}, "account": "acme"}}]}}'
    with api.client("acme") as client:
        answer = client.post("/v1/rate", content=body, headers={"Content-Type": "application/json"})
    assert [[]] == [each["lines"] for each in answer.json()["accounts"]]
    assert ["is given twice"] == [each["reason"] for each in answer.json()["rejected"]]
