"""What became of each payload that was handed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing.payloads import Chunk, Refused


class Outcome(StrEnum):
    """What became of one payload. The first two are stored; a duplicate was, before."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


OUTCOMES = tuple(Outcome)
"""What an outcome's code in columns stands for."""

OUTCOME_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why a payload was not simply accepted: a JSON pointer where there is one, and the reason."""

    pointer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The outcomes of n payloads (int8[n], codes of `OUTCOMES`), and the findings of those that have one."""

    outcomes: NDArray[np.int8]
    findings: Mapping[int, Finding] = field(default_factory=dict)

    def outcome(self, row: int) -> Outcome:
        """What became of one payload."""
        return OUTCOMES[int(self.outcomes[row])]

    def counts(self) -> dict[Outcome, int]:
        """How many payloads came to each outcome."""
        found = np.bincount(self.outcomes, minlength=len(OUTCOMES)).tolist()
        return dict(zip(OUTCOMES, found, strict=True))

    def refused(self) -> list[int]:
        """The payloads that were not stored and are no duplicates: somebody must look at them."""
        refused = self.outcomes >= OUTCOME_CODES[Outcome.CONFLICT]
        rows: list[int] = np.flatnonzero(refused).tolist()
        return rows


class Taken(NamedTuple):
    """A chunk that is committed, and what became of it."""

    chunk: Chunk
    receipt: Receipt


def taken(chunk: Chunk, receipt: Receipt) -> Taken:
    """A chunk that is committed, and what became of it: of its payloads, then of the records that were refused."""
    refused = chunk.refused
    if not refused:
        return Taken(chunk, receipt)
    first = len(chunk.payloads)
    rejected = np.full(len(refused), OUTCOME_CODES[Outcome.REJECTED], dtype=np.int8)
    found = {first + row: _finding(record) for row, record in enumerate(refused)}
    whole = chunk._replace(
        payloads=[*chunk.payloads, *(record.original for record in refused)],
        lines=[*chunk.lines, *(record.line for record in refused)],
    )
    outcomes = np.concatenate([receipt.outcomes, rejected])
    return Taken(whole, replace(receipt, outcomes=outcomes, findings={**receipt.findings, **found}))


def _finding(record: Refused) -> Finding:
    # The value stands behind a colon: faults are counted by what stands before it.
    remedy = f"; {record.remedy}" if record.remedy else ""
    value = f': "{record.value}"' if record.value else ""
    pointer = record.column.replace("~", "~0").replace("/", "~1")
    return Finding(pointer=f"/{pointer}" if pointer else "", reason=f"{record.problem}{value}{remedy}")
