"""Bills without a store: every payload is in exactly one place, whatever the order and the batches."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from billing.accounts import Account, AccountId
from billing.bills import Arrangement, Bills, bill
from billing.contracts import Contract
from billing.errors import InputFaultyError
from billing.periods import Period
from rates.cards import Card
from rates.deals import Deal, Discount
from rates.tiers import Selector
from tests.shop import products, read

OCTOBER = Period.parse("2026-10")
CARD = """
id = "list"
currency = "USD"
effective_from = 2026-01-01T00:00:00Z

[tiers.voice]
up_to = ["10"]
unit = "minute"
fill = [{product = "voice.outbound"}]

[[rate]]
product = "voice.outbound"
destination = "United Kingdom"
prefixes = ["44"]
unit = "minute"
increments = "60/60"
tiers = "voice"
prices = ["0.10", "0.05"]

[[rate]]
product = "voice.outbound"
destination = "France"
prefixes = ["33"]
unit = "minute"
increments = "1/1"
tiers = "voice"
prices = ["0.20", "0.02"]
setup_fee = "0.01"
"""


def card(text: str = CARD) -> Card:
    return read(text)


def call(number: int, **changes: str) -> dict[str, str]:
    return {
        "source": "switch-1",
        "id": f"c{number}",
        "account": "a",
        "product": "voice.outbound",
        "occurred_at": f"2026-10-{number % 28 + 1:02}T{number % 24:02}:00:00Z",
        "to": ("+442079460000", "+33123456789", "+4915112345")[number % 3],
        "duration_seconds": str(number * 37 % 400),
        **changes,
    }


def billed(events: Sequence[dict[str, str]], deal: Arrangement | None = None) -> Bills:
    payloads = [json.dumps(event).encode() for event in events]
    return bill(payloads, deal or Arrangement(cards=[card()], products=products()), OCTOBER)


EVENTS = [call(number) for number in range(400)]


def test_each_payload_is_in_exactly_one_place() -> None:
    odd = [
        call(1000, occurred_at="2026-09-30T23:59:59Z"),
        call(1001, duration_seconds="-1"),
        EVENTS[5],
        {**EVENTS[6], "duration_seconds": "1"},
    ]
    bills = billed([*EVENTS, *odd])
    usage = [line for line in bills.bills[0].lines if line.element == "usage"]
    on_lines, other_months = sum(line.events for line in usage), 1
    others = (bills.quarantined, bills.zero_rated, bills.rejects, bills.duplicates, bills.conflicts)
    assert len(EVENTS) + len(odd) == on_lines + other_months + sum(map(len, others))
    assert [(401, "/duration_seconds")] == [(each.row, each.pointer) for each in bills.rejects]
    assert ((402,), (403,)) == (bills.duplicates, bills.conflicts)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_changes_nothing(seed: int) -> None:
    shuffled = [*EVENTS, *EVENTS[:50]]
    random.Random(seed).shuffle(shuffled)
    assert billed(EVENTS).bills == billed(shuffled).bills


def test_lines_add_up_to_the_total_and_residuals_stay_below_half_a_cent() -> None:
    (found,) = billed(EVENTS).bills
    assert found.total_minor == sum(line.amount_minor for line in found.lines) > 0
    assert all(abs(line.residual) * 200 <= 1 for line in found.lines)


def test_accounts_that_share_nothing_are_billed_apart() -> None:
    """Two payers, each with a card of its own that gives the same counter other bounds."""
    cheap = card(CARD.replace('"list"', '"cheap"').replace('["10"]', '["1"]'))
    accounts = {name: Account(id=AccountId(name), currency="USD") for name in ("a", "b", "idle", "guest")}
    contracts = {
        "a": [Contract(account="a", effective_from=OCTOBER.start, cards=("list",))],
        "b": [Contract(account="b", effective_from=OCTOBER.start, cards=("cheap",))],
        "idle": [Contract(account="idle", effective_from=OCTOBER.start, cards=("list",))],
    }
    deal = Arrangement(cards=[card(), cheap], products=products(), accounts=accounts, contracts=contracts)
    events = [call(n * 3, account=name, duration_seconds="600") for n, name in enumerate("abab")]
    found = {each.account: each for each in billed(events, deal).bills}
    assert ["a", "b", "idle"] == list(found)
    # a: 10 × 0.10 + 10 × 0.05; b: 1 × 0.10 + 19 × 0.05
    assert (150, 105, 0) == tuple(found[name].total_minor for name in ("a", "b", "idle"))


def test_without_usage_there_is_nothing() -> None:
    assert () == billed([]).bills


def test_a_contract_of_an_account_that_does_not_pay_is_refused_and_says_who_pays() -> None:
    accounts = {
        "a": Account(id=AccountId("a"), currency="USD"),
        "a-sub": Account(id=AccountId("a-sub"), parent="a", pays=False),
    }
    contracts = {name: [Contract(account=name, effective_from=OCTOBER.start, cards=("list",))] for name in accounts}
    deal = Arrangement(cards=[card()], products=products(), accounts=accounts, contracts=contracts)
    with pytest.raises(InputFaultyError, match="usage of a-sub is paid by a, which does not resell"):
        billed([], deal)


def test_a_discount_on_a_product_that_nobody_knows_is_refused() -> None:
    accounts = {"a": Account(id=AccountId("a"), currency="USD")}
    misspelt = Deal(discounts=(Discount(percent=Decimal(5), on=(Selector(product=("vioce.*",)),)),))
    contract = Contract(account="a", effective_from=OCTOBER.start, cards=("list",), deal=misspelt)
    deal = Arrangement(cards=[card()], products=products(), accounts=accounts, contracts={"a": [contract]})
    with pytest.raises(InputFaultyError, match=r'contract a: discounts "vioce\.\*": selects no product'):
        billed([], deal)


@pytest.mark.parametrize("shared", [True, False])
def test_cards_that_count_otherwise_under_one_name_do_not_rate_one_account(shared: bool) -> None:  # noqa: FBT001
    other = card(CARD.replace('"list"', '"other"').replace('"voice.outbound"}]', '"voice.*"}]'))
    named = {"a": ("list", "other"), "b": ("list",)} if shared else {"a": ("list",), "b": ("other",)}
    contracts = {
        name: [Contract(account=name, effective_from=OCTOBER.start, cards=cards)] for name, cards in named.items()
    }
    deal = Arrangement(cards=[card(), other], products=products(), contracts=contracts)
    if not shared:
        assert 2 == len(billed([call(0), call(3, account="b")], deal).bills)
        return
    for refused in (deal, replace(deal, contracts=None)):
        with pytest.raises(InputFaultyError, match=r"card other@.*: tiers\.voice: counts otherwise than in card list@"):
            billed([], refused)
