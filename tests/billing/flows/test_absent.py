"""A day on which nothing was reported parks whom a month's average is billed to: absent is not zero."""

import tomllib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest

from billing.accounts import Account, AccountId
from billing.bounds import ReleaseNeedlessError
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.publish import add_accounts
from billing.flows.unpark import unpark
from billing.flows.verify import verify
from billing.runs import GRACE, Outcome, Run
from tests.shop import AT, CATALOGUE, OCTOBER, Shop, call, products, read

CARD = """
    id = "list"
    currency = "USD"
    effective_from = 2026-10-01T00:00:00Z
    [pools.storage]
    free = "10000"
    block = "1"
    unit = "minute"
    fill = [{product = "recording.storage"}]
    [[rate]]
    product = "recording.storage"
    unit = "minute"
    price = "0.0005"
    [[rate]]
    product = "voice.outbound"
    unit = "minute"
    price = "0.02"
"""
TABLES = [tomllib.loads(path.read_text()) for path in sorted(CATALOGUE.glob("*.toml"))]
END = OCTOBER.closes + GRACE


@pytest.fixture
def month(shop: Shop) -> Shop:
    shop.publish(read(CARD))
    shop.admit("acme", "bolt")
    add_accounts(shop.engine, [Account(id=AccountId("north"), pays=False, parent="acme")], at=AT, actor="ann")
    shop.post(call(1), call(2, account="bolt"))
    return shop


def report(shop: Shop, account: str, days: Iterable[int], minutes: int = 20_000) -> None:
    stored = [
        {
            "id": f"{account}-{day}",
            "account": account,
            "product": "recording.storage",
            "occurred_at": f"2026-10-{day:02}T23:59:59.999999Z",
            "quantity": str(minutes),
        }
        for day in days
    ]
    shop.post(*stored, at=datetime(2026, 11, 1, tzinfo=UTC))


def drawn(shop: Shop, at: datetime = END, *, early: bool = False) -> Run:
    return draw_up(shop.engine, products(), OCTOBER, at, write=True, early=early)


def held(run: Run) -> Sequence[tuple[str, str]]:
    return [(each.account, each.reason) for each in run.report.stopped if each.outcome is Outcome.PARKED]


def total(run: Run, account: str) -> int:
    return next(each.total_minor for each in run.outcomes if each.account == account)


def test_a_month_of_which_every_day_was_reported_is_billed_by_its_average(month: Shop) -> None:
    report(month, "north", range(1, 32))
    run = drawn(month)
    assert [] == held(run)
    assert (504, 4) == (total(run, "acme"), total(run, "bolt"))
    assert 2 == finalize(month.engine, OCTOBER, END).issued
    assert () == verify(month.engine, products(), TABLES, OCTOBER).disagreements


def test_a_missing_day_holds_back_whoever_pays_and_says_which(month: Shop) -> None:
    report(month, "north", [day for day in range(5, 32) if day not in {7, 8, 20}])
    said = "north reported no recording.storage of 2026-10-07 to 2026-10-08, 2026-10-20, and absent is not zero"
    assert [("acme", said)] == held(drawn(month))
    assert 1 == finalize(month.engine, OCTOBER, END).issued, "only bolt's"


def test_a_report_of_nothing_is_a_report(month: Shop) -> None:
    report(month, "north", range(1, 31))
    assert 1 == len(held(drawn(month)))
    report(month, "north", [31], minutes=0)
    run = drawn(month)
    assert ([], 472) == (held(run), total(run, "acme"))


def test_a_person_releases_the_days_that_are_missing_and_no_others(month: Shop) -> None:
    report(month, "acme", range(1, 30))
    drawn(month)
    unpark(month.engine, OCTOBER, "acme", END, name="controller", reason="the store was down")
    assert [] == held(drawn(month))
    with pytest.raises(ReleaseNeedlessError):
        unpark(month.engine, OCTOBER, "acme", END, name="controller", reason="again")
    report(month, "north", [1])
    (reason,) = (reason for name, reason in held(drawn(month)) if name == "acme")
    assert "north reported no recording.storage of 2026-10-02 to 2026-10-31, and absent is not zero" == reason


def test_days_that_are_still_to_come_are_not_missing(month: Shop) -> None:
    report(month, "acme", range(1, 6))
    assert [] == held(drawn(month, datetime(2026, 10, 6, 12, tzinfo=UTC), early=True))
    assert 1 == len(held(drawn(month, datetime(2026, 10, 7, 0, 1, tzinfo=UTC), early=True)))


def test_usage_of_other_products_may_be_of_any_days(month: Shop) -> None:
    assert [] == held(drawn(month))
