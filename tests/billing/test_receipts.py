"""Receipts: cut up for those who handed payloads in together, and put together for one whose were cut up."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from billing.receipts import OUTCOMES, Finding, Receipt, joined
from rates.usage import Texts


@st.composite
def receipts(draw: st.DrawFn) -> tuple[Receipt, list[int]]:
    """A receipt of some payloads in no order, and how many of them belong to whom."""
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    n = sum(sizes)
    some = st.lists(st.integers(0, max(n - 1, 0)), max_size=n, unique=True)
    row = draw(some)
    return Receipt(
        outcomes=np.array(draw(st.lists(st.integers(0, len(OUTCOMES) - 1), min_size=n, max_size=n)), dtype=np.int8),
        findings={place: Finding(pointer=f"/{place}", reason="why") for place in draw(some)},
        zero_rated=np.arange(n, dtype=np.int8),
        unbilled=Texts(np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int32), ("", "a", "b")),
        row=np.array(row, dtype=np.int64),
        id=pa.array([f"id-{place}" for place in row], pa.string()),
        revision=np.array([1 + place for place in row], dtype=np.int32),
        amended=np.array(draw(some), dtype=np.int64),
        voids=np.array(draw(some), dtype=np.int64),
    ), sizes


@given(receipts())
def test_each_has_what_became_of_its_own_payloads(drawn: tuple[Receipt, list[int]]) -> None:
    whole, sizes = drawn
    begins = 0
    for part, size in zip(whole.split(sizes), sizes, strict=True):
        rows = range(begins, begins + size)
        assert [whole.outcome(row) for row in rows] == [part.outcome(place) for place in range(size)]
        assert [whole.reason(row) for row in rows] == [part.reason(place) for place in range(size)]
        assert {row - begins: whole.findings[row] for row in rows if row in whole.findings} == part.findings
        assert {row - begins: id_ for row, id_ in whole.ids().items() if row in rows} == part.ids()
        assert {row - begins: number for row, number in whole.revisions().items() if row in rows} == part.revisions()
        assert sorted(row - begins for row in whole.amended.tolist() if row in rows) == part.amended.tolist()
        assert sorted(row - begins for row in whole.voids.tolist() if row in rows) == part.voids.tolist()
        begins += size


@given(receipts())
def test_what_is_cut_up_and_put_together_is_what_it_was(drawn: tuple[Receipt, list[int]]) -> None:
    whole, sizes = drawn
    again = joined(whole.split(sizes))
    assert whole.outcomes.tolist() == again.outcomes.tolist()
    assert (whole.findings, whole.statuses(), whole.zero_counts()) == (
        again.findings,
        again.statuses(),
        again.zero_counts(),
    )
    assert (whole.ids(), whole.revisions()) == (again.ids(), again.revisions())
    assert [sorted(whole.amended.tolist()), sorted(whole.voids.tolist())] == [
        again.amended.tolist(),
        again.voids.tolist(),
    ]
