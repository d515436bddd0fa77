"""Decisions: of one event, which row of which card, and what of it matched."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from rates.cards import Card
from rates.compiled.cards import CardTable, compile_card, lineages
from rates.compiled.patterns import microseconds
from rates.decisions import Decision, decisions
from rates.matching import Book
from rates.products import Product, by_id, read_product
from rates.quantities import Increments
from rates.usage import UsageColumns, encode

START = datetime(2026, 10, 1, tzinfo=UTC)


def voice() -> Product:
    rule = {
        "effective_from": "2026-01-01T00:00:00Z",
        "billable": {"status": ["done"]},
        "increments": "60/60",
        "grace": 2,
    }
    product, faults = read_product(
        {
            "id": "voice",
            "name": "Voice",
            "base": "second",
            "units": {"second": 1},
            "country_of": "to",
            "match": ["to", "from", "number_type"],
            "required": ["usage"],
            "rules": [rule],
        },
        "voice.toml",
    )
    assert product is not None, faults
    return product


PRODUCTS = by_id([voice()])


def compiled(name: str, rows: list[dict[str, str]], *, rate_base: int = 0) -> CardTable:
    names = sorted({key for row in rows for key in row})
    columns = {key: [row.get(key, "") for row in rows] for key in names}
    many = len(rows)
    table = pa.table({"row": pa.array(range(many), pa.int32()), "product": ["voice"] * many, **columns})
    card = Card(id=name, currency="USD", effective_from=START, rows=table)
    return compile_card(card, PRODUCTS, rate_base=rate_base)


def one_call(to: str, caller: str, **fields: str) -> UsageColumns:
    return UsageColumns(
        products=("voice",),
        product=np.zeros(1, dtype=np.int16),
        book=np.zeros(1, dtype=np.int32),
        occurred_at=np.array([microseconds(START)], dtype=np.int64),
        to=np.array([int(to) if to.isdigit() and len(to) > 3 else 0], dtype=np.int64),
        from_=np.array([int(caller or 0)], dtype=np.int64),
        measured=np.array([61], dtype=np.int64),
        texts={name: encode([value]) for name, value in {"to_address": to, **fields}.items()},
    )


def decide(cards: list[CardTable], call: UsageColumns) -> tuple[Decision, ...]:
    return decisions(call, 0, [Book(lineages=tuple(lineages(cards).values()))], PRODUCTS)


LIST = [
    {"prefixes": "44", "unit": "second", "prices": "1"},
    {"prefixes": "4479 447", "origin_prefixes": "1 33", "country": "GB", "unit": "second", "prices": "1"},
    {"prefixes": "911", "exact": "true", "origin": "unknown", "unit": "second", "prices": "1", "increments": "1/1"},
    {"element": "surcharge", "number_type": "mobile", "unit": "event", "prices": "1", "grace": "5"},
]


def test_a_decision_names_the_card_the_row_and_what_matched() -> None:
    found = decide([compiled("list", LIST, rate_base=100)], one_call("447900123456", "3312345"))
    expected = Decision(
        element="usage",
        card="list@2026-10-01T00:00:00Z",
        position=1,
        rate=101,
        blocked=False,
        prefix="4479",
        origin="33",
        dimensions={"country": "GB"},
        increments=Increments(first=60, next=60),
        grace=2,
    )
    assert (expected,) == found


def test_every_element_that_matches_has_its_decision() -> None:
    found = decide([compiled("list", LIST)], one_call("442071234567", "", number_type="mobile"))
    assert [("surcharge", 3, {"number_type": "mobile"}, 5), ("usage", 0, {}, 2)] == [
        (each.element, each.position, each.dimensions, each.grace) for each in found
    ]


def test_whole_texts_and_unknown_callers_are_named_as_they_are() -> None:
    (found,) = decide([compiled("list", LIST)], one_call("911", ""))
    assert ("911", "unknown", Increments(first=1, next=1)) == (found.prefix, found.origin, found.increments)


def test_the_card_that_stands_first_decides() -> None:
    special = compiled("special", [{"prefixes": "4", "unit": "second", "prices": "1", "blocked": "true"}], rate_base=50)
    (found,) = decide([special, compiled("list", LIST)], one_call("447900123456", "1202"))
    assert ("special@2026-10-01T00:00:00Z", 50, True) == (found.card, found.rate, found.blocked)


def test_an_event_that_no_row_matches_has_no_decision() -> None:
    assert decide([compiled("list", LIST)], one_call("33123456", "")) == ()
