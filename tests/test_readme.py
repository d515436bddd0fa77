"""The README's two commands and its map of the code, held against the project without running them."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest
import typer

from cli.exits import Exit

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """The shell blocks of a Markdown text, each whole."""
    return re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """What stands under `## heading`, up to the next heading."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return found.group(1) if found else ""


def paths(text: str) -> list[str]:
    """What stands in backticks and looks like a path: `rates/`, `billing/flows/`, `README.md`, `.ci/run`."""
    return [
        quoted
        for quoted in re.findall(r"`([^`\n]+)`", text)
        if re.fullmatch(r"\.?[\w-]+(/[\w.-]*|\.[a-z]+)+|[A-Z]{4,}", quoted)
    ]


def missing(quoted: list[str]) -> list[str]:
    """Paths that are not in the project; a trailing slash says folder."""
    return [path for path in quoted if not ((ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file())]


def script() -> tuple[str, str]:
    """The installed command and the function it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, target),) = project["scripts"].items()
    return name, target


SETUP = (
    "python3 -m venv .venv",
    ".venv/bin/pip install -q --require-hashes -r constraints.txt",
    ".venv/bin/pip install -q --no-deps --no-build-isolation -e .",
)


def test_the_readme_has_two_commands_of_one_line_each() -> None:
    demo, test = commands(README)
    assert demo == " && ".join([*SETUP, ".venv/bin/tollbook demo"]) + "\n"
    assert test == " && ".join([*SETUP, ".venv/bin/pytest"]) + "\n"


def test_the_files_that_the_commands_need_are_there() -> None:
    assert [] == missing(["constraints.txt", "pyproject.toml", "README.md", "tests/"])
    assert "tollbook" == script()[0]


def test_the_demo_is_a_command_of_the_program() -> None:
    """As soon as there is a program: its script exists, and `demo` is registered in it."""
    module, function = script()[1].split(":")
    assert "cli.main" == module
    if not (ROOT / "cli" / "main.py").is_file():
        return
    main = importlib.import_module(module)
    assert callable(getattr(main, function))
    assert "demo" in getattr(typer.main.get_command(main.app), "commands", {})


def test_the_continuous_check_runs_the_readme_s_test_command() -> None:
    """`.ci/run` takes it out of the README, so the two cannot differ."""
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.search(r"grep -E '(.+?)' README\.md", run)
    assert pattern is not None
    found = [line for line in README.splitlines() if re.search(pattern.group(1), line)]
    assert [commands(README)[1].rstrip("\n")] == found


def test_the_map_names_paths_that_exist() -> None:
    quoted = paths(section(README, "Reading the code"))
    assert {"rates/", "billing/", "cli/", "tests/"} <= set(quoted)
    assert [] == missing(quoted)


@pytest.mark.parametrize("path", ["rates/nothing.py", "nowhere/", "NOTHING.md", "rates", "pyproject.toml/"])
def test_a_path_that_does_not_exist_is_found(path: str) -> None:
    assert [path] == missing([path])


def test_only_what_looks_like_a_path_is_taken_for_one() -> None:
    text = "`rates` `rates/` `a/b.py` `x.toml` `.ci/run` `LICENSE` `tollbook demo` `a, b)` `docs/a-b/0001-x.md`"
    assert ["rates/", "a/b.py", "x.toml", ".ci/run", "LICENSE", "docs/a-b/0001-x.md"] == paths(text)


def test_the_page_about_files_is_linked_and_there() -> None:
    assert {"docs/files.md", "docs/amending.md", "docs/posting-usage.md", "docs/api.md"} <= set(
        paths(section(README, "Use it"))
    )
    linked = [path for path in paths(section(README, "Use it")) if path.startswith("docs/")]
    assert [] == missing([*linked, "docs/decisions/", "rates/catalogue/"])


def test_each_exit_code_is_in_the_readme() -> None:
    codes = section(README, "Use it").partition("Exit codes:")[2].partition(".\n")[0]
    assert [str(code.value) for code in Exit] == re.findall(r"\b([0-9]+) ", codes)


def test_what_is_not_done_yet_is_said_and_still_refused() -> None:
    said = section(README, "What this version does not do yet")
    count = len(list((ROOT / "rates" / "catalogue").glob("*.toml")))
    assert f"of the {count} products in `rates/catalogue/`" in said
