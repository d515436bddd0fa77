"""Twilio's logs: headers in any order, UTC, inbound and outbound, calls and messages that have ended."""

import dataclasses

import pytest

from billing.errors import StreamUnreadableError
from billing.sources.calls import Stated
from tests.callrecords import TWILIO_CALL, TWILIO_MESSAGE, one, read, rows, told

NOTHING = Stated()


def call(**changes: str) -> bytes:
    return rows([{**TWILIO_CALL, **changes}], header=True)


def message(**changes: str) -> bytes:
    return rows([{**TWILIO_MESSAGE, **changes}], header=True)


def test_a_call_is_read() -> None:
    assert {
        "id": "CA00000000000000000000000000000001",
        "account": "AC" + "0" * 32,
        "product": "voice.outbound",
        "occurred_at": "2026-10-02T10:11:12.000000Z",
        "from": "+14155550123",
        "to": "+442079460000",
        "duration_seconds": "61",
        "status": "completed",
    } == one("twilio-calls", call(), NOTHING)


def test_a_message_is_read_with_its_segments_and_without_its_text() -> None:
    assert {
        "id": "SM00000000000000000000000000000001",
        "account": "AC" + "0" * 32,
        "product": "sms.outbound",
        "occurred_at": "2026-10-02T10:11:12.000000Z",
        "from": "+14155550123",
        "to": "+442079460000",
        "segments": "1",
        "status": "delivered",
    } == one("twilio-messages", message(), NOTHING)


@pytest.mark.parametrize(
    "names",
    [
        {"Sid": "Call Sid", "StartTime": "Start Time", "AccountSid": "Account Sid"},
        {"Sid": "call_sid", "StartTime": "start_time", "From": "from", "To": "to", "AccountSid": "account_sid"},
    ],
)
def test_the_header_may_spell_and_order_its_columns_as_it_likes(names: dict[str, str]) -> None:
    record = {names.get(name, name): value for name, value in reversed(TWILIO_CALL.items())}
    assert one("twilio-calls", call(), NOTHING) == one("twilio-calls", rows([record], header=True), NOTHING)


@pytest.mark.parametrize(
    ("direction", "product"),
    [
        ("inbound", "voice.inbound"),
        ("outbound-dial", "voice.outbound"),
        ("Outgoing API", "voice.outbound"),
        ("trunking-terminating", "trunk.termination"),
        ("trunking-originating", "trunk.origination"),
    ],
)
def test_the_direction_says_the_product(direction: str, product: str) -> None:
    assert product == one("twilio-calls", call(Direction=direction), NOTHING)["product"]
    stated = dataclasses.replace(NOTHING, product="voice.inbound")
    assert "voice.inbound" == one("twilio-calls", call(Direction=direction), stated)["product"]


@pytest.mark.parametrize("status", ["busy", "failed", "no-answer", "canceled"])
def test_a_call_that_was_not_answered_has_an_empty_duration(status: str) -> None:
    event = one("twilio-calls", call(Status=status, Duration=""), NOTHING)
    assert (status, "0") == (event["status"], event["duration_seconds"])


@pytest.mark.parametrize("status", ["in-progress", "queued", "ringing"])
def test_a_call_that_has_not_ended_is_refused_lest_it_counts_as_it_stood(status: str) -> None:
    _, refused = read("twilio-calls", call(Status=status), NOTHING)
    assert [(2, "Status", "is not the end of it")] == told(refused)


@pytest.mark.parametrize("status", ["queued", "accepted", "sending"])
def test_so_is_a_message(status: str) -> None:
    _, refused = read("twilio-messages", message(Status=status), NOTHING)
    assert [(2, "Status", "is not the end of it")] == told(refused)


def test_what_never_began_was_when_it_was_asked_for() -> None:
    unmade = {"Status": "failed", "Duration": "", "StartTime": "", "DateCreated": "2026-10-03 01:02:03 UTC"}
    data = rows([{**TWILIO_CALL, **unmade}], header=True)
    assert "2026-10-03T01:02:03.000000Z" == one("twilio-calls", data, NOTHING)["occurred_at"]


def test_dates_of_the_api_are_read_too() -> None:
    event = one("twilio-calls", call(StartTime="Fri, 02 Oct 2026 10:11:12 +0000"), NOTHING)
    assert "2026-10-02T10:11:12.000000Z" == event["occurred_at"]


def test_a_time_without_a_zone_wants_one_stated() -> None:
    _, refused = read("twilio-calls", call(StartTime="2026-10-02 10:11:12"), NOTHING)
    assert [(2, "StartTime", "has no time zone")] == told(refused)


def test_a_text_of_several_lines_is_one_record() -> None:
    long = {**TWILIO_MESSAGE, "Body": 'line 1\nline "2",\n\nline 4', "Sid": "SM2"}
    events, refused = read("twilio-messages", rows([long, TWILIO_MESSAGE], header=True), NOTHING)
    assert [] == refused
    assert ["SM2", TWILIO_MESSAGE["Sid"]] == [event["id"] for event in events]


def test_a_failed_message_keeps_its_error_code_for_the_fee() -> None:
    event = one("twilio-messages", message(Status="failed", ErrorCode="30005"), NOTHING)
    assert ("failed", "30005") == (event["status"], event["error_code"])


def test_clients_addresses_and_short_codes_stay_as_they_are() -> None:
    event = one("twilio-calls", call(To="client:alice", From="sip:bob@example.com"), NOTHING)
    assert ("client:alice", "sip:bob@example.com") == (event["to"], event["from"])
    assert "22395" == one("twilio-messages", message(From="22395"), NOTHING)["from"]


def test_a_file_without_a_header_says_what_is_missing() -> None:
    with pytest.raises(StreamUnreadableError, match="no header with Sid, StartTime, To, Duration, Status"):
        read("twilio-calls", call().partition(b"\n")[2], NOTHING)


@pytest.mark.parametrize("segments", ["", "1.5", "-1", "one"])
def test_segments_are_a_whole_number(segments: str) -> None:
    _, refused = read("twilio-messages", message(NumSegments=segments), NOTHING)
    assert [(2, "NumSegments", "is not a number of segments")] == told(refused)
