"""A CDRTool deck from its two files to exact amounts, by way of the database, for every prefix that it has.

Beside it stands a reading of the same two files that has nothing but the standard library's csv module.
"""

import csv
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from billing.store.engine import snapshot
from billing.store.queries.pricing import read_heads, read_prices
from billing.store.ratebooks import load_books
from rates.cards import Card
from rates.compiled.patterns import microseconds
from rates.dialects.cdrtool import File, read_cdrtool
from rates.prices import Price
from rates.rating import Ratings, rate
from rates.usage import UsageColumns
from tests.rates.test_cdrtool import DESTINATIONS, RATES
from tests.shop import Shop, products

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
NESTED = """\
2,0,gold,44,audio,1000,12,,
2,0,gold,4470,audio,0,34,,
2,0,gold,44700,audio,0,56.7,,
2,0,gold,447001,audio,7,0,,
2,0,gold,4470012345678,audio,0,1,,
"""
NESTED_DESTINATIONS = """\
2,0,,,,44,,UNITED KINGDOM,60,60,0,
2,0,,,,4470,,UK PERSONAL,1,30,0,
2,0,,,,44700,,UK PERSONAL,0,0,0,
2,0,,,,447001,,UK PERSONAL,30,120,0,
2,0,,,,4470012345678,,UK PERSONAL,6,0,0,
"""
SECONDS = 61
AT = datetime(2026, 10, 15, 12, tzinfo=UTC)
DIGITS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Deck:
    """The texts of the two files."""

    rates: str
    destinations: str


SAMPLE = Deck(rates=RATES + NESTED, destinations=DESTINATIONS + NESTED_DESTINATIONS)


# ---- the other reading -----------------------------------------------------------------------------------------------


def read_by_hand(deck: Deck) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Prefix -> its row among the destinations, and among the rates."""
    plan = {row["Destination"]: row for row in csv.DictReader(io.StringIO(deck.destinations))}
    calls = [row for row in csv.DictReader(io.StringIO(deck.rates)) if row["App"] == "audio"]
    return {row["Destination"]: (plan[row["Destination"]], row) for row in calls}


def cost_by_hand(deck: Mapping[str, tuple[dict[str, str], dict[str, str]]], number: str) -> tuple[str, int, Fraction]:
    """The longest prefix, the seconds to pay, and the exact amount, as CDRTool's documentation tells them."""
    prefix = next(number[:n] for n in range(len(number), 0, -1) if number[:n] in deck)
    destination, row = deck[prefix]
    increment, least = int(destination["Incr"]) or 1, int(destination["Min Dur"])
    seconds = max(SECONDS, least)
    while seconds % increment:
        seconds += 1
    return prefix, seconds, Fraction(row["Duration"]) / 10_000 * seconds / 60 + Fraction(row["Connect"]) / 10_000


def number_in(prefix: str, prefixes: Collection[str]) -> str:
    """A number, as long as can be, whose longest prefix is this one."""
    for digit in "5016938274":
        longer = prefix + digit
        if longer not in prefixes:
            padded = longer.ljust(DIGITS, "0")
            if not any(padded[:n] in prefixes for n in range(len(longer), DIGITS + 1)):
                return padded
    return prefix  # of which every longer number has a longer prefix


# ---- by way of the database ------------------------------------------------------------------------------------------


def published(shop: Shop, deck: Deck) -> Card:
    card, faults, left_out = read_cdrtool(
        File("rates.csv", deck.rates.encode()),
        File("destinations.csv", deck.destinations.encode()),
        products=products(),
        card_id="deck",
        currency="USD",
        effective_from=datetime(2026, 10, 1, tzinfo=UTC),
    )
    assert [] == faults
    assert {"sms"} == {each.value for each in left_out}
    assert card is not None
    shop.publish(card)
    shop.admit("acme", cards=("deck",))
    return card


def rated(shop: Shop, numbers: list[str]) -> tuple[Ratings, Mapping[int, Price]]:
    """One call to each number, rated with the book that the database has, and the prices that it has."""
    with snapshot(shop.engine) as connection:
        books = load_books(connection, products())
        usage = UsageColumns(
            products=("voice.outbound",),
            product=np.zeros(len(numbers), dtype=np.int16),
            book=np.zeros(len(numbers), dtype=np.int32),
            occurred_at=np.full(len(numbers), microseconds(AT)),
            to=np.array(list(map(int, numbers)), dtype=np.int64),
            from_=np.zeros(len(numbers), dtype=np.int64),
            measured=np.full(len(numbers), SECONDS, dtype=np.int64),
        )
        ratings = rate(usage, books.books, products())
        ids = {*ratings.price.tolist(), *ratings.extra_price.tolist()}
        return ratings, read_prices(connection, ids, read_heads(connection, products()))


def costs(ratings: Ratings, prices: Mapping[int, Price]) -> list[tuple[int, Fraction]]:
    """The seconds to pay and the exact amount of each event: its usage, and its setup fee if it has one."""

    def amount(price: int, billed: int) -> Fraction:
        found = prices[price]
        return found.unit_price(0, None) * Fraction(billed, found.unit_size)

    usage = zip(ratings.price.tolist(), ratings.billed.tolist(), strict=True)
    amounts = [amount(*each) for each in usage]
    extras = (ratings.extra_event.tolist(), ratings.extra_price.tolist(), ratings.extra_billed.tolist())
    for event, price, billed in zip(*extras, strict=True):
        amounts[event] += amount(price, billed)
    return list(zip(ratings.billed.tolist(), amounts, strict=True))


def check(shop: Shop, deck: Deck) -> int:
    """Hold both readings against each other for every prefix; how many there are."""
    by_hand = read_by_hand(deck)
    published(shop, deck)
    numbers = [number_in(prefix, by_hand) for prefix in by_hand]
    expected = [cost_by_hand(by_hand, number) for number in numbers]
    assert list(by_hand) == [prefix for prefix, _, _ in expected]
    ratings, prices = rated(shop, numbers)
    assert not ratings.reason.any()
    # The rates were numbered in the order of the file, and so are the prefixes here.
    assert list(range(1, len(numbers) + 1)) == ratings.rate.tolist()
    assert [(seconds, amount) for _, seconds, amount in expected] == costs(ratings, prices)
    return len(numbers)


def test_every_prefix_of_a_deck_costs_what_its_files_say(shop: Shop) -> None:
    assert 9 == check(shop, SAMPLE)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real deck is not beside the project")
def test_every_prefix_of_the_real_deck_costs_what_its_files_say(shop: Shop) -> None:
    files = ((DATA / f"cdrtool_{name}.csv").read_text() for name in ("rates", "destinations"))
    assert 13_126 == check(shop, Deck(rates=next(files), destinations=next(files)))


def test_the_sample_costs_what_a_person_works_out(shop: Shop) -> None:
    published(shop, SAMPLE)
    numbers = ["37061234567", "37051234567", "12025550123", "99999123456", "447700900123", "447001999999"]
    assert [
        (61, Fraction("0.0999") * 61 / 60),
        (120, Fraction("1.2345") * 2 + Fraction("0.05")),
        (66, Fraction("0.0005") * 66 / 60),
        (61, Fraction(0)),
        (120, Fraction("0.0012") * 2 + Fraction("0.1")),
        (120, Fraction("0.0007")),
    ] == costs(*rated(shop, numbers))
