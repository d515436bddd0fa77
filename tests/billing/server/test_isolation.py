"""Law 10 at the door, beside the table of `test_scopes`: keys that are none, and headers of what is hidden."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest

from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from tests.serving import Served, serving
from tests.shop import SOURCE
from tests.stocked import ANOTHER, CUSTOMER, stock, tokens

OPEN = {"GET /v1/health", "GET /v1/ready"}
PLACES = {
    "account": CUSTOMER, "source": SOURCE, "event_id": "call-2", "invoice": "1", "line": "1", "period": "2026-10",
    "card": "list", "name": "no-such", "endpoint": f"ep_{'0' * 24}", "message": f"msg_{'0' * 32}",
    "note": "1", "document": "1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Doors:
    """A service with a small shop in it, and tokens by their kinds."""

    served: Served
    tokens: Mapping[str, str]


@pytest.fixture(scope="module")
def doors(cluster: Cluster, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    address = create_database(cluster, "test_isolation", migrated)
    engine = open_engine(address.sqlalchemy_url)
    everything = {"scopes": ["read", "ingest", "admin", "finance"]}
    try:
        stock(engine)
        known = tokens(engine)
        with serving(address.libpq_uri, tmp_path_factory.mktemp("served")) as served:
            with served.client(known["admin"]) as client:
                gone, kept = (client.post("/v1/keys", json={"name": name, **everything}) for name in ("gone", "kept"))
                assert 200 == client.post("/v1/keys/gone/revoke").status_code
            known |= {"nobody": "", "revoked": gone.json()["token"]}
            yield Doors(served, known | {"live": kept.json()["token"].replace("tb_test_", "tb_live_")})
    finally:
        engine.dispose()
        drop_database(cluster, "test_isolation")


@pytest.mark.parametrize("kind", ["nobody", "revoked", "live"])
def test_what_is_no_good_key_opens_no_route(doors: Doors, kind: str) -> None:
    """None at all, one that was revoked, one of the other mode, each of which might do everything."""
    paths = httpx.get(f"{doors.served.url}/v1/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert len(routes) > 60
    with doors.served.client(doors.tokens[kind]) as client:
        for route in sorted(routes - OPEN):
            method, path = route.split()
            answer = client.request(method, path.format(**PLACES))
            assert (401, True) == (answer.status_code, "WWW-Authenticate" in answer.headers), f"{route}: {answer.text}"


@pytest.mark.parametrize(
    ("path", "theirs", "nowhere"),
    [
        ("/v1/accounts/{}", ANOTHER, "zzz"),
        ("/v1/accounts/{}/statement?period=2026-10", ANOTHER, "zzz"),
        ("/v1/usage?account={}", ANOTHER, "zzz"),
        ("/v1/events?account={}", ANOTHER, "zzz"),
        (f"/v1/events/{SOURCE}/{{}}", "call-90", "call-99"),
        ("/v1/rate", ANOTHER, "zzz"),
    ],
)
def test_what_is_anothers_is_told_with_the_same_headers_as_what_is_nowhere(
    doors: Doors, path: str, theirs: str, nowhere: str
) -> None:
    with doors.served.client(doors.tokens[CUSTOMER]) as client:
        answers = []
        for said in (theirs, nowhere):
            method = "POST" if path == "/v1/rate" else "GET"
            answers.append(
                client.request(method, path.format(said), json=_supposed(said) if method == "POST" else None)
            )
    another, none = answers
    assert (404, 404, another.content) == (another.status_code, none.status_code, none.content)
    assert _telling(another) == _telling(none)


def _supposed(account: str) -> dict[str, object]:
    event = {"id": "1", "account": account, "product": "voice.outbound", "occurred_at": "2026-10-02T10:11:12Z"}
    return {"period": "2026-10", "usage": [event | {"to": "+447700900123", "duration_seconds": "61"}]}


def _telling(answer: httpx.Response) -> dict[str, str]:
    return {name: said for name, said in answer.headers.items() if name not in {"x-request-id", "date"}}
