"""The service: its routes, what it keeps between requests, how it begins and ends. The composition root of HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio.to_thread
from fastapi import FastAPI
from starlette.types import ASGIApp

from billing.flows.authorize import Gatekeeper
from billing.server import problems
from billing.server.api import (
    accounts,
    authorize,
    cards,
    contracts,
    controls,
    events,
    events_read,
    guards,
    health,
    invoices,
    keys,
    near,
    prices,
    quarantine,
    rate,
    runs,
    statements,
    triggers,
    usage,
    webhooks,
)
from billing.server.describing import describe, name_of_route
from billing.server.logs import RequestLog
from billing.server.metrics import CONNECTIONS
from billing.server.often import Often
from billing.server.paths import EncodedSlashes
from billing.server.repeats import Repeats
from billing.server.uploads import Uploads
from billing.server.world import World

_ROUTERS = (
    health.router,
    events.often,
    events.router,
    usage.router,
    accounts.router,
    contracts.router,
    statements.router,
    cards.router,
    prices.router,
    rate.router,
    invoices.router,
    runs.router,
    events_read.router,
    near.router,
    quarantine.router,
    controls.router,
    authorize.router,
    triggers.router,
    guards.router,
    keys.router,
    webhooks.router,
)
_THREADS = 16
_ABOUT = (
    "Usage in, exact and explained invoices out. An event whose result is `accepted` or `quarantined` is committed: it"
    " is counted once, for ever, however often it is sent. Every amount is a decimal in a string, every instant RFC"
    " 3339 in UTC. Keys: `Authorization: Bearer tb_live_…`."
)


def service(world: World) -> ASGIApp:
    """What a server runs for a world: its app, behind what every request goes through.

    That stands before the framework: what is asked most needs nothing of it.
    """
    return RequestLog(Uploads(Often(build(world), world=world, routes=events.often.routes)))


def build(world: World) -> FastAPI:
    """The app of a world: its routes, and what becomes of what goes wrong in them."""
    app = FastAPI(
        title="Tollbook",
        version=version("tollbook"),
        description=_ABOUT,
        lifespan=_lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # there are figures and logs of our own
        generate_unique_id_function=name_of_route,
    )
    app.state.world = world
    describe(app)
    problems.install(app)
    app.add_middleware(Repeats, world=world)  # the last one added is the first to see a request
    app.add_middleware(EncodedSlashes)
    app.add_middleware(problems.Expected)  # of these themselves; what routes raise is an answer before it is repeated
    for router in _ROUTERS:
        app.include_router(router, responses=problems.RESPONSES)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Begin, and when the server has answered its last request, finish what was accepted."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
    world: World = app.state.world
    world.watch(CONNECTIONS.set)
    app.state.gate = world.gate or Gatekeeper(
        world.engine, world.products, world.clock, kept=world.kept, states=world.states
    )
    with world.keys, world.intake, app.state.gate:
        yield
    world.engine.dispose()
