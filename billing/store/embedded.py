"""An embedded PostgreSQL, for when there is no DATABASE_URL: started when needed, left running.

`cluster_from(environ)` says where it is, `ensure_running` makes it answer and gives its address, `stop` ends
it. It listens on a socket in a folder of its own, never on the network, and always with fsync.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from billing.store.cluster.binaries import find_binaries
from billing.store.cluster.errors import ClusterError, ClusterNotStartedError
from billing.store.cluster.folders import (
    PORT,
    Cluster,
    Say,
    cluster_at,
    data_folder,
    locked,
    make_data_folder,
    socket_folder_fault,
    usable,
)
from billing.store.cluster.processes import ServerStatus, postmaster, wait_until
from billing.store.cluster.server import SUPERUSER, StopMode, bring_down, bring_up

__all__ = [
    "Address",
    "Cluster",
    "ClusterError",
    "Say",
    "State",
    "Status",
    "StopMode",
    "address_of",
    "binary",
    "cluster_at",
    "cluster_from",
    "create_database",
    "drop_database",
    "ensure_running",
    "status",
    "stop",
]

ROLE = "tollbook"
DATABASE = "tollbook"
_ROLES_LOCK = int.from_bytes(b"tollbook")  # held while roles and databases are looked for and made
_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 3.0
_BUSY = "the database system is"  # … starting up, in recovery mode, shutting down: it will be ready


class State(StrEnum):
    """What an embedded PostgreSQL is doing. `absent`: nothing was created yet."""

    ABSENT = "absent"
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is reached, in the forms that its clients read."""

    host: Path
    port: int = PORT
    role: str = ROLE
    database: str = DATABASE

    @property
    def libpq_uri(self) -> str:
        """For psycopg, ADBC, psql and pg_dump."""
        return f"postgresql://{self._tail()}"

    @property
    def sqlalchemy_url(self) -> str:
        """For SQLAlchemy and Alembic."""
        return f"postgresql+psycopg://{self._tail()}"

    def _tail(self) -> str:
        # The port is said, or PGPORT of the caller's environment would be taken.
        host = quote(os.fsencode(self.host), safe="/")
        return f"{quote(self.role, safe='')}@/{quote(self.database, safe='')}?host={host}&port={self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """An embedded PostgreSQL at this moment. `version` is the running server's; `size_bytes` is on disk."""

    state: State
    pid: int | None
    version: str | None
    binaries: str
    data: Path
    socket_folder: Path
    log_folder: Path
    size_bytes: int

    @property
    def running(self) -> bool:
        """Whether there is a server process, ready or not."""
        return self.pid is not None


def cluster_from(environ: Mapping[str, str]) -> Cluster:
    """The cluster that the environment means (TOLLBOOK_DATA, TOLLBOOK_PG_BIN, XDG_DATA_HOME, HOME, PATH).

    Raises BinariesMissingError, DataFolderUnusableError.
    """
    return cluster_at(data_folder(environ), find_binaries(environ))


def address_of(cluster: Cluster, database: str = DATABASE) -> Address:
    """Where a database of the cluster is reached, running or not."""
    return Address(host=cluster.socket_folder, database=database)


def binary(cluster: Cluster, name: str) -> Path:
    """A program of the cluster's PostgreSQL, such as `pg_dump`. Raises BinariesMissingError."""
    return cluster.binaries.program(name)


def ensure_running(cluster: Cluster, say: Say) -> Address:
    """Create and start what is missing, and give the address of the database `tollbook`, as its owner.

    Safe to call from any number of processes at once. Waits for a recovery as long as it takes; `say` hears
    of whatever takes long. Raises ClusterNotStartedError, DataFolderUnusableError, DataVersionMismatchError,
    SocketFolderUnsafeError, BinariesMissingError.
    """
    if not _answers(cluster):
        with usable(cluster.data):
            make_data_folder(cluster)
            with locked(cluster, say):
                _bring_up_until_it_answers(cluster, say)
    return address_of(cluster)


def stop(cluster: Cluster, say: Say, mode: StopMode = StopMode.FAST) -> bool:
    """Stop the server and wait until it is gone; False if none ran."""
    if not cluster.postgres.exists():
        return False
    with usable(cluster.data), locked(cluster, say):
        return bring_down(cluster, say, mode)


def status(cluster: Cluster) -> Status:
    """What the cluster is doing; changes nothing and waits for nobody."""
    found = postmaster(cluster)
    resting = State.STOPPED if cluster.postgres.exists() else State.ABSENT
    return Status(
        state=resting if found is None else State(found.status.value),
        pid=None if found is None else found.pid,
        version=_server_version(cluster) if found is not None and found.status is ServerStatus.READY else None,
        binaries=str(cluster.binaries),
        data=cluster.data,
        socket_folder=cluster.socket_folder,
        log_folder=cluster.log_folder,
        size_bytes=sum(_file_sizes(cluster.data)),
    )


def create_database(cluster: Cluster, name: str, template: str = "template1") -> Address:
    """A new database of the running cluster: empty, or a copy of `template`, which nobody may be using."""
    # Copying files needs a checkpoint before and after, which cost nothing only where nothing is waited for: there
    # a test's database takes 3 ms, not 50.
    strategy = "FILE_COPY" if cluster.settings.get("fsync") == "off" else "WAL_LOG"
    with _connect(cluster, database="postgres") as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}")
        names = (sql.Identifier(name), sql.Identifier(template), sql.Identifier(strategy.lower()))
        connection.execute(statement.format(*names))
    return address_of(cluster, name)


def drop_database(cluster: Cluster, name: str) -> None:
    """Drop a database of the running cluster if it is there, whoever is connected to it."""
    with _connect(cluster, database="postgres") as connection:
        # Not WITH (FORCE): that is refused while autovacuum, which is not ours to end, is at work in it.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user",
            [name],
        )
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def _connect(cluster: Cluster, *, database: str = DATABASE, role: str = ROLE) -> psycopg.Connection:
    return psycopg.connect(
        host=str(cluster.socket_folder),
        hostaddr="",  # or PGHOSTADDR would be taken
        port=PORT,
        user=role,
        dbname=database,
        connect_timeout=_CONNECT_SECONDS,
        autocommit=True,
    )


def _answers(cluster: Cluster) -> bool:
    # Before the first byte: whoever could make the folder could answer for the database.
    if socket_folder_fault(cluster) is not None:
        return False
    with suppress(psycopg.OperationalError), _connect(cluster):
        return True
    return False


def _bring_up_until_it_answers(cluster: Cluster, say: Say) -> None:
    give_up = time.monotonic() + _SILENCE_SECONDS
    refusal = ""

    def answered() -> bool:
        nonlocal refusal
        bring_up(cluster, say)
        try:
            _make_role_and_database(cluster)
        except psycopg.OperationalError as error:
            refusal = str(error).strip()
            # A server that lost one of its processes recovers as after a crash, and calls itself ready meanwhile.
            if _BUSY not in refusal and time.monotonic() > give_up:
                remedy = f"stop it (`tollbook db stop`) and run the command again; the log is in {cluster.log_folder}"
                problem = f"the server runs, but does not answer: {refusal}"
                raise ClusterNotStartedError(problem, place=cluster.data, remedy=remedy) from error
            time.sleep(0.1)
            return False
        return True

    wait_until(answered, say, lambda: f"PostgreSQL does not answer yet: {refusal}")


def _make_role_and_database(cluster: Cluster) -> None:
    """The only work done as superuser: the role that everything else is done as, and its database."""
    with _connect(cluster, database="postgres", role=SUPERUSER) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_ROLES_LOCK])
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is None:
            role = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER CREATEDB CREATEROLE")
            connection.execute(role.format(sql.Identifier(ROLE)))
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            database = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(database.format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))


def _server_version(cluster: Cluster) -> str | None:
    with suppress(psycopg.OperationalError), _connect(cluster) as connection:
        return connection.info.parameter_status("server_version")
    return None


def _file_sizes(folder: Path) -> Iterator[int]:
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # the server works on
                yield Path(path, name).lstat().st_blocks * 512
