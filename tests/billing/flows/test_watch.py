"""Rounds of watching: what fires, when, once; what budgets and guards have come to."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.contracts import Contract
from billing.flows.compose import compose_statement
from billing.flows.fold import fold
from billing.flows.limit import remove_trigger, set_guards, set_triggers
from billing.flows.publish import add_accounts, add_contracts
from billing.flows.watch import Fired, Watcher, watch
from billing.guards import read_guard
from billing.store.engine import snapshot, transaction
from billing.store.webhooks import insert_endpoint
from billing.triggers import read_trigger
from billing.webhooks import Endpoint, MessageType
from rates.deals import Commitment, Deal, Discount
from tests.shop import AT, OCTOBER, Shop, account, call, products, read

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.voice]
up_to = ["10", "20"]
unit = "minute"
fill = [{product = "voice.*"}]
[[rate]]
product = "voice.outbound"
destination = "United Kingdom"
prefixes = ["44"]
unit = "minute"
increments = "60/60"
tiers = "voice"
prices = ["0.30", "0.20", "0.10"]
[[rate]]
product = "voice.outbound"
destination = "France"
prefixes = ["33"]
unit = "minute"
increments = "60/60"
tiers = "voice"
prices = ["0.50", "0.40", "0.30"]
setup_fee = "0.05"
[[rate]]
product = "sms.outbound"
unit = "segment"
price = "0.07"
"""
SINCE = datetime(2026, 10, 1, tzinfo=UTC)
TEXT: Mapping[str, Any] = {"product": "sms.outbound", "status": "delivered", "segments": "1", "duration_seconds": None}


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish(read(CARD))
    shop.admit("acme", "beta")
    add_accounts(shop.engine, [account("acme-uk", parent="acme", pays=False, currency="")], at=AT, actor="finance")


def set_one(shop: Shop, at: datetime = SINCE, **facts: str) -> None:
    table = {"id": "t", "account": "acme", "measure": "events", "threshold": "3", **facts}
    found, faults = read_trigger(table, "t", products())
    assert found is not None, faults
    set_triggers(shop.engine, [found], at=at, actor="ops")


def guard(shop: Shop, **facts: str) -> None:
    found, faults = read_guard({"id": "g", **facts}, "g", products())
    assert found is not None, faults
    set_guards(shop.engine, [found], products(), at=SINCE, actor="ops")


def fired(shop: Shop, at: datetime = AT) -> list[tuple[date, int]]:
    return [(each.start, each.used) for each in watched(shop, at)]


def watched(shop: Shop, at: datetime = AT) -> tuple[Fired, ...]:
    found = watch(shop.engine, products(), at)
    assert {} == found.failed
    return found.fired


def calls(shop: Shop, count: int, first: int = 1, at: datetime = AT, **changes: object) -> None:
    shop.post(*(call(number, **changes) for number in range(first, first + count)), at=at)


def statement_minor(shop: Shop, name: str = "acme") -> int:
    return compose_statement(shop.engine, products(), OCTOBER, AT, name).total_minor


def states(shop: Shop) -> Mapping[tuple[date, str], Any]:
    rows = shop.rows(
        "SELECT month, a.id, total_minor, spent FROM payer_states JOIN accounts a ON account_id = payer_id"
    )
    return {(month, name): (total, spent) for month, name, total, spent in rows}  # type: ignore[misc]


def test_events_fire_at_the_threshold_and_never_again(shop: Shop) -> None:
    set_one(shop)
    calls(shop, 2)
    assert [] == fired(shop)
    calls(shop, 1, 3)
    assert [(date(2026, 10, 1), 3)] == fired(shop)
    calls(shop, 5, 4)
    fold(shop.engine)
    assert [] == fired(shop)
    assert [(date(2026, 10, 1), 3)] == shop.rows("SELECT window_start, used FROM trigger_firings")


def test_what_is_not_folded_counts_as_what_is_does(shop: Shop) -> None:
    set_one(shop)
    calls(shop, 2)
    fold(shop.engine)
    calls(shop, 1, 3)
    assert [(date(2026, 10, 1), 3)] == fired(shop)


def test_days_begin_and_end_at_midnight_utc(shop: Shop) -> None:
    set_one(shop, window="day", threshold="2")
    for number, at in enumerate(("02T23:59:59.999Z", "03T00:00:00Z", "03T01:59:59+02:00", "03T23:59:59Z")):
        calls(shop, 1, number, occurred_at=f"2026-10-{at}")
    assert [(date(2026, 10, 2), 2), (date(2026, 10, 3), 2)] == sorted(fired(shop))


def test_months_end_at_midnight_utc(shop: Shop) -> None:
    set_one(shop, threshold="2", window="period")
    late = datetime(2026, 11, 2, tzinfo=UTC)
    calls(shop, 1, 1, late, occurred_at="2026-10-31T23:59:59Z")
    calls(shop, 1, 2, late, occurred_at="2026-11-01T00:00:00Z")
    assert [] == fired(shop, late)
    calls(shop, 1, 3, late, occurred_at="2026-10-31T12:00:00Z")
    assert [(date(2026, 10, 1), 2)] == fired(shop, late)


def test_late_usage_fires_in_the_window_in_which_it_occurred(shop: Shop) -> None:
    set_one(shop, window="day", threshold="2", at=datetime(2026, 10, 3, 12, tzinfo=UTC))
    calls(shop, 1, 1, occurred_at="2026-10-02T10:00:00Z")
    calls(shop, 1, 2, occurred_at="2026-10-03T10:00:00Z")
    assert [] == fired(shop)
    calls(shop, 1, 3, occurred_at="2026-10-02T11:00:00Z")
    assert [] == fired(shop), "the second of October was over when the trigger was added"
    calls(shop, 1, 4, occurred_at="2026-10-03T11:00:00Z")
    assert [(date(2026, 10, 3), 2)] == fired(shop)


def test_quantities_are_in_the_unit_that_is_stated_and_of_usage_only(shop: Shop) -> None:
    set_one(shop, measure="quantity", unit="minute", threshold="4", product="voice.*")
    calls(shop, 1, to="+33123456789")
    assert [] == fired(shop), "two minutes and a setup"
    calls(shop, 1, 2)
    assert [(date(2026, 10, 1), 240)] == fired(shop)


def test_products_and_countries_select(shop: Shop) -> None:
    set_one(shop, id="fr", country="FR", threshold="1")
    set_one(shop, id="sms", product="sms.*", threshold="2")
    calls(shop, 5)
    assert [] == fired(shop)
    calls(shop, 1, 6, to="+33123456789")
    calls(shop, 2, 7, **TEXT)
    found = watched(shop)
    assert {"fr": 1, "sms": 2} == {each.trigger.id: each.used for each in found}


def test_an_account_below_its_payer_counts_its_own(shop: Shop) -> None:
    set_one(shop, id="uk", account="acme-uk", threshold="2")
    set_one(shop, id="all", account="acme", threshold="3")
    set_one(shop, id="beta", account="beta", threshold="1")
    calls(shop, 1)
    calls(shop, 2, 2, account="acme-uk")
    found = watched(shop)
    assert {("uk", 2), ("all", 3)} == {(each.trigger.id, each.used) for each in found}


def amounts(found: tuple[Fired, ...]) -> dict[tuple[str, date], int]:
    return {(each.trigger.id, each.start): each.used for each in found}


def test_amounts_are_those_of_the_statement_and_its_days_add_up_to_it(shop: Shop) -> None:
    """Over the bounds of tiers: the minutes of the second day cost less because of those of the first."""
    for window in ("month", "day"):
        set_one(shop, id=window, measure="amount", unit="USD", window=window, threshold="0.01")
    set_one(shop, id="gb", measure="amount", unit="USD", country="GB", threshold="0.01")
    calls(shop, 4)
    calls(shop, 4, 10, occurred_at="2026-10-03T10:00:00Z", to="+33123456789")
    calls(shop, 4, 20, occurred_at="2026-10-05T10:00:00Z")
    calls(shop, 3, 30, **TEXT, occurred_at="2026-10-05T10:00:00Z")
    found = amounts(watched(shop))
    total = statement_minor(shop)
    assert {"month": total, "gb": 240 + 120 + 21} == {name: n for (name, _), n in found.items() if name != "day"}
    days = {start.day: n for (name, start), n in found.items() if name == "day"}
    # Eight minutes of the first tier; two more, and six of the second, with four setups; four and four, and texts.
    assert {2: 240, 3: 100 + 240 + 20, 5: 80 + 40 + 21} == days
    assert total == sum(days.values())


def test_a_day_moves_where_late_usage_before_it_fills_its_tier(shop: Shop) -> None:
    set_one(shop, measure="amount", unit="USD", window="day", threshold="2.40", action="stop")
    watcher = Watcher(engine=shop.engine, products=products())
    calls(shop, 4, occurred_at="2026-10-05T10:00:00Z")
    assert [240] == [each.used for each in watcher.round(AT).fired]
    used = "SELECT window_start, used FROM budget_states ORDER BY 1"
    assert [(date(2026, 10, 5), 240)] == shop.rows(used)
    calls(shop, 4, 10, occurred_at="2026-10-03T10:00:00Z")
    assert [date(2026, 10, 3)] == [each.start for each in watcher.round(AT).fired]
    # Two of its minutes are in the first tier still, and six in the second.
    assert [(date(2026, 10, 3), 240), (date(2026, 10, 5), 180)] == shop.rows(used)


def test_an_account_below_its_payer_comes_to_what_it_adds_to_the_bill(shop: Shop) -> None:
    for window in ("month", "day"):
        set_one(shop, account="acme-uk", id=window, measure="amount", unit="USD", window=window, threshold="0.01")
    calls(shop, 5)
    without = statement_minor(shop)
    calls(shop, 5, 10, account="acme-uk")
    added = statement_minor(shop) - without
    found = amounts(watched(shop))
    assert {("month", date(2026, 10, 1)): added, ("day", date(2026, 10, 2)): added} == found


def test_percents_count_and_what_a_commitment_adds_to_the_month_does_not(shop: Shop) -> None:
    deal = Deal(discounts=(Discount(percent=Decimal(50)),), commitment=Commitment(least=Decimal(1000)))
    contract = Contract(account="acme", effective_from=date(2026, 10, 2), cards=("list",), deal=deal)
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    set_one(shop, measure="amount", unit="USD", threshold="1.20")
    calls(shop, 3)
    assert [] == fired(shop)
    calls(shop, 1, 4)
    assert [(date(2026, 10, 1), 120)] == fired(shop)
    assert statement_minor(shop) > 10_000


def test_usage_taken_back_leaves_the_firing_and_frees_the_budget(shop: Shop) -> None:
    set_one(shop, threshold="2", action="stop")
    calls(shop, 2)
    assert [(date(2026, 10, 1), 2)] == fired(shop)
    shop.post({"id": "call-1", "revision": 2, "void": True}, {"id": "call-2", "revision": 2, "void": True})
    assert [] == fired(shop)
    assert [(date(2026, 10, 1), 0)] == shop.rows("SELECT window_start, used FROM budget_states")
    calls(shop, 2, 10)
    assert [] == fired(shop), "it has fired in this month"


def test_a_trigger_that_says_something_else_is_another_one(shop: Shop) -> None:
    set_one(shop, threshold="2")
    calls(shop, 3)
    assert [(date(2026, 10, 1), 3)] == fired(shop)
    set_one(shop, threshold="2")
    assert [] == fired(shop)
    set_one(shop, threshold="3")
    assert [(date(2026, 10, 1), 3)] == fired(shop)
    remove_trigger(shop.engine, "t", at=AT, actor="ops")
    calls(shop, 3, 10)
    assert [] == fired(shop)


def test_only_who_was_touched_is_looked_at(shop: Shop) -> None:
    set_one(shop)
    calls(shop, 1)
    calls(shop, 1, 2, account="beta")
    watcher = Watcher(engine=shop.engine, products=products())
    assert 2 == watcher.round(AT).looked_at
    assert 0 == watcher.round(AT).looked_at, "what waits to be folded was seen"
    fold(shop.engine)
    assert 0 == watcher.round(AT).looked_at, "that it was folded changes nothing"
    calls(shop, 1, 3)
    assert 1 == watcher.round(AT).looked_at


def test_a_trigger_added_later_looks_at_the_month_that_goes_on(shop: Shop) -> None:
    calls(shop, 3)
    fold(shop.engine)
    assert [] == fired(shop)
    set_one(shop, at=AT)
    assert [(date(2026, 10, 1), 3)] == fired(shop)


def test_spend_by_country_and_day_and_what_a_month_comes_to(shop: Shop) -> None:
    guard(shop, kind="spend", limit="5", currency="USD")
    found, _ = read_guard({"id": "c", "kind": "credit", "limit": "5", "currency": "USD"}, "c", products())
    assert found is not None
    set_guards(shop.engine, [found], products(), at=SINCE, actor="ops")
    calls(shop, 2)
    calls(shop, 1, 3, to="+33123456789", occurred_at="2026-10-04T00:00:00Z")
    watcher = Watcher(engine=shop.engine, products=products())
    watcher.round(AT)
    day = (date(2026, 10, 2) - date(1970, 1, 1)).days
    spent = {str(day): {"GB": 120}, str(day + 2): {"FR": 105}}
    assert {(date(2026, 10, 1), "acme"): (225, spent)} == states(shop)
    calls(shop, 1, 4, occurred_at="2026-10-04T00:00:00Z")
    watcher.round(AT)
    spent[str(day + 2)] = {"FR": 105, "GB": 60}
    assert {(date(2026, 10, 1), "acme"): (285, spent)} == states(shop)


def test_thousands_of_triggers_in_one_round(shop: Shop) -> None:
    made = []
    for number in range(3_000):
        table = {
            "id": f"t{number}",
            "account": ("acme", "beta", "acme-uk")[number % 3],
            "measure": ("events", "quantity", "amount")[number // 3 % 3],
            "unit": ("event", "second", "USD")[number // 3 % 3],
            "product": "voice.*",
            "window": ("day", "month")[number % 2],
            "threshold": str(number % 7 + 1),
        }
        found, faults = read_trigger(table, "t", products())
        assert found is not None, faults
        made.append(found)
    set_triggers(shop.engine, made, at=SINCE, actor="ops")
    calls(shop, 3)
    calls(shop, 3, 10, account="beta")
    began = datetime.now(UTC)
    found_ = watched(shop)
    assert timedelta(seconds=3) > datetime.now(UTC) - began
    events = [each for each in made if each.measure == "events" and each.account != "acme-uk" and each.threshold <= 3]
    assert len(events) == sum(each.trigger.measure == "events" for each in found_)


def test_an_account_whose_totals_do_not_add_up_keeps_nobody_else_from_being_looked_at(shop: Shop) -> None:
    shop.admit("absurd")
    set_one(shop)
    calls(shop, 3)
    calls(shop, 1, 4, account="absurd")
    calls(shop, 1, 5, account="absurd")
    with transaction(shop.engine) as connection:
        connection.execute(
            "UPDATE unfolded SET quantity = 9223372036854775807"
            " FROM accounts WHERE unfolded.account_id = accounts.account_id AND id = 'absurd'"
        )
    found = watch(shop.engine, products(), AT)
    assert ["absurd"] == list(found.failed)
    assert [("t", 3)] == [(each.trigger.id, each.used) for each in found.fired]


def test_events_are_counted_also_of_an_account_whose_amounts_nobody_can_tell(shop: Shop) -> None:
    for measure, unit in (("events", "event"), ("amount", "USD")):
        set_one(shop, id=measure, measure=measure, unit=unit, account="beta", threshold="2")
    calls(shop, 2, account="beta")
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE unfolded SET quantity = 9223372036854775807")
    found = watch(shop.engine, products(), AT)
    assert ["beta"] == list(found.failed)
    assert [("events", 2)] == [(each.trigger.id, each.used) for each in found.fired]


def test_what_fires_is_told_in_the_same_transaction_and_once(shop: Shop) -> None:
    told_of = (MessageType.TRIGGER_FIRED,)
    url = "https://example.com/"
    endpoint = Endpoint(id="ep", url=url, types=told_of, account="", description="", created_at=SINCE)
    with transaction(shop.engine) as connection:
        assert insert_endpoint(connection, endpoint, "whsec_" + "A" * 32)
    set_one(shop, measure="amount", threshold="0.50", unit="USD", action="stop", window="day")
    shop.post(call(1), call(2))
    fold(shop.engine)
    watch(shop.engine, products(), AT)
    watch(shop.engine, products(), AT)
    with snapshot(shop.engine) as connection:
        (told,) = connection.execute("SELECT type, body FROM webhook_messages").fetchall()
    assert "usage.trigger.fired" == told[0]
    data = json.loads(told[1])["data"]
    assert ("t", "acme", "stop", "2026-10-02", "0.50", "1.20", "USD") == tuple(
        data[name] for name in ("trigger", "account", "action", "window_start", "threshold", "used", "unit")
    )


def test_what_fires_is_told_of_the_account_that_it_counts(shop: Shop) -> None:
    """An endpoint of an account is told of it and of those below: who pays for it hears of it too."""
    for name in ("acme", "acme-uk", "beta"):
        said = Endpoint(id=name, url="https://example.com/", types=(), account=name, description="", created_at=SINCE)
        with transaction(shop.engine) as connection:
            assert insert_endpoint(connection, said, "whsec_" + "A" * 32)
    set_one(shop, account="acme-uk", threshold="1")
    calls(shop, 1, account="acme-uk")
    watched(shop)
    told = shop.rows("SELECT id FROM webhook_deliveries JOIN webhook_endpoints USING (endpoint_id) ORDER BY id")
    assert [("acme",), ("acme-uk",)] == told


def test_what_comes_and_goes_between_rounds_is_looked_at_once_and_is_no_news(shop: Shop) -> None:
    set_one(shop, action="stop")
    calls(shop, 2)
    watcher = Watcher(engine=shop.engine, products=products())
    known = watcher.round(AT).number
    calls(shop, 1, 3)
    shop.post({"id": "call-3", "revision": 2, "void": True})
    assert [1, 0] == [watcher.round(AT).looked_at for _ in "12"]
    assert [(known,)] == shop.rows("SELECT round FROM watch_rounds")


def test_only_windows_that_have_changed_are_written_anew(shop: Shop) -> None:
    """Also a day that is long past, if it is that one."""
    for window in ("day", "month"):
        set_one(shop, id=f"{window}-events", window=window, threshold="9", action="stop")
        set_one(shop, id=window, window=window, measure="amount", unit="USD", threshold="9", action="stop")
    first, second, third = (f"2026-10-{day}T10:00:00Z" for day in ("02", "05", "07"))
    for number, at in enumerate((first, second, third)):
        calls(shop, 1, number, occurred_at=at)
    watcher = Watcher(engine=shop.engine, products=products())
    before = watcher.round(AT).number
    newer = (
        "SELECT id, extract(day FROM window_start)::int, used"
        f" FROM triggers JOIN budget_states USING (trigger_id) WHERE round > {before}"
    )
    calls(shop, 1, 9, occurred_at=second)
    watcher.round(AT)
    months = {("month", 1, 240), ("month-events", 1, 4)}
    assert months | {("day", 5, 120), ("day-events", 5, 2)} == set(shop.rows(newer))
    shop.post({"id": "call-0", "revision": 2, "void": True})
    fold(shop.engine)
    watcher.round(AT)
    months = {("month", 1, 180), ("month-events", 1, 3)}
    days = {("day", 2, 0), ("day-events", 2, 0), ("day", 5, 120), ("day-events", 5, 2)}
    assert months | days == set(shop.rows(newer))


@pytest.mark.parametrize(("measure", "unit"), [("events", "event"), ("amount", "USD")])
def test_a_day_whose_usage_is_taken_back_as_limits_change_frees_its_budget(shop: Shop, measure: str, unit: str) -> None:
    set_one(shop, window="day", measure=measure, unit=unit, action="stop")
    calls(shop, 1)
    calls(shop, 1, 2, occurred_at="2026-10-05T10:00:00Z")
    watch(shop.engine, products(), AT)
    set_one(shop, id="other")
    shop.post({"id": "call-1", "revision": 2, "void": True})
    watch(shop.engine, products(), AT)
    assert [0] == [n for (n,) in shop.rows("SELECT used FROM budget_states WHERE window_start = '2026-10-02'")]
