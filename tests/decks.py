"""What tests of decks share: the built-in products and dialects, and a deck read from its text."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rates.cards import Card
from rates.dialects.decks import Reading, Told, read_deck
from rates.dialects.files import DeckFile, open_csv
from rates.dialects.mappings import Dialect, read_mapping, told
from rates.products import Product, read_product

ROOT = Path(__file__).parents[1]
BEGINS = datetime(2026, 10, 1, tzinfo=UTC)
BUILT_IN = sorted(path.stem for path in ROOT.glob("rates/dialects/*.toml"))


def products() -> dict[str, Product]:
    found = [read_product(tomllib.loads(path.read_text()), "p")[0] for path in ROOT.glob("rates/catalogue/*.toml")]
    return {product.id: product for product in found if product is not None}


PRODUCTS = products()
DIMENSIONS = frozenset(name for product in PRODUCTS.values() for name in product.dimensions)


def table_of(name: str) -> dict[str, object]:
    return tomllib.loads((ROOT / "rates" / "dialects" / f"{name}.toml").read_text())


def mapped(table: Mapping[str, object] | str, **settings: str) -> Dialect:
    """The dialect of a mapping (its table, its TOML, or the name of a built-in one), with settings told beside it."""
    if isinstance(table, str):
        table = table_of(table) if table in BUILT_IN else tomllib.loads(table)
    settings = {key.replace("__", "."): value for key, value in settings.items()}
    dialect, faults = read_mapping(told(table, settings), "mapping.toml", DIMENSIONS)
    assert [] == faults
    assert dialect is not None
    return dialect


def read(
    file: DeckFile | bytes | str,
    dialect: Dialect,
    *,
    currency: str = "USD",
    increments: str = "",
    product: str = "",
    begins: datetime = BEGINS,
) -> Reading:
    if isinstance(file, str | bytes):
        data = file.encode() if isinstance(file, str) else file
        opened, faults = open_csv(data, "deck.csv", encoding=dialect.encoding, delimiter=dialect.delimiter)
        if opened is None:
            return Reading(card=None, faults=faults)
        file = opened
    facts = Told(card_id="deck", currency=currency, effective_from=begins, increments=increments, product=product)
    return read_deck(file, dialect, facts, PRODUCTS)


def card(reading: Reading) -> Card:
    assert [] == [str(fault) for fault in reading.faults]
    assert reading.card is not None
    return reading.card


def rows(reading: Reading, *keys: str) -> list[tuple[str, ...]]:
    """Some cells of every row of the card of a reading."""
    found = card(reading).rows.to_pylist()
    return [tuple(row.get(key) or "" for key in keys) for row in found]


def faults(reading: Reading) -> list[str]:
    assert reading.card is None
    return [str(fault) for fault in reading.faults]
