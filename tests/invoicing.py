"""A month of traffic to bill, and runs and finalizations in processes of their own, to be killed at any moment."""

import random

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.runs import GRACE
from billing.store.engine import open_engine
from rates.cards import Card
from tests.shop import OCTOBER, Shop, call, products, read

CLOSED = OCTOBER.closes + GRACE

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z

[tiers.voice]
up_to = ["20", "60"]
unit = "minute"
fill = [{product = "voice.outbound", country = ["US", "GB"]}]
flats = ["0", "1", "2.5"]

[pools.france]
free = "3"
block = "1"
unit = "minute"
fill = [{product = "voice.outbound", country = ["FR"]}]

[[rate]]
product = "voice.outbound"
country = "US"
destination = "United States"
prefixes = ["1"]
unit = "minute"
increments = "60/60"
tiers = "voice"
prices = ["0.0140", "0.0130", "0.0120"]

[[rate]]
product = "voice.outbound"
country = "GB"
destination = "United Kingdom"
prefixes = ["44"]
unit = "minute"
increments = "1/1"
tiers = "voice"
prices = ["0.0217", "0.0199", "0.0101"]
setup_fee = "0.005"

[[rate]]
product = "voice.outbound"
country = "FR"
destination = "France"
prefixes = ["33"]
unit = "minute"
increments = "6/6"
price = "0.0333"

[[rate]]
product = "sms.outbound"
destination = "Text"
unit = "segment"
price = "0.0079"

[[rate]]
product = "sms.outbound"
element = "failed_fee"
unit = "event"
price = "0.001"
"""

NUMBERS = ["+14155550100", "+447700900123", "+33123456789", "+81312345678"]


def card() -> Card:
    """A card with tiers over two countries, flats, a pool, a setup fee and the fee of a failed message."""
    return read(CARD)


def traffic(accounts: int, events: int, seed: int = 1) -> list[dict[str, object]]:
    """Calls and messages of October: some at the same instant, some unbilled, some that nothing prices."""
    dice = random.Random(seed)
    found = []
    for number in range(events):
        event = call(
            number,
            account=dice.choice([f"acct-{dice.randrange(accounts)}"] * 20 + ["nobody"]),
            to=dice.choice(NUMBERS),
            occurred_at=f"2026-10-{dice.randint(1, 31):02}T{dice.choice([0, 11, 12]):02}:00:00Z",
            duration_seconds=str(dice.choice([0, 1, 59, 60, 61, 125, 400])),
            status=dice.choice(["completed", "completed", "completed", "busy"]),
        )
        if dice.random() < 0.2:
            status = dice.choice(["delivered", "failed", "queued"])
            event |= {"product": "sms.outbound", "segments": str(dice.randint(0, 3)), "status": status}
            del event["duration_seconds"]
        found.append(event)
    return found


def stock(shop: Shop, accounts: int, events: int, seed: int = 1) -> None:
    """Publish the card, admit the accounts and take the month's traffic in."""
    shop.publish(card())
    shop.admit(*(f"acct-{number}" for number in range(accounts)))
    shop.post(*traffic(accounts, events, seed), at=CLOSED)


def draw_up_in_a_process(url: str) -> None:
    """Draw up October."""
    engine = open_engine(url)
    draw_up(engine, products(), OCTOBER, CLOSED, write=True)
    engine.dispose()


def finalize_in_a_process(url: str, batch: int) -> None:
    """Finalize October."""
    engine = open_engine(url)
    finalize(engine, OCTOBER, CLOSED, batch=batch)
    engine.dispose()
