"""What windows of triggers have come to now: what a round finds that looks at them, before it does."""

from itertools import product

from billing.accounts import Account, AccountId
from billing.flows.fold import fold
from billing.flows.limit import set_triggers
from billing.flows.publish import add_accounts
from billing.flows.used import Sought, triggers_now
from billing.flows.watch import watch
from billing.store.engine import snapshot
from billing.store.limits import read_triggers
from billing.store.watching import read_budgets
from billing.triggers import Action, Measure, Trigger, Window
from tests.shop import AT, OCTOBER, Shop, call, products, tiered

UNITS = {Measure.EVENTS: "event", Measure.QUANTITY: "second", Measure.AMOUNT: "USD"}


def test_it_is_what_a_round_finds_whatever_is_counted_of_whom_and_how_long(shop: Shop) -> None:
    shop.publish(tiered(("44", "0.20 0.10"), ("1", "0.02 0.01")))
    shop.admit("acme", "zen")
    below = [Account(id=AccountId("sub"), parent="acme", pays=False)]
    add_accounts(shop.engine, below, at=AT, actor="t")
    triggers = [
        Trigger(
            id=f"{account}-{measure}-{window}-{country}",
            account=account,
            measure=measure,
            threshold=10**6,
            unit=UNITS[measure],
            window=window,
            country=country,
            action=Action.STOP,
        )
        for account, measure, window, country in product(
            ("acme", "sub", "zen"), Measure, (Window.DAY, Window.MONTH), ("", "US")
        )
    ]
    set_triggers(shop.engine, triggers, at=AT, actor="t")
    now = "2026-10-15T{:02}:00:00Z"
    shop.post(
        call(1), call(2, account="sub"), call(3, occurred_at=now.format(1)), call(4, account="zen"),
        call(5, account="sub", occurred_at=now.format(2)), call(6, to="+14155550123", occurred_at=now.format(3)),
    )  # fmt: skip
    fold(shop.engine)
    shop.post(call(7, account="sub", to="+14155550123", occurred_at=now.format(4)))
    found = {each.trigger.id: each for each in triggers_now(shop.engine, products(), AT, Sought())}
    watch(shop.engine, products(), AT)
    with snapshot(shop.engine) as connection:
        stored = {each.number: each.trigger.id for each in read_triggers(connection)}
        states = read_budgets(connection, dict.fromkeys(stored, OCTOBER.start), OCTOBER.end)
    windows = {each.trigger.id: each.window.start for each in found.values()}
    rounds = {name: each.used for each in states if each.start == windows[name := stored[each.trigger]] and each.used}
    assert {each.trigger.id: each.used for each in found.values() if each.used} == rounds
    assert len(triggers) == len(found)
    said = [("acme-events-month-", 6), ("sub-events-month-", 3), ("sub-events-day-US", 1), ("zen-quantity-month-", 61)]
    assert dict(said) == {name: found[name].used for name, _ in said}
    assert 0 < (found["sub-amount-day-"].used or 0) < (found["acme-amount-month-"].used or 0)
