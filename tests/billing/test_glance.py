"""Plain payloads read at once: what is taken that way, what is left to the others, and that they agree."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.glance import FEWEST, read_at_once, read_plain
from billing.payloads import LONGEST_LINE
from billing.usage import Parsed, parse
from tests.shop import AT, SOURCE, call, payloads, products

PLAIN = payloads([call(number) for number in range(FEWEST)])


MANY = payloads([call(1) for _ in range(100)])


def read(lines: list[bytes]) -> Parsed:
    return parse(lines, source=SOURCE, products=products(), at=AT)


ALONE = read(MANY[:1])


def test_plain_payloads_become_columns_and_what_a_payload_leaves_out_is_empty() -> None:
    stated = read_at_once([*PLAIN, *payloads([call(1, **{"from": "x", "to": None, "mcc": "234"})])])
    assert stated is not None
    assert {*call(1), "source", "from_", "mcc"} == set(stated)
    assert [{"+447700900123"}, {""}] == [set(stated["to"].to_pylist()[part]) for part in (slice(-1), slice(-1, None))]
    assert [{""}, {"x"}] == [set(stated["from_"].to_pylist()[part]) for part in (slice(-1), slice(-1, None))]
    assert {""} == set(stated["source"].to_pylist())


def test_whole_numbers_are_read_as_they_were_written() -> None:
    stated = read_at_once(payloads([call(number, duration_seconds=number) for number in range(FEWEST)]))
    assert stated is not None
    assert [str(number) for number in range(FEWEST)] == stated["duration_seconds"].to_pylist()


def test_a_text_that_looks_like_a_date_stays_a_text() -> None:
    stated = read_at_once(payloads([call(number, status="2026-10-02") for number in range(FEWEST)]))
    assert stated is not None
    assert {"2026-10-02"} == set(stated["status"].to_pylist())


def line(**changes: object) -> bytes:
    return payloads([call(1, **changes)])[0]


NOT_AT_ONCE = [
    b"",
    b" ",
    b"{}x",
    b"null",
    line() + line(),
    line() + b"\n" + line(),
    line()[:-1],
    line(account="é"),
    json.dumps(call(1, account="é"), ensure_ascii=False).encode(),
    line(account='"'),
    line(account="\x7f"),
    line(account="{"),
    line(account="}"),
    line().replace(b"acme", b"ac\tme"),
    line().replace(b"acme", b"ac\x00me"),
    line(account=1),
    line(account=True),
    line(mcc=204),
    line(mcc="2026-10-02"),
    line(duration_seconds=61),
    line(duration_seconds=""),
    line(quantity=1.5),
    line(quantity=10**30),
    line(nonsense="x"),
    line(attributes={"tier": "gold"}),
    line(packages=["x"]),
    line()[:-1] + b',"account":"other"}',
    line()[:-1] + b',"account":null}',
    line().replace(b'"acme"', b"[" * 60_000),
    line(account="x" * LONGEST_LINE),
]


def rows_of(payloads: list[bytes]) -> list[int]:
    """The payloads that are read at once."""
    found = read_plain(payloads)
    return [] if found is None else found[0].tolist()


TOLD_BY_OCTETS = (b"\\", b"[", "é".encode(), b"\x7f", b"\t", b"\n")
"""What makes a payload odd without a look at what it says."""

ODD_AT_SIGHT = [
    odd
    for odd in NOT_AT_ONCE
    if any(octet in odd for octet in TOLD_BY_OCTETS) or odd[-1:] != b"}" or (odd.count(b"{"), odd.count(b"}")) != (1, 1)
]


@pytest.mark.parametrize("odd", ODD_AT_SIGHT, ids=range(len(ODD_AT_SIGHT)))
@pytest.mark.parametrize("place", [0, 20, len(PLAIN)])
def test_what_is_odd_at_sight_is_taken_out_and_the_others_are_read_at_once(odd: bytes, place: int) -> None:
    lines = [*PLAIN[:place], odd, *PLAIN[place:]]
    assert [*range(place), *range(place + 1, len(lines))] == rows_of(lines)
    lines = [odd, *PLAIN[:place], odd, *PLAIN[place:], odd]
    assert [*range(1, place + 1), *range(place + 2, len(lines) - 1)] == rows_of(lines)


def test_of_what_is_odd_by_what_it_says_or_hardly_ever_plain_nothing_is_read_at_once() -> None:
    assert [] == rows_of([*PLAIN, line(nonsense="x")])
    assert [] == rows_of([*PLAIN[:-1], *[line(account="é")] * FEWEST])
    assert [] == rows_of([line(account="é")] * FEWEST)
    assert [] == rows_of([])


@pytest.mark.parametrize("odd", NOT_AT_ONCE, ids=range(len(NOT_AT_ONCE)))
def test_a_payload_that_is_not_plain_is_left_to_others_with_those_beside_it(odd: bytes) -> None:
    """The outcome is that of the payload alone, and the others are as they are without it."""
    assert read_at_once([*PLAIN, odd]) is None
    parsed, alone = read([*PLAIN, odd]), read([odd])
    prints = [*read(PLAIN).usage.fingerprint.to_pylist(), *alone.usage.fingerprint.to_pylist()]
    assert prints == parsed.usage.fingerprint.to_pylist()
    assert [(r.pointer, r.reason) for r in alone.rejects] == [(r.pointer, r.reason) for r in parsed.rejects]


def test_two_broken_lines_are_not_read_as_two_whole_ones() -> None:
    """What is one event on two lines, and two on one, comes to as many lines as events."""
    assert read_at_once([*PLAIN, line()[:-1], line() + b"}"]) is None
    assert read_at_once([*PLAIN, line() + line(), b""]) is None
    assert read_at_once([*PLAIN[:-1], PLAIN[-1][:-1] + b"\n" + line()[:-1], b"}"]) is None


FIELDS: dict[str, st.SearchStrategy[object]] = {
    "id": st.sampled_from(["a", "a:b", "", "x" * 201, " a", "a b", "a "]),
    "account": st.sampled_from(["acme", "", None]),
    "source": st.sampled_from([SOURCE, "other", ""]),
    "product": st.sampled_from(["voice.outbound", "sms.outbound", "nope"]),
    "occurred_at": st.sampled_from(
        [
            "2026-10-02T10:11:12.5+05:30",
            "2026-10-40T10:11:12Z",
            "2030-01-01T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+01:00",
        ]
    ),
    "to": st.sampled_from(["+447700900123", "+44x", "112", "sip:a@b:5060", "", "0044 20", " "]),
    "from": st.sampled_from(["+14155550123", "anonymous", "", "A Shop", "é", "+1 415"]),
    "rated_to": st.sampled_from(["+447700900124", "x"]),
    "quantity": st.sampled_from(["61", "1.5", "-1", "1000000000000000", ""]),
    "duration_seconds": st.sampled_from(["61", "60.5", "x"]),
    "bytes_sent": st.sampled_from(["1", None]),
    "country": st.sampled_from(["GB", "gb", "", "XX", "XK"]),
    "nonsense": st.just("x"),
    "attributes": st.just({"tier": "gold"}),
    "packages": st.just(["x"]),
    "revision": st.sampled_from([1, "1", 2]),
}

ANY = st.fixed_dictionaries({}, optional=FIELDS).map(lambda change: payloads([call(1) | change])[0])
SPOILT = st.tuples(ANY, st.integers(0, 400), st.sampled_from([b"", b"{", b"}", b"\\", b"\n", b"\xc3\xa9", b"\t", b'"']))
ODD = (
    ANY
    | st.sampled_from(NOT_AT_ONCE)
    | SPOILT.map(lambda spoilt: spoilt[0][: spoilt[1]] + spoilt[2] + spoilt[0][spoilt[1] :])
)


@given(st.lists(st.tuples(st.integers(0, 100), ODD), max_size=5))
def test_each_payload_comes_to_the_same_wherever_it_stands(odd: list[tuple[int, bytes]]) -> None:
    """In a part, a chunk or alone, whatever is odd about it or about what stands near it."""
    lines = MANY.copy()
    for place, one in odd:
        lines.insert(place, one)
    parsed = read(lines)
    known = {one: read([one]) for one in dict.fromkeys(one for _, one in odd)}
    alone = [known.get(one, ALONE) for one in lines]
    assert [row for row, one in enumerate(alone) if not one.rejects] == parsed.usage.row.tolist()
    refused = [(row, r.pointer, r.reason) for row, one in enumerate(alone) for r in one.rejects]
    assert refused == [(r.row, r.pointer, r.reason) for r in parsed.rejects]
    for name in ("fingerprint", "id"):
        each = [value for one in alone for value in getattr(one.usage, name).to_pylist()]
        assert each == getattr(parsed.usage, name).to_pylist()
    assert [value for one in alone for value in one.usage.revision.tolist()] == parsed.usage.revision.tolist()


@given(st.lists(st.fixed_dictionaries({}, optional=FIELDS), min_size=1, max_size=4))
def test_each_payload_comes_to_the_same_at_once_and_alone(changes: list[dict[str, object]]) -> None:
    """Among plain ones, a payload is taken or refused as it is alone, and each keeps its place."""
    odd = payloads([call(1) | change for change in changes])
    parsed, alone = read([*PLAIN[:40], *odd, *PLAIN[40:]]), [read([one]) for one in odd]
    taken = [40 + row for row, one in enumerate(alone) if not one.rejects]
    after = range(40 + len(odd), len(PLAIN) + len(odd))
    assert [*range(40), *taken, *after] == parsed.usage.row.tolist()
    refused = [(r.pointer, r.reason) for one in alone for r in one.rejects]
    assert refused == [(r.pointer, r.reason) for r in parsed.rejects]
    prints = [print_ for one in alone for print_ in one.usage.fingerprint.to_pylist()]
    assert prints == parsed.usage.fingerprint.to_pylist()[40 : 40 + len(taken)]
    ids = [id_ for one in alone for id_ in one.usage.id.to_pylist()]
    assert ids == parsed.usage.id.to_pylist()[40 : 40 + len(taken)]
