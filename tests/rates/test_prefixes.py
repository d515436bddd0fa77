"""Prefixes: what matches, what is refused, and that a large table is built at once."""

import numpy as np
import pytest

from rates.prefixes import PrefixTable, digit_counts


def _found(prefixes: list[str], numbers: list[int]) -> list[int]:
    return [int(slot) for slot in PrefixTable.of(prefixes).lookup(np.array(numbers, dtype=np.int64))]


def test_a_number_shorter_than_a_prefix_does_not_begin_with_it() -> None:
    assert [-1, 0, 0] == _found(["4400"], [44, 4400, 44001])


def test_a_short_number_falls_back_to_the_prefix_above_the_one_that_its_padding_reached() -> None:
    assert [0, 1, 2] == _found(["4", "440", "44000"], [44, 4400, 44000])


def test_the_empty_prefix_matches_every_number_and_no_number() -> None:
    assert [0, 0, 1] == _found(["", "44"], [0, 33, 44])


def test_no_number_matches_no_prefix_with_digits() -> None:
    assert [-1] == _found(["1"], [0])


def test_a_table_without_prefixes_matches_nothing() -> None:
    assert [-1, -1] == _found([], [0, 4420])


def test_all_fifteen_digits_count() -> None:
    assert [1, 0] == _found(["12345678901234", "123456789012345"], [123456789012345, 123456789012346])


def test_an_empty_column_finds_nothing() -> None:
    assert [] == _found(["1"], [])


@pytest.mark.parametrize("number", [-1, 10**15])
def test_what_is_no_number_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="1 to 15 digits"):
        _found(["1"], [number])


@pytest.mark.parametrize("prefixes", [["1", "1"], ["01"], ["1" * 16]])
def test_prefixes_that_are_none_or_come_twice_are_refused(prefixes: list[str]) -> None:
    with pytest.raises(ValueError, match="prefix"):
        PrefixTable.of(prefixes)


def test_a_quarter_of_a_million_prefixes_answer_like_a_scan_by_length() -> None:
    rng = np.random.default_rng(4)
    lengths = rng.integers(3, 10, 300_000)
    prefixes = np.unique(rng.integers(10 ** (lengths - 1), 10**lengths))[:250_000]
    rng.shuffle(prefixes)
    table = PrefixTable.build(prefixes, digit_counts(prefixes))
    numbers = rng.integers(10**6, 10**12, 20_000)
    slots = {int(prefix): slot for slot, prefix in enumerate(prefixes)}
    expected = []
    for number in map(str, numbers.tolist()):
        begins = [slots[int(number[:end])] for end in range(9, 2, -1) if int(number[:end]) in slots]
        expected.append(begins[0] if begins else -1)
    assert expected == table.lookup(numbers).tolist()
