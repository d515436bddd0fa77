"""Finalize a period: the drafts become invoices, with numbers without a gap.

Where drafts are approved, what is issued is exactly what was signed: whatever changed, went or came along since is
named, and stays where it is. So is a draft of usage whose control totals do not match since it was drawn up, or of less
usage than they were compared with, one of an account whose usage waits for a price, as a run would hold it back, and
one of whose credits it is not settled what earlier months leave of them.
Where a control total that does not match is of no account's usage, it may be anybody's that is missing: nothing is
issued.

Each transaction takes up to a thousand drafts that nobody else is issuing, checks their rows against what was drawn and
signed, takes their numbers last, and moves them into the tables that nothing changes. So any number of finalizers can
work at once, one that dies gives its numbers back, and running it again goes on where it stopped.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from billing.approvals import Approval, ApprovalMissingError, Approvals, Unsigned, require_second, unsigned
from billing.controls import Mismatches, require_matched
from billing.drafts import NO_TOTALS_SHA256, totals_sha256
from billing.flows.announce import announce
from billing.flows.carry import Carrying
from billing.flows.hold import unreleased_mismatches, unreleased_waiting
from billing.invoices import Step, number_text, states_before
from billing.periods import Period
from billing.runs import (
    DEFAULT_RULES,
    IssueReport,
    IssueRules,
    PeriodNotDrawnError,
    PeriodOpenError,
    require_closed,
)
from billing.store.approvals import issued_documents, newest_approval, signable_drafts, signed_drafts, unsigned_among
from billing.store.audit import record
from billing.store.drafts import Taken, hold_period, payers_with_drafts
from billing.store.engine import Connection, Engine, snapshot, transaction
from billing.store.invoices import Issue, Issued, hold_payers, issue, take_drafts, take_numbers
from billing.store.queries.controls import counted_payers, has_controls
from billing.store.queries.invoices import DrawnRun, account_names, billed_digests, newest_run, written_since
from billing.store.queries.pricing import payers_with_usage, quarantined_events
from billing.store.sound import altered_drafts
from billing.store.totals import read_totals
from billing.store.touched import settle_issued
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
    before the first run, PeriodLockedError while a run is at work, ControlsUnmatchedError where there are drafts and a
    control total of no account's usage does not match; of drafts for which the rules ask for an approval
    ApprovalMissingError where there is none, and ApprovalSelfError where it is by whoever ran them.
    """
    require_closed(period, at, grace=rules.grace, early=early, what="finalize invoices")
    run = _drawn(engine, period, rules, early=early)
    day = at.astimezone(UTC).date()
    due = day + timedelta(days=rules.payment_days)
    terms = Issue(
        series=rules.series,
        credit_series=rules.credit_series,
        issued_on=day,
        due_on=due,
        at=at,
        actor=actor,
    )
    totals: Counter[Currency] = Counter()
    numbers: dict[str, list[str]] = {}
    refused: dict[int, str] = {}
    held = _held(engine, period, run, rules)
    count = 0
    for issued in _batches(engine, period, rules, terms, batch, held, refused):
        count += issued.count
        totals.update(issued.totals_minor)
        for (entity, series), (first, last) in issued.numbers.items():
            taken = (number_text(series, number) for number in range(first, last + 1))
            numbers.setdefault(entity, []).extend(taken)
    return replace(
        _left(engine, period, run, held, {*refused.values()}),
        issued=count,
        totals_minor=dict(sorted(totals.items())),
        numbers={entity: tuple(taken) for entity, taken in sorted(numbers.items())},
    )


def rehearse(
    engine: Engine, period: Period, at: datetime, *, early: bool = False, rules: IssueRules = DEFAULT_RULES
) -> IssueReport:
    """What finalizing would not issue now, and why; nothing is issued. Raises what `finalize` raises."""
    require_closed(period, at, grace=rules.grace, early=early, what="finalize invoices")
    run = _drawn(engine, period, rules, early=early)
    with snapshot(engine) as connection:
        drafts = signable_drafts(connection, period)
        taken = Taken(payers=[payer for payer, _ in drafts], ids=[each.invoice_id for each in drafts.values()])
        refused = altered_drafts(connection, period, taken)
    return _left(engine, period, run, _held(engine, period, run, rules), {*refused.values()})


class _Held(NamedTuple):
    """What holds drafts back that are as they were drawn up and signed; of payers by number."""

    mismatches: Mismatches
    waiting: Mapping[int, int]
    outdated: Collection[int]
    carrying: Carrying
    carried: dict[int, str]

    @property
    def payers(self) -> Collection[int]:
        """Whose drafts stay."""
        return {*self.mismatches.payers, *self.waiting, *self.outdated, *self.carried}


def _left(engine: Engine, period: Period, run: DrawnRun, held: _Held, refused: set[str]) -> IssueReport:
    """What of a period is not issued, and why."""
    waiting, names = still_waiting(engine, period), _held_names(engine, period, held)
    unmatched = held.mismatches.payers
    return IssueReport(
        period=period,
        issued=0,
        totals_minor={},
        numbers={},
        refused=tuple(sorted(refused)),
        unsigned=_unsigned(engine, period, refused),
        stopped=run.stopped,
        withdrawn=run.withdrawn,
        late=tuple(sorted({*waiting.late} - refused)),
        quarantined=waiting.quarantined,
        unmatched={name: unmatched[payer] for payer, name in names.items() if payer in unmatched},
        waiting={name: held.waiting[payer] for payer, name in names.items() if payer in held.waiting},
        outdated=tuple(name for payer, name in names.items() if payer in held.outdated),
        carried={name: held.carried[payer] for payer, name in names.items() if payer in held.carried},
        mismatches=held.mismatches.nobodys,
    )


def _mismatches(engine: Engine, period: Period) -> Mismatches:
    """The control totals of a period that do not match now, but for what somebody released.

    Raises ControlsUnmatchedError where drafts would be issued although one is of no account.
    """
    with snapshot(engine) as connection:
        found = unreleased_mismatches(connection, period)
        if found.nobodys and payers_with_drafts(connection, period):
            require_matched(found.nobodys, period)
        return found


def _held(engine: Engine, period: Period, run: DrawnRun, rules: IssueRules) -> _Held:
    """What holds drafts back now.

    The control totals are compared before the drafts are held against the usage: what comes in between outdates a draft
    of which they match, and no draft of less than was compared is issued.
    """
    mismatches = _mismatches(engine, period)
    with snapshot(engine) as connection:
        waiting = unreleased_waiting(connection, period, rules.bounds)
        late = [*_late(connection, period, run)] if has_controls(connection, period) else []
        outdated = counted_payers(connection, period, late) if late else frozenset()
        carrying = Carrying.begin(connection, period)
        carried = carrying.unsettled(connection, payers_with_drafts(connection, period))
        return _Held(mismatches, waiting, outdated - {*mismatches.payers}, carrying, carried)


def _held_names(engine: Engine, period: Period, held: _Held) -> dict[int, str]:
    """The payers who are held back and have a draft of a period, with their names and in the order of these."""
    if not held.payers:
        return {}
    with snapshot(engine) as connection:
        names = account_names(connection)
        found = {payer: names[payer] for payer in payers_with_drafts(connection, period) if payer in held.payers}
        return dict(sorted(found.items(), key=lambda each: each[1]))


class Waiting(NamedTuple):
    """What of a period is on no invoice and no draft: accounts with usage that came later; events in quarantine."""

    late: tuple[str, ...]
    quarantined: Mapping[str, int]


def still_waiting(engine: Engine, period: Period) -> Waiting:
    """What of a period waits, for the next run or for a person. Whom the newest run stopped at is not in it."""
    with snapshot(engine) as connection:
        run = newest_run(connection, period)
        late = () if run is None else (*_late(connection, period, run),)
        names = account_names(connection) if late else {}
        return Waiting(late=tuple(names[payer] for payer in late), quarantined=quarantined_events(connection, period))


def _late(connection: Connection, period: Period, run: DrawnRun) -> Iterator[int]:
    """The payers whose usage is not what was billed. Where nothing was written since the run, it has counted them."""
    if not run.late and not written_since(connection, run.snapshot_id):
        return
    billed = billed_digests(connection, period)
    names, told = account_names(connection), {*run.stopped, *run.withdrawn}
    numbers = sorted({*payers_with_usage(connection, period), *billed})
    for start in range(0, len(numbers), CHUNK):
        chunk = numbers[start : start + CHUNK]
        now = totals_sha256(read_totals(connection, period, chunk))
        for number in chunk:
            changed = billed.get(number, NO_TOTALS_SHA256) != now.get(number, NO_TOTALS_SHA256)
            if changed and names[number] not in told:
                yield number


def _batches(
    engine: Engine,
    period: Period,
    rules: IssueRules,
    terms: Issue,
    batch: int,
    held: _Held,
    refused: dict[int, str],
) -> Iterator[Issued]:
    """Issue batch after batch, each in its own transaction, until nothing is left to take but for payers held back.

    What drafts took from other months is held against these once more, in the transaction that issues them.
    """
    unsigned: set[int] = set()
    while True:
        with transaction(engine) as connection:
            hold_period(connection, period, shared=True)
            approval = newest_approval(connection, period)
            if rules.approval_id is not None and (approval is None or approval.approval_id != rules.approval_id):
                problem = "somebody signed drafts anew meanwhile"
                raise ApprovalMissingError(problem, value=str(period), remedy="look at them, and begin again")
            demanded = approval is not None or rules.approvals is not Approvals.NONE
            states = states_before(Step.FINALIZE, approval_demanded=demanded)
            taken = take_drafts(connection, period, states, batch, without={*refused, *unsigned}, but=held.payers)
            if not len(taken):
                return
            # What another month's finalization bills of them is seen by then.
            hold_payers(connection, taken)
            altered = altered_drafts(connection, period, taken)
            refused |= altered
            drafts = taken.without({*altered})
            held.carried.update(found := held.carrying.hold(connection, drafts.payers))
            ids = zip(drafts.payers, drafts.ids, strict=True)
            drafts = drafts.without({each for payer, each in ids if payer in found})
            if approval is not None:
                others = unsigned_among(connection, period, approval, drafts)
                unsigned |= others
                drafts = drafts.without(others)
            settle_issued(connection, drafts)
            # Everything is computed by now: the counters are held for as short as can be.
            issued = issue(connection, drafts, take_numbers(connection, drafts, terms), terms)
            announce(connection, drafts, at=terms.at)
            _audit(connection, period, terms, issued)
        yield issued


def _unsigned(engine: Engine, period: Period, refused: set[str]) -> dict[str, Unsigned]:
    """What is not as it was signed, by account; nothing where nobody signed."""
    with snapshot(engine) as connection:
        approval = newest_approval(connection, period)
        if approval is None:
            return {}
        signed, drafts = signed_drafts(connection, approval), signable_drafts(connection, period)
        found = unsigned(signed, drafts, issued_documents(connection, period))
        return {account: why for account, why in found.items() if account not in refused}


def _drawn(engine: Engine, period: Period, rules: IssueRules, *, early: bool) -> DrawnRun:
    """The run whose drafts are issued, approved where the rules ask for it."""
    with transaction(engine) as connection:
        hold_period(connection, period, shared=True)
        run = issuable_run(connection, period, grace=rules.grace, early=early)
        approval = newest_approval(connection, period)
        if rules.approvals is not Approvals.NONE and payers_with_drafts(connection, period):
            _require_approval(approval, rules.approvals, period)
        return run


def _require_approval(approval: Approval | None, asked: Approvals, period: Period) -> None:
    if approval is None:
        remedy = f"let somebody run `tollbook invoices approve {period} --as NAME`"
        raise ApprovalMissingError("nobody approved these drafts", value=str(period), remedy=remedy)
    require_second(approval.approver, approval.drawn_by, asked)


def drawn_run(connection: Connection, period: Period) -> DrawnRun:
    """The newest run of a period. Raises PeriodNotDrawnError."""
    run = newest_run(connection, period)
    if run is None:
        remedy = f"run `tollbook invoices run {period}` first"
        raise PeriodNotDrawnError("no invoices were drawn up", value=str(period), remedy=remedy)
    return run


def issuable_run(connection: Connection, period: Period, *, grace: timedelta, early: bool) -> DrawnRun:
    """The run whose drafts may be issued. Raises PeriodNotDrawnError, and PeriodOpenError unless `early`."""
    run = drawn_run(connection, period)
    if not early and run.drawn_at < period.closes + grace:
        problem = f"its drafts are of {run.drawn_at:%Y-%m-%dT%H:%MZ}, when usage could still arrive"
        remedy = f"draw them up again with `tollbook invoices run {period}`; --early issues them as they are"
        raise PeriodOpenError(problem, value=str(period), remedy=remedy)
    return run


def _audit(connection: Connection, period: Period, terms: Issue, issued: Issued) -> None:
    if issued.count:
        numbers = [[*named, *between] for named, between in issued.numbers.items()]
        details = {"issued": issued.count, "series": terms.series, "numbers": numbers}
        action, subject = "invoices.finalize", str(period)
        record(connection, at=terms.at, actor=terms.actor, action=action, subject=subject, details=details)
