"""Files of call records on their way to payloads: what is damaged, what has no id, what comes out for the engine."""

import dataclasses
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.chunks import Chunk
from billing.errors import StreamUnreadableError
from billing.payloads import LONGEST_LINE
from billing.sources.callrecords import DIALECTS, CallRecords
from billing.sources.calls import Stated, problem_of
from billing.usage import parse
from tests.callrecords import (
    ASTERISK_CALL,
    BYE,
    FREESWITCH_CALL,
    INVITE,
    PARIS,
    PLAN,
    TWILIO_CALL,
    TWILIO_MESSAGE,
    asterisk,
    read,
    rows,
    told,
)
from tests.shop import products

AT = datetime(2026, 10, 15, tzinfo=UTC)
GOOD = asterisk({"uniqueid": "1.1"}), asterisk({"uniqueid": "1.2"})
WIDTHS = "16, 17, 18, 19, 20 or 21"
ACME = dataclasses.replace(PARIS, account="acme")
FILES = {
    "asterisk": asterisk(),
    "freeswitch": rows([FREESWITCH_CALL]),
    "kamailio": rows([INVITE, BYE], header=True),
    "twilio-calls": rows([TWILIO_CALL], header=True),
    "twilio-messages": rows([TWILIO_MESSAGE], header=True),
}


# --- what is damaged ------------------------------------------------------------------------------------------------

DAMAGED: dict[str, tuple[bytes, str]] = {
    "a line that breaks off in a text": (GOOD[0][:40], "has quotes that do not match"),
    "a line that breaks off between cells": (GOOD[0][: GOOD[0].index(b',"PJSIP')], f"has 5 cells and not {WIDTHS}"),
    "a line of something else": (b"Oct  2 10:11:12 pbx asterisk[421]: WARNING", f"has 1 cells and not {WIDTHS}"),
    "an opening quote too many": (GOOD[0].replace(b'"from', b'""from').strip(), "has quotes that do not match"),
    "a quote in the middle": (GOOD[0].replace(b"internal", b'int"ernal').strip(), "has quotes that do not match"),
    "a cell too many": (GOOD[0].strip() + b",1,2,3,4", f"has 22 cells and not {WIDTHS}"),
    "two records in one line": (GOOD[0].strip() + b"," + GOOD[1].strip(), f"has 36 cells and not {WIDTHS}"),
    "semicolons for commas": (GOOD[0].replace(b",", b";").strip(), "has quotes that do not match"),
    "a line without an end": (b"x" * (LONGEST_LINE * 8), f"is longer than {LONGEST_LINE} bytes"),
    "a text without an end": (b'"' + b"x" * (LONGEST_LINE * 8), f"is longer than {LONGEST_LINE} bytes"),
    "a cell that is too long": (
        GOOD[0].replace(b"Dial", b"x" * LONGEST_LINE).strip(),
        f"is longer than {LONGEST_LINE} bytes",
    ),
    "nothing but a quote": (b'"', "has quotes that do not match"),
    "nothing but commas": (b"," * 17, "is not a disposition that is known"),
    "bytes of nothing": (b"\0" * 600, f"has 1 cells and not {WIDTHS}"),
    "bytes of another file": (bytes(range(128, 256)) * 3, f"has 1 cells and not {WIDTHS}"),
    "an account that is not UTF-8": (GOOD[0].replace(b'"acme"', b'"caf\xe9"').strip(), "is not UTF-8"),
    "a line feed in a text": (GOOD[0].replace(b"Dial", b"Di\nal").strip(), "has quotes that do not match"),
    "a number as a spreadsheet has it": (GOOD[0].replace(b",61,", b",6.1E+01,").strip(), "is not a number of seconds"),
    "a date as a spreadsheet has it": (
        GOOD[0].replace(b"2026-10-02 10:11:12", b"02/10/2026 10:11").strip(),
        "is not a date and time",
    ),
    "JSON": (json.dumps(ASTERISK_CALL).encode(), "is not a disposition that is known"),
    "a usage event": (
        b'{"id":"x","account":"acme","product":"voice.outbound","occurred_at":"2026-10-02T10:11:12Z","quantity":"1"}',
        "has quotes that do not match",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_record_is_refused_with_its_line_and_hides_no_other(damage: str) -> None:
    spoilt, problem = DAMAGED[damage]
    for data, line in ((GOOD[0] + spoilt + b"\n" + GOOD[1], 2), (GOOD[0] + GOOD[1] + spoilt, 3)):
        events, refused = read("asterisk", data)
        assert 2 == len(events)
        assert problem in {record.problem for record in refused}
        assert line == min(record.line for record in refused)
        assert all(record.file == "calls.csv" and record.remedy for record in refused)


def test_there_are_damages_enough() -> None:
    assert 15 <= len(DAMAGED)


def test_a_quote_that_is_never_closed_swallows_no_message_after_it() -> None:
    header, good = rows([TWILIO_MESSAGE], header=True).splitlines(keepends=True)
    broken = good.replace(b'1234"', b"1234")
    data = header + good + broken + good * 1000
    events, refused = read("twilio-messages", data, Stated())
    assert 1001 == len(events)
    assert [(3, "", "has quotes that do not match")] == told(refused)


def test_what_no_column_of_ours_holds_may_be_in_any_encoding() -> None:
    events, refused = read("asterisk", asterisk().replace(b"Reception", b"R\xe9ception"))
    assert [] == refused
    assert 1 == len(events)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("Sid,From\n".encode("utf-16"), "is UTF-16"),
        (b"PK\x03\x04rest", "is a spreadsheet or an archive"),
        (b"SQLite format 3\0", "is a database"),
    ],
)
def test_a_file_of_another_kind_is_told_as_a_whole(data: bytes, problem: str) -> None:
    with pytest.raises(StreamUnreadableError, match=problem):
        read("asterisk", data)


@pytest.mark.parametrize("spoil", [lambda packed: packed[:-20], lambda packed: packed[:-8] + b"x" * 8])
def test_a_gzip_that_breaks_off_gives_its_whole_records_first(spoil: Callable[[bytes], bytes]) -> None:
    calls = asterisk(*({"uniqueid": f"{n * 7919 % 9973}.{n}"} for n in range(5000)))
    file = CallRecords(dialect=DIALECTS["asterisk"], stated=PARIS, file="Master.csv.gz")
    taken: list[Chunk] = []
    with pytest.raises(StreamUnreadableError, match="breaks off"):
        taken.extend(file.chunks(io.BytesIO(spoil(gzip.compress(calls)))))
    assert [] == [record for chunk in taken for record in chunk.refused]
    assert 0 < sum(len(chunk.payloads) for chunk in taken) <= 5000


@pytest.mark.parametrize("dialect", FILES)
def test_packed_with_a_byte_order_mark_and_carriage_returns_a_file_says_the_same(dialect: str) -> None:
    data = FILES[dialect]
    expected = read(dialect, data, ACME)[0]
    assert expected
    assert (expected, []) == read(dialect, b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"), ACME)
    assert (expected, []) == read(dialect, gzip.compress(b"\n" + data + b"\n\n"), ACME)


@pytest.mark.parametrize("dialect", FILES)
def test_files_that_were_joined_have_their_header_twice(dialect: str) -> None:
    events, refused = read(dialect, FILES[dialect], ACME)
    joined = read(dialect, FILES[dialect] * 2, ACME)
    assert (events if dialect == "kamailio" else events * 2, refused) == joined


@pytest.mark.parametrize("dialect", FILES)
def test_of_an_empty_file_there_is_nothing(dialect: str) -> None:
    assert ([], []) == read(dialect, b"", ACME)
    assert ([], []) == read(dialect, b"\n\n", ACME)


@given(data=st.binary(max_size=400), dialect=st.sampled_from(sorted(FILES)))
def test_no_bytes_whatever_raise_anything_but_what_is_promised(data: bytes, dialect: str) -> None:
    for each in (data, FILES[dialect] + data, FILES[dialect][:60] + data + FILES[dialect][60:]):
        try:
            read(dialect, each, ACME)
        except StreamUnreadableError:
            continue


# --- ids ------------------------------------------------------------------------------------------------------------


def test_records_without_ids_that_are_equal_count_twice_and_again_as_the_same() -> None:
    data = asterisk({}, {"dst": "0102030405"}, {}, columns=16)
    ids = [event["id"] for event in read("asterisk", data)[0]]
    assert 3 == len(set(ids))
    assert ids[0].removesuffix("-1") == ids[2].removesuffix("-2")
    assert ids == [event["id"] for event in read("asterisk", data, records=1)[0]]
    assert ids == [event["id"] for event in read("asterisk", data)[0]]


def test_an_id_is_of_the_record_and_not_of_what_is_stated_beside_it() -> None:
    """So what was stated wrongly and is imported again is a conflict, and never the same call twice."""
    data = asterisk(columns=16)
    other = dataclasses.replace(PARIS, account="beta", plan=dataclasses.replace(PLAN, country_code="32"))
    (here,), (there,) = read("asterisk", data)[0], read("asterisk", data, other)[0]
    assert here["id"] == there["id"]
    assert here != there


def test_an_id_does_not_depend_on_how_cells_are_quoted() -> None:
    bare = b"acme,0612345678,1001,ctx,bob,c1,c2,Dial,x,2026-10-02 10:11:12,,,5,0,BUSY,DOCUMENTATION\n"
    quoted = b",".join(b'"%b"' % cell for cell in bare.strip().split(b",")) + b"\r\n"
    assert read("asterisk", bare) == read("asterisk", quoted)


def test_memory_is_that_of_a_sheet_whatever_the_file_holds() -> None:
    def peak(calls: int) -> int:
        lines = asterisk(*({"duration": n} for n in range(1000)), columns=16)
        file = CallRecords(dialect=DIALECTS["asterisk"], stated=PARIS, file="Master.csv")
        stream = io.BytesIO(gzip.compress(lines * (calls // 1000)))
        tracemalloc.start()
        for chunk in file.chunks(stream, records=500):
            assert len(chunk.payloads) <= 500
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    assert peak(10_000) < peak(2_000) * 1.5


# --- what comes out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", FILES)
def test_the_engine_takes_what_comes_out(dialect: str) -> None:
    file = CallRecords(dialect=DIALECTS[dialect], stated=ACME, file="calls.csv")
    (chunk,) = file.chunks(io.BytesIO(FILES[dialect]))
    parsed = parse(chunk.payloads, source="switch-1", products=products(), at=AT)
    assert ((), 1) == (parsed.rejects, len(parsed.usage))
    assert [1 if dialect == "twilio-messages" else 61] == parsed.usage.measured.tolist()


def test_the_span_of_a_file_is_known_when_it_was_read() -> None:
    file = CallRecords(dialect=DIALECTS["asterisk"], stated=PARIS, file="Master.csv")
    data = asterisk({"start": "2026-10-03 10:00:00"}, {}, {"start": "2026-10-02 12:00:00"})
    assert 3 == len(list(file.chunks(io.BytesIO(data), records=1)))
    assert ("2026-10-02T08:11:12.000000Z", "2026-10-03T08:00:00.000000Z") == (file.earliest, file.latest)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=20)


@given(
    account=TEXT.filter(str.strip),
    dst=TEXT.filter(lambda text: not text.startswith("+")),
    clid=TEXT,
    seconds=st.integers(0, 172_799),
    micro=st.integers(0, 999_999),
)
def test_what_is_written_into_a_record_is_what_the_engine_reads(
    account: str, dst: str, clid: str, seconds: int, micro: int
) -> None:
    billsec = f"{seconds}.{micro:06}"
    (event,), refused = read(
        "asterisk", asterisk({"accountcode": account, "dst": dst, "clid": clid, "billsec": billsec})
    )
    assert [] == refused
    assert account == event["account"]
    assert (PLAN.numbers(pa.array([dst]))[0].as_py() if dst else "") == event.get("to", "")
    parsed = parse([json.dumps(event).encode()], source="switch-1", products=products(), at=AT)
    assert [seconds + (micro > 0)] == parsed.usage.measured.tolist()


# --- what has to be stated ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "stated", "problem"),
    [
        ("asterisk", Stated(plan=PLAN), "its times have no zone"),
        ("freeswitch", dataclasses.replace(PARIS, plan=None), "its numbers are as they were dialled"),
        ("kamailio", PARIS, "its records name no account"),
        ("asterisk", dataclasses.replace(PARIS, columns={"colour": "x"}), "colour is nothing that is read of it"),
        ("asterisk", dataclasses.replace(PARIS, fields=("start", "dst")), "--fields has no column billsec"),
        ("asterisk", dataclasses.replace(ACME, columns={"account": "src"}), "state one"),
        ("twilio-calls", Stated(), ""),
        ("asterisk", PARIS, ""),
    ],
)
def test_what_records_do_not_say_has_to_be_stated(dialect: str, stated: Stated, problem: str) -> None:
    found = problem_of(DIALECTS[dialect], stated)
    assert problem in found
    assert bool(problem) == bool(found)
