"""TOLLBOOK_JURISDICTIONS: a table of states by which the jurisdiction of calls is derived, and kept with them."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cli.conftest import ACCOUNTS, CONTRACT, Tollbook

ROW = '[[rate]]\nproduct = "trunk.termination"\nunit = "minute"\nincrements = "6/6"\n'
CARD = 'id = "list"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\n' + "".join(
    f'{ROW}jurisdiction = "{name}"\ndestination = "{name}"\nprice = "{price}"\n'
    for name, price in (("interstate", "1"), ("intrastate", "2"), ("indeterminate", "3"))
)
CALL = {
    "id": "t1", "account": "acme", "product": "trunk.termination", "occurred_at": "2026-10-02T10:11:12Z",
    "from": "+14155550123", "to": "+12125550123", "duration_seconds": "60",
}  # fmt: skip
DIGEST = sha256(b"212555 NY\n415555 CA").hexdigest()[:12]
TABLE = "npanxx,state\n415555,CA\n212555,NY\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "states.csv").write_text(TABLE)
    (tmp_path / "usage.ndjson").write_text(json.dumps(CALL))
    for name, text in (("card.toml", CARD), ("accounts.toml", ACCOUNTS), ("contract.toml", CONTRACT)):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("TOLLBOOK_JURISDICTIONS", str(tmp_path / "states.csv"))
    return tmp_path


def test_usage_from_a_file_has_the_jurisdiction_of_its_numbers(tollbook: Tollbook, folder: Path) -> None:
    options = ("--card", folder / "card.toml", "--usage", folder / "usage.ndjson", "--period", "2026-10")
    (account,) = json.loads(tollbook("rate", *options, "--format", "json").out)["accounts"]
    assert [("interstate", "1.00")] == [(line["destination"], line["amount"]) for line in account["lines"]]


def test_a_faulty_table_stops_the_command_and_says_where(tollbook: Tollbook, folder: Path) -> None:
    (folder / "states.csv").write_text(TABLE + "41555,CA\n")
    options = ("--card", folder / "card.toml", "--usage", folder / "usage.ndjson", "--period", "2026-10")
    ran = tollbook("rate", *options)
    assert (5, True) == (ran.code, 'states.csv:4 "41555": is no area code and exchange' in ran.err), ran.err


def test_what_was_derived_stays_with_the_event_whatever_the_table_says_later(
    tollbook: Tollbook,
    folder: Path,
    empty_books: object,  # noqa: ARG001 (found through DATABASE_URL)
) -> None:
    for command in (("cards", "import", "card"), ("accounts", "add", "accounts"), ("contracts", "add", "contract")):
        assert 0 == tollbook(*command[:2], folder / f"{command[2]}.toml").code
    take_in = ("usage", "import", folder / "usage.ndjson", "--source", "switch-1")
    assert 0 == tollbook(*take_in).code
    found = json.loads(tollbook("explain", "event", "switch-1", "t1", "--format", "json").out)
    assert f"interstate: from CA to NY, by the table {DIGEST}" == found["said"]["jurisdiction"]
    (folder / "states.csv").write_text(TABLE.replace("NY", "CA"))
    assert "All of it was taken before" in tollbook(*take_in).err
    assert found == json.loads(tollbook("explain", "event", "switch-1", "t1", "--format", "json").out)
    assert 3 == tollbook("rerate", "--period", "2026-10", "--reason", "mended", "--as", "Finance").code
    assert 0 == tollbook("verify", "2026-10").code
    assert found == json.loads(tollbook("explain", "event", "switch-1", "t1", "--format", "json").out)
    (folder / "usage.ndjson").write_text(json.dumps({**CALL, "id": "t2", "jurisdiction": "indeterminate"}))
    assert 0 == tollbook(*take_in).code
    stated = json.loads(tollbook("explain", "event", "switch-1", "t2", "--format", "json").out)
    assert "indeterminate" == stated["said"]["jurisdiction"]


@pytest.mark.usefixtures("empty_books")
def test_the_price_now_is_that_of_the_jurisdiction_of_the_numbers(tollbook: Tollbook, folder: Path) -> None:
    for command, name in (("cards import", "card"), ("accounts add", "accounts"), ("contracts add", "contract")):
        assert 0 == tollbook(*command.split(), folder / f"{name}.toml").code
    asked = ("--account", "acme", "--product", "trunk.termination", "--from", "+14155550123", "--to", "+12125550123")
    ran = tollbook("prices", "show", *asked, "--at", "2026-10-02T00:00:00Z", "--format", "json")
    assert (0, "interstate") == (ran.code, json.loads(ran.out)["destination"])
