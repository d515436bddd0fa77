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


def test_what_came_after_the_run_is_named_by_finalize_and_released_by_name(
    month: Path, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBOOK_BOUNDS", "none")
    assert 0 == tollbook("invoices", "run", "2026-10").code
    assert 0 == tollbook("usage", "controls", "add", *ONE).code
    said = "acme: its control totals do not match: voice.outbound of 2026-10-02: switch counted 2 events of 61"
    dry = tollbook("invoices", "finalize", "2026-10", "--dry-run")
    assert (4, True) == (dry.code, said in dry.err)
    ran = tollbook("invoices", "finalize", "2026-10", "--format", "json")
    assert 4 == ran.code
    assert said in ran.err
    assert "tollbook invoices run 2026-10" in ran.err
    assert (0, ["acme"]) == ((found := json.loads(ran.out))["issued"], [*found["unmatched"]])
    assert 4 == tollbook("invoices", "run", "2026-10").code
    looked = ("--as", "controller", "--reason", "the switch counts twice")
    assert 0 == tollbook("invoices", "release", "2026-10", "acme", *looked).code
    assert 0 == tollbook("invoices", "run", "2026-10").code
    assert 0 == tollbook("invoices", "finalize", "2026-10").code
    assert month.exists()


def test_a_draft_of_less_than_the_source_counted_is_named_and_drawn_up_again(month: Path, tollbook: Tollbook) -> None:
    assert 0 == tollbook("invoices", "run", "2026-10").code
    assert 0 == tollbook("usage", "controls", "add", *ONE[:-1], "122").code
    event = json.loads((month / "usage.ndjson").read_text().splitlines()[0])
    (month / "missing.ndjson").write_text(json.dumps({**event, "id": "missing"}) + "\n")
    assert 0 == tollbook("usage", "import", month / "missing.ndjson", "--source", "switch").code
    dry = tollbook("invoices", "finalize", "2026-10", "--dry-run")
    ran = tollbook("invoices", "finalize", "2026-10", "--format", "json")
    assert (4, 0, ["acme"]) == (ran.code, (found := json.loads(ran.out))["issued"], found["outdated"])
    said = "came after the drafts of acme: draw them up again with `tollbook invoices run 2026-10`"
    assert (True, True, False) == (said in dry.err, said in ran.err, "acme" in dry.out)
    assert 0 == tollbook("invoices", "run", "2026-10").code
    assert 0 == tollbook("invoices", "finalize", "2026-10").code


def test_a_control_total_of_what_nobody_used_stops_the_month_at_each_step(month: Path, tollbook: Tollbook) -> None:
    assert 0 == tollbook("usage", "controls", "add", "--source", "typo", *ONE[2:]).code
    ran = tollbook("invoices", "preview", "2026-10")
    for command in (("run",), ("approve", "--as", "ann"), ("finalize", "--dry-run"), ("finalize",)):
        ran = tollbook("invoices", *command, "2026-10")
        assert 4 == ran.code, command
        assert "voice.outbound of 2026-10-02: typo counted 2 events of 61 in all, and 0 of 0 were accepted" in ran.err
        assert "nothing of 2026-10 is issued" in ran.err or "so nothing is issued" in ran.err
    assert "import what is missing" in ran.err
    (listed,) = json.loads(tollbook("invoices", "show", "2026-10", "--format", "json").out)
    assert "approved" == listed["state"]
    nothing = ("--source", "typo", *ONE[2:6], "--events", "0", "--quantity", "0")
    assert 0 == tollbook("usage", "controls", "add", *nothing).code
    assert 0 == tollbook("invoices", "finalize", "2026-10").code
    assert month.exists()


def test_in_80_columns_control_totals_are_a_table_with_what_is_missing(
    month: Path, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"switch-amsterdam-{n},voice.outbound,2026-10-0{n},{n}000000,{n}00000000000" for n in range(1, 10)]
    (month / "controls.csv").write_text("\n".join(["source,product,day,events,quantity", *rows]))
    assert 0 == tollbook("usage", "controls", "add", month / "controls.csv").code
    monkeypatch.setenv("COLUMNS", "80")
    ran = tollbook("usage", "controls", "--period", "2026-10")
    lines = ran.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert 9 == len([line for line in lines if "switch-amsterdam-" in line and "00,000,000,000" in line])
    assert "Left out for want of room: events counted" in ran.out
    assert len(lines) < 20


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
