"""What became of each payload that was handed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from billing.chunks import Chunk, Refused
from billing.written import Column
from rates.rating import REASONS, Reason
from rates.usage import Int32s, Int64s, Texts


class Outcome(StrEnum):
    """What became of one payload. The first two are in force; a superseded one is kept, and another is in force."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


OUTCOMES = tuple(Outcome)
"""What an outcome's code in columns stands for."""

OUTCOME_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}


_WORDS = tuple(map(str, OUTCOMES))


class Result(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What became of one payload, as it is told: no `id` where it is no event; where the fault is, and why."""

    id: str | None
    outcome: str = msgspec.field(name="result")
    revision: int | None = None
    pointer: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why a payload was not simply accepted: a JSON pointer where there is one, and the reason.

    `lacks_number`: it calls no number that is written with `+`, although its product is priced by what is called.
    """

    pointer: str
    reason: str
    lacks_number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The outcomes of n payloads (int8[n], codes of `OUTCOMES`), and the findings of those that have one.

    `zero_rated` is int8[n]: why an accepted one costs nothing, a code of `rates.rating.REASONS`; 0 where it is priced.
    `unbilled` (n rows) has the status of an accepted one that is not billed for it. `row` (int64), `id` (Arrow strings)
    and `revision` (int32) are of those that are events. `amended` are the payloads that took the place of a lower
    revision, `voids` those in force that take an event back (both int64).
    """

    outcomes: NDArray[np.int8]
    findings: Mapping[int, Finding]
    zero_rated: NDArray[np.int8]
    unbilled: Texts = field(default_factory=lambda: Texts(np.zeros(0, dtype=np.int32), ("",)))
    row: Int64s = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    id: Column = field(default_factory=lambda: pa.array([], pa.string()))
    revision: Int32s = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    amended: Int64s = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    voids: Int64s = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def outcome(self, row: int) -> Outcome:
        """What became of one payload."""
        return OUTCOMES[int(self.outcomes[row])]

    def reason(self, row: int) -> str:
        """Why one payload was not accepted, or costs nothing; "" where there is nothing to say."""
        finding = self.findings.get(row)
        return finding.reason if finding is not None else str(REASONS[self.zero_rated[row]] or "")

    def ids(self) -> dict[int, str]:
        """The ids of the payloads that are events."""
        return dict(zip(self.row.tolist(), self.id.to_pylist(), strict=True))

    def revisions(self) -> dict[int, int]:
        """Which revision the payloads that are events are."""
        return dict(zip(self.row.tolist(), self.revision.tolist(), strict=True))

    def results(self) -> list[Result]:
        """What became of each payload, in the order in which they were handed in."""
        ids, revisions, rows = self.ids(), self.revisions(), range(len(self.outcomes))
        words = map(_WORDS.__getitem__, self.outcomes.tolist())
        results = list(map(Result, map(ids.get, rows), words, map(revisions.get, rows)))
        for row in self.zero_rated.nonzero()[0].tolist():
            results[row] = msgspec.structs.replace(results[row], reason=self.reason(row))
        for row, finding in self.findings.items():
            results[row] = msgspec.structs.replace(results[row], pointer=finding.pointer, reason=finding.reason)
        return results

    def counts(self) -> dict[Outcome, int]:
        """How many payloads came to each outcome."""
        found = np.bincount(self.outcomes, minlength=len(OUTCOMES)).tolist()
        return dict(zip(OUTCOMES, found, strict=True))

    def statuses(self) -> dict[str, int]:
        """The statuses for which accepted payloads are not billed, and how many have each."""
        codes, values = self.unbilled
        counts = np.bincount(codes, minlength=len(values)).tolist()
        return {value: count for value, count in zip(values, counts, strict=True) if value and count}

    def zero_counts(self) -> dict[Reason, tuple[int, int]]:
        """For each reason why accepted payloads cost nothing: how many do, and the first of them."""
        codes, first, counts = np.unique(self.zero_rated, return_index=True, return_counts=True)
        facts = zip(codes.tolist(), counts.tolist(), first.tolist(), strict=True)
        return {reason: (count, row) for code, count, row in facts if (reason := REASONS[code]) is not None}

    def refused(self) -> list[int]:
        """The payloads that were not kept and are no duplicates: somebody must look at them."""
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
    originals = [record.original for record in refused]
    whole = chunk._replace(
        payloads=[*chunk.payloads, *originals],
        lines=[*chunk.lines, *(record.line for record in refused)],
        originals=[*(chunk.originals or chunk.payloads), *originals],
    )
    outcomes = np.concatenate([receipt.outcomes, rejected])
    zero_rated = np.concatenate([receipt.zero_rated, np.zeros(len(refused), dtype=np.int8)])
    findings = {**receipt.findings, **found}
    codes, statuses = receipt.unbilled
    unbilled = Texts(np.concatenate([codes, np.zeros(len(refused), dtype=np.int32)]), statuses)
    return Taken(
        whole, replace(receipt, outcomes=outcomes, findings=findings, zero_rated=zero_rated, unbilled=unbilled)
    )


def _finding(record: Refused) -> Finding:
    # The value stands behind a colon: faults are counted by what stands before it.
    remedy = f"; {record.remedy}" if record.remedy else ""
    value = f': "{record.value}"' if record.value else ""
    pointer = record.column.replace("~", "~0").replace("/", "~1")
    return Finding(pointer=f"/{pointer}" if pointer else "", reason=f"{record.problem}{value}{remedy}")
