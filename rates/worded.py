"""In words: how an event came to its charge, for quotes and explanations. For reading; nothing is rated by it."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from rates.cards import Card
from rates.money import exact, format_fraction
from rates.prices import CHARGE, EVENT, MAXIMUM, MINIMUM, Price
from rates.products import Product
from rates.steps import Step, parse_steps

Cells = Mapping[str, str]
"""The cells of a row as its card's canonical form has them."""


def amount_of(price: Price, billed: int, *, tier_price: Fraction | None = None) -> Fraction:
    """What an element comes to, exactly; of a rounded charge the charge, of what is rounded by itself nothing more."""
    if price.element == CHARGE:
        return Fraction(billed, 10**price.rounding.decimals)
    unit_price = exact(price.prices[0]) if tier_price is None else tier_price
    return unit_price * Fraction(billed, price.unit_size)


def window_in_words(card: Card, name: str) -> str:
    """`peak (mon-fri 08:00-20:00 Europe/Paris)`; "" for a row without a window."""
    if not name:
        return ""
    split = ", split" if card.windows[name].split else ""
    return f"{name} ({card.windows[name]} {card.timezone}{split})"


def step_in_words(cells: Cells, place: int, base: str) -> str:
    """`from second 60 on`, for the steps (from 0) of a row that has several; else ""."""
    steps: Sequence[Step] = parse_steps(cells.get("steps", ""))
    return f"from {base} {steps[place].start} on" if len(steps) > 1 else ""


def rounding_in_words(price: Price, whole: Fraction, charge: Fraction) -> str:
    """`0.01346 rounded to 4 decimals, half-up: 0.0135`."""
    decimals = price.rounding.decimals
    places = "1 decimal" if decimals == 1 else f"{decimals} decimals"
    return f"{format_fraction(whole)} rounded to {places}, {price.rounding.mode}: {format_fraction(charge)}"


def percent_in_words(left: Fraction) -> str:
    """`5 % off by contract`; "" where nothing is."""
    return "" if left == 1 else f"{format_fraction(100 * (1 - left))} % off by contract"


def limit_in_words(element: str, without: Fraction | None, limit: Fraction) -> str:
    """`0.14 is less than the minimum: 0.15`; `without` is what the event would come to, None where it is not known.

    What would not come to more than its maximum has a surcharge that is too much.
    """
    without = None if element == MAXIMUM and without is not None and without <= limit else without
    beyond = {MINIMUM: "less than the minimum", MAXIMUM: "more than the maximum"}[element]
    said = "its usage, setup and surcharge are" if without is None else f"{format_fraction(without)} is"
    return f"{said} {beyond}: {format_fraction(limit)}"


def cost_without_limits(cells: Cells, billed: int, product: Product) -> Fraction:
    """What so many base units cost on a row of one price or of steps, with its setup fee."""
    unit, fee = cells["unit"], Fraction(cells.get("setup_fee", "0"))
    steps = parse_steps(cells.get("steps", "")) or parse_steps(f"0:{cells['prices'].split()[0]}")
    ends = [*(step.start for step in steps[1:]), billed]
    if unit == EVENT:
        return exact(steps[0].price) + fee
    unit_size = product.unit_size(unit) or 1
    pairs = zip(steps, ends, strict=True)
    return sum(
        (exact(step.price) * Fraction(max(min(end, billed) - step.start, 0), unit_size) for step, end in pairs), fee
    )
