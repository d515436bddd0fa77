"""`docs/call-records.md`: its files and its commands, run in order as they stand there."""

import json
import re
import shlex
from pathlib import Path

import pytest

from billing.sources.callrecords import DIALECTS
from tests.cli.conftest import Tollbook

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "call-records.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([A-Za-z.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))
FIRST = re.findall(r"`tollbook ((?:cards|accounts|contracts) [a-z]+ [a-z.]+)`", PAGE)
COMMANDS = [shlex.split(line.removeprefix("$ tollbook ")) for line in PAGE.splitlines() if line.startswith("$ ")]


@pytest.mark.usefixtures("empty_books")
def test_each_command_of_the_page_takes_its_file_in(
    tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for command in (*map(str.split, FIRST), *COMMANDS):
        ran = tollbook(*command)
        assert 0 == ran.code, f"{' '.join(command)}: {ran.err}"
    told = json.loads(tollbook("statement", "acme", "--period", "2026-10", "--format", "json").out)
    # Five calls of two minutes at 0.0140 and a message at 0.0400; the call of 60.4 seconds is one of them.
    assert "0.18" == told["total"]


def test_the_page_has_every_dialect_and_uses_every_file() -> None:
    assert set(DIALECTS) == {command[command.index("--dialect") + 1] for command in COMMANDS}
    assert set(FILES) == {command[2] for command in (*map(str.split, FIRST), *COMMANDS)}
