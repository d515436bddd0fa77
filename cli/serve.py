"""`tollbook serve`: the service that backend teams post usage to, and read from."""

import os
import tempfile
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import say

if TYPE_CHECKING:
    from fastapi import FastAPI

_CONNECTIONS = 12  # of one process: its threads that answer, those that write, those that look
_GRACE_SECONDS = 30
_APPLICATION = "cli.serve:application"


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 for every address.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="The port.")] = 8080,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Serve the API until it is stopped; what was accepted by then is finished.

    The documentation of its routes is at /v1/openapi.json, its figures at /metrics. Put a proxy that speaks TLS before
    it: keys go over the wire.
    """
    import signal

    import uvicorn

    from billing.flows.keys import settle_mode
    from billing.server.metrics import SHARED
    from cli.db import writing
    from cli.keys import mode_of
    from cli.world import now

    # Said here, once, and not by each process: that there is no database, an old schema, or no mode.
    with writing() as opened:
        settle_mode(opened, mode_of(opened), now())
    # The server raises the signal that ended it again when it has finished: whoever asked it to end hears that it did.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(prefix="tollbook-metrics-") as folder:
        if workers > 1:
            os.environ.setdefault(SHARED, folder)
        say(f"Listening on http://{host}:{port} (Ctrl-C stops).")
        uvicorn.run(
            _APPLICATION,
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )


def application() -> "FastAPI":
    """The app of this environment's world: what each process of the service serves."""
    from secrets import token_bytes

    from billing.flows.keyring import KeyRing
    from billing.keys import SECRET_BYTES
    from billing.server.app import build
    from billing.server.logs import configure, troubled
    from billing.server.world import World
    from cli.db import compiled_cards, engine, settings
    from cli.keys import mode_of
    from cli.world import now, products, states
    from cli.zones import pin_time_zones

    configure()
    pin_time_zones()
    opened, apart = engine(connections=_CONNECTIONS), engine(connections=1)
    return build(
        World(
            engine=opened,
            products=products(),
            clock=now,
            secret=lambda: token_bytes(SECRET_BYTES),
            keys=KeyRing(engine=apart, mode=mode_of(opened), troubled=troubled),
            kept=compiled_cards(),
            states=states(),
            reach=settings().reach,
        )
    )
