"""`tollbook serve`: the service that backend teams post usage to, and read from."""

import gc
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import say

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_CONNECTIONS = 12  # of one process, for its threads that answer
_WRITERS = 2  # its threads that take usage in: however much is read, they wait for no connection
_GRACE_SECONDS = 30
_IDLE_SECONDS = 75  # longer than proxies and clients keep a connection: who hangs up first is not who just sends
_HUNG_SECONDS = 60  # a process that says nothing for this long is ended, and another one started
_FEW_OBJECTS = 10_000  # what requests under way consist of is no garbage: fewer are not looked through
_FIGURES = "PROMETHEUS_MULTIPROC_DIR"
_APPLICATION = "cli.serve:application"


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 for every address.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="The port.")] = 8080,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Processes that answer.")] = 1,
    no_work: Annotated[
        bool, typer.Option("--no-work", help="Without the process of `tollbook work` beside it.")
    ] = False,
) -> None:
    """Serve the API until it is stopped; what was accepted by then is finished.

    The documentation of its routes is at /v1/openapi.json, its figures at /metrics. Put a proxy that speaks TLS before
    it: keys go over the wire.
    """
    from billing.flows.keys import settle_mode
    from cli.beside import worker_beside
    from cli.db import writing
    from cli.keys import mode_of
    from cli.world import now

    # Said here, once, and not by each process: that there is no database, an old schema, or no mode.
    with writing() as opened:
        settle_mode(opened, mode_of(opened), now())
    if sys.stderr.isatty():  # what is no terminal reads JSON
        say(f"Listening on http://{host}:{port} (Ctrl-C stops).")
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        if workers > 1 or not no_work:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tollbook-metrics-"))
            os.environ.setdefault(_FIGURES, folder)  # before whoever reads it is imported
        _configure_logs()
        if not no_work:
            stack.enter_context(worker_beside())
        _answer(host, port, workers)


def _end(*_: object) -> None:
    """End in order: before the server listens to signals itself, and when it has finished, raising its signal again."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _configure_logs() -> None:
    from billing.server.logs import configure

    configure()


def _answer(host: str, port: int, workers: int) -> None:
    """Answer requests until it is asked to end, and then those that were accepted."""
    import uvicorn

    uvicorn.run(
        _APPLICATION,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http="billing.server.wire:InOnePiece",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing is said of who calls, nor of the address that they asked
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_worker_healthcheck=_HUNG_SECONDS,
    )


def application() -> "ASGIApp":
    """The app of this environment's world: what each process of the service serves."""
    from functools import partial
    from secrets import token_bytes

    from billing.flows.authorize import Gatekeeper
    from billing.flows.gather import NUMBERS_AHEAD, Gathering
    from billing.flows.ingest import Intake
    from billing.flows.keyring import KeyRing
    from billing.keys import SECRET_BYTES
    from billing.server.app import service
    from billing.server.logs import configure, troubled
    from billing.server.metrics import note_commit
    from billing.server.world import World
    from cli.db import compiled_cards, engine, settings
    from cli.keys import mode_of
    from cli.month import rules_of
    from cli.world import now, products, states
    from cli.zones import pin_time_zones

    configure()
    pin_time_zones()
    said = settings()
    bounded = partial(engine, statement_seconds=said.statement_seconds, lock_seconds=said.lock_seconds)
    opened, apart, storing = (bounded(connections=each) for each in (_CONNECTIONS, 1, _WRITERS))
    sold, kept, known = products(), compiled_cards(), states()
    taking = Intake(engine=storing, products=sold, source=None, kept=kept, states=known, ahead=NUMBERS_AHEAD)
    app = service(
        World(
            engine=opened,
            products=sold,
            clock=now,
            secret=lambda: token_bytes(SECRET_BYTES),
            keys=KeyRing(engine=apart, mode=mode_of(opened), troubled=troubled),
            intake=Gathering(taking, now, on_commit=note_commit, troubled=troubled),
            kept=kept,
            states=known,
            rules=rules_of(said),
            reach=said.reach,
            gate=Gatekeeper(
                # A large card may take longer to read than any answer; what is known meanwhile says how old it is.
                bounded(connections=2, statement_seconds=10 * said.statement_seconds),
                sold,
                now,
                when_stale=said.when_stale,
                kept=kept,
                states=known,
                troubled=troubled,
            ),
        )
    )
    # What is there now stays: to look through it for garbage every few seconds would hold all requests for 0.1 s.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_FEW_OBJECTS)
    return app
