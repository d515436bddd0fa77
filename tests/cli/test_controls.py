"""Control totals on the command line: added by file or by options, listed with what is missing."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook

ONE = ("--source", "switch", "--product", "voice.outbound", "--day", "2026-10-02", "--events", "2", "--quantity", "61")


@pytest.fixture
def month(books: Path, tollbook: Tollbook) -> Path:
    """A month with one call of 61 seconds."""
    assert 0 == tollbook("usage", "import", books / "usage.ndjson", "--source", "switch").code
    return books


def test_what_is_missing_is_listed_and_needs_a_person(month: Path, tollbook: Tollbook) -> None:
    assert 0 == tollbook("usage", "controls", "add", *ONE).code
    assert 3 == tollbook("usage", "controls", "add", *ONE).code
    ran = tollbook("usage", "controls", "--period", "2026-10", "--format", "json")
    assert 4 == ran.code
    assert [("2026-10-02", 2, 1, 1, 0, "no")] == [
        (r["day"], r["events_counted"], r["events_accepted"], r["events_missing"], r["quantity_missing"], r["matches"])
        for r in json.loads(ran.out)
    ]
    run = tollbook("invoices", "run", "2026-10")
    assert 4 == run.code
    assert "switch counted 2 events of 61 in all, and 1 of 61 were accepted" in " ".join((run.out + run.err).split())
    (month / "controls.csv").write_text("source,product,day,events,quantity\nswitch,voice.outbound,2026-10-02,1,61\n")
    assert 0 == tollbook("usage", "controls", "add", month / "controls.csv").code
    assert 0 == tollbook("usage", "controls", "--period", "2026-10").code


def test_a_dry_run_stores_nothing(month: Path, tollbook: Tollbook) -> None:
    ran = tollbook("usage", "controls", "add", *ONE, "--dry-run", "--format", "json")
    assert {"controls": 1, "added": 1, "dry_run": True} == json.loads(ran.out)
    listed = tollbook("usage", "controls", "--period", "2026-10", "--format", "json")
    assert (0, []) == (listed.code, json.loads(listed.out))
    assert month.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (ONE[:4], 2),
        ((*ONE[:-1], "1.5"), 5),
        (("x.csv", *ONE), 2),
        (("--product", "none", *ONE[:2], *ONE[4:]), 2),
    ],
)
def test_a_wrong_call_or_number_is_refused(
    arguments: tuple[str, ...], code: int, books: Path, tollbook: Tollbook
) -> None:
    assert code == tollbook("usage", "controls", "add", *arguments).code
    assert books.exists()
