"""Settling: exact sums in 64 bits or beyond, rounding by mode, steps, and stretches of time."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rates.cards import Card
from rates.compiled.calendars import Calendar, calendar_of
from rates.compiled.cards import compile_card
from rates.compiled.chargings import Chargings
from rates.compiled.patterns import microseconds
from rates.money import RoundingMode, rounded
from rates.quantities import INT64_MAX
from rates.settling import Ledger, rounded_column, stepped, stretches
from rates.windows import DAYS, Window
from tests.shop import AT, products


@given(
    st.lists(st.integers(0, 10**6) | st.integers(0, 10**24), min_size=1, max_size=8),
    st.integers(1, 20) | st.integers(1, 10**24),
    st.integers(0, 6),
    st.sampled_from(RoundingMode),
)
@example([1, 3, 5, 2, 0], 2, 0, RoundingMode.HALF_UP)
@example([1, 3, 5, 2, 0], 2, 0, RoundingMode.HALF_EVEN)
@example([1, 3, 5, 2, 0], 20, 1, RoundingMode.HALF_EVEN)
def test_a_column_is_rounded_as_its_values_are(tops: list[int], bottom: int, decimals: int, mode: RoundingMode) -> None:
    expected = [rounded(top * 10**decimals, bottom, mode) for top in tops]
    kind = np.int64 if max(*tops, bottom) <= INT64_MAX else object
    held = [each if each <= INT64_MAX else -1 for each in expected]
    assert held == rounded_column(np.array(tops, dtype=kind), bottom, decimals, mode).tolist()


amounts = st.fractions(0, 10**6, max_denominator=10**12)


@given(st.lists(st.tuples(st.integers(0, 4), amounts, st.integers(0, 10**12)), max_size=12))
def test_a_ledger_sums_exactly_whatever_its_amounts(entries: list[tuple[int, Fraction, int]]) -> None:
    ledger = Ledger()
    for event, amount, quantity in entries:
        pairs = ((1, 7), amount.as_integer_ratio())
        one = np.array([event]), np.array([1], dtype=np.int32), np.array([quantity])
        ledger.add(one[0], pairs, one[1], one[2])
        ledger.add(one[0], pairs, np.array([-1], dtype=np.int32), one[2])
    total, amount_tops, bottom = ledger.sums(5)
    expected = [sum((a * q for e, a, q in entries if e == event), Fraction(0)) for event in range(5)]
    assert expected == [Fraction(int(top), bottom) for top in total]
    assert [Fraction(*ratio) for ratio in ledger.codes] == [Fraction(int(top), bottom) for top in amount_tops]


def chargings(*steps: str) -> Chargings:
    rows = {"row": pa.array(range(len(steps)), pa.int32()), "product": ["voice.outbound"] * len(steps)}
    rows |= {"unit": ["second"] * len(steps), "steps": list(steps)}
    card = Card(id="c", currency="USD", effective_from=AT, rows=pa.table(rows))
    return compile_card(card, products()).terms.chargings


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 200) | st.integers(1, 10**15)), min_size=1, max_size=10),
    st.lists(st.sets(st.integers(1, 150), max_size=4), min_size=3, max_size=3),
)
def test_every_unit_lies_in_the_step_that_has_begun(events: list[tuple[int, int]], further: list[set[int]]) -> None:
    bounds = [[0, *sorted(each)] for each in further]
    kinds = chargings(*(" ".join(f"{bound}:1.{n}{bound}" for bound in each) for n, each in enumerate(bounds)))
    kind = np.array([which for which, _ in events], dtype=np.int32)
    billed = np.array([units for _, units in events])
    found = stepped(kind, kind, billed, kinds)
    expected = [
        (place, step, min(units, end) - start)
        for place, (which, units) in enumerate(events)
        for step, (start, end) in enumerate(zip(bounds[which], [*bounds[which][1:], 10**18], strict=True))
        if units > start
    ]
    assert expected == list(zip(found.place.tolist(), found.step.tolist(), found.quantity.tolist(), strict=True))
    assert len(events) == int(found.is_first.sum())


def calendar() -> Calendar:
    windows = {"day": Window(name="day", days=DAYS, begins=480, ends=1200, split=True)}
    found = calendar_of(Card(id="c", currency="USD", effective_from=AT, windows=windows, rows=pa.table({})))
    assert found is not None
    return found


def cut(micros: int, measured: int, billed: int) -> list[tuple[int, int]]:
    """(class, units) of one event that begins so many microseconds after 20:00 UTC."""
    start = microseconds(AT.replace(hour=20, minute=0)) + micros
    found = stretches(calendar(), np.array([start]), np.array([measured]), np.array([billed]))
    return list(zip(found.window.tolist(), found.quantity.tolist(), strict=True))


@pytest.mark.parametrize(
    ("micros", "measured", "expected"),
    [
        (-10_000_000, 20, [(1, 10), (0, 10)]),
        (-10_000_000, 10, [(1, 10)]),  # it ends where the window does
        (-9_500_000, 20, [(1, 10), (0, 10)]),  # the second that begins at 19:59:59.5 is inside
        (-9_000_001, 20, [(1, 10), (0, 10)]),
        (-9_500_000, 10, [(1, 10)]),  # of the last half second none begins outside
        (0, 20, [(0, 20)]),
        (-1, 20, [(1, 1), (0, 19)]),
        (-1, 1, [(1, 1)]),
    ],
)
def test_a_second_belongs_to_the_window_in_which_it_begins(
    micros: int, measured: int, expected: list[tuple[int, int]]
) -> None:
    assert expected == cut(micros, measured, measured)


def test_what_was_not_measured_is_in_the_last_stretch() -> None:
    assert [(1, 10), (0, 50)] == cut(-10_000_000, 20, 60)
    assert [(1, 60)] == cut(-10_000_000, 10, 60)
