"""`docs/closing-the-month.md`: two months closed by its commands, in order as they stand there."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Tollbook

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "closing-the-month.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*?)(?:    # exit code (\d+))?$", PAGE, flags=re.MULTILINE)


FORCED = "tollbook cards import books/cards/list-usd-10.toml --force"


class Reader:
    """Follows the page command by command, and keeps what each printed."""

    def __init__(self, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tollbook, self.monkeypatch = tollbook, monkeypatch
        self.printed: list[tuple[str, Ran]] = []

    def follow(self, line: str, code: int) -> None:
        words = shlex.split(line)
        if words[0] == "export":
            self.monkeypatch.setenv(*words[1].split("=", 1))
        elif words[0] == "tollbook":
            ran = self.tollbook(*words[1:])
            assert code == ran.code, f"{line}: exit code {ran.code}\n{ran.out}\n{ran.err}"
            self.printed.append((line, ran))
        else:
            subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, stdout=subprocess.DEVNULL)

    def all_of(self, start: str) -> list[str]:
        return [ran.out + ran.err for line, ran in self.printed if line.startswith(start)]


@pytest.mark.usefixtures("empty_books")
def test_two_months_are_closed_as_the_page_says(
    tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "COLUMNS", "200")
    reader = Reader(tollbook, monkeypatch)
    for line, code in COMMANDS:
        reader.follow(line, int(code or 0))
    september, october = reader.all_of("tollbook close 2026-09"), reader.all_of("tollbook close 2026-10")
    assert "12 parked" in september[0]
    assert "1 parked" in september[1]
    assert ["INV-000001 to INV-000029" in said for said in september] == [False, False, False, True, False]
    rehearsed, forced = (said.partition("In all")[2] for said in reader.all_of(FORCED))
    assert "-2,416.84" in rehearsed
    assert rehearsed.splitlines()[:6] == forced.splitlines()[:6], "a rehearsal tells what comes of it"
    assert "29 invoices issued before" in september[4]
    (refused, *_) = reader.all_of("tollbook cards import books/cards/list-usd-10.toml")
    assert 'list-usd-10.csv:103 prefixes "4915": the price is 6.783, was 0.6783' in refused
    (planted, quiet) = reader.all_of("tollbook invoices diff 2026-10")
    assert re.search(r"Germany, mobile.* 0.6783 +6.783 +more than 3 times up or down", planted)
    assert "up or down" not in quiet
    (explained, *_) = reader.all_of("tollbook explain line 2026-10")
    assert "Germany, mobile" in explained
    assert "6.783" in explained
    assert "its total of 240.62 USD is more than 3 times" in october[0]
    assert "INV-000030 to INV-000058" in october[-1]
    assert all("all agree" in said for said in (*september, *october))
    assert 1 == len(reader.all_of("tollbook verify"))
