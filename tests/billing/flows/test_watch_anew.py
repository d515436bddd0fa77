"""What rounds left step by step is what one round finds anew: whatever came, was amended, voided or folded between."""

import random
from datetime import UTC, datetime

import pytest

from billing.flows.fold import fold_once
from billing.flows.limit import set_guards, set_triggers
from billing.flows.publish import add_accounts
from billing.flows.watch import Watcher
from billing.guards import read_guard
from billing.store.engine import transaction
from billing.triggers import Action, Measure, Trigger, Window
from tests.shop import AT, Shop, account, call, products, tiered

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
STEPS = 25
UNITS = {Measure.EVENTS: "event", Measure.QUANTITY: "second", Measure.AMOUNT: "USD"}
GUARDS = (
    {"id": "s", "kind": "spend", "limit": "1", "currency": "USD"},
    {"id": "c", "kind": "credit", "limit": "9", "currency": "USD", "account": "acme"},
    {"id": "d", "kind": "dear", "limit": "1", "currency": "USD", "unit": "minute"},
)
STATES = "SELECT month, payer_id, total_minor, counters, days, spent, known FROM payer_states ORDER BY 1, 2"
BUDGETS = "SELECT trigger_id, window_start, used FROM budget_states WHERE used <> 0 ORDER BY 1, 2"


@pytest.mark.parametrize("seed", range(8))
def test_what_is_known_step_by_step_is_what_is_found_anew(shop: Shop, seed: int) -> None:
    dice = random.Random(seed)
    shop.publish(tiered(("44", "0.30 0.20"), ("33", "2.00 1.00")))
    shop.admit("acme", "beta")
    add_accounts(shop.engine, [account("acme-uk", parent="acme", pays=False, currency="")], at=AT, actor="finance")
    limits: list[Trigger | dict[str, str]] = [*map(trigger, range(18)), *GUARDS]
    dice.shuffle(limits)
    watcher, revisions = Watcher(engine=shop.engine, products=products()), [0] * STEPS
    for step in range(STEPS):
        for number in {step, dice.randrange(step + 1)}:
            revisions[number] += 1
            change = {"revision": revisions[number]} if revisions[number] > 1 else {}
            void = revisions[number] > 1 and dice.random() < 0.5
            shop.post({"id": f"call-{number}", "void": True, **change} if void else some(dice, number, **change))
        if dice.random() < 0.3:
            fold_once(shop.engine, changes_at_once=dice.choice([1, 1000]))
        if limits and dice.random() < 0.5:
            say(shop, limits.pop())
        if dice.random() < 0.6:
            watcher.round(AT)
    watcher.round(AT)
    known = shop.rows(STATES), shop.rows(BUDGETS)
    assert all(known)
    with transaction(shop.engine) as connection:
        connection.execute("TRUNCATE payer_states, budget_states")
    assert () == watcher.round(AT).fired
    assert (shop.rows(STATES), shop.rows(BUDGETS)) == known


def some(dice: random.Random, number: int, **changes: object) -> dict[str, object]:
    return call(
        number,
        account=dice.choice(["acme", "acme-uk", "beta"]),
        to=dice.choice(["+447700900123", "+33123456789"]),
        occurred_at=f"2026-10-{dice.randrange(1, 5):02}T10:00:00Z",
        **changes,
    )


def trigger(number: int) -> Trigger:
    measure = [*Measure][number % 3]
    return Trigger(
        id=f"t{number}",
        account=("acme", "acme-uk", "beta")[number // 6],
        measure=measure,
        unit=UNITS[measure],
        window=(Window.DAY, Window.MONTH)[number // 3 % 2],
        threshold=200,
        action=Action.STOP,
    )


def say(shop: Shop, limit: Trigger | dict[str, str]) -> None:
    if isinstance(limit, Trigger):
        set_triggers(shop.engine, [limit], at=SINCE, actor="ops")
        return
    found, faults = read_guard(limit, "g", products())
    assert found is not None, faults
    set_guards(shop.engine, [found], products(), at=SINCE, actor="ops")


def test_events_that_come_in_another_order_of_the_day_may_come_to_more(shop: Shop) -> None:
    """The call to France is the dear one if it comes first; the totals of the day are the same either way."""
    shop.publish(tiered(("44", "0.30 0.20"), ("33", "2.00 1.00")))
    shop.admit("acme")
    watcher, day = Watcher(engine=shop.engine, products=products()), "2026-10-02T"
    set_triggers(shop.engine, [trigger(5)], at=SINCE, actor="ops")
    shop.post(
        call(1, duration_seconds=60, occurred_at=f"{day}10:00:00Z"),
        call(2, duration_seconds=60, occurred_at=f"{day}11:00:00Z", to="+33123456789"),
    )
    assert () == watcher.round(AT).fired
    assert [(130,)] == shop.rows("SELECT used FROM budget_states")
    shop.post(call(1, duration_seconds=60, occurred_at=f"{day}12:00:00Z", revision=2))
    assert [220] == [each.used for each in watcher.round(AT).fired]
    assert [(220,)] == shop.rows("SELECT used FROM budget_states")
