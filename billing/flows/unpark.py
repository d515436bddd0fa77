"""Release an account that a run held back: a person has looked, says why, and the next run draws its bill up."""

from datetime import datetime

from billing.approvals import person
from billing.bounds import Released, ReleaseNeedlessError, ReleaseRefusedError
from billing.periods import Period
from billing.runs import PeriodLockedError
from billing.store.audit import record
from billing.store.bounds import insert_release, stop_of
from billing.store.drafts import lock_period
from billing.store.engine import Engine, transaction


def unpark(
    engine: Engine, period: Period, account: str, at: datetime, *, name: str, reason: str, actor: str = ""
) -> Released:
    """Release an account of a period as `name`; `actor` is who is logged in.

    Raises ReleaseNeedlessError where the newest run does not hold it back, ReleaseRefusedError where something has to
    be mended instead, and PeriodLockedError while a run or a finalization is at work.
    """
    facts = {"person": person(name), "reason": reason.strip()}
    with transaction(engine) as connection:
        if not lock_period(connection, period, shared=False):
            problem = "a run or a finalization is at work"
            raise PeriodLockedError(problem, value=str(period), remedy="wait until it has ended")
        stop = stop_of(connection, period, account)
        if stop is None:
            remedy = f"see `tollbook invoices preview {period}`"
            raise ReleaseNeedlessError(f"no run of {period} holds it back", value=account, remedy=remedy)
        if not stop.releasable:
            problem = f"cannot be released: {stop.reason}"
            raise ReleaseRefusedError(problem, value=account, remedy=f"then `tollbook invoices run {period}`")
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
