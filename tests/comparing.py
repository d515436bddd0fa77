"""Cards of a few rows, for tests that compare cards: written as little as they need."""

from datetime import datetime

from rates.cardfile import card_from_table
from rates.cards import Card
from tests.decks import BEGINS, PRODUCTS

USUAL = {"product": "voice.outbound", "unit": "minute", "increments": "60/60", "destination": "x"}


def card(*rows: dict[str, object], begins: datetime = BEGINS, name: str = "list", **head: object) -> Card:
    """A card of some rows; a price may be given as `price`, and what a row does not say is usual."""
    whole = [{**USUAL, **row} for row in rows]
    tables = [{key: value for key, value in row.items() if value not in ("", [])} for row in whole]
    table = {"id": name, "currency": "USD", "effective_from": begins, **head, "rate": tables}
    found, faults = card_from_table(table, {}, PRODUCTS)
    assert found is not None, [str(fault) for fault in faults]
    return found


def rate(prefixes: str, price: str = "", **cells: object) -> dict[str, object]:
    """A row of a card, its prefixes with spaces between them."""
    return {"prefixes": prefixes.split(), **({"price": price} if price else {}), **cells}
