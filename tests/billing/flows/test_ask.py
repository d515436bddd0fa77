"""What is my price now: by the counters as they stand, folded or not, and as the next invoice will have it."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing.contracts import Contract
from billing.currentprices import CurrentPrice
from billing.errors import InputFaultyError
from billing.flows.ask import Answer, ask
from billing.flows.compose import compose_statement
from billing.flows.fold import fold
from billing.flows.holding import Books
from billing.flows.publish import add_contracts
from billing.store.engine import snapshot
from rates.deals import Deal, Discount
from tests.shop import AT, OCTOBER, Shop, call, products, read

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.voice]
up_to = ["10", "20"]
unit = "minute"
fill = [{product = "voice.*"}]
[tiers.spend]
measure = "amount"
up_to = ["1.00"]
fill = [{product = "sms.*"}]
discounts = ["0", "10"]
[pools.storage]
free = "5"
unit = "minute"
fill = [{product = "recording.minutes"}]
[[rate]]
product = "voice.outbound"
destination = "United Kingdom"
prefixes = ["44"]
unit = "minute"
increments = "60/60"
tiers = "voice"
prices = ["0.03", "0.02", "0.01"]
[[rate]]
product = "sms.outbound"
unit = "segment"
tiers = "spend"
price = "0.30"
[[rate]]
product = "recording.minutes"
unit = "minute"
increments = "60/60"
price = "0.0025"
"""
NOW = datetime(2026, 10, 20, tzinfo=UTC)
CALL: dict[str, object] = {"account": "acme", "product": "voice.outbound", "to": "+447700900123"}


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish(read(CARD))
    shop.admit("acme")


def asked(shop: Shop, **fields: object) -> Answer:
    return ask(shop.engine, products(), NOW, CALL | fields)


def price(found: Answer) -> CurrentPrice:
    assert found.price is not None, found.reason
    return found.price


def figures(found: Answer) -> tuple[str, str, str, str, str]:
    now = price(found)
    assert now.progress is not None
    return now.base_price, now.current_price, now.next_price, now.progress.next_threshold, now.progress.to_go


def test_a_month_without_usage_is_at_the_first_price(shop: Shop) -> None:
    found = asked(shop)
    assert ("0.03", "0.03", "0.02", "10", "10") == figures(found)
    assert ("acme", "GB", "list@2026-10-01T00:00:00Z", "60/60", "USD") == (
        *(found.payer, found.country, found.card),
        *(found.increments, found.currency),
    )


def test_what_is_held_of_prices_answers_the_same_and_no_longer_than_they_hold(shop: Shop) -> None:
    """Cards, accounts and contracts that came since count at once; usage always does."""
    with snapshot(shop.engine) as connection:
        held = Books.read(connection, products(), NOW, None, None)
    shop.post(call(1, duration_seconds="600"))
    assert asked(shop) == ask(shop.engine, products(), NOW, CALL, known=held)
    assert "0.02" == price(ask(shop.engine, products(), NOW, CALL, known=held)).current_price
    later = CARD.replace("2026-10-01", "2026-10-20").replace('"0.03", "0.02"', '"0.06", "0.05"')
    shop.publish(read(later))
    found = ask(shop.engine, products(), NOW, CALL, known=held)
    assert ("0.05", "list@2026-10-20T00:00:00Z") == (price(found).current_price, found.card)
    shop.admit("new")
    assert "0.06" == price(ask(shop.engine, products(), NOW, {**CALL, "account": "new"}, known=held)).current_price


def test_the_price_falls_as_the_month_grows_before_and_after_folding(shop: Shop) -> None:
    """At the bound itself the next minute is beyond it."""
    shop.post(call(1, duration_seconds="600"))
    assert ("0.03", "0.02", "0.01", "20", "10") == figures(asked(shop))
    fold(shop.engine)
    shop.post(call(2, duration_seconds="240"))
    assert ("0.03", "0.02", "0.01", "20", "6") == figures(asked(shop))
    shop.post(call(3, duration_seconds="6000"))
    assert ("0.03", "0.01", "", "", "") == figures(asked(shop))


def test_it_is_where_the_statement_says_and_what_one_more_unit_adds(shop: Shop) -> None:
    shop.post(call(1, duration_seconds="900"))
    found = price(asked(shop))
    before = compose_statement(shop.engine, products(), OCTOBER, NOW, "acme")
    assert [found.progress] == list(before.progress)
    shop.post(call(2, duration_seconds="60"))
    after = compose_statement(shop.engine, products(), OCTOBER, NOW, "acme")
    assert Decimal(found.current_price) * 100 == after.total_minor - before.total_minor


def test_the_percent_of_the_contract_is_off_the_current_and_the_next_price_and_not_off_the_listed_one(
    shop: Shop,
) -> None:
    deal = Deal(discounts=(Discount(percent=Decimal(50)),))
    contract = Contract(account="acme", effective_from=date(2026, 10, 20), cards=("list",), deal=deal)
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    assert ("0.03", "0.015", "0.01", "10", "10") == figures(asked(shop))
    earlier = ask(shop.engine, products(), NOW.replace(day=19), CALL)
    assert ("0.03", "0.03", "0.02", "10", "10") == figures(earlier)


def test_a_counter_of_money_is_told_in_money(shop: Shop) -> None:
    text: dict[str, object] = {"product": "sms.outbound", "status": "delivered"}
    assert ("0.3", "0.3", "0.27", "1", "1") == figures(asked(shop, **text))
    shop.post({key: value for key, value in call(1, segments="3", **text).items() if key != "duration_seconds"})
    found = asked(shop, **text)
    assert ("0.3", "0.3", "0.27", "1", "0.1") == figures(found)
    progress = price(found).progress
    assert progress is not None
    assert ("USD", "0.9", 1, 2) == (progress.unit, progress.position, progress.tier, progress.tiers)


def test_what_is_free_is_told_until_it_is_used_up(shop: Shop) -> None:
    recording: dict[str, object] = {"product": "recording.minutes"}
    assert "5" == price(asked(shop, **recording)).free_left
    shop.post(call(1, duration_seconds="120", product="recording.minutes"))
    assert "3" == price(asked(shop, **recording)).free_left
    shop.post(call(2, duration_seconds="6000", product="recording.minutes"))
    found = price(asked(shop, **recording))
    assert ("0", "0.0025", None) == (found.free_left, found.current_price, found.progress)
    assert "" == price(asked(shop)).free_left, "no pool takes calls"


def test_what_nothing_prices_says_why(shop: Shop) -> None:
    assert "no_rate" == asked(shop, to="+33123456789").reason
    assert "unknown_account" == asked(shop, account="nobody").reason
    assert replace(asked(shop, to="+33123456789"), reason="") == Answer(
        account="acme", product="voice.outbound", at=NOW
    ), "nothing else is said"


def test_a_field_that_no_event_has_is_named(shop: Shop) -> None:
    with pytest.raises(InputFaultyError, match="country"):
        asked(shop, country="Britain")


@pytest.mark.parametrize("year", [1, 1969, 2100, 9999])
def test_an_instant_of_no_month_that_is_billed_is_a_fault(shop: Shop, year: int) -> None:
    usage = {"account": "acme", "product": "voice.outbound", "to": "+447700900123"}
    with pytest.raises(InputFaultyError, match="is not of 1970 to 2099"):
        ask(shop.engine, products(), datetime(year, 12, 31, 23, tzinfo=UTC), usage)
