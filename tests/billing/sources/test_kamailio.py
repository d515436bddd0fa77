"""Kamailio's acc: INVITE and BYE make a call, in whatever order and chunks they come, and neither does alone."""

import dataclasses
import io
import random
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.chunks import Refused
from billing.sources.callrecords import layout_of
from billing.sources.kamailio import KAMAILIO, Pairing
from billing.sources.records import read_sheets
from tests.callrecords import BYE, INVITE, PARIS, Event, one, read, rows, told

ACME = dataclasses.replace(PARIS, account="acme")


def test_an_invite_and_its_bye_are_a_call_from_the_answer() -> None:
    assert {
        "id": "a84b4c76e66710@10.0.0.7;f1;t1",
        "account": "acme",
        "product": "voice.outbound",
        "occurred_at": "2026-10-02T08:11:20.000000Z",
        "from": "+33612345678",
        "to": "+442079460000",
        "duration_seconds": "61",
        "status": "completed",
    } == one("kamailio", rows([INVITE, BYE], header=True), ACME)


def test_an_export_without_a_header_and_with_tabs_is_read() -> None:
    data = b"".join("\t".join(record.values()).encode() + b"\n" for record in (INVITE, BYE))
    assert "61" == one("kamailio", data, ACME)["duration_seconds"]


def test_either_side_may_hang_up_and_both_may_say_so() -> None:
    other = {**BYE, "from_tag": "f1", "to_tag": "t1", "time": "2026-10-02 10:12:22"}
    for byes in ([BYE], [other], [BYE, other]):
        expected = "62" if byes == [other] else "61"
        assert expected == one("kamailio", rows([INVITE, *byes]), ACME)["duration_seconds"]


def test_a_re_invite_and_a_challenge_are_no_calls() -> None:
    again = {**INVITE, "time": "2026-10-02 10:11:50"}
    challenge = {**INVITE, "sip_code": "407", "to_tag": "x", "time": "2026-10-02 10:11:19"}
    ack = {**INVITE, "method": "ACK"}
    assert "61" == one("kamailio", rows([challenge, INVITE, ack, again, BYE]), ACME)["duration_seconds"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("486", "busy"),
        ("600", "busy"),
        ("487", "canceled"),
        ("408", "no-answer"),
        ("480", "no-answer"),
        ("503", "failed"),
    ],
)
def test_an_invite_that_was_refused_is_a_call_of_no_seconds(code: str, status: str) -> None:
    event = one("kamailio", rows([{**INVITE, "sip_code": code}]), ACME)
    assert (status, "0") == (event["status"], event["duration_seconds"])


def test_a_fork_of_which_one_branch_answers_is_one_completed_call() -> None:
    busy = {**INVITE, "sip_code": "486", "time": "2026-10-02 10:11:18"}
    events, refused = read("kamailio", rows([busy, INVITE, BYE]), ACME)
    assert [] == refused
    assert ["busy", "completed"] == sorted(event["status"] for event in events)
    assert 2 == len({event["id"] for event in events})


def test_a_number_in_an_address_is_a_number() -> None:
    record = {
        **INVITE,
        "src_user": "sip:0612345678@10.0.0.7",
        "dst_user": "sip:+442079460000@gw.example.com;user=phone",
    }
    event = one("kamailio", rows([record, BYE]), ACME)
    assert ("+33612345678", "+442079460000") == (event["from"], event["to"])
    named = one("kamailio", rows([{**INVITE, "dst_user": "sip:bob@example.com"}, BYE]), ACME)
    assert "sip:bob@example.com" == named["to"]


def test_half_a_call_is_refused_and_says_what_is_missing() -> None:
    other = {**BYE, "callid": "other"}
    events, refused = read("kamailio", rows([INVITE, other]), ACME)
    assert [] == events
    assert [
        (1, "method", "has no BYE in this file"),
        (2, "method", "ends a call that does not begin in this file"),
    ] == told(refused)
    assert "together with the file that has the other half" in refused[0].remedy


def test_a_call_over_the_change_of_clocks_lasts_as_long_as_it_did() -> None:
    invite = {**INVITE, "time": "2026-10-25 01:59:00"}
    bye = {**BYE, "time": "2026-10-25 03:01:00"}
    assert str(2 * 3600 + 120) == one("kamailio", rows([invite, bye]), ACME)["duration_seconds"]


def test_a_bye_in_the_hour_that_is_there_twice_leaves_its_call_open() -> None:
    events, refused = read("kamailio", rows([INVITE, {**BYE, "time": "2026-10-25 02:30:00"}]), ACME)
    assert [] == events
    assert {"time", "method"} == {record.column for record in refused}


def test_a_call_that_ends_before_it_begins_is_refused() -> None:
    _, refused = read("kamailio", rows([INVITE, {**BYE, "time": "2026-10-02 10:11:19"}]), ACME)
    assert [(1, "time", "ends before it began")] == told(refused)


def test_what_waits_for_48_hours_is_given_up_so_that_memory_does_not_grow() -> None:
    start = datetime.fromisoformat("2026-10-01 00:00:00")
    file = rows({**INVITE, "callid": f"c{day}", "time": str(start + timedelta(days=day))} for day in range(10))
    pairing = Pairing(dialect=KAMAILIO, stated=ACME)
    given_up: list[Refused] = []
    for sheet in read_sheets(io.BytesIO(file), layout_of(KAMAILIO, ACME), file="acc.csv", rows=1):
        given_up += pairing.read(sheet).refused
        assert len(pairing.invites) <= 3
    assert [(line, "method", "has no BYE in this file") for line in range(1, 8)] == told(given_up)


@pytest.mark.parametrize(
    ("change", "column", "problem"),
    [
        ({"method": "MESSAGE"}, "method", "is not the method of a call"),
        ({"sip_code": "180"}, "sip_code", "is not a final SIP code"),
        ({"callid": ""}, "callid", "is empty"),
        ({"time": "yesterday"}, "time", "is not a date and time"),
        ({"dst_user": "+123456789012345678"}, "dst_user", "begins with + and is no number"),
    ],
)
def test_a_transaction_that_is_not_understood_is_refused(change: dict[str, str], column: str, problem: str) -> None:
    _, refused = read("kamailio", rows([{**INVITE, **change}]), ACME)
    assert [(1, column, problem)] == told(refused)


@given(
    calls=st.lists(st.tuples(st.integers(0, 3600), st.integers(0, 7200), st.booleans()), max_size=12),
    order=st.randoms(use_true_random=False),
    records=st.integers(1, 7),
)
def test_calls_are_the_same_in_whatever_order_and_chunks_their_halves_come(
    calls: list[tuple[int, int, bool]], order: random.Random, records: int
) -> None:
    base = datetime.fromisoformat("2026-10-02 10:00:00")
    halves: list[dict[str, object]] = []
    expected: dict[str, str] = {}
    for number, (after, lasts, by_caller) in enumerate(calls):
        began = base + timedelta(seconds=after)
        tags = {"from_tag": f"f{number}", "to_tag": f"t{number}"}
        turned = tags if by_caller else {"from_tag": tags["to_tag"], "to_tag": tags["from_tag"]}
        halves.append({**INVITE, "callid": f"c{number}", "time": str(began), **tags})
        halves.append({**BYE, "callid": f"c{number}", "time": str(began + timedelta(seconds=lasts)), **turned})
        expected[f"c{number};f{number};t{number}"] = str(lasts)
    order.shuffle(halves)
    events: list[Event] = []
    if halves:
        events, refused = read("kamailio", rows(halves), ACME, records=records)
        assert [] == refused
    assert expected == {event["id"]: event["duration_seconds"] for event in events}
