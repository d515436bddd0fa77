"""Accounts and contracts over HTTP: added, listed, compared; a customer sees its own."""

from collections.abc import Iterator

import pytest

from billing.accounts import Account, AccountId
from billing.flows.publish import add_accounts
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from tests.answering import Answering, answering, keys
from tests.shop import AT, Shop, call, card

DEAL = {
    "account": "acme",
    "effective_from": "2026-10-01",
    "cards": ["list"],
    "discounts": [{"percent": "5", "on": [{"product": "voice.*"}]}],
    "credits": [{"id": "welcome", "amount": "100", "until": "2027-01-01"}],
}


@pytest.fixture(scope="module")
def api(cluster: Cluster, migrated: str) -> Iterator[Answering]:
    engine = open_engine(create_database(cluster, "test_reads_accounts", migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish(card())
    shop.post(call(1))
    known = [Account(id=AccountId(name), currency="USD") for name in ("acme", "zen")]
    add_accounts(engine, known, at=AT, actor="test")
    try:
        with answering(engine, keys("acme", "zen")) as running:
            accounts = [
                {"id": "acme", "currency": "USD", "name": "Acme"},
                {"id": "acme/eu", "parent": "acme"},
                {"id": "zen", "currency": "USD", "suspended": [{"from": "2026-10-01T00:00:00Z"}]},
            ]
            found = running.post("/v1/accounts", {"accounts": accounts})
            assert (1, 2) == (found.json()["added"], found.json()["changed"]), found.text
            contract = {"account": "zen", "effective_from": "2026-10-01", "cards": ["list"]}
            found = running.post("/v1/contracts", {"contracts": [DEAL, contract]})
            assert 200 == found.status_code, found.text
            assert {"no_contract": 1} == found.json()["released"]
            yield running
    finally:
        engine.dispose()
        drop_database(cluster, "test_reads_accounts")


def test_the_same_again_changes_nothing(api: Answering) -> None:
    again = api.post("/v1/contracts", {"contracts": [DEAL]}).json()
    assert ("unchanged", 1, 0, 1) == tuple(again[name] for name in ("status", "given", "added", "unchanged"))


def test_a_rehearsal_stores_nothing(api: Answering) -> None:
    told = api.post("/v1/accounts", {"accounts": [{"id": "new", "currency": "USD"}]}, dry_run=True).json()
    assert (True, 1) == (told["dry_run"], told["added"])
    assert 404 == api.get("/v1/accounts/new").status_code


def test_accounts_come_in_pages_in_the_order_of_their_ids(api: Answering) -> None:
    first = api.get("/v1/accounts", limit=2).json()
    assert ["acme", "acme/eu"] == [each["id"] for each in first["items"]]
    second = api.get("/v1/accounts", limit=2, cursor=first["next"]).json()
    assert (["zen"], None) == ([each["id"] for each in second["items"]], second["next"])


def test_a_customers_accounts_are_those_that_it_pays_for(api: Answering) -> None:
    assert ["acme", "acme/eu"] == [each["id"] for each in api.get("/v1/accounts", "acme").json()["items"]]
    assert ["zen"] == [each["id"] for each in api.get("/v1/accounts", "zen").json()["items"]]
    assert ["acme", "acme/eu"] == [each["id"] for each in api.get("/v1/accounts", payer="acme").json()["items"]]


def test_a_slash_in_a_name_is_part_of_it(api: Answering) -> None:
    found = api.get("/v1/accounts/acme%2Feu").json()
    assert ("acme/eu", "acme", "acme", False) == tuple(found[name] for name in ("id", "parent", "payer", "pays"))


def test_a_suspension_is_told_with_its_instants(api: Answering) -> None:
    assert [{"from": "2026-10-01T00:00:00Z", "to": None}] == api.get("/v1/accounts/zen").json()["suspended"]


def test_contracts_are_told_with_their_terms(api: Answering) -> None:
    (found,) = api.get("/v1/contracts", "acme").json()["items"]
    assert [{"percent": "5", "on": [{"product": ["voice.*"]}]}] == found["terms"]["discounts"]
    assert ("in force", None) == (found["state"], found["effective_to"])
    assert found in api.get("/v1/accounts/acme%2Feu/contracts", "acme").json()["items"]


def test_contracts_come_in_pages(api: Answering) -> None:
    first = api.get("/v1/contracts", limit=1).json()
    second = api.get("/v1/contracts", limit=1, cursor=first["next"]).json()
    assert ["acme", "zen"] == [each["account"] for each in (*first["items"], *second["items"])]
    assert second["next"] is None


def test_a_diff_says_what_would_change_and_stores_nothing(api: Answering) -> None:
    later = {**DEAL, "effective_from": "2026-11-01", "discounts": [{"percent": "7", "on": [{"product": "voice.*"}]}]}
    found = api.post("/v1/contracts/diff", {"contracts": [later]}).json()
    assert (1, "raised") == (found["differing"], next(e["change"] for e in found["items"] if "discount" in e["term"]))
    assert 1 == len(api.get("/v1/accounts/acme/contracts").json()["items"])


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/accounts", {"accounts": [{"id": "x", "currency": "XXZ"}]}, "/accounts/0/currency"),
        ("/v1/accounts", {"accounts": [{"id": "x", "pays": "yes"}]}, "/accounts/0/pays"),
        ("/v1/accounts", {"accounts": [{"id": "x", "colour": "red"}]}, "/accounts/0/colour"),
        ("/v1/contracts", {"contracts": [{**DEAL, "effective_from": "2026-13-01"}]}, "/contracts/0/effective_from"),
        (
            "/v1/contracts",
            {"contracts": [{**DEAL, "discounts": [{"percent": "500"}]}]},
            "/contracts/0/discounts/0/percent",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(api: Answering, path: str, body: object, pointer: str) -> None:
    answer = api.post(path, body)
    assert 422 == answer.status_code, answer.text
    assert pointer in [each["pointer"] for each in answer.json()["errors"]]


def test_a_statement_has_what_was_acknowledged(api: Answering) -> None:
    found = api.get("/v1/accounts/acme/statement", "acme").json()
    assert ("2026-10", True, "USD") == (found["period"], found["estimate"], found["currency"])
    assert ["-0.04", "0.04"] == sorted(line["amount"] for line in found["lines"])
    assert "voice.outbound" in {line["product"] for line in found["lines"]}


def test_an_account_that_somebody_else_pays_for_has_no_statement(api: Answering) -> None:
    assert 404 == api.get("/v1/accounts/acme%2Feu/statement").status_code
