"""FreeSWITCH's cdr_csv: the default template, templates of one's own, answered and not."""

import dataclasses

import pytest

from billing.sources.calls import Stated
from tests.callrecords import FREESWITCH_CALL, PARIS, PLAN, one, read, rows, told


def call(**changes: str) -> bytes:
    return rows([{**FREESWITCH_CALL, **changes}])


def test_a_leg_of_the_default_template_is_read() -> None:
    assert {
        "id": "c60a1f09-ce61-47d3-a806-82bd2c9a4b6a",
        "account": "acme",
        "product": "voice.outbound",
        "occurred_at": "2026-10-02T08:11:12.000000Z",
        "from": "+33612345678",
        "to": "+442079460000",
        "duration_seconds": "61",
        "status": "completed",
    } == one("freeswitch", call())


def test_the_template_without_codecs_is_read_too() -> None:
    short = dict(list(FREESWITCH_CALL.items())[:13])
    assert "acme" == one("freeswitch", rows([short]))["account"]


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        ("USER_BUSY", "busy"),
        ("NO_ANSWER", "no-answer"),
        ("ORIGINATOR_CANCEL", "canceled"),
        ("NORMAL_TEMPORARY_FAILURE", "failed"),
        ("SOME_CAUSE_OF_TOMORROW", "failed"),
    ],
)
def test_a_leg_without_an_answer_has_the_outcome_of_its_cause(cause: str, status: str) -> None:
    event = one("freeswitch", call(answer_stamp="", billsec="0", hangup_cause=cause))
    assert (status, "0") == (event["status"], event["duration_seconds"])


def test_an_answered_leg_of_no_seconds_is_answered() -> None:
    event = one("freeswitch", call(billsec="0", hangup_cause="DESTINATION_OUT_OF_ORDER"))
    assert ("completed", "0") == (event["status"], event["duration_seconds"])


def test_a_name_with_quotes_that_the_template_does_not_double_harms_nothing() -> None:
    """The templates put `"${caller_id_name}"` into the file as the caller sent it."""
    data = call(caller_id_name="NAME").replace(b"NAME", b'Bob "The, Builder" 5"')
    assert "+442079460000" == one("freeswitch", data)["to"]


def test_a_template_of_ones_own_is_stated_and_may_be_finer() -> None:
    stated = Stated(
        plan=PLAN,
        fields=("uuid", "accountcode", "caller_id_number", "destination_number", "start_uepoch", "billmsec", "cause"),
        columns={"start": "start_uepoch", "duration": "billmsec", "status": "cause"},
    )
    data = b'"u1","acme","0612345678","00442079460000","1790928672250000","400","NORMAL_CLEARING"\n'
    event = one("freeswitch", data, stated)
    assert "2026-10-02T08:11:12.250000Z" == event["occurred_at"]
    assert "0.400" == event["duration_seconds"]
    assert "completed" == event["status"]
    events, refused = read("freeswitch", data.replace(b'"1790928672250000"', b'"today"'), stated)
    assert [] == events
    assert [(1, "start_uepoch", "is not seconds or microseconds since 1970")] == told(refused)


def test_an_epoch_needs_no_zone_and_is_right_in_the_hour_that_is_there_twice() -> None:
    fields = ("uuid", "accountcode", "caller_id_number", "destination_number", "start_epoch", "billsec", "hangup_cause")
    stated = dataclasses.replace(PARIS, zone=None, fields=fields, columns={"start": "start_epoch"})
    data = b"u1,acme,0612345678,00442079460000,1792888200,61,NORMAL_CLEARING\n"
    assert "2026-10-25T00:30:00.000000Z" == one("freeswitch", data, stated)["occurred_at"]


def test_a_leg_that_was_never_answered_says_why_it_ended() -> None:
    _, refused = read("freeswitch", call(answer_stamp="", billsec="0", hangup_cause=""))
    assert [(1, "hangup_cause", "is empty for a call that was not answered")] == told(refused)
