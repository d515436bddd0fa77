"""Approve a period: a person signs its drafts as they are; what is issued afterwards is exactly that."""

from datetime import datetime

from billing.approvals import (
    ApprovalReport,
    person,
    require_second,
    require_seen,
    same_person,
    signature,
    unsigned,
)
from billing.flows.finalize import issuable_run
from billing.flows.hold import unreleased_mismatches
from billing.periods import Period
from billing.runs import DEFAULT_RULES, IssueRules
from billing.store.approvals import (
    draft_totals,
    drawn_by,
    insert_approval,
    issued_documents,
    newest_approval,
    signable_drafts,
    signed_drafts,
)
from billing.store.audit import record
from billing.store.drafts import Taken, hold_period
from billing.store.engine import Engine, transaction
from billing.store.sound import altered_drafts


def approve(
    engine: Engine,
    period: Period,
    at: datetime,
    *,
    approver: str,
    actor: str = "",
    early: bool = False,
    rules: IssueRules = DEFAULT_RULES,
    seen: str = "",
) -> ApprovalReport:
    """Sign all drafts of a period as `approver`; `actor` is who is logged in. Safe to repeat.

    With the digest that was `seen` beside the drafts nothing else is signed. Drafts whose rows are not what was drawn
    up are left out and named. Raises ApprovalUnseenError where the drafts are others than those that were seen,
    PeriodNotDrawnError before the first run, PeriodOpenError where the drafts were drawn within the grace (unless
    `early`), PeriodLockedError while a run or a finalization is at work, and ApprovalSelfError where two people are
    asked for and `approver` ran the drafts.
    """
    name = person(approver)
    with transaction(engine) as connection:
        hold_period(connection, period)
        issuable_run(connection, period, grace=rules.grace, early=early)
        drew = drawn_by(connection, period)
        require_second(name, drew, rules.approvals)
        found = signable_drafts(connection, period)
        taken = Taken(payers=[payer for payer, _ in found], ids=[each.invoice_id for each in found.values()])
        altered = altered_drafts(connection, period, taken)
        drafts = {slot: each for slot, each in found.items() if each.invoice_id not in altered}
        digest = signature(period, drafts.values())
        require_seen(digest, seen)
        before = newest_approval(connection, period)
        signed = {} if before is None else signed_drafts(connection, before)
        anew = bool(unsigned(signed, drafts, issued_documents(connection, period)))
        by_another = before is None or not same_person(before.approver, name)
        written = anew or (bool(drafts) and by_another)
        if written:
            insert_approval(connection, period, drafts, digest, at=at, approver=name, drew=drew)
            details = {"as": name, "drawn_by": drew, "drafts": len(drafts), "sha256": digest}
            action, subject = "invoices.approve", str(period)
            record(connection, at=at, actor=actor, action=action, subject=subject, details=details)
        differing = unreleased_mismatches(connection, period)
        return ApprovalReport(
            period=period,
            approver=name,
            drawn_by=drew,
            drafts=len(drafts),
            totals_minor=draft_totals(connection, taken.without({*altered})),
            sha256=digest,
            written=written,
            altered=tuple(sorted(altered.values())),
            unmatched={
                each.account: differing.payers[each.payer] for each in drafts.values() if each.payer in differing.payers
            },
            mismatches=differing.nobodys,
        )
