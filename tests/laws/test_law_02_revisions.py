"""Law 2: "Duplicates, permutations, batching, sharding, crashes: byte-identical totals and invoices." Here: revisions.

Each event may be reported in several revisions, some of which take it back. In whatever order and batches they come,
repeated or not, all is as if only the highest of each had ever been reported.
"""

import random
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.accounts import Account, AccountId
from billing.bills import Arrangement, Bills, bill
from billing.flows.fold import fold
from billing.flows.ingest import Intake
from billing.flows.publish import publish
from billing.flows.release import release
from billing.flows.verify import verify
from billing.invoices import record
from billing.periods import Period
from cli.world import product_tables
from rates.money import Currency
from tests.revising import HISTORIES, Told, report, winners
from tests.shop import AT, OCTOBER, SOURCE, Shop, payloads, products, read

CARD = """
    id = "list"
    currency = "USD"
    effective_from = 2026-01-01T00:00:00Z
    [tiers.t]
    up_to = ["4"]
    unit = "minute"
    fill = [{product = "voice.outbound"}]
    [[rate]]
    product = "voice.outbound"
    prefixes = ["44"]
    unit = "minute"
    increments = "60/60"
    tiers = "t"
    prices = ["0.02", "0.01"]
    setup_fee = "0.005"
    [[rate]]
    product = "voice.outbound"
    prefixes = ["1"]
    unit = "minute"
    increments = "6/6"
    price = "0.03"
    [[rate]]
    product = "sms.outbound"
    prefixes = ["44"]
    unit = "segment"
    price = "0.04"
    [[rate]]
    product = "sms.outbound"
    element = "failed_fee"
    prefixes = ["44"]
    unit = "event"
    price = "0.001"
"""
LATER = datetime(2026, 11, 2, tzinfo=UTC)
MONTHS = [Period.parse("2026-09"), OCTOBER, OCTOBER.next()]


@pytest.fixture
def opened(shop: Shop) -> Shop:
    publish(shop.engine, read(CARD), products(), at=AT, actor="finance")
    shop.admit("acme", "beta", since=date(2026, 9, 1))
    return shop


def come_to(shop: Shop) -> list[list[tuple[int, ...]]]:
    return [shop.totals(month) for month in MONTHS]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=HISTORIES,
    order=st.randoms(use_true_random=False),
    repeated=st.integers(0, 10),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9),
    between=st.sets(st.integers(0, 10)),
)
def test_revisions_in_any_order_and_batches_come_to_what_the_highest_do(
    opened: Shop, history: list[Told], order: random.Random, repeated: int, sizes: list[int], between: set[int]
) -> None:
    opened.forget()
    opened.post(*winners(history), at=LATER)
    expected = come_to(opened)
    opened.forget()
    reports = payloads([report(*told) for told in history])
    reports += order.choices(reports, k=repeated) if reports else []
    order.shuffle(reports)
    intake, start, part = Intake(engine=opened.engine, products=products(), source=SOURCE), 0, 0
    while start < len(reports):
        size = sizes[part % len(sizes)]
        intake.ingest(reports[start : start + size], LATER)
        if part in between:
            fold(opened.engine, changes_at_once=3)
            release(opened.engine, products(), at=AT, actor="finance", events_at_once=2)
        start, part = start + size, part + 1
    assert expected == come_to(opened)
    # Whatever was reported is in one place: in force, or beside.
    kept = "SELECT id, revision FROM event_identity UNION SELECT id, revision FROM event_revisions"
    assert {(f"call-{number}", revision) for number, revision, _ in history} == set(opened.rows(kept))
    for month in MONTHS:
        assert verify(opened.engine, products(), product_tables(), month).agrees


def test_the_totals_of_a_void_are_none(opened: Shop) -> None:
    opened.post(report(1, 1, 0), report(2, 1, 0), at=LATER)
    opened.post(report(1, 2, -1), at=LATER)
    assert [1, 120] == [sum(row[place] for row in opened.totals() if row[2] == 1) for place in (5, 6)]


DEAL = Arrangement(
    cards=[read(CARD)],
    products=products(),
    accounts={name: Account(id=AccountId(name), currency="USD") for name in ("acme", "beta")},
)


def said(bills: Bills) -> object:
    """All that is printed of bills."""
    lines = [
        (each.account, each.total_minor, [record(line, Currency("USD")) for line in each.lines]) for each in bills.bills
    ]
    return lines, sorted(bills.quarantined, key=str), sorted(bills.zero_rated, key=str)


@settings(max_examples=100, deadline=None)
@given(history=HISTORIES, order=st.randoms(use_true_random=False), repeated=st.integers(0, 10))
def test_the_bills_of_revisions_in_any_order_are_those_of_the_highest(
    history: list[Told], order: random.Random, repeated: int
) -> None:
    reports = payloads([report(*told) for told in history])
    reports += order.choices(reports, k=repeated) if reports else []
    order.shuffle(reports)
    for month in MONTHS:
        expected = bill(payloads(winners(history)), DEAL, month, source=SOURCE)
        found = bill(reports, DEAL, month, source=SOURCE)
        assert (said(expected), repeated * bool(history)) == (said(found), len(found.duplicates))
