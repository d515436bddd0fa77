"""Charges for tests, and a poster in a process of its own, to be killed at any moment."""

from datetime import datetime

from billing.charges import Charge, read_charge
from billing.flows.post import post_charges
from billing.store.engine import open_engine
from rates.cards import Card
from tests.shop import products, read

CARD = """
id = "list"
currency = "USD"
effective_from = 2025-01-01T00:00:00Z

[[rate]]
product = "number.monthly"
destination = "Local number"
country = "US"
number_type = "local"
unit = "number"
price = "1.15"

[[rate]]
product = "shortcode.lease"
destination = "Short code"
country = "US"
unit = "lease"
price = "1500"
"""


def card() -> Card:
    """A card of numbers and short codes."""
    return read(CARD)


def charge(id_: str = "num-1", **changes: object) -> Charge:
    """A number of acme from 31 August 2026, monthly; `changes` replace keys."""
    table: dict[str, object] = {
        "id": id_,
        "account": "acme",
        "product": "number.monthly",
        "effective_from": "2026-08-31T09:00:00Z",
        "every": "month",
        "drift": True,
        "dimensions": {"country": "US", "number_type": "local"},
    }
    found, faults = read_charge({**table, **changes}, "charge.toml", products())
    assert found is not None, faults
    return found


def post_in_a_process(url: str, at: datetime, dues_at_once: int) -> None:
    """Post what is due."""
    engine = open_engine(url)
    post_charges(engine, products(), at=at, dues_at_once=dues_at_once)
    engine.dispose()
