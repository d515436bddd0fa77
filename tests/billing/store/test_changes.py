"""Changes of the totals: what of one key is added up, exactly, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.store.changes import columns_of, countries_of, summed
from rates.numbering import COUNTRY_CODES
from rates.quantities import INT64_MAX
from rates.usage import TOTALS, Totals

BEYOND_A_FLOAT = 2**53 + 1
LARGEST = {"payer": 2**31 - 1, "account": 2**31 - 1, "price": 2**31 - 1, "country": 676, "day": 2**16}
TYPES = {"price": np.int32, "country": np.int16, "day": np.int32}


def rows_of(rows: list[tuple[int, ...]]) -> Totals:
    columns = zip(*rows, strict=True) if rows else [()] * len(TOTALS)
    return Totals(**{n: np.array(c, TYPES.get(n, np.int64)) for n, c in zip(TOTALS, columns, strict=True)})


def told(totals: Totals) -> list[tuple[int, ...]]:
    return sorted(zip(*(getattr(totals, name).tolist() for name in TOTALS), strict=True))


def changes(*quantities: int, account: int = 1) -> Totals:
    """One event of each quantity, all of one key."""
    return rows_of([(1, account, 3, COUNTRY_CODES["GB"], 20_000, 1, quantity) for quantity in quantities])


def test_changes_of_one_key_are_one_exact_sum() -> None:
    found = summed(changes(BEYOND_A_FLOAT, 2).plus(changes(5, account=2)).plus(changes(2)))
    assert [(1, 3, BEYOND_A_FLOAT + 4), (2, 1, 5)] == [(row[1], *row[-2:]) for row in told(found)]


@given(st.lists(st.tuples(*(st.sampled_from([0, 1, most - 1, most]) for most in LARGEST.values())), max_size=30))
def test_changes_are_of_one_key_if_they_are_alike_in_all_of_it(keys: list[tuple[int, ...]]) -> None:
    expected: dict[tuple[int, ...], list[int]] = {}
    for place, key in enumerate(keys):
        sums = expected.setdefault(key, [0, 0])
        sums[0], sums[1] = sums[0] + 1, sums[1] + place - 3
    found = summed(rows_of([(*key, 1, place - 3) for place, key in enumerate(keys)]))
    assert sorted((*key, *sums) for key, sums in expected.items()) == told(found)


def test_changes_whose_sum_could_leave_64_bits_stay_apart_and_the_others_are_added_up() -> None:
    """One huge charge refused the whole batch: nobody's usage in it was taken in."""
    found = summed(changes(INT64_MAX, 1, -INT64_MAX, 2).plus(changes(5, 6, account=2)))
    assert [(1, -INT64_MAX), (1, 3), (1, INT64_MAX), (2, 11)] == sorted((row[1], row[-1]) for row in told(found))
    assert 6 == int(found.events.sum())


def test_nothing_adds_nothing() -> None:
    assert 0 == len(summed(rows_of([])))


def test_a_country_is_told_by_its_letters_and_none_by_no_letter() -> None:
    codes = np.array([COUNTRY_CODES[name] for name in ("ZZ", "", "GB", "AA")], dtype=np.int16)
    assert ["ZZ", "", "GB", "AA"] == countries_of(codes).to_pylist()


@pytest.mark.parametrize("column", ["payer", "account"])
def test_a_number_is_written_as_wide_as_its_column(column: str) -> None:
    largest = replace(changes(1), **{column: np.array([2**31 - 1])})
    written = columns_of(largest)[f"{column}_id"]
    assert (np.int32, [2**31 - 1]) == (written.dtype, written.tolist())
