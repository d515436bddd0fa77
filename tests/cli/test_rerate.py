"""Forced changes and re-rating on the command line: who and why have to be said, amounts are told, codes are right."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import CARD, CONTRACT, Tollbook, with_changes

WHY = ("--reason", "wrong price", "--as", "ann")
DEAR = CARD.replace("2026-10-01T", "2026-10-02T").replace('"0.02"', '"0.03"')


@pytest.fixture
def month(books: Path, tollbook: Tollbook) -> Path:
    """A month with one call of two minutes; `dear.toml` prices it otherwise."""
    (books / "dear.toml").write_text(DEAR)
    assert 0 == tollbook("usage", "import", books / "usage.ndjson", "--source", "switch").code
    return books


def test_a_forced_card_tells_amounts_before_and_after(tollbook: Tollbook, month: Path) -> None:
    assert 5 == tollbook("cards", "import", month / "dear.toml").code
    ran = tollbook("cards", "import", month / "dear.toml", "--force", *WHY, "--format", "json")
    assert 0 == ran.code
    assert "1 event rated again, 1 charged or named otherwise." in ran.err
    assert [
        {
            "period": "2026-10",
            "account": "acme",
            "product": "voice.outbound",
            "currency": "USD",
            "events_before": 1,
            "events_after": 1,
            "amount_before": "0.04",
            "amount_after": "0.06",
            "difference": "0.02",
        }
    ] == json.loads(ran.out)["correction"]["accounts"]


def test_what_it_comes_to_in_all_is_told_by_month_and_reconciles_with_the_run(tollbook: Tollbook, month: Path) -> None:
    calls = [with_changes(id=f"n{n}", occurred_at=f"2026-1{n}-20T00:00:00Z") for n in (0, 1)]
    (month / "more.ndjson").write_text("\n".join(calls))
    assert 0 == tollbook("usage", "import", month / "more.ndjson", "--source", "switch").code
    (month / "dear.toml").write_text(DEAR.replace("10-02T", "10-19T"))
    (month / "again.toml").write_text(DEAR.replace("10-02T", "11-01T"))
    assert 0 == tollbook("cards", "import", month / "again.toml", "--force", *WHY).code
    ran = tollbook("cards", "import", month / "dear.toml", "--force", *WHY, "--dry-run")
    assert ["in all, 2026-10", "2", "2", "0.08", "0.10", "0.02", "USD"] == re.split(
        r"  +", ran.out.splitlines()[-2].strip()
    )
    assert "in all, 2026-11" not in ran.out, "November is of the version that follows"
    found = json.loads(tollbook("cards", "import", month / "dear.toml", "--force", *WHY, "--format", "json").out)
    (total,) = found["correction"]["totals"]
    assert ("2026-10", "USD", "0.08", "0.10", "0.02") == tuple(
        total[key] for key in ("period", "currency", "amount_before", "amount_after", "difference")
    )
    run = tollbook("invoices", "run", "2026-10", "--format", "json")
    assert {"USD": total["amount_after"]} == json.loads(run.out)["totals"]


def test_a_forced_contract_is_foreseen_as_a_table(tollbook: Tollbook, month: Path) -> None:
    (month / "dear.toml").write_text(DEAR.replace('"list"', '"dear"').replace("10-02T", "10-01T"))
    (month / "later.toml").write_text(CONTRACT.replace("10-01", "10-02").replace("list", "dear"))
    assert 0 == tollbook("cards", "import", month / "dear.toml").code
    ran = tollbook("contracts", "add", month / "later.toml", "--force", *WHY, "--dry-run")
    assert 0 == ran.code
    assert "Before and after" in ran.out
    assert "would be charged or named otherwise" in ran.err
    assert 3 == tollbook("rerate", "--period", "2026-10", *WHY).code


@pytest.mark.parametrize("given", [("--force",), ("--force", "--as", "ann"), ("--reason", "x"), ("--as", "ann")])
def test_force_is_answered_for(given: tuple[str, ...], tollbook: Tollbook, month: Path) -> None:
    assert 2 == tollbook("cards", "import", month / "dear.toml", *given).code
    assert 2 == tollbook("contracts", "add", month / "contract.toml", *given).code


def test_a_re_rating_is_answered_for(tollbook: Tollbook, month: Path) -> None:
    assert 2 == tollbook("rerate", "--period", "2026-10", "--as", "ann").code
    assert 2 == tollbook("rerate", *WHY).code
    assert month.exists()


def test_nothing_differs_is_exit_3_with_a_header_only(tollbook: Tollbook, month: Path) -> None:
    ran = tollbook("rerate", "--period", "2026-10", "--account", "acme", *WHY, "--format", "csv")
    assert (3, []) == (ran.code, list(csv.DictReader(io.StringIO(ran.out))))
    assert ran.out.startswith("period,account,product,events_before,events_after,amount_before,amount_after,difference")
    assert month.exists()


def test_what_loses_its_price_needs_a_person(tollbook: Tollbook, month: Path) -> None:
    (month / "dear.toml").write_text(DEAR.replace('"44"', '"33"'))
    ran = tollbook("cards", "import", month / "dear.toml", "--force", *WHY)
    assert 0 == ran.code
    assert "1 event has no price any more" in ran.err
    assert 4 == tollbook("usage", "quarantine").code
