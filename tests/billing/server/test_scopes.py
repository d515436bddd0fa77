"""Law 10 at the door: every route with every kind of key, and what is another customer's is as if it were nowhere.

Routes are taken from OpenAPI: one that is new has to be entered here, or a test fails.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest

from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from tests.serving import Served, serving
from tests.shop import SOURCE, Shop
from tests.stocked import ANOTHER, CUSTOMER, stock, tokens

ANYBODY = frozenset({"nobody", "revoked", "live", "ingest", "read", "finance", "admin", CUSTOMER})
READERS, OPERATORS = frozenset({"read", CUSTOMER}), frozenset({"read"})
REPORTERS, BOOKKEEPERS, ADMINISTRATORS = frozenset({"ingest"}), frozenset({"finance"}), frozenset({"admin"})
WITHOUT = frozenset({"nobody", "revoked", "live"})
"""Kinds of keys that are none: no key at all, one that was revoked, one of the other mode."""

WHO: Mapping[str, frozenset[str]] = {
    "GET /v1/health": ANYBODY,
    "GET /v1/ready": ANYBODY,
    "POST /v1/events": REPORTERS,
    "PUT /v1/events/{source}/{event_id}": REPORTERS,
    "POST /v1/events/{source}/{event_id}/void": REPORTERS,
    "GET /v1/events": READERS,
    "GET /v1/events/{source}/{event_id}": READERS,
    "GET /v1/usage": READERS,
    "GET /v1/accounts": READERS,
    "POST /v1/accounts": BOOKKEEPERS,
    "GET /v1/accounts/{account}": READERS,
    "GET /v1/accounts/{account}/contracts": READERS,
    "GET /v1/accounts/{account}/statement": READERS,
    "GET /v1/contracts": READERS,
    "POST /v1/contracts": BOOKKEEPERS,
    "POST /v1/contracts/diff": OPERATORS,
    "GET /v1/cards": OPERATORS,
    "POST /v1/cards": BOOKKEEPERS,
    "GET /v1/cards/diff": OPERATORS,
    "GET /v1/cards/{card}": OPERATORS,
    "GET /v1/prices": READERS,
    "POST /v1/rate": READERS,
    "GET /v1/invoices": READERS,
    "GET /v1/invoices/{invoice}": READERS,
    "GET /v1/invoices/{invoice}/lines": READERS,
    "GET /v1/invoices/{invoice}/document": READERS,
    "GET /v1/invoices/{invoice}/lines/{line}/events": READERS,
    "POST /v1/runs": BOOKKEEPERS,
    "GET /v1/runs/{period}": OPERATORS,
    "POST /v1/runs/{period}/finalize": BOOKKEEPERS,
    "GET /v1/quarantine": READERS,
    "POST /v1/controls": REPORTERS,
    "GET /v1/controls": OPERATORS,
    "POST /v1/authorize": OPERATORS,
    "GET /v1/triggers": OPERATORS,
    "GET /v1/triggers/{name}": OPERATORS,
    "PUT /v1/triggers/{name}": ADMINISTRATORS,
    "DELETE /v1/triggers/{name}": ADMINISTRATORS,
    "GET /v1/firings": OPERATORS,
    "GET /v1/guards": OPERATORS,
    "GET /v1/guards/{name}": OPERATORS,
    "PUT /v1/guards/{name}": ADMINISTRATORS,
    "DELETE /v1/guards/{name}": ADMINISTRATORS,
    "POST /v1/guards/{name}/releases": ADMINISTRATORS,
    "GET /v1/guards/{name}/releases": OPERATORS,
    "GET /v1/keys": ADMINISTRATORS,
    "POST /v1/keys": ADMINISTRATORS,
    "POST /v1/keys/{name}/rotate": ADMINISTRATORS,
    "POST /v1/keys/{name}/revoke": ADMINISTRATORS,
    "GET /v1/webhooks": ADMINISTRATORS,
    "POST /v1/webhooks": ADMINISTRATORS,
    "GET /v1/webhooks/{endpoint}": ADMINISTRATORS,
    "PATCH /v1/webhooks/{endpoint}": ADMINISTRATORS,
    "DELETE /v1/webhooks/{endpoint}": ADMINISTRATORS,
    "POST /v1/webhooks/{endpoint}/disable": ADMINISTRATORS,
    "POST /v1/webhooks/{endpoint}/enable": ADMINISTRATORS,
    "POST /v1/webhooks/{endpoint}/rotate": ADMINISTRATORS,
    "POST /v1/webhooks/{endpoint}/test": ADMINISTRATORS,
    "POST /v1/webhooks/{endpoint}/replay": ADMINISTRATORS,
    "POST /v1/webhooks/{endpoint}/deliveries/{message}/replay": ADMINISTRATORS,
    "GET /v1/webhooks/{endpoint}/deliveries": ADMINISTRATORS,
    "GET /v1/webhooks/{endpoint}/deliveries/{message}": ADMINISTRATORS,
}
"""Who is let in: the scopes of operators' keys, and a customer's."""

PLACES: Mapping[str, str] = {
    "account": CUSTOMER, "source": SOURCE, "event_id": "call-2", "invoice": "1", "line": "1", "period": "2026-10",
    "card": "list", "name": "no-such", "endpoint": f"ep_{'0' * 24}", "message": f"msg_{'0' * 32}",
}  # fmt: skip

THEIRS: Mapping[str, str] = {
    "GET /v1/accounts/{account}": "/v1/accounts/{account}",
    "GET /v1/accounts/{account}/contracts": "/v1/accounts/{account}/contracts",
    "GET /v1/accounts/{account}/statement": "/v1/accounts/{account}/statement?period=2026-10",
    "GET /v1/contracts": "/v1/contracts?account={account}",
    "GET /v1/accounts": "/v1/accounts?payer={account}",
    "GET /v1/usage": "/v1/usage?account={account}",
    "GET /v1/events": "/v1/events?account={account}",
    "GET /v1/events/{source}/{event_id}": "/v1/events/{source}/{event_id}",
    "GET /v1/quarantine": "/v1/quarantine?account={account}",
    "GET /v1/invoices": "/v1/invoices?account={account}",
    "GET /v1/invoices/{invoice}": "/v1/invoices/{invoice}",
    "GET /v1/invoices/{invoice}/lines": "/v1/invoices/{invoice}/lines",
    "GET /v1/invoices/{invoice}/document": "/v1/invoices/{invoice}/document?format=json",
    "GET /v1/invoices/{invoice}/lines/{line}/events": "/v1/invoices/{invoice}/lines/1/events",
    "GET /v1/prices": "/v1/prices?account={account}&product=voice.outbound&to=%2B447700900123",
    "POST /v1/rate": "/v1/rate",
}
"""How a customer asks a route for something of an account, an event, or an invoice."""


@dataclass(frozen=True, slots=True)
class Doors:
    """A service with a small shop in it, tokens by their kinds, and the ids of each customer's things."""

    served: Served
    tokens: Mapping[str, str]
    ids: Mapping[str, Mapping[str, str]]

    def ask(self, route: str, kind: str) -> httpx.Response:
        """The answer of a route, to a request that says no more than where it goes."""
        method, path = route.format(**PLACES).split()
        with self.served.client(self.tokens[kind]) as client:
            return client.request(method, path)


@pytest.fixture(scope="module")
def doors(cluster: Cluster, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    address = create_database(cluster, "test_scopes", migrated)
    engine = open_engine(address.sqlalchemy_url)
    try:
        shop = stock(engine)
        known = tokens(engine)
        with serving(address.libpq_uri, tmp_path_factory.mktemp("served")) as served:
            with served.client(known["admin"]) as client:
                for name in ("gone", "opened"):
                    made = client.post(
                        "/v1/keys", json={"name": name, "scopes": ["read", "ingest", "admin", "finance"]}
                    )
                    known[name] = made.json()["token"]
                assert 200 == client.post("/v1/keys/gone/revoke").status_code
            kinds = {"nobody": "", "revoked": known["gone"], "live": known["opened"].replace("tb_test_", "tb_live_")}
            yield Doors(served, {**known, **kinds}, {name: _ids(shop, name) for name in (CUSTOMER, ANOTHER)})
    finally:
        engine.dispose()
        drop_database(cluster, "test_scopes")


def _ids(shop: Shop, account: str) -> dict[str, str]:
    ((invoice,),) = shop.rows(
        f"SELECT invoice_id FROM invoices JOIN accounts ON account_id = payer_id WHERE accounts.id = '{account}'"
    )
    event = {CUSTOMER: "call-2", ANOTHER: "call-90"}[account]
    return {"account": account, "invoice": str(invoice), "source": SOURCE, "event_id": event, "line": "1"}


def routes(doors: Doors) -> list[str]:
    """All routes that the service tells of."""
    paths = httpx.get(f"{doors.served.url}/v1/openapi.json").json()["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def test_each_route_is_entered_here(doors: Doors) -> None:
    assert set(routes(doors)) == set(WHO)


@pytest.mark.parametrize("kind", sorted(ANYBODY))
def test_a_key_opens_the_routes_of_its_scope_and_no_other(doors: Doors, kind: str) -> None:
    """It is told before anything else that is wrong with the request."""
    found = {}
    for route in sorted(WHO):
        answer = doors.ask(route, kind)
        found[route] = answer.status_code if answer.status_code in {401, 403} else 200
        assert answer.status_code != 500, f"{route}: {answer.text}"
        if answer.status_code in {401, 403}:
            assert "application/problem+json" == answer.headers["Content-Type"]
            assert (answer.status_code == 401) == ("WWW-Authenticate" in answer.headers)
    refused = 401 if kind in WITHOUT else 403
    assert {route: 200 if kind in who else refused for route, who in sorted(WHO.items())} == found


def test_what_a_customer_may_ask_for_is_entered_here() -> None:
    assert {route for route, who in WHO.items() if CUSTOMER in who and who != ANYBODY} == set(THEIRS)


@pytest.mark.parametrize("route", sorted(THEIRS))
def test_what_is_another_customers_is_as_if_it_were_nowhere(doors: Doors, route: str) -> None:
    """The same status, the same body, the same headers but for the request's id and the time; and its own is there."""
    own, theirs, nowhere = doors.ids[CUSTOMER], doors.ids[ANOTHER], _nowhere(doors.ids[ANOTHER])
    method, path = route.split()[0], THEIRS[route]
    with doors.served.client(doors.tokens[CUSTOMER]) as client:

        def ask(ids: Mapping[str, str]) -> httpx.Response:
            body = _supposed(ids["account"]) if method == "POST" else None
            return client.request(method, path.format(**ids), json=body)

        mine, another, none = ask(own), ask(theirs), ask(nowhere)
    assert 200 == mine.status_code, mine.text
    assert (404, 404) == (another.status_code, none.status_code), (another.text, none.text)
    assert another.content == none.content
    assert _telling(another) == _telling(none)


def _nowhere(ids: Mapping[str, str]) -> dict[str, str]:
    """Ids of the same form that are nobody's."""
    return {**ids, "account": "zzz", "invoice": "987654", "event_id": "call-99"}


def _supposed(account: str) -> dict[str, object]:
    event = {"id": "1", "account": account, "product": "voice.outbound", "occurred_at": "2026-10-02T10:11:12Z"}
    return {"period": "2026-10", "usage": [event | {"to": "+447700900123", "duration_seconds": "61"}]}


def _telling(answer: httpx.Response) -> dict[str, str]:
    return {name: said for name, said in answer.headers.items() if name not in {"x-request-id", "date"}}


def test_no_list_of_a_customers_has_anothers_name_in_it(doors: Doors) -> None:
    """Whatever it asks for, and in whatever way."""
    with doors.served.client(doors.tokens[CUSTOMER]) as client:
        for path in (
            "/v1/accounts", "/v1/contracts", "/v1/usage?by=account&from=2026-10-01", "/v1/usage?by=account,day,country",
            "/v1/events", "/v1/events?limit=1000", "/v1/quarantine", "/v1/quarantine?period=2026-11", "/v1/invoices",
        ):  # fmt: skip
            answer = client.get(path)
            assert 200 == answer.status_code, answer.text
            assert ANOTHER not in answer.text.replace("zone", ""), path
            assert "call-90" not in answer.text
