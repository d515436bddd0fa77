"""Finalize a period: the drafts become invoices, with numbers without a gap.

Each transaction takes up to a thousand drafts that nobody else is issuing, checks their rows against what was signed,
takes their numbers last, and moves them into the tables that nothing changes. So any number of finalizers can work at
once, one that dies gives its numbers back, and running it again goes on where it stopped.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from billing.drafts import NO_TOTALS_SHA256, totals_sha256
from billing.invoices import State, Step, number_text, states_before
from billing.periods import Period
from billing.runs import (
    DEFAULT_RULES,
    IssueReport,
    IssueRules,
    PeriodLockedError,
    PeriodNotDrawnError,
    PeriodOpenError,
    require_closed,
)
from billing.store.audit import record
from billing.store.drafts import altered_drafts, lock_period
from billing.store.engine import Connection, Engine, snapshot, transaction
from billing.store.invoices import Issue, Issued, issue, take_drafts, take_numbers
from billing.store.queries.invoices import DrawnRun, account_names, billed_digests, newest_run, written_since
from billing.store.queries.pricing import payers_with_usage, quarantined_events
from billing.store.totals import read_totals
from rates.money import Currency

BATCH = 1000
"""Invoices that one transaction issues."""

CHUNK = 2500
"""Accounts whose totals are looked at together."""


def finalize(
    engine: Engine,
    period: Period,
    at: datetime,
    *,
    actor: str = "",
    early: bool = False,
    rules: IssueRules = DEFAULT_RULES,
    batch: int = BATCH,
) -> IssueReport:
    """Issue all drafts of a period, dated `at`. Safe to repeat, to run many at once, and to kill.

    Raises PeriodOpenError within the grace or where the drafts were drawn in it (unless `early`), PeriodNotDrawnError
    before the first run, PeriodLockedError while a run is at work.
    """
    require_closed(period, at, grace=rules.grace, early=early, what="finalize invoices")
    run = _drawn(engine, period, grace=rules.grace, early=early)
    day = at.astimezone(UTC).date()
    due = day + timedelta(days=rules.payment_days)
    terms = Issue(series=rules.series, issued_on=day, due_on=due, at=at, actor=actor)
    states = states_before(Step.FINALIZE, approval_demanded=rules.approval_demanded)
    totals: Counter[Currency] = Counter()
    numbers: dict[str, list[str]] = {}
    refused: dict[int, str] = {}
    count = 0
    for issued in _batches(engine, period, states, terms, batch, refused):
        count += issued.count
        totals.update(issued.totals_minor)
        for entity, (first, last) in issued.numbers.items():
            taken = (number_text(rules.series, number) for number in range(first, last + 1))
            numbers.setdefault(entity, []).extend(taken)
    waiting = still_waiting(engine, period)
    return IssueReport(
        period=period,
        issued=count,
        totals_minor=dict(sorted(totals.items())),
        numbers={entity: tuple(taken) for entity, taken in sorted(numbers.items())},
        refused=tuple(sorted(refused.values())),
        stopped=run.stopped,
        late=tuple(sorted({*waiting.late} - {*refused.values()})),
        quarantined=waiting.quarantined,
    )


class Waiting(NamedTuple):
    """What of a period is on no invoice and no draft: accounts with usage that came later; events in quarantine."""

    late: tuple[str, ...]
    quarantined: Mapping[str, int]


def still_waiting(engine: Engine, period: Period) -> Waiting:
    """What of a period waits, for the next run or for a person. Whom the newest run stopped at is not in it."""
    with snapshot(engine) as connection:
        run = newest_run(connection, period)
        late = () if run is None else tuple(_late(connection, period, run))
        return Waiting(late=late, quarantined=quarantined_events(connection, period))


def _late(connection: Connection, period: Period, run: DrawnRun) -> Iterator[str]:
    """The accounts whose usage is not what was billed. Where nothing was written since the run, it has counted them."""
    if not run.late and not written_since(connection, run.snapshot_id):
        return
    billed = billed_digests(connection, period)
    names = account_names(connection)
    numbers = sorted({*payers_with_usage(connection, period), *billed})
    for start in range(0, len(numbers), CHUNK):
        chunk = numbers[start : start + CHUNK]
        now = totals_sha256(read_totals(connection, period, chunk))
        for number in chunk:
            changed = billed.get(number, NO_TOTALS_SHA256) != now.get(number, NO_TOTALS_SHA256)
            if changed and names[number] not in run.stopped:
                yield names[number]


def _batches(
    engine: Engine, period: Period, states: Sequence[State], terms: Issue, batch: int, refused: dict[int, str]
) -> Iterator[Issued]:
    """Issue batch after batch, each in its own transaction, until nothing is left to take."""
    while True:
        with transaction(engine) as connection:
            _lock(connection, period)
            taken = take_drafts(connection, period, states, batch, without=refused)
            if not len(taken):
                return
            altered = altered_drafts(connection, period, taken)
            drafts = taken.without(set(altered))
            refused |= altered
            # Everything is computed by now: the counters are held for as short as can be.
            issued = issue(connection, drafts, take_numbers(connection, drafts, terms.series), terms)
            _audit(connection, period, terms, issued)
        yield issued


def _drawn(engine: Engine, period: Period, *, grace: timedelta, early: bool) -> DrawnRun:
    """The run whose drafts are issued."""
    with transaction(engine) as connection:
        _lock(connection, period)
        run = newest_run(connection, period)
    if run is None:
        remedy = f"run `tollbook invoices run {period}` first"
        raise PeriodNotDrawnError("no invoices were drawn up", value=str(period), remedy=remedy)
    if not early and run.drawn_at < period.closes + grace:
        problem = f"its drafts are of {run.drawn_at:%Y-%m-%dT%H:%MZ}, when usage could still arrive"
        remedy = f"draw them up again with `tollbook invoices run {period}`; --early issues them as they are"
        raise PeriodOpenError(problem, value=str(period), remedy=remedy)
    return run


def _lock(connection: Connection, period: Period) -> None:
    if not lock_period(connection, period, shared=True):
        raise PeriodLockedError("a run is at work", value=str(period), remedy="wait until it has ended")


def _audit(connection: Connection, period: Period, terms: Issue, issued: Issued) -> None:
    if issued.count:
        details = {"issued": issued.count, "series": terms.series, "numbers": issued.numbers}
        action, subject = "invoices.finalize", str(period)
        record(connection, at=terms.at, actor=terms.actor, action=action, subject=subject, details=details)
