"""Which numbers small cards may know: none that they know is passed by, and most that they do not know are."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from cli.world import products
from rates.cards import Card
from rates.compiled.cards import CardTable, compile_card
from rates.compiled.leads import Leads
from rates.compiled.patterns import joined
from rates.usage import UsageColumns

PRODUCTS = products()
KEY = ("voice.outbound", "usage")
BOOKS = [[0], [1, 2], [], [3], [2, 4], [5], [6], [1]]
PREFIXES = [["44", "4479", "7"], ["1212555"], ["12", "99887"], [""], ["3312345", "331"], ["881"], []]


def compiled(number: int) -> CardTable:
    """A small card of some prefixes; one without any has a row for a whole text."""
    prefixes = PREFIXES[number] or ["sip:all"]
    cells = {
        "product": [KEY[0]] * len(prefixes),
        "unit": ["minute"] * len(prefixes),
        "prices": ["0.01"] * len(prefixes),
        "increments": ["60/60"] * len(prefixes),
        "prefixes": prefixes,
        "exact": ["" if PREFIXES[number] else "true"] * len(prefixes),
    }
    rows = pa.table({"row": pa.array(np.arange(len(prefixes), dtype=np.int32)), **cells})
    card = Card(id=f"c{number}", currency="USD", effective_from=datetime(2026, 1, 1, tzinfo=UTC), rows=rows)
    return compile_card(card, PRODUCTS)


def leads_of(tables: list[list[int]]) -> Leads:
    """Those of the books, the cards being in so many tables."""
    cards = [compiled(number) for number in range(len(PREFIXES))]
    parts = [[cards[number].parts[KEY].patterns for number in table] for table in tables]
    lineage = [
        np.repeat(np.array(table, dtype=np.int32), [len(each) for each in of])
        for table, of in zip(tables, parts, strict=True)
    ]
    order = np.full((len(BOOKS), 2), -1, dtype=np.int32)
    for book, lineages in enumerate(BOOKS):
        order[book, : len(lineages)] = lineages
    return Leads.of([(joined(of), each) for of, each in zip(parts, lineage, strict=True)], order)


def asked(book: list[int], to: list[int]) -> UsageColumns:
    nothing = np.zeros(len(to), dtype=np.int64)
    return UsageColumns(
        products=KEY[:1],
        product=nothing.astype(np.int16),
        book=np.array(book, dtype=np.int32),
        occurred_at=nothing,
        to=np.array(to, dtype=np.int64),
        from_=nothing,
        measured=nothing,
    )


def numbers() -> list[int]:
    """All numbers of up to five digits, and around every prefix longer ones."""
    longer = [
        int(prefix + "0" * n) + more
        for of in PREFIXES
        for prefix in of
        if prefix
        for n in (2, 5)
        for more in (-1, 0, 1)
    ]
    return [*range(100_000), *longer]


def knows(book: int, number: int) -> bool:
    """What a card with a whole text may know is any number: calls have both."""
    texts = [prefix for lineage in BOOKS[book] for prefix in PREFIXES[lineage] or [""]]
    return any((str(number) if number else "").startswith(prefix) for prefix in texts)


TABLES = pytest.mark.parametrize(
    "tables", [[[0, 1, 2, 3, 4, 5, 6]], [[0, 1, 2], [3], [4, 5, 6]], [[6], [5], [4], [3], [2], [1], [0]]]
)


@TABLES
def test_no_number_that_a_small_card_knows_is_passed_by(tables: list[list[int]]) -> None:
    """However the cards are spread over tables, also where a table has one card."""
    leads, to = leads_of(tables), numbers()
    for book in range(len(BOOKS)):
        usage = asked([book] * len(to), to)
        known = leads.known(usage, slice(0, len(to)))
        expected = [place for place, number in enumerate(to) if knows(book, number)]
        assert [] == sorted(set(expected) - set(known.tolist()))


@TABLES
def test_most_numbers_that_no_small_card_knows_are_passed_by(tables: list[list[int]]) -> None:
    """Else every call would be asked about twice: once for the small cards, once for the list."""
    leads = leads_of(tables)
    numbers = range(100_000_000, 1_000_000_000, 8_999)
    # Book 1 knows a prefix of two digits, so only the first three are told apart; of book 7 two more are.
    for book, most in ((1, len(numbers) // 500), (2, 0), (7, 2)):
        to = [number for number in numbers if not knows(book, number)]
        assert most >= len(leads.known(asked([book] * len(to), to), slice(0, len(to))))


def test_books_without_small_cards_are_asked_nothing() -> None:
    leads = leads_of([[0, 1, 2, 3, 4, 5, 6]])
    assert [bool(book) for book in BOOKS] == leads.asks(np.arange(len(BOOKS), dtype=np.int32)).tolist()


def test_places_are_those_among_the_rows_that_are_asked_about() -> None:
    leads = leads_of([[0, 1, 2, 3, 4, 5, 6]])
    usage = asked([5] * 4, [44, 8812, 8813, 1])
    rows: NDArray[np.int64] = np.array([3, 2, 1], dtype=np.int64)
    assert [1, 2] == leads.known(usage, rows).tolist()
    assert [0, 1] == leads.known(usage, slice(1, 4)).tolist()
