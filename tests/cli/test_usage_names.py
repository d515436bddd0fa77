"""What is refused before anything is opened: a wrong call never touches a file or the database."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.exits import Exit
from cli.main import app

LINE = '{"id": "a"}\n'


def test_the_rejects_file_is_not_the_file_that_is_imported(tmp_path: Path) -> None:
    usage = tmp_path / "usage.ndjson"
    usage.write_text(LINE)
    ran = CliRunner().invoke(app, ["usage", "import", str(usage), "--source", "switch-1", "--rejects", str(usage)])
    assert (Exit.USAGE, LINE) == (ran.exit_code, usage.read_text())


@pytest.mark.parametrize("source", ["", " ", " switch-1", "switch-1\n", "s" * 201])
def test_a_source_has_a_name(tmp_path: Path, source: str) -> None:
    usage = tmp_path / "usage.ndjson"
    usage.write_text(LINE)
    assert Exit.USAGE == CliRunner().invoke(app, ["usage", "import", str(usage), "--source", source]).exit_code


@pytest.mark.parametrize("wrong", [["--product", "sms"], ["--quantity", "99999999999999999999999"]])
def test_a_quote_for_what_there_is_not_is_a_wrong_call(tmp_path: Path, wrong: list[str]) -> None:
    card = tmp_path / "card.toml"
    card.write_text(
        'id = "c"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\n'
        '[[rate]]\nproduct = "voice.outbound"\nprefixes = ["44"]\nunit = "minute"\nprice = "0.01"\n'
    )
    ran = CliRunner().invoke(app, ["cards", "explain", str(card), "+442079460000", *wrong])
    assert Exit.USAGE == ran.exit_code
