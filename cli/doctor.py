"""`tollbook doctor`: whether this machine can do the work, each check with what to do about it."""

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from cli.exits import Exit, words_of
from cli.output import Format, FormatOption, emit, text
from cli.words import counted

if TYPE_CHECKING:
    from billing.store.queries.health import Health

OLDEST_PYTHON = (3, 11)
SMALLEST_DISK = 2 << 30
LARGEST_BACKLOG = 1_000_000
LARGEST_SKEW = timedelta(seconds=30)

_NEEDED = ("numpy", "pyarrow", "psycopg", "sqlalchemy", "alembic", "adbc_driver_postgresql", "msgspec", "pydantic")
_COLUMNS = (text("check"), text("state"), text("found"), text("remedy"))


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"


class Check(NamedTuple):
    """One check: what was looked at, how it is, what was found, what to do."""

    check: str
    state: State
    found: str
    remedy: str = ""


def doctor(form: FormatOption = Format.TABLE) -> None:
    """Check the machine and the database: each ok or warn, with what to do. Changes nothing."""
    checks = [*_machine(), *_database()]
    emit([check._asdict() for check in checks], _COLUMNS, form)
    if any(check.state is State.WARN for check in checks):
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def _check(name: str, found: str, *, good: bool, remedy: str) -> Check:
    return Check(name, State.OK if good else State.WARN, found, "" if good else remedy)


def _machine() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield _check("Python", version, good=sys.version_info >= OLDEST_PYTHON, remedy="use Python 3.11 or newer")
    missing = [name for name in _NEEDED if not _is_installed(name)]
    found = f"without {', '.join(missing)}" if missing else "all there"
    yield _check("packages", found, good=not missing, remedy="pip install --require-hashes -r constraints.txt")
    cores = os.cpu_count() or 1
    yield Check("processors", State.OK, str(cores))


def _is_installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _database() -> Iterator[Check]:
    from cli.db import embedded_status, settings
    from rates.errors import TollbookError

    try:
        address = settings().address
    except (TollbookError, OSError) as error:
        yield Check("settings", State.WARN, str(error), "say clearly which database is meant")
        return
    if address is not None:
        yield Check("PostgreSQL", State.OK, "the server of DATABASE_URL")
        yield from _server()
        return
    try:
        status = embedded_status()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what the doctor is asked about)
        yield Check("PostgreSQL", State.WARN, " ".join(words_of(error)), "mend that first")
        return
    yield Check("PostgreSQL", State.OK, status.binaries)
    yield _data_folder(status.data)
    yield _disk(status.data)
    if status.running:
        yield Check("server", State.OK, f"{status.state}, process {status.pid}")
        yield from _server()
    else:
        yield Check("server", State.OK, f"{status.state}; it starts when it is needed")


def _data_folder(data: Path) -> Check:
    nearest = _nearest(data)
    good = os.access(nearest, os.W_OK | os.X_OK)
    return _check("data folder", str(data), good=good, remedy="make it writable, or set TOLLBOOK_DATA")


def _disk(data: Path) -> Check:
    free = shutil.disk_usage(_nearest(data)).free
    found = f"{free / (1 << 30):,.1f} GiB free"
    return _check("disk", found, good=free >= SMALLEST_DISK, remedy="make room: a full disk stops the database")


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(each for each in (path, *path.parents) if each.is_dir())


def _server() -> Iterator[Check]:
    from billing.errors import SchemaMismatchError
    from billing.store.queries.health import health
    from cli.db import looking
    from cli.world import now

    try:
        with looking() as connection:
            found, here = health(connection), now()
    except SchemaMismatchError as error:
        yield Check("schema", State.WARN, str(error), "run `tollbook migrate`")
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what the doctor is asked about)
        yield Check("server", State.WARN, " ".join(words_of(error)), "start it, or mend DATABASE_URL")
    else:
        yield from _healthy(found, here)


def _healthy(found: "Health", here: datetime) -> Iterator[Check]:
    yield Check("schema", State.OK, "this program's")
    yield Check("version", State.OK, f"PostgreSQL {found.version}")
    durable = "on" if found.durable else "OFF"
    remedy = "turn on fsync, full_page_writes and synchronous_commit: acknowledged usage could be lost"
    yield _check("fsync", durable, good=found.durable, remedy=remedy)
    role = "a superuser" if found.is_superuser else "an ordinary role"
    yield _check("role", role, good=not found.is_superuser, remedy="connect as a role that is no superuser")
    skew = abs(found.now - here)
    apart = f"{skew.total_seconds():.1f} s apart"
    yield _check("clocks", apart, good=skew <= LARGEST_SKEW, remedy="set both machines' clocks by NTP")
    yield _partitions(found, here)
    backlog = counted(found.unfolded, "change")
    yield _check("not folded", backlog, good=found.unfolded <= LARGEST_BACKLOG, remedy="run `tollbook usage fold`")
    waiting = counted(found.quarantined, "event")
    yield _check("quarantine", waiting, good=not found.quarantined, remedy="see `tollbook usage quarantine`")


def _partitions(found: "Health", here: datetime) -> Check:
    if found.newest_month is None:
        return Check("partitions", State.OK, "none yet: the first import makes them")
    months = (found.newest_month.year - here.year) * 12 + found.newest_month.month - here.month
    remedy = "none is needed at once: the next import makes them"
    return _check("partitions", f"up to {found.newest_month:%Y-%m}", good=months >= 0, remedy=remedy)
