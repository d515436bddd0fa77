"""Receipts: what became of each payload, told one by one."""

import msgspec
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from billing.receipts import OUTCOMES, Finding, Receipt, Result
from rates.rating import REASONS


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """A receipt of some payloads in no order."""
    n = draw(st.integers(0, 12))
    some = st.lists(st.integers(0, max(n - 1, 0)), max_size=n, unique=True)
    row = draw(some)
    return Receipt(
        outcomes=np.array(draw(st.lists(st.integers(0, len(OUTCOMES) - 1), min_size=n, max_size=n)), dtype=np.int8),
        findings={place: Finding(pointer=f"/{place}", reason="why") for place in draw(some)},
        zero_rated=np.array(draw(st.lists(st.integers(0, len(REASONS) - 1), min_size=n, max_size=n)), dtype=np.int8),
        row=np.array(row, dtype=np.int64),
        id=pa.array([f"id-{place}" for place in row], pa.string()),
        revision=np.array([1 + place for place in row], dtype=np.int32),
    )


@given(receipts())
def test_each_payload_has_its_own_result(receipt: Receipt) -> None:
    """Its id and revision where it is an event; what was found, or else why it costs nothing."""
    ids, revisions = receipt.ids(), receipt.revisions()
    expected = [
        Result(
            ids.get(row),
            str(receipt.outcome(row)),
            revisions.get(row),
            receipt.findings[row].pointer if row in receipt.findings else "",
            receipt.reason(row),
        )
        for row in range(len(receipt.outcomes))
    ]
    assert expected == receipt.results()


def test_a_result_is_told_without_what_it_has_not() -> None:
    assert b'{"id":"a","result":"accepted","revision":1}' == msgspec.json.encode(Result("a", "accepted", 1))
    told = msgspec.json.encode(Result(None, "rejected", pointer="/to", reason="is no number"))
    assert b'{"id":null,"result":"rejected","pointer":"/to","reason":"is no number"}' == told
