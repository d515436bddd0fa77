from datetime import UTC, datetime, timedelta

import pytest

from billing.periods import Period
from billing.runs import (
    GRACE,
    AccountOutcome,
    Outcome,
    PeriodOpenError,
    RunReport,
    RunUnbalancedError,
    report,
    require_closed,
)
from rates.money import Currency

OCTOBER = Period.parse("2026-10")
USD, EUR = Currency("USD"), Currency("EUR")


def outcome(account: str, kind: Outcome = Outcome.BILLED, total: int = 0, currency: Currency = USD) -> AccountOutcome:
    return AccountOutcome(account=account, outcome=kind, currency=currency, total_minor=total, lines=bool(total))


def reported(*outcomes: AccountOutcome, active: int, at: datetime = OCTOBER.closes + GRACE) -> RunReport:
    return report(outcomes, active=active, period=OCTOBER, drawn_at=at, written=True)


def test_a_report_counts_each_account_once_and_sums_by_currency() -> None:
    found = reported(
        outcome("a", total=100),
        outcome("b", total=250),
        outcome("c", total=70, currency=EUR),
        outcome("d", Outcome.ZERO),
        outcome("e", Outcome.PARKED),
        outcome("f", Outcome.FAILED),
        active=6,
    )
    assert (6, 3, 1, 1, 1) == (found.active, found.billed, found.zero, found.parked, found.failed)
    assert {USD: 350, EUR: 70} == found.totals_minor
    assert ["f", "e"] == [stopped.account for stopped in found.stopped]
    assert found.needs_a_person


@pytest.mark.parametrize(
    "outcomes", [[outcome("a")], [outcome("a"), outcome("a")], [outcome("a"), outcome("b"), outcome("c")]]
)
def test_a_report_that_does_not_add_up_is_an_error(outcomes: list[AccountOutcome]) -> None:
    with pytest.raises(RunUnbalancedError, match="2 active accounts"):
        reported(*outcomes, active=2)


def test_a_run_within_the_grace_is_provisional() -> None:
    assert reported(active=0, at=OCTOBER.closes).provisional
    assert not reported(active=0, at=OCTOBER.closes + GRACE).provisional


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        (OCTOBER.closes - timedelta(microseconds=1), "has not ended"),
        (OCTOBER.closes, "is open for late usage until 2026-11-04T00:00Z"),
        (OCTOBER.closes + GRACE - timedelta(microseconds=1), "--early"),
    ],
)
def test_a_period_that_may_still_be_added_to_is_refused_with_the_remedy(at: datetime, problem: str) -> None:
    with pytest.raises(PeriodOpenError, match=problem):
        require_closed(OCTOBER, at, grace=GRACE, early=False, what="finalize")
    require_closed(OCTOBER, at, grace=GRACE, early=True, what="finalize")


def test_a_period_whose_grace_is_over_is_closed() -> None:
    require_closed(OCTOBER, datetime(2026, 11, 4, tzinfo=UTC), grace=GRACE, early=False, what="finalize")
