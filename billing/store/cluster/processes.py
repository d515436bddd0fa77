"""The processes of an embedded PostgreSQL: run its programs as its user, find the running server, wait."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from pathlib import Path

from billing.store.cluster.errors import ClusterNotStartedError
from billing.store.cluster.folders import PORT, Cluster, Say

# Nothing of the caller's environment reaches the server: no PG* variable, no library path, no locale that was
# never generated. Messages are in English, so that they can be recognised.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_STATUS_LINE = 7  # of postmaster.pid, counted from 0; it is written last
_PATIENCE_SECONDS = 2.0
_REPEAT_SECONDS = 30.0


class ServerStatus(StrEnum):
    """What a server process is doing; recovery is part of starting."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """The running server's first process."""

    pid: int
    status: ServerStatus


def postmaster(cluster: Cluster) -> Postmaster | None:
    """The server that runs on this data, or None."""
    lines = _pid_file(cluster)
    pid = _pid(lines)
    if pid is None or _whose(pid, cluster) is not _Whose.OURS:
        return None
    words = lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else ""
    return Postmaster(pid=pid, status=next((each for each in ServerStatus if each == words), ServerStatus.STARTING))


def forget_stale_pid(cluster: Cluster) -> None:
    """Remove the lock files of a killed server whose number another process has by now: a container restarted.

    PostgreSQL would take that for the server and refuse to start. If processes of the old server still ran, it
    would notice by the shared memory, which goes by the data directory and not by these files.
    """
    pid = _pid(_pid_file(cluster))
    if pid is not None and _whose(pid, cluster) is _Whose.ANOTHERS:
        (cluster.postgres / "postmaster.pid").unlink(missing_ok=True)
        (cluster.socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def run(cluster: Cluster, command: Sequence[str | Path]) -> tuple[int, str]:
    """Run a program as the server's user to its end: (exit code, what it said)."""
    with tempfile.TemporaryFile() as said:
        code = spawn(cluster, command, output=said.fileno()).wait()
        said.seek(0)
        return code, said.read().decode(errors="replace").strip()


def spawn(
    cluster: Cluster, command: Sequence[str | Path], *, output: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a program as the server's user, in a session of its own: Ctrl-C does not reach it."""
    user = cluster.server_user
    try:
        return subprocess.Popen(  # noqa: S603 (programs of the PostgreSQL that was found, paths of this cluster)
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_ENVIRONMENT,
            cwd="/",  # the caller's folder may be closed to the server's user, or gone
            start_new_session=True,
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [user.gid],
        )
    except OSError as error:
        problem = f"{command[0]} could not be run: {error.strerror}"
        remedy = "run the command as an ordinary user, or set DATABASE_URL to a running server"
        raise ClusterNotStartedError(problem, place=cluster.data, remedy=remedy) from error


def wait_until(done: Callable[[], bool], say: Say, doing: Callable[[], str]) -> None:
    """Wait as long as it takes; what takes long is said, and said again."""
    next_word = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        if time.monotonic() >= next_word:
            say(doing())
            next_word += _REPEAT_SECONDS
        time.sleep(0.01)


def _pid_file(cluster: Cluster) -> list[str]:
    with suppress(FileNotFoundError):
        return (cluster.postgres / "postmaster.pid").read_text(errors="replace").splitlines()
    return []


def _pid(lines: list[str]) -> int | None:
    with suppress(IndexError, ValueError):
        return int(lines[0])
    return None


class _Whose(Enum):
    """Whose the process is that has the number in the pid file."""

    NOBODYS = auto()
    OURS = auto()
    ANOTHERS = auto()
    UNKNOWN = auto()  # left to PostgreSQL, which refuses to start beside it


def _whose(pid: int, cluster: Cluster) -> _Whose:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # another user's process cannot be our server
        return _Whose.NOBODYS
    process = Path(f"/proc/{pid}")
    try:
        # "pid (name) state …". A dead process that nobody buried yet has its number, its name, and no arguments.
        name, _, _ = (process / "stat").read_text(errors="replace").rpartition(")")
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        if not name.endswith("(postgres") or arguments == [b""]:
            return _Whose.ANOTHERS
        if os.fsencode(cluster.postgres) in arguments:
            return _Whose.OURS
        # Its own folder is its data directory, under whatever name it was started.
        return _Whose.OURS if (process / "cwd").samefile(cluster.postgres) else _Whose.ANOTHERS
    except OSError:  # gone, or closed to us; where there is no /proc, it is taken at its word
        return _Whose.UNKNOWN if Path("/proc/self").exists() else _Whose.OURS
