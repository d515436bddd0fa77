"""Runs: drawing a month's invoices up, how that stands, and issuing exactly what somebody signed."""

from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from billing.flows.draw_up import draw_up
from billing.flows.oversee import Overseen, finalize_signed, oversee
from billing.periods import Period
from billing.records import issue_record, outcomes_record, run_record
from billing.server.callers import Bookkeeper, Operator
from billing.server.shapes import Asked, Decimal, Instant, Month
from billing.server.world import InWorld
from rates.money import format_minor

router = APIRouter(tags=["runs"])

_Period = Annotated[Month, InPath()]


class RunAsked(Asked):
    """Which month to draw up; `early`: before it has ended; `dry_run`: say what it would come to, and store nothing."""

    period: Month
    early: bool = False
    dry_run: bool = False


class FinalizeAsked(Asked):
    """The digest of the drafts that were approved, as the approval told it."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Stopped(BaseModel):
    """An account that a run stopped at, and why."""

    account: str
    outcome: str
    lines: int
    total: str
    currency: str
    reason: str


class Adjusted(BaseModel):
    """What earlier months come to more or less."""

    period: str
    currency: str
    amount: Decimal


class HeldBack(BaseModel):
    """An adjustment that is left out until a person releases it."""

    account: str
    period: str
    amount: Decimal
    currency: str
    releasable: bool
    why: str


class RunTold(BaseModel):
    """What a run came to. billed + zero + parked + failed = active; `stopped` are those that a person looks at."""

    period: str
    written: bool
    provisional: bool
    active: int
    billed: int
    zero: int
    parked: int
    failed: int
    final: int
    lines: int
    totals: dict[str, Decimal] = Field(description="By currency.")
    late: list[str]
    quarantined: dict[str, int]
    pending: int
    mismatches: list[str]
    credit_notes: int
    adjustments: list[Adjusted]
    held_adjustments: list[HeldBack]
    stopped: list[Stopped]


class ApprovalTold(BaseModel):
    """Who signed which drafts; it `holds` if the drafts are still exactly these."""

    at: Instant
    approver: str
    drawn_by: list[str]
    drafts: int
    sha256: str
    holds: bool


class RunState(BaseModel):
    """The newest run of a month, and its drafts as they are now: `sha256` is what an approval would sign."""

    period: str
    drawn_at: Instant
    active: int
    billed: int
    zero: int
    parked: int
    failed: int
    late: int
    stopped: list[str]
    withdrawn: dict[str, str]
    drafts: int
    totals: dict[str, Decimal] = Field(description="Of the drafts, by currency.")
    sha256: str
    approval: ApprovalTold | None


class IssuedTold(BaseModel):
    """What a finalization did, and what it left and why; see `docs/closing-the-month.md`."""

    period: str
    issued: int
    numbers: list[str]
    totals: dict[str, Decimal]
    refused: list[str]
    unsigned: dict[str, str]
    stopped: list[str]
    withdrawn: dict[str, str]
    late: list[str]
    quarantined: dict[str, int]
    unmatched: dict[str, list[str]]
    waiting: dict[str, int]
    outdated: list[str]
    carried: dict[str, str]
    mismatches: list[str]


@router.post("/v1/runs")
def run(world: InWorld, key: Bookkeeper, asked: RunAsked) -> RunTold:
    """Draw up a draft for each active account of a month. Safe to repeat: drafts are replaced where usage has changed.

    Refused before the month has ended (but `early`), while another run of it is at work, and while charges are due that
    nobody posted: 409.
    """
    drawn = draw_up(
        world.unhurried,
        world.products,
        Period.parse(asked.period),
        world.clock(),
        write=not asked.dry_run,
        actor=key.name,
        early=asked.early or asked.dry_run,
        bounds=world.rules.bounds,
        late_limit=world.rules.late_limit,
    )
    stopped = outcomes_record(drawn.report.stopped)
    return RunTold.model_validate({**run_record(drawn.report), "stopped": stopped})


@router.get("/v1/runs/{period}")
def run_of(world: InWorld, _: Operator, period: _Period) -> RunState:
    """How the newest run of a month stands: its drafts, and whether somebody approved exactly these."""
    return _told(period, oversee(world.engine, Period.parse(period)))


@router.post("/v1/runs/{period}/finalize")
def finalize(world: InWorld, key: Bookkeeper, period: _Period, asked: FinalizeAsked) -> IssuedTold:
    """Issue exactly what was approved under a digest: numbers without a gap, invoices that never change.

    A person approves, by name, with `tollbook invoices approve`. Safe to repeat.
    """
    month = Period.parse(period)
    report = finalize_signed(
        world.unhurried, month, world.clock(), sha256=asked.sha256, actor=key.name, rules=world.rules
    )
    return IssuedTold.model_validate(issue_record(report))


def _told(period: str, found: Overseen) -> RunState:
    run, approval = found.run, found.approval
    return RunState(
        period=period,
        drawn_at=run.drawn_at,
        active=run.active,
        billed=run.billed,
        zero=run.zero,
        parked=run.parked,
        failed=run.failed,
        late=run.late,
        stopped=list(run.stopped),
        withdrawn={account: str(why) for account, why in run.withdrawn.items()},
        drafts=found.drafts,
        totals={code: format_minor(minor, code) for code, minor in found.totals_minor.items()},
        sha256=found.sha256,
        approval=None
        if approval is None
        else ApprovalTold(
            at=approval.at,
            approver=approval.approver,
            drawn_by=list(approval.drawn_by),
            drafts=approval.drafts,
            sha256=approval.sha256,
            holds=found.holds,
        ),
    )
