"""What schemathesis is told of the service: how lines are written, what is no fault, and how it is run.

By hand, with all that it has: `python -m tests.contract --max-examples 100`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response, SerializationContext

from tests.killing import production_database
from tests.serving import Served, serving
from tests.shop import SOURCE
from tests.stocked import EVERYTHING, stock, tokens

_ROOT = Path(__file__).resolve().parents[1]
_TRIGGER = {"account": "acme", "measure": "events", "threshold": "100"}


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def lines(_: SerializationContext, value: object) -> bytes:
    """Lines of JSON are a text by their schema."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else str(value).encode()


@schemathesis.check
def well_formed_is_understood(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """What the schema allows is never refused as malformed; it may still ask for what is not there.

    In the place of `positive_data_acceptance`, to which a month without usage or an unknown account is a failure.
    """
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in {400, 415, 422}:
        return
    said = response.json()
    if "wrong with the request" in said.get("detail", "") and said["type"].endswith("request-invalid"):
        raise AssertionError(f"refused as malformed: {said}")


KNOWN = {
    "account": ["acme", "acme-sub", "zen", "nobody"], "payer": ["acme", "zen"], "source": [SOURCE],
    "event_id": ["call-2", "call-90", "call-102", "call-104"], "invoice": ["1", "2", "INV-000001"], "line": ["1", "2"],
    "period": ["2026-10", "2026-11"], "card": ["list", "list@2026-10-01T00:00:00Z"], "name": ["known", "read"],
    "product": ["voice.outbound", "sms.outbound"], "country": ["GB"],
}  # fmt: skip
"""What there is in the shop, by the names of what routes ask for."""


@schemathesis.hook
def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    """Two in three well-formed requests ask for what there is: what is made up is hardly ever there."""
    if case.meta is not None and case.meta.generation.mode.is_positive:
        known = KNOWN | {"endpoint": [os.environ["TOLLBOOK_ENDPOINT"]]}
        for said in (case.path_parameters, case.query, case.body):
            if isinstance(said, dict):
                _ask_for(said, known)
    return case


def _ask_for(said: dict[str, Any], known: Mapping[str, Sequence[str]]) -> None:
    for name in known.keys() & said.keys():
        dice = crc32(str(said[name]).encode("utf-8", "replace"))
        if isinstance(said[name], str) and said[name] and dice % 3:
            said[name] = known[name][dice % len(known[name])]


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """The key that asks is neither revoked nor replaced: nothing that comes after would be let in."""
    kept = os.environ["TOLLBOOK_KEPT_KEYS"].split(",")
    if case.operation.path.startswith("/v1/keys/{name}") and str(case.path_parameters.get("name")) in kept:
        case.path_parameters["name"] = "another"


def try_out(served: Served, token: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with all checks on a service; `token` is of the key for everything."""
    with served.client(token) as client:
        made = [
            client.put("/v1/triggers/known", json=_TRIGGER),
            client.put("/v1/guards/known", json={"kind": "blocked", "countries": ["CU"]}),
            client.post("/v1/webhooks", json={"url": "https://hooks.example.com/tollbook"}),
        ]
        assert all(answer.is_success for answer in made), [answer.text for answer in made]
        kept = [str(key["number"]) for key in client.get("/v1/keys").json()["items"] if key["name"] == EVERYTHING]
    own = {
        "SCHEMATHESIS_HOOKS": "tests.contract",
        "TOLLBOOK_KEPT_KEYS": ",".join([EVERYTHING, *kept]),
        "TOLLBOOK_ENDPOINT": made[-1].json()["id"],
    }
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("st")), "run", f"{served.url}/v1/openapi.json",
            "--header", f"Authorization: Bearer {token}", "--checks", "all",
            "--exclude-checks", "positive_data_acceptance", "--continue-on-failure", "--no-color",
            "--suppress-health-check", "all", *options,
        ],
        cwd=folder, env={**os.environ, **own, "PYTHONPATH": str(_ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


def main() -> int:
    """Try a service with a small shop in it, on a PostgreSQL as in production: arguments are those of `st run`."""
    with production_database() as (shop, _), tempfile.TemporaryDirectory() as folder:
        stock(shop.engine)
        token = tokens(shop.engine)[EVERYTHING]
        url = shop.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with serving(url, Path(folder)) as served:
            tried = try_out(served, token, Path(folder), *sys.argv[1:])
            defects = served.log.read_text().count('"defect"')
    sys.stdout.write(f"{tried.stdout}\n{defects} defects in the log\n")
    return tried.returncode


if __name__ == "__main__":
    sys.exit(main())
