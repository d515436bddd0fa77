"""The life of an embedded PostgreSQL: initialise, configure, start, stop. The caller holds the lock."""

import os
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from billing.store.cluster.binaries import Binaries, copied
from billing.store.cluster.errors import (
    ClusterNotStartedError,
    DataFolderUnusableError,
    DataVersionMismatchError,
    remedy_for,
)
from billing.store.cluster.folders import Cluster, Say, make_folders, make_own_folder
from billing.store.cluster.processes import ServerStatus, forget_stale_pid, postmaster, run, spawn, wait_until
from billing.store.cluster.settings import configuration, memory_bytes

SUPERUSER = "postgres"
_WITHOUT_LIMIT = "31536000"  # pg_ctl has no such word: a year of seconds
_ORPHANS = "shared memory block"
_ORPHANS_SECONDS = 60.0
_LAST_LINES = 8
_LAST_BYTES = 4096


class StopMode(StrEnum):
    """How a server ends: once all clients left; now, rolling back; or now, to recover at the next start."""

    SMART = "smart"
    FAST = "fast"
    IMMEDIATE = "immediate"


_SIGNALS = {StopMode.SMART: signal.SIGTERM, StopMode.FAST: signal.SIGINT, StopMode.IMMEDIATE: signal.SIGQUIT}


def bring_up(cluster: Cluster, say: Say) -> None:
    """Make the server take connections, whatever state it is in; wait for a recovery as long as it takes.

    Raises ClusterNotStarted-, DataVersionMismatch-, DataFolderUnusable-, SocketFolderUnsafeError.
    """
    make_folders(cluster)
    # A server whose command was interrupted still starts, or stops: first to the end of that.
    if _is_ready(cluster, say):
        return
    binaries = _binaries_for_server(cluster)
    if not cluster.postgres.exists():
        say(f"Creating the database in {cluster.data} with {cluster.binaries}.")
        _initialise(cluster, binaries)
    _write_configuration(cluster, binaries)
    forget_stale_pid(cluster)
    _start(cluster, binaries, say)
    if not _is_ready(cluster, say):
        raise _not_started(cluster, "PostgreSQL ended while it was starting", _last_words(cluster, {}))


def bring_down(cluster: Cluster, say: Say, mode: StopMode) -> bool:
    """Stop the server and wait until it is gone; False if none ran."""
    found = postmaster(cluster)
    if found is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(found.pid, _SIGNALS[mode])
    wait_until(lambda: postmaster(cluster) is None, say, lambda: f"PostgreSQL (process {found.pid}) is stopping.")
    return True


def _is_ready(cluster: Cluster, say: Say) -> bool:
    """Wait for a server that is starting or stopping: True when it is ready, False when there is none."""

    def settled() -> bool:
        found = postmaster(cluster)
        return found is None or found.status is ServerStatus.READY

    wait_until(settled, say, lambda: _progress(cluster))
    return postmaster(cluster) is not None


def _binaries_for_server(cluster: Cluster) -> Binaries:
    """The programs as the server's user can run them. Raises DataVersionMismatch-, DataFolderUnusableError."""
    _check_version(cluster)
    user = cluster.server_user
    if user is None:
        return cluster.binaries
    # In a folder that is not root's, its owner could turn the copying against root: there the originals are run.
    own = cluster.data.stat().st_uid == 0
    binaries = copied(cluster.binaries, cluster.data / "binaries") if own else cluster.binaries
    for path in (cluster.data, binaries.program("postgres")):
        if run(cluster, ["/bin/sh", "-c", 'test -x "$1"', "sh", path])[0] != 0:
            problem = f"user id {user.uid}, who runs the server for root, cannot reach it"
            remedy = "let that user enter every folder of this path, or choose another"
            raise DataFolderUnusableError(problem, place=path, remedy=remedy)
    return binaries


def _check_version(cluster: Cluster) -> None:
    try:
        writer = int((cluster.postgres / "PG_VERSION").read_text())
    except FileNotFoundError:
        return
    if writer != cluster.binaries.major:
        problem = f"PostgreSQL {writer} wrote the data, and {cluster.binaries} cannot read it"
        remedy = (
            f"set TOLLBOOK_PG_BIN to the bin folder of PostgreSQL {writer} to open it, "
            "or dump it with that and restore it into a new data folder"
        )
        raise DataVersionMismatchError(problem, place=cluster.data, remedy=remedy)


def _initialise(cluster: Cluster, binaries: Binaries) -> None:
    # Initialised beside and renamed when whole: an interrupted one is never taken for a database.
    fresh = cluster.data / "postgres.unfinished"
    shutil.rmtree(fresh, ignore_errors=True)
    make_own_folder(fresh, cluster)
    # Sorted by code point on every machine. The C library's locales differ between machines and change with
    # upgrades, and then indexes are silently wrong. Version 16 has no builtin provider; its plain C sorts alike.
    builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    locale = ("--locale=C", "--encoding=UTF8", *(builtin if binaries.major > 16 else ()))  # noqa: PLR2004
    access = ("--auth-local=trust", "--auth-host=reject", f"--username={SUPERUSER}")
    careless = ("--no-sync",) if cluster.settings.get("fsync") == "off" else ()
    command = (binaries.program("initdb"), "-D", fresh, "--data-checksums", *locale, *access, *careless)
    code, words = run(cluster, command)
    if code != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        last = "\n".join(words.splitlines()[-_LAST_LINES:])
        raise _not_started(cluster, "the database could not be created", last)
    fresh.rename(cluster.postgres)
    _sync(cluster.data)  # the new name is on the disk before anything is committed under it


def _write_configuration(cluster: Cluster, binaries: Binaries) -> None:
    asking = ("-C", "wal_compression", "-c", "wal_compression=lz4")
    code, _ = run(cluster, [binaries.program("postgres"), "-D", cluster.postgres, *asking])
    # Not every build has it. What they all have, pglz, is worse than nothing: of pages of random ids, which are what is
    # logged most, it saves an eighth, and a writer takes in a quarter of the events in the same time.
    compression = "lz4" if code == 0 else "off"
    text = configuration(cluster, memory_bytes=memory_bytes(), wal_compression=compression)
    descriptor, name = tempfile.mkstemp(dir=cluster.data, prefix=".server.conf-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).chmod(0o644)  # the server's user reads it; it holds no secrets
    Path(name).replace(cluster.configuration)


def _start(cluster: Cluster, binaries: Binaries, say: Say) -> None:
    give_up = time.monotonic() + _ORPHANS_SECONDS
    while True:
        before = _log_sizes(cluster)
        if _start_once(cluster, binaries, say) == 0:
            return
        words = _last_words(cluster, before)
        if _ORPHANS not in words or time.monotonic() > give_up:
            raise _not_started(cluster, "PostgreSQL did not start", words)
        # The server was killed, and the processes it left behind need a moment to notice.
        time.sleep(0.2)


def _start_once(cluster: Cluster, binaries: Binaries, say: Say) -> int:
    first_words = cluster.log_folder / "start.log"
    first_words.unlink(missing_ok=True)
    # Outside PostgreSQL's own folder: a root would be writing where another user can put links. pg_ctl hands the
    # options to a shell.
    options = f"-c config_file={shlex.quote(str(cluster.configuration))}"
    where = ("-D", cluster.postgres, "-l", first_words, "-o", options)
    process = spawn(cluster, [binaries.program("pg_ctl"), "start", "-w", "-t", _WITHOUT_LIMIT, *where])
    wait_until(lambda: process.poll() is not None, say, lambda: _progress(cluster))
    return process.wait()


def _progress(cluster: Cluster) -> str:
    found = postmaster(cluster)
    doing = ServerStatus.STARTING if found is None else found.status
    last = _last_words(cluster, {}).splitlines()[-1:]
    return " ".join((f"PostgreSQL is {doing}; after a crash it recovers first, which can take minutes.", *last))


def _log_sizes(cluster: Cluster) -> dict[Path, int]:
    return {path: path.stat().st_size for path in cluster.log_folder.glob("postgresql-*.log")}


def _last_words(cluster: Cluster, seen: Mapping[Path, int]) -> str:
    """The end of what was logged beyond the sizes `seen`: at the start, then by the server once it got so far."""
    logs = sorted(_log_sizes(cluster), key=lambda path: path.stat().st_mtime)
    lines: list[str] = []
    for path in (cluster.log_folder / "start.log", *logs):
        with suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(max(seen.get(path, 0), path.stat().st_size - _LAST_BYTES))
            lines += file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])


def _not_started(cluster: Cluster, problem: str, words: str) -> ClusterNotStartedError:
    remedy = remedy_for(words, otherwise=f"the log in {cluster.log_folder} may say more")
    return ClusterNotStartedError(f"{problem}: {words}", place=cluster.data, remedy=remedy)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
