"""The statement on the command line: what is on it, and what is on no line and on no invoice."""

import csv
import io
import json
from pathlib import Path

import pytest

from billing.invoices import LINE_FIELDS
from tests.cli.conftest import Tollbook, with_changes

STATEMENT = ("statement", "acme", "--period", "2026-10")


@pytest.fixture
def month(books: Path, tollbook: Tollbook) -> Path:
    """Three calls of two minutes at 0.02, of which one has no price."""
    calls = [with_changes(id="c1"), with_changes(id="c2"), with_changes(id="c3", to="+81312345678")]
    take_in(books, tollbook, *calls)
    return books


def take_in(folder: Path, tollbook: Tollbook, *lines: str) -> None:
    (folder / "usage.ndjson").write_text("\n".join(lines))
    tollbook("usage", "import", folder / "usage.ndjson", "--source", "switch-1")


def issue(tollbook: Tollbook) -> None:
    """Issue the month although one of its calls waits for a price: somebody has looked at that, and says so."""
    tollbook("invoices", "run", "2026-10", "--early")
    looked = ("--as", "finance", "--reason", "the price comes in November")
    tollbook("invoices", "release", "2026-10", "acme", *looked)
    tollbook("invoices", "run", "2026-10", "--early")
    tollbook("invoices", "finalize", "2026-10", "--early")


@pytest.mark.usefixtures("month")
def test_what_waits_in_quarantine_is_counted_for_people_and_for_programs(tollbook: Tollbook) -> None:
    ran = tollbook(*STATEMENT)
    assert 4 == ran.code
    assert "0.08 USD" in ran.out
    assert "1 event of 2026-10 waits in quarantine and is in no amount: 1 no_rate." in ran.err
    asked = ("usage", "quarantine", "--account", "acme", "--period", "2026-10")
    assert f"`tollbook {' '.join(asked)}` says what would release them." in ran.err
    assert 1 == sum(each["events"] for each in json.loads(tollbook(*asked, "--format", "json").out))
    found = json.loads(tollbook(*STATEMENT, "--format", "json").out)
    assert ({"no_rate": 1}, [], 0) == (found["waiting"], found["invoices"], found["unbilled"]["events"])


def test_an_account_of_which_all_waits_is_not_said_to_have_nothing_to_do(books: Path, tollbook: Tollbook) -> None:
    take_in(books, tollbook, with_changes(to="+81312345678"))
    ran = tollbook(*STATEMENT)
    assert 4 == ran.code
    assert "waits in quarantine" in ran.err


def test_an_issued_invoice_is_named_and_what_came_after_it_is_shown_apart(month: Path, tollbook: Tollbook) -> None:
    issue(tollbook)
    before = tollbook(*STATEMENT)
    assert "INV-000001" in before.out
    assert "0.08 USD, issued 2026-11-21, due 2026-12-21" in before.out
    assert "after it" not in before.out
    take_in(month, tollbook, with_changes(id="late"))
    ran = tollbook(*STATEMENT)
    assert 4 == ran.code
    assert "1 event, 0.04 USD, not billed yet" in ran.out
    assert "estimate" not in ran.out, "the month is over"
    found = json.loads(tollbook(*STATEMENT, "--format", "json").out)
    assert [("INV-000001", "2026-11-21", "0.08")] == [
        (each["number"], each["issued_on"], each["total"]) for each in found["invoices"]
    ]
    assert (1, "0.04") == (found["unbilled"]["events"], found["unbilled"]["amount"])
    assert [("120", "0.04")] == [(line["base_quantity"], line["amount"]) for line in found["unbilled"]["lines"]]


def test_of_an_open_month_what_came_after_an_early_invoice_is_an_estimate(books: Path, tollbook: Tollbook) -> None:
    november = {"occurred_at": "2026-11-02T00:00:00Z"}
    take_in(books, tollbook, with_changes(**november))
    for command in ("run", "finalize"):
        assert 0 == tollbook("invoices", command, "2026-11", "--early").code
    take_in(books, tollbook, with_changes(id="c2", **november))
    assert "1 event, 0.04 USD, not billed yet (estimate: the month is open)" in tollbook("statement", "acme").out


@pytest.mark.usefixtures("month")
def test_csv_has_all_columns_of_a_line_in_their_order(tollbook: Tollbook) -> None:
    header, *rows = csv.reader(io.StringIO(tollbook(*STATEMENT, "--format", "csv").out))
    assert ["line", "account", "period", "currency", *LINE_FIELDS] == header
    (row,) = (dict(zip(header, row, strict=True)) for row in rows)
    assert ("1", "acme", "2026-10", "USD", "0.08", "0", "240", "second", "2026-10", "list@2026-10-01T00:00:00Z") == (
        *(row["line"], row["account"], row["period"], row["currency"], row["amount"], row["residual"]),
        *(row["base_quantity"], row["base_unit"], row["origin_period"], row["cards"]),
    )
