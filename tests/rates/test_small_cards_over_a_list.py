"""Small cards over one list, with all that cards can say: each book rates as it does alone, where nothing is shared."""

import random
from datetime import UTC, datetime

import numpy as np
import pytest

from rates.cardfile import card_from_table
from rates.compiled.cards import Lineage, compile_card, lineages
from rates.compiled.patterns import microseconds
from rates.matching import Book, Books
from rates.products import Product, by_id, read_product
from rates.rating import CODES, Ratings, Reason, rate
from rates.usage import UsageColumns, encode

START = datetime(2026, 10, 1, tzinfo=UTC)
NAMES = [f"d{n}" for n in range(12)]
CARDS = 24
PREFIXES = ["4479", "44791", "1212", "3361", "33612345", "881"]
LISTED = ["44", "4479", "1", "121", "33", "336", "881", *(f"7{n}" for n in range(1000, 3100))]
CALLED = [*PREFIXES * 90, "44", "99", "336", *(f"7{n}" for n in range(1000, 3000))]
WINDOW = {"days": ["mon", "tue", "thu"], "from": "06:00", "to": "07:30", "split": True}


def product() -> Product:
    """One with so many dimensions that no table holds those of all the cards."""
    table: dict[str, object] = {
        "id": "voice",
        "name": "Voice",
        "base": "second",
        "units": {"second": 1, "minute": 60},
        "country_of": "to",
        "match": ["to", *NAMES],
        "required": ["usage"],
        "measure": "duration_seconds",
        "rules": [{"effective_from": "2026-01-01T00:00:00Z", "billable": {}}],
    }
    found, faults = read_product(table, "voice")
    assert found is not None, faults
    return found


PRODUCTS = by_id([product()])


def lineage(name: str, rows: list[dict[str, object]], currency: str, rate_base: int) -> Lineage:
    head: dict[str, object] = {"id": name, "currency": currency, "effective_from": START, "windows": {"w": WINDOW}}
    usual: dict[str, object] = {"product": "voice", "unit": "minute", "increments": "6/6"}
    each = [usual | ({} if "steps" in row else {"price": "0.5"}) | row for row in rows]
    card, faults = card_from_table(head | {"rate": each}, {}, PRODUCTS)
    assert card is not None, faults
    return lineages([compile_card(card, PRODUCTS, rate_base=rate_base, price_base=rate_base)])[name]


def small(number: int, dice: random.Random, *, wide: bool) -> Lineage:
    """A few rows; with values of its own in all dimensions where the cards are to be too `wide` for one table."""
    chosen = dice.sample(PREFIXES, 3)
    rows: list[dict[str, object]] = [{"prefixes": [chosen[0]], "increments": dice.choice(["60/60", "1/1"])}]
    rows[0] |= {"steps": "0:0.2 90:0.1"} if number % 2 else {}
    rows.append({"prefixes": [chosen[1]], "setup_fee": "0.5"})
    rows.append({"prefixes": [chosen[1]], "window": "w", "price": "0.9"})
    own = dict.fromkeys(NAMES, f"c{number}") if wide else {NAMES[0]: f"c{number}"}
    rows.append({"prefixes": [chosen[2]], **own, "min_charge": "0.7"})
    if number == 3:
        rows.append({"prefixes": ["4479"], "element": "surcharge", "unit": "event"})
    return lineage(f"c{number}", rows, "EUR" if number % 8 == 5 else "USD", 1000 * number)


def books_of(dice: random.Random, *, wide: bool) -> list[Book]:
    cards = [small(number, dice, wide=wide) for number in range(CARDS)]
    listed: list[dict[str, object]] = [{"prefixes": [prefix]} for prefix in LISTED]
    listed += [{"prefixes": ["336"], "window": "w", "price": "0.8"}, {"price": "0.1"}]
    list_ = lineage("list", listed, "USD", 100_000)
    chosen: list[tuple[Lineage, ...]] = [(each, list_) for each in cards]
    chosen += [(cards[3], cards[4], list_), (list_, cards[6]), (list_,)]
    return [Book(lineages=each, currency="USD") for each in chosen]


def calls(dice: random.Random, events: int, books: int) -> UsageColumns:
    """Most of them to numbers that no small card knows."""
    own = [f"c{dice.randrange(CARDS)}" for _ in range(events)]
    return UsageColumns(
        products=("voice",),
        product=np.zeros(events, dtype=np.int16),
        book=np.array([dice.randrange(books) for _ in range(events)], dtype=np.int32),
        occurred_at=np.array([microseconds(START) + dice.randrange(30 * 86_400) * 1_000_000 for _ in range(events)]),
        to=np.array([int(dice.choice(CALLED) + str(dice.randrange(10_000))) for _ in range(events)]),
        from_=np.zeros(events, dtype=np.int64),
        measured=np.array([dice.choice([0, 1, 30, 100, 5000, 90_000]) for _ in range(events)]),
        texts={name: encode(own) for name in NAMES},
    )


def rows(ratings: Ratings) -> list[tuple[int, ...]]:
    names = ("rate", "price", "country", "billed", "reason")
    return list(zip(*(getattr(ratings, name).tolist() for name in names), strict=True))


def further(ratings: Ratings, some: list[int]) -> list[tuple[int, ...]]:
    """The elements beside the usage of some events, these counted from 0."""
    place = {event: at for at, event in enumerate(some)}
    names = ("extra_event", "extra_rate", "extra_price", "extra_billed", "extra_events")
    all_of = zip(*(getattr(ratings, name).tolist() for name in names), strict=True)
    return [(place[event], *rest) for event, *rest in all_of if event in place]


@pytest.mark.parametrize(("wide", "tables"), [(False, 2), (True, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_each_book_rates_as_it_does_alone(seed: int, wide: bool, tables: int) -> None:  # noqa: FBT001
    dice = random.Random(seed)
    books = books_of(dice, wide=wide)
    usage = calls(dice, 4_000, len(books))
    together = Books(books)
    found = together.match(usage, slice(0, len(usage)), "voice", "usage", None)
    assert [tables] == [len(source.tables) for source in found.sources], "or this tests nothing"
    ratings = rate(usage, together, PRODUCTS)
    assert {0, CODES[Reason.ZERO_QUANTITY], CODES[Reason.CURRENCY_MISMATCH]} <= set(ratings.reason.tolist())
    assert len(ratings.extra_event) > 200
    all_rows = rows(ratings)
    for number, book in enumerate(books):
        some = np.flatnonzero(usage.book == number)
        one = usage.take(some)
        one.book[:] = 0
        alone = rate(one, [book], PRODUCTS)
        assert rows(alone) == [all_rows[at] for at in some.tolist()]
        assert further(alone, list(range(len(some)))) == further(ratings, some.tolist())
