"""Averages of a month: of some products a unit is as many base units as the month has days.

What is stored, for one, is reported day by day, and paid for by the average: the minutes of all days, divided by the
days of the month. Sums stay whole base units; only what prices, schedules and pools call a unit is another size in each
month, exactly.
"""

from collections.abc import Mapping
from dataclasses import replace

from rates.prices import Price
from rates.products import Product


def products_of_month(products: Mapping[str, Product], days: int) -> Mapping[str, Product]:
    """The products as they are counted in a month of so many days."""
    averaged = {name: product for name, product in products.items() if product.average}
    return {
        **products,
        **{name: replace(each, units={**each.units, each.average: days}) for name, each in averaged.items()},
    }


def prices_of_month(prices: Mapping[int, Price], products: Mapping[str, Product]) -> dict[int, Price]:
    """Prices, by their ids, with the sizes that their units have in a month; `products` are those of that month."""
    return {number: _sized(price, products.get(price.product)) for number, price in prices.items()}


def _sized(price: Price, product: Product | None) -> Price:
    if product is None or not product.average or price.unit != product.average:
        return price
    return replace(price, unit_size=product.units[product.average])
