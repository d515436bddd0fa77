"""Simulations on the command line: what a month would have come to, in every form, and the exit codes."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import CARD, CONTRACT, Tollbook, with_changes

DEAR = CARD.replace('"0.02"', '"0.05"')
BUY = CARD.replace('"list"', '"buy"').replace('"0.02"', '"0.015"').replace("60/60", "1/1")
SUMS = ("events_now", "events_then", "amount_now", "amount_then", "difference", "percent")


@pytest.fixture
def month(books: Path, tollbook: Tollbook) -> Path:
    """A month with a call of two minutes, and one to France that waits for a price; cards to try."""
    (books / "usage.ndjson").write_text(f"{with_changes()}\n{with_changes(id='c2', to='+33123456789')}\n")
    assert 4 == tollbook("usage", "import", books / "usage.ndjson", "--source", "switch").code
    (books / "dear.toml").write_text(DEAR)
    (books / "france.toml").write_text(DEAR.replace("United Kingdom", "France").replace('"44"', '"33"'))
    (books / "buy.toml").write_text(BUY)
    return books


def test_revenue_now_and_then_is_told_by_country_product_and_account(tollbook: Tollbook, month: Path) -> None:
    ran = tollbook("cards", "simulate", "--card", month / "dear.toml", "--period", "2026-10", "--format", "json")
    assert 0 == ran.code
    found = json.loads(ran.out)
    expected = (1, 1, "0.04", "0.10", "0.06", "150")
    for name, of in (("totals", ""), ("countries", "GB"), ("products", "voice.outbound"), ("accounts", "acme")):
        (row,) = found[name]
        assert (of, "USD", *expected) == tuple(row[key] for key in ("name", "currency", *SUMS))
    assert ("2026-10", "list@2026-10-01T00:00:00Z", "list", 1) == tuple(
        found[key] for key in ("period", "card", "replaces", "events")
    )
    assert "1 account with contracts that would have list: 1 event rated again." in ran.err


def test_what_loses_its_price_needs_a_person_and_what_gets_one_is_counted(tollbook: Tollbook, month: Path) -> None:
    ran = tollbook("cards", "simulate", "--card", month / "france.toml", "--period", "2026-10")
    assert 4 == ran.code
    assert "1 event would lose its price: acme 1" in ran.err
    assert "1 event would get a price: acme 1" in ran.err
    assert 4 == tollbook("usage", "quarantine").code, "nothing is stored: it still waits"


def test_a_csv_has_a_row_for_each_part_with_margins(tollbook: Tollbook, month: Path) -> None:
    ran = tollbook(
        *("cards", "simulate", "--card", month / "dear.toml", "--period", "2026-10"),
        *("--buy", month / "buy.toml", "--format", "csv"),
    )
    assert 0 == ran.code
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert ["all", "country", "product", "account"] == [row["by"] for row in rows]
    margins = ("margin_now", "margin_then", "margin_difference")
    assert {("0.02475", "0.08475", "0.06")} == {tuple(row[key] for key in margins) for row in rows}
    assert {"0.01525"} == {row["cost_now"] for row in rows}


def test_a_table_is_for_people(tollbook: Tollbook, month: Path) -> None:
    ran = tollbook(
        "cards", "simulate", "--card", month / "dear.toml", "--period", "2026-10", "--buy", month / "buy.toml"
    )
    assert 0 == ran.code
    assert all(words in ran.out for words in ("By country", "By product", "By account", "0.02475", "0.08475"))


def test_a_folder_and_a_published_card_are_candidates_too(tollbook: Tollbook, month: Path) -> None:
    folder = month / "dear"
    folder.mkdir()
    (folder / "card.toml").write_text(DEAR.replace('"list"', '"dear"'))
    for name in (folder, "dear"):
        ran = tollbook(
            *("cards", "simulate", "--card", name, "--replaces", "list", "--period", "2026-10", "--format", "json")
        )
        assert 0 == ran.code
        assert ["0.06"] == [row["difference"] for row in json.loads(ran.out)["totals"]]
        assert tollbook("cards", "import", folder / "card.toml").code in {0, 3}


def test_what_touches_no_contract_is_exit_3_and_what_is_no_card_an_error(tollbook: Tollbook, month: Path) -> None:
    (month / "euros.toml").write_text(CARD.replace("USD", "EUR").replace('"list"', '"euros"'))
    assert 3 == tollbook("cards", "simulate", "--card", month / "euros.toml", "--period", "2026-10").code
    assert 1 == tollbook("cards", "simulate", "--card", "nothing", "--period", "2026-10").code
    wrong = ("cards", "simulate", "--card", month / "dear.toml", "--period", "2026-10", "--replaces", "other")
    assert 2 == tollbook(*wrong).code
    assert 2 == tollbook(*wrong[:-2], "--buy", month / "euros.toml").code


def test_a_contract_is_priced_beside_the_real_one(tollbook: Tollbook, month: Path) -> None:
    terms = 'discounts = [{percent = "50"}]\ncommitment = {min = "1"}\n'
    (month / "better.toml").write_text(CONTRACT.replace("10-01", "12-01") + terms)
    ran = tollbook("contracts", "simulate", month / "better.toml", "--period", "2026-10", "--format", "json")
    assert 0 == ran.code
    found = json.loads(ran.out)
    assert [("0.04", "1.00", 0)] == [
        (*(row[f"amount_{when}"] for when in ("now", "then")), 0) for row in found["totals"]
    ]
    assert 0 == found["events"], "the cards are the same: nothing is rated again"
    lines = [(line["element"], line["amount_now"], line["amount_then"]) for line in found["lines"]]
    assert [("true_up", "", "0.98"), ("usage", "", "0.02"), ("usage", "0.04", "")] == sorted(lines)
    ran = tollbook("contracts", "simulate", month / "better.toml", "--period", "2026-10", "--as-dated")
    assert (0, "") == (ran.code, ran.out.partition("Lines")[2])


def test_contracts_are_shown_with_their_days_and_terms(tollbook: Tollbook, month: Path) -> None:
    terms = 'discounts = [{percent = "5", on = [{product = "voice.*"}]}]\n'
    (month / "next.toml").write_text(CONTRACT.replace("10-01", "12-01") + terms)
    assert 0 == tollbook("contracts", "add", month / "next.toml").code
    ran = tollbook("contracts", "show", "acme-sales", "--at", "2026-11-01T00:00:00Z", "--format", "csv")
    assert 0 == ran.code
    assert "Usage of acme-sales is paid by acme, whose contracts these are." in ran.err
    assert [
        ("2026-10-01", "2026-11-30", "in force", "card 1", "list"),
        ("2026-12-01", "", "to come", "card 1", "list"),
        ("2026-12-01", "", "to come", "discount off voice.*", "5 %"),
    ] == [tuple(row.values()) for row in csv.DictReader(io.StringIO(ran.out))]
    found = json.loads(tollbook("contracts", "show", "acme", "--format", "json").out)
    assert ["in force", "to come"] == [each["state"] for each in found["contracts"]]
    assert 1 == tollbook("contracts", "show", "nobody").code


def test_what_a_file_changes_of_what_is_in_force(tollbook: Tollbook, month: Path) -> None:
    (month / "next.toml").write_text(CONTRACT.replace("10-01", "12-01") + 'discounts = [{percent = "5"}]\n')
    ran = tollbook("contracts", "diff", month / "next.toml", "--format", "json")
    assert 0 == ran.code
    expected = {"account": "acme", "from": "2026-12-01", "term": "discount off everything", "in_force": ""}
    assert [{**expected, "in_file": "5 %", "change": "new"}] == json.loads(ran.out)
    (month / "same.toml").write_text(CONTRACT)
    ran = tollbook("contracts", "diff", month / "same.toml")
    assert (3, "") == (ran.code, ran.out)
    ran = tollbook("contracts", "diff", month / "same.toml", "--all", "--format", "csv")
    assert "card list,place 1,place 1,unchanged" in ran.out


STORAGE = """
[[rate]]
product = "recording.storage"
unit = "minute"
price = "0.0005"
"""


def test_the_cost_of_an_average_is_that_of_the_month(tollbook: Tollbook, books: Path) -> None:
    """A minute that is stored on one of 31 days is a 31st of a minute of the month, where it is bought as well."""
    (books / "later.toml").write_text(CARD.replace("2026-10-01T00:00:00Z", "2026-10-01T12:00:00Z") + STORAGE)
    assert 0 == tollbook("cards", "import", books / "later.toml").code
    stored = '{"id": "s", "account": "acme", "product": "recording.storage", "occurred_at": "2026-10-02T00:00:00Z"'
    (books / "usage.ndjson").write_text(stored + ', "quantity": "31000000"}\n')
    assert 0 == tollbook("usage", "import", books / "usage.ndjson", "--source", "switch").code
    (books / "dear.toml").write_text(DEAR + STORAGE)
    (books / "buy.toml").write_text(BUY + STORAGE.replace("0.0005", "0.0003"))
    asked = ("--period", "2026-10", "--format", "json")
    ran = tollbook("cards", "simulate", "--card", books / "dear.toml", "--buy", books / "buy.toml", *asked)
    (row,) = json.loads(ran.out)["totals"]
    assert ("500.00", "300", "200") == tuple(row[key] for key in ("amount_now", "cost_now", "margin_now"))
