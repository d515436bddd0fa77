"""Packing: sums by sorting come to the sums by key, however many chunks and ranges there are."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rates.packing import Packing, joined, room
from rates.totals import summed
from rates.usage import MICROSECONDS_A_DAY, TOTALS, Totals


def random_rows(seed: int, many: int) -> Totals:
    rng = np.random.default_rng(seed)
    account = rng.integers(3, 3 + int(rng.integers(1, 30)), many)
    return Totals(
        payer=account // 3 if seed % 2 else rng.integers(-2, 3, many),
        account=account,
        price=rng.integers(100, 100 + int(rng.integers(1, 9)), many).astype(np.int32),
        country=rng.integers(0, 3, many).astype(np.int16),
        day=rng.integers(-1, 3, many).astype(np.int32),
        events=np.ones(many, dtype=np.int64),
        quantity=rng.integers(0, 1000, many),
    )


def rows_of(found: Totals) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(found, name).tolist() for name in TOTALS), strict=True))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), many=st.integers(1, 400), chunk=st.integers(1, 100), size=st.integers(1, 100))
@example(seed=1438, many=2, chunk=1, size=1)  # each account has one payer, and the later account the lesser one
def test_packed_sums_are_the_sums_by_key(seed: int, many: int, chunk: int, size: int) -> None:
    rows = random_rows(seed, many)
    packing = Packing.of(rows.day.astype(np.int64) * MICROSECONDS_A_DAY, rows.payer, rows.account, 100, 108)
    assert packing.quantity_bits > 0
    packed = [packing.pack(rows.take(np.arange(start, min(start + chunk, many)))) for start in range(0, many, chunk)]
    assert all(len(rest) == 0 for _, rest in packed)
    ranges = [packing.merged(runs) for runs in packing.ranges([each for each, _ in packed], size)]
    found, stretches = room(ranges)
    for merged, stretch in zip(ranges, stretches, strict=True):
        packing.write(merged, stretch)
    assert rows_of(summed(rows)) == rows_of(packing.ordered(found))


def test_quantities_beyond_the_spare_bits_are_left_to_others() -> None:
    rows = random_rows(1, 10)
    rows.quantity[3] = 2**50
    packing = Packing.of(rows.day.astype(np.int64) * MICROSECONDS_A_DAY, rows.payer, rows.account, 100, 108)
    packed, rest = packing.pack(rows)
    assert (9, [2**50]) == (len(packed), rest.quantity.tolist())


def test_what_is_counted_as_no_event_is_left_to_others() -> None:
    rows = random_rows(1, 10)
    rows.events[3] = 0
    packing = Packing.of(rows.day.astype(np.int64) * MICROSECONDS_A_DAY, rows.payer, rows.account, 100, 108)
    packed, rest = packing.pack(rows)
    assert (9, [0]) == (len(packed), rest.events.tolist())


def test_keys_too_wide_for_a_number_are_not_packed() -> None:
    rows = random_rows(1, 10)
    rows.account[0] = 2**60
    packing = Packing.of(rows.day.astype(np.int64) * MICROSECONDS_A_DAY, rows.payer, rows.account, 100, 108)
    packed, rest = packing.pack(rows)
    assert (0, 10) == (len(packed), len(rest))


def test_joined_rows_keep_their_order() -> None:
    rows = random_rows(2, 7)
    assert rows_of(rows) == rows_of(joined([rows.take(np.arange(4)), rows.take(np.arange(4, 7))]))
