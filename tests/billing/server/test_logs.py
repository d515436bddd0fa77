"""What is said of a request that fails as nobody expected, and of one that brings what is to be in no log."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.server import problems
from billing.server.logs import RequestLog, configure, words_of
from billing.server.metrics import figures
from billing.server.paths import EncodedSlashes
from billing.server.uploads import Uploads


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

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=RequestLog(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


async def broken_off(app: ASGIApp) -> list[Message]:
    """What an app answers to one who goes away in the middle of a body."""
    heard: list[Message] = []
    parts: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        heard.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/read", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return heard


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


def test_whoever_goes_away_is_answered_nothing_and_is_no_defect() -> None:
    app = FastAPI()

    @app.post("/v1/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    problems.install(app)
    with logged() as said:
        heard = asyncio.run(broken_off(RequestLog(Uploads(app))))
    assert ([], [("request", 0)]) == (heard, [(line["event"], line["status"]) for line in lines_of(said)])


def test_an_answer_that_breaks_off_is_told_of_and_not_ended() -> None:
    """The server closes the connection, so that nobody takes what there is for all."""

    async def breaks(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[1, ", "more_body": True})
        raise ZeroDivisionError

    with logged() as said, pytest.raises(ZeroDivisionError):
        asyncio.run(broken_off(RequestLog(breaks)))
    assert ["defect", "request"] == [line["event"] for line in lines_of(said)]


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


NUMBER, KEY = "+14155550123", "tb_live_c2VjcmV0LXNlY3JldA"


class Spoken:
    """Something that says a number of itself."""

    def __repr__(self) -> str:
        return f"<call to {NUMBER}>"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            {"event": {"to": NUMBER, "from": ["x", (KEY, 14155550123)]}},
            {"event": {"to": "+#", "from": ["x", ["#", "#"]]}},
        ),
        ({NUMBER: 1, KEY: {2: None}}, {"+#": 1, "#": {"2": None}}),
        ([{"a": [[[{"b": f"of {NUMBER}"}]]]}], [{"a": [[[{"b": "of +#"}]]]}]),
        ({14155550123}, ["#"]),
        (ValueError(f"no price for {NUMBER}", {"key": KEY}), "ValueError('no price for +#', {'key': '#'})"),
        ([ValueError(f"of {NUMBER}")], ["ValueError('of +#')"]),
        (NUMBER.encode(), "b'+#'"),
        (Spoken(), "<call to +#>"),
        ("to +1 (415) 555-0123 and +44 20.7946 0000", "to +# and +#"),
        ([True, None, 1.5, 7, 999_999, "2026-11-22"], [True, None, 1.5, 7, 999_999, "2026-11-22"]),
    ],
)
def test_numbers_and_keys_are_in_no_log_however_deep_they_lie(value: object, told: object) -> None:
    with logged() as said:
        structlog.get_logger("t").error("round-failed", facts=value)
    assert told == json.loads(said.getvalue())["facts"]


def test_what_contains_itself_is_told_all_the_same() -> None:
    endless: list[object] = [NUMBER]
    endless.append(endless)
    with logged() as said:
        structlog.get_logger("t").error("round-failed", facts=endless)
    assert NUMBER.removeprefix("+") not in said.getvalue()
    assert "round-failed" == json.loads(said.getvalue())["event"]


def test_what_an_error_and_those_before_it_say_is_told_without_numbers_and_keys() -> None:
    def fail() -> None:
        try:
            raise KeyError({"to": NUMBER})  # noqa: TRY301
        except KeyError as error:
            error.add_note(f"while {KEY} was read")
            raise ExceptionGroup("several", [ValueError([NUMBER]), error]) from error

    with logged() as said:
        try:
            fail()
        except ExceptionGroup as error:
            structlog.get_logger("t").exception("defect", **words_of(error), facts={"error": error})
            logging.getLogger("library").exception("failed: %s", {"to": [NUMBER]})
    assert 2 == len(said.getvalue().splitlines())
    for secret in (NUMBER.removeprefix("+"), KEY):
        assert secret not in said.getvalue()
    assert "ExceptionGroup" in said.getvalue()
