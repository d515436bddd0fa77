"""The demo: the main job for real, twice in a row, and every command that it prints works as printed."""

import os
import re
import subprocess
from pathlib import Path

from billing.periods import Period
from cli.cardfiles import card_of
from cli.demo.files import CARDS, IDLE
from cli.demo.traffic import DOLLARS, EUROS, Clientele, write_month
from cli.parties import accounts_in, contracts_in
from cli.world import products
from tests.cli.conftest import PROGRAM, run

FOLDER = Path(__file__).resolve().parents[2] / "cli" / "demo"


def month(path: Path, seed: int = 1) -> list[str]:
    clienteles = {
        3000: Clientele(accounts=["a", "b"], card=card_of(FOLDER / "cards" / "list-usd.toml"), mix=DOLLARS),
        300: Clientele(accounts=["c"], card=card_of(FOLDER / "cards" / "list-eur.toml"), mix=EUROS),
    }
    count = write_month(path, clienteles, Period.of_month(2026, 10), seed=seed)
    lines = path.read_text().splitlines()
    assert count == len(lines)
    return lines


def test_the_same_seed_is_the_same_month(tmp_path: Path) -> None:
    assert month(tmp_path / "one") == month(tmp_path / "two")
    assert month(tmp_path / "one") != month(tmp_path / "two", seed=2)


def test_the_month_has_what_real_streams_have(tmp_path: Path) -> None:
    lines = month(tmp_path / "month")
    ids = [re.findall('"id": "([^"]+)"', line)[0] for line in lines]
    at = [re.findall('"occurred_at": "([^"]+)"', line)[0] for line in lines]
    assert 3300 == len(set(ids))
    assert 66 == len(ids) - len(set(ids)), "some are reported twice"
    assert 61 == len(lines) - len(set(lines)), "five of them with other content"
    assert at != sorted(at), "they come out of order"
    assert all("2026-10-01T" <= each < "2026-11-01T" for each in at)


def test_the_sample_books_fit_each_other() -> None:
    cards = {card_of(FOLDER / "cards" / name).id for name in CARDS}
    accounts = {account.id: account for account in accounts_in([FOLDER / "accounts.toml"])}
    contracts = contracts_in([FOLDER / "contracts.toml"])
    assert 40 == len(accounts)
    assert {each.id for each in accounts.values() if each.pays} == {each.account for each in contracts}
    assert {card for contract in contracts for card in contract.cards} == cards
    assert IDLE in accounts


def test_it_bills_a_month_twice_in_a_row_and_what_it_prints_works(home: Path) -> None:
    first, second = run(home, "demo", "--events", "3000"), run(home, "demo", "--events", "3000")
    assert (0, 0) == (first.code, second.code), second.err
    assert "29 billed + 1 zero + 0 parked + 0 failed = 30 active" in second.out
    assert ["verdict", "all", "agree"] in [line.split() for line in second.out.splitlines()]
    assert "they add up to the line" in second.out
    assert "Traceback" not in second.err
    wanted = [line.strip() for line in second.out.partition("What to try next")[2].splitlines() if line.strip()]
    export, *commands, _ = wanted[1:]
    for command in commands:
        script = f"{export}\n{command}"
        ran = subprocess.run(
            ["bash", "-c", script],
            env={**os.environ, "TOLLBOOK_DATA": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode in {0, 4}, f"{command}: {ran.stderr}"
    assert str(PROGRAM) in commands[0]
    own = run(home, "cards", "list", "--format", "json")
    assert "[]\n" == own.out, "the user's own database is not touched"


def test_all_services_bills_a_customer_who_uses_every_product_and_each_line_adds_up(home: Path) -> None:
    ran = run(home, "demo", "--events", "1000", "--all-services")
    assert 0 == ran.code, ran.err
    told = re.search(r"(\d+) lines of (\d+) products: each adds up from its events", ran.out)
    assert told is not None
    assert len(products()) == int(told[2]), "a product that comes along is not in cli/demo/every_product"
    assert ["verdict", "all", "agree"] in [line.split() for line in ran.out.splitlines()]
    assert "5 due charges of numbers and a short code, each posted as usage once" in ran.out
