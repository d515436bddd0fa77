"""Invoices on the command line: preview, draw up, issue, show, export, verify, explain, state."""

import csv
import io
import json
from pathlib import Path

import pytest

from billing.documents.csv_document import COLUMNS
from billing.periods import Period
from billing.store.drafts import lock_period
from billing.store.embedded import Address
from billing.store.engine import open_engine, transaction
from tests.cli.conftest import Tollbook, with_changes


@pytest.fixture
def issued(month: Path, tollbook: Tollbook) -> Path:
    """The month issued. The clock of the machine may be within it: early, all the same."""
    assert 0 == tollbook("invoices", "run", "2026-10", "--early").code
    assert 0 == tollbook("invoices", "finalize", "2026-10", "--early").code
    return month


@pytest.mark.usefixtures("month")
def test_a_preview_says_what_a_run_writes_and_writes_nothing(tollbook: Tollbook) -> None:
    preview = json.loads(tollbook("invoices", "preview", "2026-10", "--format", "json").out)
    assert 1 == tollbook("invoices", "show", "2026-10").code
    dry = json.loads(tollbook("invoices", "run", "2026-10", "--dry-run", "--early", "--format", "json").out)
    assert 1 == tollbook("invoices", "show", "2026-10").code
    run = json.loads(tollbook("invoices", "run", "2026-10", "--early", "--format", "json").out)
    assert (False, False, True) == (preview.pop("written"), dry.pop("written"), run.pop("written"))
    assert preview == dry == run
    assert {"USD": "0.12"} == run["totals"]
    assert 1 == run["active"] == run["billed"] + run["zero"] + run["parked"] + run["failed"]


@pytest.mark.usefixtures("month")
def test_the_report_adds_up_for_a_person_too(tollbook: Tollbook) -> None:
    ran = tollbook("invoices", "preview", "2026-10")
    assert "1 billed + 0 zero + 0 parked + 0 failed = 1 active" in ran.out
    assert "0.12 USD" in ran.out


@pytest.mark.usefixtures("month")
def test_drafts_are_issued_once(tollbook: Tollbook) -> None:
    assert 3 == tollbook("invoices", "finalize", "2026-10", "--early").code
    tollbook("invoices", "run", "2026-10", "--early")
    dry = tollbook("invoices", "finalize", "2026-10", "--dry-run", "--format", "json")
    assert ["draft"] == [each["state"] for each in json.loads(dry.out)]
    ran = tollbook("invoices", "finalize", "2026-10", "--early", "--format", "json")
    assert 0 == ran.code
    found = json.loads(ran.out)
    assert (1, ["INV-000001"], {"USD": "0.12"}) == tuple(found[key] for key in ("issued", "numbers", "totals"))
    assert 3 == tollbook("invoices", "finalize", "2026-10", "--early").code


@pytest.mark.usefixtures("month")
def test_a_month_that_has_not_ended_is_not_drawn_up(tollbook: Tollbook) -> None:
    ran = tollbook("invoices", "run", "2098-10")
    assert 1 == ran.code
    assert "the period has not ended; preview it now, or wait until 2098-11-01T00:00Z; --early does it" in ran.err


@pytest.mark.usefixtures("month")
def test_numbers_begin_with_the_series_of_the_settings(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBOOK_SERIES", "T-26")
    monkeypatch.setenv("TOLLBOOK_PAYMENT_DAYS", "0")
    tollbook("invoices", "run", "2026-10", "--early")
    tollbook("invoices", "finalize", "2026-10", "--early")
    found = json.loads(tollbook("invoices", "show", "T-26-000001", "--format", "json").out)
    assert ("T-26-000001", found["issued_on"]) == (found["number"], found["due_on"])
    monkeypatch.setenv("TOLLBOOK_SERIES", "lower case")
    ran = tollbook("invoices", "finalize", "2026-10", "--early")
    assert 2 == ran.code
    assert ran.err.startswith("tollbook: environment: ")


@pytest.mark.usefixtures("issued")
def test_an_invoice_is_shown_with_its_lines(tollbook: Tollbook) -> None:
    shown = tollbook("invoices", "show", "INV-000001")
    assert "Invoice INV-000001: acme, 2026-10, issued " in shown.out
    for part in ("United Kingdom", "0.02", "0.12", "USD"):
        assert part in shown.out
    by_number = json.loads(tollbook("invoices", "show", "INV-000001", "--format", "json").out)
    by_month = json.loads(tollbook("invoices", "show", "2026-10", "acme", "--format", "json").out)
    assert by_number == by_month
    assert ("INV-000001", "final", "0.12", "6") == (
        by_number["number"],
        by_number["state"],
        by_number["total"],
        by_number["lines"][0]["quantity"],
    )


@pytest.mark.usefixtures("issued")
def test_the_invoices_of_a_month_are_listed(tollbook: Tollbook) -> None:
    (listed,) = json.loads(tollbook("invoices", "show", "2026-10", "--format", "json").out)
    assert ("INV-000001", "acme", "final", 1, "0.12") == tuple(
        listed[key] for key in ("number", "account", "state", "lines", "total")
    )


@pytest.mark.usefixtures("issued")
@pytest.mark.parametrize("what", [["2026-09"], ["2026-10", "nobody"]])
def test_what_is_not_drawn_up_is_said_with_the_command_that_does(what: list[str], tollbook: Tollbook) -> None:
    ran = tollbook("invoices", "show", *what)
    assert 1 == ran.code
    assert f"there is no invoice, nor a draft; draw it up with `tollbook invoices run {what[0]}`" in ran.err


@pytest.mark.usefixtures("issued")
@pytest.mark.parametrize("number", ["INV-9", "INV-999999", "INV-٣", f"INV-{10**30}", "nonsense"])
def test_a_number_that_no_invoice_has_is_said_with_how_to_list_them(number: str, tollbook: Tollbook) -> None:
    for command in (("invoices", "show", number), ("explain", "line", number, "1")):
        ran = tollbook(*command)
        assert 1 == ran.code
        assert "no invoice has this number; `tollbook invoices show MONTH`" in ran.err
        assert "run" not in ran.err


def test_invoices_are_exported_whole_in_either_form(issued: Path, tollbook: Tollbook) -> None:
    rows = list(csv.DictReader(io.StringIO(tollbook("invoices", "export", "2026-10").out)))
    assert list(COLUMNS) == list(rows[0])
    (document,) = map(json.loads, tollbook("invoices", "export", "2026-10", "--format", "json").out.splitlines())
    assert [line["amount"] for line in document["lines"]] == [row["amount"] for row in rows]
    ran = tollbook("invoices", "export", "INV-000001", "-o", issued / "out.csv")
    assert (0, "") == (ran.code, ran.out)
    assert rows == list(csv.DictReader((issued / "out.csv").open(newline="")))
    assert [] == [*issued.glob("*.part"), *issued.glob(".*.part")]


def test_an_export_replaces_no_file_unless_it_is_told_to(issued: Path, tollbook: Tollbook) -> None:
    out = issued / "out.csv"
    out.write_text("what somebody needs")
    ran = tollbook("invoices", "export", "2026-10", "-o", out)
    assert 2 == ran.code
    assert "--overwrite" in ran.err
    assert "what somebody needs" == out.read_text()
    assert 1 == tollbook("invoices", "export", "2020-10", "-o", out, "--overwrite").code
    assert "what somebody needs" == out.read_text(), "there was nothing to replace it by"
    assert 0 == tollbook("invoices", "export", "2026-10", "-o", out, "--overwrite").code
    assert out.read_text().startswith("number,")
    assert 2 == tollbook("invoices", "export", "2026-10", "-o", issued).code


@pytest.mark.usefixtures("issued")
def test_an_exported_line_has_its_number_its_state_and_when_it_is_due(tollbook: Tollbook) -> None:
    (row,) = csv.DictReader(io.StringIO(tollbook("invoices", "export", "2026-10").out))
    assert ("1", "final", "2026-12-21") == (row["line"], row["state"], row["due_on"])
    shown = tollbook("invoices", "show", "INV-000001", "--format", "csv").out
    assert [row] == list(csv.DictReader(io.StringIO(shown)))
    (document,) = map(json.loads, tollbook("invoices", "export", "2026-10", "-f", "json").out.splitlines())
    assert [1] == [line["line"] for line in document["lines"]]
    statement = json.loads(tollbook("statement", "acme", "--period", "2026-10", "-f", "json").out)
    assert [1] == [line["line"] for line in statement["lines"]]


def test_an_export_of_a_month_says_that_drafts_are_among_the_invoices(issued: Path, tollbook: Tollbook) -> None:
    assert "" == tollbook("invoices", "export", "2026-10").err
    (issued / "more.toml").write_text('id = "bolt"\ncurrency = "USD"')
    (issued / "deal.toml").write_text('account = "bolt"\neffective_from = 2026-10-01\ncards = ["list"]')
    tollbook("accounts", "add", issued / "more.toml")
    tollbook("contracts", "add", issued / "deal.toml")
    (issued / "usage.ndjson").write_text(with_changes(id="b1", account="bolt"))
    tollbook("usage", "import", issued / "usage.ndjson", "--source", "switch-1")
    tollbook("invoices", "run", "2026-10", "--early")
    for form in ("csv", "json"):
        ran = tollbook("invoices", "export", "2026-10", "--format", form)
        assert "1 draft (and 1 issued invoice): a draft has no number, and may still change.\n" == ran.err
    rows = list(csv.DictReader(io.StringIO(tollbook("invoices", "export", "2026-10").out)))
    assert [("final", "2026-12-21"), ("draft", "")] == [(row["state"], row["due_on"]) for row in rows]


def test_finalizing_says_numbers_and_sums_for_people_as_people_do(month: Path, tollbook: Tollbook) -> None:
    for account in ("bolt", "core"):
        (month / "more.toml").write_text(f'id = "{account}"\ncurrency = "USD"')
        (month / "deal.toml").write_text(f'account = "{account}"\neffective_from = 2026-10-01\ncards = ["list"]')
        tollbook("accounts", "add", month / "more.toml")
        tollbook("contracts", "add", month / "deal.toml")
        (month / "usage.ndjson").write_text(with_changes(id=f"{account}1", account=account))
        tollbook("usage", "import", month / "usage.ndjson", "--source", "switch-1")
        tollbook("invoices", "run", "2026-10", "--early")
        if account == "bolt":
            shown = tollbook("invoices", "finalize", "2026-10", "--early").out
            assert "INV-000001 to INV-000002" in shown
            assert "0.16 USD" in shown
    shown = tollbook("invoices", "finalize", "2026-10", "--early").out
    assert "INV-000003" in shown
    assert " to " not in shown


def test_what_was_reported_while_its_outcome_was_open_is_a_line_of_its_own(month: Path, tollbook: Tollbook) -> None:
    statement = ("statement", "acme", "--period", "2026-10")
    for question in (statement, ("invoices", "preview", "2026-10")):
        assert "pending" not in tollbook(*question).out
    (month / "usage.ndjson").write_text(with_changes(id="ringing", status="ringing"))
    tollbook("usage", "import", month / "usage.ndjson", "--source", "switch-1")
    for question in (statement, ("invoices", "preview", "2026-10")):
        ran = tollbook(*question)
        assert 0 == ran.code, "nobody can do anything about it"
        assert "1 event at no charge, reported while the outcome was open" in ran.out
        assert 1 == json.loads(tollbook(*question, "--format", "json").out)["pending"]
    elsewhere = json.loads(tollbook("statement", "acme", "--period", "2026-11", "--format", "json").out)
    assert 0 == elsewhere["pending"]


@pytest.mark.usefixtures("issued")
def test_the_verifier_agrees_with_what_was_issued(tollbook: Tollbook) -> None:
    ran = tollbook("verify", "2026-10", "--format", "json")
    found = json.loads(ran.out)
    assert (0, True, 3, 1, []) == (
        ran.code,
        found["agrees"],
        found["events"],
        found["lines"],
        found["disagreements"],
    )
    assert "all agree" in tollbook("verify", "2026-10").out
    assert 3 == tollbook("verify", "2020-01").code


@pytest.mark.usefixtures("issued")
def test_a_line_is_explained_down_to_its_events(tollbook: Tollbook) -> None:
    by_number = tollbook("explain", "line", "INV-000001", "1", "--format", "json")
    by_month = tollbook("explain", "line", "2026-10", "acme", "1", "--format", "json")
    found = json.loads(by_number.out)
    assert (0, found) == (by_number.code, json.loads(by_month.out))
    assert (True, 3, 360) == (found["adds_up"], found["events"], found["base_quantity"])
    assert ["c1", "c2", "c3"] == [each["id"] for each in found["page"]]
    assert "360 second ÷ 60 = 6 minute × 0.02 = 0.12, rounded 0.12 USD" == found["arithmetic"]
    (second,) = json.loads(
        tollbook("explain", "line", "INV-000001", "1", "--first", "1", "--size", "1", "--format", "json").out
    )["page"]
    assert "c2" == second["id"]
    assert "they add up to the line" in tollbook("explain", "line", "INV-000001", "1").out


@pytest.mark.usefixtures("issued")
def test_an_event_is_explained_up_to_its_line(tollbook: Tollbook) -> None:
    ran = tollbook("explain", "event", "switch-1", "c2", "--format", "json")
    found = json.loads(ran.out)
    assert ("acme-sales", "acme", "GB", 61, 120) == tuple(
        found[key] for key in ("account", "payer", "country", "measured", "billed")
    )
    assert "61 -> first 60, then 1 × 60 -> 120 (60/60)" == found["increments"]
    (part,) = found["parts"]
    assert (1, "list@2026-10-01T00:00:00Z", "44") == (part["line_no"], part["card"], part["matched"])
    assert "120 second ÷ 60 = 2 minute × 0.02 = 0.04" == part["arithmetic"]
    assert "120 second ÷ 60" in tollbook("explain", "event", "switch-1", "c2").out


@pytest.mark.usefixtures("issued")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["line", "INV-000001", "2"], 1),
        (["line", "2026-10", "nobody", "1"], 1),
        (["line", "INV-000001"], 2),
        (["line", "INV-000001", "x"], 2),
        (["event", "switch-1", "none"], 1),
    ],
)
def test_what_cannot_be_explained_is_said(words: list[str], code: int, tollbook: Tollbook) -> None:
    ran = tollbook("explain", *words)
    assert code == ran.code
    assert "Traceback" not in ran.err


def test_what_is_outdated_is_told_with_the_command_that_mends_what_it_can(issued: Path, tollbook: Tollbook) -> None:
    (issued / "late.ndjson").write_text(with_changes(id="late"))
    tollbook("usage", "import", issued / "late.ndjson", "--source", "switch-1")
    ran = tollbook("verify", "2026-10")
    assert 0 == ran.code
    (said,) = (line for line in ran.err.splitlines() if "utdated" in line)
    assert said.startswith("Outdated: the bill of 1 account is not of all its usage (acme) and verified as it would be")
    assert "`tollbook invoices run 2026-10` draws up again what is not issued" in said
    assert ["acme"] == json.loads(tollbook("verify", "2026-10", "--format", "json").out)["outdated"]


def test_usage_after_the_invoice_is_said(issued: Path, tollbook: Tollbook) -> None:
    (issued / "late.ndjson").write_text(with_changes(id="late"))
    tollbook("usage", "import", issued / "late.ndjson", "--source", "switch-1")
    ran = tollbook("explain", "line", "INV-000001", "1")
    assert (0, "1 later event is not on invoice INV-000001.\n") == (ran.code, ran.err)
    assert "they add up to the line" in ran.out
    found = json.loads(tollbook("explain", "line", "INV-000001", "1", "--format", "json").out)
    assert ("INV-000001", True, 3, 1) == tuple(found[key] for key in ("invoice", "adds_up", "events", "later_events"))
    late = json.loads(tollbook("explain", "event", "switch-1", "late", "--format", "json").out)
    assert ("", {"invoice": "INV-000001"}, None) == (late["invoice"], late["late"], late["parts"][0]["line_no"])
    shown = tollbook("explain", "event", "switch-1", "late").out
    assert "it came after invoice INV-000001 was drawn up, and the run of a later month adjusts it" in shown
    assert 1 == shown.count("INV-000001"), "the invoice did not bill it"
    (row,) = csv.DictReader(io.StringIO(tollbook("explain", "event", "switch-1", "late", "-f", "csv").out))
    assert "" == row["line_no"]


@pytest.mark.usefixtures("issued")
def test_the_events_of_a_line_say_when_and_between_whom(tollbook: Tollbook) -> None:
    shown = tollbook("explain", "line", "INV-000001", "1").out
    assert "2026-10-01T00:00:00Z" in shown
    assert "+442079460000" in shown
    rows = list(csv.DictReader(io.StringIO(tollbook("explain", "line", "INV-000001", "1", "-f", "csv").out)))
    assert [("c1", "442079460000", "", "2026-10-01T00:00:00Z")] == [
        (row["id"], row["to_e164"], row["to_address"], row["occurred_at"]) for row in rows[:1]
    ]


@pytest.mark.usefixtures("issued")
@pytest.mark.parametrize("command", ["show", "export"])
def test_an_invoice_of_another_account_is_not_shown(command: str, tollbook: Tollbook) -> None:
    ran = tollbook("invoices", command, "INV-000001", "bolt")
    assert (2, "") == (ran.code, ran.out)
    assert "INV-000001" in ran.err
    assert "is an invoice of acme, not of bolt" in ran.err
    assert 0 == tollbook("invoices", command, "INV-000001", "acme").code


@pytest.mark.usefixtures("issued")
@pytest.mark.parametrize(
    "words", [["2026-10", "1"], ["INV-000001", "acme", "1"], ["INV-000001", "٣"], ["INV-000001"], ["2026-10", "acme"]]
)
def test_a_line_is_asked_for_in_one_of_two_ways(words: list[str], tollbook: Tollbook) -> None:
    ran = tollbook("explain", "line", *words)
    assert (2, "") == (ran.code, ran.out)
    assert "Traceback" not in ran.err


@pytest.mark.usefixtures("month")
def test_a_statement_says_what_is_owed_so_far(tollbook: Tollbook) -> None:
    ran = tollbook("statement", "acme", "--period", "2026-10", "--format", "json")
    found = json.loads(ran.out)
    assert (0, "0.12", "USD") == (ran.code, found["total"], found["currency"])
    assert {"voice.outbound": "0.12"} == found["by_product"]
    assert {"GB": "0.12"} == found["by_country"]
    shown = tollbook("statement", "acme", "--period", "2026-10")
    assert "Statement of acme, 2026-10: 0.12 USD" in shown.out
    (row,) = csv.DictReader(io.StringIO(tollbook("statement", "acme", "--period", "2026-10", "--format", "csv").out))
    assert "0.12" == row["amount"]


@pytest.mark.usefixtures("month")
def test_a_statement_without_usage_is_nothing_to_do(tollbook: Tollbook) -> None:
    assert 3 == tollbook("statement", "acme", "--period", "2026-09").code
    assert 1 == tollbook("statement", "nobody", "--period", "2026-10").code


NOWHERE = with_changes(id="nowhere", to="+81312345678")


def take_in(folder: Path, tollbook: Tollbook, line: str) -> None:
    (folder / "more.ndjson").write_text(line)
    tollbook("usage", "import", folder / "more.ndjson", "--source", "switch-1")


def test_what_waits_in_quarantine_is_exit_4_of_all_that_bill(month: Path, tollbook: Tollbook) -> None:
    take_in(month, tollbook, NOWHERE)
    for command in (
        ["invoices", "preview", "2026-10"],
        ["invoices", "run", "2026-10", "--dry-run", "--early"],
        ["invoices", "run", "2026-10", "--early"],
        ["invoices", "finalize", "2026-10", "--dry-run", "--early"],
        ["invoices", "finalize", "2026-10", "--early"],
        ["invoices", "finalize", "2026-10", "--early"],
        ["statement", "acme", "--period", "2026-10"],
    ):
        ran = tollbook(*command)
        assert 4 == ran.code, command
        assert "1 no_rate" in ran.err
    found = json.loads(tollbook("invoices", "finalize", "2026-10", "--early", "--format", "json").out)
    assert ([], {"no_rate": 1}) == (found["late"], found["quarantined"])


def test_usage_after_the_invoice_is_exit_4_of_all_that_bill(issued: Path, tollbook: Tollbook) -> None:
    take_in(issued, tollbook, with_changes(id="late"))
    ran = tollbook("invoices", "run", "2026-10", "--early")
    assert 4 == ran.code
    assert "usage has changed since the invoices of acme" in ran.out
    ran = tollbook("invoices", "finalize", "2026-10", "--early", "--format", "json")
    assert (4, ["acme"]) == (ran.code, json.loads(ran.out)["late"])
    assert "Usage came after what was billed, of acme" in ran.err


@pytest.mark.parametrize("command", [["invoices", "run"], ["invoices", "finalize"], ["statement"]])
def test_the_help_says_what_exit_4_means(command: list[str], tollbook: Tollbook) -> None:
    assert "xit code 4" in " ".join(tollbook(*command, "--help").out.split())


@pytest.mark.usefixtures("month")
def test_a_second_person_approves_and_exactly_that_is_issued(
    tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBOOK_APPROVALS", "two-people")
    assert 3 == tollbook("invoices", "approve", "2026-10", "--as", "controller", "--early").code, "no run"
    tollbook("invoices", "run", "2026-10", "--early", "--as", "finance")
    missing = tollbook("invoices", "finalize", "2026-10", "--early")
    assert 4 == missing.code
    assert "nobody approved these drafts" in missing.err
    own = tollbook("invoices", "approve", "2026-10", "--as", "finance", "--early")
    assert 4 == own.code
    assert '"finance": ran these invoices, and may not approve them too; let somebody else' in own.err
    assert 2 == tollbook("invoices", "approve", "2026-10", "--as", " ", "--early").code
    signed = tollbook("invoices", "approve", "2026-10", "--as", "controller", "--early", "--format", "json")
    assert 0 == signed.code
    found = json.loads(signed.out)
    assert ("controller", ["finance"], 1, {"USD": "0.12"}) == tuple(
        found[key] for key in ("approved_by", "drawn_by", "drafts", "totals")
    )
    assert 3 == tollbook("invoices", "approve", "2026-10", "--as", "controller", "--early").code
    (listed,) = json.loads(tollbook("invoices", "show", "2026-10", "--format", "json").out)
    assert "approved" == listed["state"]
    assert 0 == tollbook("invoices", "finalize", "2026-10", "--early").code


def test_a_draft_that_changed_after_the_approval_is_named(month: Path, tollbook: Tollbook) -> None:
    tollbook("invoices", "run", "2026-10", "--early")
    assert 0 == tollbook("invoices", "approve", "2026-10", "--as", "controller", "--early").code
    (month / "more.ndjson").write_text(with_changes(id="c9", occurred_at="2026-10-09T00:00:00Z"))
    tollbook("usage", "import", month / "more.ndjson", "--source", "switch-1")
    tollbook("invoices", "run", "2026-10", "--early")
    ran = tollbook("invoices", "finalize", "2026-10", "--early")
    assert 4 == ran.code
    assert "acme: its draft was drawn up anew after the approval; approve the period again" in ran.err
    found = json.loads(tollbook("invoices", "finalize", "2026-10", "--early", "--format", "json").out)
    assert ({"acme": "changed"}, 0) == (found["unsigned"], found["issued"])


def test_a_bill_that_a_bound_holds_back_is_released_by_name(month: Path, tollbook: Tollbook) -> None:
    take_in(month, tollbook, NOWHERE)
    ran = tollbook("invoices", "run", "2026-10", "--early")
    assert 4 == ran.code
    assert "0 billed + 0 zero + 1 parked + 0 failed = 1 active" in ran.out
    assert "Held back: acme. Mend what is wrong" in ran.err
    assert "tollbook invoices release 2026-10 acme --as NAME --reason TEXT" in ran.err
    assert 2 == tollbook("invoices", "release", "2026-10", "acme", "--as", "controller", "--reason", " ").code
    released = tollbook(
        *("invoices", "release", "2026-10", "acme", "--as", "controller", "--reason", "Japan is not sold"),
        *("--format", "json"),
    )
    assert (0, "Japan is not sold") == (released.code, json.loads(released.out)["reason"])
    assert "1 billed" in tollbook("invoices", "run", "2026-10", "--early").out
    assert 3 == tollbook("invoices", "release", "2026-10", "acme", "--as", "controller", "--reason", "again").code


@pytest.mark.usefixtures("issued")
def test_months_are_compared_in_every_form(tollbook: Tollbook) -> None:
    assert 3 == tollbook("invoices", "diff", "2026-10").code, "no month before it is issued"
    assert 3 == tollbook("invoices", "diff", "2026-11").code, "it was not drawn up"
    tollbook("invoices", "run", "2026-11", "--early")
    ran = tollbook("invoices", "diff", "2026-11", "--format", "json")
    assert 0 == ran.code
    rows = json.loads(ran.out)
    assert ("total", "0.12", "0.00", "-0.12", "") == tuple(
        rows[0][key] for key in ("what", "before", "after", "change", "percent")
    )
    assert ["lost"] == [row["note"] for row in rows if row["what"] == "account"]
    table = list(csv.DictReader(io.StringIO(tollbook("invoices", "diff", "2026-11", "--format", "csv").out)))
    assert [row["name"] for row in rows] == [row["name"] for row in table]
    assert "2026-11 against 2026-10" in tollbook("invoices", "diff", "2026-11").out


@pytest.mark.usefixtures("month")
@pytest.mark.parametrize("command", [["run", "--early"], ["finalize", "--early"], ["approve", "--early", "--as", "x"]])
def test_a_second_one_at_once_says_locked(command: list[str], tollbook: Tollbook, empty_books: Address) -> None:
    tollbook("invoices", "run", "2026-10", "--early")
    engine = open_engine(empty_books.sqlalchemy_url)
    with transaction(engine) as connection:
        assert lock_period(connection, Period.parse("2026-10"), shared=False)
        assert 7 == tollbook("invoices", *command, "2026-10").code
    engine.dispose()
    assert 0 == tollbook("invoices", *command, "2026-10").code


def test_a_draft_whose_account_has_usage_that_waits_since_is_named_with_what_to_do(
    books: Path, tollbook: Tollbook
) -> None:
    assert 0 == tollbook("usage", "import", books / "usage.ndjson", "--source", "switch").code
    assert 0 == tollbook("invoices", "run", "2026-10").code
    event = json.loads((books / "usage.ndjson").read_text().splitlines()[0])
    (books / "late.ndjson").write_text(json.dumps({**event, "id": "late", "to": "+81312345678"}) + "\n")
    tollbook("usage", "import", books / "late.ndjson", "--source", "switch")
    dry = tollbook("invoices", "finalize", "2026-10", "--dry-run")
    ran = tollbook("invoices", "finalize", "2026-10", "--format", "json")
    assert (4, 0, {"acme": 1}) == (ran.code, (found := json.loads(ran.out))["issued"], found["waiting"])
    said = "acme: 1 event waits for a price, and would not be billed; its draft is not issued"
    assert (4, True, True) == (dry.code, said in dry.err, said in ran.err)
    assert "or to release it all the same, `tollbook invoices run 2026-10`" in ran.err
    assert 4 == tollbook("invoices", "run", "2026-10").code
    assert 0 == tollbook("invoices", "release", "2026-10", "acme", "--as", "controller", "--reason", "not sold").code
    tollbook("invoices", "run", "2026-10")
    assert 1 == json.loads(tollbook("invoices", "finalize", "2026-10", "--format", "json").out)["issued"]
