"""What a month comes to now minus what was issued for it, line key by line key."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.adjustments import (
    NOTHING,
    AddedLine,
    Part,
    beyond,
    difference,
    joined,
    no_lines,
    parts_of,
    plus,
    without_credits,
)
from billing.adjustments import key_of_line as key_of
from billing.periods import Period
from rates.deals import Agreed, Credit, Deal, Span
from rates.netting import CREDIT
from tests.billing.test_invoices import LINE
from tests.shop import OCTOBER

ONE = Part(1, 60, 2, Fraction(1, 1000), ("a@2026-10-01",))
KEY = key_of(LINE)
OTHER = KEY._replace(tier="2")


def test_a_line_is_what_it_comes_to_minus_what_was_issued() -> None:
    now = Part(3, 180, 5, Fraction(-1, 500), ("b@2026-10-01",))
    assert {KEY: Part(2, 120, 3, Fraction(-3, 1000), ("b@2026-10-01",))} == difference({KEY: now}, {KEY: ONE})


def test_a_line_that_is_gone_is_negative_and_keeps_its_cards() -> None:
    assert {KEY: Part(-1, -60, -2, Fraction(-1, 1000), ONE.cards), OTHER: ONE} == difference({OTHER: ONE}, {KEY: ONE})


def test_what_is_the_same_is_no_line_even_if_another_version_rated_it() -> None:
    assert {} == difference({KEY: ONE._replace(cards=("b@2026-10-01",))}, {KEY: ONE})
    assert {KEY: NOTHING._replace(residual=Fraction(1, 9), cards=ONE.cards)} == difference(
        {KEY: ONE._replace(residual=ONE.residual + Fraction(1, 9))}, {KEY: ONE}
    ), "what rounding left is part of the difference"


def test_lines_of_one_key_are_added_up_and_credits_stay_out() -> None:
    assert {KEY: plus(*parts_of([LINE]).values(), *parts_of([LINE]).values())} == parts_of(
        [LINE, LINE, replace(LINE, element=CREDIT)]
    )


@pytest.mark.parametrize(
    ("origin", "limit", "late"), [("2026-10", 3, False), ("2026-09", 3, True), ("2026-12", 0, True)]
)
def test_months_are_counted_back_over_the_turn_of_the_year(origin: str, limit: int, *, late: bool) -> None:
    assert late is beyond(Period.parse(origin), Period.parse("2027-01"), limit)


def test_added_lines_come_behind_those_of_the_month_and_month_by_month() -> None:
    added = [AddedLine(7, "2026-09", KEY, ONE), AddedLine(7, "2026-08", OTHER, ONE), AddedLine(3, "2026-09", KEY, ONE)]
    found = joined(no_lines("USD"), "2026-10", added)
    rows = zip(found.lines.payer.tolist(), found.origin.tolist(), found.lines.key.tolist(), strict=True)
    assert [(3, "2026-09", KEY), (7, "2026-08", OTHER), (7, "2026-09", KEY)] == [
        (payer, found.origins[origin], found.lines.keys[key]) for payer, origin, key in rows
    ]
    assert [ONE.residual] * 3 == list(found.lines.residuals)


def test_a_residual_of_more_than_64_bits_is_kept() -> None:
    tiny = Fraction(1, 10**30)
    (residual,) = joined(
        no_lines("USD"), "2026-10", [AddedLine(1, "2026-09", KEY, ONE._replace(residual=tiny))]
    ).lines.residuals
    assert tiny == residual


def test_credits_are_used_up_and_stay_where_they_are() -> None:
    deal = Deal(credits=(Credit(id="welcome", amount=Decimal("5.5")),))
    agreed = Agreed(spans=(Span(OCTOBER.start, 31, deal),), days=31)
    assert replace(agreed, used={"welcome": 550}) == without_credits(agreed, "USD")
