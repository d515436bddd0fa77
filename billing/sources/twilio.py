"""Twilio's call log and message log as CSV, with a header: one record a call leg, one a message.

Columns are found by their names, in any order and spelling (`StartTime`, `Start Time`, `start_time`): the properties of
the Call and Message resources of Twilio's API 2010-04-01, which its Console exports and its helper libraries print. The
message log of the Console is `From,To,Body,Status,SentDate,ApiVersion,NumSegments,ErrorCode,AccountSid,Sid,Direction,
Price,PriceUnit`. Meanings, from the same pages: times are UTC and say so; `Duration` is in seconds and empty for calls
that were busy, failed or not answered; numbers are E.164; `Sid` is the record's own. What is still under way would be
billed as it stood, and is refused: a record counts once.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import pyarrow as pa
import pyarrow.compute as pc

from billing.sources.calls import (
    BUSY,
    CANCELED,
    COMPLETED,
    FAILED,
    NO_ANSWER,
    Bools,
    Dialect,
    Stated,
    accounts,
    instant_texts,
    instants,
    is_blank,
    mapped,
    numbers,
    of_rows,
    products,
    seconds,
)
from billing.sources.clocks import TIME
from billing.sources.records import Sheet
from billing.written import Column

CALL_STATUSES = {
    "completed": COMPLETED,
    "no answer": NO_ANSWER,
    "busy": BUSY,
    "failed": FAILED,
    "canceled": CANCELED,
    "cancelled": CANCELED,
}
CALL_DIRECTIONS = {
    "inbound": "voice.inbound",
    "incoming": "voice.inbound",
    "outbound api": "voice.outbound",
    "outbound dial": "voice.outbound",
    "outgoing api": "voice.outbound",
    "outgoing dial": "voice.outbound",
    "trunking originating": "trunk.origination",
    "trunking terminating": "trunk.termination",
}
MESSAGE_STATUSES = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "undelivered",
    "delivery unknown": "unknown",
    "failed": FAILED,
    "canceled": CANCELED,
    "received": "received",
    "partially delivered": "delivered",
}
MESSAGE_DIRECTIONS = {
    "inbound": "sms.inbound",
    "incoming": "sms.inbound",
    "outbound api": "sms.outbound",
    "outbound call": "sms.outbound",
    "outbound reply": "sms.outbound",
    "outgoing": "sms.outbound",
    "outgoing api": "sms.outbound",
    "outgoing reply": "sms.outbound",
}
OPEN = frozenset(("queued", "ringing", "initiated", "in_progress", "accepted", "scheduled", "sending", "receiving"))
"""Statuses that are not the last one."""

_SEGMENTS = "^[0-9]{1,6}$"


def _read_calls(sheet: Sheet, dialect: Dialect, stated: Stated) -> Mapping[str, Column]:
    role = {name: dialect.role(name, stated) for name in dialect.roles}
    _refuse_open(sheet, role["status"])
    status = mapped(sheet, role["status"], CALL_STATUSES, "is not a status that is known")
    return _common(sheet, dialect, stated, CALL_DIRECTIONS) | {
        "duration_seconds": seconds(sheet, role["duration"], status),
        "status": status,
    }


def _read_messages(sheet: Sheet, dialect: Dialect, stated: Stated) -> Mapping[str, Column]:
    role = {name: dialect.role(name, stated) for name in dialect.roles}
    _refuse_open(sheet, role["status"])
    segments = sheet.column(role["segments"])
    wrong = ~pc.match_substring_regex(segments, _SEGMENTS).to_numpy(zero_copy_only=False)
    sheet.refuse(wrong, role["segments"], "is not a number of segments", "mend the record")
    error = sheet.column(role["error"])
    return _common(sheet, dialect, stated, MESSAGE_DIRECTIONS) | {
        "segments": segments,
        "status": mapped(sheet, role["status"], MESSAGE_STATUSES, "is not a status that is known"),
        "error_code": pc.if_else(pc.is_in(error, pa.array(["0", "null", "None"])), "", error),
    }


def _common(sheet: Sheet, dialect: Dialect, stated: Stated, directions: Mapping[str, str]) -> dict[str, Column]:
    role = {name: dialect.role(name, stated) for name in dialect.roles}
    return {
        "id": sheet.column(role["id"]),
        "account": accounts(sheet, dialect, stated),
        "product": products(sheet, dialect, stated, directions),
        "occurred_at": _times(sheet, role, stated),
        "from": numbers(sheet, role["from"], stated.plan),
        "to": numbers(sheet, role["to"], stated.plan),
    }


def _times(sheet: Sheet, role: Mapping[str, str], stated: Stated) -> Column:
    """When it began; where that is empty, as for what never left, when it was asked for."""
    for name in (role["start"], role["created"]):
        if name in sheet.names:
            _rewrite_dates(sheet, name)
    start = sheet.column(role["start"])
    use_created = is_blank(start) if role["created"] in sheet.names else is_blank(start) & False
    began = instants(sheet, role["start"], stated.zone, where=~use_created)
    if use_created.any():
        made = instants(sheet, role["created"], stated.zone, where=use_created)
        began[use_created] = made[use_created]
    return instant_texts(began)


def _rewrite_dates(sheet: Sheet, name: str) -> None:
    """Dates of RFC 2822, which the API gives, in the form that is read."""
    text = sheet.column(name)
    other: Bools = pc.invert(pc.match_substring_regex(text, TIME)).to_numpy(zero_copy_only=False)
    if not (other & ~is_blank(text)).any():
        return
    sheet.replace(name, pa.array([_rewritten(value) for value in text.to_pylist()], pa.string()))


def _rewritten(value: str) -> str:
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return value
    return found.isoformat() if found.tzinfo is not None else value


def _refuse_open(sheet: Sheet, name: str) -> None:
    values = pc.replace_substring_regex(pc.utf8_lower(sheet.column(name)), "[ -]", "_")
    is_open: Bools = pc.is_in(values, pa.array(sorted(OPEN))).to_numpy(zero_copy_only=False)
    sheet.refuse(is_open, name, "is not the end of it", "export it again when it has ended")


def _spelled(*names: str, **others: str) -> dict[str, str]:
    return {name.lower(): name for name in names} | others


_CALL_COLUMNS = _spelled(
    "Sid", "AccountSid", "From", "To", "Status", "StartTime", "EndTime", "Duration", "Direction", "DateCreated",
    callsid="Sid", callstatus="Status", callduration="Duration", callerid="From", startdate="StartTime",
)  # fmt: skip
_MESSAGE_COLUMNS = _spelled(
    "Sid", "AccountSid", "From", "To", "Status", "SentDate", "NumSegments", "ErrorCode", "Direction", "DateCreated",
    messagesid="Sid", smsmessagesid="Sid", smssid="Sid", datesent="SentDate", sentat="SentDate",
    segments="NumSegments", messagesegments="NumSegments", messagestatus="Status",
)  # fmt: skip
_ROLES = {
    "id": "Sid",
    "account": "AccountSid",
    "created": "DateCreated",
    "from": "From",
    "to": "To",
    "status": "Status",
}

TWILIO_CALLS = Dialect(
    id="twilio-calls",
    name="Twilio's call log",
    product="voice.outbound",
    roles=_ROLES | {"start": "StartTime", "duration": "Duration", "direction": "Direction"},
    needed=("id", "start", "to", "duration", "status"),
    orders=(),
    begin=of_rows(_read_calls),
    spellings=_CALL_COLUMNS,
    naive=False,
    dialled=False,
)
TWILIO_MESSAGES = Dialect(
    id="twilio-messages",
    name="Twilio's message log",
    product="sms.outbound",
    roles=_ROLES | {"start": "SentDate", "segments": "NumSegments", "error": "ErrorCode", "direction": "Direction"},
    needed=("id", "start", "to", "segments", "status"),
    orders=(),
    begin=of_rows(_read_messages),
    spellings=_MESSAGE_COLUMNS,
    naive=False,
    dialled=False,
    multiline=True,
)
