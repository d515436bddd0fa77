"""Netting: what is divided adds up, and lines of those who agreed nothing stay as they are, the very same."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rates.deals import Agreed, Agreements, Commitment, Credit, Deal, Span, agreements_of, under
from rates.lines import LineKey, PricedLines
from rates.money import currency
from rates.netting import CREDIT, MAXIMUM_SPEND, TRUE_UP, apportioned, bound_minor, net
from rates.ratios import Ratios
from rates.terms import Terms

SINCE = date(2026, 10, 1)


def key(product: str, price: str = "0.01") -> LineKey:
    return LineKey(product, "usage", "US", "", "", Fraction(price), "unit", 1, "unit")


def priced(*lines: tuple[int, str, int], residual: Fraction = Fraction(0), code: str = "USD") -> PricedLines:
    """Lines of (payer, product, minor units)."""
    keys = sorted({key(product) for _, product, _ in lines})
    n = len(lines)
    return PricedLines(
        currency=code,
        keys=keys,
        payer=np.array([payer for payer, *_ in lines], dtype=np.int64),
        key=np.array([keys.index(key(product)) for _, product, _ in lines], dtype=np.int32),
        events=np.ones(n, dtype=np.int64),
        base_quantity=np.array([minor for *_, minor in lines], dtype=np.int64),
        amount_minor=np.array([minor for *_, minor in lines], dtype=np.int64),
        residuals=Ratios(
            numerator=np.full(n, residual.numerator, dtype=np.int64),
            denominator=np.full(n, residual.denominator, dtype=np.int64),
        ),
        cards=[("list@2026",)] * n,
    )


def terms(agreements: Agreements | None, code: str = "USD") -> Terms:
    return Terms(currency=code, prices={}, products={}, cards={}, agreements=agreements)


def agreed(deal: Deal, *payers: int, used: int = 0) -> Agreements | None:
    spans = (Span(SINCE, 31, deal),)
    return agreements_of({payer: Agreed(spans=spans, days=31, used={"c": used}) for payer in payers})


def said(lines: PricedLines) -> list[tuple[int, str, str, int]]:
    """Payer, product, element and amount of each line, in order."""
    keys = [lines.keys[number] for number in lines.key.tolist()]
    amounts = zip(lines.payer.tolist(), keys, lines.amount_minor.tolist(), strict=True)
    return [(payer, about.product, about.element, minor) for payer, about, minor in amounts]


@given(st.lists(st.fractions(0, 50), min_size=1, max_size=8), st.integers(0, 400))
def test_what_is_divided_adds_up_and_is_off_by_less_than_one(weights: list[Fraction], total: int) -> None:
    shares = apportioned(total, weights)
    if not sum(weights):
        assert not any(shares)
        return
    assert total == sum(shares)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(total) * weight / sum(weights)) < 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.data())
def test_nothing_gets_a_larger_share_than_it_is(weights: list[int], data: st.DataObject) -> None:
    shares = apportioned(data.draw(st.integers(0, sum(weights))), weights)
    assert all(0 <= share <= weight for share, weight in zip(shares, weights, strict=True))


def test_of_equal_remainders_the_first_has_the_rest() -> None:
    assert [2, 2, 1] == apportioned(5, [1, 1, 1])


@pytest.mark.parametrize(
    ("amount", "days", "of", "code", "minor"),
    [
        ("5000", 16, 31, "USD", 258065),
        ("5000", 31, 31, "USD", 500000),
        ("1000", 11, 31, "JPY", 355),
        ("1", 1, 31, "KWD", 30),
        ("0.01", 1, 2, "USD", 1),
    ],
)
def test_a_part_of_a_month_is_rounded_once_to_the_invoice_step(
    amount: str, days: int, of: int, code: str, minor: int
) -> None:
    assert minor == bound_minor(Decimal(amount), days, of, currency(code))


def test_lines_of_those_who_agreed_nothing_are_the_very_same() -> None:
    lines = priced((1, "voice", 100))
    assert net(lines, terms(None), [1]) is lines
    assert net(lines, terms(agreed(Deal(commitment=Commitment(least=Decimal(5))), 2)), [1]) is lines


def test_the_lines_of_others_keep_their_order_and_residuals() -> None:
    lines = priced((1, "sms", 100), (1, "voice", 7), (2, "sms", 5), (3, "voice", 1), residual=Fraction(1, 300))
    found = net(lines, terms(agreed(Deal(commitment=Commitment(least=Decimal(1))), 2)), [1, 2, 3, 4])
    assert [
        (1, "sms", "usage", 100),
        (1, "voice", "usage", 7),
        (2, "", TRUE_UP, 95),
        (2, "sms", "usage", 5),
        (3, "voice", "usage", 1),
    ] == said(found)
    assert [Fraction(1, 300)] * 2 + [Fraction(0)] + [Fraction(1, 300)] * 2 == list(found.residuals)
    assert [1, 1, 0, 1, 1] == found.events.tolist()
    assert [(), ("list@2026",)] == [found.cards[2], found.cards[3]]


def test_a_payer_without_a_line_owes_its_minimum() -> None:
    found = net(priced(), terms(agreed(Deal(commitment=Commitment(least=Decimal(1))), 4)), [4])
    assert [(4, "", TRUE_UP, 100)] == said(found)


def test_what_a_credit_paid_before_is_gone() -> None:
    deal = Deal(credits=(Credit(id="c", amount=Decimal(1)),))
    lines = priced((1, "voice", 200))
    for used, paid in ((0, 100), (40, 60), (99, 1)):
        found = net(lines, terms(agreed(deal, 1, used=used)), [])
        assert [(1, "voice", CREDIT, -paid), (1, "voice", "usage", 200)] == said(found)
    for used in (100, 150):
        assert [(1, "voice", "usage", 200)] == said(net(lines, terms(agreed(deal, 1, used=used)), []))


def test_dinars_are_divided_in_steps_of_ten() -> None:
    deal = Deal(commitment=Commitment(most=Decimal("0.050")))
    lines = priced((1, "a", 40), (1, "b", 40), (1, "c", 40), code="KWD")
    found = net(lines, terms(agreed(deal, 1), "KWD"), [])
    assert [-30, -20, -20] == [minor for *_, element, minor in said(found) if element == MAXIMUM_SPEND]


def test_amounts_beyond_64_bits_are_refused() -> None:
    deal = Deal(commitment=Commitment(least=Decimal(999999999999999999999)))
    with pytest.raises(Exception, match="64 bits"):
        net(priced(), terms(agreed(deal, 1)), [1])


def test_lines_that_come_apart_by_their_terms_are_put_together() -> None:
    """Also where nothing is added, and each line is of one card: exact amounts are summed, and rounded once."""
    one, two = Deal(commitment=Commitment(most=Decimal(100))), Deal(commitment=Commitment(most=Decimal(200)))
    spans = (Span(SINCE, 10, one), Span(date(2026, 10, 11), 21, two))
    apart = under(np.array([1, 1], dtype=np.int64), np.array([0, 1], dtype=np.int64))
    numbers = [*apart.tolist(), 3]
    lines = priced(*((number, "voice", 10) for number in sorted(numbers)), residual=Fraction(1, 250))
    found = net(lines, terms(agreements_of({1: Agreed(spans=spans, days=31)})), [1, 3])
    assert [(1, "voice", "usage", 21), (3, "voice", "usage", 10)] == said(found)
    assert [Fraction(-1, 500), Fraction(1, 250)] == list(found.residuals)
    assert [(2, 20), (1, 10)] == list(zip(found.events.tolist(), found.base_quantity.tolist(), strict=True))
    assert [("list@2026",)] * 2 == list(found.cards)


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        # openmeterio/openmeter: pkg/currencyx/currency_test.go, allocation_test.go
        (10000, ["1", "2", "3"], [1667, 3333, 5000]),
        (500, ["10", "5"], [333, 167]),
        (1, ["100", "1"], [1, 0]),
        (600, ["10", "5"], [400, 200]),
        # meteroid-oss/meteroid: modules/meteroid/crates/meteroid-store/src/services/invoice_lines/discount.rs
        (900, ["3.33", "3.33", "3.34"], [300, 300, 300]),
    ],
)
def test_published_divisions_come_out_alike(total: int, weights: list[str], shares: list[int]) -> None:
    assert shares == apportioned(total, [Fraction(weight) for weight in weights])


@pytest.mark.parametrize(
    ("code", "billed", "commitment", "lacks"),
    [
        # flexprice/flexprice: internal/ee/service/billing_rounding_test.go, usage rounded first: 8500.5 and 749.996
        ("JPY", 8501, "10000", 1499),
        ("USD", 75000, "1000", 25000),
    ],
)
def test_published_true_ups_come_out_alike(code: str, billed: int, commitment: str, lacks: int) -> None:
    deal = Deal(commitment=Commitment(least=Decimal(commitment)))
    found = net(priced((1, "voice", billed), code=code), terms(agreed(deal, 1), code), [])
    assert [(1, "", TRUE_UP, lacks), (1, "voice", "usage", billed)] == said(found)
