"""Law 8: "Export → parse = source": a card comes out of the store as it went in, and rates as it did before.

For any card: published and read back it is the same card; written as its two files and read again it is the same card;
and the table made of what the store has, or found on disk, rates whatever is asked of it as the table of the file.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from itertools import count
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.flows.publish import publish
from billing.store.engine import transaction
from billing.store.ratebooks import Ratebooks, load_books
from billing.store.ratebooks import read_card as read_stored_card
from rates.cardfile import read_card, write_card
from rates.cards import Card, identity
from rates.compiled.cards import CardTable, compile_card, lineages
from rates.compiled.packs import pack, unpack
from rates.compiled.patterns import microseconds
from rates.matching import Book
from rates.prices import price_list
from rates.products import read_product
from rates.rating import rate
from rates.usage import UsageColumns, encode
from tests.shop import AT, Shop, products

Row = dict[str, str]
Draw = st.DrawFn

PREFIXES = st.from_regex("(44|1|77|3725)[0-9]{0,5}", fullmatch=True)
DECIMALS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,6})?", fullmatch=True)
NAMES = st.sampled_from(["", "UK", 'Bermuda, "mobile"', "Côte d’Ivoire", '"Quoted" name', "Ελλάδα", "- x", "1e5"])
KINDS = st.sampled_from(["", "", "mobile", "toll-free"])
SINCE, UNTIL = "2026-10-01", "2026-12-01"
CHECK, _ = read_product(
    {
        "id": "number.check",
        "name": "Checks of numbers, with two dimensions of their own",
        "base": "request",
        "units": {"request": 1, "thousand": 1000},
        "country_of": "to",
        "match": ["to", "depth", "channel"],
        "required": ["usage"],
        "rules": [{"effective_from": "2024-01-01T00:00:00Z", "billable": {}}],
    },
    "number.check",
)
assert CHECK is not None
PRODUCTS = {**products(), CHECK.id: CHECK}
NAMED = ("voice.outbound", "voice.inbound", "sms.outbound", "number.check")
TEXTS = {
    "country": ["", "GB"],
    "number_type": ["", "mobile"],
    "mcc": ["", "234", "001"],
    "mnc": ["", "1", "01"],
    "depth": ["", "full", "other"],
    "channel": ["", "api", "ελλ"],
}
SCHEDULE = """\
[tiers.voice]
up_to = ["500000", "1000000.50"]
unit = "minute"
fill = [{product = ["voice.outbound", "voice.inbound"], country = ["US", "CA"]}]
flats = ["0", "10.00", "0.5"]
flat_at_zero = true
"""
POOL = '[pools.texts]\nfree = "100"\nblock = "10"\nunit = "segment"\nfill = [{product = ["sms.outbound"]}]\n'


@st.composite
def voice(draw: Draw, prefixes: Sequence[str]) -> Row:
    row = {
        "product": draw(st.sampled_from(["voice.outbound", "voice.inbound"])),
        "destination": draw(NAMES),
        "prefixes": " ".join(prefixes),
        "number_type": draw(KINDS),
        "unit": draw(st.sampled_from(["minute", "second"])),
        "increments": draw(st.sampled_from(["", "60/60", "1/1", "30/6", "120/60"])),
        "grace": draw(st.sampled_from(["", "0", "5"])),
        "max_quantity": draw(st.sampled_from(["", "", "7200"])),
    }
    if draw(st.booleans()):
        row |= {"exact": "TRUE", "prefixes": " ".join(f"sip:{prefix}@x 9{prefix}" for prefix in prefixes)}
    match draw(st.sampled_from(["", "", "origins", "unknown"])):
        case "origins":
            row["origin_prefixes"] = " ".join(draw(st.lists(PREFIXES, min_size=1, max_size=3, unique=True)))
        case "unknown":
            row["origin"] = "unknown"
    match draw(st.sampled_from(["one", "one", "all", "blocked"])):
        case "blocked":
            row["blocked"] = "true"
        case "all":
            row |= {"tiers": "voice", "prices": " ".join(draw(st.lists(DECIMALS, min_size=3, max_size=3)))}
        case _:
            row |= {"price": draw(DECIMALS), "setup_fee": draw(st.sampled_from(["", "0", "0.50"]))}
    return row


@st.composite
def message(draw: Draw, prefixes: Sequence[str]) -> Row:
    row = {
        "product": "sms.outbound",
        "element": draw(st.sampled_from(["", "usage", "carrier_fee"])),
        "destination": draw(NAMES),
        "prefixes": " ".join(prefixes),
        "unit": "segment",
        "price": draw(DECIMALS),
        "country": draw(st.sampled_from(["", "GB", "KZ"])),
        "mcc": draw(st.sampled_from(["", "234", "001"])),
        "number_type": draw(KINDS),
    }
    return row | ({"mnc": draw(st.sampled_from(["", "1", "01", "001"]))} if row["mcc"] else {})


@st.composite
def check(draw: Draw, prefixes: Sequence[str]) -> Row:
    return {
        "product": "number.check",
        "destination": draw(NAMES),
        "prefixes": " ".join(prefixes),
        "unit": draw(st.sampled_from(["request", "thousand", "event"])),
        "price": draw(DECIMALS),
        "depth": draw(st.sampled_from(["", "full", 'the-"quick",one'])),
        "channel": draw(st.sampled_from(["", "api", "ελλ"])),
    }


@st.composite
def cards(draw: Draw) -> tuple[str, str, list[Row]]:
    """A head without its id, and the rows: as CSV, and as they are. No prefix is in two of them, so none tie."""
    prefixes = draw(st.lists(PREFIXES, min_size=1, max_size=12, unique=True))
    rows: list[Row] = []
    start = 0
    while start < len(prefixes):
        end = start + draw(st.integers(1, 3))
        row = draw(st.one_of(voice(prefixes[start:end]), message(prefixes[start:end]), check(prefixes[start:end])))
        if draw(st.integers(0, 4)) == 0:
            row |= {"effective_from": "2026-10-10", "effective_to": "2026-11-10T12:00:00+02:00"}
        rows.append(row)
        start = end
    names = sorted({name for row in rows for name in row})
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    writer.writeheader()
    writer.writerows(rows)
    head = f'currency = "EUR"\neffective_from = {SINCE}\nrates = "rates.csv"\n'
    head += f"effective_to = {UNTIL}T00:00:00Z\n" if draw(st.booleans()) else ""
    head += "overlay = true\n" if draw(st.booleans()) else ""
    return head + SCHEDULE + POOL, text.getvalue(), rows


def usage(rows: Sequence[Row], seed: int) -> UsageColumns:
    """Some events to and from numbers in and near the prefixes of the rows, most with what a row asks for."""
    random, n = Random(seed), 80
    prefixes = [prefix for row in rows for prefix in row["prefixes"].split() if prefix.isdecimal()] or ["44"]

    def number(of: Sequence[str]) -> int:
        return int(random.choice(of) + "".join(random.choices("0123", k=random.randrange(6))))

    events: list[dict[str, str]] = []
    numbers = []
    for _ in range(n):
        row = random.choice(rows)
        event = {name: row.get(name, "") for name in TEXTS if random.random() < 0.9}
        event |= {name: random.choice(values) for name, values in TEXTS.items() if random.random() < 0.1}
        event["product"] = row["product"] if random.random() < 0.9 else random.choice(NAMED)
        asked = row["prefixes"].split()
        is_exact = "exact" in row and random.random() < 0.9
        event["to_address"] = random.choice(asked) if is_exact else ""
        numbers.append(0 if is_exact else number([each for each in asked if each.isdecimal()] or prefixes))
        events.append(event)
    return UsageColumns(
        products=NAMED,
        product=np.array([NAMED.index(event["product"]) for event in events], dtype=np.int16),
        book=np.zeros(n, dtype=np.int32),
        occurred_at=np.array([at(random.randrange(25, 95)) for _ in range(n)], dtype=np.int64),
        to=np.array(numbers, dtype=np.int64),
        from_=np.array([random.choice([0, number(prefixes)]) for _ in range(n)], dtype=np.int64),
        measured=np.array(random.choices([1, 3, 61, 7201], k=n), dtype=np.int64),
        texts={name: encode(event.get(name, "") for event in events) for name in (*TEXTS, "to_address")},
    )


def at(day: int) -> int:
    return microseconds(datetime(2026, 9, 1, tzinfo=UTC)) + day * 86_400_000_000


def read(head: str, rows: str | bytes) -> Card:
    data = rows if isinstance(rows, bytes) else rows.encode()
    card, faults = read_card(head, {"rates.csv": data}, PRODUCTS)
    assert [] == faults
    assert card is not None
    return card


def ratings(table: CardTable, events: UsageColumns) -> dict[str, list[int]]:
    found = rate(events, [Book(lineages=(lineages([table])[table.id],))], PRODUCTS)
    return {each.name: getattr(found, each.name).tolist() for each in fields(found)}


def test_a_published_card_comes_back_and_rates_as_the_card_of_the_file(shop: Shop) -> None:
    numbers = count()
    books: Ratebooks | None = None

    @settings(max_examples=40, deadline=None)
    @given(drawn=cards(), seed=st.integers(0, 2**32))
    def holds(drawn: tuple[str, str, list[Row]], seed: int) -> None:
        nonlocal books
        head, text, rows = drawn
        source = read(f'id = "card-{next(numbers)}"\n{head}', text)
        version = publish(shop.engine, source, PRODUCTS, at=AT, actor="finance").version
        with transaction(shop.engine) as connection:
            stored = read_stored_card(connection, version, PRODUCTS)
            books = load_books(connection, PRODUCTS, books)
        assert identity(source) == version.hash == identity(stored)
        assert source.rows["row"].to_pylist() == stored.rows["row"].to_pylist()
        assert price_list(source, PRODUCTS).prices == price_list(stored, PRODUCTS).prices
        written = write_card(source)
        assert written == write_card(stored)
        assert identity(source) == identity(read(*written))
        table = compile_card(source, PRODUCTS, rate_base=version.rate_base, price_base=version.price_base)
        events = usage(rows, seed)
        expected = ratings(table, events)
        from_store = books.cards[version.card_version_id]
        assert expected == ratings(from_store, events)
        assert expected == ratings(unpack(pack({"it": from_store}), PRODUCTS)["it"], events)

    holds()
