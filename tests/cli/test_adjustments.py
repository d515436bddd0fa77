"""What came late, on the command line: run, show, export, explain, statement, release."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook, with_changes

RUN = ("invoices", "run", "2026-11", "--early")
FINALIZE = ("invoices", "finalize", "2026-11", "--early")


def take_in(books: Path, tollbook: Tollbook, *events: str) -> None:
    (books / "late.ndjson").write_text("\n".join(events))
    assert 0 == tollbook("usage", "import", books / "late.ndjson", "--source", "switch-1").code


@pytest.fixture
def late(month: Path, tollbook: Tollbook) -> Path:
    """A call of October that came after October was issued."""
    for command in ("run", "finalize"):
        assert 0 == tollbook("invoices", command, "2026-10", "--early").code
    take_in(month, tollbook, with_changes(id="late"))
    return month


@pytest.mark.usefixtures("late")
def test_the_next_run_bills_what_came_late_and_says_so(tollbook: Tollbook) -> None:
    ran = tollbook(*RUN)
    assert "2026-10 by 0.04 USD" in ran.out
    found = json.loads(tollbook(*RUN, "--format", "json").out)
    assert [{"period": "2026-10", "currency": "USD", "amount": "0.04"}] == found["adjustments"]
    assert 0 == tollbook(*FINALIZE).code
    shown = json.loads(tollbook("invoices", "show", "INV-000002", "--format", "json").out)
    assert (["2026-10"], "2026-11", "0.04") == (shown["adjusts"], shown["period"], shown["total"])
    assert ["2026-10"] == [line["origin_period"] for line in shown["lines"]]
    assert "1 billed" in tollbook(*RUN).out


@pytest.mark.usefixtures("late")
def test_an_adjustment_is_explained_by_what_it_was_what_it_is_and_what_came(tollbook: Tollbook) -> None:
    tollbook(*RUN)
    draft = json.loads(tollbook("explain", "line", "2026-11", "acme", "1", "--format", "json").out)
    tollbook(*FINALIZE)
    found = json.loads(tollbook("explain", "line", "INV-000002", "1", "--format", "json").out)
    assert ("0.12", "0.16", "0.04") == tuple(found[side]["amount"] for side in ("before", "now", "difference"))
    assert [{"number": "INV-000001", "amount": "0.12"}] == found["issued"]
    assert (1, ["late"]) == (found["came"], [each["id"] for each in found["page"]])
    assert {**found, "invoice": ""} == draft
    out = tollbook("explain", "line", "INV-000002", "1").out
    assert "adjusts 2026-10" in out
    assert "INV-000001: 0.12 USD" in out
    assert 0 == tollbook("explain", "line", "INV-000001", "1").code


@pytest.mark.usefixtures("late")
def test_the_statement_says_that_a_later_run_adjusts_it_and_then_by_what_it_was(tollbook: Tollbook) -> None:
    ran = tollbook("statement", "acme", "--period", "2026-10")
    assert 4 == ran.code
    assert "After INV-000001 came 1 event, 0.04 USD, not billed yet: the run of a later month adjusts it." in ran.err
    tollbook(*RUN)
    tollbook(*FINALIZE)
    assert 0 == tollbook("statement", "acme", "--period", "2026-10").code
    found = json.loads(tollbook("statement", "acme", "--period", "2026-10", "--format", "json").out)
    assert (["INV-000001", "INV-000002"], 0) == (found["billed_by"], found["unbilled"]["events"])
    november = tollbook("statement", "acme", "--period", "2026-11")
    assert "Adjustments of earlier months" in november.out


def test_a_price_that_is_put_right_is_a_credit_note(month: Path, tollbook: Tollbook) -> None:
    for command in ("run", "finalize"):
        assert 0 == tollbook("invoices", command, "2026-10", "--early").code
    card = month / "card.toml"
    card.write_text(card.read_text().replace('"0.02"', '"0.01"'))
    ran = tollbook("cards", "import", card, "--force", "--as", "ann", "--reason", "wrong price")
    assert "Final invoices stay: the next `tollbook invoices run` bills what differs" in ran.err
    assert 0 == tollbook(*RUN).code
    (listed,) = json.loads(tollbook("invoices", "show", "2026-11", "--format", "json").out)
    assert ("credit_note", "INV-000001", "-0.06") == (listed["kind"], listed["corrects"], listed["total"])
    assert ["CN-000001"] == json.loads(tollbook(*FINALIZE, "--format", "json").out)["numbers"]
    shown = tollbook("invoices", "show", "CN-000001").out
    assert "Credit note CN-000001 for INV-000001 of 2026-10" in shown
    rows = list(csv.DictReader(io.StringIO(tollbook("invoices", "export", "2026-11").out)))
    assert {("credit_note", "INV-000001")} == {(row["kind"], row["corrects"]) for row in rows}
    assert 0 == tollbook("explain", "line", "CN-000001", "1").code
    assert 0 == tollbook("verify", "2026-10").code
    assert 0 == tollbook("verify", "2026-11").code


@pytest.mark.usefixtures("late")
def test_what_is_beyond_the_late_limit_is_released_by_name(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBOOK_LATE_LIMIT", "0")
    ran = tollbook(*RUN)
    assert 4 == ran.code
    assert "acme: its adjustment of 2026-10 of 0.04 USD is left out: 2026-10 is older than the late limit" in ran.err
    (held,) = json.loads(tollbook(*RUN, "--format", "json").out)["held_adjustments"]
    assert ("acme", "2026-10", "0.04", True) == tuple(
        held[key] for key in ("account", "period", "amount", "releasable")
    )
    released = ("invoices", "release", "2026-11", "acme", "--adjustment", "2026-10", "--as", "ann", "--reason", "right")
    assert 0 == tollbook(*released).code
    assert 0 == tollbook(*RUN).code
    assert 3 == tollbook(*released).code


@pytest.mark.usefixtures("late")
def test_a_table_says_of_which_month_the_lines_are_that_adjust_one(books: Path, tollbook: Tollbook) -> None:
    take_in(books, tollbook, with_changes(id="november", occurred_at="2026-11-02T10:00:00Z"))
    tollbook(*RUN)
    tollbook(*FINALIZE)
    out = tollbook("invoices", "show", "INV-000002").out
    own, adjusting = out.split("Adjustments of 2026-10")
    assert ("total" in own, "total" in adjusting) == (False, True)
    assert all(f" {line} " in part and "voice.outbound" in part for line, part in (("1", own), ("2", adjusting)))
    statement = tollbook("statement", "acme", "--period", "2026-11").out
    assert "of month" in statement.split("Adjustments of earlier months")[1]


def test_an_adjustment_names_what_was_taken_back_and_what_was_amended(month: Path, tollbook: Tollbook) -> None:
    take_in(month, tollbook, with_changes(id="back"), with_changes(id="long"))
    for command in ("run", "finalize"):
        assert 0 == tollbook("invoices", command, "2026-10", "--early").code
    void = json.dumps({"id": "back", "revision": 2, "void": True})
    take_in(month, tollbook, void, with_changes(id="long", revision="2", duration_seconds="600"))
    tollbook(*RUN)
    tollbook(*FINALIZE)
    found = json.loads(tollbook("explain", "line", "INV-000002", "1", "--format", "json").out)
    changed = [(each["id"], int(each["base_quantity"])) for each in found["page"]]
    assert [("back", -120), ("long", -120), ("long", 600)] == changed
    assert (3, 360) == (found["came"], int(found["difference"]["base_quantity"]))
    shown = tollbook("explain", "line", "INV-000002", "1").out
    assert "360 second" in shown
    assert "what went is below zero" in shown
