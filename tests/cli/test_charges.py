"""`tollbook charges`: added, listed, ended, and posted as usage; a month is not billed without them."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook, with_changes

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-01-01T00:00:00Z

[[rate]]
product = "number.monthly"
destination = "Local number"
country = "US"
unit = "number"
price = "1.15"

[[rate]]
product = "shortcode.lease"
destination = "Short code"
unit = "lease"
price = "1500"
"""
CHARGES = """
[[charge]]
id = "num-1"
account = "acme-sales"
product = "number.monthly"
effective_from = 2026-08-31T09:00:00Z
every = "month"
drift = true
dimensions = {country = "US", number_type = "local"}

[[charge]]
id = "lease-1"
account = "acme"
product = "shortcode.lease"
effective_from = 2026-07-20T09:00:00Z
every = "quarter"
lead_days = 14
"""


@pytest.fixture
def charged(empty_books: object, tollbook: Tollbook, tmp_path: Path) -> Path:  # noqa: ARG001 (found through DATABASE_URL)
    """A card of numbers and short codes, an account with a subaccount, and two charges; a folder with their files."""
    accounts = '[[account]]\nid = "acme"\ncurrency = "USD"\n[[account]]\nid = "acme-sales"\nparent = "acme"\n'
    contract = 'account = "acme"\neffective_from = 2026-01-01\ncards = ["list"]\n'
    texts = {"card": CARD, "accounts": accounts, "contract": contract, "charges": CHARGES}
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text)
    assert 0 == tollbook("cards", "import", tmp_path / "card.toml").code
    assert 0 == tollbook("accounts", "add", tmp_path / "accounts.toml").code
    assert 0 == tollbook("contracts", "add", tmp_path / "contract.toml").code
    assert 0 == tollbook("charges", "add", tmp_path / "charges.toml").code
    return tmp_path


def test_adding_says_what_is_due_and_the_same_again_is_nothing_to_do(tollbook: Tollbook, charged: Path) -> None:
    again = tollbook("charges", "add", charged / "charges.toml", "--format", "json")
    assert 3 == again.code
    assert {"charges": 2, "added": 0, "unchanged": 2, "due": 5, "dry_run": False} == json.loads(again.out)
    assert "5 due charges wait to be posted: tollbook charges post" in again.err


def test_a_faulty_file_is_refused_whole_with_each_fault_at_its_place(tollbook: Tollbook, charged: Path) -> None:
    wrong = CHARGES.replace("num-1", "num-2").replace("lead_days = 14", "lead_days = 90").replace('"acme-', '"acme.')
    (charged / "wrong.toml").write_text(wrong)
    ran = tollbook("charges", "add", charged / "wrong.toml")
    assert 5 == ran.code
    assert 'wrong.toml: charge[1] (charge 2): lead_days "90": is as long as a quarter' in ran.err
    (charged / "wrong.toml").write_text(wrong.replace("lead_days = 90", "lead_days = 14").replace("lease-1", "lease-2"))
    ran = tollbook("charges", "add", charged / "wrong.toml")
    assert 5 == ran.code
    assert 'charge num-2: account "acme.sales": is not an account' in ran.err
    assert 2 == len(json.loads(tollbook("charges", "list", "--format", "json").out))


def test_charges_are_listed_with_what_was_posted_and_what_is_next(tollbook: Tollbook, charged: Path) -> None:
    assert 0 == tollbook("charges", "post", "--at", "2026-10-10").code
    listed = {each["id"]: each for each in csv.DictReader(io.StringIO(tollbook("charges", "list", "-f", "csv").out))}
    number, lease = listed["num-1"], listed["lease-1"]
    assert ("2", "1", "2026-11-30T09:00:00Z") == (number["posted"], number["to_post"], number["next_due"])
    assert ("2", "0", "2027-01-06T09:00:00Z") == (lease["posted"], lease["to_post"], lease["next_due"])
    assert "2026-11-30T09:00:00Z" in tollbook("charges", "list").out
    shown = json.loads(tollbook("charges", "show", "num-1", "--format", "json").out)
    assert {"country": "US", "number_type": "local"} == shown["dimensions"]
    assert ["num-1/1", "num-1/2", "", ""] == [due["event"] for due in shown["dues"]]
    assert "num-1/2" in tollbook("charges", "show", "num-1").out
    assert (charged / "charges.toml").exists()


def test_what_is_posted_late_shows_when_it_was_due(tollbook: Tollbook, charged: Path) -> None:
    suspended = "suspended = [{from = 2026-09-15T00:00:00Z, to = 2026-10-12T08:00:00Z}]\n"
    accounts = (charged / "accounts.toml").read_text().replace('currency = "USD"\n', f'currency = "USD"\n{suspended}')
    (charged / "accounts.toml").write_text(accounts)
    assert 0 == tollbook("accounts", "add", charged / "accounts.toml").code
    listed = json.loads(tollbook("accounts", "list", "--format", "json").out)
    assert ["from 2026-09-15T00:00:00Z to 2026-10-12T08:00:00Z", ""] == [each["suspended"] for each in listed]
    tollbook("charges", "post")
    due = json.loads(tollbook("charges", "show", "num-1", "--format", "json").out)["dues"][1]
    assert ("2026-09-30T09:00:00Z", "2026-10-12T08:00:00Z") == (due["due"], due["posted"])


def test_nothing_is_left_to_post_when_all_of_it_was(tollbook: Tollbook, charged: Path) -> None:  # noqa: ARG001
    dry = tollbook("charges", "post", "--dry-run", "--format", "json")
    assert (0, 5, True) == (dry.code, json.loads(dry.out)["accepted"], json.loads(dry.out)["dry_run"])
    ran = tollbook("charges", "post", "--format", "json")
    assert (0, 5) == (ran.code, json.loads(ran.out)["accepted"])
    again = tollbook("charges", "post", "--format", "json")
    assert (3, 0) == (again.code, json.loads(again.out)["events"])


def test_nothing_is_posted_ahead_of_its_time(tollbook: Tollbook, charged: Path) -> None:  # noqa: ARG001
    ran = tollbook("charges", "post", "--at", "2026-12-01")
    assert 2 == ran.code
    assert "is still to come" in ran.err


def test_a_charge_that_nothing_prices_needs_a_person(tollbook: Tollbook, charged: Path) -> None:
    more = CHARGES.replace("num-1", "num-2").replace('country = "US"', 'country = "GB"').partition("\n\n")[0]
    (charged / "more.toml").write_text(more)
    assert 0 == tollbook("charges", "add", charged / "more.toml").code
    ran = tollbook("charges", "post")
    assert 4 == ran.code
    assert "tollbook usage quarantine" in ran.err


def test_a_charge_is_ended_and_ends_once(tollbook: Tollbook, charged: Path) -> None:  # noqa: ARG001
    tollbook("charges", "post")
    early = tollbook("charges", "end", "num-1", "--at", "2026-10-01")
    assert 5 == early.code
    assert "was posted already; end it after 2026-10-30T09:00:00Z" in early.err
    assert 0 == tollbook("charges", "end", "num-1", "--at", "2026-11-01", "--dry-run").code
    ran = tollbook("charges", "end", "num-1", "--at", "2026-11-01", "--format", "json")
    assert (0, "2026-11-01T00:00:00Z") == (ran.code, json.loads(ran.out)["effective_to"])
    assert 3 == tollbook("charges", "end", "num-1", "--at", "2026-11-02").code
    assert "" == json.loads(tollbook("charges", "list", "--format", "json").out)[1]["next_due"]
    assert 1 == tollbook("charges", "end", "num-9", "--at", "2026-11-02").code
    assert 1 == tollbook("charges", "show", "num-9").code


def test_a_month_is_not_billed_without_its_charges(tollbook: Tollbook, charged: Path) -> None:  # noqa: ARG001
    preview, run = tollbook("invoices", "preview", "2026-10"), tollbook("invoices", "run", "2026-10")
    assert (4, 4) == (preview.code, run.code)
    assert "5 due charges were not posted, and are in none of this: tollbook charges post" in preview.err
    assert "run `tollbook charges post`" in run.err
    tollbook("charges", "post")
    assert 0 == tollbook("invoices", "run", "2026-10").code
    (invoice,) = json.loads(tollbook("invoices", "show", "2026-10", "--format", "json").out)
    assert "1501.15" == invoice["total"]


def test_closing_posts_them(tollbook: Tollbook, charged: Path) -> None:  # noqa: ARG001
    ran = tollbook("close", "2026-10")
    assert 4 == ran.code, "somebody signs"
    assert "5 due charges were posted." in ran.err
    assert 0 == tollbook("invoices", "approve", "2026-10", "--as", "finance").code
    assert 0 == tollbook("close", "2026-10").code
    assert "num-1/3" in tollbook("explain", "line", "INV-000001", "1").out
    assert "tollbook charges show num-1" in tollbook("explain", "event", "tollbook.charges", "num-1/3").err


def test_the_name_of_their_source_is_refused_to_imports(tollbook: Tollbook, charged: Path) -> None:
    (charged / "usage.ndjson").write_text(with_changes(source=None))
    for more in ([], ["--dry-run"]):
        ran = tollbook("usage", "import", charged / "usage.ndjson", "--source", "tollbook.charges", *more)
        assert 5 == ran.code
        assert "is the source of charges" in ran.err


def test_rate_bills_what_is_due_in_the_period_without_a_database(tollbook: Tollbook, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(CARD)
    (tmp_path / "charges.toml").write_text(CHARGES)
    (tmp_path / "usage.ndjson").write_text("")
    given = ("--card", tmp_path / "card.toml", "--usage", tmp_path / "usage.ndjson", "--period", "2026-10")
    ran = tollbook("rate", *given, "--charges", tmp_path / "charges.toml", "--format", "json")
    assert 0 == ran.code, ran.err
    totals = {each["account"]: each["total"] for each in json.loads(ran.out)["accounts"]}
    assert {"acme": "1500.00", "acme-sales": "1.15"} == totals
    (tmp_path / "other.toml").write_text(CHARGES.replace("2026-08-31", "2026-08-30"))
    ran = tollbook("rate", *given, "--charges", tmp_path / "charges.toml", "--charges", tmp_path / "other.toml")
    assert 5 == ran.code
    assert "charge num-1: is given twice, and differs" in ran.err
