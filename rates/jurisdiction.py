"""Jurisdictions of calls within the United States, from the states of both numbers.

A call is intrastate if both of its ends are in one state and interstate if they are in two (47 U.S.C. 153; the FCC
counts by the ends of a call, not by its route). Which state a number is of says a table of area codes and exchanges
(NPA-NXX) that is supplied. What it does not say, and a number that is of no place, such as a toll-free one, makes the
jurisdiction indeterminate.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.errors import Fault
from rates.usage import Int64s

JURISDICTION = "jurisdiction"
"""The dimension that is derived."""


class Jurisdiction(StrEnum):
    """What a call is; the values are what rows are matched on."""

    INTERSTATE = "interstate"
    INTRASTATE = "intrastate"
    INDETERMINATE = "indeterminate"


JURISDICTIONS = tuple(Jurisdiction)

TOLL_FREE = (800, 833, 844, 855, 866, 877, 888)
"""Area codes whose numbers are of no state, whatever a table says."""

_DIGITS = 6
_OFFICES = 10**_DIGITS
_OF_NUMBER = 10**4
_FIRST = 10**_DIGITS  # +1 and the area code and exchange, as one number of seven digits


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Of each area code and exchange its state: int16[10^6] into `names`, of which the first is "" (not known).

    `digest` is the SHA-256 of what the table says, whatever the form of its file, in hex.
    """

    of: NDArray[np.int16]
    names: tuple[str, ...]
    digest: str


class Derived(NamedTuple):
    """Of n calls the jurisdiction (int8[n] into `JURISDICTIONS`) and the states of both ends (int16[n])."""

    jurisdiction: NDArray[np.int8]
    origin: NDArray[np.int16]
    destination: NDArray[np.int16]


def derive(origin: Int64s, destination: Int64s, states: States) -> Derived:
    """The jurisdiction of n calls between two numbers each: E.164 digits, int64[n], 0 where there is none."""
    ends = [_states_of(numbers, states) for numbers in (origin, destination)]
    known = (ends[0] > 0) & (ends[1] > 0)
    kinds = [JURISDICTIONS.index(each) for each in (Jurisdiction.INTRASTATE, Jurisdiction.INTERSTATE)]
    found = np.where(ends[0] == ends[1], *kinds)
    unknown = JURISDICTIONS.index(Jurisdiction.INDETERMINATE)
    return Derived(np.where(known, found, unknown).astype(np.int8), *ends)


def read_states(text: str, place: str) -> tuple[States | None, list[Fault]]:
    """A table from CSV with the columns `npanxx` and `state`, or `npa`, `nxx` and `state`; others are passed over."""
    rows = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if "state" not in header or not ("npanxx" in header or {"npa", "nxx"} <= set(header)):
            problem, remedy = "has no columns npanxx and state", "name them in the first line, or npa, nxx and state"
            return None, [Fault(place=place, value="", problem=problem, remedy=remedy)]
        written = ["npanxx"] if "npanxx" in header else ["npa", "nxx"]
        columns, state = [header.index(name) for name in written], header.index("state")
        said = [
            (f"{place}:{rows.line_num}", "".join(_cell(row, at) for at in columns).replace("-", ""), _cell(row, state))
            for row in rows
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        remedy = "save it as CSV with commas"
        return None, [Fault(place=f"{place}:{rows.line_num}", value="", problem=f"is not CSV: {error}", remedy=remedy)]
    return states_of(said)


def states_of(said: Iterable[tuple[str, str, str]]) -> tuple[States | None, list[Fault]]:
    """A table of (place, six digits, state), or every fault of it."""
    faults: list[Fault] = []
    states: dict[str, str] = {}
    for place, office, state in said:
        if not re.fullmatch("[2-9][0-9]{2}[2-9][0-9]{2}", office):
            problem, remedy = "is no area code and exchange", "write the six digits after the 1, as in 415555"
            faults.append(Fault(place=place, value=office, problem=problem, remedy=remedy))
        elif not re.fullmatch("[A-Z]{2}", state):
            problem, remedy = "is no state", "write its two capital letters, as in CA"
            faults.append(Fault(place=place, value=state, problem=problem, remedy=remedy))
        elif states.setdefault(office, state) != state:
            problem, remedy = f"is of {states[office]} and of {state}", "keep one of them"
            faults.append(Fault(place=place, value=office, problem=problem, remedy=remedy))
    return (None, faults) if faults else (_table(states), [])


def _table(states: Mapping[str, str]) -> States:
    names = ("", *sorted(set(states.values())))
    numbers = {name: number for number, name in enumerate(names)}
    of = np.zeros(_OFFICES, dtype=np.int16)
    of[np.fromiter(map(int, states), dtype=np.int64, count=len(states))] = [numbers[each] for each in states.values()]
    said = "\n".join(f"{office} {states[office]}" for office in sorted(states))
    return States(of=of, names=names, digest=sha256(said.encode()).hexdigest())


def _states_of(numbers: Int64s, states: States) -> NDArray[np.int16]:
    """The states of numbers, 0 where a number is none of the United States, or of no place."""
    office = numbers // _OF_NUMBER - _FIRST
    american = (office >= 0) & (office < _OFFICES)
    office = np.where(american, office, 0)
    placed = american & ~np.isin(office // 1000, TOLL_FREE)
    return np.where(placed, states.of[office], np.int16(0))


def _cell(row: list[str], at: int) -> str:
    return row[at].strip() if at < len(row) else ""
