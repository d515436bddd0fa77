"""`docs/files.md` held against the readers: each key that it names is known, each known key is named, examples work."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from billing.accounts import read_account
from billing.charges import read_charge
from billing.contracts import read_contract
from billing.payloads import KEYS, Flat, read_payload
from billing.scenarios import read_scenario, run
from cli.cardfiles import check_card
from cli.world import products
from rates.cardfile import card_from_table, columns_of
from rates.dialects.mappings import read_mapping
from rates.errors import Fault
from rates.products import Product, read_product

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
SECTIONS = {
    heading.strip("`"): body
    for heading, body in re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^##+ |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
}
UNKNOWN = "¤"
Table = dict[str, object]


def keys(heading: str) -> list[str]:
    """The keys that a section's table names, in its first column."""
    return re.findall(r"^\| `(\w+)` \|", SECTIONS[heading], flags=re.MULTILINE)


def refused(heading: str) -> set[str]:
    """The keys of a section that are refused, whatever their value."""
    return set(re.findall(r"^\| `(\w+)` \| \*\*refused\*\*", SECTIONS[heading], flags=re.MULTILINE))


def example(heading: str) -> Table:
    """The TOML example of a section."""
    (text,) = re.findall(r"^```toml\n(.*?)^```$", SECTIONS[heading], flags=re.MULTILINE | re.DOTALL)
    return tomllib.loads(text)


def card(table: Table) -> list[Fault]:
    return card_from_table(table, {}, products())[1]


def account(table: Table) -> list[Fault]:
    return read_account(table, "file")[1]


def contract(table: Table) -> list[Fault]:
    return read_contract(table, "file")[1]


def charge(table: Table) -> list[Fault]:
    return read_charge(table, "file", products())[1]


def product(table: Table) -> list[Fault]:
    return read_product(table, "file")[1]


def mapping(table: Table) -> list[Fault]:
    return read_mapping(table, "file")[1]


def scenario(table: Table) -> list[Fault]:
    return read_scenario(table, products(), lambda name: check_card(Path(name)), place="file")[1]


TABLES: Mapping[str, Callable[[Table], list[Fault]]] = {"Accounts": account, "Contracts": contract, "Charges": charge}
"""Sections whose example is of many tables, and who reads one of them."""


def first(table: object, *path: str) -> Table:
    """The table below a path, of lists their first one."""
    for step in path:
        assert isinstance(table, Mapping)
        table = table[step]
        table = table[0] if isinstance(table, list) else table
    assert isinstance(table, dict)
    return table


READ: Mapping[str, tuple[Callable[[Table], list[Fault]], str, tuple[str, ...]]] = {
    "The head of a card": (card, "Rate cards", ()),
    "[rounding]": (card, "Rate cards", ("rounding",)),
    "[tiers.NAME]": (card, "Rate cards", ("tiers", "voice")),
    "[pools.NAME]": (card, "Rate cards", ("pools", "texts")),
    "[windows.NAME]": (card, "Rate cards", ("windows", "day")),
    "Selectors": (card, "Rate cards", ("pools", "texts", "fill")),
    "Accounts": (account, "Accounts", ()),
    "Contracts": (contract, "Contracts", ()),
    "[[discounts]]": (contract, "Contracts", ("discounts",)),
    "[commitment]": (contract, "Contracts", ("commitment",)),
    "[[credits]]": (contract, "Contracts", ("credits",)),
    "Selectors of lines": (contract, "Contracts", ("credits", "on")),
    "Charges": (charge, "Charges", ()),
    "Products": (product, "Products", ()),
    "[support]": (contract, "Contracts", ("support",)),
    "[[rules]]": (product, "Products", ("rules",)),
    "Fees": (product, "Products", ("rules", "fees")),
    "The head of a mapping": (mapping, "Mappings", ()),
    "[file]": (mapping, "Mappings", ("file",)),
    "[numbers]": (mapping, "Mappings", ("numbers",)),
    "[[prices]]": (mapping, "Mappings", ("prices",)),
    "[[skip]]": (mapping, "Mappings", ("skip",)),
    "Scenarios": (scenario, "Scenarios", ()),
    "[[step]]": (scenario, "Scenarios", ("step",)),
    "[expect]": (scenario, "Scenarios", ("expect",)),
    "[[expect.invoice]]": (scenario, "Scenarios", ("expect", "invoice")),
    "[[expect.line]]": (scenario, "Scenarios", ("expect", "line")),
}
"""Section -> who reads it, whose example it is in, and where there."""


def read(heading: str) -> tuple[Callable[[Table], list[Fault]], Table]:
    """Who reads a section's table, and the example with it; of many accounts and contracts one."""
    reader, of, _ = READ[heading]
    table = example(of)
    if of in TABLES:
        table = first(table, of.lower().removesuffix("s"))
    if heading == "[rounding]":
        table["rounding"] = {"per": "line"}
    return reader, table


@pytest.mark.parametrize("heading", READ)
def test_each_key_that_is_named_is_known_and_each_known_one_is_named(heading: str) -> None:
    """A reader that meets a key it does not know says which ones it knows."""
    reader, table = read(heading)
    first(table, *READ[heading][2])[UNKNOWN] = ""
    (fault,) = (fault for fault in reader(table) if fault.place.endswith(UNKNOWN))
    known = re.search("known(?: here)?: (.*)", fault.remedy)
    assert known is not None
    assert sorted(keys(heading)) == sorted(set(known[1].split(", ")) - {UNKNOWN})


@pytest.mark.parametrize("heading", READ)
def test_no_key_is_named_twice(heading: str) -> None:
    assert len(set(keys(heading))) == len(keys(heading))


def test_the_keys_of_a_rate_are_those_of_the_readers() -> None:
    assert sorted(columns_of(products())) == sorted(keys("Rates"))
    assert set() == refused("Rates")
    assert set() == refused("Contracts")


def test_the_fields_of_an_event_are_those_of_the_reader() -> None:
    assert sorted(KEYS) == sorted(keys("Usage events"))
    assert set() == refused("Usage events")


COLUMNS = {
    "prefixes": "prefixes",
    "amounts": "setup_fee",
    "flags": "exact",
    "values": "number_type",
    "increments": "increments",
    "destination": "destination",
    "effective_to": "effective_to",
}
"""A column of each kind that has keys of its own."""


def test_the_keys_of_a_column_are_those_that_its_kind_has() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", SECTIONS["[columns.KEY]"], flags=re.MULTILINE)
    named = {
        kind: {key for key, of in rows if of == "all" or kind in of.replace("`", "").split(", ")} for kind in COLUMNS
    }
    for kind, key in COLUMNS.items():
        said = {"column": "x", UNKNOWN: "", **({"inclusive": True} if kind == "effective_to" else {})}
        table = example("Mappings") | {"columns": {key: said}}
        (fault,) = (fault for fault in mapping(table) if fault.place.endswith(UNKNOWN))
        known = re.search("known(?: here)?: (.*)", fault.remedy)
        assert known is not None
        assert sorted(named[kind]) == sorted(set(known[1].split(", ")) - {UNKNOWN}), kind


@pytest.mark.parametrize("heading", ["Rate cards", *TABLES, "Products", "Mappings", "Scenarios"])
def test_the_examples_are_accepted(heading: str) -> None:
    table = example(heading)
    if heading in TABLES:
        reader, each = TABLES[heading], table[heading.lower().removesuffix("s")]
        assert isinstance(each, list)
        faults = [fault for one in each for fault in reader(one)]
    else:
        faults = {"Rate cards": card, "Products": product, "Mappings": mapping, "Scenarios": scenario}[heading](table)
    assert [] == faults


def test_the_example_of_an_event_is_accepted() -> None:
    (line,) = re.findall(r"^```json\n(.*?)\n```$", SECTIONS["Usage events"], flags=re.MULTILINE | re.DOTALL)
    assert isinstance(read_payload(line.encode(), "switch-1", products()), Flat)
    assert set(json.loads(line)) <= set(keys("Usage events"))


def test_the_scenario_comes_out_as_it_says() -> None:
    found, faults = read_scenario(
        example("Scenarios"), products(), lambda name: check_card(Path(name)), place="scenario.toml"
    )
    assert [] == faults
    assert found is not None
    assert [] == run(found)


def values(product: Product, kind: str) -> list[str]:
    """The statuses of a kind in a product's newest rule."""
    conditions = product.rules[-1].billable if kind == "billable" else product.rules[-1].pending
    return sorted(conditions.get("status", frozenset()) - {""})


def test_the_statuses_that_bill_are_those_of_the_products() -> None:
    rows = re.findall(r"^\| `([a-z._]+)` \| (.*) \| (.*) \| (.*) \|$", SECTIONS["Statuses that bill"], re.MULTILINE)
    assert sorted(products()) == sorted(name for name, *_ in rows)
    for name, billed, pending, fees in rows:
        known = products()[name]
        assert values(known, "billable") == sorted(re.findall("`(.+?)`", billed))
        assert values(known, "pending") == sorted(re.findall("`(.+?)`", pending))
        assert [fee.element for fee in known.rules[-1].fees] == re.findall("`(.+?)`", fees)
        assert all("" in rule.billable.get("status", {""}) for rule in known.rules), "one without a status is billed"
        assert ("all" in billed) == (not known.rules[-1].billable), "where no status is told apart, all bill"
