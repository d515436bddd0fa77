"""FreeSWITCH's `cdr_csv`, one leg: the columns of the template `example`, which is its default; no header.

Columns: `autoload_configs/cdr_csv.conf.xml` as it comes along, and the page "mod_cdr_csv" of its documentation; the
templates `sql` and `snom` begin alike. With a template of your own, state its columns. `legs` is `a` by default, and
one leg is what is billed: with `ab` the same call is there twice. Meanings: `start_stamp` is when the leg was made,
`answer_stamp` is empty unless it was answered, `billsec` the seconds from answer to end; `uuid` is the leg's.
`start_epoch`, `start_uepoch`, `billmsec` and `billusec` are read as what they are: without a zone, and finer.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from billing.sources.calls import (
    BUSY,
    CANCELED,
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
    numbers,
    of_rows,
    products,
    seconds,
)
from billing.sources.clocks import LATEST
from billing.sources.records import Sheet
from billing.written import Column
from rates.usage import Int64s

EXAMPLE = (
    "caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp", "answer_stamp", "end_stamp",
    "duration", "billsec", "hangup_cause", "uuid", "bleg_uuid", "accountcode", "read_codec", "write_codec",
)  # fmt: skip
CAUSES = {
    "USER_BUSY": BUSY,
    "NO_ANSWER": NO_ANSWER,
    "NO_USER_RESPONSE": NO_ANSWER,
    "ALLOTTED_TIMEOUT": NO_ANSWER,
    "PROGRESS_TIMEOUT": NO_ANSWER,
    "NORMAL_CLEARING": NO_ANSWER,
    "ORIGINATOR_CANCEL": CANCELED,
    "LOSE_RACE": CANCELED,
    "PICKED_OFF": CANCELED,
}
"""Why a call that was never answered ended; every other cause is a failure. Of answered ones the cause says nothing."""

_EPOCHS = {"start_epoch": 1_000_000, "start_uepoch": 1}
_FINER = {"billmsec": 3, "billusec": 6}
_WHOLE = "^[0-9]{1,18}$"


def _read(sheet: Sheet, dialect: Dialect, stated: Stated) -> Mapping[str, Column]:
    role = {name: dialect.role(name, stated) for name in dialect.roles}
    status = _statuses(sheet, role)
    name = role["start"]
    occurred_at = _epochs(sheet, name) if name in _EPOCHS else instants(sheet, name, stated.zone)
    return {
        "id": sheet.column(role["id"]),
        "account": accounts(sheet, dialect, stated),
        "product": products(sheet, dialect, stated, DIRECTIONS),
        "occurred_at": instant_texts(occurred_at),
        "from": numbers(sheet, role["from"], stated.plan),
        "to": numbers(sheet, role["to"], stated.plan),
        "duration_seconds": _finer(seconds(sheet, role["duration"], status), role["duration"]),
        "status": status,
    }


def _statuses(sheet: Sheet, role: Mapping[str, str]) -> Column:
    """Completed where there is an answer; where the template has no answer, where there are seconds to bill."""
    if role["answer"] in sheet.names:
        answered = ~is_blank(sheet.column(role["answer"]))
    else:
        answered = pc.match_substring_regex(sheet.column(role["duration"]), "[1-9]").to_numpy(zero_copy_only=False)
    cause = sheet.column(role["status"])
    sheet.refuse(
        is_blank(cause) & ~answered, role["status"], "is empty for a call that was not answered", "mend the record"
    )
    coded = pc.dictionary_encode(cause)
    meanings = pa.array([CAUSES.get(each, FAILED) for each in coded.dictionary.to_pylist()], pa.string())
    return pc.if_else(pa.array(answered), COMPLETED, meanings.take(coded.indices))


def _epochs(sheet: Sheet, name: str) -> Int64s:
    text = sheet.column(name)
    right = pc.match_substring_regex(text, "^[1-9][0-9]{0,15}$")
    found: Int64s = pc.if_else(right, text, "0").cast(pa.int64()).to_numpy(zero_copy_only=False)
    most = LATEST // _EPOCHS[name]
    wrong = ~right.to_numpy(zero_copy_only=False) | (found > most)
    sheet.refuse(wrong, name, "is not seconds or microseconds since 1970", "mend the record")
    return np.minimum(found, most) * _EPOCHS[name]


def _finer(text: Column, name: str) -> Column:
    """Seconds, of thousandths or millionths where the column counts those."""
    if name not in _FINER:
        return text
    digits = _FINER[name]
    padded = pc.utf8_lpad(text, digits + 1, "0")
    whole, part = pc.utf8_slice_codeunits(padded, 0, -digits), pc.utf8_slice_codeunits(padded, -digits, None)
    return pc.binary_join_element_wise(whole, part, ".")


FREESWITCH = Dialect(
    id="freeswitch",
    name="FreeSWITCH cdr_csv, one leg",
    product="voice.outbound",
    roles={
        "id": "uuid",
        "account": "accountcode",
        "start": "start_stamp",
        "answer": "answer_stamp",
        "from": "caller_id_number",
        "to": "destination_number",
        "duration": "billsec",
        "status": "hangup_cause",
        "direction": "",
    },
    needed=("start", "to", "duration", "status"),
    orders=(EXAMPLE[:13], EXAMPLE),
    begin=of_rows(_read),
    spellings={name.replace("_", ""): name for name in (*EXAMPLE, *_EPOCHS, *_FINER, "direction")},
    zoned=tuple(_EPOCHS),
)
