"""Whether usage may begin, over HTTP, against an empty route of the same server: p99 of both, asked in turn.

A real `tollbook serve` with its worker, an embedded PostgreSQL with fsync on and this load on the same machine; some
hundred accounts with budgets, guards of all kinds that cost something, and a card of 9,000 prefixes.
"""

import http.client
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.databases import fresh, server
from billing.flows.limit import set_guards, set_triggers
from billing.guards import Guard, read_guard
from billing.store.engine import Engine, open_engine
from billing.triggers import Action, Measure, Trigger, Window
from tests.serving import new_key, serving
from tests.shop import Shop, call, card, products

ACCOUNTS = 300
PREFIXES = range(1000, 9999)
ASKED = 3_000
BOUND = 5
_GUARDS: tuple[dict[str, object], ...] = (
    {"id": "spend", "kind": "spend", "limit": "100", "currency": "USD"},
    {"id": "price", "kind": "price", "limit": "5", "currency": "USD", "unit": "minute"},
    {"id": "credit", "kind": "credit", "limit": "5000", "currency": "USD"},
    {"id": "dear", "kind": "dear", "limit": "1", "currency": "USD", "unit": "minute"},
)


def main() -> None:
    """Print one JSON object."""
    with server() as cluster:
        address = fresh(cluster, "authorize")
        _fill(open_engine(address.sqlalchemy_url))
        folder = Path(tempfile.mkdtemp(prefix="tollbook-benchmark-"))
        folder.chmod(0o755)
        with serving(address.libpq_uri, folder, work=True) as served:
            token = new_key(address.libpq_uri, folder, "asker", "--scope", "read")
            time.sleep(2)
            empty, asked = _ask(served.url.removeprefix("http://"), token)
    ratio = asked[98] / empty[98]
    milliseconds = {
        name: {"p50": round(found[49] * 1000, 2), "p99": round(found[98] * 1000, 2)}
        for name, found in (("empty", empty), ("authorize", asked))
    }
    result = {
        "name": "authorize",
        "ratio": round(ratio, 2),
        "bound": BOUND,
        "holds": ratio <= BOUND,
        "sizes": {"accounts": ACCOUNTS, "prefixes": len(PREFIXES), "budgets": 4 * ACCOUNTS, "asked": ASKED},
        "milliseconds": milliseconds,
        "compared": "p99 of POST /v1/authorize with that of GET /v1/health, one after the other on one connection",
    }
    print(json.dumps(result))


def _fill(engine: Engine) -> None:
    shop, at = Shop(engine=engine), datetime.now(UTC)
    shop.publish(card("\n".join(f"voice.outbound,44{n},minute,60/60,0.0{n % 9 + 1}" for n in PREFIXES)))
    shop.admit(*(f"a{n}" for n in range(ACCOUNTS)))
    triggers = [
        Trigger(
            id=f"t{n}",
            account=f"a{n % ACCOUNTS}",
            measure=Measure.AMOUNT,
            unit="USD",
            threshold=10_000,
            window=(Window.DAY, Window.MONTH)[n // ACCOUNTS % 2],
            action=Action.STOP,
        )
        for n in range(4 * ACCOUNTS)
    ]
    set_triggers(engine, triggers, at=at, actor="benchmark")
    guards: list[Guard] = [guard for table in _GUARDS if (guard := read_guard(table, "guard", products())[0])]
    set_guards(engine, guards, products(), at=at, actor="benchmark")
    when = at.isoformat()
    shop.post(
        *(call(n, account=f"a{n % ACCOUNTS}", occurred_at=when, to=_number(n)) for n in range(5 * ACCOUNTS)), at=at
    )
    engine.dispose()


def _number(n: int) -> str:
    return f"+44{PREFIXES[n * 7 % len(PREFIXES)]}123456"


def _ask(host: str, token: str) -> tuple[list[float], list[float]]:
    """The percentiles of both, in seconds."""
    connection = http.client.HTTPConnection(host)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    taken: tuple[list[float], list[float]] = ([], [])
    for n in range(ASKED):
        usage = {"account": f"a{n % ACCOUNTS}", "product": "voice.outbound", "to": _number(n), "expected_quantity": 90}
        ways = (("GET", "/v1/health", None), ("POST", "/v1/authorize", json.dumps(usage)))
        for found, (method, path, body) in zip(taken, ways, strict=True):
            began = time.perf_counter()
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            found.append(time.perf_counter() - began)
            if answer.status != http.client.OK or (body is not None and b'"allow":true' not in said):
                raise ValueError(said)
    return statistics.quantiles(taken[0], n=100), statistics.quantiles(taken[1], n=100)


if __name__ == "__main__":
    main()
