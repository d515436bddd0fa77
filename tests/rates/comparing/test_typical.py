"""What typical usage costs on a new card and on the old one: increments, fees and minimums jump as prices do."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from rates.cardchanges import jumps
from rates.cards import Card
from rates.comparing.typical import every_jump
from tests.comparing import card, rate
from tests.decks import PRODUCTS

LATER = datetime(2026, 11, 1, tzinfo=UTC)
USED = {"increments": "1/1"}
HALVED = {"t": {"up_to": ["10"], "unit": "minute", "fill": [{"product": "voice.*"}], "discounts": ["0", "50"]}}


def found(old: Card, new: Card, bound: int = 2) -> list[str]:
    return [str(fault).split(";")[0] for fault in every_jump(old, new, Fraction(bound), PRODUCTS)]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (USED, {"increments": "600/600"}, "6 seconds costs 0.6, cost 0.006 before: increments 600/600, was 1/1"),
        ({"increments": "60/60"}, USED, "6 seconds costs 0.006, cost 0.06 before: increments 1/1, was 60/60"),
        (USED, {**USED, "setup_fee": "1.00"}, "6 seconds costs 1.006, cost 0.006 before: setup_fee 1, was none"),
        (USED, {**USED, "min_charge": "0.10"}, "6 seconds costs 0.1, cost 0.006 before: min_charge 0.1, was none"),
        (USED, {**USED, "max_charge": "0.05"}, "180 seconds costs 0.05, cost 0.18 before: max_charge 0.05, was none"),
        (USED, {**USED, "grace": "7"}, "6 seconds costs 0, cost 0.006 before: grace 7, was none"),
        (USED, {"increments": "6/6"}, ""),
        ({"increments": "30/6"}, {"increments": "60/60"}, ""),
        (USED, {**USED, "setup_fee": "0.006"}, ""),
        (USED, {**USED, "max_charge": "0.09"}, ""),
    ],
)
def test_what_stands_beside_a_price_jumps_by_what_typical_calls_cost(
    before: dict[str, object], after: dict[str, object], said: str
) -> None:
    old, new = card(rate("44", "0.06", **before)), card(rate("44", "0.06", **after), begins=LATER)
    assert [] == jumps(old, new, Fraction(2))
    assert ([f'rates.csv:0 prefixes "44": usage of {said}'] if said else []) == found(old, new)


def test_a_message_costs_what_one_message_costs() -> None:
    old, new = (
        card(
            rate("", "0.01", product="sms.outbound", unit="segment", increments="", mcc="310", **more),
            begins=begins,
        )
        for begins, more in ((datetime(2026, 10, 1, tzinfo=UTC), {}), (LATER, {"setup_fee": "0.02"}))
    )
    (text,) = found(old, new)
    assert text.endswith("usage of 1 segment costs 0.03, cost 0.01 before: setup_fee 0.02, was none")
    assert [] == found(old, new, 3)


def test_rows_within_others_are_compared_by_themselves() -> None:
    usual, dear = {"increments": "1/1"}, {"increments": "60/60"}
    old = card(*(rate(code, "0.06", **usual) for code in ("4", "44", "447")), rate("1", "1"))
    new = card(*(rate(code, "0.06", **(dear if code == "44" else usual)) for code in ("4", "44", "447")), begins=LATER)
    (text,) = found(old, new)
    assert 'prefixes "44"' in text


def test_a_price_that_jumps_is_told_once_and_tiers_are_compared_one_by_one() -> None:
    old = card(rate("44", "0.06", **USED), tiers=HALVED)
    new = card(rate("44", "0.6", increments="60/60"), begins=LATER, tiers=HALVED)
    (text,) = found(old, new)
    assert text.endswith("the price is 0.6, was 0.06")
    tiered = [rate("44", "0.06", tiers="t", increments=increments) for increments in ("1/1", "1/6", "60/60")]
    old = card(tiered[0], tiers=HALVED)
    near, far = (card(row, begins=LATER, tiers=HALVED) for row in tiered[1:])
    assert [] == found(old, near)
    assert 1 == len(found(old, far))


def test_what_is_blocked_or_has_another_unit_has_no_cost_to_compare() -> None:
    blocked, priced = rate("44", blocked=True), rate("44", "0.06", **USED)
    assert [] == found(card(blocked), card(priced, begins=LATER)) == found(card(priced), card(blocked, begins=LATER))
