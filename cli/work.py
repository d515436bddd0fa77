"""`tollbook work`: what nobody waits for, done by a process of its own: folds, due charges, months ahead, webhooks."""

import os
import signal
import sys
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.output import Format, FormatOption, emit, number, text

if TYPE_CHECKING:
    from billing.flows.work import Round, Turn

_CONNECTIONS = 20
"""Of one worker: most rounds take one, one that is `alone` another, the poster of charges and webhooks some more."""

_QUIET_SECONDS = 60
"""A round that comes round sooner than this is told only where something is the matter."""

_COLUMNS = (text("round"), text("every"), text("ending"), number("count"), text("took"), text("warning"))


def work(
    once: Annotated[
        bool,
        typer.Option("--once", help="Do what is to be done now and end, as for cron; exit code 6: something failed."),
    ] = False,
    metrics: Annotated[
        int, typer.Option("--metrics", metavar="PORT", min=0, max=65535, help="Show figures at this port; 0: nowhere.")
    ] = 0,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to show them; 0.0.0.0 for every address.")] = (
        "127.0.0.1"
    ),
    form: FormatOption = Format.TABLE,
) -> None:
    """Do what nobody waits for, until it is stopped: fold usage, post due charges, make months ahead, send webhooks.

    `tollbook serve` runs one beside it. Any number may run at once, on any machine; what one fails in is tried again.
    When it is asked to end it finishes what it has begun.
    """
    if once:
        _once(form)
        return
    from billing.server.metrics import figures_at

    stopping = Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopping.set())
    if metrics:
        figures_at(host, metrics)
    loop(stopping)


def beside() -> None:
    """The worker of a service: it ends when it is told to, or when the process that it is beside has ended."""
    from cli.zones import pin_time_zones

    pin_time_zones()
    stopping = Event()
    for each in (signal.SIGTERM, signal.SIGINT):  # sent to all processes of a service at once: this one ends last
        signal.signal(each, signal.SIG_IGN)
    Thread(target=_until_alone, args=[stopping], name="beside", daemon=True).start()
    loop(stopping)


def loop(stopping: Event) -> None:
    """Take turns at all rounds until it is to stop."""
    import structlog

    from billing.flows.work import work as keep_on
    from billing.server.logs import configure, words_of
    from cli.db import engine
    from cli.world import now

    configure()
    log = structlog.get_logger("tollbook.work")
    opened = engine(connections=_CONNECTIONS)
    try:
        log.info("begun", rounds=[each.name for each in _rounds()])
        keep_on(opened, _rounds(), clock=now, stopping=stopping, tell=_tell)
        log.info("ended")
    except BaseException as error:
        log.critical("ended", **words_of(error))
        raise
    finally:
        opened.dispose()


def _rounds() -> "tuple[Round, ...]":
    """All that a worker does."""
    from billing.flows.work import rounds
    from billing.outbound.webhooks import Sender
    from cli.db import compiled_cards, settings
    from cli.world import now, products

    return rounds(products(), now, compiled_cards(), send=Sender(reach=settings().reach))


def _once(form: Format) -> None:
    from billing.flows.work import Ending, work_once
    from cli.db import engine
    from cli.exits import words_of
    from cli.world import now

    opened = engine(connections=_CONNECTIONS)
    try:
        turns = work_once(opened, _rounds(), clock=now)
    finally:
        opened.dispose()
    rows = [
        {
            "round": turn.round.name,
            "every": str(turn.round.every),
            "ending": str(turn.ending),
            "count": turn.done.count,
            "took": f"{turn.took.total_seconds():.3f}",
            "warning": "; ".join(words_of(turn.error)) if turn.error else turn.done.warning,
        }
        for turn in turns
    ]
    emit(rows, _COLUMNS, form, title="Rounds")
    if any(turn.ending is Ending.FAILED for turn in turns):
        raise typer.Exit(Exit.OUTSIDE_FAILED)
    if any(turn.done.warning for turn in turns):
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def _tell(turn: "Turn") -> None:
    """Count a turn, and say what somebody should know of it."""
    import structlog

    from billing.server.logs import words_of
    from billing.server.metrics import ROUND_COUNT, ROUND_DONE, ROUND_SECONDS, ROUNDS

    name = turn.round.name
    ROUNDS.labels(name, str(turn.ending)).inc()
    ROUND_SECONDS.labels(name).observe(turn.took.total_seconds())
    ROUND_COUNT.labels(name).inc(turn.done.count)
    log = structlog.get_logger("tollbook.work").bind(round=name, seconds=round(turn.took.total_seconds(), 3))
    if turn.error is not None:
        rest = turn.rest.total_seconds()
        log.error("round-failed", failures=turn.failures, next_seconds=rest, **words_of(turn.error))
        return
    ROUND_DONE.labels(name).set(turn.at.timestamp())
    if turn.done.warning:
        log.warning("round", count=turn.done.count, detail=turn.done.warning)
    elif turn.done.count and turn.round.every.total_seconds() >= _QUIET_SECONDS:
        log.info("round", count=turn.done.count)


def _until_alone(stopping: Event) -> None:
    """Wait for the end of standard input, which the service holds open as long as it lives."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    stopping.set()
