"""Totals: sums by key, equal however events are cut, and refused before they could overflow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rates.quantities import QuantityOverflowError
from rates.totals import summed
from rates.usage import TOTALS, Totals, no_totals


def make_rows(rows: list[tuple[int, ...]]) -> Totals:
    columns = zip(*rows, strict=True) if rows else [[]] * len(TOTALS)
    nothing = no_totals()
    return Totals(
        **{
            name: np.array(list(column), dtype=getattr(nothing, name).dtype)
            for name, column in zip(TOTALS, columns, strict=True)
        }
    )


def rows_of(found: Totals) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(found, name).tolist() for name in TOTALS), strict=True))


_KEY = st.tuples(
    st.integers(-3, 3),
    st.integers(0, 2**40).map(lambda n: n % 3),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(-1, 1),
)
_ROW = st.builds(
    lambda key, events, quantity: (*key, events, quantity), _KEY, st.integers(-5, 5), st.integers(-(2**45), 2**45)
)


@given(st.lists(_ROW, max_size=30))
def test_sums_are_one_row_a_key_in_key_order(rows: list[tuple[int, ...]]) -> None:
    expected: dict[tuple[int, ...], list[int]] = {}
    for row in rows:
        sums = expected.setdefault(row[:5], [0, 0])
        sums[0] += row[5]
        sums[1] += row[6]
    assert [(*key, *sums) for key, sums in sorted(expected.items())] == rows_of(summed(make_rows(rows)))


def test_a_sum_beyond_64_bits_is_refused() -> None:
    with pytest.raises(QuantityOverflowError):
        summed(make_rows([(1, 1, 1, 0, 0, 1, 2**62)] * 2))


def test_the_largest_sum_that_fits_is_exact() -> None:
    found = summed(make_rows([(1, 1, 1, 0, 0, 1, 2**61), (1, 1, 1, 0, 0, 1, 2**61 - 1)]))
    assert 2**62 - 1 == found.quantity[0]
