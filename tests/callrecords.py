"""Files of call records as the switches and services write them, and what is read of them."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence

from billing.chunks import Refused
from billing.sources.callrecords import DIALECTS, CallRecords
from billing.sources.calls import Stated
from billing.sources.clocks import parse_zone
from billing.sources.dialing import DialingPlan

PLAN = DialingPlan(country_code="33", trunk=("0",), international=("00",))
PARIS = Stated(zone=parse_zone("Europe/Paris"), plan=PLAN)
Event = dict[str, str]

ASTERISK_CALL = {
    "accountcode": "acme",
    "src": "0612345678",
    "dst": "00442079460000",
    "dcontext": "from-internal",
    "clid": '"Reception, 2nd floor" <0612345678>',
    "channel": "PJSIP/acme-0000002a",
    "dstchannel": "PJSIP/trunk-0000002b",
    "lastapp": "Dial",
    "lastdata": "PJSIP/00442079460000@trunk,60",
    "start": "2026-10-02 10:11:12",
    "answer": "2026-10-02 10:11:20",
    "end": "2026-10-02 10:12:21",
    "duration": 69,
    "billsec": 61,
    "disposition": "ANSWERED",
    "amaflags": "DOCUMENTATION",
    "uniqueid": "1790930472.18",
    "userfield": "",
}
FREESWITCH_CALL = {
    "caller_id_name": "Reception",
    "caller_id_number": "0612345678",
    "destination_number": "00442079460000",
    "context": "default",
    "start_stamp": "2026-10-02 10:11:12",
    "answer_stamp": "2026-10-02 10:11:20",
    "end_stamp": "2026-10-02 10:12:21",
    "duration": "69",
    "billsec": "61",
    "hangup_cause": "NORMAL_CLEARING",
    "uuid": "c60a1f09-ce61-47d3-a806-82bd2c9a4b6a",
    "bleg_uuid": "0b7a9f3c-2f0e-4e0e-9d0c-6f1c2f6b7a10",
    "accountcode": "acme",
    "read_codec": "PCMA",
    "write_codec": "PCMA",
}
TWILIO_CALL = {
    "Sid": "CA" + "0" * 31 + "1",
    "AccountSid": "AC" + "0" * 32,
    "From": "+14155550123",
    "To": "+442079460000",
    "Status": "completed",
    "StartTime": "2026-10-02T10:11:12Z",
    "EndTime": "2026-10-02T10:12:13Z",
    "Duration": "61",
    "Direction": "outbound-api",
    "Price": "-0.014",
}
TWILIO_MESSAGE = {
    "From": "+14155550123",
    "To": "+442079460000",
    "Body": "Your code is 1234",
    "Status": "delivered",
    "SentDate": "2026-10-02T10:11:12Z",
    "ApiVersion": "2010-04-01",
    "NumSegments": "1",
    "ErrorCode": "",
    "AccountSid": "AC" + "0" * 32,
    "Sid": "SM" + "0" * 31 + "1",
    "Direction": "outbound-api",
    "Price": "-0.04",
    "PriceUnit": "USD",
}
INVITE = {
    "id": "1",
    "method": "INVITE",
    "from_tag": "f1",
    "to_tag": "t1",
    "callid": "a84b4c76e66710@10.0.0.7",
    "sip_code": "200",
    "sip_reason": "OK",
    "time": "2026-10-02 10:11:20",
    "src_user": "0612345678",
    "src_domain": "sip.example.com",
    "src_ip": "10.0.0.7",
    "dst_ouser": "00442079460000",
    "dst_user": "00442079460000",
    "dst_domain": "sip.example.com",
}
BYE = {**INVITE, "id": "2", "method": "BYE", "time": "2026-10-02 10:12:21", "from_tag": "t1", "to_tag": "f1"}


def rows(records: Iterable[Mapping[str, object]], *, header: bool = False) -> bytes:
    """Records as CSV, texts between quotes and numbers bare, as switches write them."""
    found = list(records)
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    if header:
        writer.writerow(found[0])
    writer.writerows(record.values() for record in found)
    return file.getvalue().encode()


def asterisk(*changes: Mapping[str, object], columns: int = 18) -> bytes:
    """A `Master.csv` of calls; each of `changes` replaces fields."""
    calls = [list({**ASTERISK_CALL, **change}.items())[:columns] for change in changes or ({},)]
    return rows(dict(call) for call in calls)


def read(
    dialect: str, data: bytes, stated: Stated = PARIS, *, records: int = 1000
) -> tuple[list[Event], list[Refused]]:
    """What a file comes to: usage in its plain form, and the records that are refused."""
    events: list[Event] = []
    refused: list[Refused] = []
    file = CallRecords(dialect=DIALECTS[dialect], stated=stated, file="calls.csv")
    for chunk in file.chunks(io.BytesIO(data), records=records):
        assert len(chunk.payloads) == len(chunk.lines)
        events += [json.loads(payload) for payload in chunk.payloads]
        refused += chunk.refused
    return events, refused


def one(dialect: str, data: bytes, stated: Stated = PARIS) -> Event:
    """The only event of a file of which nothing is refused."""
    events, refused = read(dialect, data, stated)
    assert [] == refused
    (event,) = events
    return event


def told(refused: Sequence[Refused]) -> list[tuple[int, str, str]]:
    """Where records were refused, and why."""
    return [(record.line, record.column, record.problem) for record in refused]
