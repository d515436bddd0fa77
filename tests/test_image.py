"""`Dockerfile` and `compose.yaml`, held against the project: no engine builds them here."""

import ast
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]

from billing.server.api.health import router
from cli.main import app
from cli.serve import _GRACE_SECONDS

ROOT = Path(__file__).resolve().parents[1]
TEXT = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
STEPS = [
    (line.split(None, 1)[0], line.split(None, 1)[1]) for line in TEXT.splitlines() if line and not line.startswith("#")
]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
OWN = {name: each for name, each in COMPOSE["services"].items() if each["image"].startswith("tollbook:")}


def steps(kind: str) -> list[str]:
    return [rest for name, rest in STEPS if name == kind]


def is_sent(path: str) -> bool:
    """Whether a path is in what an engine is sent: the last pattern that fits decides."""
    kept = True
    for pattern in IGNORED:
        if fnmatch(path, pattern.removeprefix("!")) or path == pattern.removeprefix("!"):
            kept = pattern.startswith("!")
    return kept


def test_what_is_copied_is_there_and_is_sent() -> None:
    copied = [name for rest in steps("COPY") if "--from" not in rest for name in rest.split()[:-1]]
    assert {"constraints.txt", "rates", "billing", "cli"} <= {*copied}
    assert [] == [name for name in copied if not (ROOT / name).exists() or not is_sent(name)]


@pytest.mark.parametrize("name", [".git", "secrets", ".venv", "tests", "compose.yaml", ".env"])
def test_what_is_nobodys_business_is_not_sent(name: str) -> None:
    assert not is_sent(name)


def test_everything_is_installed_from_files_whose_hashes_stand_in_the_lock() -> None:
    fetched = [rest for rest in steps("RUN") if re.search(r"\bpip (install|download)\b", rest)]
    assert ["--require-hashes", "--no-index"] == [
        next(option for option in ("--require-hashes", "--no-index") if option in rest) for rest in fetched
    ]


def test_the_image_is_small_runs_as_nobody_and_holds_no_secret() -> None:
    assert [True, True] == [re.fullmatch(r"python:3\.\d+-slim( AS build)?", each) is not None for each in steps("FROM")]
    assert ["10001:10001"] == steps("USER")
    named = " ".join(steps("ENV") + steps("ARG")).upper()
    assert [] == [word for word in ("PASSWORD", "SECRET", "TOKEN", "DATABASE_URL", "_KEY") if word in named]
    assert STEPS.index(("USER", "10001:10001")) < [name for name, _ in STEPS].index("ENTRYPOINT")


def command_faults(words: list[str]) -> str:
    """What is wrong with a call of the program; it is not run."""
    context = typer.Context(typer.main.get_command(app), info_name="tollbook")
    found = context.command.get_command(context, words[0])  # type: ignore[attr-defined]
    try:
        found.make_context(words[0], words[1:])
    except (AttributeError, typer.BadParameter, Exception) as error:  # noqa: BLE001 (click's own, by any name)
        return f"{words}: {error!r}"
    return ""


def test_commands_are_the_programs() -> None:
    calls = [[*ast.literal_eval(steps("CMD")[-1])], *(each["command"] for each in OWN.values())]
    assert [""] * len(calls) == [command_faults([*call]) for call in calls]
    assert ['["tollbook"]'] == steps("ENTRYPOINT")
    assert "tollbook" in (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[2]


def test_a_command_that_is_none_is_found() -> None:
    assert command_faults(["serve", "--no-such"])
    assert command_faults(["surf"])


def test_health_checks_ask_what_there_is() -> None:
    checks = [ast.literal_eval(rest.partition("CMD ")[2]) for rest in steps("HEALTHCHECK")]
    checks.append(COMPOSE["services"]["worker"]["healthcheck"]["test"][1:])
    for python, flag, code in checks:
        assert ("python", "-c") == (python, flag)
        ast.parse(code)
    paths = {getattr(route, "path", "") for route in router.routes}
    assert re.findall(r":8080(/[^']*)'", checks[0][2])[0] in paths
    assert f":{COMPOSE['services']['worker']['command'][-1]}/" in checks[1][2]


def test_the_composition_is_whole() -> None:
    """Each secret, volume and config that is used is declared, and used is what is declared."""
    services = COMPOSE["services"].values()
    for kind, key in (("secrets", None), ("configs", "source")):
        used = {name[key] if key else name for each in services for name in each.get(kind, [])}
        assert used == COMPOSE[kind].keys()
    volumes = {volume.partition(":")[0] for each in services for volume in each.get("volumes", [])}
    assert volumes == COMPOSE["volumes"].keys()
    waited = {name for each in services for name in each.get("depends_on", {})}
    assert waited <= COMPOSE["services"].keys()
    assert {"api", "worker", "migrate", "postgres"} == COMPOSE["services"].keys()


def test_the_database_loses_nothing_and_is_asked_over_tcp() -> None:
    postgres = COMPOSE["services"]["postgres"]
    words = shlex.split(postgres["command"])
    assert {"fsync=on", "full_page_writes=on", "synchronous_commit=on"} <= {*words}
    assert "--host=127.0.0.1" in postgres["healthcheck"]["test"]
    assert "NOSUPERUSER" in COMPOSE["configs"]["role"]["content"]


def test_secrets_come_from_files_and_nothing_is_open_to_the_world() -> None:
    assert "secrets/" in (ROOT / ".gitignore").read_text()
    for each in COMPOSE["services"].values():
        named = [name for name in each.get("environment", {}) if re.search("PASSWORD|DATABASE_URL", name)]
        assert [] == [name for name in named if not name.endswith("_FILE")]
        assert [] == [port for port in each.get("ports", []) if not port.startswith("127.0.0.1:")]
    for each in OWN.values():
        assert (True, ["ALL"]) == (each["read_only"], each["cap_drop"])


def test_what_was_accepted_is_answered_before_an_engine_ends_the_process() -> None:
    grace = int(COMPOSE["services"]["api"]["stop_grace_period"].removesuffix("s"))
    assert _GRACE_SECONDS < grace
