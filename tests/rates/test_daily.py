"""Counters that are found by adding up days stand where those that are followed item by item do."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rates.tally.counters import run
from rates.tally.daily import DailyRun, Days, Moves, fits_days, run_by_day
from rates.tally.orders import by_payer_and_day

ITEMS = st.lists(st.tuples(st.integers(3, 6), st.integers(20_728, 20_733), st.integers(0, 9)), min_size=1, max_size=40)
BOUNDS = st.lists(st.integers(1, 60), max_size=3, unique=True).map(lambda bounds: np.array(sorted(bounds), np.int64))


@given(items=ITEMS, bounds=BOUNDS, others=BOUNDS)
def test_what_is_told_of_items_in_no_order_of_days_is_what_is_told_of_them_in_order(
    items: list[tuple[int, int, int]], bounds: np.ndarray, others: np.ndarray
) -> None:
    payer, day, fill = (np.array(column, dtype=np.int64) for column in zip(*items, strict=True))
    days = day.astype(np.int32)
    order = by_payer_and_day(payer, days)
    ordered = run(fill[order], payer[order], days[order])
    table = Days.of([payer], [days])
    alone = Moves(fill, table.cell(payer, days), np.zeros(len(fill), dtype=np.bool_))
    (found,) = run_by_day([alone], table, [bounds, others])
    for some in (bounds, others):
        assert ordered.crossed(some).tolist() == found.crossed(some)[order].tolist()
        assert ordered.tiers(some).tolist() == found.tiers(some)[order].tolist()
        assert np.sort(order[ordered.beyond(fill[order], some)]).tolist() == found.beyond(fill, some).tolist()
    crossing = ordered.crossed(bounds)
    assert ordered.start[crossing].tolist() == found.start[order][crossing].tolist()
    places = order[crossing]
    assert ordered.start[crossing].tolist() == found.start_of(places).tolist()
    for name in ("day_start", "day_end", "total"):
        assert getattr(ordered, name).tolist() == getattr(found, name)[order].tolist()


@given(items=ITEMS, bounds=BOUNDS, apart=st.sets(st.tuples(st.integers(3, 6), st.integers(20_728, 20_733))))
def test_days_whose_items_are_replaced_by_others_go_by_those(
    items: list[tuple[int, int, int]], bounds: np.ndarray, apart: set[tuple[int, int]]
) -> None:
    payer, day, fill = (np.array(column, dtype=np.int64) for column in zip(*items, strict=True))
    replaced = np.array([(payer, day) in apart for payer, day, _ in items])
    days = day.astype(np.int32)
    table = Days.of([payer], [days])
    every = Moves(fill, table.cell(payer, days), np.zeros(len(fill), dtype=np.bool_))
    # What is replaced may come to anything: it does not count.
    beside = Moves(*(column[replaced] for column in every))
    without = every._replace(fill=np.where(replaced, 99, fill), replaced=replaced)
    (whole,), (daily, events) = run_by_day([every], table, [bounds]), run_by_day([without, beside], table, [bounds])

    def told(course: DailyRun, fill: np.ndarray) -> list[np.ndarray]:
        beyond = np.isin(np.arange(len(fill)), course.beyond(fill, bounds))
        return [course.start, course.total, course.tiers(bounds), course.crossed(bounds), beyond]

    for one, kept, moved in zip(told(whole, fill), told(daily, fill), told(events, fill[replaced]), strict=True):
        assert one[~replaced].tolist() == kept[~replaced].tolist()
        assert one[replaced].tolist() == moved.tolist()


def test_days_that_are_too_far_apart_are_not_counted_in_a_table() -> None:
    day = np.array([20_728, 20_758], dtype=np.int32)
    assert fits_days(np.array([7, 9]), day)
    assert not fits_days(np.array([7, 1 << 33]), day)
    assert not fits_days(np.zeros(0, dtype=np.int64), day[:0])
