"""What schemathesis is told of the service: how lines are written, what is no fault, and how it is run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response, SerializationContext

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


def try_out(url: str, token: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with all checks on a service."""
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("st")), "run", f"{url}/v1/openapi.json",
            "--header", f"Authorization: Bearer {token}", "--checks", "all",
            "--exclude-checks", "positive_data_acceptance", "--continue-on-failure", "--no-color",
            "--suppress-health-check", "all", *options,
        ],
        cwd=folder, env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.contract", "PYTHONPATH": str(_ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
