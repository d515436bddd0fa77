"""What call records have in common: what a dialect says of its columns, what is stated beside a file, and the checks.

A dialect makes usage in its plain form (FORMATS 4) out of the columns of a sheet. What is not certain is refused with
its column, never guessed at: a time without a zone, an outcome that nobody knows, seconds of an unanswered call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.chunks import Refused
from billing.sources.clocks import Clock, Zone, read_times
from billing.sources.dialing import DialingPlan
from billing.sources.records import Sheet
from billing.written import Column
from rates.usage import Int64s

Bools = NDArray[np.bool_]

COMPLETED, NO_ANSWER, BUSY, FAILED, CANCELED = "completed", "no-answer", "busy", "failed", "canceled"
"""Outcomes of a call as the product files know them: only completed ones are billed."""

DIRECTIONS = {"outbound": "voice.outbound", "inbound": "voice.inbound"}
"""Directions, where a switch logs one, as the customer sees them -> the product."""

SECONDS = r"^[0-9]{1,10}(\.[0-9]{1,20})?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What is stated beside a file, since its records do not say it.

    `columns` say which column has a role, instead of the dialect's; `fields` name the columns of a file without header.
    `account` is whose usage all of it is, `product` what all of it is; "" leaves it to the records.
    """

    zone: Zone | None = None
    plan: DialingPlan | None = None
    account: str = ""
    product: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()


class Plain(NamedTuple):
    """Usage in its plain form as columns, n rows: field -> texts ("" where it says nothing), and the lines.

    `digests` are of the whole records (n of them), for those that have no id of their own, `originals` what they were
    made of; `refused` are no usage.
    """

    fields: Mapping[str, Column]
    lines: Sequence[int]
    digests: Sequence[bytes]
    refused: Sequence[Refused]
    originals: Sequence[bytes] = ()


Reading = Callable[[Sheet | None], Plain]
"""Takes the sheets of a file in their order, and at the end None: what is still open then comes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one switch or service writes its records.

    `roles`: what is read -> the column that has it ("" for none). `orders`: the columns of files without a header, each
    of another number. `spellings`: a header's cell, in lower case, letters and digits only -> column. `naive`: its
    times have no zone, but for those of the columns `zoned`. `dialled`: its numbers are as they were dialled. `begin`
    starts a file.
    """

    id: str
    name: str
    product: str
    roles: Mapping[str, str]
    needed: tuple[str, ...]
    orders: tuple[tuple[str, ...], ...]
    begin: Callable[["Dialect", Stated], Reading]
    spellings: Mapping[str, str] = field(default_factory=dict)
    naive: bool = True
    zoned: tuple[str, ...] = ()
    dialled: bool = True
    multiline: bool = False

    def role(self, name: str, stated: Stated) -> str:
        """The column that has a role; "" if none does."""
        return stated.columns.get(name, self.roles.get(name, ""))

    def header(self, cells: Sequence[str], stated: Stated) -> tuple[str, ...] | None:
        """The columns that a header names; None if the cells are no header."""
        if stated.fields and tuple(cells) == stated.fields:
            return stated.fields
        found = tuple(self.spellings.get(_bare(cell), cell) for cell in cells)
        return found if set(self.columns_needed(stated)) <= set(found) else None

    def columns_needed(self, stated: Stated) -> list[str]:
        """The columns without which nothing can be read."""
        return [self.role(name, stated) for name in self.needed]


def problem_of(dialect: Dialect, stated: Stated) -> str:
    """What has to be stated beside a file of a dialect and is not; "" if nothing is missing."""
    if dialect.naive and stated.zone is None and dialect.role("start", stated) not in dialect.zoned:
        return "its times have no zone: state it, as in --zone Europe/Paris"
    if dialect.dialled and stated.plan is None:
        return (
            "its numbers are as they were dialled: state the plan, as in --country-code 33 --trunk-prefix 0"
            " --international-prefix 00"
        )
    unknown = [name for name in stated.columns if name not in dialect.roles]
    if unknown:
        return f"{unknown[0]} is nothing that is read of it; --column takes {', '.join(dialect.roles)}"
    if not stated.account and not dialect.role("account", stated):
        return "its records name no account: state --account, or the column that does with --column account=NAME"
    if stated.account and "account" in stated.columns:
        return "--account and --column account=… both say whose usage it is: state one"
    missing = [name for name in dialect.columns_needed(stated) if stated.fields and name not in stated.fields]
    return f"--fields has no column {missing[0]}, without which nothing can be read" if missing else ""


def of_rows(read: Callable[[Sheet, Dialect, Stated], Mapping[str, Column]]) -> Callable[[Dialect, Stated], Reading]:
    """How a dialect begins a file in which each record is an event of its own."""

    def begin(dialect: Dialect, stated: Stated) -> Reading:
        def reading(sheet: Sheet | None) -> Plain:
            if sheet is None:
                return Plain({}, (), (), ())
            return _settled(sheet, read(sheet, dialect, stated))

        return reading

    return begin


def _settled(sheet: Sheet, fields: Mapping[str, Column]) -> Plain:
    """What is left when the refused rows are out."""
    nameless = is_blank(fields["id"])
    rows = np.array([row for row in range(len(sheet)) if row not in sheet.refused], dtype=np.int64)
    return Plain(
        fields={name: text.take(pa.array(rows)) for name, text in fields.items()},
        lines=[sheet.lines[row] for row in rows.tolist()],
        digests=[digest_text(sheet.rows[row]) if nameless[row] else b"" for row in rows.tolist()],
        refused=[*sheet.torn, *(sheet.refused[row] for row in sorted(sheet.refused))],
        originals=[sheet.originals[row] for row in rows.tolist()],
    )


def digest_text(cells: Sequence[str]) -> bytes:
    """A record in the form of which it is hashed: its cells, trimmed, whatever stood between and around them."""
    return "\x1f".join(map(str.strip, cells)).encode("utf-8", "surrogateescape")


# --- fields ---------------------------------------------------------------------------------------------------------


def accounts(sheet: Sheet, dialect: Dialect, stated: Stated) -> Column:
    """Whose usage each row is."""
    if stated.account:
        return constant(stated.account, len(sheet))
    name = dialect.role("account", stated)
    account = sheet.column(name)
    sheet.refuse(
        is_blank(account), name, "names no account", "state --account, or another column with --column account="
    )
    return account


def instants(sheet: Sheet, name: str, zone: Zone | None, where: Bools | None = None) -> Int64s:
    """The instants in a column (int64[n], microseconds), refused where they are none; `where` says which are read."""
    micros, clock = read_times(sheet.column(name), zone)
    here = np.ones(len(sheet), dtype=np.bool_) if where is None else where
    said = zone.name if zone is not None else ""
    for code, problem, remedy in (
        (Clock.NO_TIME, "is not a date and time", "write it as in 2026-10-02 10:11:12"),
        (Clock.NO_ZONE, "has no time zone", "state it, as in --zone Europe/Paris"),
        (
            Clock.SKIPPED,
            f"does not exist in {said}, where clocks skip it as they go forward",
            "mend the switch's clock",
        ),
        (
            Clock.TWICE,
            f"exists twice in {said}, where clocks go back",
            "import those records as a file of their own, with the offset that held, as in --zone +02:00",
        ),
    ):
        sheet.refuse(here & (clock == code), name, problem, remedy)
    return micros


def instant_texts(micros: Int64s) -> Column:
    """Instants as payloads have them."""
    text = pc.cast(pa.array(micros).cast(pa.timestamp("us")), pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), pa.scalar("Z"), "")


def seconds(sheet: Sheet, name: str, status: Column) -> Column:
    """Answered seconds, also with a fraction; refused where they and the outcome contradict each other."""
    text = sheet.column(name)
    completed = _numpy(pc.equal(status, COMPLETED))
    blank = is_blank(text)
    sheet.refuse(blank & completed, name, "is empty for a call that was answered", "mend the record")
    right = _numpy(pc.match_substring_regex(text, SECONDS))
    sheet.refuse(~right & ~blank, name, "is not a number of seconds", "mend the record")
    some = right & _numpy(pc.match_substring_regex(text, "[1-9]"))
    problem = "is more than 0 for a call that was not answered"
    sheet.refuse(some & ~completed, name, problem, "mend the record: nothing else says which of both is right")
    return pc.if_else(pa.array(right), text, "0")


def numbers(sheet: Sheet, name: str, plan: DialingPlan | None) -> Column:
    """Numbers as E.164 where they fit the plan, else as written. A `+` that begins no number is refused."""
    text = sheet.column(name)
    found = plan.numbers(text) if plan is not None else text
    wrong = _numpy(pc.starts_with(found, "+")) & ~_numpy(pc.match_substring_regex(found, r"^\+[1-9][0-9]{0,14}$"))
    sheet.refuse(wrong, name, "begins with + and is no number", "mend the record: a + is followed by at most 15 digits")
    return found


def mapped(sheet: Sheet, name: str, meanings: Mapping[str, str], problem: str) -> Column:
    """What the values of a column mean, whatever their case; refused where nobody knows."""
    text = sheet.column(name)
    coded = pc.dictionary_encode(text)
    values = coded.dictionary.to_pylist()
    found = [meanings.get(_words(value), "") for value in values]
    wrong = np.array([_words(value) not in meanings for value in values], dtype=np.bool_)
    codes = coded.indices.to_numpy(zero_copy_only=False)
    if wrong.any():
        sheet.refuse(wrong[codes], name, problem, "mend the record, or report this value: it is not known")
    return pa.array(found, pa.string()).take(coded.indices) if found else text


def products(sheet: Sheet, dialect: Dialect, stated: Stated, directions: Mapping[str, str]) -> Column:
    """The product of each row: the one stated, else by the direction where the record has one."""
    name = dialect.role("direction", stated)
    if stated.product or not name:
        return constant(stated.product or dialect.product, len(sheet))
    return mapped(sheet, name, directions, "is not a direction that is known")


def is_blank(text: Column) -> Bools:
    """Which texts are empty."""
    return _numpy(pc.equal(text, ""))


def constant(text: str, n: int) -> Column:
    """The same text n times."""
    return pa.repeat(pa.scalar(text, pa.string()), n)


def _words(value: str) -> str:
    return value.strip().lower().replace("_", " ").replace("-", " ")


def _bare(cell: str) -> str:
    return "".join(c for c in cell.lower() if c.isalnum())


def _numpy(column: Column) -> Bools:
    found: Bools = column.to_numpy(zero_copy_only=False)
    return found
