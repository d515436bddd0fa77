"""Accounts and contracts on the command line."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CARD, Tollbook


@pytest.mark.usefixtures("books")
def test_accounts_and_contracts_are_listed(tollbook: Tollbook) -> None:
    listed = json.loads(tollbook("accounts", "list", "--format", "json").out)
    assert [("acme", "acme", "USD"), ("acme-sales", "acme", "USD")] == [
        (each["id"], each["payer"], each["currency"]) for each in listed
    ]
    (contract,) = json.loads(tollbook("contracts", "list", "--format", "json").out)
    assert {"account": "acme", "effective_from": "2026-10-01", "cards": ["list"], "terms": ""} == contract
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
        (
            "accounts",
            '[[account]]\nid = "b"\ncurrency = "USD"\n[[account]]\nid = "c"',
            "bad.toml: account[1] (account 2): currency: is missing",
        ),
        (
            "contracts",
            '[[contract]]\naccount = "acme"',
            "bad.toml: contract[0] (contract 1): effective_from: is missing",
        ),
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
    assert (0, "1 account would be added.\n") == (ran.code, ran.err)
    assert 2 == len(json.loads(tollbook("accounts", "list", "--format", "json").out))


def test_an_account_that_changes_is_not_said_to_be_added(books: Path, tollbook: Tollbook) -> None:
    named = '[[account]]\nid = "acme"\ncurrency = "USD"\nname = "Acme Ltd"\n'
    sales = '[[account]]\nid = "acme-sales"\nparent = "acme"\n'
    (books / "more.toml").write_text(f'{named}{sales}[[account]]\nid = "bolt"\ncurrency = "USD"\n')
    add = ("accounts", "add", books / "more.toml")
    words = "1 account would be added, 1 account would be changed; 1 was known already.\n"
    assert words == tollbook(*add, "--dry-run").err
    foreseen = json.loads(tollbook(*add, "--dry-run", "--format", "json").out)
    assert (3, 1, 1, 1) == tuple(foreseen[key] for key in ("accounts", "added", "changed", "unchanged"))
    assert "1 account added, 1 account changed; 1 was known already.\n" == tollbook(*add).err
    again = tollbook(*add)
    assert (3, "3 accounts: nothing has changed.\n") == (again.code, again.err)


def test_a_publication_and_a_repetition_are_told_apart_in_csv(books: Path, tollbook: Tollbook) -> None:
    (books / "next.toml").write_text(CARD.replace("2026-10-01", "2026-12-01"))
    publish = ("cards", "import", books / "next.toml", "--format", "csv")
    for more, row in ((("--dry-run",), "published,,"), ((), "published,,"), ((), "unchanged,,")):
        assert row == tollbook(*publish, *more).out.splitlines()[1]
