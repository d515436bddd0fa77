"""Every route × every kind of key: what is answered to whom. A route that is not in the table fails a test."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.limit import set_triggers
from billing.keys import Scope
from billing.server.app import build
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from billing.triggers import Measure, Trigger
from tests.answering import Answering, answering, keys
from tests.invoicing import CLOSED, card
from tests.shop import OCTOBER, SOURCE, Shop, call, products

EVERYBODY, READERS, OPERATORS = "everybody", "readers", "operators"
"""Who may call a route that names no scope: without a key; readers of either kind; operators who read."""

EVENT = f"/v1/events/{SOURCE}/call-1"

# (method, path) -> who may call it, and for customers, where a path or query names what is somebody's, how that is
# asked for: of zen, and of nobody.
TABLE: dict[tuple[str, str], tuple[str, str, str]] = {
    ("GET", "/v1/health"): (EVERYBODY, "", ""),
    ("GET", "/v1/ready"): (EVERYBODY, "", ""),
    ("GET", "/metrics"): (EVERYBODY, "", ""),
    ("GET", "/v1/usage"): (READERS, "/v1/usage?account=zen", "/v1/usage?account=none"),
    ("GET", "/v1/accounts"): (READERS, "/v1/accounts?payer=zen", "/v1/accounts?payer=none"),
    ("GET", "/v1/accounts/{account}"): (READERS, "/v1/accounts/zen", "/v1/accounts/none"),
    ("GET", "/v1/accounts/{account}/contracts"): (
        READERS,
        "/v1/accounts/zen/contracts",
        "/v1/accounts/none/contracts",
    ),
    ("GET", "/v1/accounts/{account}/statement"): (
        READERS,
        "/v1/accounts/zen/statement",
        "/v1/accounts/none/statement",
    ),
    ("POST", "/v1/accounts"): (Scope.FINANCE, "", ""),
    ("GET", "/v1/contracts"): (READERS, "/v1/contracts?account=zen", "/v1/contracts?account=none"),
    ("POST", "/v1/contracts"): (Scope.FINANCE, "", ""),
    ("POST", "/v1/contracts/diff"): (OPERATORS, "", ""),
    ("GET", "/v1/cards"): (OPERATORS, "", ""),
    ("GET", "/v1/cards/diff"): (OPERATORS, "", ""),
    ("GET", "/v1/cards/{card}"): (OPERATORS, "", ""),
    ("POST", "/v1/cards"): (Scope.FINANCE, "", ""),
    ("GET", "/v1/prices"): (
        READERS,
        "/v1/prices?account=zen&product=voice.outbound",
        "/v1/prices?account=none&product=voice.outbound",
    ),
    ("POST", "/v1/rate"): (READERS, "", ""),  # its usage names accounts: tests/billing/server/test_cards.py
    ("GET", "/v1/invoices"): (READERS, "/v1/invoices?account=zen", "/v1/invoices?account=none"),
    ("GET", "/v1/invoices/{invoice}"): (READERS, "/v1/invoices/INV-000002", "/v1/invoices/INV-000099"),
    ("GET", "/v1/invoices/{invoice}/lines"): (
        READERS,
        "/v1/invoices/INV-000002/lines",
        "/v1/invoices/INV-000099/lines",
    ),
    ("GET", "/v1/invoices/{invoice}/document"): (
        READERS,
        "/v1/invoices/INV-000002/document",
        "/v1/invoices/INV-000099/document",
    ),
    ("GET", "/v1/invoices/{invoice}/lines/{line}/events"): (
        READERS,
        "/v1/invoices/INV-000002/lines/1/events",
        "/v1/invoices/INV-000099/lines/1/events",
    ),
    ("POST", "/v1/runs"): (Scope.FINANCE, "", ""),
    ("GET", "/v1/runs/{period}"): (OPERATORS, "", ""),
    ("POST", "/v1/runs/{period}/finalize"): (Scope.FINANCE, "", ""),
    ("GET", "/v1/events"): (READERS, "/v1/events?account=zen", "/v1/events?account=none"),
    ("GET", "/v1/events/{source}/{event_id}"): (READERS, f"/v1/events/{SOURCE}/call-2", f"/v1/events/{SOURCE}/none"),
    ("GET", "/v1/quarantine"): (READERS, "/v1/quarantine?account=zen", "/v1/quarantine?account=none"),
    ("GET", "/v1/near-duplicates"): (OPERATORS, "", ""),
    ("GET", "/v1/controls"): (OPERATORS, "", ""),
    ("POST", "/v1/controls"): (Scope.INGEST, "", ""),
    ("POST", "/v1/events"): (Scope.INGEST, "", ""),
    ("PUT", "/v1/events/{source}/{event_id}"): (Scope.INGEST, "", ""),
    ("POST", "/v1/events/{source}/{event_id}/void"): (Scope.INGEST, "", ""),
    ("POST", "/v1/authorize"): (OPERATORS, "", ""),
    ("GET", "/v1/triggers"): (READERS, "/v1/triggers?account=zen", "/v1/triggers?account=none"),
    ("GET", "/v1/triggers/{name}"): (READERS, "/v1/triggers/of-zen", "/v1/triggers/none"),
    ("PUT", "/v1/triggers/{name}"): (Scope.ADMIN, "", ""),
    ("DELETE", "/v1/triggers/{name}"): (Scope.ADMIN, "", ""),
    ("GET", "/v1/firings"): (OPERATORS, "", ""),
    ("GET", "/v1/guards"): (OPERATORS, "", ""),
    ("GET", "/v1/guards/{name}"): (OPERATORS, "", ""),
    ("PUT", "/v1/guards/{name}"): (Scope.ADMIN, "", ""),
    ("DELETE", "/v1/guards/{name}"): (Scope.ADMIN, "", ""),
    ("GET", "/v1/guards/{name}/releases"): (OPERATORS, "", ""),
    ("POST", "/v1/guards/{name}/releases"): (Scope.ADMIN, "", ""),
    ("GET", "/v1/webhooks"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/webhooks"): (Scope.ADMIN, "", ""),
    ("GET", "/v1/webhooks/{endpoint}"): (Scope.ADMIN, "", ""),
    ("PATCH", "/v1/webhooks/{endpoint}"): (Scope.ADMIN, "", ""),
    ("DELETE", "/v1/webhooks/{endpoint}"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/webhooks/{endpoint}/disable"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/webhooks/{endpoint}/enable"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/webhooks/{endpoint}/rotate"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/webhooks/{endpoint}/test"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/webhooks/{endpoint}/replay"): (Scope.ADMIN, "", ""),
    ("GET", "/v1/webhooks/{endpoint}/deliveries"): (Scope.ADMIN, "", ""),
    ("GET", "/v1/webhooks/{endpoint}/deliveries/{message}"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/webhooks/{endpoint}/deliveries/{message}/replay"): (Scope.ADMIN, "", ""),
    ("GET", "/v1/keys"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/keys"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/keys/{name}/rotate"): (Scope.ADMIN, "", ""),
    ("POST", "/v1/keys/{name}/revoke"): (Scope.ADMIN, "", ""),
}

KEYS = ("", "tb_test_nonsense", *(str(scope) for scope in Scope), "acme")
ROWS = sorted(TABLE)


@pytest.fixture(scope="module")
def api(cluster: Cluster, migrated: str) -> Iterator[Answering]:
    """Two customers with an invoice each, and an account that nobody pays for."""
    engine = open_engine(create_database(cluster, "test_reads_scopes", migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish(card())
    shop.admit("acme", "zen")
    limits = [
        Trigger(id=f"of-{name}", account=name, measure=Measure.EVENTS, unit="event", threshold=5)
        for name in ("acme", "zen")
    ]
    set_triggers(engine, limits, at=CLOSED, actor="test")
    shop.post(call(1), call(2, account="zen"), at=CLOSED)
    draw_up(engine, products(), OCTOBER, CLOSED, write=True)
    finalize(engine, OCTOBER, CLOSED)
    try:
        with answering(engine, keys("acme", "zen"), at=CLOSED) as running:
            yield running
    finally:
        engine.dispose()
        drop_database(cluster, "test_reads_scopes")


def routes(app: Any) -> set[tuple[str, str]]:  # noqa: ANN401 (FastAPI publishes no type of what holds routes)
    """All routes of an app, also of those that it includes: methods and paths."""
    found: set[tuple[str, str]] = set()
    for each in app.routes:
        inner = getattr(each, "original_router", None)
        if inner is not None:
            found |= routes(inner)
        elif isinstance(each, APIRoute):
            found |= {(method, each.path_format) for method in each.methods or ()}
    return found


def test_every_route_is_in_the_table(api: Answering) -> None:
    assert routes(build(api.world)) == set(TABLE)


def status(api: Answering, method: str, path: str, key: str) -> int:
    """What a route answers to a key, to a request that it would refuse as faulty if it let the key in."""
    for name in ("account", "card", "period", "source", "invoice", "name", "event_id", "endpoint", "message"):
        path = path.replace(f"{{{name}}}", "2026-10")
    path = path.replace("{line}", "1")
    with api.client(key) as client:
        headers = {} if key else {"Authorization": ""}
        return client.request(method, path, headers=headers, json=None if method == "GET" else {}).status_code


def allowed(who: str, key: str) -> bool:
    if who in {READERS, OPERATORS}:
        return key == Scope.READ or (key == "acme" and who == READERS)
    return key == who


@pytest.mark.parametrize(("method", "path"), ROWS)
@pytest.mark.parametrize("key", KEYS)
def test_a_route_lets_in_whom_it_is_for(api: Answering, method: str, path: str, key: str) -> None:
    who, _, _ = TABLE[method, path]
    found = status(api, method, path, key)
    if who == EVERYBODY:
        assert found in {200, 503}
    elif key in {"", "tb_test_nonsense"}:
        assert 401 == found
    elif allowed(who, key):
        assert found not in {401, 403}
        assert found < 500
    else:
        assert 403 == found


@pytest.mark.parametrize(("method", "path"), [row for row in ROWS if TABLE[row][1]])
def test_what_is_anothers_is_told_as_what_is_not_there(api: Answering, method: str, path: str) -> None:
    _, theirs, nowhere = TABLE[method, path]
    there, none = api.get(theirs, "acme"), api.get(nowhere, "acme")
    assert (404, none.text) == (there.status_code, there.text)
    assert 404 == none.status_code
    assert api.get(theirs, "zen").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/usage?by=account",
        "/v1/accounts",
        "/v1/contracts",
        "/v1/invoices",
        "/v1/events",
        "/v1/quarantine",
        "/v1/triggers",
    ],
)
def test_a_customers_lists_name_nobody_else(api: Answering, path: str) -> None:
    assert "zen" not in api.get(path, "acme").text
    assert "acme" not in api.get(path, "zen").text


def test_each_route_of_readers_names_something_of_somebody() -> None:
    """A route that customers may call and that shows what is somebody's is tested with another's."""
    without = {row for row, (who, theirs, _) in TABLE.items() if who == READERS and not theirs}
    assert {("POST", "/v1/rate")} == without
