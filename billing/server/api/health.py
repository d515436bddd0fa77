"""Whether the service is alive and can do its work; what it counts of itself."""

from datetime import timedelta
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from billing.server.logs import Seldom
from billing.server.metrics import DATABASE_UP, SKEW_SECONDS, UNFOLDED, UNFOLDED_SECONDS, figures
from billing.server.problems import ProblemError, status_of
from billing.server.world import Connection, InWorld, World
from billing.skew import skew, skew_warning, tenths
from billing.store.queries.health import Readiness, lag, readiness
from billing.store.queries.limits import listed_guards

router = APIRouter(tags=["health"])

_skewed = Seldom(structlog.get_logger("tollbook.clock"), "clock-skew", every=timedelta(minutes=1))
_unevaluated = Seldom(structlog.get_logger("tollbook.limits"), "guards-unevaluated", every=timedelta(minutes=1))


class Alive(BaseModel):
    """The process answers."""

    status: str = "alive"


class Ready(BaseModel):
    """The service can take usage. `warnings` say what a person should mend all the same.

    `clock_skew_seconds` is how far the database's clock is ahead of the service's, negative behind it.
    """

    status: str = "ready"
    database: str
    clock_skew_seconds: str
    warnings: list[str]


@router.get("/v1/health")
async def alive() -> Alive:
    """Whether the process answers; it asks nobody else."""
    return Alive()


@router.get("/v1/ready", responses={503: {"description": "Not now."}})
def ready(request: Request, world: InWorld) -> Ready:
    """Whether usage can be taken: the database answers, takes writes, and what it acknowledges is on its disk."""
    with world.reading() as connection:
        found, apart = _asked(world, connection)
        unfit = [each for each in listed_guards(connection, world.products) if each.faults]
    if not found.durable:
        detail = "the database would lose what it acknowledged (fsync, full_page_writes or synchronous_commit is off)"
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "database-not-durable", detail)
    if not found.writable:
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "database-read-only", "the database is a standby")
    state = request.app.state
    if found.schema != getattr(state, "schema", found.schema):
        detail = "the database was migrated by another version of the program; start the service anew"
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "schema-changed", detail)
    state.schema = found.schema
    warning = skew_warning(apart)
    if warning:
        _skewed.warn(detail=warning, seconds=tenths(apart))
    warnings = [f"the guard {each.id} cannot be evaluated: {each.fault}" for each in unfit]
    if warnings:
        _unevaluated.warn(detail="; ".join(warnings))
    return Ready(
        database=found.version, clock_skew_seconds=tenths(apart), warnings=[*([warning] if warning else []), *warnings]
    )


@router.get("/metrics", include_in_schema=False)
def metrics(world: InWorld) -> PlainTextResponse:
    """The figures of the service, for Prometheus.

    Those of the database stay as they were where it does not answer, or where all connections are at work.
    """
    if world.has_free_connection():
        _look(world)
    return PlainTextResponse(figures(), media_type="text/plain; version=0.0.4")


def _look(world: World) -> None:
    try:
        with world.reading() as connection:
            _, apart = _asked(world, connection)
            behind = lag(connection)
    except Exception as error:
        if status_of(error) is not HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        DATABASE_UP.set(0)
    else:
        DATABASE_UP.set(1)
        SKEW_SECONDS.set(apart.total_seconds())
        UNFOLDED.set(behind.changes)
        UNFOLDED_SECONDS.set(behind.oldest.total_seconds())


def _asked(world: World, connection: Connection) -> tuple[Readiness, timedelta]:
    """How the database is, and how far its clock is ahead of ours."""
    before = world.clock()
    found = readiness(connection)
    return found, skew(found.now, before, world.clock())
