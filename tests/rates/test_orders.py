"""Orders and numbers that are found by counting are those that sorting finds."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rates.packing import joined
from rates.tally.orders import Numbers, by_payer_and_day, days_among, distinct_days, stretches
from rates.usage import TOTALS, Totals

values = st.lists(st.one_of(st.integers(0, 9), st.integers(-(2**62), 2**62)), max_size=30)
payers = st.one_of(st.integers(0, 5), st.integers(0, 1 << 33))
days = st.one_of(st.integers(20_728, 20_740), st.integers(0, 1_000_000))
pairs = st.lists(st.tuples(payers, days), min_size=1, max_size=30)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([payer for payer, _ in rows], dtype=np.int64), np.array([day for _, day in rows], dtype=np.int32)


@given(values, values)
def test_values_are_numbered_in_their_order(some: list[int], others: list[int]) -> None:
    columns = [np.array(each, dtype=np.int64) for each in (some, others)]
    numbers = Numbers.of(columns)
    assert sorted({*some, *others}) == numbers.values.tolist()
    assert [some, others] == [numbers.values[numbers.place(column)].tolist() for column in columns]


@given(pairs)
def test_rows_come_by_payer_and_day_and_else_as_they_stood(rows: list[tuple[int, int]]) -> None:
    for some in (rows, sorted(rows)):
        assert sorted(range(len(some)), key=lambda row: some[row]) == by_payer_and_day(*columns(some)).tolist()


@given(pairs, pairs)
def test_days_are_among_others(rows: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    assert [row in others for row in rows] == days_among(*columns(rows), *columns(others)).tolist()


@given(st.one_of(pairs, st.just([])))
def test_each_day_of_a_payer_is_named_once_and_in_order(rows: list[tuple[int, int]]) -> None:
    payer, day = distinct_days(*columns(rows))
    assert sorted(set(rows)) == list(zip(payer.tolist(), day.tolist(), strict=True))
    assert day.dtype == np.int32


def test_more_payers_than_sixteen_bits_hold_are_in_order() -> None:
    payer = np.random.default_rng(7).permutation(200_000).astype(np.int64)
    day = np.full(len(payer), 20_728, dtype=np.int32)
    assert (np.arange(200_000) == payer[by_payer_and_day(payer, day)]).all()


def totals_of(rows: list[tuple[int, int]]) -> Totals:
    payer, day = columns(rows)
    place = np.arange(len(rows))
    kinds = {"price": np.int32, "country": np.int16}
    numbered = {name: place.astype(kinds.get(name, np.int64)) for name in TOTALS}
    return Totals(**(numbered | {"payer": payer, "day": day}))


@given(pairs, st.one_of(pairs, st.just([])), st.integers(1, 9))
def test_all_of_a_payer_is_in_one_stretch_and_stretches_come_in_the_order_of_payers(
    rows: list[tuple[int, int]], events: list[tuple[int, int]], rows_at_once: int
) -> None:
    totals, crossings = totals_of(rows), totals_of(events)
    found = stretches(totals, crossings, rows_at_once)
    payers = [{*each.totals.payer.tolist(), *each.crossings.payer.tolist()} for each in found]
    assert all(payers)
    assert all(max(before) < min(after) for before, after in pairwise(payers))
    for whole, parts in ((totals, [each.totals for each in found]), (crossings, [each.crossings for each in found])):
        order = np.argsort(whole.payer, kind="stable")
        assert whole.take(order).quantity.tolist() == joined(parts).quantity.tolist()
