"""Safety bounds: what is far from the median of the last invoices, and what a release covers."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from billing.bounds import (
    UNPRICED,
    Bill,
    Bounds,
    Cause,
    Past,
    Release,
    causes,
    held_back,
    twice_median,
    unseen,
)
from billing.controls import in_words
from billing.periods import Period
from rates.money import Currency
from rates.rating import ZERO_RATED, Reason

NOVEMBER = Period.parse("2026-11")
USD = Currency("USD")
BOUNDS = Bounds(factor=Fraction(3), least=100)


def bill(total_minor: int, *, billed: bool = True, waiting: int = 0, currency: Currency = USD) -> Bill:
    return Bill(period=NOVEMBER, currency=currency, total_minor=total_minor, billed=billed, waiting=waiting)


def past(*totals_minor: int, ended: date = NOVEMBER.start) -> Past:
    return Past(totals_minor=totals_minor, ended=ended)


@pytest.mark.parametrize(("totals", "twice"), [((5,), 10), ((9, 1), 10), ((7, 1, 9), 14), ((4, 2, 8, 6), 10)])
def test_the_median_is_in_the_middle(totals: tuple[int, ...], twice: int) -> None:
    assert twice == twice_median(totals)


@pytest.mark.parametrize(
    ("total", "held"),
    [(60_000, False), (60_001, True), (6_667, False), (6_666, True), (20_000, False)],
)
def test_a_total_is_far_beyond_three_times_the_median_and_below_a_third(total: int, held: bool) -> None:  # noqa: FBT001
    assert held == bool(held_back(bill(total), past(10_000, 20_000, 30_000), None, BOUNDS))


def test_exactly_a_third_is_not_far() -> None:
    assert "" == held_back(bill(10_000), past(30_000), None, BOUNDS)
    assert held_back(bill(9_999), past(30_000), None, BOUNDS)


def test_usage_holds_back_that_waits_for_what_a_card_or_a_contract_could_say() -> None:
    nobodys = {Reason.UNKNOWN_ACCOUNT, Reason.NO_PAYER}
    unsold = {Reason.UNKNOWN_PRODUCT, Reason.NO_PRODUCT_RULE, Reason.BLOCKED, Reason.TOO_OLD}
    assert {*Reason} - ZERO_RATED - nobodys - unsold == UNPRICED


def test_a_difference_below_the_least_one_is_not_far() -> None:
    assert "" == held_back(bill(10_999), past(1_000), None, BOUNDS)
    assert held_back(bill(11_000), past(1_000), None, BOUNDS)
    assert held_back(bill(300, currency=Currency("JPY")), past(90), None, BOUNDS), "yen have no minor units"


def test_the_reason_names_the_total_and_the_median() -> None:
    assert "its total of 900.00 USD is more than 3 times 200.00, the median of its last 2 invoices" == held_back(
        bill(90_000), past(10_000, 30_000), None, BOUNDS
    )
    assert "its total of 1.00 USD is less than 1/3 of 200.00, the median of its last invoice" == held_back(
        bill(100), past(20_000), None, BOUNDS
    )


def test_a_bill_without_a_past_is_not_far() -> None:
    assert "" == held_back(bill(10**12), None, None, BOUNDS)


def test_no_bill_is_far_in_the_month_after_the_last_one_only() -> None:
    assert held_back(bill(0, billed=False), past(20_000), None, BOUNDS)
    assert "" == held_back(bill(0, billed=False), past(20_000, ended=date(2026, 10, 1)), None, BOUNDS)
    assert held_back(bill(0), past(20_000, ended=date(2026, 10, 1)), None, BOUNDS), "a bill of nothing is a bill"


def test_a_release_covers_what_is_near_to_what_was_released() -> None:
    release = Release(total_minor=90_000, waiting=0)
    assert "" == held_back(bill(90_000), past(10_000), release, BOUNDS)
    assert "" == held_back(bill(270_000), past(10_000), release, BOUNDS)
    assert held_back(bill(270_001), past(10_000), release, BOUNDS)


def test_usage_that_waits_holds_back_unless_that_much_was_released() -> None:
    assert "2 events wait for a price, and would not be billed" == held_back(bill(1, waiting=2), None, None, BOUNDS)
    assert "1 event waits for a price, and would not be billed" == held_back(bill(1, waiting=1), None, None, BOUNDS)
    release = Release(total_minor=1, waiting=2)
    assert "" == held_back(bill(1, waiting=2), None, release, BOUNDS)
    assert held_back(bill(1, waiting=3), None, release, BOUNDS)
    assert "" == held_back(bill(1, waiting=2), None, None, Bounds(waiting=False))


def test_all_reasons_are_said() -> None:
    held = replace(bill(90_000, waiting=1), mismatches=("one count differs",))
    said = held_back(held, past(10_000), None, BOUNDS).split("; ")
    assert ["one count differs", "1 event waits for a price, and would not be billed"] == said[:2]
    assert 3 == len(said)


def test_a_release_covers_the_mismatches_that_were_seen() -> None:
    seen = Release(total_minor=1, waiting=0, mismatches=frozenset({"a", "b"}))
    assert ("a", "c") == unseen(("a", "c"), None)
    assert ("c",) == unseen(("a", "c"), seen)
    assert "c" == held_back(replace(bill(1), mismatches=("a", "c")), None, seen, BOUNDS)
    assert "" == held_back(replace(bill(1), mismatches=("b",)), None, seen, BOUNDS)


def test_of_many_mismatches_the_first_are_named() -> None:
    assert "a; b; c" == in_words("abc")
    assert "a; b; c; and 2 more" == in_words("abcde")


def test_a_release_is_of_what_held_the_bill_back_and_of_nothing_else() -> None:
    seen = (90_000, 2, ("a",))
    assert Release(waiting=2) == Release.of([Cause.WAITING], *seen)
    assert Release(total_minor=90_000) == Release.of([Cause.TOTAL], *seen)
    assert Release(mismatches=frozenset("a")) == Release.of([Cause.MISMATCH], *seen)
    dear = replace(bill(90_000, waiting=2), mismatches=("a",))
    for cause in Cause:
        left = {*Cause} - {cause}
        assert left == {*causes(dear, past(10_000), Release.of([cause], *seen), BOUNDS)}


def test_a_later_release_leaves_what_an_earlier_one_is_of() -> None:
    earlier = Release(total_minor=1, waiting=2, mismatches=frozenset("a"))
    assert earlier == Release().after(earlier)
    assert Release(total_minor=0, waiting=2, mismatches=frozenset("a")) == Release(total_minor=0).after(earlier)
    assert Release(total_minor=1, waiting=3, mismatches=frozenset("b")) == Release(
        waiting=3, mismatches=frozenset("b")
    ).after(earlier)
    assert earlier == earlier.after(None)
