"""A file that cannot be read is bad input, told alike by every command that takes files."""

from pathlib import Path

import pytest

from tests.cli.conftest import CALL, CARD, Tollbook

DECK = ["--dialect", "cdrtool", "--id", "az", "--currency", "USD", "--from", "2026-10-01"]
OCTOBER = ["--period", "2026-10"]


@pytest.mark.usefixtures("empty_books")
@pytest.mark.parametrize(
    "arguments",
    [
        ["cards", "check", "MISSING"],
        ["cards", "check", *DECK, "MISSING", "usage.ndjson"],
        ["cards", "import", "MISSING"],
        ["cards", "import", *DECK, "usage.ndjson", "MISSING"],
        ["cards", "explain", "MISSING", "+44"],
        ["accounts", "add", "MISSING"],
        ["contracts", "add", "MISSING"],
        ["usage", "import", "--source", "switch-1", "MISSING"],
        ["rate", "--card", "MISSING", "--usage", "usage.ndjson", *OCTOBER],
        ["rate", "--card", "card.toml", "--usage", "MISSING", *OCTOBER],
        ["rate", "--card", "card.toml", "--usage", "usage.ndjson", "--accounts", "MISSING", *OCTOBER],
        ["rate", "--card", "card.toml", "--usage", "usage.ndjson", "--contract", "MISSING", *OCTOBER],
        ["scenarios", "run", "MISSING"],
    ],
    ids=" ".join,
)
def test_a_file_that_is_not_there_is_exit_5_with_its_path(
    arguments: list[str], tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.toml").write_text(CARD)
    (tmp_path / "usage.ndjson").write_text(CALL)
    ran = tollbook(*(each.replace("MISSING", "gone.toml") for each in arguments))
    assert 5 == ran.code
    assert "tollbook: gone.toml: cannot be read: no such file or directory; check the path" in ran.err.splitlines()


@pytest.mark.parametrize("arguments", [["cards", "check"], ["cards", "import"], ["accounts", "add"]], ids=" ".join)
def test_a_folder_is_no_file(arguments: list[str], tollbook: Tollbook, tmp_path: Path) -> None:
    ran = tollbook(*arguments, tmp_path)
    assert (5, f"tollbook: {tmp_path}: cannot be read: is a directory; check the path\n") == (ran.code, ran.err)
