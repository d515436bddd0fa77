"""Small cards that share a table, each with windows, a zone and charges of its own, rate as each of them alone does."""

import random
from datetime import UTC, datetime

import numpy as np

from rates.cardfile import read_card
from rates.compiled.cards import CardTable, compile_card, lineages
from rates.compiled.packs import pack, unpack
from rates.compiled.patterns import microseconds
from rates.matching import Book, Books
from rates.rating import Ratings, rate
from rates.totals import elements, rate_totals, summed
from rates.usage import TOTALS, UsageColumns
from tests.shop import products

ZONES = ["UTC", "Asia/Tokyo", "America/New_York"]
START = datetime(2026, 10, 1, tzinfo=UTC)


def table(number: int, since: int, price_base: int, dice: random.Random) -> CardTable:
    """A version of a card, of those that what is drawn decides."""
    begins = dice.choice(["06:00", "08:00", "22:00"])
    split = dice.choice(["true", "false"])
    windows = f'[windows.w]\ndays = ["mon", "tue", "sat"]\nfrom = "{begins}"\nto = "07:30"\nsplit = {split}\n'
    rounding = '[rounding]\nper = "event"\ndecimals = 2\n' if dice.random() < 0.3 else ""
    rate_ = '[[rate]]\nproduct = "voice.outbound"\nunit = "minute"\nincrements = "6/6"\n'
    extras = ["", 'setup_fee = "0.5"\n', 'min_charge = "0.2"\n', 'max_charge = "0.9"\n']
    rows = [f'{rate_}price = "0.{dice.randint(1, 9)}"\n{dice.choice(extras)}']
    if dice.random() < 0.7:
        rows.append(f'{rate_}window = "w"\nprice = "0.{dice.randint(1, 9)}"\n')
    rows.append(f'{rate_}prefixes = ["44"]\nsteps = "0:0.2 {dice.randint(1, 99)}:0.1"\n{dice.choice(extras)}')
    if dice.random() < 0.5:
        rows.append('[[rate]]\nproduct = "voice.outbound"\nelement = "surcharge"\nunit = "event"\nprice = "0.05"\n')
    head = f'id = "c{number}"\ncurrency = "USD"\neffective_from = 2026-10-{since:02}T00:00:00Z\n'
    zone = f'timezone = "{dice.choice(ZONES)}"\n'
    card, faults = read_card("".join([head, zone, rounding, windows, *rows]), {}, products())
    assert card is not None, faults
    return compile_card(card, products(), rate_base=price_base, price_base=price_base)


def usage(events: int, books: int, dice: random.Random) -> UsageColumns:
    days = [microseconds(START) + dice.randrange(30 * 86_400) * 1_000_000 for _ in range(events)]
    return UsageColumns(
        products=("voice.outbound",),
        product=np.zeros(events, dtype=np.int16),
        book=np.array([dice.randrange(books) for _ in range(events)], dtype=np.int32),
        occurred_at=np.array(days),
        to=np.array([dice.choice([442079460000, 33123456789]) for _ in range(events)]),
        from_=np.zeros(events, dtype=np.int64),
        measured=np.array([dice.choice([0, 1, 30, 100, 5000, 90_000]) for _ in range(events)]),
    )


def rows(ratings: Ratings, event: int) -> list[tuple[int, ...]]:
    """All elements of an event."""
    some = np.flatnonzero(ratings.extra_event == event)
    columns = (ratings.extra_rate, ratings.extra_price, ratings.extra_billed, ratings.extra_events)
    first = (
        int(ratings.rate[event]),
        int(ratings.price[event]),
        int(ratings.billed[event]),
        int(ratings.reason[event]),
    )
    return [first, *zip(*(column[some].tolist() for column in columns), strict=True)]


def test_cards_in_one_table_rate_as_each_alone() -> None:
    for seed in range(6):
        dice = random.Random(seed)
        tables = [table(n, 1, 1000 * n, dice) for n in range(40)]
        tables += [table(n, 10, 100_000 + 1000 * n, dice) for n in range(0, 40, 3)]
        found = lineages(tables)
        books = [Book(lineages=(each,)) for each in found.values()]
        together = Books(books)
        assert together.shared.any(), "or this tests nothing"
        events = usage(600, len(books), dice)
        ratings = rate(events, together, products())
        assert len(ratings.extra_event) > 100
        for number, book in enumerate(books):
            some = np.flatnonzero(events.book == number)
            one = events.take(some)
            one.book[:] = 0
            alone = rate(one, [book], products())
            assert [rows(ratings, int(event)) for event in some] == [rows(alone, at) for at in range(len(some))]


def test_totals_are_those_of_all_parts_and_charges() -> None:
    dice = random.Random(5)
    tables = [table(n, 1, 1000 * n, dice) for n in range(20)]
    books = Books([Book(lineages=(each,)) for each in lineages(tables).values()])
    events = usage(2000, 20, dice)
    payer = events.book.astype(np.int64)
    found, _ = rate_totals(events, books, products(), payer, payer, events_at_once=300)
    expected = summed(elements(rate(events, books, products()), events, payer, payer))
    assert 0 in expected.events
    for name in TOTALS:
        assert getattr(expected, name).tolist() == getattr(found, name).tolist()


def test_cards_from_a_pack_rate_as_before() -> None:
    dice = random.Random(3)
    tables = {str(n): table(n, 1, 1000 * n, dice) for n in range(20)}
    back = unpack(pack(tables), products())
    events = usage(400, 20, dice)
    before, after = (
        rate(events, Books([Book(lineages=(each,)) for each in lineages(list(some.values())).values()]), products())
        for some in (tables, back)
    )
    assert [rows(before, n) for n in range(400)] == [rows(after, n) for n in range(400)]


def test_a_card_whose_versions_have_other_windows_shares_no_table() -> None:
    dice = random.Random(0)
    found = [table(0, 1, 0, dice), table(0, 10, 1000, dice)]
    assert len({each.calendar.content for each in found if each.calendar is not None}) == 2
    (lineage,) = lineages(found).values()
    assert not lineage.is_small
