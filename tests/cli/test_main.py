"""The program as a whole: help, exit codes, what it says when something is wrong, how quickly it starts."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import typer

from cli.exits import Exit
from cli.main import app
from tests.cli.conftest import PROGRAM, Tollbook

ROOT = Path(__file__).resolve().parents[2]


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group of commands."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


ALL = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_command_has_help_that_says_what_it_does(path: tuple[str, ...], tollbook: Tollbook) -> None:
    ran = tollbook(*path, "--help")
    assert 0 == ran.code
    assert "Usage: tollbook" in ran.out
    assert "" == ran.err
    group = typer.main.get_command(app)
    for name in path:
        group = group.commands[name]  # type: ignore[attr-defined]
    assert str(group.help).endswith("."), "a sentence says what it does"


def test_the_help_says_what_the_exit_codes_mean(tollbook: Tollbook) -> None:
    said = " ".join(tollbook("--help").out.split())
    assert all(f" {code.value} " in said for code in Exit if code is not Exit.INTERRUPTED), "Ctrl-C explains itself"


def test_what_the_issue_asks_for_is_there() -> None:
    asked = """
        db start, db stop, db status, cards check, cards import, cards list, cards explain, accounts add,
        accounts list, usage import, usage quarantine, invoices preview, invoices run, invoices finalize,
        invoices show, invoices export, statement, explain, rate, scenarios run, verify, doctor, demo
    """
    assert {tuple(each.split()) for each in asked.split(",")} <= set(ALL)


def test_the_version_is_that_of_the_package(tollbook: Tollbook) -> None:
    assert "tollbook 0.1.0\n" == tollbook("--version").out


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["cards", "check"], ["rate"], ["--nothing"], ["verify"], ["cards", "explain", "x"]]
)
def test_a_wrong_call_is_exit_2(arguments: list[str], tollbook: Tollbook) -> None:
    ran = tollbook(*arguments)
    assert 2 == ran.code
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/x", "postgresql://nobody@127.0.0.1:1/y?connect_timeout=1"])
def test_a_database_that_does_not_answer_is_exit_6(
    url: str, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    ran = tollbook("cards", "list")
    assert 6 == ran.code
    assert ran.err.startswith("tollbook: DATABASE_URL: the server cannot be reached: connection failed")
    assert ran.err.endswith("; start the server, or mend the host and the port in it; then run the command again\n")
    assert 1 == ran.err.count("\n")


def test_two_addresses_at_once_are_refused(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///x")
    monkeypatch.setenv("DATABASE_URL_FILE", "/x")
    ran = tollbook("cards", "list")
    assert 2 == ran.code
    assert "DATABASE_URL and DATABASE_URL_FILE are both set; unset one of them" in ran.err


def test_what_is_wrong_with_a_setting_is_said_in_our_words(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBOOK_SERIES", "lower case")
    monkeypatch.setenv("DATABASE_URL", "postgresql:///x")
    monkeypatch.setenv("DATABASE_URL_FILE", "/x")
    assert tollbook("cards", "list").err.startswith(
        "tollbook: environment: TOLLBOOK_SERIES: is not 1 to 20 capital letters, digits and hyphens"
    )
    monkeypatch.delenv("TOLLBOOK_SERIES")
    said = tollbook("cards", "list").err
    assert "tollbook: environment: DATABASE_URL and DATABASE_URL_FILE are both set" in said
    assert "Value error" not in said


def test_a_setting_that_cannot_be_used_is_named(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBOOK_PAYMENT_DAYS", "soon")
    ran = tollbook("cards", "list")
    assert 2 == ran.code
    assert ran.err.startswith("tollbook: environment: TOLLBOOK_PAYMENT_DAYS: is not a whole number of days from 0 to 3")
    assert ran.err.endswith("; mend or unset it\n")


def test_the_installed_program_runs_and_starts_without_what_it_does_not_need() -> None:
    """Help must come at once: the libraries of the real work are imported by the commands that do it."""
    loaded = "import sys, cli.main as m; m.main(['--help']); print(*sorted(sys.modules), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    modules = set(ran.stderr.split())
    assert set() == modules & {"numpy", "pyarrow", "psycopg", "sqlalchemy", "pydantic", "alembic", "msgspec"}
    ran = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert "tollbook 0.1.0\n" == ran.stdout


WORKER = """
from multiprocessing import get_context
from zoneinfo import ZoneInfo
from cli.main import main

if __name__ == "__main__":
    folder = __import__("sys").argv[1]
    code = main(["scenarios", "run", folder])
    with get_context("spawn").Pool(1) as pool:
        print(code, pool.apply(ZoneInfo, ["Europe/Berlin"]).utcoffset(__import__("datetime").datetime(2026, 1, 1)))
"""


def test_the_zones_of_the_machine_are_not_read_but_those_of_the_package(tmp_path: Path) -> None:
    """A machine whose Berlin is in Japan bills peak and off-peak as any other, also in the processes it starts."""
    (tmp_path / "Europe").mkdir()
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe" / "Berlin").write_bytes(tokyo)
    (tmp_path / "worker.py").write_text(WORKER)
    scenario = Path(__file__).resolve().parents[1] / "scenarios" / "windows-repeated-hour.toml"
    command = [sys.executable, str(tmp_path / "worker.py"), str(scenario)]
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path), "PYTHONPATH": python_path}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "0 1:00:00" == ran.stdout.splitlines()[-1], ran.stdout


def test_a_closed_stream_is_no_traceback() -> None:
    run = shlex.join([str(PROGRAM), "cards", "check", "nowhere.toml"])
    ran = subprocess.run(["sh", "-c", f"{run} >&-"], capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert 5 == ran.returncode


# Each prints more than a pipe holds, or before it asks whether anybody reads.
LONG = ["scenarios", "run", "--format", "json"], ["scenarios", "run"], ["--help"], ["rate", "--help"], ["--nothing"]


@pytest.mark.parametrize("arguments", LONG, ids=" ".join)
def test_a_reader_who_leaves_ends_the_program_quietly(arguments: list[str]) -> None:
    """As in `tollbook … | head -1`: exit code 141, as of other programs, and nothing on stderr, to the very end."""
    folder = [str(Path(__file__).resolve().parents[1] / "scenarios")] if arguments[0] == "scenarios" else []
    read, write = os.pipe()
    os.close(read)  # nobody has ever read: the first byte finds out
    with os.fdopen(write, "wb") as left:
        both = left if arguments == ["--nothing"] else subprocess.PIPE
        ran = subprocess.run([PROGRAM, *arguments, *folder], stdout=left, stderr=both, text=True, check=False)
    assert (141, "") == (ran.returncode, ran.stderr or "")


def test_a_reader_who_takes_some_and_leaves_has_it() -> None:
    run = shlex.join([str(PROGRAM), "--help"])
    ran = subprocess.run(["sh", "-c", f"{run} | head -2"], capture_output=True, text=True, check=False)
    assert (0, "") == (ran.returncode, ran.stderr)
    assert "Usage: tollbook" in ran.stdout
