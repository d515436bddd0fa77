"""Many small cards share a table, and calls that none of them knows go past it: each book rates as it does alone."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from cli.world import products
from rates.cards import Card
from rates.compiled.cards import compile_card, lineages
from rates.matching import Book, Books
from rates.rating import Ratings, rate
from rates.usage import UsageColumns, encode

PRODUCTS = products()
LISTED = ["44", "447", "4479", "49", "1", "1212", "3", "", "882", "99", "5", "52", "521"]


def lineage_of(name: str, prefixes: list[str], exact: list[str], rate_base: int) -> object:
    many = len(prefixes) + len(exact)
    cells = {
        "product": ["voice.outbound"] * many,
        "unit": ["minute"] * many,
        "prices": ["0.01"] * many,
        "increments": ["60/60"] * many,
        "prefixes": [*prefixes, *exact],
        "exact": [""] * len(prefixes) + ["true"] * len(exact),
    }
    rows = pa.table({"row": pa.array(np.arange(many, dtype=np.int32)), **cells})
    card = Card(id=name, currency="USD", effective_from=datetime(2026, 1, 1, tzinfo=UTC), rows=rows)
    return lineages([compile_card(card, PRODUCTS, rate_base=rate_base)])[name]


def books_of(rng: np.random.Generator, *, wide: bool) -> list[Book]:
    """Small cards: some books have two, some have none, some have no list, some have it first."""
    known = LISTED if wide else ["4479", "1212", "882", "521", "99"]
    small = [
        lineage_of(f"c{i}", rng.choice(known, 3, replace=False).tolist(), [f"sip:{i}"] * (i % 9 == 0), 100 * i)
        for i in range(20)
    ]
    wanted = [prefix for prefix in LISTED if prefix]
    listed = lineage_of("list", wanted + [f"7{n}" for n in range(1000, 3100)], ["sip:all"], 10_000)
    chosen = [[small[i], listed] for i in range(20)]
    chosen += [[small[3], small[7]], [small[4]], [], [listed], [listed, small[5]], [small[6], listed, small[8]]]
    return [Book(lineages=tuple(each)) for each in chosen]  # type: ignore[arg-type]


def calls(rng: np.random.Generator, books: int, events: int) -> UsageColumns:
    digits = rng.integers(0, 13, events)
    numbers = [int((rng.choice(LISTED) + "".join(map(str, rng.integers(1, 10, n))))[: max(n, 1)] or 0) for n in digits]
    to = np.where(digits == 0, 0, np.array(numbers, dtype=np.int64))
    return UsageColumns(
        products=("voice.outbound",),
        product=np.zeros(events, dtype=np.int16),
        book=rng.integers(0, books, events).astype(np.int32),
        occurred_at=np.full(events, 1_791_000_000_000_000, dtype=np.int64),
        to=to,
        from_=np.zeros(events, dtype=np.int64),
        measured=np.full(events, 30, dtype=np.int64),
        texts={"to_address": encode(f"sip:{i % 40}" if n == 0 else "" for i, n in enumerate(to.tolist()))},
    )


def rows_of(ratings: Ratings) -> list[tuple[int, ...]]:
    names = ("rate", "price", "country", "billed", "reason")
    return list(zip(*(getattr(ratings, name).tolist() for name in names), strict=True))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("wide", [True, False])
def test_a_book_beside_many_others_with_small_cards_rates_as_it_does_alone(seed: int, wide: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(seed)
    books = books_of(rng, wide=wide)
    usage = calls(rng, len(books), 3_000)
    together = rows_of(rate(usage, Books(books), PRODUCTS))
    for number, book in enumerate(books):
        some = np.flatnonzero(usage.book == number)
        alone = usage.take(some)
        alone.book[:] = 0
        assert rows_of(rate(alone, Books([book]), PRODUCTS)) == [together[i] for i in some.tolist()]
