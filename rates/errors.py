"""What can be wrong, said so that the reader knows where and what to do.

Stages return `(result, faults)`: one bad row never hides the other 9,999. What must stop the caller at once
is raised as a `TollbookError` with the same parts.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

SHOWN = 20
"""Faults of one kind that a message says one by one; the rest is counted."""

_LONGEST = 80


def _sentence(place: str, value: str, problem: str, remedy: str) -> str:
    # Values, and the names of keys and columns, come from strangers' files: they stay on one line, escaped, in
    # terminals and logs; values also short.
    shown = value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    where = " ".join(part for part in (place, f'"{shown}"' if value else "") if part)
    said = "".join((f"{where}: " if where else "", problem, f"; {remedy}" if remedy else ""))
    if said.isprintable():
        return said
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault in something that was read, as a value.

    `place` names the file, row and key (`rates.csv:417 prefixes`, `card.toml: tiers.voice-us.up_to[1]`),
    `value` is what stood there ("" if nothing did), `problem` what is wrong with it, `remedy` what to do.
    """

    place: str
    value: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        return _sentence(self.place, self.value, self.problem, self.remedy)


Reasons = Sequence[tuple[str, str, str]]
"""(pattern, problem, remedy): the first whose pattern a text has names its fault; the last one fits any text."""


def reason_of(text: str, reasons: Reasons) -> tuple[str, str]:
    """What is wrong with a text, and the remedy."""
    return next((problem, remedy) for pattern, problem, remedy in reasons if re.search(pattern, text))


def lines_of(faults: Iterable[Fault]) -> list[str]:
    """What faults say to people by the line; of those that differ only in rows and figures 20, and a count."""
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(re.sub("[0-9]+", "", f"{fault.place}: {fault.problem}"), []).append(fault)
    lines: list[str] = []
    for alike in kinds.values():
        lines += (str(replace(fault, place=_in_rows(fault.place))) for fault in alike[:SHOWN])
        if len(alike) > SHOWN:
            lines.append(f"and {len(alike) - SHOWN:,} more of the same")
    return lines


_COUNTED = {"rate": "row", "account": "account", "contract": "contract", "charge": "charge"}


def _in_rows(place: str) -> str:
    """A place as people count: beside the path of one of many tables, of which the first is 0, its number, from 1."""
    path = rf"\b({'|'.join(_COUNTED)})\[([0-9]+)\](\.\S*)?"
    return re.sub(path, lambda found: f"{found[0]} ({_COUNTED[found[1]]} {int(found[2]) + 1})", place)


class TollbookError(Exception):
    """The base of every named error: the same parts as a `Fault`, raised."""

    def __init__(self, problem: str, *, place: str = "", value: str = "", remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place
        self.value = value
        self.remedy = remedy

    def __str__(self) -> str:
        return _sentence(self.place, self.value, self.problem, self.remedy)

    def fault(self, place: str = "") -> Fault:
        """The same as a value, found at `place` (the error's own place if none is given)."""
        return Fault(place=place or self.place, value=self.value, problem=self.problem, remedy=self.remedy)


class CardFaultyError(TollbookError):
    """A rate card cannot be used; `faults` holds every fault found, and the message says them by `lines_of`."""

    def __init__(self, faults: Iterable[Fault], *, place: str = "") -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        super().__init__(
            f"{count:,} {'fault' if count == 1 else 'faults'}",
            place=place,
            remedy=f"mend {'it' if count == 1 else 'them'} and check the card again",
        )
        # Pickling (process pools, Spark) calls the class again with `args`.
        self.args = (self.faults,)

    def __str__(self) -> str:
        return "\n".join((super().__str__(), *lines_of(self.faults)))
