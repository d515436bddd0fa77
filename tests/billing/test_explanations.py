from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from billing.adjustments import key_of_line
from billing.explanations import (
    REMEDIES,
    increments_in_words,
    line_arithmetic,
    line_number,
    matched_prefix,
    part_arithmetic,
    parts_on,
)
from billing.invoices import InvoiceLine
from rates.lines import LineKey
from rates.money import Currency
from rates.pricing import Placements
from rates.quantities import Increments
from rates.rating import ZERO_RATED, Reason
from rates.usage import no_totals

KEY = LineKey("voice", "usage", "US", "Home", "1", Fraction("0.014"), "minute", 60, "second")
PER_EVENT = KEY._replace(element="setup", unit="event", unit_size=1, base="event", unit_price=Fraction("0.01"))


def line(key: LineKey) -> InvoiceLine:
    return InvoiceLine(
        product=key.product,
        element=key.element,
        country=key.country,
        destination=key.destination,
        tier=key.tier,
        events=1,
        unit=key.unit,
        unit_size=key.unit_size,
        unit_price=key.unit_price,
        amount_minor=146,
        residual=Fraction("-0.004"),
        base_quantity=6240,
        base_unit=key.base,
        origin_period="2026-10",
        cards=(),
    )


def test_arithmetic_reads_from_base_units_to_the_amount() -> None:
    assert "120 second ÷ 60 = 2 minute × 0.014 = 0.028" == part_arithmetic(KEY, 120)
    assert "3 event × 0.01 = 0.03" == part_arithmetic(PER_EVENT, 3)
    said = "6240 second ÷ 60 = 104 minute × 0.014 = 1.456, rounded 1.46 USD"
    assert said == line_arithmetic(line(KEY), Currency("USD"))


def test_a_line_of_events_that_are_rounded_one_by_one_says_that_no_price_makes_its_amount() -> None:
    rounded = replace(line(KEY), tier="", residual=Fraction("0.0012"))
    said = "6240 second ÷ 60 = 104 minute × 0.014, event by event rounded, with their setup: 1.4612, rounded 1.46 USD"
    assert said == line_arithmetic(rounded, Currency("USD"))


def test_a_line_with_a_unit_that_a_bound_of_money_cuts_says_what_that_comes_to() -> None:
    cut = replace(line(KEY), residual=Fraction("-0.0083"))
    said = "6240 second ÷ 60 = 104 minute × 0.014, and -0.0043 of units that a bound of money cuts = 1.4517"
    assert f"{said}, rounded 1.46 USD" == line_arithmetic(cut, Currency("USD"))


def test_what_no_decimal_can_write_is_said_as_a_fraction() -> None:
    assert "20 second ÷ 60 = 0.333333 minute × 0.014 = 7/1500" == part_arithmetic(KEY, 20)


@pytest.mark.parametrize(
    ("increments", "measured", "billed", "words"),
    [
        ("60/60", 61, 120, "61 -> first 60, then 1 × 60 -> 120 (60/60)"),
        ("30/6", 30, 30, "30 -> the first 30 -> 30 (30/6)"),
        ("30/6", 43, 48, "43 -> first 30, then 3 × 6 -> 48 (30/6)"),
        ("60/60", 0, 0, "0 -> 0"),
        ("60/60", 5, 0, "5 -> 0"),  # within the grace
        (None, 3, 3, "3 -> 3"),
    ],
)
def test_increments_are_told_in_words(increments: str | None, measured: int, billed: int, words: str) -> None:
    assert words == increments_in_words(Increments.parse(increments) if increments else None, measured, billed)


def test_the_prefix_that_matched_is_the_longest_that_the_number_begins_with() -> None:
    assert "1415" == matched_prefix(["1", "1415", "1416"], "+14155550100", exact=False)
    assert "any" == matched_prefix([], "+14155550100", exact=False)
    assert "911" == matched_prefix(["91", "911"], "911", exact=True)


def test_a_line_is_found_by_its_key() -> None:
    lines = [line(PER_EVENT), line(KEY)]
    assert (2, 1, None) == (
        line_number(lines, KEY),
        line_number(lines, PER_EVENT),
        line_number(lines, KEY._replace(tier="2")),
    )
    assert KEY == key_of_line(lines[1])


def test_the_parts_of_one_event_on_one_line_are_one_share() -> None:
    placed = Placements(
        rows=no_totals(),
        ordered=np.arange(3),
        keys=[PER_EVENT, KEY],
        event=np.array([2, 0, 2, 1]),
        key=np.array([1, 1, 1, 0]),
        events=np.array([1, 1, 0, 1]),
        quantity=np.array([10, 60, 5, 1]),
        position=np.array([0, 0, 0]),
    )
    assert [(0, 1, 60), (2, 1, 15)] == parts_on(placed, KEY)
    assert [(1, 1, 1)] == parts_on(placed, PER_EVENT)
    assert [] == parts_on(placed, KEY._replace(tier="2"))


def test_every_reason_that_something_is_missing_has_a_remedy() -> None:
    assert set(REMEDIES) >= {str(reason) for reason in Reason if reason not in ZERO_RATED}
