"""The README's section "Use it": its files and its commands, run in order as they stand there."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook

README = Path(__file__).resolve().parents[2] / "README.md"
SECTION = README.read_text(encoding="utf-8").partition("\n## Use it\n")[2].partition("\n## ")[0]
FILES = dict(re.findall(r"^`([a-z.]+)`:\n\n```\w+\n(.*?)^```$", SECTION, flags=re.MULTILINE | re.DOTALL))
COMMANDS = [line.removeprefix("$ tollbook ").split() for line in SECTION.splitlines() if line.startswith("$ tollbook ")]


@pytest.mark.usefixtures("empty_books")
def test_each_command_of_the_readme_works_in_its_order(
    tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"card.toml", "accounts.toml", "contracts.toml", "usage.ndjson"} == set(FILES)
    assert 16 == len(COMMANDS)
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    printed = {}
    for command in COMMANDS:
        ran = tollbook(*command)
        assert 0 == ran.code, f"{' '.join(command)}: {ran.err}"
        printed[" ".join(command[:2])] = ran.out
    # 61 seconds are 2 minutes at 0.0140.
    for shown in ("rate --card", "statement acme", "invoices preview", "invoices show"):
        assert "0.03" in printed[shown], shown
    assert "0.028" in printed["cards explain"]
    assert "998" in printed["prices show"], "of the first 1,000 minutes"
    assert "all agree" in printed["verify 2026-10"]
