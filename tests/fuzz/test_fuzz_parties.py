"""Accounts, contracts, control totals, scenarios from any file: read, or refused with exit code 5 and a place."""

import tomllib
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from billing.accounts import read_account
from billing.charges import SOURCE, dues, payload_of
from billing.contracts import read_contract
from billing.controls import read_controls
from billing.errors import InputFaultyError
from billing.scenarios import read_scenario, run
from billing.usage import parse
from cli.cardfiles import check_card
from cli.exits import Exit, exit_of
from cli.parties import accounts_in, charges_in, contracts_in
from rates.errors import Fault
from tests.decks import PRODUCTS
from tests.fuzz.fuzzing import bounded, fuzz, told, tried
from tests.fuzz.mutations import TOML_VALUES, altered, damaged
from tests.fuzz.seeds import accounts, cards, charges, contracts, scenario_tables
from tests.fuzz.writing import toml_of

ACCOUNTS = [tomllib.loads(text) for text in accounts()]
CONTROLS = (
    b"source,product,day,events,quantity\nswitch-1,voice.outbound,2026-10-01,12,720\n"
    b"switch-1,sms.outbound,2026-10-01,3,4\nswitch-2,voice.outbound,2026-10-31,0,0\n"
)
CONTRACTS = [tomllib.loads(text) for text in contracts()]
CHARGES = [tomllib.loads(text) for text in charges()]
LONG_AFTER = datetime(2036, 1, 1, tzinfo=UTC)


def from_file(data: bytes, read: Callable[[Path], object]) -> None:
    """What comes of a file is plain, or it is refused as bad input."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file.toml"
        path.write_bytes(data)
        found, error = tried(read, path)
        if error is None:
            assert_plain(found)
            return
        assert exit_of(error) is Exit.BAD_INPUT
        if isinstance(error, InputFaultyError):
            told(error.faults, "file.toml", str(path))


def accounts_of(path: Path) -> list[dict[str, object]]:
    return [asdict(each) for each in accounts_in([path])]


def contracts_of(path: Path) -> list[dict[str, object]]:
    return [asdict(each) for each in contracts_in([path])]


def charges_of(path: Path) -> list[dict[str, object]]:
    """The charges of a file. What is due of each, if it is not endless, is usage that is taken in."""
    found = charges_in([path])
    for each in found:
        some = [payload_of(due) for due in islice(dues(each, LONG_AFTER), 3)]
        assert () == parse(some, source=SOURCE, products=PRODUCTS, at=LONG_AFTER).rejects
    return [asdict(each) for each in found]


def assert_plain(value: object) -> None:
    """No text that a database refuses."""
    if isinstance(value, str):
        assert "\x00" not in value
    elif isinstance(value, dict):
        for inner in value.values():
            assert_plain(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            assert_plain(inner)


@fuzz(damaged([text.encode() for text in accounts()]))
def test_a_damaged_file_of_accounts_is_read_or_refused(data: bytes) -> None:
    from_file(data, accounts_of)


@fuzz(altered(ACCOUNTS, TOML_VALUES), examples=80)
def test_accounts_of_strange_values_are_read_or_refused(table: dict[str, Any]) -> None:
    from_file(toml_of(table).encode(), accounts_of)


@fuzz(damaged([text.encode() for text in contracts()]))
def test_a_damaged_file_of_contracts_is_read_or_refused(data: bytes) -> None:
    from_file(data, contracts_of)


@fuzz(altered(CONTRACTS, TOML_VALUES), examples=80)
def test_contracts_of_strange_values_are_read_or_refused(table: dict[str, Any]) -> None:
    from_file(toml_of(table).encode(), contracts_of)


@fuzz(damaged([text.encode() for text in charges()]))
def test_a_damaged_file_of_charges_is_read_or_refused(data: bytes) -> None:
    from_file(data, charges_of)


@fuzz(altered(CHARGES, TOML_VALUES), examples=150)
def test_charges_of_strange_values_are_read_or_refused(table: dict[str, Any]) -> None:
    from_file(toml_of(table).encode(), charges_of)


@fuzz(altered([ACCOUNTS[0]["account"][0], *CONTRACTS[0]["contract"]], TOML_VALUES))
def test_one_account_or_contract_of_strange_values_is_read_or_refused(table: dict[str, Any]) -> None:
    for value, faults in (read_account(table, "file.toml"), read_contract(table, "file.toml")):
        assert (value is None) == bool(faults)
        if faults:
            told(faults, "file.toml")


@fuzz(damaged([text.encode() for text in cards()]) | st.binary(max_size=300))
def test_a_damaged_card_is_checked_or_refused(data: bytes) -> None:
    def checked(path: Path) -> None:
        card, faults = check_card(path)
        assert (card is None) == bool(faults)

    from_file(data, checked)


@fuzz(damaged([CONTROLS]))
def test_a_damaged_file_of_control_totals_is_read_or_refused(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    controls, faults = bounded(read_controls, text, "controls.csv")
    if faults:
        told(faults, "controls.csv")
    for each in controls:
        assert_plain(each.key)
        assert 0 <= each.counted.events < 2**63
        assert 0 <= each.counted.quantity < 2**63
    rows = [f"{','.join(map(str, each.key))},{each.counted.events},{each.counted.quantity}" for each in controls]
    plain = "source,product,day,events,quantity\n" + "\n".join(rows)
    if '"' not in plain and all(each.key.source.count(",") + each.key.product.count(",") == 0 for each in controls):
        assert (controls, []) == read_controls(plain, "controls.csv")


@fuzz(altered(scenario_tables(), TOML_VALUES), examples=60)
def test_a_scenario_of_strange_values_is_run_or_refused(table: dict[str, Any]) -> None:
    def none(name: str) -> tuple[None, list[Fault]]:
        return None, [Fault(place=name, value="", problem="is not there", remedy="put it there")]

    scenario, faults = bounded(read_scenario, table, PRODUCTS, none, place="file.toml")
    if scenario is None:
        assert faults
        for fault in faults:
            assert str(fault)
        return
    for _ in range(2):
        bounded(run, scenario)
