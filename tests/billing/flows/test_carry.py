"""Credits and support plans over the months: in whatever order these are issued, nothing is spent twice."""

import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from billing.contracts import Contract
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_line
from billing.flows.finalize import finalize, rehearse
from billing.flows.publish import add_contracts
from billing.flows.verify import verify
from billing.invoices import InvoiceLine
from billing.periods import Period
from billing.runs import GRACE, IssueReport
from billing.store.carried import lock_carrying
from billing.store.engine import snapshot, transaction
from billing.store.queries.invoices import all_invoices
from rates.deals import Credit, Deal
from rates.support import Support
from tests.shop import AT, CATALOGUE, OCTOBER, Shop, call, products

NOVEMBER = OCTOBER.next()
TABLES = [tomllib.loads(Path(path).read_text()) for path in sorted(CATALOGUE.glob("*.toml"))]
WELCOME = Deal(credits=(Credit(id="welcome", amount=Decimal("0.10")),))
PLAN = Deal(support=Support(plan="business", percent=Decimal(10), least=Decimal("0.02")))


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    """A price of 0.02 a minute, from the first of October on."""
    shop.publish()


def agree(shop: Shop, name: str, deal: Deal, since: date = date(2026, 10, 1)) -> None:
    if since == date(2026, 10, 1):
        shop.admit(name, since=date(2026, 9, 1))
    contract = Contract(account=name, effective_from=since, cards=("list",), deal=deal)
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance", reason="agreed by telephone")


def use(shop: Shop, number: int, month: Period, *, minutes: int, account: str = "acme") -> None:
    at, seconds = f"{month}-02T10:11:12Z", str(60 * minutes)
    event = call(number, account=account, occurred_at=at, duration_seconds=seconds)
    shop.post(event, at=month.closes)


def draw(shop: Shop, month: Period) -> None:
    draw_up(shop.engine, products(), month, NOVEMBER.closes + GRACE, write=True, actor="finance")


def issue(shop: Shop, month: Period) -> IssueReport:
    told = rehearse(shop.engine, month, NOVEMBER.closes + GRACE).carried
    found = finalize(shop.engine, month, NOVEMBER.closes + GRACE)
    assert told == found.carried, "a rehearsal says what would not be issued"
    return found


def lines(shop: Shop, month: Period, *, final: bool = True) -> list[InvoiceLine]:
    with snapshot(shop.engine) as connection:
        return [line for each in all_invoices(connection, month, final=final) for line in each.lines]


def spent(shop: Shop) -> int:
    """What the credit paid on everything that is issued."""
    return -sum(
        line.amount_minor for month in (OCTOBER, NOVEMBER) for line in lines(shop, month) if line.element == "credit"
    )


def test_a_month_waits_for_an_earlier_one_that_may_use_the_same_credit(shop: Shop) -> None:
    agree(shop, "acme", WELCOME)
    shop.admit("plain")
    use(shop, 1, OCTOBER, minutes=3)
    use(shop, 2, NOVEMBER, minutes=4)
    use(shop, 3, NOVEMBER, minutes=1, account="plain")
    draw(shop, OCTOBER)
    draw(shop, NOVEMBER)
    held = issue(shop, NOVEMBER)
    said = "2026-10 is drawn up and not issued; issue it first, with `tollbook invoices finalize 2026-10`"
    assert ({"acme": said}, 1, True) == (held.carried, held.issued, held.needs_a_person)
    assert (1, {}) == ((found := issue(shop, OCTOBER)).issued, found.carried)
    assert (1, {}) == ((found := issue(shop, NOVEMBER)).issued, found.carried)
    assert 10 == spent(shop)


def test_a_draft_whose_credits_were_used_otherwise_since_is_drawn_up_again(shop: Shop) -> None:
    """November counted on 0.04 that October, drawn up again with more usage, has used itself."""
    agree(shop, "acme", WELCOME)
    use(shop, 1, OCTOBER, minutes=3)
    use(shop, 2, NOVEMBER, minutes=4)
    draw(shop, OCTOBER)
    draw(shop, NOVEMBER)
    use(shop, 3, OCTOBER, minutes=1)
    draw(shop, OCTOBER)
    assert 1 == issue(shop, OCTOBER).issued
    held = issue(shop, NOVEMBER)
    assert 0 == held.issued
    assert held.carried["acme"].endswith("draw it up again with `tollbook invoices run 2026-11`")
    draw(shop, NOVEMBER)
    assert 1 == issue(shop, NOVEMBER).issued
    assert 10 == spent(shop)
    assert verify(shop.engine, products(), TABLES, NOVEMBER).agrees


def test_a_month_that_is_drawn_up_after_a_later_one_is_issued_uses_what_that_left(shop: Shop) -> None:
    agree(shop, "acme", WELCOME)
    use(shop, 2, NOVEMBER, minutes=3)
    draw(shop, NOVEMBER)
    assert 1 == issue(shop, NOVEMBER).issued
    use(shop, 1, OCTOBER, minutes=9)
    draw(shop, OCTOBER)
    assert 1 == issue(shop, OCTOBER).issued
    paid = [line.amount_minor for month in (NOVEMBER, OCTOBER) for line in lines(shop, month) if line.amount_minor < 0]
    assert [-6, -4] == paid


def test_an_earlier_draft_that_came_after_this_one_is_seen_too(shop: Shop) -> None:
    """Both count on the whole credit; whichever is issued first, the other is not issued as it is."""
    agree(shop, "acme", WELCOME)
    use(shop, 1, OCTOBER, minutes=9)
    use(shop, 2, NOVEMBER, minutes=9)
    draw(shop, NOVEMBER)
    draw(shop, OCTOBER)
    assert 0 == issue(shop, NOVEMBER).issued
    assert 1 == issue(shop, OCTOBER).issued
    assert 0 == issue(shop, NOVEMBER).issued
    draw(shop, NOVEMBER)
    assert 1 == issue(shop, NOVEMBER).issued
    assert 10 == spent(shop)


@pytest.mark.parametrize("attempt", range(3))
def test_two_who_issue_two_months_at_once_do_not_spend_a_credit_twice(shop: Shop, attempt: int) -> None:
    names = [f"a{n}" for n in range(8)]
    for number, name in enumerate(names):
        agree(shop, name, WELCOME)
        for month in (OCTOBER, NOVEMBER):
            use(shop, 100 * attempt + 10 * number + month.start.month, month, minutes=9, account=name)
    draw(shop, NOVEMBER)
    draw(shop, OCTOBER)
    with ThreadPoolExecutor(2) as pool:
        at = NOVEMBER.closes + GRACE
        [*pool.map(lambda month: finalize(shop.engine, month, at, batch=2), (OCTOBER, NOVEMBER))]
    issue(shop, OCTOBER)
    draw(shop, NOVEMBER)
    issue(shop, NOVEMBER)
    assert 10 * len(names) == spent(shop)


def test_what_comes_while_a_month_is_being_issued_is_seen_in_the_transaction_that_issues_it(shop: Shop) -> None:
    """When November's drafts were looked at, October had none; it has one when they are taken."""
    agree(shop, "acme", WELCOME)
    use(shop, 1, OCTOBER, minutes=9)
    use(shop, 2, NOVEMBER, minutes=9)
    draw(shop, NOVEMBER)
    with ThreadPoolExecutor(1) as pool:
        with transaction(shop.engine) as connection:
            lock_carrying(connection)
            issuing = pool.submit(finalize, shop.engine, NOVEMBER, NOVEMBER.closes + GRACE)
            waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            wait_for(lambda: shop.rows(waiting) != [])
            draw(shop, OCTOBER)
        held = issuing.result()
    assert (0, ["acme"]) == (held.issued, [*held.carried])
    assert 1 == issue(shop, OCTOBER).issued
    assert 10 == spent(shop)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "nobody waits for the lock"
        time.sleep(0.01)


def test_months_without_a_common_credit_do_not_wait_for_each_other(shop: Shop) -> None:
    agree(shop, "acme", WELCOME)
    agree(shop, "acme", Deal(credits=(Credit(id="other", amount=Decimal("0.05")),)), date(2026, 11, 1))
    use(shop, 1, OCTOBER, minutes=3)
    use(shop, 2, NOVEMBER, minutes=4)
    draw(shop, OCTOBER)
    draw(shop, NOVEMBER)
    assert (1, {}) == ((found := issue(shop, NOVEMBER)).issued, found.carried)


def test_a_support_plan_is_posted_once_in_the_next_month_and_verified(shop: Shop) -> None:
    """10 % of 20 minutes at 0.02; and the invoice that it is on is not the base of the next."""
    agree(shop, "acme", PLAN)
    use(shop, 1, OCTOBER, minutes=20)
    use(shop, 2, NOVEMBER, minutes=1)
    draw(shop, Period.parse("2026-09"))
    draw(shop, OCTOBER)
    assert [("usage", 40)] == [(line.element, line.amount_minor) for line in lines(shop, OCTOBER, final=False)]
    assert 1 == issue(shop, OCTOBER).issued
    for _ in range(2):
        draw(shop, NOVEMBER)
        drawn = lines(shop, NOVEMBER, final=False)
        assert [("support", 4), ("usage", 2)] == [(line.element, line.amount_minor) for line in drawn]
    found = explain_line(shop.engine, products(), NOVEMBER, "acme", 1)
    assert found.adds_up
    assert "10 % of 0.40 USD in 2026-10, at least 0.02 = 0.04, rounded 0.04 USD" == found.arithmetic
    assert verify(shop.engine, products(), TABLES, NOVEMBER).agrees
    assert 1 == issue(shop, NOVEMBER).issued
    assert 0 == issue(shop, NOVEMBER).issued
    assert ["business 2026-10"] == [line.destination for line in lines(shop, NOVEMBER) if line.element == "support"]


def test_a_month_with_a_support_plan_waits_for_the_month_that_it_is_of(shop: Shop) -> None:
    agree(shop, "acme", PLAN)
    use(shop, 1, OCTOBER, minutes=20)
    use(shop, 2, NOVEMBER, minutes=1)
    draw(shop, NOVEMBER)
    said = (
        "its support plan is of 2026-10, which is not drawn up; draw it up first, with `tollbook invoices run 2026-10`"
    )
    assert {"acme": said} == issue(shop, NOVEMBER).carried
    draw(shop, OCTOBER)
    assert issue(shop, NOVEMBER).carried["acme"].startswith("2026-10 is drawn up and not issued")
    assert 1 == issue(shop, OCTOBER).issued
    assert issue(shop, NOVEMBER).carried["acme"].startswith("bills of other months have changed")
    draw(shop, NOVEMBER)
    assert 1 == issue(shop, NOVEMBER).issued
    assert [4] == [line.amount_minor for line in lines(shop, NOVEMBER) if line.element == "support"]


def test_a_month_without_usage_comes_to_the_minimum_of_its_plan(shop: Shop) -> None:
    agree(shop, "acme", PLAN)
    draw(shop, OCTOBER)
    draw(shop, NOVEMBER)
    assert 1 == issue(shop, NOVEMBER).issued
    assert [2] == [line.amount_minor for line in lines(shop, NOVEMBER)]


def test_what_comes_late_is_billed_without_working_out_support_anew(shop: Shop) -> None:
    """November is adjusted by its usage alone; December's plan is of what November's invoice has of November."""
    december, at = NOVEMBER.next(), NOVEMBER.next().closes + GRACE
    agree(shop, "acme", PLAN)
    use(shop, 1, OCTOBER, minutes=20)
    use(shop, 2, NOVEMBER, minutes=30)
    for month in (Period.parse("2026-09"), OCTOBER, NOVEMBER):
        draw(shop, month)
        issue(shop, month)
    shop.post(*(call(n, occurred_at=f"2026-{n}-03T10:11:12Z", duration_seconds="300") for n in (10, 11)), at=at)
    draw_up(shop.engine, products(), december, at, write=True, actor="finance")
    drawn = [(line.origin_period, line.element, line.amount_minor) for line in lines(shop, december, final=False)]
    assert [("2026-10", "usage", 10), ("2026-11", "usage", 10), ("2026-12", "support", 6)] == sorted(drawn)
    assert verify(shop.engine, products(), TABLES, NOVEMBER).agrees
    assert verify(shop.engine, products(), TABLES, december).agrees
