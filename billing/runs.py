"""Invoice runs: what becomes of each active account, and a report that adds up.

An account is *active* in a period if it pays and a contract covers some of the period, or if it has usage to pay for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from billing.adjustments import LATE_LIMIT
from billing.approvals import Approvals, Unsigned
from billing.bounds import Bounds, Cause
from billing.periods import Period
from rates.errors import TollbookError
from rates.money import Currency

GRACE = timedelta(hours=72)
"""How long after its end a period is left open for usage that is reported late."""


class PeriodOpenError(TollbookError):
    """A period that may still be added to would be billed; `value` is the period."""


class PeriodLockedError(TollbookError):
    """Somebody else is working on the invoices of the period; `value` is the period."""


class PeriodNotDrawnError(TollbookError):
    """There is no run of the period whose drafts could be issued; `value` is the period."""


class RunUnbalancedError(TollbookError):
    """The outcomes of a run are not one for each active account: a defect, and nothing of the run may be issued."""


class Outcome(StrEnum):
    """What a run makes of an account: an invoice; nothing to bill; stopped for a person to look at; broken down."""

    BILLED = "billed"
    ZERO = "zero"
    PARKED = "parked"
    FAILED = "failed"


class Withdrawal(StrEnum):
    """Why a draft was taken away after its run; the next one draws it up again. The store has it beside its account."""

    RERATED = "its usage was rated again after its draft was drawn up: run the invoices again"
    BOOKS_CHANGED = "its cards or contract were changed after its draft was drawn up: run the invoices again"

    @property
    def why(self) -> str:
        """The same without what to do."""
        return self.value.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOutcome:
    """What became of one account. `reason` says why it was stopped and what to do; `final`: billed before this run.

    `releasable`: a safety bound holds back what it would be billed, until a person releases it; then `waiting` counts
    its events that wait for a price, `mismatches` are its control totals that do not match, and `causes` what holds it.
    `adjusts` are the earlier months that are billed anew, each with what it comes to more or less; what comes to less
    is in so many `credit_notes`. All of it is in `total_minor`.
    """

    account: str
    outcome: Outcome
    currency: Currency
    total_minor: int = 0
    lines: int = 0
    sha256: str = ""
    reason: str = ""
    final: bool = False
    releasable: bool = False
    waiting: int = 0
    mismatches: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    adjusts: tuple[tuple[str, int], ...] = ()
    credit_notes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAdjustment:
    """An adjustment of an earlier month that a run leaves out, and why; `releasable`: until a person releases it."""

    account: str
    origin: str
    net_minor: int
    currency: Currency
    why: str
    releasable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did. `billed` counts the accounts with at least one line, whatever its amount, `final` those of them
    whose invoice was issued before.

    `late` names the accounts whose invoice is final while their usage of the period has changed since; `quarantined`
    counts events of the period that nothing prices yet, by reason: they bill nobody. `pending` counts those that were
    reported while their outcome was open: they cost nothing. `mismatches` are the control totals that do not match and
    are of no account. `provisional`: drawn before the grace was over. `totals_minor` sums the invoices by currency.
    `adjusted` sums by month and currency what earlier months come to more or less, `credit_notes` counts the documents
    of the latter, and `held` are the adjustments that are left out.
    """

    period: Period
    drawn_at: datetime
    written: bool
    provisional: bool
    active: int
    billed: int
    zero: int
    parked: int
    failed: int
    final: int
    lines: int
    totals_minor: Mapping[Currency, int]
    stopped: tuple[AccountOutcome, ...] = ()
    late: tuple[str, ...] = ()
    quarantined: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0
    mismatches: tuple[str, ...] = ()
    adjusted: Mapping[tuple[str, Currency], int] = field(default_factory=dict)
    credit_notes: int = 0
    held: tuple[HeldAdjustment, ...] = ()

    @property
    def needs_a_person(self) -> bool:
        """Whether something waits for somebody to look at it."""
        return bool(self.stopped or self.late or self.quarantined or self.mismatches or self.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run: what became of each active account, in the order of their numbers, and the report."""

    report: RunReport
    outcomes: tuple[AccountOutcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueRules:
    """By which rules a house issues invoices: their series and that of credit notes, when they are due, who approves.

    With an `approval_id` nothing is issued that another approval signs: one that has come since somebody looked.
    `bounds` say whether a draft stays whose account has usage that waits for a price; without them none does. A run
    adjusts `late_limit` months before its own without a person who releases it.
    """

    series: str = "INV"
    credit_series: str = "CN"
    late_limit: int = LATE_LIMIT
    payment_days: int = 30
    approvals: Approvals = Approvals.NONE
    approval_id: int | None = None
    grace: timedelta = GRACE
    bounds: Bounds | None = None


DEFAULT_RULES = IssueRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueReport:
    """What finalizing a period did. `numbers` are those of its invoices, in order, by legal entity.

    `refused` names accounts whose draft is not what was drawn up any more, `unsigned` those of which not exactly what
    was approved is there to be issued; `stopped` those that the run stopped at; `withdrawn` those whose draft was taken
    away after the run; `unmatched` those whose control totals do not match since, with what differs, `waiting` those of
    whose usage more waits for a price than was released, with how many events, and `outdated` those with usage that
    came after their draft and that control totals count: their drafts stay. So do those of `carried`, which took from
    other months what is not settled, or not so any more: why, and what to run. `mismatches` are of no account.
    `late` are those with usage that came after the run, and `quarantined` counts the period's events that nothing
    prices, by reason: neither is on an invoice.
    """

    period: Period
    issued: int
    totals_minor: Mapping[Currency, int]
    numbers: Mapping[str, tuple[str, ...]]
    refused: tuple[str, ...] = ()
    unsigned: Mapping[str, Unsigned] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    withdrawn: Mapping[str, Withdrawal] = field(default_factory=dict)
    late: tuple[str, ...] = ()
    quarantined: Mapping[str, int] = field(default_factory=dict)
    unmatched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    outdated: tuple[str, ...] = ()
    carried: Mapping[str, str] = field(default_factory=dict)
    mismatches: tuple[str, ...] = ()

    @property
    def held(self) -> frozenset[str]:
        """The accounts whose drafts are not issued."""
        return frozenset((*self.refused, *self.unsigned, *self.unmatched, *self.waiting, *self.outdated, *self.carried))

    @property
    def needs_a_person(self) -> bool:
        """Whether something waits for somebody to look at it."""
        left = self.held or self.stopped or self.withdrawn or self.late
        return bool(left or self.quarantined or self.mismatches)


def report(  # noqa: PLR0913 (each is another part of the report)
    outcomes: Iterable[AccountOutcome],
    *,
    active: int,
    period: Period,
    drawn_at: datetime,
    written: bool,
    grace: timedelta = GRACE,
    late: Iterable[str] = (),
    quarantined: Mapping[str, int] | None = None,
    pending: int = 0,
    mismatches: tuple[str, ...] = (),
    held: Iterable[HeldAdjustment] = (),
) -> RunReport:
    """The report of a run. Raises RunUnbalancedError unless each of the `active` accounts has one outcome."""
    counts: Counter[Outcome] = Counter()
    totals: Counter[Currency] = Counter()
    stopped: list[AccountOutcome] = []
    names: set[str] = set()
    final = lines = credit_notes = 0
    adjusted: Counter[tuple[str, Currency]] = Counter()
    for each in outcomes:
        names.add(each.account)
        credit_notes += each.credit_notes
        adjusted.update({(origin, each.currency): net for origin, net in each.adjusts})
        counts[each.outcome] += 1
        final += each.final
        lines += each.lines
        if each.outcome is Outcome.BILLED:
            totals[each.currency] += each.total_minor
        elif each.outcome is not Outcome.ZERO:
            stopped.append(each)
    if not len(names) == counts.total() == active:
        problem = f"{active} active accounts, {counts.total()} outcomes of {len(names)} accounts"
        raise RunUnbalancedError(problem, place=f"run of {period}", remedy="this is a defect: report it")
    return RunReport(
        period=period,
        drawn_at=drawn_at,
        written=written,
        provisional=drawn_at < period.closes + grace,
        active=active,
        billed=counts[Outcome.BILLED],
        zero=counts[Outcome.ZERO],
        parked=counts[Outcome.PARKED],
        failed=counts[Outcome.FAILED],
        final=final,
        lines=lines,
        totals_minor=dict(sorted(totals.items())),
        stopped=tuple(sorted(stopped, key=lambda each: (each.outcome, each.account))),
        late=tuple(sorted(late)),
        quarantined=dict(sorted((quarantined or {}).items())),
        pending=pending,
        mismatches=mismatches,
        adjusted=dict(sorted(adjusted.items())),
        credit_notes=credit_notes,
        held=tuple(held),
    )


def require_closed(period: Period, at: datetime, *, grace: timedelta, early: bool, what: str) -> None:
    """Refuse to do `what` while usage of the period may still arrive, unless `early`. Raises PeriodOpenError."""
    if early or at >= period.closes + grace:
        return
    until = f"{period.closes + grace:%Y-%m-%dT%H:%MZ}"
    problem = "has not ended" if at < period.closes else f"is open for late usage until {until}"
    raise PeriodOpenError(
        f"{what}: the period {problem}",
        value=str(period),
        remedy=f"preview it now, or wait until {until}; --early does it all the same",
    )
