"""What a month came to for the support plans of its contract: the base of their percent."""

from collections.abc import Iterable, Mapping

from billing.invoices import InvoiceLine
from rates.deals import is_committed
from rates.netting import CREDIT, TRUE_UP
from rates.products import Product

NOT_IN_BASE = frozenset({CREDIT, TRUE_UP})
"""Elements of the second pass that are neither usage nor recurring; a maximum is what usage came to at most."""


def support_base(lines: Iterable[InvoiceLine], products: Mapping[str, Product], month: str) -> int:
    """The rounded lines of a month (`2026-10`) that a support plan is a percent of, in minor units.

    Usage and recurring lines of all accounts that the invoice bills, as they come to under percents and maximum. Left
    out are carrier fees, one-off charges and support itself, which no commitment is about either; and what the month
    lacked of a minimum, credits, and lines of other months.
    """
    return sum(
        line.amount_minor
        for line in lines
        if line.origin_period == month
        and line.element not in NOT_IN_BASE
        and is_committed(products.get(line.product), line.element)
    )
