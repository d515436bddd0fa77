"""What goes wrong, as HTTP tells it (RFC 9457): one map from named errors to a status, and one form of the body.

A problem's `type` is `urn:tollbook:problem:` and the error's name; `errors` says each fault with a JSON pointer where
there is one, why, and what to do about it. `docs/api.md` lists them all.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.server.wording import said
from rates.errors import Fault

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1

# By name, as `cli.exits` has them. The first base class that is named here decides; what is not here, or
# has no status, is a defect, and is told without what it says.
STATUSES: Mapping[str, HTTPStatus | None] = {
    "rates.errors.CardFaultyError": HTTPStatus.UNPROCESSABLE_ENTITY,
    "rates.compiled.shapes.CardTooWideError": HTTPStatus.UNPROCESSABLE_ENTITY,
    "rates.products.ProductUnknownError": HTTPStatus.UNPROCESSABLE_ENTITY,
    "billing.errors.InputFaultyError": HTTPStatus.UNPROCESSABLE_ENTITY,
    "billing.errors.PeriodInvalidError": HTTPStatus.UNPROCESSABLE_ENTITY,
    "billing.errors.StreamUnreadableError": HTTPStatus.BAD_REQUEST,
    "billing.errors.PublicationBackdatedError": HTTPStatus.CONFLICT,
    "billing.errors.PublicationConflictError": HTTPStatus.CONFLICT,
    "billing.charges.SourceReservedError": HTTPStatus.UNPROCESSABLE_ENTITY,
    "billing.keys.KeyMissingError": HTTPStatus.NOT_FOUND,
    "billing.payers.SubjectMissingError": HTTPStatus.NOT_FOUND,
    "billing.runs.PeriodLockedError": HTTPStatus.CONFLICT,
    "billing.runs.PeriodNotDrawnError": HTTPStatus.NOT_FOUND,
    "billing.candidates.CandidateMisplacedError": HTTPStatus.UNPROCESSABLE_ENTITY,
    "billing.webhooks.DeliveryUnknownError": HTTPStatus.NOT_FOUND,
    "billing.webhooks.EndpointUnknownError": HTTPStatus.NOT_FOUND,
    "billing.errors.EventMissingError": None,
    "billing.errors.SourceUnknownError": None,
    "billing.runs.RunUnbalancedError": None,
    "rates.tally.items.CrossingsIncompleteError": None,
    "rates.errors.TollbookError": HTTPStatus.CONFLICT,
    "psycopg.OperationalError": HTTPStatus.SERVICE_UNAVAILABLE,
    "psycopg.errors.ReadOnlySqlTransaction": HTTPStatus.SERVICE_UNAVAILABLE,  # a standby, until it is the primary
    "sqlalchemy.exc.OperationalError": HTTPStatus.SERVICE_UNAVAILABLE,
    "sqlalchemy.exc.TimeoutError": HTTPStatus.SERVICE_UNAVAILABLE,
}

_LOCK_NOT_AVAILABLE, _QUERY_CANCELED = "55P03", "57014"  # of PostgreSQL
_UNREACHED = "the database cannot be reached; nothing of this request is stored unless it was before: repeat it"
_SLOW = "the database took too long for it, and was stopped; nothing of it is stored: repeat it, or ask for less"
_HELD = "somebody else holds for too long what it needs in the database; nothing of it is stored: repeat it"


class Item(BaseModel):
    """One thing that is wrong: where, why, and what to do."""

    pointer: str = ""
    reason: str
    remedy: str = ""


class Problem(BaseModel):
    """A problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[Item] = []


RESPONSES: dict[int | str, dict[str, object]] = {
    int(status): {
        "description": said,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, said in (
        (HTTPStatus.BAD_REQUEST, "The request is no request of HTTP or JSON."),
        (HTTPStatus.UNAUTHORIZED, "No key, or one that is not good any more."),
        (HTTPStatus.FORBIDDEN, "The key is not for this."),
        (HTTPStatus.NOT_FOUND, "Not there, or not this customer's."),
        (HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time."),
        (HTTPStatus.CONFLICT, "It contradicts what is there, or something else is at work on it."),
        (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large."),
        (HTTPStatus.UNPROCESSABLE_ENTITY, "Something in the request is wrong; `errors` says each thing."),
        (HTTPStatus.SERVICE_UNAVAILABLE, "Not now; repeat it after `Retry-After` seconds."),
    )
}
"""What any route may answer beside its own, as OpenAPI tells it."""


class ProblemError(Exception):
    """A problem that a route tells itself; `headers` go with it."""

    def __init__(
        self,
        status: HTTPStatus,
        name: str,
        detail: str,
        *,
        errors: Sequence[Item] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail = status, name, detail
        self.errors, self.headers = tuple(errors), dict(headers or {})


class Expected:
    """Answers what was foreseen to go wrong below it; what nobody expected goes on up, to be logged as a defect."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            return  # nobody hears an answer, or whoever refused the body gives it
        except Exception as error:
            expected = None if begun else answer_to(error)
            if expected is None:
                raise
            await expected(scope, receive, send)


def install(app: FastAPI) -> None:
    """Let an app tell its problems in this form, whatever raises them."""
    app.add_middleware(Expected)
    app.add_exception_handler(ProblemError, _of_route)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(RequestValidationError, _of_request)
    app.add_exception_handler(Exception, _of_anything)


def response(
    status: HTTPStatus,
    name: str,
    detail: str,
    *,
    errors: Sequence[Item] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as the answer to a request."""
    problem = Problem(
        type=f"urn:tollbook:problem:{name}",
        title=status.phrase,
        status=int(status),
        detail=_in_unicode(detail),
        errors=list(errors),
    )
    told = dict(headers or {})
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        told.setdefault("Retry-After", str(RETRY_SECONDS))
    return JSONResponse(problem.model_dump(mode="json"), int(status), told, MEDIA_TYPE)


def answer_to(error: Exception) -> JSONResponse | None:
    """The answer that tells an expected error; None for one that nobody expected."""
    if isinstance(error, ProblemError):
        return response(error.status, error.name, error.detail, errors=error.errors, headers=error.headers)
    status = status_of(error)
    if status is None:
        return None
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        code = getattr(error, "sqlstate", None)
        if code == _LOCK_NOT_AVAILABLE:
            return response(status, "database-held", _HELD)
        if code == _QUERY_CANCELED:
            return response(status, "database-slow", _SLOW)
        return response(status, "database-unreachable", _UNREACHED)
    faults = [item_of(fault) for fault in getattr(error, "faults", ())]
    lines = str(error).splitlines()
    return response(status, name_of(error), lines[0] if lines else "", errors=faults)


def defect() -> JSONResponse:
    """The answer where something went wrong that nobody expected; the log has it, under the request's id."""
    detail = "this is a defect of the service, and is in its log under the request's id"
    return response(HTTPStatus.INTERNAL_SERVER_ERROR, "defect", detail)


def status_of(error: BaseException) -> HTTPStatus | None:
    """The status that tells an expected error; None for one that nobody expected."""
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__)
    return next((STATUSES[name] for name in names if name in STATUSES), None)


def name_of(error: BaseException) -> str:
    """The name of a kind of error, as in `period-locked` of PeriodLockedError."""
    name = type(error).__name__.removesuffix("Error")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def item_of(fault: Fault) -> Item:
    """A fault as one of the things that are wrong."""
    place = f"{fault.place}: " if fault.place and not fault.place.startswith("/") else ""
    pointer = fault.place if fault.place.startswith("/") else ""
    value = f'"{fault.value}" ' if fault.value else ""
    return Item(pointer=pointer, reason=_in_unicode(f"{place}{value}{fault.problem}"), remedy=_in_unicode(fault.remedy))


async def _of_anything(_: Request, error: Exception) -> JSONResponse:
    return answer_to(error) or defect()


async def _of_route(_: Request, error: Exception) -> JSONResponse:
    answer = answer_to(error) if isinstance(error, ProblemError) else None
    if answer is None:
        raise error
    return answer


async def _of_framework(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        known = ", ".join(_methods(request))
        detail = f"{request.method} is not answered here, but {known}"
        return response(status, "method-not-allowed", detail, headers={"Allow": known})
    if status is HTTPStatus.NOT_FOUND:
        return response(status, "not-found", "no such route; /v1/openapi.json has them all")
    return response(status, "request-unreadable", str(error.detail), headers=error.headers)


def _methods(request: Request) -> list[str]:
    """The methods that a request's path knows: the framework names those of its first route alone."""
    routes, scope = request.app.router.routes, dict(request.scope)
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches(scope | {"method": method})[0] is Match.FULL for route in routes)
    ]


async def _of_request(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    items = [Item(**said(fault)._asdict()) for fault in error.errors()]
    detail = f"{len(items)} {'thing is' if len(items) == 1 else 'things are'} wrong with the request"
    return response(HTTPStatus.UNPROCESSABLE_ENTITY, "request-invalid", detail, errors=items)


def _in_unicode(text: str) -> str:
    """A text that UTF-8 can write: half a character is told by its number."""
    return text.encode("utf-8", "backslashreplace").decode()
