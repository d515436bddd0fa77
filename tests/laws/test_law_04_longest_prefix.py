"""Law 4: longest prefix = brute force."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rates.prefixes import PrefixTable

# Few digits, so that prefixes nest and numbers fall on them; zeros, since padding is where tries go wrong.
_DIGITS = st.one_of(
    st.just(""),
    st.builds("{}{}".format, st.sampled_from("124"), st.text("0049", max_size=14)),
)


def _longest(prefixes: list[str], number: str) -> int:
    begins = [(len(prefix), slot) for slot, prefix in enumerate(prefixes) if number.startswith(prefix)]
    return max(begins)[1] if begins else -1


@st.composite
def _prefixes_and_numbers(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    prefixes = draw(st.lists(_DIGITS, unique=True, max_size=40))
    cut = st.builds(lambda prefix, end: prefix[:end], st.sampled_from(prefixes or [""]), st.integers(0, 15))
    longer = st.builds(lambda prefix, more: (prefix + more)[:15] if prefix else "", cut, st.text("0123456789"))
    return prefixes, draw(st.lists(st.one_of(_DIGITS, cut, longer), max_size=60))


@given(_prefixes_and_numbers())
def test_every_number_falls_to_the_longest_prefix_that_it_begins_with(case: tuple[list[str], list[str]]) -> None:
    prefixes, numbers = case
    table = PrefixTable.of(prefixes)
    found = table.lookup(np.array([int(number or 0) for number in numbers], dtype=np.int64))
    assert [_longest(prefixes, number) for number in numbers] == found.tolist()


@given(_prefixes_and_numbers())
def test_the_parent_of_a_prefix_is_the_longest_other_one_that_it_begins_with(
    case: tuple[list[str], list[str]],
) -> None:
    prefixes, _ = case
    expected = []
    for prefix in prefixes:
        others = [(len(one), slot) for slot, one in enumerate(prefixes) if prefix.startswith(one) and one != prefix]
        expected.append(max(others)[1] if others else -1)
    assert expected == PrefixTable.of(prefixes).parent.tolist()
