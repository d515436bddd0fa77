"""What is wrong with what of an event's charge is not linear: steps, minimum and maximum charges, rounding per event.

All of it is settled from a row's single list price when the event is rated, so that nothing that is decided later (a
tier, a pool) may change what the units cost.
"""

from decimal import Decimal

from rates.checking.checked import Checked
from rates.money import plain
from rates.prices import CARRIER_FEE, EVENT, SURCHARGE, USAGE
from rates.products import MONEY
from rates.tiers import Schedule, Selector

_SEVERAL = " "
_LIMITS = ("min_charge", "max_charge")
_POOLS = ("free_units", "block")
_ELSEWHERE = "remove it from other elements"

Wrong = tuple[str, str] | None
"""(problem, remedy), or None."""


def check_charges(checked: Checked) -> None:
    """A fault for each row whose steps, limits or rounding contradict something."""
    columns = checked.card.rows.column_names
    checked.note("setup_fee", checked.has("setup_fee") & checked.has("element"), "is only for usage", _ELSEWHERE)
    for name in ("steps", *_LIMITS):
        if name in columns:
            _alone(checked, name)
            _unpooled(checked, name)
    if "steps" in columns:
        _steps(checked)
    if {*_LIMITS} & {*columns}:
        _limits(checked)
    if checked.card.rounding.per == "event":
        _rounded(checked)
    _in_money(checked)


def _in_money(checked: Checked) -> None:
    """What is counted is money, so that no time, no steps, no tiers and no pools are about it."""

    def product(unit: str, product: str, element: str) -> Wrong:
        found = checked.products.get(product)
        if unit != MONEY or found is None:
            return None
        if element not in {"", USAGE, SURCHARGE, CARRIER_FEE}:
            return f"is money, and no event brings {element}", "name a unit of the product, or event"
        if found.timed and element in {"", USAGE}:
            return f"is money, and {product} is counted in seconds", "name a unit of time, or event"
        return None

    def counted(unit: str, cell: str) -> Wrong:
        return ("stands beside the unit money", "remove it here") if unit == MONEY and cell else None

    checked.each(["unit", "product", "element"], "unit", product)
    for name in ("tiers", "steps", "increments", "grace", *_POOLS):
        if name in checked.card.rows.column_names:
            checked.each(["unit", name], name, counted)


def has_tier_prices(prices: str, schedule: Schedule | None) -> bool:
    """Whether a row's unit price depends on the tier."""
    return _SEVERAL in prices or (schedule is not None and bool(schedule.discounts))


def _alone(checked: Checked, name: str) -> None:
    """Of usage only, and of rows that charge."""
    given = checked.has(name)
    checked.note(name, given & checked.has("element"), "is only for usage", _ELSEWHERE)
    checked.note(name, given & checked.has("blocked"), "is given in a blocked row", "remove one of them")


def _unpooled(checked: Checked, name: str) -> None:
    """No pool may take units of which the charge is settled already."""
    given = checked.has(name)
    for own in _POOLS:
        both = given & checked.has(own)
        checked.note(own, both, f"stands beside {name}", "a pool takes units whose price is the same: keep one")
    pools = checked.card.pools

    def pooled(product: str, country: str, number_type: str) -> Wrong:
        names = [
            pool.name
            for pool in pools.values()
            if any(_may_take(selector, product, country, number_type) for selector in pool.fill)
        ]
        return (f"pool {names[0]} may take usage of this row", "keep it out of the pool's fill") if names else None

    if pools:
        checked.each(["product", "country", "number_type"], name, pooled, given & ~checked.has("element"))


def _may_take(selector: Selector, product: str, country: str, number_type: str) -> bool:
    """Whether usage of a row is in a selection; a row without a country may be of any."""
    if country:
        return selector.takes(product, country, number_type)
    return Selector(product=selector.product, number_type=selector.number_type).takes(product, "", number_type)


def _steps(checked: Checked) -> None:
    schedules = checked.card.schedules

    def wrong(steps: str, unit: str, tiers: str) -> Wrong:
        if not steps:
            return None
        if unit == EVENT:
            return "price units of one event, and the unit is event", "name the unit that they price"
        schedule = schedules.get(tiers)
        if schedule is not None and (schedule.tiers > 1 or schedule.discounts):
            return f"price by duration, and {tiers} by tier", "remove one of them"
        return None

    checked.each(["steps", "unit", "tiers"], "steps", wrong)


def _limits(checked: Checked) -> None:
    schedules, rounding = checked.card.schedules, checked.card.rounding

    def tiered(prices: str, tiers: str) -> Wrong:
        if has_tier_prices(prices, schedules.get(tiers)):
            return (
                "stands beside several tier prices",
                "give one price for all tiers",
            )
        return None

    def above(least: str, most: str) -> Wrong:
        if least and most and Decimal(least) > Decimal(most):
            return f"is above max_charge {most}", "let the minimum be the lower one"
        return None

    def fine(limit: str) -> Wrong:
        if limit and _decimals(limit) > rounding.decimals:
            return f"has more decimals than an event is rounded to, {rounding.decimals}", "shorten it"
        return None

    for name in _LIMITS:
        checked.each(["prices", "tiers"], name, tiered, checked.has(name))
        if rounding.per == "event":
            # Else an event within its limits could be rounded to a charge beyond them.
            checked.each([name], name, fine)
    checked.each([*_LIMITS], "min_charge", above)


def _decimals(canonical: str) -> int:
    return len(plain(Decimal(canonical)).partition(".")[2])


def _rounded(checked: Checked) -> None:
    schedules = checked.card.schedules

    def tiered(prices: str, tiers: str) -> Wrong:
        if has_tier_prices(prices, schedules.get(tiers)):
            return "several tier prices with rounding per event", "round per line, or give one price"
        return None

    checked.each(["prices", "tiers"], "prices", tiered)
    for name in _POOLS:
        checked.note(name, checked.has(name), "a pool with rounding per event", "round per line")
