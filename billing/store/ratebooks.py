"""Published cards in the store, and the books that are made of them.

Publication and changes of accounts and contracts hold the lock of the books exclusively and raise `book_version`;
an ingest transaction holds it shared and reads the version first. So nobody rates with yesterday's book.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from billing.assignment import Assignment, assignment
from billing.store.accounts import Accounts, read_accounts
from billing.store.bulk import Table, copy_in, copy_out, or_null
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, at_once
from rates.cardfile import with_head, write_head
from rates.cards import MATCHED, PRICED, Card, column
from rates.compiled.cards import CardTable, compile_card, lineages
from rates.matching import Book, Books
from rates.money import normal
from rates.prices import Price, PriceList
from rates.products import Product

_LOCK = int.from_bytes(b"books")
_VERSION = "SELECT version FROM book_version"
_CELLS = (*MATCHED, *PRICED)
_NO_CARDS: Mapping[int, CardTable] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class CardVersion:
    """A published version of a card, without its rows."""

    card_version_id: int
    card_id: str
    hash: bytes
    currency: str
    effective_from: datetime
    effective_to: datetime | None
    head: str
    rate_base: int
    rates: int
    price_base: int
    prices: int
    stored_as: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratebooks:
    """All that rates usage, as of one version of the books."""

    version: int
    assignment: Assignment
    books: Books
    products: Mapping[str, Product]
    cards: Mapping[int, CardTable] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined:
    """What books would be made of: accounts with their contracts, and no card versions of these numbers."""

    accounts: Accounts
    without: Collection[int] = ()


def lock_books(connection: Connection, *, exclusive: bool) -> int:
    """Hold the books until the transaction ends, and give their version."""
    function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
    # Two statements: the second has a snapshot of its own, and sees what was committed while the first waited.
    _, rows = at_once(connection, f"SELECT {function}({_LOCK})", _VERSION)
    return int(rows[0][0]) if rows else 0


def book_version(connection: Connection) -> int:
    """The version of the books."""
    row = connection.execute(_VERSION).fetchone()
    return int(row[0]) if row else 0


def raise_book_version(connection: Connection) -> None:
    """Say that the books have changed; under the exclusive lock."""
    connection.execute("UPDATE book_version SET version = version + 1")


def load_books(
    connection: Connection,
    products: Mapping[str, Product],
    known: Ratebooks | None = None,
    kept: CompiledCards | None = None,
    instead: Mapping[int, CardTable] = _NO_CARDS,
    imagined: Imagined | None = None,
) -> Ratebooks:
    """The books as this transaction sees them; cards that `known` or `kept` has compiled are taken from there.

    `instead` has compiled cards that stand for versions, by their numbers; nobody keeps them. With `imagined` the books
    are those that nobody has published.
    """
    version = book_version(connection)
    compiled = known.cards if known is not None and known.products == products else _NO_CARDS
    without = set() if imagined is None else imagined.without
    cards = {**_card_tables(connection, products, compiled, kept, {*instead, *without}), **instead}
    found = read_accounts(connection) if imagined is None else imagined.accounts
    assigned = assignment(found.accounts, found.contracts, found.numbers)
    return Ratebooks(
        version=version,
        assignment=assigned,
        books=_books(assigned, cards),
        products=products,
        cards=cards,
    )


def product_ids(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """The numbers of products in the store; one that has none gets it."""
    query = "SELECT id, product_id FROM products"
    ids: dict[str, int] = dict(connection.execute(query).fetchall())
    missing = [(name,) for name in sorted(names) if name not in ids]
    if missing:
        connection.cursor().executemany("INSERT INTO products (id) VALUES (%s) ON CONFLICT DO NOTHING", missing)
        ids = dict(connection.execute(query).fetchall())
    return ids


def read_card_versions(
    connection: Connection, card_id: str | None = None, *, replaced: bool = False
) -> list[CardVersion]:
    """The published versions of all cards, or of one, in the order of their publication; also `replaced` ones."""
    names = list(CardVersion.__dataclass_fields__)
    rows = connection.execute(
        f"SELECT {', '.join(names)} FROM {'card_versions' if replaced else 'standing_versions'}"  # noqa: S608
        " WHERE card_id = coalesce(%s, card_id) ORDER BY card_version_id",
        [card_id],
    )
    return [CardVersion(**dict(zip(names, row, strict=True))) for row in rows]


def read_card(connection: Connection, version: CardVersion, products: Mapping[str, Product]) -> Card:
    """A published card with its rows, in the order in which they were published."""
    types = {name: pa.string() for name in (*_CELLS, "declared")}
    query = sql.SQL('SELECT "row", {} FROM rates WHERE rate_id >= {} AND rate_id < {} ORDER BY rate_id').format(
        sql.SQL(", ").join(map(sql.Identifier, types)), version.rate_base, version.rate_base + version.rates
    )
    stored = copy_out(connection, query, {"row": pa.int32(), **types})
    cells = {name: stored[name].combine_chunks() for name in types}
    columns = {name: pc.fill_null(cells[name], "") for name in _CELLS if cells[name].null_count < len(stored)}
    rows = pa.table({"row": stored["row"], **columns, **_declared(cells["declared"])})
    return with_head(version.head, rows, products)


def insert_card(
    connection: Connection,
    card: Card,
    identity: bytes,
    prices: PriceList,
    *,
    at: datetime,
    actor: str,
    instead: CardVersion | None = None,
) -> CardVersion:
    """Store a checked card under the next free ids; the lock of the books is held exclusively.

    It may stand `instead` of a version from the same instant.
    """
    # A card that only blocks has no price, and takes an id all the same: each block begins where no other does.
    rate_base, price_base = connection.execute(
        "SELECT coalesce(max(rate_base + rates), 1), coalesce(max(price_base + greatest(prices, 1)), 1)"
        " FROM card_versions"
    ).fetchone() or (1, 1)
    row = connection.execute(
        "INSERT INTO card_versions (card_id, hash, currency, effective_from, effective_to, head, rate_base, rates,"
        " price_base, prices, published_at, published_by, replaces)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " RETURNING card_version_id",
        [
            *(card.id, identity, card.currency, card.effective_from, card.effective_to, write_head(card)),
            *(rate_base, card.rows.num_rows, price_base, len(prices.prices), at, actor),
            None if instead is None else instead.card_version_id,
        ],
    ).fetchone()
    number = row[0] if row else 0
    _copy_rates(connection, card, number, rate_base)
    _copy_prices(connection, prices.prices, number, price_base)
    return next(v for v in read_card_versions(connection, card.id) if v.card_version_id == number)


def _card_tables(
    connection: Connection,
    products: Mapping[str, Product],
    known: Mapping[int, CardTable],
    kept: CompiledCards | None,
    but: Collection[int],
) -> dict[int, CardTable]:
    """All published cards but for some versions, compiled, by the number of their version."""
    found = read_card_versions(connection)
    versions = {str(version.stored_as): version for version in found if version.card_version_id not in but}
    cards = {name: known[each.card_version_id] for name, each in versions.items() if each.card_version_id in known}
    if kept is not None:
        missing = {name: each.rates for name, each in versions.items() if name not in cards}
        cards |= kept.load(missing, products)
    new = {name: _compiled(connection, each, products) for name, each in versions.items() if name not in cards}
    cards |= new
    if kept is not None:
        kept.keep(cards, new, products)
    return {each.card_version_id: cards[name] for name, each in versions.items()}


def _compiled(connection: Connection, version: CardVersion, products: Mapping[str, Product]) -> CardTable:
    card = read_card(connection, version, products)
    return compile_card(card, products, rate_base=version.rate_base, price_base=version.price_base)


def _books(assigned: Assignment, cards: Mapping[int, CardTable]) -> Books:
    of_card = lineages(list(cards.values()))
    return Books(
        [
            Book(lineages=tuple(of_card[name] for name in book.cards if name in of_card), currency=book.currency)
            for book in assigned.books
        ]
    )


def _copy_rates(connection: Connection, card: Card, number: int, rate_base: int) -> None:
    count = card.rows.num_rows
    columns = {
        "rate_id": pa.array(np.arange(rate_base, rate_base + count)),
        "card_version_id": pa.repeat(pa.scalar(number, pa.int32()), count),
        "row": card.rows["row"],
    }
    stated = [name for name in card.rows.column_names if name != "row"]
    for name in stated:
        if name in _CELLS:
            columns[name] = or_null(_plain(card, name))
    declared = [name for name in stated if name not in _CELLS]
    if declared:
        cells = zip(*(_plain(card, name).to_pylist() for name in declared), strict=True)
        columns["declared"] = pa.array([_json(declared, values) for values in cells], pa.string())
    copy_in(connection, "rates", columns)


def _copy_prices(connection: Connection, prices: Sequence[Price], number: int, price_base: int) -> None:
    rows = [
        {
            "price_id": price_base + place,
            "card_version_id": number,
            "product": price.product,
            "element": price.element,
            "destination": price.destination,
            "number_type": price.number_type,
            "unit": price.unit,
            "unit_size": price.unit_size,
            "base": price.base,
            "prices": " ".join(map(normal, price.prices)),
            "schedule": price.schedule,
            "free_units": normal(price.free_units),
            "block": normal(price.block),
        }
        for place, price in enumerate(prices)
    ]
    if rows:
        copy_in(connection, "prices", {name: pa.array([row[name] for row in rows]) for name in rows[0]})


def _plain(card: Card, name: str) -> Table:
    return column(card.rows, name).cast(pa.string())


def _json(names: Sequence[str], values: Sequence[str]) -> str | None:
    stated = {name: value for name, value in zip(names, values, strict=True) if value}
    return json.dumps(stated) if stated else None


def _declared(texts: Table) -> dict[str, Table]:
    if texts.null_count == len(texts):
        return {}
    rows = [json.loads(text) if text else {} for text in texts.to_pylist()]
    names = sorted({name for row in rows for name in row})
    return {name: pa.array([row.get(name, "") for row in rows], pa.string()) for name in names}
