"""The columnar kernel against a naive one: one event at a time, every row asked, written from DESIGN 6 and FORMATS 1-2.

Cards, books and events are generated so that the rules meet: nested prefixes, origins, dimensions, dates, versions,
overlays, blocked rows, fees, surcharges, setup fees. What the naive one says is what the kernel must say.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rates.cards import Card, instant
from rates.compiled.cards import compile_card, lineages
from rates.compiled.patterns import microseconds
from rates.matching import Book, Books
from rates.numbering import COUNTRIES, country_of
from rates.products import Product, by_id, read_product
from rates.rating import REASONS, ZERO_RATED, rate
from rates.totals import elements, rate_totals, summed
from rates.usage import TOTALS, Totals, UsageColumns, encode

START = datetime(2026, 10, 1, tzinfo=UTC)
ROW_KEYS = (
    "product", "element", "country", "prefixes", "origin_prefixes", "origin", "exact", "mcc", "mnc", "number_type",
    "unit", "prices", "increments", "setup_fee", "grace", "max_quantity", "blocked", "effective_from", "effective_to",
)  # fmt: skip
TABLES: list[dict[str, object]] = [
    {
        "id": "voice",
        "name": "Voice",
        "base": "second",
        "units": {"second": 1, "minute": 60},
        "country_of": "to",
        "match": ["to", "from", "number_type"],
        "required": ["usage"],
        "measure": "duration_seconds",
        "rules": [
            {
                "effective_from": "2026-08-24T00:00:00Z",
                "billable": {"status": ["done"]},
                "pending": {"status": ["ringing"]},
                "increments": "30/6",
                "grace": 3,
            },
            {"effective_from": "2026-11-05T00:00:00Z", "billable": {"status": ["done"]}},
        ],
    },
    {
        "id": "sms",
        "name": "Messages",
        "base": "segment",
        "units": {"segment": 1},
        "country_of": "from",
        "match": ["to", "from", "country", "mcc", "mnc", "number_type"],
        "required": ["usage", "carrier_fee"],
        "measure": "segments",
        "rules": [
            {
                "effective_from": "2026-08-26T00:00:00Z",
                "billable": {"status": ["sent"]},
                "fees": [
                    {
                        "element": "failed_fee",
                        "per": "event",
                        "when": {"status": ["failed"]},
                        "exempt": {"error_code": ["1", "2"]},
                    }
                ],
            }
        ],
    },
]


def _product(table: dict[str, object]) -> Product:
    product, faults = read_product(table, "test")
    assert product is not None, faults
    return product


PRODUCTS = by_id([_product(table) for table in TABLES])


@dataclass
class Event:
    """One event, as texts and numbers."""

    product: str
    book: int
    at: datetime
    to: str
    caller: str
    measured: int
    fields: dict[str, str]


@dataclass
class CardDraft:
    """A card of rows as dictionaries, and where its ids begin."""

    id: str
    effective_from: datetime
    effective_to: datetime | None
    overlay: bool
    currency: str
    rows: list[dict[str, str]]
    rate_base: int
    compiled: Card | None = field(default=None)

    def card(self) -> Card:
        columns = {name: [row.get(name, "") for row in self.rows] for name in ROW_KEYS}
        return Card(
            id=self.id,
            currency=self.currency,
            effective_from=self.effective_from,
            effective_to=self.effective_to,
            overlay=self.overlay,
            rows=pa.table({"row": pa.array(range(len(self.rows)), pa.int32()), **columns}),
        )


# ---- the naive kernel ------------------------------------------------------------------------------------------------

Found = tuple[tuple[int, ...], CardDraft, dict[str, str], int]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _in_force(versions: Sequence[CardDraft], at: datetime) -> CardDraft | None:
    begun = [version for version in versions if version.effective_from <= at]
    if not begun:
        return None
    latest = max(begun, key=lambda version: version.effective_from)
    return latest if latest.effective_to is None or at < latest.effective_to else None


def _country(event: Event) -> str:
    stated = event.fields.get("country", "")
    number = {"to": event.to, "from": event.caller}[PRODUCTS[event.product].country_of]
    return stated or (country_of(number) if number.startswith("+") else "")


def _length(row: dict[str, str], event: Event) -> int:
    prefixes = row.get("prefixes", "").split()
    if not prefixes:
        return 0
    if row.get("exact"):
        return 99 if event.to in prefixes else -1
    return max((len(p) for p in prefixes if event.to.startswith("+" + p)), default=-1)


def _origin(row: dict[str, str], event: Event) -> int:
    origins = row.get("origin_prefixes", "").split()
    unknown = row.get("origin") == "unknown"
    if not origins and not unknown:
        return 0
    if event.caller.startswith("+"):
        return max((len(p) for p in origins if event.caller.startswith("+" + p)), default=-1)
    return 1 if unknown else -1


def _fits(row: dict[str, str], event: Event, element: str) -> tuple[int, ...] | None:
    rank = [_length(row, event), _origin(row, event)]
    known = row["product"] == event.product and (row.get("element") or "usage") == element
    begun = not row.get("effective_from") or _time(row["effective_from"]) <= event.at
    over = bool(row.get("effective_to")) and _time(row["effective_to"]) <= event.at
    if not known or not begun or over or min(rank) < 0:
        return None
    declared = [name for name in PRODUCTS[event.product].match if name not in {"to", "from"}]
    for name in declared if "country" in declared else [*declared, "country"]:
        asked = row.get(name, "")
        has = _country(event) if name == "country" else event.fields.get(name, "")
        if asked and asked != has:
            return None
        rank.append(1 if asked else 0)
    return tuple(rank)


def _decide(cards: Sequence[Sequence[CardDraft]], event: Event, element: str) -> Found | None:
    if not cards:
        return None
    card = _in_force(cards[0], event.at)
    fits = [(_fits(row, event, element), i) for i, row in enumerate(card.rows)] if card else []
    ranked = [(rank, i) for rank, i in fits if rank is not None]
    own: Found | None = None
    if ranked and card is not None:
        rank, i = max(ranked)
        assert [one for one, _ in ranked].count(rank) == 1, "a tie is a fault of the generator"
        own = (rank, card, card.rows[i], card.rate_base + i)
        if not card.overlay:
            return own
    below = _decide(cards[1:], event, element)
    return below if own is None or (below is not None and below[0] > own[0]) else own


class Unrated(Exception):  # noqa: N818
    pass


def _billed(row: dict[str, str], event: Event) -> int:
    rule = PRODUCTS[event.product].rule_at(event.at)
    assert rule is not None
    grace = int(row["grace"]) if row.get("grace") else rule.grace_seconds
    text = row.get("increments") or (str(rule.increments) if rule.increments else "")
    if not text and event.product == "voice":
        raise Unrated("no_increments")
    if event.measured < grace:
        return 0
    first, following = map(int, (text or "1/1").split("/"))
    billed = first
    while billed < event.measured:
        billed += following
    # An element beside the usage counts events where its unit is the event; usage always counts what was used.
    return 1 if row.get("unit") == "event" and row.get("element", "usage") not in {"", "usage"} else billed


Expected = tuple[str, int, int, str, list[tuple[int, int]]]


def naive(event: Event, books: Sequence[Sequence[Sequence[CardDraft]]], book_currency: Sequence[str]) -> Expected:
    """Reason, rate, billed quantity, country (only where rated), further elements as (rate, quantity)."""
    try:
        return _naive(event, books, book_currency)
    except Unrated as unrated:
        return str(unrated), -1, 0, "", []


def _naive(event: Event, books: Sequence[Sequence[Sequence[CardDraft]]], book_currency: Sequence[str]) -> Expected:
    silent, fee = _outcome(event)
    if silent and not fee:
        raise Unrated(silent)
    if event.book < 0:
        raise Unrated("no_contract")
    cards = books[event.book]
    if all(_in_force(versions, event.at) is None for versions in cards):
        raise Unrated("no_card")
    charged = [] if silent else _charged(event, cards)
    silent = silent or ("" if charged else "zero_quantity")
    due = _decide(cards, event, "failed_fee") if fee else None
    fees = [(due, 1)] if due is not None and not due[2].get("blocked") else []
    if any(book_currency[event.book] not in {"", found[1].currency} for found, _ in charged + fees):
        raise Unrated("currency_mismatch")
    extras = [(found[3], billed) for found, billed in charged[1:] + fees]
    if silent:
        return silent, -1, 0, "", extras
    return "", charged[0][0][3], charged[0][1], _country(event), extras


def _outcome(event: Event) -> tuple[str, bool]:
    """Why no usage bills ("" if it does), and whether the fee for a failure is due."""
    product = PRODUCTS.get(event.product)
    if product is None:
        raise Unrated("unknown_product")
    rule = product.rule_at(event.at)
    if rule is None:
        raise Unrated("no_product_rule")
    status, error = event.fields.get("status", ""), event.fields.get("error_code", "")
    if status and status in rule.pending.get("status", ()):
        raise Unrated("pending")
    fee = bool(rule.fees) and status == "failed" and error not in {"1", "2"}
    if status and status not in rule.billable["status"]:
        return "status_not_billable", fee
    return ("zero_quantity" if event.measured == 0 else ""), fee


def _charged(event: Event, cards: Sequence[Sequence[CardDraft]]) -> list[tuple[Found, int]]:
    """The usage and what comes with it; nothing where nothing bills."""
    main = _required(event, cards, "usage")
    row = main[2]
    if row.get("max_quantity") and event.measured > int(row["max_quantity"]):
        raise Unrated("max_quantity")
    billed = _billed(row, event)
    if billed == 0:
        return []
    charged = [(main, billed)]
    if row.get("setup_fee"):
        charged.append((main, 1))
    for element in ("carrier_fee", "setup", "surcharge"):
        if element == "setup" and row.get("setup_fee"):
            continue
        found = _decide(cards, event, element)
        if element in PRODUCTS[event.product].required:
            found = _required(event, cards, element)
        if found is not None and not found[2].get("blocked") and _billed(found[2], event):
            charged.append((found, _billed(found[2], event)))
    return charged


def _required(event: Event, cards: Sequence[Sequence[CardDraft]], element: str) -> Found:
    found = _decide(cards, event, element)
    if found is None or found[2].get("blocked"):
        raise Unrated("no_rate" if found is None else "blocked")
    return found


# ---- generated cards and traffic -------------------------------------------------------------------------------------

MATCHED = ("product", "element", "prefixes", "origin_prefixes", "origin", "exact")
NUMBERS = ("+44", "+4479", "+447911", "+447911123", "+1", "+1416", "+14165550", "+77", "+7", "+3725", "+372", "+37250")
DIMENSIONS = {
    "country": ("GB", "GG", "US", "CA", "KZ", "EE"),
    "mcc": ("248", "310"),
    "mnc": ("1", "01"),
    "number_type": ("mobile", "toll-free"),
}


class Generator:
    """Random but seeded cards, books and events."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.next_rate = 0

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def instant(self) -> datetime:
        return START + timedelta(hours=self.random.randrange(-24 * 40, 24 * 40))

    def prefixes(self) -> str:
        chosen = self.random.sample(NUMBERS, self.random.choice((0, 0, 1, 1, 2, 4)))
        return " ".join(number[1:] for number in chosen)

    def row(self) -> dict[str, str]:
        product = self.random.choice(("voice", "sms"))
        elements = (
            ("usage", "", "", "surcharge", "setup")
            if product == "voice"
            else ("", "", "carrier_fee", "carrier_fee", "failed_fee")
        )
        row = {"product": product, "element": self.random.choice(elements), "prefixes": self.prefixes(), "prices": "1"}
        row["unit"] = self.random.choice(("event", "minute" if product == "voice" else "segment"))
        if self.chance(10):
            row |= {"exact": "true", "prefixes": self.random.choice(("911", "911 sip:a@b", "sip:c@d"))}
        if self.chance(25):
            row["origin_prefixes"] = self.prefixes()
        if self.chance(10):
            row["origin"] = "unknown"
        names = ("country", "number_type") if product == "voice" else tuple(DIMENSIONS)
        row |= {name: self.random.choice(DIMENSIONS[name]) for name in names if self.chance(20)}
        if self.chance(15):
            row["effective_from"] = instant(self.instant())
        if self.chance(15):
            row["effective_to"] = instant(self.instant())
        optional = {"increments": "60/60", "setup_fee": "0.5", "grace": "10", "max_quantity": "70", "blocked": "true"}
        row |= {name: value for name, value in optional.items() if self.chance(9)}
        return row

    def rows(self, count: int) -> list[dict[str, str]]:
        kept: list[dict[str, str]] = []
        for _ in range(count):
            row = self.row()
            if not any(_tied(row, other) for other in kept):
                kept.append(row)
                if row.get("effective_to") and self.chance(60):
                    # The same match again from where the row ends.
                    later = {**self.row(), **{name: row.get(name, "") for name in (*MATCHED, *DIMENSIONS)}}
                    kept.append({**later, "effective_from": row["effective_to"], "effective_to": ""})
        return kept

    def cards(self, many: int, rows: int) -> list[list[CardDraft]]:
        found = []
        for number in range(many):
            starts = sorted({self.instant() - timedelta(days=20) for _ in range(self.random.choice((1, 1, 2, 3)))})
            versions = []
            for start in starts:
                until = start + timedelta(days=self.random.randrange(1, 60)) if self.chance(30) else None
                drawn = self.rows(self.random.randrange(1, rows))
                currency = "EUR" if self.chance(5) else "USD"
                overlay = self.chance(30)
                versions.append(CardDraft(f"card-{number}", start, until, overlay, currency, drawn, self.next_rate))
                self.next_rate += len(drawn)
            found.append(versions)
        return found

    def event(self, books: int) -> Event:
        number = self.random.choice(NUMBERS) + "".join(self.random.choices("01259", k=self.random.randrange(7)))
        caller = self.random.choice(NUMBERS) + "".join(self.random.choices("01259", k=self.random.randrange(5)))
        to = self.random.choice((number, number, number, number, "911", "sip:a@b", "client:x"))
        fields = {name: self.random.choice((*values, "?")) for name, values in DIMENSIONS.items() if self.chance(45)}
        if fields.get("country") == "?":
            fields["country"] = "FR"
        if self.chance(40):
            fields["status"] = self.random.choice(("done", "done", "sent", "sent", "failed", "ringing", "busy"))
        if self.chance(30):
            fields["error_code"] = self.random.choice("123")
        return Event(
            product=self.random.choice((*["voice", "sms"] * 8, "fax")),
            book=self.random.randrange(-1, books),
            at=self.instant(),
            to=to,
            caller=self.random.choice((caller, caller, "", "client:y")),
            measured=self.random.choice((0, 1, 9, 30, 31, 61, 66, 90)),
            fields=fields,
        )


def _tied(one: dict[str, str], other: dict[str, str]) -> bool:
    def sets(row: dict[str, str]) -> tuple[set[str], set[str]]:
        origins = set(row.get("origin_prefixes", "").split())
        origins |= {"unknown"} if row.get("origin") else set()
        return set(row["prefixes"].split()) or {""}, origins or {""}

    alike = all(one.get(name, "") == other.get(name, "") for name in ("product", *DIMENSIONS))
    alike &= (one["element"] or "usage") == (other["element"] or "usage")
    return alike and all(not mine.isdisjoint(yours) for mine, yours in zip(sets(one), sets(other), strict=True))


def columns_of(events: Sequence[Event]) -> UsageColumns:
    def number(text: str) -> int:
        return int(text[1:]) if text.startswith("+") else 0

    products = ("voice", "fax", "sms")
    names = (*DIMENSIONS, "status", "error_code")
    texts = {name: encode(event.fields.get(name, "") for event in events) for name in names}
    texts["to_address"] = encode("" if event.to.startswith("+") else event.to for event in events)
    return UsageColumns(
        products=products,
        product=np.array([products.index(event.product) for event in events], dtype=np.int16),
        book=np.array([event.book for event in events], dtype=np.int32),
        occurred_at=np.array([microseconds(event.at) for event in events], dtype=np.int64),
        to=np.array([number(event.to) for event in events], dtype=np.int64),
        from_=np.array([number(event.caller) for event in events], dtype=np.int64),
        measured=np.array([event.measured for event in events], dtype=np.int64),
        texts=texts,
    )


def rated(columns: UsageColumns, books: Sequence[Book]) -> list[Expected]:
    """What the kernel says, in the naive one's form."""
    ratings = rate(columns, books, PRODUCTS)
    extras: dict[int, list[tuple[int, int]]] = {}
    for event, rate_id, billed in zip(
        ratings.extra_event.tolist(), ratings.extra_rate.tolist(), ratings.extra_billed.tolist(), strict=True
    ):
        extras.setdefault(event, []).append((rate_id, billed))
    said = []
    for i in range(len(columns)):
        reason = REASONS[ratings.reason[i]]
        assert (reason is None) == (ratings.price[i] >= 0)
        country = COUNTRIES[ratings.country[i]] if reason is None else ""
        assert reason is None or reason in ZERO_RATED or i not in extras
        said.append((reason or "", int(ratings.rate[i]), int(ratings.billed[i]), country, extras.get(i, [])))
    return said


def rows_of(found: Totals) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(found, name).tolist() for name in TOTALS), strict=True))


def make_books(
    generator: Generator, cards: Sequence[Sequence[CardDraft]], many: int
) -> tuple[list[list[Sequence[CardDraft]]], list[str], list[Book]]:
    compiled = [
        lineages([compile_card(card.card(), PRODUCTS, rate_base=card.rate_base) for card in versions])[versions[0].id]
        for versions in cards
    ]
    drafts, currencies, books = [], [], []
    for _ in range(many):
        chosen = generator.random.sample(range(len(cards)), generator.random.randrange(min(4, len(cards) + 1)))
        currency = generator.random.choice(("", "USD"))
        drafts.append([cards[i] for i in chosen])
        currencies.append(currency)
        books.append(Book(lineages=tuple(compiled[i] for i in chosen), currency=currency))
    return drafts, currencies, books


def check(seed: int, *, cards: int, rows: int, books: int, events: int) -> None:
    generator = Generator(seed)
    drafts, currencies, made = make_books(generator, generator.cards(cards, rows), books)
    traffic = [generator.event(books) for _ in range(events)]
    expected = [naive(event, drafts, currencies) for event in traffic]
    kept = Books(made)
    # What half of the events have found is remembered for all: it must not be taken for what others would find.
    rated(columns_of(traffic[::2]), kept)
    said = rated(columns_of(traffic), kept)
    for event, one, other in zip(traffic, expected, said, strict=True):
        assert one == other, event


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_a_few_cards_rate_like_the_naive_kernel(seed: int) -> None:
    check(seed, cards=4, rows=30, books=5, events=150)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_many_small_cards_in_one_table_rate_like_the_naive_kernel(seed: int) -> None:
    check(seed, cards=40, rows=12, books=60, events=400)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_totals_are_those_of_single_events_however_they_are_cut_and_ordered(seed: int) -> None:
    generator = Generator(seed)
    _, _, made = make_books(generator, generator.cards(4, 30), 5)
    traffic = [generator.event(5) for _ in range(200)]
    for event in generator.random.sample(traffic, 20):
        event.measured *= 2**33
    columns, books = columns_of(traffic), Books(made)
    # Close together or far apart, each with one payer or with several: packed in different ways, or not at all.
    account = np.array(generator.random.choices((7, 8, generator.random.choice((90, 2**40))), k=200), dtype=np.int64)
    payer = account + np.arange(200) % generator.random.choice((1, 3))
    whole = rate(columns, books, PRODUCTS)
    expected = rows_of(summed(elements(whole, columns, payer, account)))
    order = np.array(generator.random.sample(range(200), 200))
    for rows, at_once, threads in ((np.arange(200), 200, 1), (np.arange(200), 7, 2), (order, 64, 3)):
        found, reasons = rate_totals(
            columns.take(rows), books, PRODUCTS, payer[rows], account[rows], threads=threads, events_at_once=at_once
        )
        assert expected == rows_of(found)
        assert np.bincount(whole.reason, minlength=len(REASONS)).tolist() == reasons.tolist()
