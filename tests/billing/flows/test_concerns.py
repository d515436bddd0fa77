"""Of whom somebody wants to know: who is looked at, whose months, and that nobody is missed who should be."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from billing.flows.concerns import concerns
from billing.flows.fold import fold
from billing.flows.limit import remove_guard, remove_trigger, set_guards, set_triggers
from billing.flows.limits import Limits
from billing.flows.publish import add_accounts
from billing.flows.watch import Watcher
from billing.guards import read_guard
from billing.store.engine import snapshot, transaction
from billing.store.watching import Concern, Concerns
from billing.triggers import read_trigger
from tests.shop import AT, Shop, account, call, card, products, tiered

TODAY = AT.date()
OCTOBER = date(2026, 10, 1)
NOVEMBER = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def plain(shop: Shop) -> Shop:
    """A shop in which no price depends on usage."""
    shop.publish(card(since="2025-01-01"))
    shop.admit("acme", "beta", since=date(2025, 1, 1))
    return shop


@pytest.fixture
def watcher(shop: Shop) -> Watcher:
    return Watcher(engine=shop.engine, products=products())


def trigger(shop: Shop, at: datetime = AT, **facts: str) -> None:
    table = {"id": "t", "account": "acme", "measure": "events", "threshold": "2", **facts}
    found, faults = read_trigger(table, "t", products())
    assert found is not None, faults
    set_triggers(shop.engine, [found], at=at, actor="ops")


def guard(shop: Shop, **facts: str) -> None:
    found, faults = read_guard({"id": "g", "limit": "1", "currency": "USD", **facts}, "g", products())
    assert found is not None, faults
    set_guards(shop.engine, [found], products(), at=AT, actor="ops")


def found(shop: Shop, today: date = TODAY) -> Concerns:
    with snapshot(shop.engine) as reading:
        return concerns(Limits.read(reading, products()), today)


def by_name(shop: Shop) -> dict[str, Concern]:
    with snapshot(shop.engine) as reading:
        names = Limits.read(reading, products()).names
    return {names[payer]: each for payer, each in found(shop).own.items()}


def states(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows(
        "SELECT month, id, total_minor FROM payer_states JOIN accounts ON account_id = payer_id ORDER BY 1, 2"
    )


def test_where_nothing_is_held_against_usage_nobody_is_looked_at(plain: Shop, watcher: Watcher) -> None:
    guard(plain, id="p", kind="price", unit="minute")
    plain.post(call(1), call(2, account="beta"))
    assert (0, []) == (watcher.round(AT).looked_at, states(plain))
    fold(plain.engine)
    assert (0, []) == (watcher.round(AT).looked_at, states(plain))
    assert [(AT,)] == plain.rows("SELECT at FROM watch_rounds"), "it is known as of now that there is nothing to know"


def test_a_trigger_is_about_its_payer_from_the_month_on_in_which_it_was_added(plain: Shop) -> None:
    add_accounts(plain.engine, [account("acme-uk", parent="acme", pays=False, currency="")], at=AT, actor="finance")
    trigger(plain, account="acme-uk")
    assert {"acme": Concern(OCTOBER, OCTOBER)} == by_name(plain)
    trigger(plain, id="u", at=datetime(2026, 9, 30, 23, 59, tzinfo=UTC))
    assert {"acme": Concern(date(2026, 9, 1), date(2026, 9, 1))} == by_name(plain)
    for name in "tu":
        remove_trigger(plain.engine, name, at=AT, actor="ops")
    assert {} == by_name(plain)


def test_usage_from_before_a_trigger_counts_in_its_windows_also_if_nobody_looked(plain: Shop, watcher: Watcher) -> None:
    plain.post(call(1))
    fold(plain.engine)
    watcher.round(AT)
    plain.post(call(2))
    watcher.round(AT)
    trigger(plain)
    assert [2] == [each.used for each in watcher.round(AT).fired]


def test_late_usage_of_a_month_in_which_a_trigger_was_there_is_looked_at(plain: Shop, watcher: Watcher) -> None:
    trigger(plain)
    watcher.round(NOVEMBER)
    plain.post(call(1), call(2, account="beta"), at=NOVEMBER)
    assert 1 == watcher.round(NOVEMBER).looked_at
    plain.post(call(3), call(4, occurred_at="2026-09-30T00:00:00Z"), at=NOVEMBER)
    assert [(OCTOBER, 2)] == [(each.start, each.used) for each in watcher.round(NOVEMBER).fired]
    assert [(OCTOBER, "acme", None)] == states(plain)


def test_a_new_guard_of_credit_looks_a_year_back_and_then_also_at_what_it_has_seen(
    plain: Shop, watcher: Watcher
) -> None:
    months = ("2026-10-01", "2025-10-31", "2025-09-30")
    plain.post(*(call(n, occurred_at=f"{day}T00:00:00Z") for n, day in enumerate(months)))
    fold(plain.engine)
    watcher.round(AT)
    guard(plain, kind="credit", account="acme")
    watcher.round(AT)
    known = [(date(2025, 10, 1), "acme", 4), (OCTOBER, "acme", 4)]
    assert known == states(plain)
    plain.post({"id": "call-1", "revision": 2, "void": True}, at=NOVEMBER)
    assert 1 == watcher.round(NOVEMBER).looked_at, "thirteen months later"
    assert [(date(2025, 10, 1), "acme", 0), (OCTOBER, "acme", 4)] == states(plain)
    remove_guard(plain.engine, "g", at=AT, actor="ops")
    plain.post({"id": "call-0", "revision": 2, "void": True}, at=NOVEMBER)
    assert 0 == watcher.round(NOVEMBER).looked_at
    guard(plain, kind="credit")
    watcher.round(NOVEMBER)
    assert [(date(2025, 10, 1), "acme", 0), (OCTOBER, "acme", 0)] == states(plain), "what was not looked at meanwhile"


def test_guards_of_everybody_and_of_one(plain: Shop) -> None:
    guard(plain, kind="spend")
    assert Concerns(everyone=Concern(OCTOBER, OCTOBER), own={}) == found(plain)
    guard(plain, id="d", kind="dear", unit="minute", account="beta")
    assert {"beta": Concern(date(2025, 10, 1), date.min)} == by_name(plain)
    assert Concern(OCTOBER, OCTOBER) == found(plain).everyone


def test_prices_that_depend_on_usage_want_to_know_the_month_of_yesterday_and_on(shop: Shop, watcher: Watcher) -> None:
    shop.publish(tiered(("44", "0.02 0.01")))
    shop.admit("acme")
    assert Concern(OCTOBER, OCTOBER) == found(shop, date(2026, 11, 1)).everyone
    assert Concern(date(2026, 11, 1), date(2026, 11, 1)) == found(shop, date(2026, 11, 2)).everyone
    shop.post(call(1))
    assert 1 == watcher.round(AT).looked_at
    shop.post(call(2, occurred_at="2026-11-19T00:00:00Z"), call(3), at=NOVEMBER)
    assert 1 == watcher.round(NOVEMBER).looked_at


def test_of_whom_nobody_could_tell_is_looked_at_until_somebody_can_whoever_wants_to_know(
    plain: Shop, watcher: Watcher
) -> None:
    trigger(plain)
    plain.post(call(1))
    plain.post(call(2))
    with transaction(plain.engine) as connection:
        connection.execute("UPDATE unfolded SET quantity = 9223372036854775807")
    assert ["acme"] == list(watcher.round(AT).failed)
    remove_trigger(plain.engine, "t", at=AT, actor="ops")
    assert ["acme"] == list(watcher.round(AT).failed), "nobody wants to know, but it still stands there"
    with transaction(plain.engine) as connection:
        connection.execute("UPDATE unfolded SET quantity = 60")
    assert (1, {}) == (watcher.round(AT).looked_at, watcher.round(AT).failed)
    assert [(None,)] == plain.rows("SELECT failed FROM payer_states")
    assert 0 == watcher.round(AT).looked_at
