"""Quotes: what a card charges for a number, and by which row."""

import tomllib
from datetime import UTC, datetime

import pytest

from rates.cards import Card
from rates.quotes import Quote, digits_of, matched_prefix, quote
from tests.shop import products, read

AT = datetime(2026, 10, 1, tzinfo=UTC)
CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z

[tiers.voice]
up_to = ["100"]
unit = "minute"
fill = [{product = "voice.outbound"}]
discounts = ["0", "10"]

[[rate]]
product = "voice.outbound"
destination = "United Kingdom"
prefixes = ["44", "4420"]
unit = "minute"
increments = "30/6"
price = "0.02"
setup_fee = "0.10"

[[rate]]
product = "voice.outbound"
destination = "United States"
country = "US"
unit = "minute"
tiers = "voice"
price = "0.05"

[[rate]]
product = "voice.outbound"
destination = "France"
prefixes = ["33"]
unit = "minute"
blocked = true

[[rate]]
product = "sms.outbound"
prefixes = ["33555"]
exact = true
unit = "event"
price = "0.07"
"""


def card() -> Card:
    return read(CARD)


def one(number: str, product: str = "voice.outbound", measured: int = 61) -> Quote:
    (found,) = quote(card(), products(), [number], product=product, at=AT, measured=measured)
    return found


def test_the_row_its_prefix_and_the_arithmetic_are_told() -> None:
    # 61 s: 30 and 6 steps of 6 are 66 s, 1.1 minutes × 0.02 = 0.022, and 0.10 to connect.
    assert Quote(
        number="+442079460000",
        country="GB",
        product="voice.outbound",
        row=0,
        prefix="4420",
        destination="United Kingdom",
        unit="minute",
        prices=("0.02",),
        increments="30/6",
        setup_fee="0.1",
        measured=61,
        billable=66,
        cost="0.122",
    ) == one("+442079460000")


def test_of_a_price_with_tiers_each_is_told_and_the_first_is_charged() -> None:
    found = one("+14155550123")
    assert (("0.05", "0.045"), "voice", "60/60", "0.1") == (found.prices, found.tiers, found.increments, found.cost)


@pytest.mark.parametrize(("number", "reason"), [("+33123456789", "blocked"), ("+88", "no_rate"), ("44", "no_rate")])
def test_without_a_price_the_reason_is_told(number: str, reason: str) -> None:
    found = one(number)
    assert (reason, (), "") == (found.reason, found.prices, found.cost)


def test_an_address_is_matched_as_it_stands_and_an_event_costs_once() -> None:
    found = one("33555", "sms.outbound", 3)
    assert ("0.07", 3) == (found.cost, found.billable)


@pytest.mark.parametrize(
    ("number", "digits"), [("+4420", 4420), ("4420", 0), ("", 0), ("+", 0), ("+44x", 0), ("+٤٤", 0), ("sip:a@b", 0)]
)
def test_only_what_is_written_with_plus_is_a_number(number: str, digits: int) -> None:
    assert digits == digits_of(number)


@pytest.mark.parametrize(
    ("prefixes", "number", "matched"), [("44 4420 442", "+44207", "4420"), ("33", "+44", ""), ("", "+44", "")]
)
def test_the_longest_of_a_rows_prefixes_is_the_one(prefixes: str, number: str, matched: str) -> None:
    assert matched == matched_prefix(prefixes, number)


SETTLED = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
timezone = "Europe/Paris"
[windows.peak]
days = ["thu"]
from = "08:00"
to = "20:00"
split = true
[[rate]]
product = "voice.outbound"
prefixes = ["44"]
unit = "minute"
increments = "1/1"
steps = "0:0.10 60:0.050"
setup_fee = "0.25"
[[rate]]
product = "voice.outbound"
prefixes = ["33"]
window = "peak"
unit = "minute"
increments = "60/60"
price = "0.12"
[[rate]]
product = "voice.outbound"
prefixes = ["33"]
unit = "minute"
increments = "60/60"
price = "0.06"
[[rate]]
product = "voice.outbound"
prefixes = ["53"]
unit = "minute"
increments = "1/1"
price = "0.60"
min_charge = "0.75"
max_charge = "2"
[[rate]]
product = "voice.outbound"
element = "surcharge"
prefixes = ["53"]
unit = "event"
price = "0.10"
"""
ROUNDED = '[rounding]\nper = "event"\ndecimals = 1\nmode = "up"\n[windows.peak]'


def settled(number: str, measured: int, text: str = SETTLED, at: datetime = AT) -> Quote:
    (quoted,) = quote(read(text), products(), [number], product="voice.outbound", at=at, measured=measured)
    return quoted


def test_steps_are_told_one_by_one() -> None:
    found = settled("+4420", 90)
    assert (("0.1", "0.05"), 90, "0.375", "0.25") == (found.prices, found.billable, found.cost, found.setup_fee)
    assert (
        "from second 0 on: 60 second × 0.1 a minute = 0.1",
        "from second 60 on: 30 second × 0.05 a minute = 0.025",
        "setup 0.25",
    ) == found.arithmetic
    assert () == settled("+4420", 60).arithmetic


def test_the_window_is_told_and_where_a_call_is_cut() -> None:
    at = datetime(2026, 10, 1, 17, 59, 30, tzinfo=UTC)
    found = settled("+3312", 61, at=at)  # 30 s of peak, and 31 s with 59 of padding
    assert ("peak (thu 08:00-20:00 Europe/Paris, split)", 120, "0.15") == (found.window, found.billable, found.cost)
    assert ("peak: 30 second × 0.12 a minute = 0.06", "90 second × 0.06 a minute = 0.09") == found.arithmetic
    assert "" == settled("+3312", 61).window


@pytest.mark.parametrize(
    ("measured", "cost", "said"),
    [
        (60, "0.75", "0.7 is less than the minimum: 0.75"),
        (65, "0.65", ""),
        (66, "0.66", ""),
        (190, "1.9", ""),
        (191, "2", "2.01 is more than the maximum: 2"),
    ],
)
def test_limits_are_about_usage_setup_and_surcharge(measured: int, cost: str, said: str) -> None:
    found = settled("+5371", measured)
    assert (cost, measured) == (found.cost, found.billable)
    assert said == (found.arithmetic[-1] if found.arithmetic else "")


def test_the_rounding_of_an_event_is_told() -> None:
    found = settled("+4420", 90, SETTLED.replace('"0.75"', '"0.7"').replace("[windows.peak]", ROUNDED))
    assert ("0.4", "0.375 rounded to 1 decimal, up: 0.4") == (found.cost, found.arithmetic[-1])


def test_the_card_of_this_test_is_what_it_seems() -> None:
    assert 4 == len(tomllib.loads(CARD)["rate"]) == card().rows.num_rows
