"""`Idempotency-Key`: a POST that carries one is done once, and whoever sends it again gets the first answer again.

Usage needs none: events have identities of their own, for ever, and not for a day. Keys and endpoints of webhooks take
none: their answers hold what is kept nowhere, or in one place only.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.flows.repeat import SAID_EVERY, Asked, Kept, answered, at_work, begin, unanswered
from billing.keys import Key
from billing.server.logs import troubled
from billing.server.problems import response
from billing.server.world import World

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_APART = ("/v1/events", "/v1/keys", "/v1/webhooks", "/v1/authorize", "/v1/rate")
_NOT_YET = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)  # not allowed, not there, locked: what may be otherwise when it is asked again
_SAYING_SO = CapacityLimiter(1)  # a thread of its own: those that answer may all be at such work
_NAME = re.compile(r"[\x21-\x7e]{1,200}")


class Repeats:
    """Answers named requests once."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self.app, self.world = app, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or give the answer that it had."""
        name = Headers(scope=scope).get(HEADER) if scope["type"] == "http" and scope["method"] == "POST" else None
        if name is None or scope["path"].startswith(_APART):
            await self.app(scope, receive, send)
            return
        if not _NAME.fullmatch(name):
            detail = f"{HEADER} is not 1 to 200 printable characters without spaces"
            await response(HTTPStatus.BAD_REQUEST, "idempotency-key-invalid", detail)(scope, receive, send)
            return
        key = await self._key(scope)
        if key is None:  # the route will say so
            await self.app(scope, receive, send)
            return
        body = await _body(receive)
        asked = Asked(key.number, name, _digest(scope, body))
        begun = await run_in_threadpool(begin, self.world.engine, asked, self.world.clock())
        if isinstance(begun, int):
            async with self._at_work(asked, begun):
                await self._answer(asked, begun, scope, body, send)
        else:
            await _again(asked, begun)(scope, receive, send)

    async def _key(self, scope: Scope) -> Key | None:
        kind, _, token = Headers(scope=scope).get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        found = await run_in_threadpool(self.world.keys.find, token, self.world.clock())
        return found if isinstance(found, Key) else None

    @asynccontextmanager
    async def _at_work(self, asked: Asked, turn: int) -> AsyncIterator[None]:
        """While it is being answered, however long that takes, say so now and then."""
        saying = asyncio.create_task(self._say(asked, turn))
        try:
            yield
        finally:
            saying.cancel()

    async def _say(self, asked: Asked, turn: int) -> None:
        is_mine = True
        while is_mine:
            await asyncio.sleep(SAID_EVERY.total_seconds())
            try:
                is_mine = await run_sync(
                    at_work, self.world.engine, asked, turn, self.world.clock(), limiter=_SAYING_SO
                )
            except Exception as error:  # noqa: BLE001 (whatever it is: it is said again)
                troubled(error)

    async def _answer(self, asked: Asked, turn: int, scope: Scope, body: bytes, send: Send) -> None:
        """Do what is asked and keep the answer, unless it is that it failed or was to be asked again."""
        heard = _Heard(send)
        try:
            await self.app(scope, _said(body), heard)
        except BaseException:
            await run_in_threadpool(unanswered, self.world.engine, asked, turn)
            raise
        if heard.is_final:
            answer = (heard.status, heard.kind, bytes(heard.body))
            await run_in_threadpool(answered, self.world.engine, asked, turn, *answer)
        else:
            await run_in_threadpool(unanswered, self.world.engine, asked, turn)
        await heard.pass_on()


class _Heard:
    """An answer on its way, held until it is kept: what is acknowledged can be given again."""

    def __init__(self, send: Send) -> None:
        self.send, self.messages, self.body = send, list[Message](), bytearray()
        self.status, self.kind = 0, ""

    async def __call__(self, message: Message) -> None:
        """Hear a part of it."""
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.kind = MutableHeaders(scope=message).get("Content-Type", "")
        self.body += message.get("body", b"")

    @property
    def is_final(self) -> bool:
        """Whether asking again would be answered alike."""
        return HTTPStatus.OK <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR and self.status not in _NOT_YET

    async def pass_on(self) -> None:
        """Send it."""
        for message in self.messages:
            await self.send(message)


def _again(asked: Asked, before: Kept) -> Response:
    if before.sha256 != asked.sha256:
        detail = f"this {HEADER} was sent with another request; take a new one for each request"
        return response(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)
    if before.status is None:
        detail = f"the request with this {HEADER} is being answered; ask again"
        return response(HTTPStatus.CONFLICT, "idempotency-key-in-use", detail, headers={"Retry-After": "1"})
    return Response(before.answer, before.status, {REPLAYED: "true"}, before.kind)


def _digest(scope: Scope, body: bytes) -> bytes:
    return sha256(b"\0".join([scope["method"].encode(), scope["path"].encode(), scope["query_string"], body])).digest()


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _said(body: bytes) -> Receive:
    """What a route receives of a body that was read before it."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
