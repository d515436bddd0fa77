"""`tollbook products list`, and products of one's own in the folder that TOLLBOOK_PRODUCTS names."""

import csv
import io
import json
from pathlib import Path

import pytest

from cli.world import OWN_PRODUCTS
from tests.cli.conftest import Tollbook

FAX = """
id = "fax.outbound"
name = "Outbound fax"
base = "page"
units = {page = 1}
required = ["usage"]
[[rules]]
effective_from = 2020-01-01T00:00:00Z
billable = {status = ["", "sent"]}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "products"
    folder.mkdir()
    monkeypatch.setenv(OWN_PRODUCTS, str(folder))
    return folder


def test_all_products_that_come_along_are_listed_with_what_bills(tollbook: Tollbook) -> None:
    ran = tollbook("products", "list", "--format", "json")
    assert 0 == ran.code
    listed = {each["id"]: each for each in json.loads(ran.out)}
    assert {"voice.client", "trunk.secure", "turn.relay", "mms.outbound", "taskrouter.task", "lookup"} <= set(listed)
    assert "status received" == listed["mms.inbound"]["billable"]
    assert "1970-01-01 2022-10-01" == listed["voice.conference"]["since"]
    assert "byte mb mib gb gib" == listed["turn.relay"]["units"]


def test_the_list_is_a_table_for_people_and_csv_for_programs(tollbook: Tollbook) -> None:
    assert "stun.binding" in tollbook("products", "list").out
    rows = list(csv.DictReader(io.StringIO(tollbook("products", "list", "--format", "csv").out)))
    assert ["all"] == [row["billable"] for row in rows if row["id"] == "stun.binding"]


def test_a_product_of_ones_own_is_a_file_in_a_folder(tollbook: Tollbook, own: Path) -> None:
    (own / "fax.toml").write_text(FAX)
    listed = [each["id"] for each in json.loads(tollbook("products", "list", "--format", "json").out)]
    assert 1 == listed.count("fax.outbound")


def test_ones_own_stands_in_place_of_one_that_comes_along(tollbook: Tollbook, own: Path) -> None:
    (own / "lookup.toml").write_text(FAX.replace("fax.outbound", "lookup"))
    listed = {each["id"]: each for each in json.loads(tollbook("products", "list", "--format", "json").out)}
    assert "Outbound fax" == listed["lookup"]["name"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id = ", "is not TOML"),
        (FAX.replace("units = {page = 1}", "units = {sheet = 1}"), "units: does not say page = 1"),
        (FAX.replace("units = {page = 1}", "units = {page = 1, money = 2}"), "units: has money, which every product"),
        (FAX + 'match = ["charges"]', "match"),
        (FAX.replace('base = "page"', 'base = "page"\nmatch = ["charges"]'), "has charges, which is no dimension"),
        (FAX.replace('name = "Outbound fax"', 'colour = "red"'), "colour"),
        (FAX + 'fees = [{element = "charge"}]', "rules: has a fee charge, which lines have of themselves"),
        (FAX + 'fees = [{element = "usage"}]', "rules: has a fee usage"),
        (FAX.replace('["usage"]', '["usage", "stamp"]'), "required: has stamp, which no event waits for"),
        (FAX + 'delivered_as = {mail = "no.such"}', 'rules.delivered_as.mail "no.such": is not a product'),
    ],
)
def test_a_faulty_file_is_named_with_the_key(tollbook: Tollbook, own: Path, text: str, said: str) -> None:
    (own / "fax.toml").write_text(text)
    ran = tollbook("products", "list")
    assert 5 == ran.code
    assert "fax.toml" in ran.err
    assert said in ran.err


def test_two_files_of_one_product_are_refused(tollbook: Tollbook, own: Path) -> None:
    for name in ("one", "two"):
        (own / f"{name}.toml").write_text(FAX)
    ran = tollbook("products", "list")
    assert 5 == ran.code
    assert f'two.toml "fax.outbound": has the id of {own}/one.toml; give each product an id of its own' in ran.err


def test_a_file_without_an_id_is_named_beside_others(tollbook: Tollbook, own: Path) -> None:
    (own / "one.toml").write_text(FAX.replace('id = "fax.outbound"', ""))
    (own / "two.toml").write_text(FAX)
    ran = tollbook("products", "list")
    assert 5 == ran.code
    assert "one.toml: id: is missing" in ran.err


def test_a_folder_that_is_none_is_refused(tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_PRODUCTS, str(tmp_path / "nowhere"))
    ran = tollbook("products", "list")
    assert 5 == ran.code
    assert "is not a folder" in ran.err
