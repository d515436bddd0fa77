"""`tollbook keys`: a key is printed once, and whoever asks wrongly is told what to do."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import NOW, Ran, Tollbook, run
from tests.together import together

TOKEN = re.compile(r"tb_(live|test)_[A-Za-z0-9_-]{43}")
ADD = ("keys", "add", "switch-1", "--scope", "ingest", "--source", "switch-1")
CUSTOMER = ("keys", "add", "acme-portal", "--account", "acme")


@pytest.fixture(autouse=True)
def of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBOOK_MODE", "test")


def listed(tollbook: Tollbook, *more: str) -> list[dict[str, object]]:
    ran = tollbook("keys", "list", "--format", "json", *more)
    assert 0 == ran.code
    found: list[dict[str, object]] = json.loads(ran.out)
    return found


def said(ran: Ran) -> str:
    """What was said on standard error, without the frame of a wrong call."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", ran.err).split())


def test_a_key_is_the_only_thing_on_standard_output_and_never_seen_again(books: Path, tollbook: Tollbook) -> None:
    ran = tollbook(*ADD, "--scope", "read", "--expires", "2027-10-01")
    assert 0 == ran.code
    assert TOKEN.fullmatch(ran.out.removesuffix("\n"))
    assert (
        "Key 1 (test), switch-1, may ingest, read, as source switch-1 until 2027-10-01T00:00:00Z. Keep it now: it is"
        " not shown again.\n"
    ) == ran.err
    after = [tollbook("keys", "list", "--all", "--format", form) for form in ("table", "json", "csv")]
    assert all(ran.out.strip()[8:] not in each.out + each.err for each in after)
    assert not TOKEN.search("".join(each.out + each.err for each in after))
    assert books.exists()


def test_programs_get_the_key_with_what_it_is(books: Path, tollbook: Tollbook) -> None:
    facts = json.loads(tollbook(*CUSTOMER, "--format", "json").out)
    assert TOKEN.fullmatch(facts.pop("token"))
    assert {
        "number": 1,
        "name": "acme-portal",
        "mode": "test",
        "kind": "customer",
        "scopes": ["read"],
        "source": "",
        "account": "acme",
        "added_at": facts["added_at"],
        "ends_at": "",
        "revoked_at": "",
        "last_used_at": "",
        "dry_run": False,
    } == facts
    assert NOW[:10] == facts["added_at"][:10]
    (row,) = csv.DictReader(io.StringIO(tollbook(*ADD, "--format", "csv").out))
    assert ("switch-1", True) == (row["name"], TOKEN.fullmatch(row["token"]) is not None)
    assert books.exists()


def test_a_dry_run_shows_no_key_and_stores_none(books: Path, tollbook: Tollbook) -> None:
    ran = tollbook(*ADD, "--dry-run")
    assert (0, "") == (ran.code, ran.out)
    said_ = "A test key switch-1 would be made, which may ingest, as source switch-1. Nothing is stored.\n"
    assert said_ == ran.err
    assert "" == json.loads(tollbook(*ADD, "--dry-run", "--format", "json").out)["token"]
    assert [] == listed(tollbook, "--all")
    assert 0 == tollbook(*ADD).code
    for command in (("rotate", "switch-1"), ("revoke", "switch-1")):
        ran = tollbook("keys", *command, "--dry-run")
        assert (0, "", True) == (ran.code, ran.out, " would " in ran.err)
    (key,) = listed(tollbook, "--all")
    assert ("live", "", "") == (key["state"], key["ends_at"], key["revoked_at"])
    assert books.exists()


def test_a_key_is_replaced_and_both_are_good_for_a_day(books: Path, tollbook: Tollbook) -> None:
    first = tollbook(*ADD).out
    ran = tollbook("keys", "rotate", "switch-1")
    assert (0, True) == (ran.code, TOKEN.fullmatch(ran.out.strip()) is not None)
    assert first != ran.out
    old, new = listed(tollbook)
    assert "2026-11-22" == str(old["ends_at"])[:10]
    assert f"Key {old['number']}, the one before, ends at {old['ends_at']}." in ran.err
    assert (["ingest"], "switch-1", "") == (new["scopes"], new["source"], new["ends_at"])
    ran = tollbook("keys", "rotate", "switch-1")
    assert (5, True) == (ran.code, "has 2 live keys, and that is as many as may be at once" in ran.err)
    assert books.exists()


def test_a_key_is_replaced_at_an_instant(books: Path, tollbook: Tollbook) -> None:
    assert 0 == tollbook(*ADD).code
    when = ("--old-ends", "2026-12-24T18:00:00+01:00", "--expires", "2027-12-24")
    ran = tollbook("keys", "rotate", "switch-1", *when, "--format", "json")
    facts = json.loads(ran.out)
    assert ("2026-12-24T17:00:00Z", "2027-12-24T00:00:00Z") == (facts["before_ends_at"], facts["ends_at"])
    assert books.exists()


def test_a_revoked_key_is_listed_only_with_those_that_ended(books: Path, tollbook: Tollbook) -> None:
    assert 0 == tollbook(*ADD).code
    ran = tollbook("keys", "revoke", "switch-1")
    assert (0, "1 key of switch-1 revoked: 1.\n") == (ran.code, ran.err)
    ran = tollbook("keys", "revoke", "switch-1", "--format", "json")
    assert (3, {"revoked": [], "dry_run": False}) == (ran.code, json.loads(ran.out))
    assert "switch-1 has ended already: nothing has changed.\n" == ran.err
    ran = tollbook("keys", "list")
    assert (0, "", "There is no live key; --all lists those that have ended.\n") == (ran.code, ran.out, ran.err)
    assert [("revoked", "2026-11-21")] == [
        (each["state"], str(each["revoked_at"])[:10]) for each in listed(tollbook, "--all")
    ]
    assert books.exists()


def test_of_two_keys_of_a_name_one_is_named_by_its_number(books: Path, tollbook: Tollbook) -> None:
    assert 0 == tollbook(*ADD).code
    assert 0 == tollbook("keys", "rotate", "switch-1").code
    ran = tollbook("keys", "revoke", "switch-1")
    assert (2, True) == (
        ran.code,
        "has 2 live keys; name one by its number, or revoke all of them (--all): 1 of" in ran.err,
    )
    assert 0 == tollbook("keys", "revoke", "1").code
    assert [2] == [each["number"] for each in listed(tollbook)]
    assert 0 == tollbook("keys", "rotate", "switch-1").code
    ran = tollbook("keys", "revoke", "switch-1", "--all")
    assert (0, "2 keys of switch-1 revoked: 2, 3.\n") == (ran.code, ran.err)
    assert books.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add",), 2, "Missing argument 'NAME'"),
        (("add", "x"), 2, "give --scope ingest|read|finance|admin for an operator's key, or --account"),
        (("add", "x", "--scope", "read", "--account", "acme"), 2, "give --scope ingest|read|finance|admin for an"),
        (("add", "x", "--scope", "all"), 2, "all is not a scope; use some of ingest, read, finance, admin"),
        (("add", "x", "--scope", ""), 2, "is not a scope"),
        (("add", "x", "--scope", "read", "--expires", "soon"), 2, "soon is not an instant; write it as 2026-10-01T00"),
        (("add", "x", "--scope", "read", "--expires", "2026-12-01T00:00:00"), 2, "has no time zone"),
        (
            ("add", "x", "--scope", "read", "--expires", "2026-11-21"),
            5,
            "is not to come; name an instant that is still",
        ),
        (("add", "x y", "--scope", "read"), 5, 'key: name "x y": is not a name for a key; write 1 to 64 letters'),
        (
            ("add", "x", "--scope", "read", "--source", "s"),
            5,
            "is of a key that reports no usage; add the scope ingest",
        ),
        (("add", "x", "--scope", "ingest", "--source", " s"), 5, 'key: source " s": is not the name of a source'),
        (("add", "x", "--scope", "ingest", "--source", "tollbook.charges"), 5, "is the source of charges, and nobody"),
        (("add", "x", "--scope", "ingest", "--source", "resold:s"), 5, "begins with resold:"),
        (
            ("add", "x", "--account", "acme-sales"),
            5,
            "does not pay, and customers' keys are of billing accounts; name acme,",
        ),
        (("add", "x", "--account", "nobody"), 5, 'key: account "nobody": is not an account; `tollbook accounts list`'),
        (("add", "x", "--account", "acme", "--source", "s"), 5, 'key: source "s": is of a key that only reads'),
        (("rotate", "x"), 1, 'key "x": is the name of no live key; `tollbook keys list` lists them'),
        (("revoke", "x"), 1, 'key "x": is the name or number of no key; `tollbook keys list` lists them'),
        (("revoke", "tb_test_" + "a" * 43), 1, "is the name or number of no key"),
        (("list", "--format", "xml"), 2, "'xml' is not one of"),
    ],
)
def test_a_wrong_call_is_told_what_to_do(
    arguments: tuple[str, ...], code: int, words: str, books: Path, tollbook: Tollbook
) -> None:
    ran = tollbook("keys", *arguments)
    assert (code, "") == (ran.code, ran.out)
    assert words in said(ran)
    assert [] == listed(tollbook, "--all")
    assert books.exists()


def test_a_name_that_is_in_use_is_told_how_to_go_on(books: Path, tollbook: Tollbook) -> None:
    assert 0 == tollbook(*ADD).code
    ran = tollbook(*ADD)
    assert (5, "") == (ran.code, ran.out)
    assert 'key "switch-1": is the name of a live key; rotate or revoke that one, or give this one another' in ran.err
    assert books.exists()


def test_a_deployment_stays_what_it_was_said_to_be(
    books: Path, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOLLBOOK_MODE")
    ran = tollbook(*ADD)
    assert (2, True) == (ran.code, "say TOLLBOOK_MODE=live or TOLLBOOK_MODE=test; it is noted for good" in ran.err)
    monkeypatch.setenv("TOLLBOOK_MODE", "production")
    ran = tollbook(*ADD)
    assert (2, True) == (ran.code, "TOLLBOOK_MODE: is not live or test; mend or unset it" in ran.err)
    monkeypatch.setenv("TOLLBOOK_MODE", "live")
    assert tollbook(*ADD).out.startswith("tb_live_")
    monkeypatch.setenv("TOLLBOOK_MODE", "test")
    for command in (CUSTOMER, ("keys", "rotate", "switch-1"), ("keys", "revoke", "switch-1")):
        ran = tollbook(*command)
        assert (2, "") == (ran.code, ran.out)
        assert "this database is of a live deployment, for good, and test is asked for" in ran.err
    monkeypatch.delenv("TOLLBOOK_MODE")
    assert tollbook(*CUSTOMER).out.startswith("tb_live_")
    assert books.exists()


def test_two_who_add_one_name_at_once_make_one_key(books: Path, tollbook: Tollbook) -> None:
    ended = together(books, ADD, ADD)
    assert [0, 5] == sorted(each.code or 0 for each in ended)
    assert 1 == len(listed(tollbook))


def test_in_80_columns_the_list_says_what_keys_may_do(
    books: Path, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    scopes = [word for scope in ("ingest", "read", "finance", "admin") for word in ("--scope", scope)]
    assert 0 == tollbook("keys", "add", "everything-there-is", *scopes, "--expires", "2027-10-01").code
    assert 0 == tollbook(*CUSTOMER).code
    monkeypatch.setenv("COLUMNS", "80")
    ran = tollbook("keys", "list")
    assert all(len(line) <= 80 for line in ran.out.splitlines())
    assert {"everything-there-is", "admin", "finance", "live", "2027-10-01T00:00:00Z"} <= {*ran.out.split()}
    assert "Keys of this test deployment" in ran.out
    assert books.exists()


def test_the_postgresql_that_comes_along_is_a_test_unless_it_is_said_otherwise(home: Path) -> None:
    """As a person does it: the installed program, on a machine where nothing is set."""
    first = run(home, *ADD)
    assert (0, True) == (first.code, TOKEN.fullmatch(first.out.strip()) is not None)
    assert first.out.startswith("tb_test_")
    ran = run(home, *CUSTOMER, TOLLBOOK_MODE="live")
    assert (2, True) == (ran.code, "is of a test deployment" in ran.err)
