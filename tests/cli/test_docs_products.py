"""`docs/products/`: each page's events come to what it says at its rates, and adding a product is done as written."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from billing.bills import Arrangement, bill
from billing.charges import SOURCE, events_of, read_charge
from billing.periods import Period
from cli.world import products
from rates.cardfile import card_from_table
from rates.money import format_minor
from tests.cli.conftest import Tollbook

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "products"
ADDING = FOLDER / "adding-one.md"
PAGES = sorted(set(FOLDER.glob("*.md")) - {ADDING})


def block(page: str, kind: str) -> str:
    """The one block of a kind on a page."""
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_events_of_a_page_come_to_what_it_says(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    head = {"id": "list", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z"}
    card, faults = card_from_table({**head, **tomllib.loads(block(page, "toml"))}, {}, products())
    assert card is not None, faults
    payloads = [line.encode() for line in block(page, "json").splitlines()]
    found = bill(payloads, Arrangement(cards=[card], products=products()), Period.parse("2026-10"), source="s")
    assert ((), ()) == (found.rejects, found.quarantined)
    (acme,) = found.bills
    said = re.search(r"^Comes to ([0-9.]+):", page, flags=re.MULTILINE)
    assert said is not None
    assert said[1] == format_minor(acme.total_minor, acme.currency)
    assert "**Sources:**" in page


def test_every_product_that_comes_along_is_on_one_page_and_is_used_there() -> None:
    pages = [path.read_text(encoding="utf-8") for path in PAGES]
    for name in products():
        telling = [page for page in pages if f"`{name}`" in page.partition("```json")[0]]
        assert telling, f"{name} is on no page"
        used = [f'"product": "{name}"' in page for page in telling]
        assert any(used) or name in {"voice.inbound", "voice.conference", "transcription"}, f"{name} is nowhere used"


def test_two_products_of_somebody_elses_are_added_as_written(
    tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ADDING.read_text(encoding="utf-8")
    assert {"verify.check", "ads.engagement"}.isdisjoint(products()), "nothing knows them by name"
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    ran = {}
    for line in re.findall(r"^\$ (.*)$", page, flags=re.MULTILINE):
        words = shlex.split(line)
        if words[0] == "export":
            monkeypatch.setenv(*words[1].split("=", 1))
        else:
            ran[line] = tollbook(*words[1:])
            assert 0 == ran[line].code, ran[line].err
    assert all(name in ran["tollbook products list"].out for name in ("verify.check", "ads.engagement"))
    said = re.search(r"^The bill is ([0-9.]+):", page, flags=re.MULTILINE)
    assert said is not None
    (billed,) = (each.out for line, each in ran.items() if line.startswith("tollbook rate"))
    assert said[1] in billed
    assert "0.85" in billed


def test_the_charges_of_the_page_of_numbers_become_its_events() -> None:
    page = (FOLDER / "numbers.md").read_text(encoding="utf-8")
    charges = []
    for table in tomllib.loads(block(page, "ini"))["charge"]:
        charge, faults = read_charge(table, "numbers.md", products())
        assert charge is not None, faults
        charges.append(charge)
    made = [json.loads(payload) for payload in events_of(charges, {}, Period.parse("2026-10"))]
    told = [{"source": SOURCE, **json.loads(line)} for line in block(page, "json").splitlines()]
    assert told == sorted(made, key=lambda event: str(event["id"]))
