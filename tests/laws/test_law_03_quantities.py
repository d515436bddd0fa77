"""Law 3: "Columnar kernel = `billing/verifier.py` (Fraction, linear scans)".

Here: columns of increments against a second-by-second oracle, and segments against one that cuts octets.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rates.quantities import Encoding, Increments, billable_column, segments

LEGS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 130), st.integers(1, 130), st.integers(0, 20)), min_size=1
)
TEXTS = st.text(st.sampled_from("aé€[{ç😀🎉\n"), max_size=700)


def billed_by_counting(seconds: int, first: int, step: int, grace: int) -> int:
    """Opens intervals one after the other until the leg is covered."""
    if seconds < max(grace, 1):
        return 0
    opened = first
    while opened < seconds:
        opened += step
    return opened


@given(LEGS)
def test_a_column_bills_what_counting_intervals_bills(legs: list[tuple[int, int, int, int]]) -> None:
    measured, first, step, grace = (np.array(values, dtype=np.int64) for values in zip(*legs, strict=True))
    expected = [billed_by_counting(*leg) for leg in legs]
    assert expected == billable_column(measured, first, step, grace).tolist()
    assert expected == [Increments(first=f, next=n).billable(d, g) for d, f, n, g in legs]


def parts_by_octets(text: str, encoding: Encoding) -> int:
    """Encodes each character, then fills parts of 140 octets, or of 134 if one part does not hold it all."""
    if encoding is Encoding.UCS_2:
        bits = [8 * len(character.encode("utf-16-be")) for character in text]
    else:
        bits = [14 if character in "\f^{}\\[~]|€" else 7 for character in text]
    if sum(bits) <= 8 * 140:
        return 1
    parts = [0]
    for width in bits:
        if parts[-1] + width > 8 * 134:
            parts.append(0)
        parts[-1] += width
    return len(parts)


@given(TEXTS)
def test_segments_are_the_parts_that_the_octets_of_an_sms_hold(text: str) -> None:
    counted = segments(text)
    assert (Encoding.UCS_2 if set(text) & set("ç😀🎉") else Encoding.GSM_7) is counted.encoding
    assert parts_by_octets(text, counted.encoding) == counted.count


@given(TEXTS, st.integers(0, 700))
def test_a_longer_text_never_takes_fewer_segments(text: str, cut: int) -> None:
    assert segments(text[:cut]).count <= segments(text).count
