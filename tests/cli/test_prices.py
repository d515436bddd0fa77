"""`tollbook prices show`: the price of the next unit, for people and for programs."""

import csv
import io
import json
from pathlib import Path

import pytest

from billing.store.embedded import Address
from tests.cli.conftest import Tollbook

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.voice]
up_to = ["10"]
unit = "minute"
fill = [{product = "voice.outbound"}]
[[rate]]
product = "voice.outbound"
prefixes = ["44"]
number_type = "mobile"
unit = "minute"
increments = "60/60"
tiers = "voice"
prices = ["0.03", "0.02"]
[[rate]]
product = "lookup"
package = "sim_swap"
unit = "request"
price = "0.1"
"""
CONTRACT = 'account = "acme"\neffective_from = 2026-10-01\ncards = ["list"]\n'
ASKED = ("prices", "show", "--account", "acme", "--at", "2026-10-20T00:00:00Z")
MOBILE = ("--product", "voice.outbound", "--to", "+447700900123", "--where", "number_type=mobile")


@pytest.fixture(autouse=True)
def world(empty_books: Address, tollbook: Tollbook, tmp_path: Path) -> None:  # noqa: ARG001 (found through DATABASE_URL)
    files = {"card.toml": CARD, "accounts.toml": 'id = "acme"\ncurrency = "USD"\n', "contract.toml": CONTRACT}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    commands = (("cards", "import"), ("accounts", "add"), ("contracts", "add"))
    for command, name in zip(commands, files, strict=True):
        ran = tollbook(*command, tmp_path / name)
        assert 0 == ran.code, ran.err


def test_the_next_unit_is_priced(tollbook: Tollbook) -> None:
    ran = tollbook(*ASKED, *MOBILE, "--format", "json")
    assert 0 == ran.code, ran.err
    found = json.loads(ran.out)
    assert {"base_price": "0.03", "current_price": "0.03", "next_price": "0.02", "units_to_go": "10"}.items() <= (
        found.items()
    )
    assert ("minute", "list@2026-10-01T00:00:00Z", 1, 2) == (
        *(found["counted_in"], found["card"]),
        *(found["tier"], found["tiers"]),
    )
    (row,) = csv.DictReader(io.StringIO(tollbook(*ASKED, *MOBILE, "--format", "csv").out))
    assert found.keys() == row.keys()
    assert "0.03" in tollbook(*ASKED, *MOBILE).out


def test_a_package_is_asked_for_by_its_name(tollbook: Tollbook) -> None:
    asked = ("--product", "lookup", "--to", "+447700900123", "--where", "package=sim_swap", "--format", "json")
    assert "0.1" == json.loads(tollbook(*ASKED, *asked).out)["current_price"]


def test_what_nothing_prices_needs_a_person(tollbook: Tollbook) -> None:
    ran = tollbook(*ASKED, "--product", "voice.outbound", "--to", "+447700900123", "--format", "json")
    assert (4, "no_rate") == (ran.code, json.loads(ran.out)["reason"])
    assert "Nothing prices it: no_rate: publish a card with a rate for it.\n" in ran.err
