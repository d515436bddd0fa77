"""Invoices and runs over HTTP: drawn up, approved, issued, told whole, and explained line by line."""

import csv
import io
import json
from collections.abc import Iterator

import pytest

from billing.accounts import Account, AccountId
from billing.flows.approve import approve
from billing.flows.publish import add_accounts
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from tests.answering import Answering, answering, keys
from tests.invoicing import CLOSED, card
from tests.shop import AT, OCTOBER, Shop, call

CALLS = [call(n, occurred_at=f"2026-10-{n:02}T10:00:00Z", duration_seconds="600") for n in range(2, 7)]


@pytest.fixture(scope="module")
def api(cluster: Cluster, migrated: str) -> Iterator[Answering]:
    """October of two accounts, drawn up and issued; November's calls of one, drawn up early."""
    engine = open_engine(create_database(cluster, "test_reads_invoices", migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish(card())
    shop.admit("acme", "zen")
    add_accounts(engine, [Account(id=AccountId("acme-sub"), parent="acme", pays=False)], at=AT, actor="t")
    shop.post(*CALLS, call(90, account="zen"), at=CLOSED)
    try:
        with answering(engine, keys("acme", "zen"), at=CLOSED) as running:
            drawn = running.post("/v1/runs", {"period": "2026-10"}, key="finance")
            assert (200, 2) == (drawn.status_code, drawn.json()["billed"]), drawn.text
            state = running.get("/v1/runs/2026-10", key="read").json()
            unsigned = running.post("/v1/runs/2026-10/finalize", {"sha256": state["sha256"]}, key="finance")
            assert (409, "urn:tollbook:problem:approval-missing") == (unsigned.status_code, unsigned.json()["type"])
            approve(engine, OCTOBER, CLOSED, approver="Second", seen=state["sha256"])
            issued = running.post("/v1/runs/2026-10/finalize", {"sha256": state["sha256"]}, key="finance")
            assert (200, 2) == (issued.status_code, issued.json()["issued"]), issued.text
            shop.post(call(100, occurred_at="2026-11-02T10:00:00Z"), at=CLOSED)
            early = running.post("/v1/runs", {"period": "2026-11", "early": True}, key="finance")
            assert 200 == early.status_code, early.text
            yield running
    finally:
        engine.dispose()
        drop_database(cluster, "test_reads_invoices")


def test_a_run_says_how_it_stands(api: Answering) -> None:
    found = api.get("/v1/runs/2026-10", key="read").json()
    assert (0, "Second", 2) == (found["drafts"], found["approval"]["approver"], found["billed"])
    assert 404 == api.get("/v1/runs/2027-01", key="read").status_code


def test_a_month_that_is_open_is_not_drawn_up(api: Answering) -> None:
    answer = api.post("/v1/runs", {"period": "2026-12"}, key="finance")
    assert (409, "urn:tollbook:problem:period-open") == (answer.status_code, answer.json()["type"])


def test_another_digest_issues_nothing(api: Answering) -> None:
    answer = api.post("/v1/runs/2026-10/finalize", {"sha256": "0" * 64}, key="finance")
    assert (409, "urn:tollbook:problem:approval-unseen") == (answer.status_code, answer.json()["type"])


def test_an_operator_sees_drafts_and_invoices_the_newest_first(api: Answering) -> None:
    items = api.get("/v1/invoices").json()["items"]
    assert [("2026-11", "draft"), ("2026-10", "final"), ("2026-10", "final")] == [
        (each["period"], each["state"]) for each in items
    ]
    pages, cursor = [], ""
    while True:
        page = api.get("/v1/invoices", limit=1, cursor=cursor).json()
        pages += page["items"]
        if not (cursor := page["next"] or ""):
            break
    assert items == pages


def test_a_customer_sees_what_is_issued_to_it(api: Answering) -> None:
    items = api.get("/v1/invoices", "acme").json()["items"]
    assert [("acme", "INV-000001", "final")] == [(each["account"], each["number"], each["state"]) for each in items]


@pytest.mark.parametrize(
    ("query", "count"),
    [({"period": "2026-10"}, 2), ({"account": "zen"}, 1), ({"state": "draft"}, 1), ({"kind": "credit_note"}, 0)],
)
def test_invoices_are_filtered(api: Answering, query: dict[str, str], count: int) -> None:
    assert count == len(api.get("/v1/invoices", **query).json()["items"])


def test_an_invoice_is_found_by_its_number_and_by_its_id(api: Answering) -> None:
    by_number = api.get("/v1/invoices/INV-000001", "acme").json()
    assert by_number == api.get(f"/v1/invoices/{by_number['id']}", "acme").json()
    assert ("2.06", "USD", "acme") == (by_number["total"], by_number["currency"], by_number["account"])


def test_its_lines_are_those_of_its_document(api: Answering) -> None:
    document = api.get("/v1/invoices/INV-000001/document", "acme").json()
    lines, cursor = [], ""
    while True:
        page = api.get("/v1/invoices/INV-000001/lines", "acme", limit=1, cursor=cursor).json()
        lines += page["items"]
        if not (cursor := page["next"] or ""):
            break
    assert document["lines"] == lines
    table = api.get("/v1/invoices/INV-000001/document", "acme", format="csv")
    assert table.headers["Content-Type"].startswith("text/csv")
    assert len(lines) == len(list(csv.DictReader(io.StringIO(table.text))))


def test_the_events_of_all_its_lines_add_up(api: Answering) -> None:
    for line in api.get("/v1/invoices/INV-000001/lines", "acme").json()["items"]:
        found, cursor = [], ""
        while True:
            page = api.get(
                f"/v1/invoices/INV-000001/lines/{line['line']}/events", "acme", limit=2, cursor=cursor
            ).json()
            found += page["items"]
            if not (cursor := page["next"] or ""):
                break
        assert page["adds_up"]
        assert len(found) == page["events_listed"]
        if found:  # a flat fee has none
            assert line["base_quantity"] == page["base_quantity"]
            assert int(line["base_quantity"]) == sum(int(each["base_quantity"]) for each in found)


@pytest.mark.parametrize("path", ["", "/lines", "/document", "/lines/1/events"])
def test_anothers_invoice_and_a_draft_are_told_as_one_that_is_not_there(api: Answering, path: str) -> None:
    draft = api.get("/v1/invoices", state="draft").json()["items"][0]["id"]
    answers = [api.get(f"/v1/invoices/{name}{path}", "acme") for name in ("INV-000002", "INV-000077", draft, "x")]
    assert [(404, answers[0].text)] * 4 == [(each.status_code, each.text) for each in answers]


def test_documents_keep_decimals_as_text(api: Answering) -> None:
    text = api.get("/v1/invoices/INV-000001/document").text
    assert "2.06" == json.loads(text, parse_float=_refuse)["total"]


def _refuse(text: str) -> float:
    raise AssertionError(f"{text} is a float")
