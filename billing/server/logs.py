"""Logs: one JSON object a line on standard error, each with its request's id; no phone numbers, no keys.

A request is told by its route's template (`/v1/events/{source}/{id}`), never by its path, its query or its body. What
errors say, which may quote anything, is told without the keys in it and without any run of digits that may be a number.
"""

import logging
import math
import re
import sys
import time
import traceback
import uuid
from datetime import timedelta
from pathlib import Path

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from billing.server.metrics import REQUEST_SECONDS, REQUESTS
from billing.server.problems import answer_to

REQUEST_ID = "X-Request-Id"
_FRAMES = 4
_WELL_FORMED = re.compile(rb"(?!.*(?:tb_live_|tb_test_|whsec_))[A-Za-z0-9._-]{1,64}")
_SECRET = re.compile(r"tb_(?:live|test)_[\w-]+|whsec_[\w+/=-]+|[0-9]{7,}")
_OPEN = frozenset({"request_id", "timestamp"})
_QUIET = frozenset({"/v1/health", "/v1/ready", "/metrics"})


def configure(level: int = logging.INFO) -> None:
    """Let everything that this process says be one JSON object a line, the libraries' words too."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
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


def words_of(error: BaseException) -> dict[str, str]:
    """What is told of an error that no request is waiting for: its name, what it says, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    return {"error": type(error).__name__, "detail": said, "where": where}


def _masked(_: object, __: str, told: EventDict) -> EventDict:
    """What is told, without keys and numbers."""
    return {
        name: _SECRET.sub("#", value) if isinstance(value, str) and name not in _OPEN else value
        for name, value in told.items()
    }


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


class RequestLog:
    """Gives each request its id (its own, if it is well formed), tells of it when it is answered, and counts it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log = structlog.get_logger("tollbook.request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _id_of(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).append(REQUEST_ID, request_id)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            self.log.exception("defect", route=_route(scope))
            if status:
                raise
            await answer_to(error)(scope, receive, sending)  # here, where it gets the id that the log has
        finally:
            self._tell(scope, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        REQUESTS.labels(scope["method"], route, str(status)).inc()
        REQUEST_SECONDS.labels(route).observe(seconds)
        if route not in _QUIET:
            said = {
                "method": scope["method"],
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1e3, 1),
            }
            self.log.info("request", **said, **scope.get("state", {}).get("told", {}))


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "") or "none"


def _id_of(scope: Scope) -> str:
    wanted = REQUEST_ID.lower().encode()
    said = next((value for name, value in scope["headers"] if name == wanted), b"")
    return said.decode() if _WELL_FORMED.fullmatch(said) else uuid.uuid4().hex
