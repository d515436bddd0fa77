"""One event at a time says what the kernel says of columns: on generated and on shared cards."""

import random
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rates.matching import Books
from rates.products import Product
from rates.rating import REASONS, Ratings, rate
from rates.single import Element, Event, One, Singles
from rates.usage import UsageColumns
from tests.rates import test_rating_naive as naive
from tests.rates import test_small_cards_over_a_list as small


def events(usage: UsageColumns) -> Iterator[Event]:
    columns = (usage.product, usage.book, usage.occurred_at, usage.to, usage.from_, usage.measured)
    for row, (product, *numbers) in enumerate(zip(*(each.tolist() for each in columns), strict=True)):
        texts = {name: text.values[text.codes[row]] for name, text in usage.texts.items()}
        book, at, to, from_, measured = numbers
        yield Event(usage.products[product], book, at, to, from_, measured, texts)


def ones(ratings: Ratings) -> list[One]:
    extras: dict[int, list[Element]] = {}
    columns = (ratings.extra_event, ratings.extra_price, ratings.extra_billed)
    for event, price, billed in zip(*(each.tolist() for each in columns), strict=True):
        extras.setdefault(event, []).append(Element(price, billed))
    names = ("reason", "rate", "price", "country", "billed")
    rows = zip(*(getattr(ratings, name).tolist() for name in names), strict=True)
    return [
        One(REASONS[reason], rate_id, price, country, billed, tuple(extras.get(event, ())))
        for event, (reason, rate_id, price, country, billed) in enumerate(rows)
    ]


def compared(one: One) -> One:
    """Where nothing is priced, nobody is told the country; elements come in no order."""
    priced = one.price >= 0 or bool(one.extras)
    return one._replace(country=one.country if priced else 0, extras=tuple(sorted(one.extras)))


def same(usage: UsageColumns, books: Books, products: Mapping[str, Product]) -> int:
    """Both say the same of all; gives how many events were rated without the kernel."""
    singles = Singles(books, products)
    by_itself = 0
    expected = ones(rate(usage, books, products))
    for event, said in zip(events(usage), expected, strict=True):
        found = singles.rate(event)
        assert compared(said) == compared(found), event
        by_itself += not any(event.texts.get(name) for name in ("status", "error_code"))
    return by_itself


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([(4, 30, 5), (40, 12, 60)]))
def test_generated_cards_and_traffic(seed: int, sizes: tuple[int, int, int]) -> None:
    generator = naive.Generator(seed)
    cards, rows, many = sizes
    _, _, made = naive.make_books(generator, generator.cards(cards, rows), many)
    usage = naive.columns_of([generator.event(many) for _ in range(150)])
    assert same(usage, Books(made), naive.PRODUCTS) > 30


@pytest.mark.parametrize("wide", [False, True])
def test_small_cards_that_share_tables_with_windows_steps_and_limits(wide: bool) -> None:  # noqa: FBT001
    dice = random.Random(7)
    books = small.books_of(dice, wide=wide)
    usage = small.calls(dice, 1_500, len(books))
    assert 1_500 == same(usage, Books(books), small.PRODUCTS)


def test_the_kernel_is_asked_about_outcomes_and_what_is_not_linear_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Event] = []
    monkeypatch.setattr(Singles, "by_kernel", lambda _, event: asked.append(event))
    generator = naive.Generator(11)
    _, _, made = naive.make_books(generator, generator.cards(4, 30), 5)
    singles = Singles(Books(made), naive.PRODUCTS)
    all_events = [*events(naive.columns_of([generator.event(5) for _ in range(300)]))]
    for event in all_events:
        singles.rate(event)
    told = [event for event in all_events if event.texts["status"] or event.texts["error_code"]]
    assert [event for event in told if event.product != "fax"] == asked
    asked.clear()
    dice = random.Random(3)
    shared = Books(small.books_of(dice, wide=False))
    usage = small.calls(dice, 500, len(shared))
    for event in events(usage):
        Singles(shared, small.PRODUCTS).rate(event)
    settled = np.count_nonzero(rate(usage, shared, small.PRODUCTS).reason == 0)
    assert 0 < settled <= len(asked) < 500, "each of these cards has a window that splits"
