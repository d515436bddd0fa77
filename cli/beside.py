"""The worker beside a service: a process that is started again whenever it dies, and that ends when the service has."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

_FIRST_WAIT_SECONDS = 1
_LONGEST_WAIT_SECONDS = 60
_WELL_SECONDS = 60
"""A worker that lived this long was well: the next one is started at once."""

_GRACE_SECONDS = 60
"""How long a worker may take to finish what it has begun."""

_PROGRAM = (sys.executable, "-P", "-c", "from cli.work import beside; beside()")


class _Worker:
    """The process, and the thread that waits for its end."""

    def __init__(self) -> None:
        self._ending, self._lock = Event(), Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = Thread(target=self._keep_one, name="worker")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let it finish what it has begun; whoever takes too long is ended."""
        with self._lock:
            self._ending.set()
            process = self._process
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()  # its end; unlike a signal it is never too early
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join()

    def _keep_one(self) -> None:
        import time

        import structlog

        log = structlog.get_logger("tollbook.work")
        wait = _FIRST_WAIT_SECONDS
        while (process := self._begin()) is not None:
            began = time.monotonic()
            code = process.wait()
            if self._ending.is_set():
                return
            wait = _FIRST_WAIT_SECONDS if time.monotonic() - began > _WELL_SECONDS else wait
            log.error("worker-died", code=code, next_seconds=wait)
            self._ending.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _begin(self) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            if self._ending.is_set():
                return None
            self._process = subprocess.Popen(_PROGRAM, stdin=subprocess.PIPE)  # noqa: S603 (ours)
            return self._process


@contextmanager
def worker_beside() -> Iterator[None]:
    """A worker, as long as the caller is at it."""
    worker = _Worker()
    worker.start()
    try:
        yield
    finally:
        worker.stop()
