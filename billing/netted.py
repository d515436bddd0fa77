"""Lines of the second pass explained: which lines they are of, and how they came about, in words."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from billing.invoices import InvoiceLine
from rates.deals import Agreed, Credit, is_committed
from rates.money import Currency, format_fraction, format_minor, normal
from rates.netting import CREDIT, MAXIMUM_SPEND, MINOR, NETTED, bound_minor
from rates.products import Product
from rates.support import SUPPORT
from rates.tiers import Selector, selected


class Netted(NamedTuple):
    """How a line came about: in words, and from which lines, by their numbers."""

    words: str
    of: tuple[int, ...]


class _Bound(NamedTuple):
    """A bound of a commitment for its days: what it is in a whole month, and in minor units for these."""

    name: str
    amount: Decimal
    days: int
    minor: int
    on: tuple[Selector, ...]


def is_netted(line: InvoiceLine) -> bool:
    """Whether a line is of the second pass."""
    return line.element in NETTED and line.base_unit == MINOR


def explain(
    line: InvoiceLine,
    lines: Sequence[InvoiceLine],
    agreed: Agreed | None,
    products: Mapping[str, Product],
    currency: Currency,
) -> Netted | None:
    """How a line of the second pass came about among the `lines` of its invoice.

    None where the contracts as they are do not have what it is of.
    """
    if agreed is None or not is_netted(line):
        return None
    if line.element == CREDIT:
        return _credit(line, lines, agreed, currency)
    if line.element == SUPPORT:
        return _support(line, agreed, currency)
    here = line.element == MAXIMUM_SPEND  # only of its own product and country; a true-up is of all
    alike = (each for each in _bounds(agreed, currency) if line.destination == each.name)
    bound = next((each for each in alike if not here or selected(each.on, line.product, line.country, "")), None)
    if bound is None:
        return None
    of = tuple(
        number
        for number, each in _taken(lines, bound.on)
        if not is_netted(each)
        and is_committed(products.get(each.product), each.element)
        and (not here or (each.product, each.country) == (line.product, line.country))
    )
    beyond = sum(
        each.amount_minor
        for _, each in (_taken(lines, bound.on) if here else enumerate(lines))
        if is_netted(each) and each.destination == bound.name
    )
    come_to, far = format_minor(bound.minor - beyond, currency), format_minor(abs(beyond), currency)
    days = "" if bound.days == agreed.days else f" × {bound.days} ÷ {agreed.days} days"
    kind = bound.name.partition(" ")[0]
    said = f"{kind} {normal(bound.amount)}{days} = {format_minor(bound.minor, currency)} {currency}; what counts is"
    if not here:
        return Netted(f"{said} {come_to}: {far} more", of)
    own = format_minor(abs(line.amount_minor), currency)
    return Netted(f"{said} {come_to}: {far} less, of which {own} on these lines", of)


def _credit(line: InvoiceLine, lines: Sequence[InvoiceLine], agreed: Agreed, currency: Currency) -> Netted | None:
    found: list[Credit] = [
        credit for each in agreed.terms() for credit in each.credits if credit.id == line.destination
    ]
    if not found:
        return None
    credit = found[0]
    of = tuple(
        number
        for number, each in _taken(lines, credit.on)
        if each.element != CREDIT and (each.product, each.country) == (line.product, line.country)
    )
    paid = -sum(each.amount_minor for each in lines if is_netted(each) and each.destination == credit.id)
    amounts = [format_minor(minor, currency) for minor in (agreed.used.get(credit.id, 0), paid, -line.amount_minor)]
    until = f" for usage before {credit.until}" if credit.until else ""
    said = f"credit of {normal(credit.amount)} {currency}{until}: {amounts[0]} paid on other invoices"
    return Netted(f"{said}, {amounts[1]} on this, of which {amounts[2]} on these lines", of)


def _support(line: InvoiceLine, agreed: Agreed, currency: Currency) -> Netted | None:
    """How a support plan came to its line; its base is on the invoice of the month before."""
    plans = [each for each in agreed.support if each.name == line.destination]
    said = []
    for each in plans:
        plan, of = each.support, f"{normal(each.support.percent)} % of {format_minor(each.base_minor, currency)}"
        days = "" if each.days == each.of_days else f" × {each.days} ÷ {each.of_days} days"
        partner = f", less {normal(plan.partner_discount)} %" if plan.partner_discount else ""
        least = f", at least {normal(plan.least)}" if plan.least else ""
        said.append(f"{of} {currency} in {each.month}{least}{days}{partner} = {format_fraction(each.exact(currency))}")
    own = format_minor(line.amount_minor, currency)
    return Netted(f"{'; '.join(said)}, rounded {own} {currency}", ()) if said else None


def _taken(lines: Sequence[InvoiceLine], on: tuple[Selector, ...]) -> Iterable[tuple[int, InvoiceLine]]:
    """The lines that selectors take, with their numbers from 1."""
    numbered = enumerate(lines, start=1)
    return ((number, line) for number, line in numbered if selected(on, line.product, line.country, ""))


def _bounds(agreed: Agreed, currency: Currency) -> Iterable[_Bound]:
    """The bounds of the commitments of a period, by the names that their lines have."""
    for commitment in dict.fromkeys(each.commitment for each in agreed.terms() if each.commitment):
        days = sum(span.days for span in agreed.spans if span.deal.commitment == commitment)
        for kind, amount in (("minimum", commitment.least), ("maximum", commitment.most)):
            if amount is not None:
                minor = bound_minor(amount, days, agreed.days, currency)
                yield _Bound(f"{kind} {format_minor(minor, currency)}", amount, days, minor, commitment.on)
