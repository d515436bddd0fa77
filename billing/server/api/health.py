"""Whether the service is alive and can do its work; what it counts of itself."""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from billing.server.metrics import figures
from billing.server.problems import ProblemError
from billing.server.world import InWorld
from billing.store.queries.health import health as health_of

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "alive"


class Ready(BaseModel):
    """The service can take usage."""

    status: str = "ready"
    database: str
    unfolded: int
    quarantined: int


@router.get("/v1/health")
async def alive() -> Alive:
    """Whether the process answers; it asks nobody else."""
    return Alive()


@router.get("/v1/ready", responses={503: {"description": "Not now."}})
def ready(world: InWorld) -> Ready:
    """Whether usage can be taken: the database answers, and what it acknowledges is on its disk."""
    with world.reading() as connection:
        found = health_of(connection)
    if not found.durable:
        detail = "the database would lose what it acknowledged (fsync, full_page_writes or synchronous_commit is off)"
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "database-not-durable", detail)
    return Ready(database=found.version, unfolded=found.unfolded, quarantined=found.quarantined)


@router.get("/metrics", include_in_schema=False)
def metrics() -> PlainTextResponse:
    """The figures of the service, for Prometheus."""
    return PlainTextResponse(figures(), media_type="text/plain; version=0.0.4")
