"""Re-rating: how far a change reaches, and when two ratings of the same usage are the same charge."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from billing.accounts import Account
from billing.contracts import Contract
from billing.periods import ALWAYS
from billing.rerating import (
    Stretch,
    Tariffs,
    card_stretches,
    compare,
    contract_stretches,
    reordered,
    tariff,
    words_for,
)
from rates.cardfile import card_from_table
from rates.cards import Card
from rates.prices import price_list
from rates.rating import Ratings
from rates.terms import counters
from tests.shop import account, products

ACCOUNTS: dict[str, Account] = {
    each.id: each
    for each in (account("acme"), account("below", parent="acme", pays=False, currency=""), account("bolt"))
}
NUMBERS = {"acme": 1, "below": 2, "bolt": 3}
NAMES = {"price": np.int32, "country": np.int16, "reason": np.int8, "extra_price": np.int32, "extra_events": np.int8}


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, tzinfo=UTC)


def contract(day: int, *cards: str, name: str = "acme") -> Contract:
    return Contract(account=name, effective_from=date(2026, 10, day), cards=cards)


def test_a_version_reaches_what_contracts_with_its_card_rate_until_the_next_version() -> None:
    contracts = {
        "acme": [contract(1, "list"), contract(5, "deal"), contract(9, "deal", "list")],
        "below": [contract(1, "list", name="below")],  # from before it was refused: it rates nothing
        "bolt": [contract(20, "list", name="bolt")],
    }

    def reached(since: datetime, until: datetime) -> list[Stretch]:
        return card_stretches("list", since, until, ACCOUNTS, contracts, NUMBERS)

    assert [Stretch(1, at(3, 7), at(5)), Stretch(1, at(9), at(20))] == reached(at(3, 7), at(20))
    assert [Stretch(1, at(9, 1), ALWAYS), Stretch(3, at(20), ALWAYS)] == reached(at(9, 1), ALWAYS)
    assert [] == reached(at(5), at(9))


def test_a_contract_reaches_until_the_next_one() -> None:
    added = contract(5, "list")
    contracts = {"acme": [contract(1, "list"), added, contract(9, "list")], "bolt": [contract(5, "list", name="bolt")]}
    assert [Stretch(1, at(5), at(9))] == contract_stretches([added], ACCOUNTS, contracts, NUMBERS)


def listed() -> Card:
    """A card with a tiered row to Britain and one to France, with a setup fee each."""
    voice = {"product": ["voice.outbound"]}
    schedule = {"up_to": ["3"], "unit": "minute", "fill": [{**voice, "country": [c]} for c in ("GB", "US")]}
    rate = {"product": "voice.outbound", "unit": "minute", "increments": "60/60"}
    rows = [
        {**rate, "prefixes": ["44"], "tiers": "t", "prices": ["0.02", "0.01"], "setup_fee": "0.05"},
        {**rate, "prefixes": ["33"], "price": "0.02", "setup_fee": "0.06"},
    ]
    head = {"id": "list", "currency": "USD", "effective_from": at(1), "tiers": {"t": schedule}, "rate": rows}
    found, faults = card_from_table(head, {}, products())
    assert found is not None, faults
    return found


def test_the_order_of_selectors_means_nothing_and_their_content_does() -> None:
    card = listed()
    turned = replace(card.schedules["t"], fill=card.schedules["t"].fill[::-1])
    assert counters(card) == counters(replace(card, schedules={"t": turned}))
    assert counters(card) != counters(replace(card, schedules={"t": replace(turned, fill=turned.fill[1:])}))
    assert () == counters(None)


def test_a_price_is_charged_with_all_that_it_moves() -> None:
    card = listed()
    british, french, *setups = price_list(card, products()).prices
    other = replace(card, schedules={"t": replace(card.schedules["t"], up_to=card.schedules["t"].up_to * 2)})
    assert tariff(british, card, "GB") == tariff(replace(british, card="list@other"), card, "GB")
    assert tariff(british, card, "GB") != tariff(british, other, "GB")
    assert tariff(french, card, "FR") == tariff(french, other, "FR")
    assert tariff(french, card, "US") != tariff(french, other, "US")
    assert tariff(setups[0], card, "US") == tariff(setups[0], other, "US")


def ratings(**columns: list[int]) -> Ratings:
    """Two events of price 1 and setup fee 3, unless `columns` say otherwise."""
    usual = {"rate": [1, 1], "price": [1, 1], "country": [0, 0], "billed": [60, 60], "reason": [0, 0]}
    beside = {"extra_event": [0, 1], "extra_rate": [1, 1], "extra_price": [3, 3], "extra_billed": [1, 1]}
    beside["extra_events"] = [1] * len(columns.get("extra_event", [0, 1]))
    said = {**usual, **beside, **columns}
    return Ratings(**{name: np.array(column, dtype=NAMES.get(name, np.int64)) for name, column in said.items()})


@pytest.mark.parametrize(
    ("columns", "otherwise", "repriced", "differs"),
    [
        ({}, [], [], []),
        ({"rate": [1, 2]}, [], [], [1]),
        ({"price": [1, 5]}, [], [1], [1]),
        ({"price": [1, 2]}, [1], [1], [1]),
        ({"country": [0, 9]}, [1], [], [1]),
        ({"billed": [60, 61]}, [1], [], [1]),
        ({"price": [1, -1], "reason": [0, 3]}, [1], [1], [1]),
        ({"extra_rate": [1, 2]}, [], [], [1]),
        ({"extra_price": [3, 7]}, [], [1], [1]),
        ({"extra_price": [3, 4]}, [1], [1], [1]),
        ({"extra_billed": [1, 2]}, [1], [], [1]),
        ({"extra_events": [1, 0]}, [1], [], [1]),
        ({"extra_event": [0], "extra_rate": [1], "extra_price": [3], "extra_billed": [1]}, [1], [1], [1]),
    ],
)
def test_what_differs_and_what_is_charged_otherwise(
    columns: dict[str, list[int]], otherwise: list[int], repriced: list[int], differs: list[int]
) -> None:
    card = listed()
    prices = price_list(card, products()).prices
    again = [replace(price, card="list@again") for price in prices]
    tariffs = Tariffs()
    tariffs.add({number: (each, card) for number, each in enumerate([*prices, *again], start=1)})
    new = ratings(**columns)
    found = compare(ratings(), new, tariffs)
    each = [np.flatnonzero(which).tolist() for which in (found.otherwise, found.repriced, found.differs)]
    assert [otherwise, repriced, differs] == each
    for event in otherwise:
        before, after = words_for(ratings(), new, event, tariffs)
        assert before != after


def test_elements_are_compared_by_their_names_in_whatever_order_their_prices_are_numbered() -> None:
    card = listed()
    usage, _, setup, *_ = price_list(card, products()).prices
    surcharge = replace(setup, element="surcharge")
    tariffs = Tariffs()
    numbered = {1: usage, 3: setup, 4: surcharge, 5: surcharge, 6: setup}
    tariffs.add({number: (each, card) for number, each in numbered.items()})
    old, new = (
        reordered(each, tariffs.order(each))
        for each in (
            ratings(extra_event=[0, 0], extra_price=[3, 4]),
            ratings(extra_event=[0, 0], extra_price=[5, 6]),
        )
    )
    found = compare(old, new, tariffs)
    assert ([False, False], [True, False]) == (found.otherwise.tolist(), found.repriced.tolist())
