"""Where an embedded PostgreSQL lies, who it runs as, and the lock and the folders it needs.

<data>/postgres/    the database itself, 0700, of the server's user
<data>/log/         PostgreSQL's log, one file per weekday
<data>/socket/      the socket, if its path is short and plain; else in /tmp/tollbook-<uid>-<hash>
<data>/server.conf  written anew at every start
<data>/lock         held while a command initialises, starts or stops the server
<data>/binaries/    root only: the copy of the wheel's programs
"""

import errno
import fcntl
import hashlib
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from billing.store.cluster.binaries import Binaries
from billing.store.cluster.errors import (
    DataFolderFullError,
    DataFolderUnusableError,
    SocketFolderUnsafeError,
    remedy_for,
)

VARIABLE = "TOLLBOOK_DATA"
PORT = 5432
ROOTS_DATA = Path("/var/lib/tollbook")
ROOTS_SERVER_USERS = ("postgres", "nobody")
# The kernel's limit on a socket's path: 107 bytes on Linux, 103 on macOS and the BSDs.
_SOCKET_PATH_BYTES = 103
# libpq splits a host at commas and PostgreSQL its setting too: nothing that needs quoting anywhere.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+~@=:-]+")
# pg_ctl and initdb put it between double quotes and give it to a shell.
_SPECIAL_TO_A_SHELL = frozenset('"$`\\')

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OsUser:
    """A user of the operating system."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """An embedded PostgreSQL: where its data and its programs are and who runs it. It need not exist yet.

    `server_user` is None when the server runs as whoever runs the command; a root's runs as someone else.
    `settings` go over the built-in ones: a throw-away test cluster turns `fsync` off there, nobody else.
    """

    data: Path
    binaries: Binaries
    socket_folder: Path
    server_user: OsUser | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def postgres(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.data / "postgres"

    @property
    def log_folder(self) -> Path:
        """Where PostgreSQL logs."""
        return self.data / "log"

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.data / "server.conf"


def data_folder(environ: Mapping[str, str]) -> Path:
    """TOLLBOOK_DATA; else root's /var/lib/tollbook, others' $XDG_DATA_HOME/tollbook (~/.local/share/tollbook).

    Raises DataFolderUnusableError.
    """
    if chosen := environ.get(VARIABLE):
        if not Path(chosen).is_absolute():
            # A relative one would be another database in every folder.
            problem = "the data folder is not an absolute path"
            raise DataFolderUnusableError(problem, place=Path(chosen), remedy=f"write {VARIABLE} in full, from /")
        return Path(chosen)
    if os.geteuid() == 0:
        return ROOTS_DATA
    shared = Path(environ.get("XDG_DATA_HOME", ""))
    if shared.is_absolute():  # the XDG specification: a relative one is ignored
        return shared / "tollbook"
    return Path(environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir) / ".local" / "share" / "tollbook"


def cluster_at(data: Path, binaries: Binaries, settings: Mapping[str, str] | None = None) -> Cluster:
    """The cluster in the folder `data`. Raises DataFolderUnusableError, also if it is another user's."""
    data = data.resolve()
    if not str(data).isprintable() or set(str(data)) & _SPECIAL_TO_A_SHELL:
        problem = 'the name of the data folder has a control character or one of " $ ` \\'
        raise DataFolderUnusableError(problem, place=data, remedy=f"set {VARIABLE} to another folder")
    user = _server_user(data / "postgres")
    return Cluster(
        data=data,
        binaries=binaries,
        socket_folder=_socket_folder(data, os.geteuid() if user is None else user.uid),
        server_user=user,
        settings=dict(settings or {}),
    )


def make_folders(cluster: Cluster) -> None:
    """Make the log and socket folders, if they are missing. Raises SocketFolderUnsafeError."""
    make_own_folder(cluster.log_folder, cluster)
    make_own_folder(cluster.socket_folder, cluster)
    if (why := socket_folder_fault(cluster)) is not None:
        remedy = "remove it, if nobody needs it, and run the command again"
        raise SocketFolderUnsafeError(why, place=cluster.socket_folder, remedy=remedy)


def make_data_folder(cluster: Cluster) -> None:
    """Make the data folder if it is missing."""
    if not cluster.data.is_dir():
        cluster.data.mkdir(parents=True)
        # A root's data folder is passed through by the server's user; what lies in it is closed.
        cluster.data.chmod(0o700 if cluster.server_user is None else 0o755)


def make_own_folder(folder: Path, cluster: Cluster) -> None:
    """A folder that only the server's user (and root) may enter; one that exists is left as it is."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    if cluster.server_user is not None:
        os.chown(folder, cluster.server_user.uid, cluster.server_user.gid, follow_symlinks=False)


def socket_folder_fault(cluster: Cluster) -> str | None:
    """Why the socket folder must not be used, or None. Anyone may have made it first if it is in /tmp."""
    try:
        found = cluster.socket_folder.lstat()
    except OSError as error:
        return f"the socket folder cannot be used: {error.strerror}"
    owner = os.geteuid() if cluster.server_user is None else cluster.server_user.uid
    if not stat.S_ISDIR(found.st_mode):
        return "the socket folder is not a folder"
    if found.st_uid != owner:
        return f"the socket folder belongs to user id {found.st_uid}, not {owner}"
    if found.st_mode & 0o077:
        return f"the socket folder is open to other users (mode {found.st_mode & 0o777:04o})"
    return None


@contextmanager
def usable(data: Path) -> Iterator[None]:
    """Whatever the system refuses within (no space, no permission) becomes a DataFolderUnusableError."""
    try:
        yield
    except OSError as error:
        remedy = remedy_for(str(error), otherwise=f"make it possible, or set {VARIABLE} to another folder")
        kind = DataFolderFullError if error.errno in _FULL else DataFolderUnusableError
        raise kind(f"the data folder cannot be used: {error}", place=data, remedy=remedy) from error


@contextmanager
def locked(cluster: Cluster, say: Say) -> Iterator[None]:
    """Hold the data folder's lock: one command at a time initialises, starts, stops. It ends with the process."""
    descriptor = os.open(cluster.data / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if (owner := cluster.data.stat()).st_uid != os.geteuid():  # a root in a user's folder: the user comes again
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command is starting or stopping the database: waiting for it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _server_user(postgres: Path) -> OsUser | None:
    """Who the server runs as, if not as oneself. A root's: whose data is there, else a user made for such things."""
    with usable(postgres.parent):
        owner = postgres.stat() if postgres.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            problem = f"the database there belongs to user id {owner.st_uid}"
            raise DataFolderUnusableError(problem, place=postgres.parent, remedy="run the command as that user")
        return None
    if owner is not None:
        return OsUser(uid=owner.st_uid, gid=owner.st_gid)
    for name in ROOTS_SERVER_USERS:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return OsUser(uid=found.pw_uid, gid=found.pw_gid)
    problem = "PostgreSQL refuses to run as root, and there is no other user to run it as"
    raise DataFolderUnusableError(problem, place=postgres.parent, remedy="run the command as an ordinary user")


def _socket_folder(data: Path, owner: int) -> Path:
    # Not $XDG_RUNTIME_DIR: it is emptied when the user logs out, and a cron job has none; the server stays.
    beside = data / "socket"
    path = str(beside / f".s.PGSQL.{PORT}")
    if len(path) <= _SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(path):
        return beside
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return Path(f"/tmp/tollbook-{owner}-{digest}")  # noqa: S108 (its owner and mode are checked before every use)
