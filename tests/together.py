"""Commands in processes of their own, which begin together."""

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import freezegun

from cli.main import main
from tests.cli.conftest import NOW

# What commands import when they run; here before the word is given, so that both are at work at the same time.
_WORK = ["approve", "correct", "draw_up", "finalize", "fold", "ingest"]


class Ended(NamedTuple):
    """A command that has ended: its exit code, and what it said on standard error."""

    code: int | None
    err: str


def together(folder: Path, *commands: Sequence[str | Path], apart: float = 0) -> list[Ended]:
    """Begin commands at the same time, each in its own process; `apart`: one after the other by so many seconds."""
    processes = _processes()
    ready = processes.Barrier(len(commands))
    environment = {key: value for key, value in os.environ.items() if key.startswith(("DATABASE_URL", "TOLLBOOK_"))}
    started = []
    for number, command in enumerate(commands):
        said = folder / f"said-by-{number}"
        values = ([*map(str, command)], environment, str(said), ready, number * apart)
        started.append((processes.Process(target=_work, args=values), said))
    for process, _ in started:
        process.start()
    for process, _ in started:
        process.join()
    return [Ended(process.exitcode, said.read_text()) for process, said in started]


@cache
def _processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.together", "cli.db", *(f"billing.flows.{name}" for name in _WORK)])
    return context


def _work(arguments: list[str], environment: dict[str, str], said: str, ready: Barrier, after: float) -> None:
    os.environ.update(environment)
    with Path(said).open("w") as stream, Path(os.devnull).open("w") as nowhere:
        sys.stdout, sys.stderr = nowhere, stream
        with freezegun.freeze_time(NOW, tick=True, real_asyncio=True):
            ready.wait()
            time.sleep(after)
            code = main(arguments)
    raise SystemExit(code)
