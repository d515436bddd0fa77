"""Bodies on their way in: how large one may be, how much all of them may take together, and how long one may take.

Without these a few clients that send slowly, or much, would take the memory of the process. Whoever goes away in the
middle of a body has asked for nothing.
"""

import asyncio
from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.server.bodies import LARGEST_BODY
from billing.server.problems import response

MOST_HELD = 128 << 20
"""Bytes of the bodies of all requests that are not answered yet, in one process."""

PATIENCE_SECONDS = 60
"""How long a body may take to come."""


class Uploads:
    """Lets bodies in, and refuses what is too large (413), too slow (408), or too much at once (503)."""

    def __init__(self, app: ASGIApp, most: int = MOST_HELD, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.app, self.most, self.patience_seconds = app, most, patience_seconds
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if said.isdigit() and int(said) > LARGEST_BODY:
            await _too_large()(scope, receive, send)
            return
        upload = _Upload(self, receive, send)
        try:
            await self.app(scope, upload.receive, upload.send)
        except ClientDisconnect:
            pass  # nobody hears an answer, or it is the refusal's
        finally:
            self.held -= upload.size
        if upload.refusal is not None and not upload.is_answered:
            await upload.refusal(scope, receive, send)


class _Upload:
    """One body; for the app it breaks off where it is refused, and then nothing that the app says is heard."""

    def __init__(self, uploads: Uploads, receive: Receive, send: Send) -> None:
        self._uploads, self._receive, self._send = uploads, receive, send
        self._until = asyncio.get_running_loop().time() + uploads.patience_seconds
        self.size = 0
        self.is_whole = self.is_answered = False
        self.refusal: JSONResponse | None = None

    async def receive(self) -> Message:
        """The next part of the body."""
        if self.is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            return self._refuse(_too_slow(self._uploads.patience_seconds))
        self.is_whole = not message.get("more_body")
        size = len(message.get("body", b""))
        if self.size + size > LARGEST_BODY:
            return self._refuse(_too_large())
        if self._uploads.held + size > self._uploads.most:
            return self._refuse(_too_much())
        self.size += size
        self._uploads.held += size
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on."""
        if self.refusal is None or self.is_answered:
            self.is_answered = True
            await self._send(message)

    def _refuse(self, refusal: JSONResponse) -> Message:
        self.is_whole, self.refusal = True, refusal
        return {"type": "http.disconnect"}


def _too_large() -> JSONResponse:
    detail = f"the body is more than {LARGEST_BODY:,} bytes"
    return response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail, headers=_LAST)


def _too_slow(seconds: float) -> JSONResponse:
    detail = f"the body did not come within {seconds:g} seconds; nothing of it was stored"
    return response(HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", detail, headers=_LAST)


def _too_much() -> JSONResponse:
    detail = "more is being sent than there is room for; nothing of this request was stored: send it again"
    return response(HTTPStatus.SERVICE_UNAVAILABLE, "queue-full", detail, headers=_LAST)


_LAST = {"Connection": "close"}  # what is left of the body is not read
