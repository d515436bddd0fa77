"""Law 3: "Columnar kernel = billing/verifier.py", where schedules, pools and flats differ between cards and versions.

Each case is two versions of a list card and perhaps a special card before it, with terms of their own, and calls on few
days, so that versions and cards meet within a day.
"""

import json
import random
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from billing import verifier
from billing.bills import Arrangement, bill
from billing.contracts import read_contract
from billing.invoices import record
from billing.periods import Period
from rates.cardfile import card_from_table
from rates.money import currency
from rates.numbering import PLAN
from tests.shop import account, products

OCTOBER = Period.parse("2026-10")
CATALOGUE = Path(__file__).parents[2] / "rates" / "catalogue"
Table = dict[str, Any]


def terms(dice: random.Random, tiers: int) -> Table:
    """One schedule and one pool: axes as everywhere, all numbers its own."""
    fill = [{"product": "voice.*"}]
    schedule: Table = {"unit": "minute", "fill": fill, "mode": MODE[dice.getrandbits(1)]}
    schedule["up_to"] = [str(5 * (n + 1)) for n in range(tiers - 1)]
    if dice.random() < 0.7:
        schedule["flats"] = [str(dice.randint(0, 50)) for _ in range(tiers)]
    found: Table = {"tiers": {"t": schedule}}
    if dice.random() < 0.6:
        found["pools"] = {"p": {"unit": "minute", "free": str(dice.randint(0, 9)), "block": "4", "fill": fill}}
    return found


MODE = ("graduated", "volume")


def rows(dice: random.Random, tiers: int, prefixes: tuple[str, ...]) -> list[Table]:
    found: list[Table] = []
    own_free = str(dice.randint(1, 6))  # one pool of the product and destination
    for prefix in prefixes:
        row: Table = {"product": "voice.outbound", "prefixes": [prefix], "unit": "minute"}
        kind = dice.randrange(4)
        if kind < 2:
            row |= {"tiers": "t", "prices": [str(dice.randint(1, 9)) for _ in range(tiers)]}
        else:
            row["price"] = str(dice.randint(1, 9))
        if kind == 3:
            row["free_units"] = own_free
        found.append(row)
    return found


def card(dice: random.Random, name: str, start: str, prefixes: tuple[str, ...]) -> Table:
    tiers = dice.randint(1, 3)
    own = terms(dice, tiers)
    return {"id": name, "currency": "USD", "effective_from": start, "rate": rows(dice, tiers, prefixes), **own}


def calls(dice: random.Random) -> list[Table]:
    found: list[Table] = []
    for n in range(dice.randint(1, 14)):
        day, hour = dice.choice((3, 15, 15, 16)), dice.randrange(24)
        found.append(
            {
                "source": "s",
                "id": f"c{n}",
                "account": "acme",
                "product": "voice.outbound",
                "occurred_at": f"2026-10-{day:02}T{hour:02}:{dice.randrange(60):02}:00Z",
                "to": dice.choice(("+14155550123", "+442071838750", "+4930901820")),
                "duration_seconds": str(60 * dice.randint(1, 5)),
                "status": "completed",
            }
        )
    return found


@pytest.mark.parametrize("seed", range(150))
def test_each_version_and_each_card_keeps_its_own_numbers(seed: int) -> None:
    dice = random.Random(seed)
    cards = [
        card(dice, "list", "2026-10-01T00:00:00Z", ("1", "44", "49")),
        card(dice, "list", "2026-10-15T00:00:00Z", ("1", "44", "49")),
    ]
    special = dice.random() < 0.5
    if special:
        cards.append(card(dice, "special", "2026-10-01T00:00:00Z", ("44",)))
    order = ["special", "list"] if special else ["list"]
    # A name has one mode in all cards that a book ever holds.
    mode = cards[0]["tiers"]["t"]["mode"]
    for each in cards:
        each["tiers"]["t"]["mode"] = mode
    assert theirs(cards, order, usage := calls(dice)) == ours(cards, order, usage)


def ours(cards: Sequence[Table], order: Sequence[str], usage: Sequence[Table]) -> list[tuple[object, ...]]:
    read = [card_from_table(each, {}, products()) for each in cards]
    assert [] == [str(fault) for _, faults in read for fault in faults]
    contract, _ = read_contract(agreed(order), "contract")
    assert contract is not None
    deal = Arrangement(
        cards=[each for each, _ in read if each is not None],
        products=products(),
        accounts={"acme": account("acme")},
        contracts={"acme": [contract]},
    )
    found = bill([json.dumps(event).encode() for event in usage], deal, OCTOBER)
    assert () == tuple(found.rejects)
    return shown([record(line, currency("USD")) for each in found.bills for line in each.lines])


def theirs(cards: Sequence[Table], order: Sequence[str], usage: Sequence[Table]) -> list[tuple[object, ...]]:
    found: Table = verifier.rate(
        period=str(OCTOBER),
        events=usage,
        cards=cards,
        products=[tomllib.loads(path.read_text()) for path in sorted(CATALOGUE.glob("*.toml"))],
        accounts=[{"id": "acme", "currency": "USD"}],
        contracts=[agreed(order)],
        plan=PLAN,
    )
    return shown([line for each in found["accounts"] for line in each["lines"]])


def agreed(order: Sequence[str]) -> Table:
    return {"account": "acme", "effective_from": date(2026, 1, 1), "cards": list(order)}


def shown(lines: Sequence[Any]) -> list[tuple[object, ...]]:
    facts = ("element", "country", "tier", "unit_price", "events", "base_quantity", "amount", "residual", "cards")
    return sorted(tuple(str(line[name]) for name in facts) for line in lines)


@pytest.mark.parametrize("seed", range(60))
def test_a_version_that_begins_within_a_day_counts_what_the_one_before_it_counts(seed: int) -> None:
    """Usage of another card meets both on that day, and goes by the same terms."""
    dice = random.Random(seed)
    cards = [card(dice, "list", since, ("1", "49")) for since in ("2026-10-01T00:00:00Z", "2026-10-15T12:00:00Z")]
    tiers = len(cards[0]["tiers"]["t"]["up_to"]) + 1
    cards[1] = {**cards[0], "effective_from": cards[1]["effective_from"], "rate": rows(dice, tiers, ("1", "49", "44"))}
    special = {"product": "voice.outbound", "prefixes": ["44"], "unit": "minute", "price": "3"}
    cards.append({"id": "special", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z", "rate": [special]})
    usage = calls(dice)
    assert theirs(cards, ["special", "list"], usage) == ours(cards, ["special", "list"], usage)
