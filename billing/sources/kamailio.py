"""Kamailio's table `acc`, exported as CSV: transactions, of which an INVITE and its BYE make a call.

Columns: Kamailio's `acc` module ("the fixed minimal accounting information": method, from_tag, to_tag, callid,
sip_code, sip_reason, time "when transaction was completed") and the columns of `db_extra` as the configuration that
comes along has them. An INVITE that was answered (200) begins when it was, and ends with the first BYE of the same
Call-ID and the same two tags, whichever side sent it: those three are what a dialog is known by (RFC 3261, 12). An
INVITE that was refused is a call of no seconds, but for challenges (401, 407), which are sent again. Retransmissions
and re-INVITEs are the same call.

Calls that are still open are kept in memory: as many as there are at once, and those whose BYE is missing for at most
48 hours of the file's time.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from billing.chunks import Refused
from billing.sources.calls import (
    BUSY,
    CANCELED,
    COMPLETED,
    DIRECTIONS,
    FAILED,
    NO_ANSWER,
    Dialect,
    Plain,
    Stated,
    accounts,
    instant_texts,
    instants,
    numbers,
    products,
)
from billing.sources.records import Sheet
from billing.written import Column

ACC = ("id", "method", "from_tag", "to_tag", "callid", "sip_code", "sip_reason", "time")
EXTRA = ("src_user", "src_domain", "src_ip", "dst_ouser", "dst_user", "dst_domain")
NO_CALLS = frozenset(
    ("ACK", "CANCEL", "INFO", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE")
)
"""Methods that begin and end no call."""

CHALLENGES = frozenset(("401", "407"))
LONGEST_OPEN = 48 * 3600 * 1_000_000
"""Microseconds after which a call whose BYE is missing is given up: twice as long as calls are let last."""

_OUTCOMES = {"486": BUSY, "600": BUSY, "487": CANCELED, "408": NO_ANSWER, "480": NO_ANSWER}
_URI = r"^sips?:([^@;>]+)@.*$|^tel:([^;]+).*$"
_SECOND = 1_000_000
_NO_BYE = "has no BYE in this file"
_NO_INVITE = "ends a call that does not begin in this file"
_BOTH = "import it together with the file that has the other half: what was taken counts once"

Key = tuple[str, ...]


class Facts(NamedTuple):
    """What a call's INVITE says of it."""

    id: str
    account: str
    product: str
    source: str
    target: str
    line: int


class Leg(NamedTuple):
    """An INVITE or BYE that waits for the other: when it was, its facts, and how it is refused if none comes."""

    micros: int
    facts: Facts
    alone: Refused


class Call(NamedTuple):
    """A call that is known whole: its facts, when it began, how long it lasted, its outcome, and its records."""

    facts: Facts
    micros: int
    lasted: int
    status: str
    original: bytes


NOBODY = Facts("", "", "", "", "", 0)
"""What a BYE says of its call."""


@dataclass(slots=True, kw_only=True)
class Pairing:
    """The INVITEs and BYEs of a file on their way to calls, sheet by sheet."""

    dialect: Dialect
    stated: Stated
    invites: OrderedDict[Key, Leg] = field(default_factory=OrderedDict)
    byes: OrderedDict[Key, Leg] = field(default_factory=OrderedDict)
    ended: OrderedDict[Key, int] = field(default_factory=OrderedDict)
    latest: int = 0
    calls: list[Call] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def read(self, sheet: Sheet | None) -> Plain:
        """The calls that a sheet completes; at the end, what is still open is refused."""
        if sheet is None:
            self.refused += [leg.alone for leg in (*self.invites.values(), *self.byes.values())]
            self.invites.clear()
            self.byes.clear()
        else:
            self._take(sheet)
            self._give_up()
        calls, refused = self.calls, self.refused
        self.calls, self.refused = [], []
        return _plain(calls, sorted(refused, key=lambda record: record.line))

    def _take(self, sheet: Sheet) -> None:
        role = {name: self.dialect.role(name, self.stated) for name in self.dialect.roles}
        method = pc.utf8_upper(sheet.column(role["method"]))
        is_invite, is_bye = (_numpy(pc.equal(method, name)) for name in ("INVITE", "BYE"))
        is_call = is_invite | is_bye
        no_call = _numpy(pc.is_in(method, pa.array(sorted(NO_CALLS))))
        remedy = "leave it out, or mend the record"
        sheet.refuse(~is_call & ~no_call, role["method"], "is not the method of a call", remedy)
        code = sheet.column(role["code"])
        wrong = is_invite & ~_numpy(pc.match_substring_regex(code, "^[2-6][0-9]{2}$"))
        sheet.refuse(wrong, role["code"], "is not a final SIP code", "mend the record")
        without = is_call & _numpy(pc.equal(sheet.column(role["callid"]), ""))
        sheet.refuse(without, role["callid"], "is empty", "mend the record")
        micros = instants(sheet, role["start"], self.stated.zone, where=is_call).tolist()
        invited = is_invite & ~_numpy(pc.is_in(code, pa.array(sorted(CHALLENGES))))
        for each, take in ((invited, self._invite), (is_bye, self._bye)):
            rows = [row for row in np.flatnonzero(each).tolist() if row not in sheet.refused]
            take(sheet, rows, role, micros)
        self.refused += [*sheet.torn, *sheet.refused.values()]

    def _invite(self, sheet: Sheet, rows: list[int], role: Mapping[str, str], micros: list[int]) -> None:
        only = sheet.part(rows)
        account = accounts(only, self.dialect, self.stated).to_pylist()
        product = products(only, self.dialect, self.stated, DIRECTIONS).to_pylist()
        source, target = (_numbers(only, role[name], self.stated).to_pylist() for name in ("from", "to"))
        codes = only.column(role["code"]).to_pylist()
        tagged = _tagged(only, role)
        for place, row in enumerate(rows):
            if place in only.refused:
                sheet.refused[row] = only.refused[place]
                continue
            names = tagged[place]
            facts = Facts(
                ";".join(names), account[place], product[place], source[place], target[place], sheet.lines[row]
            )
            if codes[place].startswith("2"):
                self._answered(_key(names), Leg(micros[row], facts, sheet.refusal(row, role["method"], _NO_BYE, _BOTH)))
            else:
                # A call that one branch refuses may be answered by another: the code tells the two apart.
                facts = facts._replace(id=f"{facts.id};{codes[place]}")
                status = _OUTCOMES.get(codes[place], FAILED)
                self.calls.append(Call(facts, micros[row], 0, status, sheet.originals[row]))

    def _answered(self, key: Key, leg: Leg) -> None:
        self.latest = max(self.latest, leg.micros)
        first = self.invites.get(key)
        if key in self.ended or (first is not None and first.micros <= leg.micros):
            return  # sent again, or a re-INVITE
        bye = self.byes.pop(key, None)
        if bye is None:
            self.invites[key] = leg
        else:
            self._end(key, leg, bye)

    def _bye(self, sheet: Sheet, rows: list[int], role: Mapping[str, str], micros: list[int]) -> None:
        for row, names in zip(rows, _tagged(sheet.part(rows), role), strict=True):
            key = _key(names)
            self.latest = max(self.latest, micros[row])
            leg = Leg(micros[row], NOBODY, sheet.refusal(row, role["method"], _NO_INVITE, _BOTH))
            invite, other = self.invites.pop(key, None), self.byes.get(key)
            if invite is not None:
                self._end(key, invite, leg)
            elif key not in self.ended and (other is None or leg.micros < other.micros):
                self.byes[key] = leg

    def _end(self, key: Key, invite: Leg, bye: Leg) -> None:
        self.ended[key] = bye.micros
        original = b"\n".join((invite.alone.original, bye.alone.original))
        if bye.micros < invite.micros:
            problem, remedy = "ends before it began", "mend the record"
            alone = invite.alone._replace(column="time", problem=problem, remedy=remedy, original=original)
            self.refused.append(alone)
        else:
            lasted = bye.micros - invite.micros
            self.calls.append(Call(invite.facts, invite.micros, lasted, COMPLETED, original))

    def _give_up(self) -> None:
        """Let go of what waits for too long. The oldest stand first, but for the disorder of the file."""
        for open_ in (self.invites, self.byes):
            while open_ and self.latest - next(iter(open_.values())).micros > LONGEST_OPEN:
                self.refused.append(open_.popitem(last=False)[1].alone)
        while self.ended and self.latest - next(iter(self.ended.values())) > LONGEST_OPEN:
            self.ended.popitem(last=False)


def _plain(calls: list[Call], refused: list[Refused]) -> Plain:
    if not calls:
        return Plain({}, (), (), refused)
    facts = [call.facts for call in calls]
    fields = {
        name: pa.array([getattr(fact, own) for fact in facts], pa.string())
        for name, own in (
            ("id", "id"),
            ("account", "account"),
            ("product", "product"),
            ("from", "source"),
            ("to", "target"),
        )
    }
    fields["occurred_at"] = instant_texts(np.array([call.micros for call in calls], dtype=np.int64))
    fields["duration_seconds"] = pa.array([_seconds(call.lasted) for call in calls], pa.string())
    fields["status"] = pa.array([call.status for call in calls], pa.string())
    lines, originals = [fact.line for fact in facts], [call.original for call in calls]
    return Plain(fields, lines, [b""] * len(facts), refused, originals)


def _seconds(micros: int) -> str:
    whole, part = divmod(micros, _SECOND)
    return f"{whole}.{part:06}" if part else str(whole)


def _numbers(sheet: Sheet, name: str, stated: Stated) -> Column:
    """Numbers, also those inside of SIP and tel addresses where they fit the plan."""
    text = sheet.column(name)
    user = pc.replace_substring_regex(text, _URI, r"\1\2")
    if stated.plan is None:
        return text
    found = stated.plan.numbers(user)
    is_number = pc.starts_with(found, "+")
    sheet.replace(name, pc.if_else(is_number, found, text))
    return numbers(sheet, name, None)


def _tagged(sheet: Sheet, role: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Call-ID, From tag and To tag of each row."""
    columns = (sheet.column(role[name]).to_pylist() for name in ("callid", "from_tag", "to_tag"))
    return list(zip(*columns, strict=True))


def _key(names: tuple[str, str, str]) -> Key:
    """What the transactions of one call have in common: the Call-ID and both tags, whichever way round."""
    callid, *tags = names
    return (callid, *sorted(tags))


def _numpy(column: Column) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = column.to_numpy(zero_copy_only=False)
    return found


KAMAILIO = Dialect(
    id="kamailio",
    name="Kamailio acc, INVITE and BYE",
    product="voice.outbound",
    roles={
        "account": "",
        "start": "time",
        "from": "src_user",
        "to": "dst_user",
        "direction": "",
        "method": "method",
        "code": "sip_code",
        "callid": "callid",
        "from_tag": "from_tag",
        "to_tag": "to_tag",
    },
    needed=("method", "start", "callid", "from_tag", "to_tag", "code", "to"),
    orders=((*ACC, *EXTRA),),
    begin=lambda dialect, stated: Pairing(dialect=dialect, stated=stated).read,
    spellings={name.replace("_", ""): name for name in (*ACC, *EXTRA)},
)
