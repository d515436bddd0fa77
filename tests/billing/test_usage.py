"""Payloads to columns: what passes, what is refused and where, and that both ways of reading agree."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.payloads import LONGEST_LINE
from billing.usage import Parsed, months_of, parse
from rates.products import Product, Rule
from tests.shop import AT, SOURCE, call, payloads, products

TEN = 1_790_935_872_000_000


def read(*events: dict[str, object] | bytes, source: str | None = SOURCE) -> Parsed:
    lines = [event if isinstance(event, bytes) else payloads([event])[0] for event in events]
    return parse(lines, source=source, products=products(), at=AT)


def refusal(event: dict[str, object] | bytes, source: str | None = SOURCE) -> tuple[str, str]:
    parsed = read(event, source=source)
    assert (0, 1) == (len(parsed.usage), len(parsed.rejects))
    return parsed.rejects[0].pointer, parsed.rejects[0].reason


def fingerprint(event: dict[str, object] | bytes) -> str:
    parsed = read(event)
    assert () == parsed.rejects
    return str(parsed.usage.fingerprint[0].as_py().hex())


def test_a_call_becomes_a_row_of_plain_values() -> None:
    usage = read(call(1, **{"from": "+14155550123", "country": "GB"})).usage
    assert ([0], ["call-1"], [TEN]) == (usage.row.tolist(), usage.id.to_pylist(), usage.occurred_at.tolist())
    numbers = (usage.to, usage.from_, usage.rated_to, usage.measured)
    assert [447700900123, 14155550123, 0, 61] == [column[0] for column in numbers]
    named = {"source": usage.source, "account": usage.account, "product": usage.product, **usage.texts}
    assert {
        "source": SOURCE,
        "account": "acme",
        "product": "voice.outbound",
        "status": "completed",
        "country": "GB",
    } == {name: text.values[text.codes[0]] for name, text in named.items()}
    assert all(text.values[0] == "" for text in named.values())


@pytest.mark.parametrize(
    "same",
    [
        call(1, duration_seconds=61),
        call(1, duration_seconds=None, quantity="61"),
        call(1, quantity=61),
        call(1, duration_seconds="60.2"),
        call(1, duration_seconds=60.2),
        call(1, duration_seconds="061"),
        call(1, duration_seconds="61.000"),
        call(1, occurred_at="2026-10-02T12:11:12+02:00"),
        call(1, occurred_at="2026-10-02T10:11:12.000000000Z"),
        call(1, occurred_at="2026-10-02T10:11:12-00:00"),
        call(1, source=SOURCE),
        call(1, id="another"),
        call(1, country=""),
        call(1, revision=1, void=False),
        json.dumps({key: call(1)[key] for key in reversed(call(1))}).encode(),
        json.dumps(call(1), indent=1).replace("\n", " ").encode(),
        json.dumps(call(1)).replace("acme", "\\u0061cme").encode(),
        json.dumps(call(1))[:-1].encode() + b', "mcc": null}',
    ],
)
def test_the_same_usage_has_one_fingerprint_however_it_is_written(same: dict[str, object] | bytes) -> None:
    assert fingerprint(call(1)) == fingerprint(same)


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "acme2"},
        {"product": "voice.inbound"},
        {"occurred_at": "2026-10-02T10:11:12.000001Z"},
        {"to": "+447700900124"},
        {"to": "447700900123"},
        {"from": "+14155550123"},
        {"from": "anonymous"},
        {"rated_to": "+447700900123"},
        {"duration_seconds": "62"},
        {"status": "busy"},
        {"status": None},
        {"country": "GB"},
        {"number_type": "mobile"},
        {"mcc": "234"},
        {"region": "234"},
    ],
)
def test_whatever_decides_the_price_is_in_the_fingerprint(changes: dict[str, object]) -> None:
    assert fingerprint(call(1)) != fingerprint(call(1, **changes))


def message(**changes: object) -> dict[str, object]:
    return call(1, **({"product": "sms.outbound", "duration_seconds": None, "status": "sent"} | changes))


def text_of(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("payload", "pointer", "reason"),
    [
        (call(1, id=None), "/id", "is missing"),
        (call(1, id=""), "/id", "is empty"),
        (call(1, id="x" * 201), "/id", "longer than 200"),
        (call(1, id="a\0b"), "/id", "control character"),
        (call(1, id="a\x7fb"), "/id", "control character"),
        (text_of(call(1)).replace(b"call-1", b"\\ud800"), "/id", "half a character"),
        (call(1, id=7), "/id", "not a string"),
        (call(1, account=None), "/account", "is missing"),
        (call(1, occurred_at="2026-10-02T10:11:12"), "/occurred_at", "no time zone"),
        (call(1, occurred_at="2026-10-02"), "/occurred_at", "is not like"),
        (call(1, occurred_at="2026-02-30T00:00:00Z"), "/occurred_at", "exists"),
        (call(1, occurred_at="2026-10-02 10:11:12Z"), "/occurred_at", "is not like"),
        (call(1, occurred_at="9999-12-31T23:59:59Z"), "/occurred_at", "ahead of the clock"),
        (call(1, occurred_at="2026-10-16T12:00:00.000001Z"), "/occurred_at", "ahead of the clock"),
        (call(1, occurred_at="0001-01-01T00:00:00+23:00"), "/occurred_at", "exists"),
        (call(1, occurred_at="1969-12-31T23:59:59Z"), "/occurred_at", "before 1970"),
        (call(1, occurred_at=1790935872), "/occurred_at", "not a string"),
        (call(1, duration_seconds=None), "/quantity", "is missing; give it, or duration_seconds"),
        (call(1, duration_seconds="-1"), "/duration_seconds", "negative"),
        (call(1, duration_seconds=-1), "/duration_seconds", "negative"),
        (call(1, duration_seconds="1e3"), "/duration_seconds", "exponent"),
        (text_of(call(1)).replace(b'"61"', b"1e999"), "/duration_seconds", "exponent"),
        (text_of(call(1)).replace(b'"61"', b"NaN"), "", "NaN"),
        (text_of(call(1)).replace(b'"61"', b"Infinity"), "", "Infinity"),
        (call(1, duration_seconds="٦١"), "/duration_seconds", "outside ASCII"),
        (call(1, duration_seconds="0x10"), "/duration_seconds", "not a plain"),
        (call(1, duration_seconds=True), "/duration_seconds", "not a number"),
        (call(1, duration_seconds="99999999999"), "/duration_seconds", "ten years"),
        (call(1, duration_seconds=10**40), "/duration_seconds", "digits"),
        (call(1, quantity="61", duration_seconds=""), "/duration_seconds", "is not a duration"),
        (call(1, quantity="62"), "/quantity", "quantity says 62, duration_seconds says 61"),
        (call(1, quantity="61.5", duration_seconds=None), "/quantity", "whole number"),
        (call(1, quantity="315619201", duration_seconds=None), "/quantity", "absurd"),
        (call(1, duration_seconds="315360000"), "/duration_seconds", "voice.outbound has at most 172800; look at"),
        (call(1, duration_seconds="172800.1"), "/duration_seconds", "is absurd: 172801 seconds, and one event"),
        (call(1, duration_seconds="172801", quantity="172801"), "/duration_seconds", "raise `most` in the product's"),
        (message(segments=str(10**12 + 1)), "/segments", "absurd"),
        (message(quantity=10**12 + 1), "/quantity", "absurd"),
        (call(1, segments="1"), "/segments", "does not measure voice.outbound"),
        (call(1, text="hello"), "/text", "does not measure voice.outbound"),
        (call(1, to="+44abc"), "/to", "number"),
        (call(1, to="+0123"), "/to", "number"),
        (call(1, to="+1234567890123456"), "/to", "number"),
        (call(1, rated_to="123"), "/rated_to", "number"),
        (call(1, country="gb"), "/country", "is not an ISO 3166-1 country: write its two capital letters, as in GB"),
        (call(1, country="XX"), "/country", "is not an ISO 3166-1 country"),
        (call(1, country="UK"), "/country", "is not an ISO 3166-1 country"),
        (call(1, country="GBX"), "/country", "is not an ISO 3166-1 country"),
        (call(1, mcc="31"), "/mcc", "is not three digits"),
        (call(1, mnc="x"), "/mnc", "is not one to three digits"),
        (call(1, id=" call-1"), "/id", "has white space around it"),
        (call(1, id="call-1 "), "/id", "has white space around it"),
        (call(1, id="\u00a0call-1"), "/id", "has white space around it"),
        (call(1, to="0044 20 7946 0000"), "/to", "has white space in it: write the number as in +442079460000"),
        (call(1, to="+44 20 7946 0000"), "/to", "has white space in it"),
        (call(1, to="+44\u00a02079460000"), "/to", "has white space in it"),
        (call(1, rated_to="+44 2079460000"), "/rated_to", "has white space in it"),
        (call(1, **{"from": "+1 415-555 (0123)"}), "/from", "has white space in it"),
        (call(1, **{"from": "+1\u00a04155550123"}), "/from", "has white space in it"),
        (call(1, occurred_at="9999-12-31T23:59:59-01:00"), "/occurred_at", "is not a date and time that exists"),
        (call(1, mcc=310), "/mcc", "not a string"),
        (call(1, colour="red"), "/colour", "not a field"),
        (call(1, sattus="busy"), "/sattus", "did you mean status?"),
        (call(1, source="other"), "/source", "is not voice-eu-1"),
        (call(1, revision=0), "/revision", "is not a whole number from 1 to 2147483647"),
        (call(1, revision=2**31), "/revision", "is not a whole number from 1 to 2147483647"),
        (call(1, revision="1.5"), "/revision", "is not a whole number from 1 to 2147483647"),
        (call(1, revision=-1), "/revision", "is not a whole number from 1 to 2147483647"),
        (call(1, revision=True), "/revision", "is not a number"),
        (call(1, revision="two"), "/revision", "is not a plain number"),
        (call(1, revision=""), "/revision", "is not a plain number"),
        (call(1, void="yes", revision=2), "/void", "is neither true nor false"),
        (call(1, void=1, revision=2), "/void", "is neither true nor false"),
        (call(1, void=True), "/revision", "is missing"),
        ({"revision": 2, "void": True}, "/id", "is missing"),
        ({"id": " a", "revision": 2, "void": True}, "/id", "has white space around it"),
        ({"id": "a", "revision": 0, "void": True}, "/revision", "is not a whole number from 1 to 2147483647"),
        ({"id": "a", "source": "b", "revision": 2, "void": True}, "/source", "is not voice-eu-1"),
        ({"id": "a", "revision": 2, "void": True, "why": "x"}, "/why", "not a field"),
        (call(1, charges={"setup": "0.003"}), "/charges", "only"),
        (call(1, charges={"carrier_fee": -1}), "/charges/carrier_fee", "negative"),
        (call(1, delivered_as="sms"), "/delivered_as", "is not what voice.outbound may be delivered as"),
        (call(1, attributes={"charges": "1"}), "/attributes/charges", "declares"),
        (call(1, attributes={"trunk": "t1"}), "/attributes/trunk", "declares"),
        (text_of(call(1))[:-1] + b',"status":"busy"}', "/status", "given twice"),
        (text_of(call(1))[:-1] + b',"st\\u0061tus":"busy"}', "/status", "given twice"),
        (text_of(call(1))[:-1] + b',"status" : "a:b"}', "/status", "given twice"),
        (b"", "", "not JSON"),
        (b"{", "", "not JSON"),
        (b"null", "", "not a JSON object"),
        (b"[" * 60_000, "", "nested too deeply"),
        (b'{"id":' * 10_000, "", "nested too deeply"),
        (b"\xff\xfe", "", "not UTF-8"),
        (text_of(call(1)).replace(b"acme", b"\xed\xa0\x80"), "", "not UTF-8"),
        (b" " * LONGEST_LINE + text_of(call(1)), "", "longer than 65536 bytes"),
    ],
)
def test_a_payload_is_refused_with_the_place_and_the_reason(
    payload: dict[str, object] | bytes, pointer: str, reason: str
) -> None:
    found = refusal(payload)
    assert (pointer, True) == (found[0], reason in found[1]), found


def test_one_bad_payload_does_not_hide_the_others() -> None:
    parsed = read(call(1), b"{", call(2, duration_seconds="-1"), call(3))
    assert ([0, 3], [1, 2]) == (parsed.usage.row.tolist(), [reject.row for reject in parsed.rejects])
    assert ["call-1", "call-3"] == parsed.usage.id.to_pylist()


def test_a_source_is_named_by_the_payload_where_nobody_else_does() -> None:
    assert ("/source", "is missing") == refusal(call(1), source=None)
    parsed = read(call(1, source="b"), call(2, source="a"), source=None)
    assert ["b", "a"] == [parsed.usage.source.values[code] for code in parsed.usage.source.codes]


@pytest.mark.parametrize("country", ["XK", "AC", "TA", "GB", "EH"])
def test_a_stated_country_is_one_of_iso_3166_or_of_the_numbering_plan(country: str) -> None:
    text = read(call(1, country=country)).usage.texts["country"]
    assert country == text.values[text.codes[0]]


@pytest.mark.parametrize("sender", ["My Shop", "Restricted number", "Hot\u00a0Line"])
def test_the_name_of_a_sender_may_have_white_space_in_it(sender: str) -> None:
    text = read(call(1, **{"from": sender})).usage.texts["from_address"]
    assert sender == text.values[text.codes[0]]


@pytest.mark.parametrize("caller", ["anonymous", "+44abc", "Restricted", "sip:alice@example.com"])
def test_a_malformed_caller_is_an_unknown_one(caller: str) -> None:
    usage = read(call(1, **{"from": caller}), call(2, **{"from": "+14155550123"})).usage
    assert [0, 14155550123] == usage.from_.tolist()
    text = usage.texts["from_address"]
    assert [caller, ""] == [text.values[code] for code in text.codes]


def test_an_address_is_kept_as_it_stands() -> None:
    usage = read(call(1, to="112"), call(2, to="sip:bob@example.com"), call(3)).usage
    assert ([0, 0, 447700900123], ["112", "sip:bob@example.com", ""]) == (
        usage.to.tolist(),
        [usage.texts["to_address"].values[code] for code in usage.texts["to_address"].codes],
    )


def test_a_ported_number_stands_for_whatever_was_dialled() -> None:
    """`rated_to` is used instead of `to`, also where `to` is a short code that a card prices by itself."""
    usage = read(call(1, to="112", rated_to="+447700900123"), call(2, to="112")).usage
    rated = usage.to_rate(products=("voice.outbound",), product=usage.row, book=usage.row.astype(np.int32))
    address = rated.texts["to_address"]
    assert ([447700900123, 0], ["", "112"]) == (rated.to.tolist(), [address.values[code] for code in address.codes])
    stored = usage.texts["to_address"]
    assert ["112", "112"] == [stored.values[code] for code in stored.codes]


def test_a_text_is_counted_and_not_kept() -> None:
    usage = read(message(text="a" * 152 + "€" * 77), message(text="é" * 161), message(segments="3")).usage
    assert [3, 2, 3] == usage.measured.tolist()
    assert "text" not in usage.texts
    assert fingerprint(message(text="x" * 320)) == fingerprint(message(segments=3))


def test_usage_of_an_unknown_product_passes_for_the_quarantine_to_keep() -> None:
    assert [61, 5] == read(call(1, product="new"), message(product="new", segments=5)).usage.measured.tolist()


def test_old_usage_is_marked_and_the_oldest_accepted_is_not() -> None:
    days = ["2025-09-15T00:00:00Z", "2025-09-14T23:59:59.999999Z", "1970-01-01T00:00:00Z"]
    assert [False, True, True] == read(*(call(1, occurred_at=day) for day in days)).usage.too_old.tolist()


@pytest.mark.parametrize(
    ("days", "months"),
    [
        ([], set()),
        (["2026-09-01T00:00:00Z", "2026-09-30T23:59:59.999999Z"], {date(2026, 9, 1)}),
        (["2026-10-01T00:00:00Z", "2026-07-31T23:59:59.999999Z"], {date(2026, 7, 1), date(2026, 10, 1)}),
    ],
)
def test_events_lie_in_the_months_in_which_they_occur_in_utc(days: list[str], months: set[date]) -> None:
    assert months == months_of(read(*(call(1, occurred_at=day) for day in days)).usage.occurred_at)


def test_a_cloud_event_is_the_event_in_it() -> None:
    inside = {key: value for key, value in call(1).items() if key in {"to", "duration_seconds", "status"}}
    envelope: dict[str, Any] = {"specversion": "1.0", "source": SOURCE, "id": "call-1", "subject": "acme"}
    envelope |= {"type": "usage.voice.outbound", "time": "2026-10-02T10:11:12Z", "data": inside}
    assert fingerprint(call(1)) == fingerprint(envelope | {"datacontenttype": "application/json"})
    assert "/type" == refusal(envelope | {"type": "voice"})[0]
    assert "/specversion" == refusal(envelope | {"specversion": "0.3"})[0]
    assert "/data/id" == refusal(envelope | {"data": inside | {"id": "x"}})[0]
    assert "/traceparent" == refusal(envelope | {"traceparent": "x"})[0]
    assert "/account" == refusal(envelope | {"subject": None})[0]


def relay(**changes: object) -> dict[str, object]:
    return call(1, product="turn", duration_seconds=None, **changes)


def test_bytes_are_those_of_both_directions_and_declared_dimensions_are_read() -> None:
    rule = Rule(
        effective_from=datetime(2020, 1, 1, tzinfo=UTC),
        billable={},
        pending={},
        fees=(),
        increments=None,
        grace_seconds=0,
    )
    turn = Product(
        id="turn",
        name="Relay",
        base="byte",
        units={"byte": 1},
        country_of="",
        match=("region", "tier"),
        required=frozenset(),
        measure="bytes",
        rules=(rule,),
    )
    events = [
        relay(bytes_sent="10", bytes_received=5, attributes={"tier": "gold"}),
        relay(quantity=7),
        relay(bytes_sent="10"),
        relay(quantity="1", attributes={"tier": 5}),
    ]
    parsed = parse(payloads(events), source=SOURCE, products={"turn": turn}, at=AT)
    assert [15, 7] == parsed.usage.measured.tolist()
    assert ["/bytes_received", "/attributes/tier"] == [reject.pointer for reject in parsed.rejects]
    assert ["gold", ""] == [parsed.usage.texts["tier"].values[code] for code in parsed.usage.texts["tier"].codes]


def test_the_most_of_one_event_is_the_product_s_and_of_sums_in_quantity_there_is_none() -> None:
    """A leg of 48 hours is believed, and minutes that somebody added up; storage without a bound may be huge."""
    ninety_days = str(90 * 86_400)
    taken = read(call(1, duration_seconds="172800"), call(2, duration_seconds=None, quantity=ninety_days))
    assert ((), [172_800, 90 * 86_400]) == (taken.rejects, taken.usage.measured.tolist())
    stored = replace(products()["sms.inbound"], id="recording.storage", base="byte", measure="quantity")
    events = payloads([call(1, product="recording.storage", duration_seconds=None, quantity=10**12)])
    for most, rejected in ((None, 0), (10**12, 0), (10**12 - 1, 1)):
        known = {"recording.storage": replace(stored, most=most)}
        assert rejected == len(parse(events, source=SOURCE, products=known, at=AT).rejects)


def test_nothing_is_nothing() -> None:
    assert (0, ()) == (len(read().usage), read().rejects)


FIELDS: dict[str, st.SearchStrategy[object]] = {
    "id": st.sampled_from(["a", "é", "a:b", 'a"b', "", "x" * 200, "x" * 201, " ", "a b", " a", "a\u2003"]),
    "account": st.sampled_from(["acme", "a:c", "é"]),
    "product": st.sampled_from(["voice.outbound", "sms.outbound", "nope"]),
    "occurred_at": st.sampled_from(
        ["2026-10-02T10:11:12Z", "2026-10-02T10:11:12.5+05:30", "2026-10-02T10:11:12", "2026-10-40T10:11:12Z",
         "2026-10-02T10:11:12.123456789Z", "2030-01-01T00:00:00Z", "1960-01-01T00:00:00Z",
         "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"]
    ),
    "to": st.sampled_from(["+447700900123", "+44x", "112", "sip:a@b:5060", "+", "", "00 44", "+44 2", "+44\u00a02"]),
    "from": st.sampled_from(["+14155550123", "anonymous", "+1x", "", "A Shop", "+1 415", "A\u2003Shop"]),
    "rated_to": st.sampled_from(["+447700900124", "+44 7700", " "]),
    "quantity": st.sampled_from(["61", 61, "1.5", -1, "", 10**15]),
    "duration_seconds": st.sampled_from(["61", 61, "60.5", 60.5, "x"]),
    "segments": st.sampled_from(["2", 2]),
    "status": st.sampled_from(["completed", "a:b", ""]),
    "country": st.sampled_from(["GB", "gb", "XX", "XK"]),
    "mnc": st.sampled_from(["1", "1234"]),
    "revision": st.sampled_from([1, 2, "2", "", 2**31 - 1, 2**31, 0, "02", "2.0"]),
    "void": st.sampled_from([False, False, True, "true"]),
}  # fmt: skip
EVENTS = st.fixed_dictionaries({}, optional=FIELDS).flatmap(
    lambda event: st.sampled_from([event, {key: value for key, value in event.items() if key != "revision"}])
)


@given(st.lists(EVENTS, max_size=8))
def test_columns_say_of_each_payload_what_reading_it_with_care_says(events: list[dict[str, object]]) -> None:
    """A payload that is indented is still the same, but has to be read key by key once an escape is in it."""
    together = read(*events)
    careful = [read(b'{"\\u0069d"' + text[5:] if text.startswith(b'{"id"') else text) for text in payloads(events)]
    assert [reject.row for reject in together.rejects] == [i for i, one in enumerate(careful) if one.rejects]
    for reject in together.rejects:
        (alone,) = careful[reject.row].rejects
        assert (alone.pointer, alone.reason) == (reject.pointer, reject.reason)
    fingerprints = [print_ for one in careful for print_ in one.usage.fingerprint.to_pylist()]
    assert fingerprints == together.usage.fingerprint.to_pylist()
    assert [id_ for one in careful for id_ in one.usage.id.to_pylist()] == together.usage.id.to_pylist()
    assert [number for one in careful for number in one.usage.revision.tolist()] == together.usage.revision.tolist()
    voids = [(one.voids.id[0], one.voids.revision[0]) for one in careful if one.voids]
    assert voids == list(zip(together.voids.id, together.voids.revision, strict=True))


SOURCES = st.sampled_from([None, SOURCE, "other"])


@given(st.lists(st.tuples(EVENTS, SOURCES, SOURCES), max_size=8))
def test_payloads_of_several_sources_are_read_as_those_of_each_are(
    some: list[tuple[dict[str, object], str | None, str | None]],
) -> None:
    texts = payloads([event if named is None else {"source": named, **event} for event, named, _ in some])
    origins = tuple(origin for _, _, origin in some)
    together = parse(texts, source=origins, products=products(), at=AT)
    alone = [read(text, source=origin) for text, origin in zip(texts, origins, strict=True)]
    assert [replace(one.rejects[0], row=row) for row, one in enumerate(alone) if one.rejects] == [*together.rejects]
    assert [named_by(one) for one in alone if not one.rejects and not one.voids] == [
        named_by(together, place) for place in range(len(together.usage))
    ]
    assert [one.voids.source + one.voids.id for one in alone if one.voids] == [
        *zip(together.voids.source, together.voids.id, strict=True)
    ]


def named_by(parsed: Parsed, place: int = 0) -> tuple[str, str, bytes]:
    """The source, id and content of an event."""
    usage = parsed.usage
    source = usage.source.values[usage.source.codes[place]]
    return source, usage.id[place].as_py(), usage.fingerprint[place].as_py()


def test_a_void_needs_its_id_and_its_revision_and_nothing_else_of_it_is_read() -> None:
    parsed = read(
        {"id": "a", "revision": 2, "void": True},
        call(1, revision="3"),
        call(2, revision=4, void=True, occurred_at="yesterday", duration_seconds=-1),
        {"specversion": "1.0", "type": "usage.x", "id": "c", "source": SOURCE, "data": {"revision": 5, "void": True}},
    )
    assert ((), [1], [3]) == (parsed.rejects, parsed.usage.row.tolist(), parsed.usage.revision.tolist())
    voids = parsed.voids
    assert ([0, 2, 3], ("a", "call-2", "c"), [2, 4, 5]) == (voids.row.tolist(), voids.id, voids.revision.tolist())
    assert (SOURCE,) * 3 == voids.source
