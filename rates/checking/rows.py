"""What is wrong with a card whose every cell is right: cells of a row that contradict each other or the card.

Each check looks at the distinct combinations of the columns it is about, never at rows one by one.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rates.cards import Card, combined
from rates.checking.averages import check_averages
from rates.checking.charges import check_charges
from rates.checking.checked import Checked
from rates.checking.counters import is_whole
from rates.checking.sheet import Sheet
from rates.checking.ties import lifetimes, micros
from rates.errors import Fault
from rates.money import parse_decimal
from rates.prices import EVENT
from rates.products import DIMENSIONS, ELEMENTS, MONEY, Product
from rates.tiers import Schedule

_SEVERAL = " "


def check(card: Card, sheet: Sheet, products: Mapping[str, Product]) -> list[Fault]:
    """Every contradiction in a card whose rows stand as the sheet's do and whose cells are canonical."""
    checked = Checked(card=card, sheet=sheet, products=products, faults=[])
    _required(checked)
    _products(checked)
    _matches(checked)
    _tiers(checked)
    _instants(checked)
    _pooled(checked)
    check_charges(checked)
    check_averages(checked)
    return checked.faults


def _required(checked: Checked) -> None:
    empty = {
        name: pc.equal(checked.sheet.cells(name), "").to_numpy(zero_copy_only=False)
        for name in ("product", "unit", "price", "prices", "steps", "setup_fee")
    }
    for name in ("product", "unit"):
        checked.note(name, empty[name], "is missing", "every rate names its product and unit")
    priced, blocked = ~empty["price"] | ~empty["prices"], checked.has("blocked")
    stepped = ~empty["steps"]
    checked.note("price", ~priced & ~stepped & ~blocked, "is missing", "give price, prices, steps or blocked")
    checked.note("steps", priced & stepped, "stand beside a price", "keep one of them")
    checked.note("price", priced & blocked, "is given in a blocked row", "remove one of them")
    checked.note("setup_fee", ~empty["setup_fee"] & blocked, "is given in a blocked row", "remove one of them")


def _products(checked: Checked) -> None:
    def unit(product: str, unit: str) -> tuple[str, str] | None:
        found = checked.products.get(product)
        if not unit or found is None or found.unit_size(unit) is not None:
            return None
        return f"is not a unit of {product}", f"use one of {', '.join((*found.units, EVENT, MONEY))}"

    def element(product: str, element: str) -> tuple[str, str] | None:
        found = checked.products.get(product)
        if found is None or not element:
            return None
        known = {*ELEMENTS, *(fee.element for rule in found.rules for fee in rule.fees)}
        return (
            None if element in known else (f"is not an element of {product}", f"use one of {', '.join(sorted(known))}")
        )

    def increments(product: str, element: str, increments: str, blocked: str) -> tuple[str, str] | None:
        found = checked.products.get(product)
        if found is None:
            return None
        if increments and not found.timed:
            return f"{product} is not counted in seconds", "remove the increments"
        if increments or blocked or element or not found.timed or _defaulted(found, checked.card):
            return None
        return f"is missing, and {product} has no default", "write first/next, as in 60/60"

    checked.each(["product", "unit"], "unit", unit)
    checked.each(["product", "element"], "element", element)
    checked.each(["product", "element", "increments", "blocked"], "increments", increments)


def _defaulted(product: Product, card: Card) -> bool:
    later = [rule for rule in product.rules if rule.effective_from > card.effective_from]
    rules = [product.rule_at(card.effective_from), *later]
    return all(rule is not None and rule.increments is not None for rule in rules)


def _matches(checked: Checked) -> None:
    rows = checked.card.rows
    declared = {name for product in checked.products.values() for name in product.dimensions}
    for name in sorted((declared | set(DIMENSIONS)) - {"country"}):
        if name in rows.column_names:
            _declared(checked, name, name)
    for name, number in (("prefixes", "to"), ("origin_prefixes", "from"), ("origin", "from")):
        if name in rows.column_names:
            _declared(checked, name, number)
    checked.note("mnc", checked.has("mnc") & ~checked.has("mcc"), "stands without mcc", "give the country code too")
    both = checked.has("origin") & checked.has("origin_prefixes")
    checked.note("origin", both, "an unknown caller has no prefix", "remove origin or origin_prefixes")
    empty = pc.equal(checked.sheet.cells("prefixes"), "").to_numpy(zero_copy_only=False)
    alone = checked.has("exact") & empty
    checked.note("prefixes", alone, "is missing in an exact row", "list the whole numbers or addresses")


def _declared(checked: Checked, name: str, dimension: str) -> None:
    def undeclared(product: str) -> tuple[str, str] | None:
        found = checked.products.get(product)
        if found is None or dimension in found.match:
            return None
        return f"{product} is not matched on {dimension}", f"leave it empty; {product} has {', '.join(found.match)}"

    checked.each(["product"], name, undeclared, checked.has(name))


def _tiers(checked: Checked) -> None:
    schedules = checked.card.schedules

    def wrong(prices: str, tiers: str, element: str) -> tuple[str, str] | None:
        count = prices.count(_SEVERAL) + 1
        if not tiers:
            return ("several prices without tiers", "name the schedule") if count > 1 else None
        if element:
            return "only usage has tiers", "give this element one price"
        schedule = schedules[tiers]
        if count > 1 and schedule.discounts:
            return f"prices and the discounts of {tiers} are both given", "give one price, or remove the discounts"
        return None if count in {1, schedule.tiers} else _miscounted(count, schedule)

    def single(prices: str, tiers: str) -> tuple[str, str] | None:
        schedule = schedules.get(tiers)
        if schedule is None or _SEVERAL in prices or schedule.tiers == 1 or schedule.discounts:
            return None
        return _miscounted(1, schedule)

    checked.each(["prices", "tiers", "element"], "prices", wrong)
    if "prices" in checked.sheet.columns:
        listed = pc.not_equal(checked.sheet.cells("prices"), "").to_numpy(zero_copy_only=False)
        checked.each(["prices", "tiers"], "prices", single, listed)


def _miscounted(count: int, schedule: Schedule) -> tuple[str, str]:
    prices = "1 price" if count == 1 else f"{count} prices"
    return f"{prices} for the {schedule.tiers} tiers of {schedule.name}", "give one per tier; price is for all tiers"


def _instants(checked: Checked) -> None:
    card = checked.card
    if not {"effective_from", "effective_to"} & set(card.rows.column_names):
        return
    starts, ends = lifetimes(card)
    remedy = "a row lives inside its card"
    checked.note("effective_from", starts < micros(card.effective_from.isoformat()), "is before the card's", remedy)
    if card.effective_to is not None:
        until = micros(card.effective_to.isoformat())
        checked.note("effective_from", starts >= until, "is not before the card's effective_to", remedy)
        checked.note("effective_to", ends > until, "is after the card's", remedy)
    ended = checked.has("effective_to") & (ends <= starts)
    checked.note("effective_to", ended, "is not after the row's effective_from", "a row lives for some time")


def _pooled(checked: Checked) -> None:
    for name in ("free_units", "block"):
        if name not in checked.card.rows.column_names:
            continue
        checked.note(name, checked.has(name) & checked.has("element"), "only usage is pooled", "remove it here")
        checked.each(["product", "unit", name], name, lambda *cells: _whole_units(checked.products, *cells))
    pools = [name for name in ("free_units", "block") if name in checked.card.rows.column_names]
    if pools:
        filled = np.logical_or.reduce([checked.has(name) for name in pools])
        rows = checked.card.rows.filter(pa.array(filled))
        shared, _ = combined(rows, ["product", "destination"])
        stated, first = combined(rows, ["product", "destination", "unit", *pools])
        agreed = np.full(len(rows), -1, dtype=np.int64)
        agreed[shared[first][::-1]] = np.arange(len(first) - 1, -1, -1)
        bad = np.zeros(len(filled), dtype=bool)
        bad[np.flatnonzero(filled)] = stated != agreed[shared]
        problem = "differs from another row of this product and destination"
        checked.note(pools[0], bad, problem, "they share one pool: state it alike")


def _whole_units(products: Mapping[str, Product], product: str, unit: str, cell: str) -> tuple[str, str] | None:
    found = products.get(product)
    size = found.unit_size(unit) if found else None
    if not cell or size is None or found is None:
        return None
    if unit == EVENT:
        return "stands beside a price per event", "give a price per unit, or a pool of its own"
    if is_whole(parse_decimal(cell), size):
        return None
    return f"is not a whole number of {found.base}s", "pools hold base units"
