"""Close a month: post its charges, draw up, verify, compare, issue what is signed; stop where a person is needed.

Whoever calls it again goes on: what is signed and of all usage is issued as it stands, anything else is drawn up anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from billing.approvals import Approval, signature, unsigned
from billing.bounds import Bounds
from billing.closing import Closing
from billing.flows.compare import compare_periods
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize, still_waiting
from billing.flows.hold import unreleased_waiting
from billing.flows.post import post_charges, until_end
from billing.flows.verify import Tables, verify
from billing.periods import Period
from billing.receipts import Outcome
from billing.runs import IssueRules, require_closed
from billing.store.approvals import issued_documents, newest_approval, signable_drafts, signed_drafts
from billing.store.engine import Engine, snapshot
from rates.products import Product


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """By which rules a house closes its months. Prices `factor` times up or down are beyond a bound."""

    issue: IssueRules
    factor: Fraction


def close(  # noqa: PLR0913 (each is asked by one of its stages)
    engine: Engine,
    products: Mapping[str, Product],
    tables: Tables,
    period: Period,
    at: datetime,
    *,
    rules: Rules,
    actor: str = "",
    drawn_by: str = "",
    early: bool = False,
    processes: int = 1,
) -> Closing:
    """Go as far as nobody is needed; `tables` are the products in the form of their files, for the verifier.

    Nothing is issued that the verifier disagrees with or that nobody signed, whatever the rules ask for. Raises what
    `draw_up` and `finalize` raise.
    """
    require_closed(period, at, grace=rules.issue.grace, early=early, what="close the month")
    posted = post_charges(engine, products, at=at, until=until_end(period, at))
    run = None
    if not _stands(engine, period, rules.issue.bounds):
        run = draw_up(
            engine,
            products,
            period,
            at,
            write=True,
            actor=actor,
            drawn_by=drawn_by,
            early=early,
            bounds=rules.issue.bounds,
            grace=rules.issue.grace,
            late_limit=rules.issue.late_limit,
        )
    verification = verify(engine, products, tables, period, processes=processes)
    against, changes = compare_periods(engine, period, None, factor=rules.factor)
    approval, drafts, digest = _signed(engine, period)
    stale = tuple(sorted(drafts & {*verification.outdated}))
    issued = None
    if verification.agrees and not stale and approval is not None and drafts:
        verified = replace(rules.issue, approval_id=approval.approval_id)
        issued = finalize(engine, period, at, actor=actor, early=early, rules=verified)
    return Closing(
        period=period,
        run=run,
        verification=verification,
        against=against,
        changes=changes,
        drafts=len(drafts),
        sha256=digest,
        stale=stale,
        approval=approval,
        issued=issued,
        posted=posted[Outcome.ACCEPTED] + posted[Outcome.QUARANTINED],
    )


def _stands(engine: Engine, period: Period, bounds: Bounds | None) -> bool:
    """Whether there are drafts, exactly as they were signed, and of all usage: none came that is in no draft."""
    approval, drafts, _ = _signed(engine, period)
    if approval is None or not drafts or still_waiting(engine, period).late:
        return False
    with snapshot(engine) as connection:
        return not unreleased_waiting(connection, period, bounds)


def _signed(engine: Engine, period: Period) -> tuple[Approval | None, set[str], str]:
    """The signature under exactly the drafts of a period, if it holds; the accounts that have drafts; their digest."""
    with snapshot(engine) as connection:
        approval, drafts = newest_approval(connection, period), signable_drafts(connection, period)
        accounts = {draft.account for draft in drafts.values()}
        digest = signature(period, drafts.values())
        if approval is None:
            return None, accounts, digest
        others = unsigned(signed_drafts(connection, approval), drafts, issued_documents(connection, period))
        return (None if others else approval), accounts, digest
