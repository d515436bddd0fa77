"""Mending on the command line: the card, the account or the contract that was missing lets out what waited for it."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import CARD, Tollbook, with_changes

FRANCE = """
[[rate]]
product = "voice.outbound"
destination = "France"
prefixes = ["33"]
unit = "minute"
increments = "60/60"
price = "0.03"
"""
MENDED = CARD.replace("2026-10-01", "2026-10-02") + FRANCE


@pytest.fixture
def gap(books: Path, tollbook: Tollbook) -> Path:
    """A call that is priced, one to France that is not, one of nobody; and the card with France from the day before."""
    paris = with_changes(id="c2", to="+33123456789")
    (books / "usage.ndjson").write_text("\n".join([with_changes(), paris, with_changes(id="c3", account="newco")]))
    assert 4 == tollbook("usage", "import", books / "usage.ndjson", "--source", "switch-1").code
    (books / "mended.toml").write_text(MENDED)
    (books / "newco.toml").write_text('id = "newco"\ncurrency = "USD"')
    (books / "deal.toml").write_text('account = "newco"\neffective_from = 2026-10-01\ncards = ["list"]')
    return books


def test_a_mended_card_moves_what_was_rated_and_lets_out_what_waited(gap: Path, tollbook: Tollbook) -> None:
    ran = tollbook("cards", "import", gap / "mended.toml")
    assert (0, "") == (ran.code, ran.out)
    assert [
        "list@2026-10-02T00:00:00Z is published: 2 rates, 2 prices.",
        "1 event rated before moved along, charged as before.",
        "1 event released that waited for: no_rate",
        "1 event still waits for: unknown_account",
        "What waits, and what releases it: tollbook usage quarantine",
    ] == ran.err.splitlines()
    assert 0 == tollbook("verify", "2026-10").code


def test_a_dry_run_foresees_it_and_stores_nothing(gap: Path, tollbook: Tollbook) -> None:
    before = tollbook("usage", "quarantine", "--format", "json").out
    ran = tollbook("cards", "import", gap / "mended.toml", "--dry-run", "--format", "json")
    assert 0 == ran.code
    foreseen = json.loads(ran.out)
    assert ("published", True, 1) == (foreseen["status"], foreseen["dry_run"], foreseen["moved"])
    assert ({"no_rate": 1}, {"unknown_account": 1}) == (foreseen["released"], foreseen["waiting"])
    assert before == tollbook("usage", "quarantine", "--format", "json").out
    done = json.loads(tollbook("cards", "import", gap / "mended.toml", "--format", "json").out)
    assert {**foreseen, "dry_run": False} == done
    assert 3 == tollbook("cards", "import", gap / "mended.toml", "--dry-run").code


def test_what_would_be_charged_otherwise_is_exit_5_also_in_a_dry_run(gap: Path, tollbook: Tollbook) -> None:
    (gap / "dear.toml").write_text(MENDED.replace("0.02", "0.025"))
    ran = [tollbook("cards", "import", gap / "dear.toml", *options) for options in (["--dry-run"], [])]
    assert [5, 5] == [each.code for each in ran]
    assert ran[0].err == ran[1].err
    assert "1 rated event would be charged otherwise; the first is switch-1/c1" in ran[0].err
    assert "0.02 USD per minute before, 0.025 USD per minute with it" in ran[0].err


def test_accounts_and_contracts_let_out_what_waited_for_them(gap: Path, tollbook: Tollbook) -> None:
    assert 5 == tollbook("contracts", "add", gap / "deal.toml", "--dry-run").code
    added = [tollbook("accounts", "add", gap / "newco.toml", *each) for each in (["--dry-run"], [])]
    assert [0, 0] == [each.code for each in added]
    assert "1 event would still wait for: no_contract" in added[0].err
    assert "1 event still waits for: no_contract" in added[1].err
    reasons = [each["reason"] for each in json.loads(tollbook("usage", "quarantine", "--format", "json").out)]
    assert ["no_contract", "no_rate"] == reasons
    tried = tollbook("contracts", "add", gap / "deal.toml", "--dry-run", "--format", "csv")
    ran = tollbook("contracts", "add", gap / "deal.toml", "--format", "csv")
    assert tried.out == ran.out
    foreseen = [("moved", "", "0"), ("released", "no_contract", "1"), ("waiting", "no_rate", "1")]
    assert [("published", "", ""), *foreseen] == [
        (row["result"], row["reason"], row["events"]) for row in csv.DictReader(io.StringIO(ran.out))
    ]
    again = tollbook("contracts", "add", gap / "deal.toml", "--format", "json")
    assert (3, "unchanged") == (again.code, json.loads(again.out)["status"])


def test_a_second_version_from_the_same_instant_is_told_from_when_it_works(gap: Path, tollbook: Tollbook) -> None:
    (gap / "same.toml").write_text(CARD + FRANCE)
    ran = tollbook("cards", "import", gap / "same.toml", "--dry-run")
    assert 5 == ran.code
    assert "no later than 2026-10-02T10:11:12Z, when the first event that waits for it occurred" in ran.err
