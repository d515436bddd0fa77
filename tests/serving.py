"""The real service, as a process of its own that answers on loopback, for tests that talk HTTP to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

_ROOT = Path(__file__).resolve().parents[1]
_START_SECONDS = 60
_STOP_SECONDS = 45
_PROGRAM = (sys.executable, "-c", "from cli.main import run; run()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running service: where it answers, its process, and what it says (`log`)."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def client(self, token: str = "") -> httpx.Client:
        """A client that bears a key; the caller closes it."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def stop(self) -> int:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_SECONDS)


@contextmanager
def serving(
    database: str, folder: Path, *options: str, environ: Mapping[str, str] | None = None, work: bool = False
) -> Iterator[Served]:
    """The service on a database (its URL), with its log in a folder, until the test is done with it.

    `work`: with a worker beside it.
    """
    port = free_port()
    log = folder / f"serve-{port}.log"
    with log.open("wb") as told:
        process = subprocess.Popen(
            [*_PROGRAM, "serve", "--port", str(port), *([] if work else ["--no-work"]), *options],
            env=_environ(database, folder, environ or {}),
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
    try:
        yield _ready(Served(url=f"http://127.0.0.1:{port}", process=process, log=log))
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_program(database: str, folder: Path, arguments: Sequence[str]) -> str:
    """What a command of the program prints on standard output; it has to end well."""
    ended = subprocess.run(
        [*_PROGRAM, *arguments], env=_environ(database, folder, {}), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def new_key(database: str, folder: Path, name: str, *options: str) -> str:
    """The token of a new key, as `tollbook keys add` with these options shows it."""
    return run_program(database, folder, ["keys", "add", name, *options]).strip()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _environ(database: str, folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    own = {
        "DATABASE_URL": database,
        "TOLLBOOK_DATA": str(folder / "data"),
        "TOLLBOOK_MODE": "test",
        "PYTHONPATH": str(_ROOT),
    }
    return {**os.environ, **own, **more}


def _ready(served: Served) -> Served:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if served.process.poll() is not None:
            break
        try:
            if httpx.get(f"{served.url}/v1/health", timeout=5).status_code == httpx.codes.OK:
                return served
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the service did not start:\n{served.log.read_text()}")
