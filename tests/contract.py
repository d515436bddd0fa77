"""What schemathesis is told of the service: how lines are written, what is no fault, and how it is run.

By hand, with all that it has: `python -m tests.contract --max-examples 100`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response, SerializationContext

from tests.killing import production_database
from tests.serving import Served, serving
from tests.stocked import EVERYTHING, stock, tokens

_ROOT = Path(__file__).resolve().parents[1]


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


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """The key that asks is neither revoked nor replaced: nothing that comes after would be let in."""
    kept = os.environ["TOLLBOOK_KEPT_KEYS"].split(",")
    if case.operation.path.startswith("/v1/keys/{name}") and str(case.path_parameters.get("name")) in kept:
        case.path_parameters["name"] = "another"


def try_out(served: Served, token: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with all checks on a service; `token` is of the key for everything."""
    with served.client(token) as client:
        kept = [str(key["number"]) for key in client.get("/v1/keys").json()["items"] if key["name"] == EVERYTHING]
    own = {"SCHEMATHESIS_HOOKS": "tests.contract", "TOLLBOOK_KEPT_KEYS": ",".join([EVERYTHING, *kept])}
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
