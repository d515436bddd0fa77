"""Accounts and contracts on the command line."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook


@pytest.mark.usefixtures("books")
def test_accounts_and_contracts_are_listed(tollbook: Tollbook) -> None:
    listed = json.loads(tollbook("accounts", "list", "--format", "json").out)
    assert [("acme", "acme", "USD"), ("acme-sales", "acme", "USD")] == [
        (each["id"], each["payer"], each["currency"]) for each in listed
    ]
    (contract,) = json.loads(tollbook("contracts", "list", "--format", "json").out)
    assert {"account": "acme", "effective_from": "2026-10-01", "cards": ["list"]} == contract
    assert "acme-sales" in tollbook("accounts", "list").out
    assert "2026-10-01" in tollbook("contracts", "list").out


def test_the_same_again_is_nothing_to_do(books: Path, tollbook: Tollbook) -> None:
    assert 3 == tollbook("accounts", "add", books / "accounts.toml").code
    assert 3 == tollbook("contracts", "add", books / "contract.toml").code


@pytest.mark.usefixtures("empty_books")
def test_nothing_is_listed_and_said(tollbook: Tollbook) -> None:
    for noun in ("accounts", "contracts", "cards"):
        ran = tollbook(noun, "list", "--format", "json")
        assert (0, []) == (ran.code, json.loads(ran.out))
        assert "There is no" in ran.err or "No card" in ran.err


@pytest.mark.parametrize(
    ("noun", "text", "fault"),
    [
        ("accounts", 'id = "b"', "currency: is missing"),
        ("accounts", 'id = "b"\ncurrency = "XXX"', 'currency "XXX"'),
        ("accounts", 'id = "b"\nparent = "nobody"', 'parent "nobody": is not an account; add the parent first'),
        ("accounts", 'id = "acme"\ncurrency = "EUR"', 'currency "EUR"'),
        ("accounts", '[[account]]\nid = "b"\ncurrency = "USD"\n[[account]]\nid = "c"', "account[1]: currency"),
        ("contracts", 'account = "acme"\neffective_from = 2027-01-01\ncards = ["none"]', "is not a published card"),
        ("contracts", 'account = "none"\neffective_from = 2027-01-01\ncards = ["list"]', "is of no account"),
        ("contracts", 'account = "acme"\neffective_from = 2026-10-01\ncards = ["list", "list"]', "names a card twice"),
        ("contracts", 'account = "acme"\neffective_from = 2027-01-01T12:00:00Z\ncards = ["list"]', "UTC day"),
    ],
)
def test_what_is_faulty_is_exit_5_with_its_place(
    noun: str, text: str, fault: str, books: Path, tollbook: Tollbook
) -> None:
    (books / "bad.toml").write_text(text)
    before = tollbook(noun, "list", "--format", "json").out
    ran = tollbook(noun, "add", books / "bad.toml")
    assert 5 == ran.code
    assert fault in ran.err
    assert before == tollbook(noun, "list", "--format", "json").out


def test_a_dry_run_adds_nothing(books: Path, tollbook: Tollbook) -> None:
    (books / "more.toml").write_text('id = "b"\ncurrency = "USD"')
    ran = tollbook("accounts", "add", books / "more.toml", "--dry-run")
    assert (0, "1 accounts would be added.\n") == (ran.code, ran.err)
    assert 2 == len(json.loads(tollbook("accounts", "list", "--format", "json").out))
