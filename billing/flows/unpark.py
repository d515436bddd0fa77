"""Release what a run held back, an account or an adjustment: a person has looked, says why, and the next run bills."""

from datetime import datetime

from billing.approvals import person
from billing.bounds import Released, ReleaseNeedlessError, ReleaseRefusedError
from billing.flows.finalize import drawn_run
from billing.payers import paying
from billing.periods import Period
from billing.store.accounts import read_accounts
from billing.store.adjustments import held_of, insert_adjustment_release, released_digests
from billing.store.audit import record
from billing.store.bounds import insert_release, releases, stop_of
from billing.store.drafts import hold_period
from billing.store.engine import Engine, transaction


def unpark(
    engine: Engine, period: Period, account: str, at: datetime, *, name: str, reason: str, actor: str = ""
) -> Released:
    """Release an account of a period as `name`; `actor` is who is logged in.

    Raises ReleaseNeedlessError where the newest run does not hold it back or the same was released already,
    ReleaseRefusedError where something has to be mended instead, SubjectMissingError for an account that there is not
    or that does not pay, PeriodNotDrawnError before the first run, and PeriodLockedError while a run or a finalization
    is at work.
    """
    facts = {"person": person(name), "reason": reason.strip()}
    with transaction(engine) as connection:
        hold_period(connection, period)
        drawn_run(connection, period)
        stop = stop_of(connection, period, account)
        if stop is None:
            known = read_accounts(connection)
            paying(account, known.accounts, known.contracts)
            remedy = f"see `tollbook invoices preview {period}`"
            raise ReleaseNeedlessError(f"no run of {period} holds it back", value=account, remedy=remedy)
        if not stop.releasable:
            problem = f"cannot be released: {stop.reason}"
            raise ReleaseRefusedError(problem, value=account, remedy=f"then `tollbook invoices run {period}`")
        before = releases(connection, period).get(stop.payer)
        if stop.release.after(before) == before:
            remedy = f"draw its bill up with `tollbook invoices run {period}`"
            raise ReleaseNeedlessError(f"was released for {period} already", value=account, remedy=remedy)
        insert_release(connection, period, stop, facts, at)
        details = {"account": account, "as": facts["person"], "reason": facts["reason"], "held": stop.reason}
        record(connection, at=at, actor=actor, action="invoices.release", subject=str(period), details=details)
        return Released(
            period=period,
            account=account,
            held=stop.reason,
            total_minor=stop.total_minor,
            waiting=stop.waiting,
            at=at,
            **facts,
        )


def release_adjustment(
    engine: Engine,
    period: Period,
    account: str,
    origin: Period,
    at: datetime,
    *,
    name: str,
    reason: str,
    actor: str = "",
) -> Released:
    """Release the adjustment of a month that the run of a period left out, as `name`, for the usage that it is of now.

    Raises ReleaseNeedlessError where the newest run does not leave it out or the same was released already,
    ReleaseRefusedError where something has to be mended instead, PeriodNotDrawnError before the first run, and
    PeriodLockedError while a run or a finalization is at work.
    """
    facts = {"person": person(name), "reason": reason.strip()}
    with transaction(engine) as connection:
        hold_period(connection, period)
        drawn_run(connection, period)
        known = read_accounts(connection)
        paying(account, known.accounts, known.contracts)
        held = next((each for each in held_of(connection, period, account) if each.origin == origin), None)
        if held is None:
            problem = f"no run of {period} holds its adjustment of {origin} back"
            raise ReleaseNeedlessError(problem, value=account, remedy=f"see `tollbook invoices preview {period}`")
        if not held.releasable:
            problem = f"its adjustment of {origin} cannot be released: {held.why}"
            raise ReleaseRefusedError(problem, value=account, remedy=f"then `tollbook invoices run {period}`")
        if (held.payer, held.billed_sha256) in released_digests(connection, origin):
            remedy = f"draw it up with `tollbook invoices run {period}`"
            raise ReleaseNeedlessError(f"its adjustment of {origin} was released already", value=account, remedy=remedy)
        insert_adjustment_release(connection, held, facts, at)
        details = {"account": account, "as": facts["person"], "reason": facts["reason"], "origin": str(origin)}
        record(connection, at=at, actor=actor, action="invoices.release", subject=str(period), details=details)
        return Released(
            period=period, account=account, held=held.why, total_minor=held.net_minor, waiting=0, at=at, **facts
        )
