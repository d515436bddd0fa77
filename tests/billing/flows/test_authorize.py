"""Whether usage may begin: by budgets, guards, credit and prices, from memory, and never by a state that is too old."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from billing.contracts import Contract
from billing.deciding import Decision, WhenStale
from billing.errors import InputFaultyError
from billing.flows.ask import ask
from billing.flows.authorize import Asked, Gatekeeper
from billing.flows.compose import compose_statement
from billing.flows.fold import fold
from billing.flows.limit import release_guard, remove_guard, set_guards, set_triggers
from billing.flows.publish import add_accounts, add_contracts
from billing.flows.watch import Watcher
from billing.guards import Release, read_guard
from billing.periods import ALWAYS
from billing.store.engine import transaction
from billing.triggers import read_trigger
from rates.deals import Deal, Discount
from rates.tiers import Selector
from tests.shop import AT, OCTOBER, Shop, account, call, products, read

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.voice]
up_to = ["10", "20"]
unit = "minute"
fill = [{product = "voice.*"}]
[tiers.own]
up_to = ["3"]
unit = "segment"
scope = "account"
mode = "volume"
fill = [{product = "sms.*"}]
[tiers.spend]
measure = "amount"
up_to = ["0.50"]
fill = [{product = "voice.inbound"}]
discounts = ["0", "10"]
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
increments = "30/6"
price = "0.50"
setup_fee = "0.05"
[[rate]]
product = "voice.outbound"
destination = "Satellite"
prefixes = ["881"]
unit = "minute"
increments = "1/1"
price = "7"
[[rate]]
product = "voice.outbound"
destination = "Cuba"
prefixes = ["53"]
unit = "minute"
increments = "60/60"
price = "0.9"
max_charge = "1.5"
[[rate]]
product = "voice.outbound"
prefixes = ["850"]
unit = "minute"
blocked = true
[[rate]]
product = "voice.outbound"
destination = "Japan"
prefixes = ["81"]
unit = "minute"
increments = "60/60"
grace = 6
price = "1"
setup_fee = "0.02"
[[rate]]
product = "voice.inbound"
unit = "minute"
increments = "60/60"
tiers = "spend"
price = "0.10"
[[rate]]
product = "sms.outbound"
unit = "segment"
tiers = "own"
prices = ["0.07", "0.05"]
"""
SINCE = datetime(2026, 10, 1, tzinfo=UTC)
GB, FR, SATELLITE, CUBA = "+447700900123", "+33123456789", "+88163123456", "+5371234567"
JAPAN = "+81312345678"


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish(read(CARD))
    shop.admit("acme", "beta")
    add_accounts(shop.engine, [account("acme-uk", parent="acme", pays=False, currency="")], at=AT, actor="finance")


@pytest.fixture
def watcher(shop: Shop) -> Watcher:
    return Watcher(engine=shop.engine, products=products())


@pytest.fixture
def keeper(shop: Shop) -> Gatekeeper:
    return Gatekeeper(shop.engine, products(), lambda: AT)


def budget(shop: Shop, **facts: str) -> None:
    table = {"id": "b", "account": "acme", "measure": "events", "threshold": "3", "action": "stop", **facts}
    found, faults = read_trigger(table, "b", products())
    assert found is not None, faults
    set_triggers(shop.engine, [found], at=SINCE, actor="ops")


def guard(shop: Shop, **facts: object) -> None:
    found, faults = read_guard({"id": "g", **facts}, "g", products())
    assert found is not None, faults
    set_guards(shop.engine, [found], products(), at=SINCE, actor="ops")


def decide(watcher: Watcher, keeper: Gatekeeper, *, at: datetime = AT, **facts: Any) -> Decision:  # noqa: ANN401 (fields of what is asked)
    """Watch, refresh, decide."""
    assert {} == watcher.round(at).failed
    keeper.refresh(at)
    return keeper.decide(Asked(**{"account": "acme", "product": "voice.outbound", "to": GB, **facts}), at)


def rules(found: Decision) -> list[str]:
    assert found.allow == (not found.refusals)
    return [each.rule for each in found.refusals]


def release(shop: Shop, to: str = "", until: datetime = ALWAYS) -> None:
    given = Release(guard="g", account="acme", destination=to, until=until)
    release_guard(shop.engine, given, products(), at=AT, person="Operator", reason="they called")


def test_what_nothing_speaks_against_may_begin_and_its_price_is_told(watcher: Watcher, keeper: Gatekeeper) -> None:
    found = decide(watcher, keeper, quantity=90)
    expected = ("acme", "GB", "United Kingdom", "USD", "minute", "0.3", "0.3", "0.6")
    assert [] == rules(found)
    said = (found.payer, found.country, found.destination, found.currency, found.unit)
    assert expected == (*said, found.base_price, found.current_price, found.expected_cost)
    assert (timedelta(), False) == (found.age, found.is_stale)


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ({"account": "nobody"}, "unknown_account"),
        ({"account": "beta-2"}, "unknown_account"),
        ({"product": "sms.nothing"}, "unknown_product"),
        ({"to": "+8501234567"}, "blocked"),
        ({"to": "+99212345"}, "no_rate"),
    ],
)
def test_what_has_no_price_may_not_begin(
    watcher: Watcher, keeper: Gatekeeper, facts: dict[str, Any], rule: str
) -> None:
    assert [rule] == rules(decide(watcher, keeper, **facts))


def test_a_number_that_is_none_is_a_fault_of_whoever_asks(watcher: Watcher, keeper: Gatekeeper) -> None:
    with pytest.raises(InputFaultyError, match="up to 15 digits"):
        decide(watcher, keeper, to="+44 20 7946 0000")


def test_the_price_is_what_is_asked_and_what_the_next_unit_adds_to_the_bill(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    """Wherever counters stand: of payers, of accounts below them, of money; folded or not; after percents."""
    deal = Deal(discounts=(Discount(percent=Decimal(25), on=(Selector(country=("GB",)),)),))
    contract = Contract(account="acme", effective_from=date(2026, 10, 10), cards=("list",), deal=deal)
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    dice, seen = random.Random(5), set()
    asked: list[dict[str, Any]] = [
        {"to": GB},
        {"to": FR},
        {"product": "voice.inbound", "to": GB, "from_": FR},
        {"product": "sms.outbound", "to": GB, "account": "acme-uk"},
        {"product": "sms.outbound", "to": FR},
    ]
    for step in range(12):
        some = dice.choice([{}, {"product": "voice.inbound"}, {"product": "sms.outbound", "status": "delivered"}])
        size = "segments" if some.get("product") == "sms.outbound" else "duration_seconds"
        changes = {"duration_seconds": None, size: str(dice.choice([1, 2, 200])), **some}
        whose = dice.choice(["acme", "acme-uk"])
        shop.post(call(step, account=whose, occurred_at=f"2026-10-{step + 1:02}T00:00:00Z", **changes))
        if dice.random() < 0.5:
            fold(shop.engine)
        for facts in asked:
            found = decide(watcher, keeper, **facts)
            usage = {"account": "acme", "product": "voice.outbound", **facts}
            usage["from"] = usage.pop("from_", "")
            price = ask(shop.engine, products(), AT, {key: value for key, value in usage.items() if value}).price
            assert price is not None
            assert (price.base_price, price.current_price) == (found.base_price, found.current_price)
            seen.add((facts.get("product"), facts["to"], found.current_price))
    assert len(seen) >= 8, "or counters do not move"


@pytest.mark.parametrize("to", [GB, FR, SATELLITE, CUBA])
@pytest.mark.parametrize("quantity", [1, 45, 61, 600])
def test_the_expected_cost_is_what_the_usage_then_costs(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper, to: str, quantity: int
) -> None:
    found = decide(watcher, keeper, to=to, quantity=quantity)
    shop.post(call(1, to=to, duration_seconds=str(quantity)))
    statement = compose_statement(shop.engine, products(), OCTOBER, AT, "acme")
    exact = sum(Fraction(line.amount_minor, 100) + Fraction(line.residual) for line in statement.lines)
    assert exact == Fraction(found.expected_cost)


def test_a_budget_stops_when_it_is_used_up_and_goes_on_in_the_next_window(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    budget(shop, window="day", threshold="2")
    at = datetime(2026, 10, 15, 23, 59, 59, tzinfo=UTC)
    shop.post(call(1, occurred_at="2026-10-15T01:00:00Z"))
    assert [] == rules(decide(watcher, keeper, at=at))
    shop.post(call(2, occurred_at="2026-10-15T02:00:00Z", account="acme-uk"))
    found = decide(watcher, keeper, at=at)
    assert ["b"] == rules(found)
    assert "2 of 2 event of the day are used" == found.refusals[0].detail
    assert ["b"] == rules(decide(watcher, keeper, at=at, account="acme-uk")), "the budget is of all below it"
    assert [] == rules(decide(watcher, keeper, at=at, account="beta"))
    assert [] == rules(decide(watcher, keeper, at=at + timedelta(seconds=1)))


def test_what_is_expected_must_fit_into_the_budget(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    budget(shop, measure="amount", unit="USD", threshold="1.00")
    shop.post(call(1))
    assert [] == rules(decide(watcher, keeper, quantity=60))
    found = decide(watcher, keeper, quantity=120)
    assert (["b"], "0.6") == (rules(found), found.expected_cost)
    assert "0.60 of 1.00 USD of the month are used, and what is expected goes beyond that" == found.refusals[0].detail
    assert [] == rules(decide(watcher, keeper)), "nothing is expected, and something is left"
    budget(shop, measure="quantity", unit="minute", threshold="3", product="voice.*")
    assert [] == rules(decide(watcher, keeper, quantity=60))
    assert ["b"] == rules(decide(watcher, keeper, quantity=61))


def test_a_budget_of_an_account_below_stops_it_alone_and_selects(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    budget(shop, account="acme-uk", threshold="1", country="GB", product="voice.*")
    shop.post(call(1, account="acme-uk"))
    assert ["b"] == rules(decide(watcher, keeper, account="acme-uk"))
    assert [] == rules(decide(watcher, keeper))
    assert [] == rules(decide(watcher, keeper, account="acme-uk", to=FR))
    assert [] == rules(decide(watcher, keeper, account="acme-uk", product="sms.outbound"))


def test_blocked_destinations_and_prefixes(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    guard(shop, kind="blocked", countries=["CU"], prefixes=["+8816"])
    assert ["g"] == rules(decide(watcher, keeper, to=CUBA))
    assert ["g"] == rules(decide(watcher, keeper, to=SATELLITE))
    assert [] == rules(decide(watcher, keeper, to="+881712345"))
    assert [] == rules(decide(watcher, keeper))
    release(shop, "8816", until=AT + timedelta(hours=1))
    assert [] == rules(decide(watcher, keeper, to=SATELLITE))
    assert [] == rules(decide(watcher, keeper, to=SATELLITE, account="acme-uk"))
    assert ["g"] == rules(decide(watcher, keeper, to=SATELLITE, account="beta"))
    assert ["g"] == rules(decide(watcher, keeper, to=CUBA))
    assert ["g"] == rules(decide(watcher, keeper, to=SATELLITE, at=AT + timedelta(hours=1)))
    remove_guard(shop.engine, "g", at=AT, actor="ops")
    assert [] == rules(decide(watcher, keeper, to=CUBA))


def test_usage_so_short_that_it_costs_nothing_is_held_against_guards_and_budgets_too(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    assert ([], "0", "1") == (
        rules(found := decide(watcher, keeper, to=JAPAN, quantity=5)),
        found.expected_cost,
        found.current_price,
    )
    guard(shop, kind="blocked", countries=["JP"])
    assert ["g"] == rules(decide(watcher, keeper, to=JAPAN, quantity=6))
    assert ["g"] == rules(decide(watcher, keeper, to=JAPAN, quantity=5))
    budget(shop, threshold="1")
    shop.post(call(1))
    assert ["g", "b"] == rules(decide(watcher, keeper, to=JAPAN, quantity=5))


def test_the_highest_price_a_minute(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    guard(shop, kind="price", limit="0.90", currency="USD", unit="minute")
    assert [] == rules(decide(watcher, keeper, to=CUBA)), "it is not above the limit"
    found = decide(watcher, keeper, to=SATELLITE, quantity=90)
    assert (["g"], "10.5") == (rules(found), found.expected_cost)
    assert "a minute costs 7 USD, more than 0.9 USD" == found.refusals[0].detail
    guard(shop, kind="price", limit="0.10", currency="USD", unit="second")
    assert ["g"] == rules(decide(watcher, keeper, to=SATELLITE)), "7 a minute is more than 0.1 a second"
    guard(shop, kind="price", limit="0.01", currency="EUR", unit="minute")
    assert [] == rules(decide(watcher, keeper, to=SATELLITE)), "no amounts are converted"


def test_the_first_use_of_a_dear_destination_needs_a_release_or_an_earlier_month(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    november = datetime(2026, 11, 2, tzinfo=UTC)
    shop.post(call(1, to=CUBA))
    guard(shop, kind="dear", limit="0.60", currency="USD", unit="minute")
    assert ["g"] == rules(decide(watcher, keeper, to=CUBA)), "one call that slipped in opens nothing"
    assert ["g"] == rules(decide(watcher, keeper, to=SATELLITE))
    assert [] == rules(decide(watcher, keeper, to=FR))
    assert [] == rules(decide(watcher, keeper, to=CUBA, at=november))
    assert ["g"] == rules(decide(watcher, keeper, to=SATELLITE, at=november))
    assert ["g"] == rules(decide(watcher, keeper, to=CUBA, at=november, account="beta"))
    release(shop, "881")
    assert [] == rules(decide(watcher, keeper, to=SATELLITE))


def test_spend_on_a_country_in_a_day(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    guard(shop, kind="spend", limit="1.00", currency="USD", account="acme")
    shop.post(call(1, to=FR, occurred_at="2026-10-15T01:00:00Z"), call(2, to=GB, occurred_at="2026-10-15T01:00:00Z"))
    assert [] == rules(decide(watcher, keeper, to=FR, quantity=30))
    shop.post(call(3, to=FR, occurred_at="2026-10-15T02:00:00Z"))
    found = decide(watcher, keeper, to=FR)
    assert (["g"], "1.20 of 1 USD are spent on FR on 2026-10-15") == (rules(found), found.refusals[0].detail)
    assert [] == rules(decide(watcher, keeper))
    assert ["g"] == rules(decide(watcher, keeper, quantity=120)), "0.60 are spent, and two minutes cost as much"
    assert [] == rules(decide(watcher, keeper, to=FR, at=AT + timedelta(days=1)))


def test_a_guard_of_an_account_is_about_those_below_it_that_pay_for_themselves_too(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    """Each by its own usage, as a guard of everybody is."""
    add_accounts(shop.engine, [account("acme-de", parent="acme")], at=AT, actor="finance")
    deal = Contract(account="acme-de", effective_from=date(2026, 10, 1), cards=("list",))
    add_contracts(shop.engine, [deal], products(), at=AT, actor="finance")
    november = datetime(2026, 11, 2, tzinfo=UTC)
    asked: dict[str, Any] = {"account": "acme-de", "at": november}
    shop.post(call(1, to=CUBA, account="acme-de"))
    guard(shop, kind="dear", limit="0.60", currency="USD", unit="minute", account="acme")
    assert [] == rules(decide(watcher, keeper, to=CUBA, **asked))
    guard(shop, kind="credit", limit="1.00", currency="USD", account="acme")
    assert ["g"] == rules(decide(watcher, keeper, **asked)), "1.50 are owed"
    guard(shop, kind="spend", limit="1.00", currency="USD", account="acme")
    assert [] == rules(decide(watcher, keeper, to=CUBA, **asked))
    shop.post(call(2, to=CUBA, account="acme-de", occurred_at="2026-11-02T00:00:00Z"), at=november)
    assert ["g"] == rules(decide(watcher, keeper, to=CUBA, **asked))
    assert [] == rules(decide(watcher, keeper, to=CUBA, at=november)), "acme itself has spent nothing"


def test_credit_counts_what_is_invoiced_until_it_is_paid(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    november = datetime(2026, 11, 2, tzinfo=UTC)
    shop.post(call(1))
    guard(shop, kind="credit", limit="1.00", currency="USD", account="acme")
    assert [] == rules(decide(watcher, keeper))
    shop.post(call(2, occurred_at="2026-11-01T01:00:00Z"), at=november)
    found = decide(watcher, keeper, at=november)
    assert (["g"], "1.20 of a credit of 1 USD are used, invoiced or not") == (rules(found), found.refusals[0].detail)
    guard(shop, kind="credit", limit="1.00", currency="USD", account="acme", paid_through="2026-10")
    assert [] == rules(decide(watcher, keeper, at=november))


def test_all_that_speaks_against_it_is_told(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    guard(shop, kind="blocked", countries=["GB"])
    guard(shop, kind="price", id="p", limit="0.10", currency="USD", unit="minute")
    budget(shop, threshold="1")
    shop.post(call(1))
    assert ["g", "p", "b"] == rules(decide(watcher, keeper))


def test_an_old_state_is_told_and_decided_by_as_it_is_set(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    budget(shop, threshold="1")
    asked = Asked(account="acme", product="voice.outbound", to=GB)
    assert ["state_stale"] == rules(keeper.decide(asked, AT)), "nothing was read"
    keeper.refresh(AT)
    found = keeper.decide(asked, AT)
    assert (["state_stale"], None, "0.3") == (rules(found), found.age, found.current_price)
    watcher.round(AT)
    keeper.refresh(AT)
    assert [] == rules(keeper.decide(asked, AT + timedelta(seconds=1)))
    late = AT + timedelta(seconds=1, microseconds=1)
    found = keeper.decide(asked, late)
    assert (["state_stale"], True) == (rules(found), found.is_stale)
    keeper.when_stale = WhenStale.OPEN
    found = keeper.decide(asked, late)
    assert ([], ["state_stale"]) == (rules(found), [each.rule for each in found.warnings])
    assert found.is_stale
    shop.post(call(1))
    watcher.round(AT)
    keeper.refresh(AT)
    assert ["b"] == rules(keeper.decide(asked, late)), "what is known still counts"


def test_a_payer_whose_amounts_nobody_can_tell_is_refused_until_somebody_can(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    shop.post(call(1), call(2, account="beta"))
    assert [] == rules(decide(watcher, keeper))
    before = watched_again(shop, keeper, watcher)
    assert ["state_failed"] == rules(before)
    assert "what acme comes to in 2026-10 cannot be told: " in before.refusals[0].detail
    others = keeper.decide(Asked(account="beta", product="voice.outbound", to=GB), AT)
    assert [] == rules(others), "it is of one payer"
    below = keeper.decide(Asked(account="acme-uk", product="voice.outbound", to=GB), AT)
    assert ["state_failed"] == rules(below), "its payer is the same"
    new = Gatekeeper(shop.engine, products(), lambda: AT)
    new.refresh(AT)
    assert ["state_failed"] == rules(new.decide(Asked(account="acme", product="voice.outbound", to=GB), AT))
    keeper.when_stale = WhenStale.OPEN
    found = keeper.decide(Asked(account="acme", product="voice.outbound", to=GB), AT)
    assert ([], ["state_failed"]) == (rules(found), [each.rule for each in found.warnings])
    keeper.when_stale = WhenStale.CLOSED
    with transaction(shop.engine) as connection:
        connection.execute("DELETE FROM unfolded WHERE quantity > 1000000")
    assert [] == rules(decide(watcher, keeper))
    assert [("acme", None), ("beta", None)] == shop.rows(_FAILED)


_FAILED = "SELECT a.id, failed FROM payer_states JOIN accounts a ON account_id = payer_id ORDER BY a.id"


def watched_again(shop: Shop, keeper: Gatekeeper, watcher: Watcher) -> Decision:
    """What is decided once a payer has usage that adds up to more than there is room for."""
    shop.post(call(3))
    shop.post(call(4))
    with transaction(shop.engine) as connection:
        connection.execute(
            "UPDATE unfolded SET quantity = 9223372036854775807 FROM accounts"
            " WHERE unfolded.account_id = accounts.account_id AND id = 'acme'"
        )
    assert ["acme"] == list(watcher.round(AT).failed)
    written = shop.rows("SELECT round FROM payer_states WHERE failed IS NOT NULL")
    assert ["acme"] == list(watcher.round(AT).failed)
    assert written == shop.rows("SELECT round FROM payer_states WHERE failed IS NOT NULL"), "it is noted once"
    keeper.refresh(AT)
    return keeper.decide(Asked(account="acme", product="voice.outbound", to=GB), AT)


def test_who_was_never_looked_at_is_refused_too_where_nobody_can_tell(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    assert ["state_failed"] == rules(watched_again(shop, keeper, watcher))


def test_an_earlier_month_that_nobody_can_tell_counts_where_a_guard_looks_at_it(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    november = datetime(2026, 11, 2, tzinfo=UTC)
    watched_again(shop, keeper, watcher)
    watcher.round(november)
    keeper.refresh(november)
    asked = Asked(account="acme", product="voice.outbound", to=GB)
    assert [] == rules(keeper.decide(asked, november))
    guard(shop, kind="credit", limit="100", currency="USD", account="acme")
    watcher.round(november)
    keeper.refresh(november)
    assert ["state_failed"] == rules(keeper.decide(asked, november))


FAX = {**products(), "fax.outbound": replace(products()["voice.outbound"], id="fax.outbound")}
"""The products of a program that had one more."""


def unfit(shop: Shop, **facts: object) -> None:
    """Set a guard that fitted once."""
    found, faults = read_guard({"id": "g", "kind": "price", "limit": "9", "currency": "USD", **facts}, "g", FAX)
    assert found is not None, faults
    set_guards(shop.engine, [found], FAX, at=SINCE, actor="ops")


def test_a_guard_that_fits_the_products_no_more_refuses_what_it_may_be_about(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    unfit(shop, product="fax.*", unit="minute", countries=["FR"], account="acme")
    found = decide(watcher, keeper, to=FR)
    assert ["g"] == rules(found)
    assert 'guard g: product "fax.*": selects no product' in found.refusals[0].detail
    assert "set it again, remove it, or release the account from it" in found.refusals[0].detail
    assert [] == rules(decide(watcher, keeper, to=GB)), "it is of another country"
    assert [] == rules(decide(watcher, keeper, to=FR, account="beta")), "it is of another account"
    release(shop, to="FR")
    assert [] == rules(decide(watcher, keeper, to=FR))


def test_what_is_faulty_of_a_guard_keeps_nothing_out(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    unfit(shop, product="voice.outbound", unit="minute", countries=["FR"])
    with transaction(shop.engine) as connection:
        connection.execute("""UPDATE guards SET said = said || '{"countries": ["YU"], "unit": "litre"}'""")
        connection.execute("UPDATE limits_version SET version = version + 1, guards = guards + 1")
    assert ["g"] == rules(decide(watcher, keeper, to=GB))
    assert [] == rules(decide(watcher, keeper, product="sms.outbound")), "its product is known"


def test_a_guard_that_cannot_be_evaluated_is_a_warning_where_the_service_fails_open(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    keeper.when_stale = WhenStale.OPEN
    unfit(shop, product="fax.*", unit="minute")
    found = decide(watcher, keeper)
    assert ([], ["g"]) == (rules(found), [each.rule for each in found.warnings])


def test_a_guard_that_fits_again_is_evaluated_again(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    unfit(shop, product="fax.*", unit="minute")
    assert ["g"] == rules(decide(watcher, keeper))
    assert [] == rules(decide(watcher, Gatekeeper(shop.engine, FAX, lambda: AT)))
    remove_guard(shop.engine, "g", at=AT, actor="ops")
    assert [] == rules(decide(watcher, keeper))


def test_rounds_that_find_nothing_keep_the_state_fresh(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    budget(shop, threshold="1")
    shop.post(call(1))
    asked = Asked(account="acme", product="voice.outbound", to=GB)
    watcher.round(AT)
    keeper.refresh(AT)
    fold(shop.engine)
    later = AT + timedelta(minutes=1)
    watcher.round(later)
    keeper.refresh(later)
    found = keeper.decide(asked, later)
    assert (["b"], False) == (rules(found), found.is_stale)
    shop.post({"id": "call-1", "revision": 2, "void": True})
    watcher.round(later)
    keeper.refresh(later)
    assert [] == rules(keeper.decide(asked, later))


def test_limits_that_are_changed_hold_also_where_no_round_finds_anything(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    assert [] == rules(decide(watcher, keeper))
    guard(shop, kind="blocked", countries=["GB"])
    keeper.refresh(AT)
    asked = Asked(account="acme", product="voice.outbound", to=GB)
    assert ["g"] == rules(keeper.decide(asked, AT))


def test_a_state_is_no_fresher_than_when_it_came_whatever_the_clock_of_the_worker_says(
    watcher: Watcher, keeper: Gatekeeper
) -> None:
    asked = Asked(account="acme", product="voice.outbound", to=GB)
    watcher.round(AT + timedelta(minutes=5))
    keeper.refresh(AT)
    assert [] == rules(keeper.decide(asked, AT + timedelta(seconds=1)))
    late = AT + timedelta(seconds=2)
    keeper.refresh(late)  # there was no other round: the worker is gone
    assert ["state_stale"] == rules(keeper.decide(asked, late))


def test_new_cards_contracts_and_limits_hold_after_a_refresh(shop: Shop, watcher: Watcher, keeper: Gatekeeper) -> None:
    assert ["no_rate"] == rules(decide(watcher, keeper, to="+39061234567"))
    card = read(CARD.replace("2026-10-01", "2026-10-12").replace('prefixes = ["44"]', 'prefixes = ["44", "39"]'))
    shop.publish(replace(card), at=datetime(2026, 10, 11, tzinfo=UTC))
    assert [] == rules(decide(watcher, keeper, to="+39061234567"))
    assert ["unknown_account"] == rules(decide(watcher, keeper, account="gamma"))
    shop.admit("gamma")
    assert [] == rules(decide(watcher, keeper, account="gamma"))


def test_books_that_cannot_be_read_are_told_of_while_the_old_ones_hold(
    shop: Shop, watcher: Watcher, keeper: Gatekeeper
) -> None:
    assert [] == rules(decide(watcher, keeper))
    heard: list[Exception] = []
    keeper.troubled = heard.append
    shop.admit("gamma")
    with transaction(shop.engine) as connection:
        connection.execute("ALTER TABLE prices RENAME TO hidden")
    keeper.refresh(AT, wait=False)
    until(lambda: bool(heard), 10)
    assert "prices" in str(heard[0])
    asked = Asked(account="gamma", product="voice.outbound", to=GB)
    assert ["unknown_account"] == rules(keeper.decide(asked, AT))
    with transaction(shop.engine) as connection:
        connection.execute("ALTER TABLE hidden RENAME TO prices")

    def refreshed() -> bool:
        keeper.refresh(AT, wait=False)
        return keeper.decide(asked, AT).allow

    until(refreshed, 10)


@pytest.fixture
def fresh(shop: Shop) -> Iterator[Gatekeeper]:
    """A gatekeeper and rounds of watching that go on by themselves, by the real clock."""
    keeper = Gatekeeper(shop.engine, products(), lambda: datetime.now(UTC))
    yield keeper
    keeper.stop()


def test_a_budget_stops_within_a_second_after_what_uses_it_up_is_committed(shop: Shop, fresh: Gatekeeper) -> None:
    """The worker's rounds go on beside, as `tollbook work` has them."""
    budget(shop, threshold="2")
    ending = threading.Event()
    rounds = Watcher(engine=shop.engine, products=products())

    def watching() -> None:
        while not ending.wait(0.25):
            fold(shop.engine)
            rounds.round(datetime.now(UTC))

    worker = threading.Thread(target=watching)
    worker.start()
    try:
        rounds.round(datetime.now(UTC))
        fresh.start()
        asked = Asked(account="acme", product="voice.outbound", to=GB)
        until(lambda: fresh.decide(asked, datetime.now(UTC)).allow, 30)
        at = datetime.now(UTC)
        shop.post(call(1, occurred_at=at.isoformat()), call(2, occurred_at=at.isoformat()), at=at)
        # Refused within a second, whatever the machine is busy with: by the budget, or as nobody knows how it stands.
        until(lambda: not fresh.decide(asked, datetime.now(UTC)).allow, 1)
        until(lambda: ["b"] == rules(fresh.decide(asked, datetime.now(UTC))), 30)
    finally:
        ending.set()
        worker.join()


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, so many seconds at most."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)
