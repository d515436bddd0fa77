"""Reselling from the command line: files in, both invoices, both sides of an event, and the margin."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook

CARD = """
id = "{id}"
currency = "{currency}"
effective_from = 2026-10-01T00:00:00Z
[[rate]]
product = "voice.outbound"
unit = "minute"
increments = "60/60"
price = "{price}"
"""
ACCOUNTS = """
[[account]]
id = "acme"
currency = "USD"
[[account]]
id = "shop"
parent = "acme"
pays = false
currency = "{currency}"
legal_entity = "Acme"
"""
CONTRACTS = """
[[contract]]
account = "acme"
effective_from = 2026-10-01
cards = ["wholesale"]
resells = true
[[contract]]
account = "shop"
effective_from = 2026-10-01
cards = ["retail"]
"""


def files(folder: Path, currency: str = "USD") -> dict[str, Path]:
    """The files of a reseller and one call of 90 seconds below it."""
    call = {"source": "pbx", "id": "c1", "account": "shop", "product": "voice.outbound", "to": "+447700900123"}
    call |= {"occurred_at": "2026-10-02T10:00:00Z", "duration_seconds": "90"}
    written = {
        "wholesale.toml": CARD.format(id="wholesale", currency="USD", price="0.02"),
        "retail.toml": CARD.format(id="retail", currency=currency, price="0.05"),
        "accounts.toml": ACCOUNTS.format(currency=currency),
        "contracts.toml": CONTRACTS,
        "usage.ndjson": json.dumps(call) + "\n",
    }
    for name, content in written.items():
        (folder / name).write_text(content)
    return {name.partition(".")[0]: folder / name for name in written}


def test_files_are_billed_for_both_payers_without_a_database(tollbook: Tollbook, tmp_path: Path) -> None:
    of = files(tmp_path, "EUR")
    parties = ("--accounts", of["accounts"], "--contract", of["contracts"])
    cards = ("--card", of["wholesale"], "--card", of["retail"], "--usage", of["usage"])
    ran = tollbook("rate", "--period", "2026-10", *cards, *parties, "--format", "json")
    found = {each["account"]: (each["currency"], each["total"]) for each in json.loads(ran.out)["accounts"]}
    assert {"acme": ("USD", "0.04"), "shop": ("EUR", "0.10")} == found


@pytest.mark.usefixtures("books")
def test_a_month_of_a_reseller_from_files_to_its_margin(tollbook: Tollbook, tmp_path: Path) -> None:
    of = files(tmp_path)
    for name in ("wholesale", "retail"):
        assert 0 == tollbook("cards", "import", of[name]).code
    head, _, rest = ACCOUNTS.format(currency="USD").replace("acme", "seller").partition('[[account]]\nid = "shop"')
    for name, content in (("first", head), ("then", f'[[account]]\nid = "shop"{rest}')):
        (tmp_path / f"{name}.toml").write_text(content)
        assert 0 == tollbook("accounts", "add", tmp_path / f"{name}.toml").code
    (tmp_path / "agreed.toml").write_text(CONTRACTS.replace("acme", "seller"))
    assert 0 == tollbook("contracts", "add", tmp_path / "agreed.toml").code
    ran = tollbook("usage", "import", of["usage"], "--source", "pbx")
    assert 0 == ran.code
    assert ["accepted", "1"] == next(line.split()[:2] for line in ran.out.splitlines() if "accepted" in line)
    rows = json.loads(tollbook("invoices", "margin", "2026-10", "seller", "--format", "json").out)
    (row,) = rows
    assert ("shop", "shop", "0.04", "0.1", "0.06") == tuple(
        row[key] for key in ("subaccount", "account", "cost", "revenue", "margin")
    )
    told = tollbook("invoices", "margin", "2026-10", "seller")
    assert "seller pays 0.04 USD, and bills shop 0.10 USD." in told.err
    both = tollbook("explain", "event", "pbx", "c1")
    assert 0 == both.code
    assert "seller" in both.out
    assert "resold:pbx" in both.out
    assert "resold:pbx" in tollbook("explain", "event", "pbx", "c1", "--format", "json").err
    assert "is nobody" not in tollbook("usage", "import", of["usage"], "--source", "pbx").err
    assert 0 != tollbook("usage", "import", of["usage"], "--source", "resold:pbx").code
    assert 0 == tollbook("verify", "2026-10").code
    assert "invoices margin" not in tollbook("invoices", "margin", "2026-10", "shop").out
