"""Oversee a period's run: what was drawn up last, what there is to issue, and whether somebody signed exactly that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from billing.approvals import Approval, ApprovalMissingError, ApprovalUnseenError, signature, unsigned
from billing.flows.finalize import finalize
from billing.periods import Period
from billing.runs import DEFAULT_RULES, IssueReport, IssueRules, PeriodNotDrawnError
from billing.store.approvals import (
    draft_totals,
    issued_documents,
    newest_approval,
    signable_drafts,
    signed_drafts,
)
from billing.store.drafts import Taken
from billing.store.engine import Engine, snapshot
from billing.store.queries.invoices import DrawnRun, newest_run
from rates.money import Currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Overseen:
    """The newest run of a period; its drafts as they are now, with the digest that an approval signs, and their sums.

    `approval` is the newest one; it `holds` if it signs exactly these drafts.
    """

    run: DrawnRun
    drafts: int
    sha256: str
    totals_minor: Mapping[Currency, int]
    approval: Approval | None
    holds: bool


def oversee(engine: Engine, period: Period) -> Overseen:
    """How the newest run of a period stands. Raises PeriodNotDrawnError before the first one."""
    with snapshot(engine) as connection:
        run = newest_run(connection, period)
        if run is None:
            remedy = f"draw it up with `tollbook invoices run {period}`"
            raise PeriodNotDrawnError("was never drawn up", place=str(period), remedy=remedy)
        drafts = signable_drafts(connection, period)
        approval = newest_approval(connection, period)
        holds = approval is not None and not unsigned(
            signed_drafts(connection, approval), drafts, issued_documents(connection, period)
        )
        taken = Taken(payers=[payer for payer, _ in drafts], ids=[each.invoice_id for each in drafts.values()])
        return Overseen(
            run=run,
            drafts=len(drafts),
            sha256=signature(period, drafts.values()),
            totals_minor=draft_totals(connection, taken),
            approval=approval,
            holds=holds,
        )


def finalize_signed(
    engine: Engine, period: Period, at: datetime, *, sha256: str, actor: str, rules: IssueRules = DEFAULT_RULES
) -> IssueReport:
    """Issue exactly what the approval of that digest signs. Safe to repeat; see `finalize` for what it raises.

    Raises ApprovalMissingError where nobody approved the period, ApprovalUnseenError where the newest approval is of
    other drafts than those with the digest.
    """
    with snapshot(engine) as connection:
        approval = newest_approval(connection, period)
    if approval is None:
        remedy = f"a person signs them: tollbook invoices approve {period} --as NAME"
        raise ApprovalMissingError("nobody approved the drafts", place=str(period), remedy=remedy)
    if approval.sha256 != sha256:
        problem = "the newest approval is of other drafts than these"
        remedy = "look at what was approved last, and name its digest"
        raise ApprovalUnseenError(problem, place=str(period), value=sha256, remedy=remedy)
    return finalize(engine, period, at, actor=actor, rules=replace(rules, approval_id=approval.approval_id))
