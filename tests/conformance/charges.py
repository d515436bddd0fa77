"""What a bill comes to, as others round it, and what the steps after the price say of it."""

from dataclasses import dataclass
from fractions import Fraction

from rates.money import EXPONENTS, round_ratio
from tests.conformance import reasons
from tests.conformance.tariffs import PAYER, Billed, Sale, exact
from tests.conformance.verdicts import CannotSayError, Compared, Given, whole

CURRENCIES = {0: "JPY", 2: "USD", 4: "CLF"}
"""A currency for a number of decimals. Those of three are invoiced in two."""

_PENCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What lines come to: each rounded, their sum rounded once, and exact."""

    lines: Fraction
    once: Fraction
    exact: Fraction


def round_to(value: Fraction, places: int) -> Fraction:
    """A number to so many decimals, half away from zero."""
    return Fraction(round_ratio(value.numerator * 10**places, value.denominator), 10**places)


def charge_of(bill: Billed) -> Charge:
    """What the lines of a bill come to."""
    places = EXPONENTS[bill.currency]
    return Charge(lines=bill.total, once=round_to(bill.exact, places), exact=bill.exact)


def added(after: Billed, before: Billed) -> Charge:
    """What later usage of a period adds to the bill, line by line."""
    stood = {_key(line): exact(line, before.currency) for line in before.lines}
    more = [exact(line, after.currency) - stood.pop(_key(line), Fraction(0)) for line in after.lines]
    more += [-value for value in stood.values()]
    places, total = EXPONENTS[after.currency], sum(more, Fraction(0))
    lines = sum((round_to(each, places) for each in more), Fraction(0))
    return Charge(lines=lines, once=round_to(total, places), exact=total)


def _key(line: object) -> tuple[object, ...]:
    return tuple(getattr(line, name) for name in ("product", "element", "destination", "tier", "unit_price"))


def amount(
    given: Given, params: Given, charge: Charge, otherwise: str = "", *, with_billed: bool = False
) -> list[Compared]:
    """The amount as the case rounds it, with what was billed before. The sum of our lines is the total, always.

    `otherwise` is the reason for which the whole may be another. `with_billed`: what was billed before is in it.
    """
    scope = params.get("round_scope") or "line"
    before = Fraction(params.get("billed") or 0)
    if before and not (with_billed or params.get("subtract_billed")):
        raise CannotSayError(reasons.BILLED_BEFORE)
    params.get("subtract_billed")
    expected = given["expected_amount"]
    if scope == "none":
        return [Compared(fact="amount", expected=expected, came=charge.exact - before, otherwise=otherwise)]
    if scope == "total" and Fraction(expected) == charge.once - before:
        otherwise = otherwise or reasons.PER_LINE
    return [Compared(fact="amount", expected=expected, came=charge.lines - before, otherwise=otherwise)]


def currency_of(params: Given) -> str:
    """A currency with the decimals of the case. Raises CannotSayError where there is none."""
    places = places_of(params)
    if places not in CURRENCIES:
        raise CannotSayError(reasons.NO_CURRENCY)
    return CURRENCIES[places]


def places_of(params: Given) -> int:
    """The decimals to which a case rounds."""
    return whole(params.get("places", _PENCE))


def fees_of(params: Given) -> list[Sale]:
    """A recurring fee: an event of its own."""
    if "base_fee" not in params:
        return []
    return [Sale(product="base", price=Fraction(params["base_fee"]), used={PAYER: [Fraction(1)]})]


def past_last_tier(sale: Sale, quantity: Fraction) -> str:
    """The reason for which usage beyond a last tier that is closed may come to something else."""
    last = sale.closed
    return reasons.LAST_TIER_OPEN if last is not None and quantity > last else ""
