"""What is wrong with rates of products that are billed by the average of a month: nothing settles one event alone."""

from rates.checking.checked import Checked

_BY_EVENT = ("steps", "min_charge", "max_charge")


def check_averages(checked: Checked) -> None:
    """A fault for each row of such a product that is priced by something else, or event by event."""
    averaged = {name: product.average for name, product in checked.products.items() if product.average}
    rounded = checked.card.rounding.per == "event"

    def unit(product: str, unit: str, element: str) -> tuple[str, str] | None:
        average = averaged.get(product)
        if not average or element or unit in {"", average}:
            return None
        return f"is not what {product} is billed by, the average of the month", f"write {average}"

    def by_event(product: str, cell: str) -> tuple[str, str] | None:
        if product not in averaged or not cell:
            return None
        return f"is settled event by event, and {product} by the average of the month", "remove it here"

    def rounding(product: str) -> tuple[str, str] | None:
        if product not in averaged or not rounded:
            return None
        return "is billed by the average of the month, and the card rounds each event", "round per line"

    checked.each(["product", "unit", "element"], "unit", unit)
    for name in _BY_EVENT:
        if name in checked.card.rows.column_names:
            checked.each(["product", name], name, by_event)
    checked.each(["product"], "product", rounding)
