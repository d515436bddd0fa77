"""What is said of a request that fails as nobody expected, and of one that brings what is to be in no log."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import httpx
import structlog
from fastapi import FastAPI

from billing.server import problems
from billing.server.logs import RequestLog, configure
from billing.server.metrics import figures
from billing.server.paths import EncodedSlashes


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """What is logged from here on, as the service logs it."""
    before, told = logging.getLogger().handlers, io.StringIO()
    with redirect_stderr(told):
        configure()
        try:
            yield told
        finally:
            structlog.reset_defaults()
            logging.getLogger().handlers = before


def answer_of(path: str, **headers: str) -> httpx.Response:
    """The answer of an app whose one route is a defect."""
    app = FastAPI()

    @app.get("/v1/defects/{name}")
    def defect(name: str) -> None:
        raise ZeroDivisionError(f"of {name}")

    problems.install(app)
    app.add_middleware(EncodedSlashes)
    app.add_middleware(RequestLog)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def lines_of(said: io.StringIO) -> list[dict[str, Any]]:
    """What the service said; the client has a log too."""
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    return [line for line in lines if "route" in line]


def test_a_defect_is_told_with_the_id_under_which_it_is_in_the_log() -> None:
    with logged() as said:
        answer = answer_of("/v1/defects/one")
    lines = lines_of(said)
    assert (500, "urn:tollbook:problem:defect") == (answer.status_code, answer.json()["type"])
    assert {answer.headers["X-Request-Id"]} == {line["request_id"] for line in lines}
    assert [500] == [line["status"] for line in lines if line["event"] == "request"]
    assert ["defect"] == [line["event"] for line in lines if "exception" in line]
    assert 'route="/v1/defects/{name}",status="500"' in figures().decode()


def test_a_name_with_a_slash_is_of_its_route_too() -> None:
    with logged() as said:
        answer_of("/v1/defects/a%2Fb")
    lines = lines_of(said)
    assert {"/v1/defects/{name}"} == {line["route"] for line in lines}


def test_a_key_is_no_id_of_a_request() -> None:
    with logged() as said:
        answer = answer_of("/v1/defects/one", **{"X-Request-Id": "tb_test_c2VjcmV0LXNlY3JldA"})
    assert answer.status_code == 500
    assert "c2VjcmV0" not in said.getvalue()


def test_the_secret_of_an_endpoint_is_in_no_log() -> None:
    with logged() as said:
        structlog.get_logger("t").error("round-failed", detail="Failing row contains (7, whsec_c2Vj+cmV0/LXNl=, null).")
    assert "Failing row contains (7, #, null)." == json.loads(said.getvalue())["detail"]
