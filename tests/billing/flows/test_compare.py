"""Two months side by side: what moved, what is new and lost, and which card version did it."""

from fractions import Fraction

import pytest

from billing.bounds import Bounds
from billing.comparison import What
from billing.flows.compare import compare_periods
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.periods import Period
from billing.runs import GRACE, PeriodNotDrawnError
from tests.shop import OCTOBER, Shop, call, card, products

NOVEMBER = Period.parse("2026-11")
CLOSED = NOVEMBER.closes + GRACE
FACTOR = Fraction(3)


def talk(shop: Shop, number: int, account: str, minutes: int, day: str) -> None:
    each = call(number, account=account, duration_seconds=str(60 * minutes), occurred_at=f"2026-{day}T00:00:00Z")
    shop.post(each, at=CLOSED)


def stock(shop: Shop, price: str) -> None:
    """October issued at 0.02 a minute: acme and bolt; November drawn up at another price: acme and core."""
    shop.publish()
    shop.publish(card(f"voice.outbound,44,minute,60/60,{price}", since="2026-11-01"))
    shop.admit("acme", "bolt", "core")
    for number, (account, minutes, day) in enumerate(
        [("acme", 100, "10-05"), ("bolt", 50, "10-05"), ("acme", 150, "11-05"), ("core", 10, "11-05")]
    ):
        talk(shop, number, account, minutes, day)
    at = OCTOBER.closes + GRACE
    draw_up(shop.engine, products(), OCTOBER, at, write=True)
    finalize(shop.engine, OCTOBER, at)


def test_what_moved_is_told_in_money_and_percent(shop: Shop) -> None:
    stock(shop, "0.03")
    draw_up(shop.engine, products(), NOVEMBER, CLOSED, write=True)
    since, changes = compare_periods(shop.engine, NOVEMBER, None, factor=FACTOR)
    assert OCTOBER == since
    found = [(each.what, each.name, each.before_minor, each.after_minor, each.percent, each.note) for each in changes]
    assert [
        (What.TOTAL, "", 300, 480, "60.0", ""),
        (What.PRODUCT, "voice.outbound", 300, 480, "60.0", ""),
        (What.ACCOUNT, "acme", 200, 450, "125.0", ""),
        (What.ACCOUNT, "bolt", 100, None, "-100.0", "lost"),
        (What.ACCOUNT, "core", None, 30, "", "new"),
    ] == found[:5]
    assert [(What.CARD, "not billed any more"), (What.CARD, "new")] == [(each[0], each[5]) for each in found[5:7]]
    (price,) = changes[7:]
    assert ("0.02", "0.03", False) == (price.before, price.after, price.beyond)
    assert not any(each.beyond for each in changes)


def test_a_price_that_is_ten_times_what_it_was_breaks_the_bound(shop: Shop) -> None:
    stock(shop, "0.2")
    draw_up(shop.engine, products(), NOVEMBER, CLOSED, write=True)
    _, changes = compare_periods(shop.engine, NOVEMBER, OCTOBER, factor=FACTOR)
    (price,) = (each for each in changes if each.beyond)
    assert (What.PRICE, "0.02", "0.2") == (price.what, price.before, price.after)


def test_an_account_that_is_held_back_is_told_with_what_it_would_be_billed(shop: Shop) -> None:
    stock(shop, "0.2")
    draw_up(shop.engine, products(), NOVEMBER, CLOSED, write=True, bounds=Bounds(least=1))
    _, changes = compare_periods(shop.engine, NOVEMBER, OCTOBER, factor=FACTOR)
    acme = next(each for each in changes if each.name == "acme")
    assert (200, 3000, "1400.0", True) == (acme.before_minor, acme.after_minor, acme.percent, acme.beyond)
    assert acme.note.startswith("parked: its total of 30.00 USD is more than 3 times 2.00")
    sums = [(each.what, each.before_minor, each.after_minor) for each in changes if not each.name]
    assert [(What.TOTAL, 300, 200), (What.HELD, 0, 3000), (What.IN_ALL, 300, 3200)] == sums, "held back is in no total"
    assert [200] == [each.after_minor for each in changes if each.what is What.PRODUCT]


def test_who_was_held_back_in_the_month_before_is_new(shop: Shop) -> None:
    stock(shop, "0.2")
    draw_up(shop.engine, products(), NOVEMBER, CLOSED, write=True, bounds=Bounds(least=1))
    december = Period.parse("2026-12")
    talk(shop, 9, "acme", 10, "12-05")
    draw_up(shop.engine, products(), december, december.closes + GRACE, write=True)
    _, changes = compare_periods(shop.engine, december, NOVEMBER, factor=FACTOR)
    acme = next(each for each in changes if each.name == "acme")
    assert (None, 200, "new", False) == (acme.before_minor, acme.after_minor, acme.note, acme.beyond)


def test_a_month_that_was_never_drawn_up_is_not_compared(shop: Shop) -> None:
    for period, against in [(OCTOBER, None), (OCTOBER, NOVEMBER)]:
        with pytest.raises(PeriodNotDrawnError, match="tollbook invoices run 2026-10"):
            compare_periods(shop.engine, period, against, factor=FACTOR)
    stock(shop, "0.03")
    with pytest.raises(PeriodNotDrawnError, match="2026-11"):
        compare_periods(shop.engine, OCTOBER, NOVEMBER, factor=FACTOR)


def test_without_an_issued_month_there_is_nothing_to_compare_with(shop: Shop) -> None:
    stock(shop, "0.03")
    assert (None, ()) == compare_periods(shop.engine, OCTOBER, None, factor=FACTOR)
