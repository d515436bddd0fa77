"""Steps, limits and rounding per event in cards: what is read, what contradicts, what it makes another card."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rates.cardfile import card_from_table, read_card, write_card
from rates.cards import Card, column, identity
from rates.money import RoundingMode, rounded
from rates.prices import price_list
from rates.steps import Step, canonical_steps, parse_steps
from tests.shop import products

HEAD = 'id = "c"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\nrates = "rates.csv"\n'
ROUNDED = HEAD + '[rounding]\nper = "event"\ndecimals = 4\nmode = "half-even"\n'
TIERS = '[tiers.t]\nup_to = ["10"]\nunit = "minute"\nfill = [{product = "voice.outbound"}]\n'
POOL = '[pools.p]\nfree = "5"\nunit = "minute"\nfill = [{product = "voice.outbound", country = ["GB"]}]\n'
COLUMNS = (
    "product", "element", "country", "number_type", "prefixes", "unit", "price", "prices", "steps", "tiers",
    "setup_fee", "min_charge", "max_charge", "free_units", "block", "blocked",
)  # fmt: skip
PLAIN = {"product": "voice.outbound", "prefixes": "44", "unit": "minute", "price": "0.02"}
MONEY = {"product": "sms.outbound", "prefixes": "44", "unit": "money", "price": "1"}
STEPS = {**PLAIN, "price": "", "steps": "0:0.10 60:0.05"}


def read(*rows: dict[str, str], head: str = HEAD) -> tuple[Card | None, list[str]]:
    lines = [",".join(COLUMNS), *(",".join(row.get(name, "") for name in COLUMNS) for row in rows)]
    card, faults = read_card(head, {"rates.csv": "\n".join([*lines, ""]).encode()}, products())
    return card, [str(fault) for fault in faults]


def good(*rows: dict[str, str], head: str = HEAD) -> Card:
    card, faults = read(*rows, head=head)
    assert card is not None, faults
    return card


FAULTS: list[tuple[str, dict[str, str], str]] = [
    (HEAD, {**STEPS, "price": "1"}, 'rates.csv:2 steps "0:0.1 60:0.05": stand beside a price; keep one of them'),
    (HEAD, {**STEPS, "prices": "1 2", "tiers": "t"}, "steps"),
    (HEAD, {**STEPS, "steps": "60:0.05"}, 'rates.csv:2 steps "60:0.05": does not begin at 0; say what the first units'),
    (HEAD, {**STEPS, "steps": "0:1 60:2 60:3"}, 'rates.csv:2 steps "60:3": is not above 60; let the bounds rise'),
    (HEAD, {**STEPS, "steps": "0:1 60:2 30:3"}, 'steps "30:3": is not above 60'),
    (HEAD, {**STEPS, "steps": "0:1 60"}, 'steps "60": is not a step; write bound:price, as in 0:0.10 60:0.05'),
    (HEAD, {**STEPS, "steps": "0:1 1.5:2"}, 'steps "1.5:2": is not a step'),
    (HEAD, {**STEPS, "steps": "0:1e3"}, 'steps "1e3": an exponent'),
    (HEAD, {**STEPS, "steps": "0:-1"}, 'steps "0:-1": is negative'),
    (HEAD, {**STEPS, "steps": "0:1 9999999999999999999:1"}, "is beyond 64 bits"),
    (HEAD, {**STEPS, "blocked": "true"}, 'rates.csv:2 steps "0:0.1 60:0.05": is given in a blocked row'),
    (HEAD, {**STEPS, "element": "surcharge"}, 'rates.csv:2 steps "0:0.1 60:0.05": is only for usage'),
    (HEAD, {**STEPS, "unit": "event"}, "price units of one event, and the unit is event; name the unit"),
    (HEAD + TIERS, {**STEPS, "tiers": "t"}, "price by duration, and t by tier; remove one of them"),
    (HEAD, {**STEPS, "free_units": "5"}, 'rates.csv:2 free_units "5": stands beside steps'),
    (HEAD + POOL, STEPS, "pool p may take usage of this row; keep it out of the pool's fill"),
    (HEAD + POOL, {**STEPS, "country": "GB"}, "pool p may take usage of this row"),
    (HEAD, {**PLAIN, "min_charge": "2", "max_charge": "1.50"}, 'rates.csv:2 min_charge "2": is above max_charge 1.5'),
    (HEAD, {**PLAIN, "min_charge": "-1"}, 'rates.csv:2 min_charge "-1": is negative'),
    (HEAD, {**PLAIN, "max_charge": "-1"}, 'rates.csv:2 max_charge "-1": is negative'),
    (HEAD, {**PLAIN, "max_charge": "1", "element": "surcharge"}, 'rates.csv:2 max_charge "1": is only for usage'),
    (HEAD, {**PLAIN, "price": "", "max_charge": "1", "blocked": "true"}, "is given in a blocked row; remove one"),
    (HEAD + TIERS, {**PLAIN, "price": "", "prices": "2 1", "tiers": "t", "min_charge": "1"}, "several tier prices"),
    (HEAD + TIERS + 'discounts = ["0", "5"]\n', {**PLAIN, "tiers": "t", "max_charge": "1"}, "several tier prices"),
    (HEAD, {**PLAIN, "block": "1", "min_charge": "1"}, 'rates.csv:2 block "1": stands beside min_charge'),
    (HEAD + POOL, {**PLAIN, "max_charge": "1"}, 'rates.csv:2 max_charge "1": pool p may take usage of this row'),
    (ROUNDED, {**PLAIN, "min_charge": "0.00015"}, "has more decimals than an event is rounded to, 4; shorten it"),
    (ROUNDED, {**PLAIN, "block": "1"}, 'rates.csv:2 block "1": a pool with rounding per event; round per line'),
    (ROUNDED + POOL, PLAIN, "card.toml: pools: stand beside rounding per event"),
    (ROUNDED + TIERS, {**PLAIN, "price": "", "prices": "2 1", "tiers": "t"}, "several tier prices with rounding"),
    (ROUNDED + TIERS + 'discounts = ["0", "5"]\n', {**PLAIN, "tiers": "t"}, "several tier prices with rounding"),
    (HEAD, {**PLAIN, "unit": "money"}, 'rates.csv:2 unit "money": is money, and voice.outbound is counted in seconds'),
    (HEAD, {**MONEY, "element": "setup"}, 'rates.csv:2 unit "money": is money, and no event brings setup'),
    (HEAD, {**MONEY, "element": "failed_fee"}, "is money, and no event brings failed_fee; name a unit"),
    (HEAD + TIERS, {**MONEY, "tiers": "t"}, 'rates.csv:2 tiers "t": stands beside the unit money; remove it here'),
    (HEAD, {**MONEY, "price": "", "steps": "0:1 5:2"}, "stands beside the unit money"),
    (HEAD, {**MONEY, "free_units": "5"}, 'rates.csv:2 free_units "5": stands beside the unit money'),
    (HEAD, {**MONEY, "block": "5"}, 'rates.csv:2 block "5": stands beside the unit money'),
]


@pytest.mark.parametrize(("head", "row", "fault"), FAULTS)
def test_what_contradicts_is_named_with_its_row_and_a_remedy(head: str, row: dict[str, str], fault: str) -> None:
    _, faults = read(row, head=head)
    assert any(fault in each for each in faults), faults
    assert all("; " in each for each in faults), "a fault says what to do"


GOOD: list[tuple[str, dict[str, str]]] = [
    (HEAD, STEPS),
    (HEAD, {**STEPS, "min_charge": "0.1", "max_charge": "0.1", "setup_fee": "1"}),
    (HEAD + POOL, {**STEPS, "country": "US"}),
    (HEAD + POOL.replace("voice.out", "voice.in"), {**STEPS, "max_charge": "1"}),
    (HEAD + POOL + 'scope = "account"\n', {**PLAIN}),
    (HEAD + TIERS, {**PLAIN, "tiers": "t", "min_charge": "1"}),
    (HEAD + TIERS.replace('["10"]', "[]"), {**STEPS, "tiers": "t"}),
    (ROUNDED + TIERS, {**PLAIN, "tiers": "t", "max_charge": "0.1234"}),
    (ROUNDED, {**STEPS, "setup_fee": "0.00001"}),
    (HEAD, {**PLAIN, "unit": "event", "min_charge": "1"}),
]


@pytest.mark.parametrize(("head", "row"), GOOD)
def test_what_does_not_contradict_is_a_card_that_reads_back_as_written(head: str, row: dict[str, str]) -> None:
    card = good(row, head=head)
    toml, csv = write_card(card)
    again, faults = read_card(toml, {"rates.csv": csv}, products())
    assert again is not None, faults
    assert identity(card) == identity(again)
    assert card.rows.to_pydict() == again.rows.to_pydict()
    assert card.rounding == again.rounding


def test_a_card_is_the_same_however_its_steps_and_limits_are_written() -> None:
    one = good({**STEPS, "min_charge": "0.10", "max_charge": "01"})
    other = {"steps": "00:0.1000  060:00.05", "min_charge": "0.1", "max_charge": "1.0"}
    assert identity(one) == identity(good({**STEPS, **other}))


@pytest.mark.parametrize(
    "other", [{"steps": "0:0.10 61:0.05"}, {"steps": "0:0.10 60:0.04"}, {"min_charge": "0.2"}, {"max_charge": "0"}]
)
def test_other_steps_or_limits_are_another_card(other: dict[str, str]) -> None:
    assert identity(good(STEPS)) != identity(good({**STEPS, **other}))


def test_steps_in_a_table_are_one_text_or_a_list() -> None:
    table = {"id": "c", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z"}
    rate = {name: value for name, value in STEPS.items() if value}
    cells = []
    for steps in ("0:0.10 60:0.05", ["0:0.10", "60:0.05"]):
        written = {**rate, "prefixes": ["44"], "steps": steps}
        card, faults = card_from_table({**table, "rate": [written]}, {}, products())
        assert card is not None, faults
        cells.append(column(card.rows, "steps").to_pylist())
    assert [["0:0.1 60:0.05"]] * 2 == cells


def test_a_minimum_of_nothing_is_none_but_a_maximum_of_nothing_is_one() -> None:
    card = good({**PLAIN, "min_charge": "0", "max_charge": "0.00"})
    assert "min_charge" not in card.rows.column_names
    assert ["0"] == column(card.rows, "max_charge").to_pylist()


def elements(card: Card) -> list[tuple[str, Sequence[Decimal], str]]:
    return [(price.element, price.prices, price.schedule) for price in price_list(card, products()).prices]


def test_the_prices_of_a_row_stand_together_steps_then_charge_then_limits() -> None:
    row = {**STEPS, "min_charge": "0.2", "max_charge": "3", "setup_fee": "0.01"}
    found = price_list(good(PLAIN, {**row, "prefixes": "33"}, head=ROUNDED), products())
    assert [0, 2] == found.usage.tolist()
    assert [-1, -1] == found.setup.tolist(), "the fee is a part of the rounded charge"
    names = ["usage", "charge", "usage", "usage", "charge", "minimum", "maximum"]
    assert names == [price.element for price in found.prices]
    values = ["0.02", "0.02", "0.1", "0.05", "0.1", "0.2", "3"]
    assert values == [str(price.prices[0]) for price in found.prices]
    assert ["minute"] * 5 + ["event"] * 2 == [price.unit for price in found.prices]


def test_an_event_that_is_rounded_by_itself_has_no_tier() -> None:
    tiered = {**PLAIN, "tiers": "t"}
    assert [("usage", (Decimal("0.02"),), "t")] == elements(good(tiered, head=HEAD + TIERS))
    assert {""} == {schedule for *_, schedule in elements(good(tiered, head=ROUNDED + TIERS))}


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.decimals(0, 10**6, places=6)), max_size=6, unique_by=lambda s: s[0]),
    st.decimals(0, 10**6, places=6),
)
def test_steps_in_canonical_form_are_the_same_steps(further: list[tuple[int, Decimal]], first: Decimal) -> None:
    steps = tuple(Step(start, price) for start, price in sorted([(0, first), *further]))
    text = "  ".join(f"0{step.start}:{step.price:f}" for step in steps)
    assert steps == parse_steps(text) == parse_steps(canonical_steps(text))
    assert canonical_steps(text) == canonical_steps(canonical_steps(text))


@pytest.mark.parametrize(
    ("numerator", "half_up", "half_even", "up", "down"),
    [
        (0, 0, 0, 0, 0),
        (1, 0, 0, 1, 0),
        (2, 1, 0, 1, 0),
        (3, 1, 1, 1, 0),
        (4, 1, 1, 1, 1),
        (6, 2, 2, 2, 1),
        (10, 3, 2, 3, 2),
    ],
)
def test_the_modes_of_rounding(numerator: int, half_up: int, half_even: int, up: int, down: int) -> None:
    found = [rounded(numerator, 4, mode) for mode in RoundingMode]
    assert [half_up, half_even, up, down] == found


def test_only_ratios_from_zero_are_rounded_by_a_mode() -> None:
    for ratio in ((-1, 4), (1, 0)):
        with pytest.raises(ValueError, match="is not a ratio"):
            rounded(*ratio, RoundingMode.UP)
