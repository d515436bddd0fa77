"""What a person should know of a checked card before it is published, though none of it makes it unusable."""

from collections.abc import Mapping
from dataclasses import replace

from rates.cardchanges import RATES_CSV, Rows, countries_denied
from rates.cards import Card
from rates.errors import Fault
from rates.filling import filled_of, unfilled, ungiven
from rates.products import Product


def warnings_of(
    card: Card, products: Mapping[str, Product], *, written: Rows = RATES_CSV, place: str = "card.toml"
) -> list[Fault]:
    """Schedules and pools that nothing fills, free units that nobody gets, and countries that prefixes deny."""
    idle = [
        replace(fault, place=fault.place.replace(f"card {card.version}", place))
        for fault in (*unfilled([filled_of(card)]), *ungiven(card))
    ]
    return [*idle, *countries_denied(card, products, written=written)]
