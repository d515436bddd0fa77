"""Asterisk's `Master.csv`, as `cdr_csv` writes it: no header, times by the clock of the machine.

Columns: `cdr/cdr_csv.c` and `cdr.conf` of Asterisk. `loguniqueid` and `loguserfield` append a column each,
`newcdrcolumns` three more. Meanings: Asterisk's "CDR Fields" and its CDR specification: `start` is when the call was
made, `billsec` the seconds from answer to end, `duration` also those of ringing, which nobody bills. A `uniqueid` is a
channel's, not a record's: records of one call that tried several destinations share it. With `sequence` it is the
record's, else with the channel that was called.
"""

from collections.abc import Mapping

import pyarrow.compute as pc

from billing.sources.calls import (
    BUSY,
    COMPLETED,
    DIRECTIONS,
    FAILED,
    NO_ANSWER,
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
from billing.sources.records import Sheet
from billing.written import Column

BASE = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
    "start", "answer", "end", "duration", "billsec", "disposition", "amaflags",
)  # fmt: skip
_LATER = ("peeraccount", "linkedid", "sequence")
DISPOSITIONS = {
    "answered": COMPLETED,
    "no answer": NO_ANSWER,
    "busy": BUSY,
    "failed": FAILED,
    "congestion": FAILED,
}
_UNIQUEID = r"^([^\x00-\x20]+-)?[0-9]+\.[0-9]+$"


def _read(sheet: Sheet, dialect: Dialect, stated: Stated) -> Mapping[str, Column]:
    role = {name: dialect.role(name, stated) for name in dialect.roles}
    status = mapped(sheet, role["status"], DISPOSITIONS, "is not a disposition that is known")
    return {
        "id": _ids(sheet, role),
        "account": accounts(sheet, dialect, stated),
        "product": products(sheet, dialect, stated, DIRECTIONS),
        "occurred_at": instant_texts(instants(sheet, role["start"], stated.zone)),
        "from": numbers(sheet, role["from"], stated.plan),
        "to": numbers(sheet, role["to"], stated.plan),
        "duration_seconds": seconds(sheet, role["duration"], status),
        "status": status,
    }


def _ids(sheet: Sheet, role: Mapping[str, str]) -> Column:
    """What makes a record this one: its channel, and the number of the record or the channel that was called."""
    own = sheet.column(role["id"])
    if role["id"] != "uniqueid":
        return own
    wrong = ~(pc.match_substring_regex(own, _UNIQUEID).to_numpy(zero_copy_only=False) | is_blank(own))
    sheet.refuse(wrong, "uniqueid", "is not a uniqueid as in 1790930472.18", "state the columns with --fields")
    sequence, called = sheet.column("sequence"), sheet.column("dstchannel")
    second = pc.if_else(pc.equal(sequence, ""), called, sequence)
    both = pc.binary_join_element_wise(own, second, "/")
    return pc.if_else(pc.or_(pc.equal(own, ""), pc.equal(second, "")), own, both)


ASTERISK = Dialect(
    id="asterisk",
    name="Asterisk Master.csv (cdr_csv)",
    product="voice.outbound",
    roles={
        "id": "uniqueid",
        "account": "accountcode",
        "start": "start",
        "from": "src",
        "to": "dst",
        "duration": "billsec",
        "status": "disposition",
        "direction": "",
    },
    needed=("start", "to", "duration", "status"),
    orders=(
        BASE,
        (*BASE, "uniqueid"),
        (*BASE, "uniqueid", "userfield"),
        (*BASE, *_LATER),
        (*BASE, "uniqueid", *_LATER),
        (*BASE, "uniqueid", "userfield", *_LATER),
    ),
    begin=of_rows(_read),
    spellings={name: name for name in (*BASE, "uniqueid", "userfield", *_LATER)},
)
