"""Logs: one JSON object a line on standard error, each with its request's id; no phone numbers, no keys.

A request is told by its route's template (`/v1/events/{source}/{id}`), never by its path, its query or its body. What
errors say, which may quote anything, is told without the keys in it and without any run of digits that may be a number,
however deep it lies in what is told.
"""

import asyncio
import logging
import math
import random
import re
import sys
import time
import traceback
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from billing.server.metrics import REQUEST_SECONDS, REQUESTS, SOON
from billing.server.problems import defect

REQUEST_ID = "X-Request-Id"
_REQUEST_ID = REQUEST_ID.lower().encode()
_FRAMES = 4
_WELL_FORMED = re.compile(rb"(?!.*(?:tb_live_|tb_test_|whsec_))[A-Za-z0-9._-]{1,64}")
_SECRET = re.compile(r"tb_(?:live|test)_[\w-]+|whsec_[\w+/=-]+|[0-9]{7,}|(?<=\+)[0-9](?:[ ().-]{0,2}[0-9]){6,}")
_DEEPEST = 20
_OPEN = frozenset({"request_id", "timestamp"})
_QUIET = frozenset({"/v1/health", "/v1/ready", "/metrics"})


def configure(level: int = logging.INFO) -> None:
    """Let everything that this process says be one JSON object a line, the libraries' words too."""
    shared: list[Processor] = [
        _of_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Processor] = [structlog.processors.format_exc_info, _masked, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    without_notes = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[without_notes, *rendered], foreign_pre_chain=shared)
    )
    root = logging.getLogger()
    root.handlers, root.level = [handler], level
    logging.getLogger("alembic").setLevel(logging.WARNING)  # says twice each time that it looks at the schema
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = name != "uvicorn.access"  # its lines hold paths and addresses


_REQUEST: ContextVar[str] = ContextVar("request")
"""The id of the request that is being answered."""


def _of_request(_: object, __: str, told: EventDict) -> EventDict:
    """What is told, with the id of the request that it is told of."""
    if (request_id := _REQUEST.get("")) != "":
        told["request_id"] = request_id
    return told


def words_of(error: BaseException) -> dict[str, str]:
    """What is told of an error that no request is waiting for: its name, what it says, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    return {"error": type(error).__name__, "detail": said, "where": where}


def _masked(_: object, __: str, told: EventDict) -> EventDict:
    """What is told, without keys and numbers."""
    return {name: value if name in _OPEN else _without(value) for name, value in told.items()}


def _without(value: object, deep: int = 0) -> object:
    """A value as JSON has it, without keys and numbers; what is no value of JSON in its own words."""
    if isinstance(value, str):
        return _SECRET.sub("#", value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if _SECRET.search(str(value)) is None else "#"
    if deep < _DEEPEST and isinstance(value, Mapping):
        return {_SECRET.sub("#", str(name)): _without(each, deep + 1) for name, each in value.items()}
    if deep < _DEEPEST and isinstance(value, Collection) and not isinstance(value, bytes | bytearray | memoryview):
        return [_without(each, deep + 1) for each in value]
    return _SECRET.sub("#", repr(value))


class Seldom:
    """A warning that is told once in a while, however often there is cause for it."""

    def __init__(self, log: FilteringBoundLogger, event: str, *, every: timedelta) -> None:
        self._log, self._event, self._every = log, event, every.total_seconds()
        self._told = -math.inf

    def warn(self, **facts: object) -> None:
        """Tell it, if it was not told of late."""
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            self._log.warning(self._event, **facts)


def troubled(error: Exception) -> None:
    """Say that something which goes on by itself failed, and will be tried again."""
    structlog.get_logger("tollbook").warning("troubled", **words_of(error))


class _Line(msgspec.Struct):
    """What is told of a request: the same as everything else that is told, made in a tenth of the time."""

    method: str
    route: str
    status: int
    milliseconds: float
    key: str | msgspec.UnsetType
    request_id: str
    timestamp: datetime
    level: str = "info"
    event: str = "request"


class _Lines:
    """Lines on standard error: those of one turn of the event loop at once, when it ends."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Write one, soon."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(line)

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        sys.stderr.write(b"".join(lines).decode())
        sys.stderr.flush()


class RequestLog:
    """Gives each request its id (its own, if it is well formed), tells of it when it is answered, and counts it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log = structlog.get_logger("tollbook.request")
        self.lines = _Lines()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _id_of(scope)
        _REQUEST.set(request_id)
        started, status, is_whole = time.perf_counter(), 0, False

        async def sending(message: Message) -> None:
            nonlocal status, is_whole
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_REQUEST_ID, request_id.encode())]
            else:
                is_whole = not message.get("more_body")
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            self.log.exception("defect", route=_route(scope))
            if not status:
                await defect()(scope, receive, sending)
            elif not is_whole:  # it breaks off; what is whole, the framework has answered before it raised
                raise
        finally:
            self._tell(scope, request_id, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        method, route = scope["method"], _route(scope)
        count, times = _counted(method, route, status)
        SOON.inc(count)
        times.observe(seconds)
        if route in _QUIET:
            return
        key = scope.get("state", {}).get("told", {}).get("key")
        line = _Line(
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1e3, 1),
            key=msgspec.UNSET if key is None else _SECRET.sub("#", key),
            request_id=request_id,
            timestamp=datetime.now(UTC),
        )
        self.lines.write(_LINE(line) + b"\n")


_LINE = msgspec.json.Encoder().encode


@cache
def _counted(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """What is counted of such requests: methods are HTTP's, and routes are ours."""
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(route)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "") or "none"


def _id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _REQUEST_ID and _WELL_FORMED.fullmatch(value):
            return str(value, "ascii")
    return f"{random.getrandbits(128):032x}"
