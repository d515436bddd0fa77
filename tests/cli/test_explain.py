"""Explanations on the command line: what is counted, what is listed, and what they are called."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import ACCOUNTS, CARD, CONTRACT, Tollbook, with_changes

TIERS = CARD.replace('price = "0.02"', 'tiers = "voice"\nprices = ["0.02", "0.01"]').replace(
    "[[rate]]",
    '[tiers.voice]\nup_to = ["3"]\nunit = "minute"\nfill = [{product = "voice.outbound"}]\n\n[[rate]]',
)


@pytest.fixture
def split(empty_books: object, tollbook: Tollbook, tmp_path: Path) -> Path:  # noqa: ARG001 (found through DATABASE_URL)
    """Three calls of two minutes; the discount begins in the middle of the second."""
    for name, text in (("card.toml", TIERS), ("accounts.toml", ACCOUNTS), ("contract.toml", CONTRACT)):
        (tmp_path / name).write_text(text)
    tollbook("cards", "import", tmp_path / "card.toml")
    tollbook("accounts", "add", tmp_path / "accounts.toml")
    tollbook("contracts", "add", tmp_path / "contract.toml")
    calls = [with_changes(id=f"c{n}", occurred_at=f"2026-10-0{n}T00:00:00Z", **{"from": "sip:al"}) for n in (1, 2, 3)]
    (tmp_path / "usage.ndjson").write_text("\n".join(calls))
    assert 0 == tollbook("usage", "import", tmp_path / "usage.ndjson", "--source", "switch-1").code
    return tmp_path


@pytest.mark.usefixtures("split")
def test_an_event_that_a_bound_splits_is_listed_on_both_lines_and_counted_where_it_starts(tollbook: Tollbook) -> None:
    line = ("explain", "line", "2026-10", "acme", "2")
    found = json.loads(tollbook(*line, "--format", "json").out)
    assert (2, 1, True) == (found["events_listed"], found["events"], found["adds_up"])
    assert ["c2", "c3"] == [each["id"] for each in found["page"]]
    shown = tollbook(*line).out
    assert "2 events have part in it, 1 starts here, with 180 seconds: they add up to the line" in shown
    assert "Events 1 to 2 of 2, in order" in shown
    assert "Event 2 of 2, in order" in tollbook(*line, "--first", "1").out


@pytest.mark.usefixtures("split")
def test_who_skips_all_events_is_told_how_many_there_are(tollbook: Tollbook) -> None:
    ran = tollbook("explain", "line", "2026-10", "acme", "2", "--first", "7")
    assert "Event" not in ran.out.replace("events", "")
    assert "2 events have part in it: skip fewer." in ran.err


@pytest.mark.usefixtures("split")
def test_a_party_has_one_name_in_json_and_two_columns_in_csv(tollbook: Tollbook) -> None:
    line = ("explain", "line", "2026-10", "acme", "1")
    first, *_ = json.loads(tollbook(*line, "--format", "json").out)["page"]
    assert ("sip:al", "+442079460000") == (first["from"], first["to"])
    assert "from_" not in first
    row, *_ = csv.DictReader(io.StringIO(tollbook(*line, "--format", "csv").out))
    assert ("", "sip:al", "442079460000", "") == tuple(
        row[key] for key in ("from_e164", "from_address", "to_e164", "to_address")
    )


@pytest.mark.usefixtures("split")
def test_a_narrow_screen_keeps_what_an_event_is_known_by(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
    for width in ("60", "72"):
        monkeypatch.setenv("COLUMNS", width)
        shown = tollbook("explain", "line", "2026-10", "acme", "1").out
        assert "switch-1" in shown
        assert "c2" in shown


def test_what_was_still_open_when_it_was_reported_is_not_promised(books: Path, tollbook: Tollbook) -> None:
    (books / "usage.ndjson").write_text(with_changes(status="ringing"))
    tollbook("usage", "import", books / "usage.ndjson", "--source", "switch-1")
    found = json.loads(tollbook("explain", "event", "switch-1", "c1", "--format", "json").out)
    assert ("pending", "", None) == (found["reason"], found["invoice"], found["late"])
    assert "report it again under a higher revision when it is known" in found["remedy"]


def test_the_command_that_releases_an_event_is_said_once(books: Path, tollbook: Tollbook) -> None:
    (books / "usage.ndjson").write_text(with_changes(occurred_at="2020-10-02T10:11:12Z"))
    tollbook("usage", "import", books / "usage.ndjson", "--source", "switch-1")
    command = "tollbook usage quarantine --release --too-old --as NAME"
    for question in (("usage", "quarantine"), ("explain", "event", "switch-1", "c1")):
        assert 1 == tollbook(*question).out.count(command)


@pytest.mark.usefixtures("empty_books")
def test_a_true_up_is_shown_with_the_lines_that_it_is_of(tollbook: Tollbook, tmp_path: Path) -> None:
    agreed = f'{CONTRACT}\ncommitment = {{min = "1"}}\ndiscounts = [{{percent = "5"}}]\n'
    for name, text in (("card.toml", CARD), ("accounts.toml", ACCOUNTS), ("contract.toml", agreed)):
        (tmp_path / name).write_text(text)
    (tmp_path / "usage.ndjson").write_text(with_changes(id="c1"))
    tollbook("cards", "import", tmp_path / "card.toml")
    tollbook("accounts", "add", tmp_path / "accounts.toml")
    assert 0 == tollbook("contracts", "add", tmp_path / "contract.toml").code
    assert "5 % off; minimum 1" in tollbook("contracts", "list", "--format", "json").out
    tollbook("usage", "import", tmp_path / "usage.ndjson", "--source", "switch-1")
    line = ("explain", "line", "2026-10", "acme", "1")
    found = json.loads(tollbook(*line, "--format", "json").out)
    assert ("true_up", [2], []) == (found["element"], found["of_lines"], found["page"])
    assert "minimum 1 = 1.00 USD; what counts is 0.04: 0.96 more" == found["arithmetic"]
    assert "none: it is of line 2" in tollbook(*line).out
    event = json.loads(tollbook("explain", "event", "switch-1", "c1", "--format", "json").out)
    assert ["5 % off by contract"] == [part["note"] for part in event["parts"]]
