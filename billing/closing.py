"""Closing a month: its stages in their order, what is known at each, and where a person has to look.

There is no record of how far somebody got: each stage asks the books. So closing is begun, interrupted and gone on with
by the same words, and by anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from billing.approvals import Approval
from billing.comparison import Change
from billing.periods import Period
from billing.runs import IssueReport, Run
from billing.verification import Verification


class Stage(StrEnum):
    """The stages, in their order: drafts of all usage; rated again by other code; compared; signed; issued."""

    DRAW_UP = "draw up"
    VERIFY = "verify"
    COMPARE = "compare"
    APPROVE = "approve"
    ISSUE = "issue"


class State(StrEnum):
    """What became of a stage: done; a person looks or acts, and it does not stop the others; it stops; not reached."""

    DONE = "done"
    LOOK = "look"
    STOPS = "stops"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How far a month is closed. `run` is None where the drafts that are signed are of all usage, and stand.

    `stale` are accounts whose draft was verified as it would be now, since usage of them came meanwhile.
    `against` is the month before that it is compared with, if one is issued. `drafts` were there to be issued, with the
    digest `sha256`, by `approval` if somebody signed exactly these; `issued` is None where there were none, or
    something stopped before. `posted`: charges that were due and had not been posted.
    """

    period: Period
    run: Run | None
    verification: Verification
    against: Period | None
    changes: Sequence[Change]
    drafts: int
    sha256: str
    stale: Sequence[str]
    approval: Approval | None
    issued: IssueReport | None
    posted: int = 0

    def states(self) -> dict[Stage, State]:
        """What became of each stage."""
        agrees = self.verification.agrees and not self.stale
        missing = self.drafts and self.approval is None
        return {
            Stage.DRAW_UP: _looked_at(self.run is not None and self.run.report.needs_a_person),
            Stage.VERIFY: State.DONE if agrees else State.STOPS,
            Stage.COMPARE: _looked_at(any(each.beyond for each in self.changes)),
            Stage.APPROVE: State.AHEAD if not agrees else State.STOPS if missing else State.DONE,
            Stage.ISSUE: self._issuing(),
        }

    def _issuing(self) -> State:
        if self.issued is None:
            return State.AHEAD if self.drafts else State.DONE
        return _looked_at(self.issued.needs_a_person)

    @property
    def needs_a_person(self) -> bool:
        """Whether a person has to look at something, or to act."""
        return not {State.LOOK, State.STOPS}.isdisjoint(self.states().values())


def _looked_at(needed: object) -> State:
    return State.LOOK if needed else State.DONE
