"""Who calls: the key that a request bears, and what it may do.

A route names what its caller must be allowed (`Reader`, `Reporter`, `Bookkeeper`, `Administrator`) as an argument. A
customer's key is a reader that sees one billing account and those it pays for: such a route asks `billing.server.sight`
before it shows anything, and what is another's is told exactly as what is nowhere.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from billing.keys import Key, KeyProblem, Kind, Scope
from billing.server.problems import ProblemError
from billing.server.world import InWorld, World

_BEARER = HTTPBearer(auto_error=False, description="`Authorization: Bearer tb_live_…` (or `tb_test_…`)")
_ASK = {"WWW-Authenticate": "Bearer"}

Borne = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


async def caller(request: Request, world: InWorld, borne: Borne) -> Key:
    """The key of a request. Raises ProblemError 401 without a good one."""
    return await _caller(request, world, borne.credentials if borne is not None else "")


async def _caller(request: Request, world: World, token: str) -> Key:
    if not token:
        detail = "send a key, as in Authorization: Bearer tb_live_… (or tb_test_…)"
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "key-absent", detail, headers=_ASK)
    at = world.clock()
    found: Key | KeyProblem | None = world.keys.seen(token, at)
    if found is None:
        found = await run_in_threadpool(world.keys.find, token, at)
    if isinstance(found, KeyProblem):
        detail = f"{found.detail}; {found.remedy}"
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "key-invalid", detail, headers=_ASK)
    request.state.told = {"key": found.name}
    return found


_ASKED: dict[object, tuple[Scope, bool]] = {}


def asked_of(dependency: object) -> tuple[Scope, bool] | None:
    """The scope that a dependency of a route asks for, and whether customers' keys will do; None if it asks no key."""
    return _ASKED.get(dependency)


def _may(scope: Scope, *, customers: bool = False) -> Callable[[Key], Awaitable[Key]]:
    async def allowed(key: Annotated[Key, Depends(caller)]) -> Key:
        if not key.may(scope):
            detail = f"the key {key.name} is not for this: take one with the scope {scope}"
            raise ProblemError(HTTPStatus.FORBIDDEN, "scope-missing", detail)
        if key.kind is Kind.CUSTOMER and not customers:
            raise ProblemError(HTTPStatus.FORBIDDEN, "operators-only", "this is for keys of the operator")
        return key

    _ASKED[allowed] = scope, customers
    return allowed


_reports = _may(Scope.INGEST)

Reporter = Annotated[Key, Depends(_reports)]
"""Whoever reports usage."""


async def reporter(request: Request, world: World) -> Key:
    """Whoever reports usage by a request, for a route that is asked too often to have its arguments made for it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return await _reports(await _caller(request, world, token.strip() if scheme.lower() == "bearer" else ""))


Reader = Annotated[Key, Depends(_may(Scope.READ, customers=True))]
"""Whoever reads: an operator all of it, a customer its own."""

Operator = Annotated[Key, Depends(_may(Scope.READ))]
"""Whoever reads what is of no one customer."""

Bookkeeper = Annotated[Key, Depends(_may(Scope.FINANCE))]
"""Whoever draws bills up, approves, issues and releases them, and says what things cost."""

Administrator = Annotated[Key, Depends(_may(Scope.ADMIN))]
"""Whoever manages keys, endpoints and limits."""


def missing(what: str) -> ProblemError:
    """The answer for what is not there, or is another customer's: nobody can tell which."""
    return ProblemError(HTTPStatus.NOT_FOUND, "not-found", f"no such {what}")
