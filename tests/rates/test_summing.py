"""Pieces add up to the same lines however many of their rows are taken at a time."""

from collections import Counter
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rates.lines import LineKey
from rates.numbering import COUNTRIES
from rates.summing import NOWHERE, Piece, Ranked, sums_of

FAMILIES = [
    LineKey("voice", "usage", "", name, "", Fraction(1, 100), "minute", 60, "second") for name in ("mobile", "fixed")
]
VERSIONS = ["a@1", "b@1"]
lines = st.one_of(st.just(NOWHERE), st.integers(0, len(FAMILIES) * len(COUNTRIES) - 1))
rows = st.tuples(st.integers(0, 6), lines, st.integers(0, 1), st.integers(0, 3), st.integers(0, 99))
pieces = st.lists(st.lists(rows, max_size=30), max_size=3)


@given(given_pieces=pieces, rows_at_once=st.integers(1, 8))
def test_each_line_of_each_payer_is_summed_once_and_nothing_that_is_nowhere(
    given_pieces: list[list[tuple[int, ...]]], rows_at_once: int
) -> None:
    columns = [np.array(some, dtype=np.int64).reshape(-1, 5).T for some in given_pieces]
    some = [Piece(*each) for each in columns]
    ranked = Ranked.of(FAMILIES, [piece.line for piece in some])
    found = sums_of(some, ranked, VERSIONS, rows_at_once=rows_at_once)
    events, quantity, cards = Counter[tuple[int, int]](), Counter[tuple[int, int]](), dict[tuple[int, int], set[str]]()
    for payer, line, version, counted, units in (row for each in given_pieces for row in each):
        if line != NOWHERE:
            name = payer, int(ranked.rank(np.array([line]))[0])
            events[name] += counted
            quantity[name] += units
            cards.setdefault(name, set()).add(VERSIONS[version])
    names = sorted(cards)
    assert names == list(zip(found.payer.tolist(), found.rank.tolist(), strict=True))
    assert [events[name] for name in names] == found.events.tolist()
    assert [quantity[name] for name in names] == found.quantity.tolist()
    assert [tuple(sorted(cards[name])) for name in names] == found.cards
