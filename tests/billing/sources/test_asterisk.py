"""Asterisk's Master.csv: what is billed, whose it is, and which record is which."""

import dataclasses

import pytest

from billing.sources.asterisk import ASTERISK
from tests.callrecords import ASTERISK_CALL, PARIS, asterisk, one, read, rows, told


def test_a_call_is_billed_by_its_answered_seconds_from_its_start() -> None:
    assert {
        "id": "1790930472.18/PJSIP/trunk-0000002b",
        "account": "acme",
        "product": "voice.outbound",
        "occurred_at": "2026-10-02T08:11:12.000000Z",
        "from": "+33612345678",
        "to": "+442079460000",
        "duration_seconds": "61",
        "status": "completed",
    } == one("asterisk", asterisk())


@pytest.mark.parametrize(
    ("disposition", "status"),
    [("NO ANSWER", "no-answer"), ("BUSY", "busy"), ("FAILED", "failed"), ("CONGESTION", "failed")],
)
def test_a_call_that_was_not_answered_keeps_its_outcome_and_has_no_seconds(disposition: str, status: str) -> None:
    event = one("asterisk", asterisk({"disposition": disposition, "billsec": 0, "answer": ""}))
    assert (status, "0") == (event["status"], event["duration_seconds"])


def test_fractions_of_a_second_are_kept_for_the_engine_to_round_up() -> None:
    assert "0.4" == one("asterisk", asterisk({"billsec": 0.4}))["duration_seconds"]


def test_an_extension_stays_as_it_was_dialled() -> None:
    event = one("asterisk", asterisk({"dst": "1001", "src": ""}))
    assert "1001" == event["to"]
    assert "from" not in event


def test_records_of_one_channel_that_tried_several_destinations_are_several() -> None:
    tries: list[dict[str, object]] = [
        {"dstchannel": "PJSIP/a-0000002b", "disposition": "NO ANSWER", "billsec": 0},
        {"dstchannel": "PJSIP/b-0000002c"},
        {"dstchannel": ""},
    ]
    events, refused = read("asterisk", asterisk(*tries))
    assert [] == refused
    ids = ["1790930472.18/PJSIP/a-0000002b", "1790930472.18/PJSIP/b-0000002c", "1790930472.18"]
    assert ids == [event["id"] for event in events]


def test_with_the_sequence_a_record_is_known_by_that() -> None:
    later = {**ASTERISK_CALL, "peeraccount": "", "linkedid": "1790930472.18", "sequence": 7}
    assert "1790930472.18/7" == one("asterisk", rows([later]))["id"]


@pytest.mark.parametrize("columns", [16, 17, 18])
def test_the_number_of_cells_says_which_columns_there_are(columns: int) -> None:
    event = one("asterisk", asterisk(columns=columns))
    assert "+442079460000" == event["to"]
    assert (columns == 16) == event["id"].endswith("-1")


def test_a_file_that_changes_its_columns_on_the_way_is_read_through() -> None:
    events, refused = read("asterisk", asterisk(columns=16) + asterisk() + asterisk(columns=17))
    assert [] == refused
    assert 3 == len(events)


def test_a_user_field_is_not_taken_for_an_id() -> None:
    data = rows([{**dict(list(ASTERISK_CALL.items())[:16]), "userfield": "campaign 7"}])
    events, refused = read("asterisk", data)
    assert ([], [(1, "uniqueid", "is not a uniqueid as in 1790930472.18")]) == (events, told(refused))
    named = dataclasses.replace(PARIS, fields=(*list(ASTERISK_CALL)[:16], "userfield"))
    assert one("asterisk", data, named)["id"].endswith("-1")


def test_another_column_may_name_the_account() -> None:
    stated = dataclasses.replace(PARIS, columns={"account": "userfield"})
    assert "beta" == one("asterisk", asterisk({"userfield": "beta"}), stated)["account"]


def test_all_of_a_file_may_be_one_accounts() -> None:
    assert "beta" == one("asterisk", asterisk(), dataclasses.replace(PARIS, account="beta"))["account"]


def test_where_a_direction_is_logged_it_says_the_product() -> None:
    stated = dataclasses.replace(PARIS, columns={"direction": "userfield"})
    events, refused = read("asterisk", asterisk(*({"userfield": d} for d in ("inbound", "Outbound", "up"))), stated)
    assert ["voice.inbound", "voice.outbound"] == [event["product"] for event in events]
    assert [(3, "userfield", "is not a direction that is known")] == told(refused)


@pytest.mark.parametrize(
    ("change", "column", "problem"),
    [
        ({"accountcode": ""}, "accountcode", "names no account"),
        ({"start": ""}, "start", "is not a date and time"),
        ({"start": "1970-01-01 00:00:00"}, "start", "is not a date and time"),
        (
            {"start": "2026-03-29 02:30:00"},
            "start",
            "does not exist in Europe/Paris, where clocks skip it as they go forward",
        ),
        ({"start": "2026-10-25 02:30:00"}, "start", "exists twice in Europe/Paris, where clocks go back"),
        ({"billsec": "-5"}, "billsec", "is not a number of seconds"),
        ({"billsec": "1e3"}, "billsec", "is not a number of seconds"),
        ({"billsec": ""}, "billsec", "is empty for a call that was answered"),
        ({"disposition": "NO ANSWER"}, "billsec", "is more than 0 for a call that was not answered"),
        ({"disposition": "UNKNOWN"}, "disposition", "is not a disposition that is known"),
        ({"dst": "+"}, "dst", "begins with + and is no number"),
        ({"dst": "00\x0142"}, "dst", "has a control character in it"),
    ],
)
def test_what_is_not_certain_is_refused_with_its_column(change: dict[str, object], column: str, problem: str) -> None:
    events, refused = read("asterisk", asterisk({}, change, {"dst": "1001"}))
    assert [(2, column, problem)] == told(refused)
    assert 2 == len(events)


def test_seconds_that_were_not_answered_are_no_price_of_nothing() -> None:
    """A contradiction is refused, and not zero-rated in silence."""
    _, (record,) = read("asterisk", asterisk({"disposition": "BUSY", "billsec": 3}))
    assert ("billsec", "3") == (record.column, record.value)
    assert record.original == asterisk({"disposition": "BUSY", "billsec": 3}).strip()


def test_the_orders_of_columns_are_told_apart_by_their_number() -> None:
    assert len(ASTERISK.orders) == len({len(order) for order in ASTERISK.orders})
