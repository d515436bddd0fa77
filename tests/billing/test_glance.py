"""Plain payloads read at a glance: what is taken that way, what is left to the careful one, and that they agree."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.columns import given_twice, stated_by
from billing.glance import read_each, read_plain
from billing.payloads import LONGEST_LINE
from billing.usage import Parsed, parse
from billing.written import Written
from rates.usage import Flags
from tests.shop import AT, SOURCE, call, payloads, products

PLAIN = payloads([call(number) for number in range(64)])


MANY = payloads([call(1) for _ in range(100)])


def read(lines: list[bytes]) -> Parsed:
    return parse(lines, source=SOURCE, products=products(), at=AT)


ALONE = read(MANY[:1])


def stated(lines: list[bytes]) -> tuple[dict[str, Written], bool]:
    flats = read_plain(lines)
    assert flats is not None
    return stated_by(flats, lines)


def line(**changes: object) -> bytes:
    return payloads([call(1, **changes)])[0]


def test_plain_payloads_become_columns_and_what_a_payload_leaves_out_is_empty() -> None:
    found, is_all = stated([*PLAIN, line(**{"from": "x", "to": None, "mcc": "234"})])
    assert is_all
    assert {*call(1), "source", "from_", "mcc"} == set(found)
    texts = {name: found[name].text.to_pylist() for name in ("to", "from_", "source")}
    assert [{"+447700900123"}, {""}] == [set(texts["to"][:-1]), set(texts["to"][-1:])]
    assert [{""}, {"x"}] == [set(texts["from_"][:-1]), set(texts["from_"][-1:])]
    assert {""} == set(texts["source"])


def test_whole_numbers_are_read_as_they_were_written() -> None:
    found, _ = stated([line(duration_seconds=61), line(duration_seconds="061"), line(duration_seconds=10**30)])
    assert ["61", "061", str(10**30)] == found["duration_seconds"].text.to_pylist()


def test_a_field_that_stands_empty_or_null_in_plain_payloads_is_read_at_a_glance() -> None:
    """So do those of a sender whose events have all fields, whatever is in them."""
    nulls = [text[:-1] + end for text in PLAIN for end in (b',"mcc":null}', b', "mcc": null, "mnc":null}')]
    for lines in ([*PLAIN, line(country="")], [line(country="")] * 2, nulls, [*PLAIN, *nulls]):
        found, is_all = stated(lines)
        assert (True, {*call(1), "source"}) == (is_all, set(found))


TWICE = [
    line()[:-1] + b',"account":"other"}',
    line()[:-1] + b',"status":"completed"}',
    line(id="a:null")[:-1] + b',"id":"a:null"}',
    line(id="a:null", status=None)[:-1] + b',"mcc":"1","mcc":"2"}',
    line()[:-1] + b',"mcc":null,"mcc":"204"}',
    line()[:-1] + b',"mcc":"204","mcc":null}',
    line()[:-1] + b',"mcc":null,"mcc":null}',
    line(id="a:null: null")[:-1] + b',"mcc":null,"mcc":null,"status":"a"}',
]


@pytest.mark.parametrize("twice", TWICE, ids=range(len(TWICE)))
@pytest.mark.parametrize("others", [[], PLAIN, [line(id=":null", mnc="1")] * 3], ids=["alone", "plain", "null"])
def test_a_key_that_is_given_twice_is_seen(twice: bytes, others: list[bytes]) -> None:
    lines = [*others, twice]
    found, is_all = stated(lines)
    assert not is_all
    seen: Flags = given_twice(found, np.array([text.count(b":") for text in lines]))
    assert seen[-1]
    assert [(len(others), "is given twice")] == [(each.row, each.reason) for each in read(lines).rejects]


NOT_PLAIN = [
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
    line().replace(b"acme", b"ac\tme"),
    line().replace(b"acme", b"ac\x00me"),
    line(account=1),
    line(account=True),
    line(mcc=204),
    line(quantity=1.5),
    line(nonsense="x"),
    line(attributes={"tier": "gold"}),
    line(packages=["x"]),
    line().replace(b'"acme"', b"[" * 60_000),
    line(account="x" * LONGEST_LINE),
]
ODD = [
    *NOT_PLAIN,
    *TWICE,
    line(account="{"),
    line(account="}"),
    line(mcc="2026-10-02"),
    line(duration_seconds=61),
    line(duration_seconds=""),
    line(quantity=10**30),
    line(quantity="61", duration_seconds=""),
    line(revision=""),
    line(to="+44x"),
    line(account=None)[:-1] + b',"account":null}',
    b" " + line() + b"\r",
]


@pytest.mark.parametrize("odd", NOT_PLAIN, ids=range(len(NOT_PLAIN)))
def test_a_payload_that_is_not_plain_is_not_read_at_a_glance(odd: bytes) -> None:
    assert (None, None, [None]) == (read_plain([odd]), read_plain([*PLAIN, odd]), read_each([odd]))
    assert read_plain(PLAIN) == read_each([*PLAIN, odd])[:-1]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_a_payload_comes_to_the_same_alone_and_beside_plain_ones(odd: bytes) -> None:
    parsed, alone = read([*PLAIN, odd]), read([odd])
    prints = [*read(PLAIN).usage.fingerprint.to_pylist(), *alone.usage.fingerprint.to_pylist()]
    assert prints == parsed.usage.fingerprint.to_pylist()
    assert [(r.pointer, r.reason) for r in alone.rejects] == [(r.pointer, r.reason) for r in parsed.rejects]


def test_two_broken_lines_are_not_read_as_two_whole_ones() -> None:
    """What is one event on two lines, and two on one, comes to as many lines as events."""
    for lines in ([line()[:-1], line() + b"}"], [line() + line(), b""], [PLAIN[-1][:-1] + b"\n" + line()[:-1], b"}"]):
        assert [0, 1] == [each.row for each in read([*lines, *PLAIN]).rejects]


def test_many_payloads_are_the_same_as_each_of_them() -> None:
    """So many that they are read a part at a time, and in one of the parts there is an odd one."""
    lines = [line(id=str(number), **({"mcc": "204"} if number > 1500 else {})) for number in range(2500)]
    lines[1200] = line(id="odd", attributes={"tier": "gold"}, product="nope")
    parsed = read(lines)
    assert ((), len(lines)) == (parsed.rejects, len(parsed.usage))
    assert [str(number) if number != 1200 else "odd" for number in range(2500)] == parsed.usage.id.to_pylist()
    mcc = parsed.usage.texts["mcc"]
    assert [["", "204"][number > 1500] for number in range(2500)] == [mcc.values[code] for code in mcc.codes.tolist()]
    prints = [read([lines[number]]).usage.fingerprint[0].as_py() for number in (0, 1200, 2000)]
    assert prints == [parsed.usage.fingerprint[number].as_py() for number in (0, 1200, 2000)]


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
    "status": st.sampled_from(["completed", "a:null", "", None]),
    "country": st.sampled_from(["GB", "gb", "", "XX", "XK"]),
    "nonsense": st.just("x"),
    "attributes": st.just({"tier": "gold"}),
    "packages": st.just(["x"]),
    "revision": st.sampled_from([1, "1", 2]),
}

ANY = st.fixed_dictionaries({}, optional=FIELDS).map(lambda change: payloads([call(1) | change])[0])
SPOILT = st.tuples(ANY, st.integers(0, 400), st.sampled_from([b"", b"{", b"}", b"\\", b"\n", b"\xc3\xa9", b"\t", b'"']))
STRANGE = (
    ANY | st.sampled_from(ODD) | SPOILT.map(lambda spoilt: spoilt[0][: spoilt[1]] + spoilt[2] + spoilt[0][spoilt[1] :])
)


@given(st.lists(st.tuples(st.integers(0, 100), STRANGE), max_size=5))
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
