"""`docs/limits.md`: its files and its commands, run in order as they stand there."""

import json
import re
import shlex
from pathlib import Path

import pytest

from billing.store.embedded import Address
from tests.cli.conftest import Tollbook

ROOT = Path(__file__).resolve().parents[2]
README, PAGE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/limits.md"))
_FILE = re.compile(r"^`([A-Za-z.]+)`:\n\n```\w+\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line.removeprefix("$ tollbook ")) for line in PAGE.splitlines() if line.startswith("$ ")]
REFUSED = 4


@pytest.mark.usefixtures("empty_books")
def test_the_page_says_what_happens(tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in [*_FILE.findall(README), *_FILE.findall(PAGE)]:
        Path(name).write_text(content)
    for first in ("cards import card.toml", "accounts add accounts.toml", "contracts add contracts.toml"):
        assert 0 == tollbook(*first.split()).code
    said: list[tuple[str, int]] = []
    for command in COMMANDS:
        ran = tollbook(*command)
        said.append((command[0], ran.code))
        if command[:2] == ["triggers", "watch"]:
            assert "2 triggers fired" in ran.err
        if (command[0], ran.code) == ("authorize", REFUSED):
            assert "acme-budget: 0.06 of 0.05 USD of the month are used." in ran.err
            assert "0.028" in ran.out
    assert [REFUSED, 0] == [code for name, code in said if name == "authorize"]
    assert {0} == {code for name, code in said if name != "authorize"}
    fired = json.loads(tollbook("triggers", "firings", "--format", "json").out)
    known = {(each["trigger"], each["window_start"]): (each["used"], each["threshold"]) for each in fired}
    expected = {("acme-calls-a-day", "2026-11-21"): ("2", "2"), ("acme-budget", "2026-11-01"): ("0.06", "0.05")}
    assert expected == known


@pytest.mark.usefixtures("empty_books")
def test_all_faults_of_a_file_are_told_at_once(tollbook: Tollbook, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(
        '[[trigger]]\nid = "a"\naccount = "x"\nmeasure = "amount"\nunit = "minute"\nthreshold = "1"\ncolour = "red"\n'
        '[[trigger]]\nid = "b"\naccount = "x"\nmeasure = "events"\nthreshold = "0"\ncountry = "ZZ"\nproduct = "gas"\n'
    )
    (tmp_path / "g.toml").write_text(
        '[[guard]]\nid = "a"\nkind = "blocked"\n[[guard]]\nid = "b"\nkind = "price"\nlimit = "-1"\ncurrency = "QQQ"\n'
        'unit = "litre"\n[[guard]]\nid = "c"\nkind = "credit"\nlimit = "1"\ncurrency = "USD"\npaid_through = "soon"\n'
    )
    ran = tollbook("triggers", "add", tmp_path / "t.toml")
    assert 5 == ran.code
    for told in ("0]: unit", "0]: colour", "1]: threshold", "1]: country", "1]: product"):
        assert f"t.toml: trigger[{told}" in ran.err
    ran = tollbook("guards", "set", tmp_path / "g.toml")
    assert 5 == ran.code
    for told in ("0]: countries", "1]: limit", "1]: currency", "1]: unit", "2]: paid_through"):
        assert f"g.toml: guard[{told}" in ran.err


def test_a_guard_whose_product_is_gone_is_shown_with_what_is_wrong(
    empty_books: Address, tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert empty_books.database
    own = tmp_path / "own"
    own.mkdir()
    product = (ROOT / "rates" / "catalogue" / "voice.outbound.toml").read_text(encoding="utf-8")
    (own / "fax.toml").write_text(product.replace('"voice.outbound"', '"fax.outbound"'))
    (tmp_path / "g.toml").write_text(
        'id = "faxes"\nkind = "price"\nproduct = "fax.outbound"\nlimit = "1"\ncurrency = "USD"\nunit = "minute"\n'
    )
    monkeypatch.setenv("TOLLBOOK_PRODUCTS", str(own))
    assert 0 == tollbook("guards", "set", tmp_path / "g.toml").code
    ran = tollbook("guards", "list", "--format", "json")
    assert (0, "") == (ran.code, json.loads(ran.out)[0]["fault"])
    monkeypatch.delenv("TOLLBOOK_PRODUCTS")
    ran = tollbook("guards", "list", "--format", "json")
    (shown,) = json.loads(ran.out)
    assert (4, "fax.outbound") == (ran.code, shown["product"])
    assert 'guard faxes: product "fax.outbound": selects no product' in shown["fault"]
    assert "tollbook guards remove faxes" in ran.err
