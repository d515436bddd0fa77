"""Payers that are priced after one another have the lines that they have together."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from rates.cards import Rounding
from rates.deals import Agreed, Commitment, Deal, Discount, Span, agreements_of
from rates.lines import PricedLines
from rates.prices import CHARGE, Price
from rates.pricing import Wanted, crossing_days, price
from rates.terms import CardTerms, Terms
from rates.tiers import Measure, Mode, Schedule, Scope, Selector
from rates.usage import TOTALS, Totals, no_totals
from tests.shop import products

CARDS = ("list@2026-10-01T00:00:00Z", "plan@2026-10-01T00:00:00Z")
FIRST = (date(2026, 10, 1) - date(1970, 1, 1)).days
TEN_PERCENT = Deal(discounts=(Discount(percent=Decimal(10)),))
COMMITTED = Deal(commitment=Commitment(least=Decimal(5)))
ALL_AT_ONCE = 1 << 16


def make_price(card: str, schedule: str, *values: str, element: str = "usage", rounded: bool = False) -> Price:
    return Price(
        card=card,
        currency="USD",
        rounding=Rounding(per="event", decimals=2) if rounded else Rounding(),
        product="voice.outbound",
        element=element,
        destination="",
        number_type="",
        unit="minute",
        unit_size=60,
        base="second",
        prices=tuple(map(Decimal, values)),
        schedule=schedule,
    )


PRICES = (
    make_price(CARDS[0], "s", "0.09", "0.07", "0.05"),
    make_price(CARDS[1], "s", "0.08", "0.03", "0.01"),
    make_price(CARDS[0], "", "0.04"),
    make_price(CARDS[0], "", "0.037", rounded=True),
    make_price(CARDS[0], "", "0.037", element=CHARGE, rounded=True),
)


def make_terms(mode: Mode, *, agreed: bool) -> Terms:
    schedule = Schedule(
        name="s",
        mode=mode,
        up_to=(Decimal(1), Decimal(3)),
        unit="minute",
        measure=Measure.QUANTITY,
        scope=Scope.BILLING_ACCOUNT,
        fill=(Selector(product=("voice.outbound",)),),
    )
    since = datetime(2026, 10, 1, tzinfo=UTC)
    later = replace(schedule, up_to=(Decimal(2), Decimal(4)))
    said = zip(CARDS, (schedule, later), strict=True)
    cards = {card: CardTerms(version=card, effective_from=since, schedules={"s": each}) for card, each in said}
    spans = (Span(date(2026, 10, 1), 2, TEN_PERCENT), Span(date(2026, 10, 3), 29, COMMITTED))
    agreements = agreements_of({2: Agreed(spans=spans, days=31)}) if agreed else None
    return Terms(
        currency="USD", prices=dict(enumerate(PRICES)), products=products(), cards=cards, agreements=agreements
    )


Row = tuple[int, int, int, int, int]
ROWS = st.lists(
    st.tuples(
        st.integers(1, 5), st.integers(0, 3), st.integers(0, 3), st.integers(FIRST, FIRST + 4), st.integers(1, 99)
    ),
    min_size=1,
    max_size=40,
)


def totals_of(rows: Sequence[Row]) -> Totals:
    payer, number, country, day, quantity = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    columns = (payer, payer, number, country, day, np.ones_like(payer), quantity)
    kinds = no_totals()
    named = zip(TOTALS, columns, strict=True)
    return Totals(**{name: column.astype(getattr(kinds, name).dtype) for name, column in named})


def events_of(rows: Sequence[Row], wanted: Wanted) -> Totals:
    days = set(zip(wanted.payer.tolist(), wanted.day.tolist(), strict=True))
    return totals_of([row for row in rows if (row[0], row[3]) in days and PRICES[row[1]].element == "usage"])


def said(lines: PricedLines) -> list[tuple[object, ...]]:
    columns = (lines.payer, lines.key, lines.events, lines.base_quantity, lines.amount_minor)
    return list(zip(*(column.tolist() for column in columns), lines.residuals, lines.cards, strict=True))


UNDER_LATER_TERMS = [(2, 3, 0, FIRST + 4, 60), (3, 3, 0, FIRST, 60), (3, 2, 0, FIRST, 60)]


@example(rows=UNDER_LATER_TERMS, mode=Mode.GRADUATED, agreed=True, at_once=1, shuffled=False)
@given(rows=ROWS, mode=st.sampled_from(Mode), agreed=st.booleans(), at_once=st.integers(1, 9), shuffled=st.booleans())
def test_so_many_rows_at_a_time_are_priced_as_all_are(
    rows: list[Row], mode: Mode, *, agreed: bool, at_once: int, shuffled: bool
) -> None:
    """With tiers of two cards, deals that change in the month, and events that were rounded by themselves."""
    terms = make_terms(mode, agreed=agreed)
    rows = rows + [
        (payer, 4, country, day, 7) for payer, number, country, day, _ in rows if number == 3
    ]  # what it comes to
    rows = rows if shuffled else sorted(rows)
    totals = totals_of(rows)
    wanted = crossing_days(totals, no_totals(), terms, rows_at_once=ALL_AT_ONCE)
    found = crossing_days(totals, no_totals(), terms, rows_at_once=at_once)
    assert [column.tolist() for column in wanted] == [column.tolist() for column in found]
    crossings = events_of(rows, wanted)
    whole = price(totals, crossings, terms, rows_at_once=ALL_AT_ONCE)
    parts = price(totals, crossings, terms, rows_at_once=at_once)
    assert list(whole.keys) == list(parts.keys)
    assert said(whole) == said(parts)
