"""Columns of texts by their octets: what is told of all at once is what is so of each."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.payloads import E164
from billing.usage import parse
from billing.written import Written, blanks, encoded, written
from tests.shop import AT, SOURCE, call, payloads, products

TEXTS = st.lists(st.text(alphabet="a0é", max_size=3), max_size=6)


def column(texts: list[str]) -> Written:
    return written(pa.array(texts, pa.string()))


@given(TEXTS, st.integers(0, 3))
def test_a_column_is_beside_its_octets_wherever_it_was_cut_from(texts: list[str], first: int) -> None:
    found, texts = written(pa.array(texts, pa.string()).slice(first)), texts[first:]
    octets = [text.encode() for text in texts]
    assert (b"".join(octets), list(map(len, octets))) == (found.octets, found.lengths.tolist())
    bounds = (min(map(len, octets), default=0), max(map(len, octets), default=0))
    assert (*bounds, bounds[0] == 0) == (found.shortest, found.longest, found.has_blanks)


@given(TEXTS | st.tuples(st.text(max_size=2), st.integers(1, 4)).map(lambda same: [same[0]] * same[1]))
def test_an_encoded_column_says_the_same_texts_and_the_empty_one_is_code_0(texts: list[str]) -> None:
    codes, values = encoded(column(texts))
    assert texts == [values[code] for code in codes.tolist()]
    assert ("", len(set(values)), np.int32) == (values[0], len(values), codes.dtype.type)
    assert {"", *texts} == set(values)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_blanks_are_as_many_empty_texts(n: int) -> None:
    found, texts = blanks(n), column([""] * n)
    assert (texts.text.to_pylist(), texts.places.tolist()) == (found.text.to_pylist(), found.places.tolist())
    assert (texts.octets, texts.shortest, texts.longest) == (found.octets, found.shortest, found.longest)


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["2026-10-02", "1999-12-31"], b"0000-00-00"),
        (["a1", "a2"], b"a0"),
        (["a1", "b2"], b""),
        (["a1", "ab"], b""),
        (["a:", "a1"], b""),
        (["a/", "a1"], b""),
        (["1", "12"], b""),
        (["", ""], b""),
        ([], b""),
    ],
)
def test_texts_have_a_form_if_they_are_alike_but_for_their_digits(texts: list[str], form: bytes) -> None:
    assert form == column(texts).form


NUMBERS = st.text(alphabet="+012", max_size=5) | st.from_regex(E164, fullmatch=True).filter(str.isascii)


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_whether_or_not_all_callers_are_numbers_each_that_is_one_is_read(callers: list[str]) -> None:
    usage = parse(
        payloads([call(i, **{"from": caller}) for i, caller in enumerate(callers)]),
        source=SOURCE, products=products(), at=AT,
    ).usage  # fmt: skip
    assert [int(each[1:]) if re.fullmatch(E164, each) else 0 for each in callers] == usage.from_.tolist()


CELLS = {
    "occurred_at": st.from_regex(r"2026-1?[09]-[0-3]1T[0-2][0-9]:[0-6]1:00(\.[0-9])?(Z|[+-]0[0-9]:00)", fullmatch=True),
    "duration_seconds": st.from_regex(r"[0-9]{0,3}(\.[0-9])?", fullmatch=True).filter(str.isascii),
    "rated_to": st.text(alphabet="+012", max_size=3),
}  # fmt: skip


@given(st.sampled_from(sorted(CELLS)).flatmap(lambda name: st.tuples(st.just(name), st.lists(CELLS[name], max_size=6))))
def test_texts_of_one_kind_come_to_the_same_together_and_alone(cells: tuple[str, list[str]]) -> None:
    """So that what is told of a whole column is never another thing than what is so of each."""
    name, texts = cells
    lines = payloads([call(1, **{name: text}) for text in texts])
    together, *alone = (
        parse(some, source=SOURCE, products=products(), at=AT) for some in (lines, *([line] for line in lines))
    )
    assert [row for row, one in enumerate(alone) if one.rejects] == [each.row for each in together.rejects]
    for number in ("fingerprint", "occurred_at", "measured", "rated_to"):
        each = [value for one in alone for value in getattr(one.usage, number).tolist()]
        assert each == getattr(together.usage, number).tolist()
