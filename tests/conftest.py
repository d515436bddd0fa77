"""Fixtures for everyone: a real PostgreSQL for the session, and a fresh database of it for a test.

Each xdist worker has its own server, and whatever one leaves behind when it is killed, the next one clears away.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest

from billing.store.cluster.binaries import find_binaries
from billing.store.embedded import (
    Address,
    Cluster,
    StopMode,
    cluster_at,
    create_database,
    drop_database,
    ensure_running,
    stop,
)
from billing.store.engine import Engine, open_engine
from billing.store.migrate import migrate
from cli.zones import pin_time_zones
from tests.shop import Shop

pin_time_zones()  # as the program does: what is tested does not depend on the machine's zones either

# Nothing in a throw-away cluster is worth waiting for a disk. Only here: production has no way to turn these off.
THROW_AWAY: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
}
_PREFIX = "tollbook-test-"

# Machines are shared and noisy: how long one example takes says nothing. `.ci/run` draws the same examples each time,
# so that what it says is about the change; whoever runs the tests otherwise looks for what nobody has drawn yet.
hypothesis.settings.register_profile("tollbook", deadline=None)
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tollbook"))

NewCluster = Callable[..., Cluster]


def _silent(_: str) -> None:
    pass


@pytest.fixture(scope="session")
def cluster(scratch: Path) -> Iterator[Cluster]:
    """A running throw-away server for the whole session; not to be stopped or killed: see `new_cluster` for that."""
    cluster = cluster_at(scratch / "session", find_binaries(os.environ), THROW_AWAY)
    try:
        ensure_running(cluster, _silent)
        yield cluster
    finally:
        _remove(cluster)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Address]:
    """A fresh, empty database, owned by the role that Tollbook works as."""
    name = f"test_{uuid.uuid4().hex}"
    try:
        yield create_database(cluster, name)
    finally:
        drop_database(cluster, name)


@pytest.fixture(scope="session")
def migrated(cluster: Cluster) -> str:
    """The name of a database with the newest schema, to make copies of; nobody stays connected to it."""
    name = "migrated"
    engine = open_engine(create_database(cluster, name).sqlalchemy_url)
    migrate(engine)
    engine.dispose()
    return name


@pytest.fixture
def engine(cluster: Cluster, migrated: str) -> Iterator[Engine]:
    """A fresh database with the newest schema."""
    name = f"test_{uuid.uuid4().hex}"
    engine = open_engine(create_database(cluster, name, migrated).sqlalchemy_url)
    try:
        yield engine
    finally:
        engine.dispose()
        drop_database(cluster, name)


@pytest.fixture
def shop(engine: Engine) -> Shop:
    """A fresh shop: nothing is published, nobody is admitted."""
    return Shop(engine=engine)


@pytest.fixture
def new_cluster(scratch: Path) -> Iterator[NewCluster]:
    """Makes clusters of the test's own, not yet created: `new_cluster("name", settings=…)`; all end with the test.

    Without `settings` it is as in production, with fsync.
    """
    made: list[Cluster] = []

    def make(name: str = "", *, settings: Mapping[str, str] | None = None, pg_bin: str = "") -> Cluster:
        environ = {**os.environ, "TOLLBOOK_PG_BIN": pg_bin} if pg_bin else os.environ
        data = scratch / uuid.uuid4().hex[:8] / name
        made.append(cluster_at(data, find_binaries(environ), settings))
        return made[-1]

    try:
        yield make
    finally:
        for each in made:
            _remove(each)


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder that the server's user may enter when root runs the tests: pytest's own are closed to it."""
    _clear_away_what_was_left()
    folder = Path(tempfile.mkdtemp(dir=_root(), prefix=f"{_PREFIX}{os.getpid()}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _root() -> Path:
    """Memory, if it holds some gigabytes and programs may be run from it: deleting from a disk takes a second."""
    memory = Path("/dev/shm")  # noqa: S108 (the folder made in it has a new name and is ours)
    if memory.is_dir():
        there = os.statvfs(memory)
        if there.f_bavail * there.f_frsize >= 4 * 2**30 and not there.f_flag & os.ST_NOEXEC:
            return memory
    return Path(tempfile.gettempdir())


def _clear_away_what_was_left() -> None:
    for folder in _root().glob(f"{_PREFIX}*"):
        pid = int(folder.name.removeprefix(_PREFIX).split("-")[0])
        # Two workers may find the same one: what is gone by now is as wanted.
        with suppress(FileNotFoundError):
            if folder.stat().st_uid == os.geteuid() and not _lives(pid):
                for postgres in [Path(path) for path, _, names in os.walk(folder) if "postmaster.pid" in names]:
                    _remove(cluster_at(postgres.parent, find_binaries(os.environ)))
                shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(cluster: Cluster) -> None:
    stop(cluster, _silent, StopMode.IMMEDIATE)
    shutil.rmtree(cluster.data, ignore_errors=True)
    shutil.rmtree(cluster.socket_folder, ignore_errors=True)
