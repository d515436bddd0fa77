"""Events that were cut, clamped or rounded: the store bills what the same files come to without one."""

import json
import random
from fractions import Fraction

from billing.bills import Arrangement, bill
from billing.contracts import Contract
from billing.flows.compose import compose_statement
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_line
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.verify import verify
from billing.store.engine import snapshot
from billing.store.queries.verification import unbalanced_totals
from cli.world import product_tables
from rates.cardfile import read_card
from rates.cards import Card
from rates.money import parse_fraction
from tests.invoicing import CLOSED
from tests.shop import OCTOBER, SOURCE, Shop, account, call, products

SPECIAL = """
id = "special"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
timezone = "America/New_York"

[windows.peak]
days = ["mon", "tue", "wed", "thu", "fri"]
from = "08:00"
to = "20:00"
split = true

[tiers.calls]
up_to = ["40", "60"]
unit = "event"
measure = "events"
fill = [{product = "voice.outbound"}]

[pools.gift]
free = "30"
block = "1"
unit = "minute"
fill = [{product = "voice.outbound", country = ["US"]}]

[[rate]]
product = "voice.outbound"
destination = "United States"
prefixes = ["1"]
window = "peak"
unit = "minute"
increments = "6/6"
price = "0.03"
[[rate]]
product = "voice.outbound"
destination = "United States, night"
prefixes = ["1"]
unit = "minute"
increments = "6/6"
price = "0.01"
[[rate]]
product = "voice.outbound"
destination = "France"
prefixes = ["33"]
unit = "minute"
increments = "1/1"
tiers = "calls"
prices = ["0.05", "0.04", "0.03"]
[[rate]]
product = "voice.outbound"
destination = "Cuba"
country = "CU"
prefixes = ["53"]
unit = "minute"
increments = "1/1"
price = "0.60"
setup_fee = "0.05"
min_charge = "0.15"
max_charge = "2"
[[rate]]
product = "voice.outbound"
element = "surcharge"
destination = "Cuba, surcharge"
prefixes = ["53"]
unit = "event"
price = "0.02"
"""
LIST = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z

[rounding]
per = "event"
decimals = 3
mode = "up"

[tiers.calls]
up_to = ["40", "60"]
unit = "event"
measure = "events"
fill = [{product = "voice.outbound"}]
[tiers.minutes]
up_to = ["20", "90"]
unit = "minute"
fill = [{product = "voice.*"}]
flats = ["0", "1", "2"]

[[rate]]
product = "voice.outbound"
destination = "United Kingdom"
prefixes = ["44"]
unit = "minute"
increments = "1/1"
steps = "0:0.1 30:0.05 600:0.02"
setup_fee = "0.001"
max_charge = "0.7"
[[rate]]
product = "voice.outbound"
destination = "Japan"
prefixes = ["81"]
unit = "minute"
price = "0.0123"
"""
NUMBERS = ["+14155550100", "+447700900123", "+33123456789", "+5371234567", "+81312345678"]


def card(text: str) -> Card:
    found, faults = read_card(text, {}, products())
    assert found is not None, faults
    return found


def traffic(events: int) -> list[dict[str, object]]:
    dice = random.Random(6)
    return [
        call(
            number,
            to=dice.choice(NUMBERS),
            occurred_at=f"2026-10-0{dice.randint(1, 9)}T{dice.choice([11, 12, 23])}:59:{dice.randint(10, 59)}.5Z",
            duration_seconds=str(dice.choice([0, 1, 9, 10, 61, 125, 700, 4000, 50_000])),
        )
        for number in range(events)
    ]


def test_what_is_stored_in_any_batches_is_billed_as_the_files_are(shop: Shop) -> None:
    cards = [card(SPECIAL), card(LIST)]
    for each in cards:
        shop.publish(each)
    shop.admit("acme", cards=("special", "list"))
    events = traffic(400)
    shuffled = random.Random(1).sample(events, len(events))
    for start in range(0, len(shuffled), 90):
        shop.post(*shuffled[start : start + 90], at=CLOSED)
        fold(shop.engine)
    shop.post(*events[:50], at=CLOSED)  # again, which changes nothing
    stored = compose_statement(shop.engine, products(), OCTOBER, CLOSED, "acme").lines
    deal = Arrangement(
        cards=cards,
        products=products(),
        accounts={"acme": account("acme")},
        contracts={"acme": [Contract(account="acme", effective_from=OCTOBER.start, cards=("special", "list"))]},
    )
    (expected,) = bill([json.dumps(event).encode() for event in events], deal, OCTOBER, source=SOURCE).bills
    assert list(expected.lines) == list(stored)
    with snapshot(shop.engine) as connection:
        assert 0 == unbalanced_totals(connection, OCTOBER)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(shop.engine, OCTOBER, CLOSED)
    verified = verify(shop.engine, products(), product_tables(), OCTOBER)
    assert () == verified.disagreements
    assert (400, len(stored)) == (verified.events, verified.lines)
    explained = [
        explain_line(shop.engine, products(), OCTOBER, "acme", number, size=1000)
        for number in range(1, len(stored) + 1)
    ]
    assert list(stored) == [each.line for each in explained], "the invoice has them"
    assert all(each.adds_up and not each.later for each in explained)
    for found in explained:
        exact = sum((parse_fraction(share.exact_amount) for share in found.page), Fraction(0))
        billed = Fraction(found.line.amount_minor, 100) + found.line.residual
        assert exact == billed or found.line.element == "flat"
    elements = {(line.element, line.destination) for line in stored}
    wanted = {("minimum", "Cuba"), ("maximum", "Cuba"), ("maximum", "United Kingdom"), ("surcharge", "Cuba, surcharge")}
    assert wanted <= elements
    assert {"free", "1", "2", "3"} <= {line.tier for line in stored}
    counted = [line for line in stored if line.element in {"usage", "minimum", "maximum"}]
    assert sum(line.events for line in counted) == sum(event["duration_seconds"] != "0" for event in events)
