"""Whether the schedules and pools of a card fit the products that they count."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fnmatch import fnmatchcase

from rates.errors import Fault
from rates.numbering import ASSIGNED
from rates.products import MONEY, Product
from rates.reading import Reader
from rates.tiers import Measure, Pool, Schedule, Selector, whole


def schedule_faults(schedule: Schedule, products: Mapping[str, Product], place: str) -> list[Fault]:
    """What is wrong with a schedule at `place` (`card.toml: tiers.NAME`): its selectors, its unit, its bounds."""
    faults, filling = _selected(schedule.fill, products, place)
    if schedule.measure is Measure.EVENTS:
        if schedule.unit != "event":
            problem = "is not what events are counted in"
            faults.append(Fault(place=f"{place}.unit", value=schedule.unit, problem=problem, remedy="write event"))
        size: int | None = 1
    elif schedule.measure is Measure.AMOUNT:
        return faults  # bounds in money may have any decimals, over products of any base unit
    else:
        size = _size(schedule.unit, filling, place, faults)
    if size is not None:
        for i, bound in enumerate(schedule.up_to):
            faults += _whole(bound, size, f"{place}.up_to[{i}]")
    return faults


def in_currency(schedules: Mapping[str, Schedule], currency: str, read: Reader) -> dict[str, Schedule]:
    """The schedules, those that count money without a unit: it is the card's `currency`, which alone may be written."""
    found = dict(schedules)
    for name, schedule in schedules.items():
        if schedule.measure is Measure.AMOUNT:
            if schedule.unit not in {"", MONEY, currency}:
                remedy = f"leave it out: bounds of money are in the card's currency, {currency}"
                read.fault(f"tiers.{name}.unit", f"{schedule.unit} is not what money is counted in here", remedy)
            found[name] = replace(schedule, unit="")
    return found


def pool_faults(pool: Pool, products: Mapping[str, Product], place: str) -> list[Fault]:
    """What is wrong with a pool at `place` (`card.toml: pools.NAME`): its selectors, its unit, its numbers."""
    faults, filling = _selected(pool.fill, products, place)
    size = _size(pool.unit, filling, place, faults)
    if size is not None:
        faults += _whole(pool.free, size, f"{place}.free") + _whole(pool.block, size, f"{place}.block")
    if not (pool.free or pool.block):
        problem = "gives neither free units nor a block"
        faults.append(Fault(place=place, value="", problem=problem, remedy="give one, or remove the pool"))
    return faults


def is_whole(quantity: Decimal, size: int) -> bool:
    """Whether so many units of `size` base units are a whole number of base units."""
    try:
        whole(quantity, size)
    except ValueError:
        return False
    return True


def _selected(
    selectors: tuple[Selector, ...], products: Mapping[str, Product], place: str
) -> tuple[list[Fault], list[Product]]:
    faults: list[Fault] = []
    filling: dict[str, Product] = {}
    for i, selector in enumerate(selectors):
        for pattern in selector.product:
            found = [name for name in products if fnmatchcase(name, pattern)]
            if not found:
                known = f"known: {', '.join(sorted(products))}"
                where = f"{place}.fill[{i}].product"
                faults.append(Fault(place=where, value=pattern, problem="selects no product", remedy=known))
            filling.update({name: products[name] for name in found})
        if not selector.product:
            filling.update(products)
        for pattern in selector.country:
            if not any(fnmatchcase(code, pattern) for code in ASSIGNED):
                where = f"{place}.fill[{i}].country"
                remedy = "write its two capital letters, as in GB"
                faults.append(Fault(place=where, value=pattern, problem="selects no country", remedy=remedy))
        taken = [product for product in products.values() if selector.takes_product(product.id)]
        if selector.number_type and taken and not any("number_type" in product.match for product in taken):
            problem = f"selects nothing: {', '.join(product.id for product in taken)} is not matched on it"
            where, value = f"{place}.fill[{i}].number_type", " ".join(selector.number_type)
            faults.append(Fault(place=where, value=value, problem=problem, remedy="remove it"))
    return faults, list(filling.values())


def _size(unit: str, filling: list[Product], place: str, faults: list[Fault]) -> int | None:
    bases = sorted({f"{product.base}s" for product in filling})
    if len(bases) > 1:
        problem = f"counts {' and '.join(bases)} in one counter"
        remedy = "select products of one base unit, or count events"
        faults.append(Fault(place=f"{place}.fill", value="", problem=problem, remedy=remedy))
        return None
    for product in filling:
        if unit and unit not in product.units:
            problem = f"is not a unit of {product.id}, which fills it"
            remedy = f"use one of {', '.join(product.units)}"
            faults.append(Fault(place=f"{place}.unit", value=unit, problem=problem, remedy=remedy))
            return None
    sizes = {product.units[unit] for product in filling if unit}
    if len(sizes) > 1:
        problem = "has another size in each product that fills it"
        faults.append(Fault(place=f"{place}.unit", value=unit, problem=problem, remedy="use the base unit"))
    return sizes.pop() if len(sizes) == 1 else None


def _whole(quantity: Decimal, size: int, place: str) -> list[Fault]:
    if is_whole(quantity, size):
        return []
    problem = "is not a whole number of base units"
    return [Fault(place=place, value=str(quantity), problem=problem, remedy="counters hold whole base units")]
