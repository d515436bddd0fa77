"""Control totals: what a source says it counted on a day, to be held against what was accepted from it."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from billing.periods import Period
from rates.errors import Fault, TollbookError

COLUMNS = ("source", "product", "day", "events", "quantity")
"""The header of a file of control totals."""

_MOST = (1 << 63) - 1

_NAMED = 3  # mismatches that a sentence names one by one


class ControlsUnmatchedError(TollbookError):
    """A month would be issued with usage missing that a source counted; `value` is the period."""


class ControlKey(NamedTuple):
    """What a control total is of; `day` is the UTC day on which usage occurred."""

    source: str
    product: str
    day: date


class Count(NamedTuple):
    """How many events, and their measured quantity in base units of the product."""

    events: int = 0
    quantity: int = 0


class Control(NamedTuple):
    """A control total: what the source counted."""

    key: ControlKey
    counted: Count


class Compared(NamedTuple):
    """A control total in its newest revision, and what was accepted: rated, zero-rated or quarantined, each once."""

    key: ControlKey
    revision: int
    counted: Count
    accepted: Count

    @property
    def matches(self) -> bool:
        """Whether both are the same."""
        return self.counted == self.accepted

    @property
    def mismatch(self) -> str:
        """What differs, in words; another number on either side is another mismatch."""
        source, product, day = self.key
        counted = f"{source} counted {self.counted.events} events of {self.counted.quantity} in all"
        return f"{product} of {day}: {counted}, and {self.accepted.events} of {self.accepted.quantity} were accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatches:
    """Control totals of a period that do not match, in words, by day.

    `payers` are those with such usage, by number; `nobodys` those mismatches that are of no payer.
    """

    payers: Mapping[int, tuple[str, ...]]
    nobodys: tuple[str, ...]


def in_words(mismatches: Sequence[str]) -> str:
    """Mismatches of control totals in a sentence: of many the first, and how many more."""
    more = len(mismatches) - _NAMED
    return "; ".join(mismatches[:_NAMED]) + (f"; and {more:,} more" if more > 0 else "")


def require_matched(nobodys: Sequence[str], period: Period) -> None:
    """Refuse a month with control totals that do not match and are of no account. Raises ControlsUnmatchedError.

    Such a total stops everybody: usage that never came is of accounts that nobody knows yet.
    """
    if not nobodys:
        return
    problem = f"control totals of usage that no account has do not match, so nothing is issued: {in_words(nobodys)}"
    missing = f"import what is missing and draw it up with `tollbook invoices run {period}`"
    counted = "correct the control total with `tollbook usage controls add` of what the source really counted"
    remedy = f"{missing}, or {counted}; `tollbook usage controls --period {period}` lists all of them"
    raise ControlsUnmatchedError(problem, value=str(period), remedy=remedy)


def control(row: dict[str, str], place: str) -> Control | list[Fault]:
    """A control total of the texts of its columns, or all that is wrong with them."""
    faults = [
        _fault(place, name, row[name], f"is no {name}", "write the name, without spaces around it")
        for name in ("source", "product")
        if not row[name] or row[name] != row[name].strip() or not row[name].isprintable()
    ]
    day = _day(row["day"])
    if day is None:
        faults.append(_fault(place, "day", row["day"], "is no day", "write it as 2026-10-31"))
    numbers = {name: _whole(row[name]) for name in ("events", "quantity")}
    faults += [
        _fault(place, name, row[name], "is not a whole number", "write digits only; quantities are in base units")
        for name, number in numbers.items()
        if number is None
    ]
    if faults or day is None:
        return faults
    key = ControlKey(row["source"], row["product"], day)
    return Control(key, Count(numbers["events"] or 0, numbers["quantity"] or 0))


def read_controls(text: str, place: str) -> tuple[list[Control], list[Fault]]:
    """The control totals of a CSV text with the header COLUMNS, and all that is wrong with it."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        remedy = "close every quotation mark, and write one line for each control total"
        where = f"{place}:{reader.line_num}"
        return [], [Fault(place=where, value="", problem=f"is not CSV: {error}", remedy=remedy)]
    header = rows[0][1] if rows else []
    if sorted(header) != sorted(COLUMNS):
        remedy = f"write the header {','.join(COLUMNS)}"
        return [], [Fault(place=f"{place}:1", value=",".join(header), problem="is not the header", remedy=remedy)]
    found: dict[ControlKey, Control] = {}
    faults: list[Fault] = []
    for line, cells in rows[1:]:
        where = f"{place}:{line}"
        if not cells:
            continue
        if len(cells) != len(header):
            problem = f"has {len(cells)} cells, not {len(header)}"
            faults.append(
                Fault(place=where, value=",".join(cells), problem=problem, remedy="write one for each column")
            )
            continue
        read = control(dict(zip(header, cells, strict=True)), where)
        if isinstance(read, list):
            faults += read
        elif read.key in found:
            problem = "has two control totals"
            name = "/".join(map(str, read.key))
            faults.append(Fault(place=where, value=name, problem=problem, remedy="keep one of them"))
        else:
            found[read.key] = read
    return list(found.values()), faults


def _fault(place: str, name: str, value: str, problem: str, remedy: str) -> Fault:
    return Fault(place=f"{place} {name}".strip(), value=value, problem=problem, remedy=remedy)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if str(day) == text else None


def _whole(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_MOST)):
        return None
    number = int(text)
    return number if number <= _MOST else None
