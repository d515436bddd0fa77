from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from billing.invoices import Party
from billing.periods import Period
from billing.statements import compose, progress
from rates.lines import FLAT, LineKey, Parts, lines_of
from rates.money import Currency
from rates.pricing import Standing
from rates.tiers import Measure, Mode, Schedule, Scope, Selector

USD = Currency("USD")


def standing(
    position: int, *, mode: Mode = Mode.GRADUATED, scope: Scope = Scope.BILLING_ACCOUNT, size: int = 60
) -> Standing:
    """A counter with bounds at 10 and 20 minutes."""
    schedule = Schedule(
        name="voice",
        mode=mode,
        up_to=(Decimal(10), Decimal(20)),
        unit="minute" if size == 60 else "event",
        measure=Measure.QUANTITY if size == 60 else Measure.EVENTS,
        scope=scope,
        fill=(Selector(),),
    )
    return Standing(schedule, 7, position, (10 * size, 20 * size), size)


@pytest.mark.parametrize(
    ("position", "mode", "tier", "threshold", "to_go"),
    [
        (0, Mode.GRADUATED, 1, "10", "10"),
        (330, Mode.GRADUATED, 1, "10", "4.5"),
        (600, Mode.GRADUATED, 2, "20", "10"),  # the next unit is in tier 2
        (600, Mode.VOLUME, 1, "10", "0"),  # all units so far are in tier 1, which holds its bound
        (601, Mode.VOLUME, 2, "20", "9.983333"),
        (1200, Mode.GRADUATED, 3, "", ""),
        (9999, Mode.VOLUME, 3, "", ""),
    ],
)
def test_progress_says_the_tier_and_what_is_left_to_the_next(
    position: int, mode: Mode, tier: int, threshold: str, to_go: str
) -> None:
    found = progress(standing(position, mode=mode), "acme", "USD")
    assert (tier, 3, threshold, to_go) == (found.tier, found.tiers, found.next_threshold, found.to_go)


def test_a_counter_of_events_counts_in_events_and_one_of_an_account_names_it() -> None:
    assert ("event", "5") == ((found := progress(standing(5, size=1), "acme", "USD")).unit, found.position)
    assert "" == found.account
    assert "acme-fr" == progress(standing(5, scope=Scope.ACCOUNT), "acme-fr", "USD").account


def test_a_statement_sums_its_lines_by_product_and_country_the_largest_first() -> None:
    parts = Parts()
    for product, country, quantity in [("sms", "US", 1), ("voice", "US", 5), ("voice", "FR", 9), ("", "", 100)]:
        element, price = ("usage", Fraction(1, 100)) if product else (FLAT, Fraction(1))
        key = LineKey(product, element, country, "", "", price, "unit", 1, "unit")
        columns = (7, parts.line(key), parts.version("list@x"), 1, quantity)
        parts.add(*(np.array([value], dtype=np.int64) for value in columns))
    found = compose(
        lines_of(parts, USD),
        [standing(330)],
        Party(account="acme", currency=USD),
        {7: "acme"},
        period=Period.parse("2026-10"),
        at=datetime(2026, 10, 9, tzinfo=UTC),
        estimate=True,
    )
    assert 10_015 == found.total_minor == sum(line.amount_minor for line in found.lines)
    assert {FLAT: 10_000, "voice": 14, "sms": 1} == found.by_product
    assert ["", "FR", "US"] == list(found.by_country)
    assert found.estimate
    assert "5.5" == found.progress[0].position
