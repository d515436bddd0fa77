"""Counters of money beyond 64 bits, and what a card says of them."""

from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rates.cardfile import read_card, write_card
from rates.tally.spend import Beyond, Spend, cut_by_money
from tests.shop import OCTOBER, products, read
from tests.verified import assert_verified, billed, cards_of

Table = dict[str, Any]

HUGE = 10**25
EXAMPLE = '[tiers.t]\nmeasure = "amount"\n{unit}up_to = ["0.5", "1.005"]\nfill = [{{product = "sms.outbound"}}]\n'
HEAD = 'id = "list"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\n'
RATE = '[[rate]]\nproduct = "sms.outbound"\nunit = "segment"\ntiers = "t"\nprices = ["0.01", "0.009", "0.008"]\n'


@pytest.mark.parametrize("scale", [1, HUGE])
def test_units_are_cut_alike_in_64_bits_and_beyond(scale: int) -> None:
    """Five units of 3 from 2 on, bounds at 4 and 12: one begins below 4, three below 12, the last at 14 beyond."""
    kind = np.int64 if scale == 1 else object
    spend = Spend(np.array([3 * scale], dtype=kind), scale)
    bounds = np.array([4 * scale, 12 * scale], dtype=kind)
    counted, first, beyond = cut_by_money(spend, np.array([2 * scale], dtype=kind), np.array([5]), bounds)
    assert [[1, 3, 1]] == counted.tolist()
    assert [0] == first.tolist()
    thirds = [Fraction(-1, 3), Fraction(-1, 3), Fraction(2, 3)]
    assert [Beyond(0, tier, units) for tier, units in enumerate(thirds)] == beyond


def test_a_month_of_more_than_64_bits_of_ticks_is_billed_as_the_verifier_does() -> None:
    """Prices of twelve decimals a minute, and days of seconds: 4 million are reached on the fourth day."""
    rate = {"product": "voice.outbound", "prefixes": ["44"], "unit": "minute", "increments": "1/1", "tiers": "t"}
    tiers = {"t": {"measure": "amount", "up_to": ["4000000.000000000001"], "fill": [{"product": "voice.*"}]}}
    table: Table = {"id": "list", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z", "tiers": tiers}
    table["rate"] = [rate | {"prices": ["700.000000000001", "0.000000000003"]}]
    usage: list[Table] = [
        {"source": "s", "id": f"e{n}", "account": "a", "product": "voice.outbound", "to": "+441632960000"}
        | {"occurred_at": f"2026-10-{n + 1:02}T10:00:00Z", "duration_seconds": "100001"}
        for n in range(5)
    ]
    tree: list[Table] = [{"id": "a", "currency": "USD"}]
    deals: list[Table] = [{"account": "a", "effective_from": date(2026, 10, 1), "cards": ["list"]}]
    cards = cards_of([table])
    assert cards is not None
    ours = billed(cards, tree, deals, usage, OCTOBER)
    assert_verified(ours, [table], tree, deals, usage)
    first, second = ours.bills[0].lines
    assert (400_000_000, 342_858, 0) == (first.amount_minor, first.base_quantity, second.amount_minor)


@pytest.mark.parametrize("unit", ["", 'unit = "money"\n', 'unit = "USD"\n'])
def test_bounds_of_money_are_in_the_currency_of_the_card_whether_it_is_written_or_not(unit: str) -> None:
    assert "" == read(HEAD + EXAMPLE.format(unit=unit) + RATE).schedules["t"].unit


def test_a_card_that_counts_money_is_written_as_it_is_read() -> None:
    found = read(HEAD + EXAMPLE.format(unit="") + RATE)
    head, rows = write_card(found)
    assert found.schedules == read(head, rows.decode()).schedules


@pytest.mark.parametrize("unit", ["EUR", "minute"])
def test_bounds_of_money_are_in_no_other_unit(unit: str) -> None:
    found, faults = read_card(HEAD + EXAMPLE.format(unit=f'unit = "{unit}"\n') + RATE, {}, products())
    assert found is None
    said = f"card.toml: tiers.t.unit: {unit} is not what money is counted in here; leave it out: bounds of money are in"
    assert [said] == [str(fault)[: len(said)] for fault in faults]
