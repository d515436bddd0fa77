"""Lines of the second pass explained: which bound they are of, also where two are called alike."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

from billing.invoices import InvoiceLine
from billing.netted import explain
from rates.deals import Agreed, Commitment, Deal, Span
from rates.money import currency
from rates.netting import MAXIMUM_SPEND, MINOR
from rates.tiers import Selector

USD = currency("USD")


def line(product: str, element: str, minor: int) -> InvoiceLine:
    netted = element == MAXIMUM_SPEND
    return InvoiceLine(
        product=product,
        element=element,
        country="GB",
        destination="maximum 0.05" if netted else "",
        tier="",
        events=0 if netted else 1,
        unit="USD" if netted else "event",
        unit_size=100 if netted else 1,
        unit_price=Fraction(-1) if netted else Fraction(minor, 100),
        amount_minor=minor,
        residual=Fraction(0),
        base_quantity=abs(minor) if netted else 1,
        base_unit=MINOR if netted else "event",
        origin_period="2026-06",
        cards=(),
    )


def test_a_maximum_is_explained_by_the_commitment_that_is_about_its_product() -> None:
    """Ten cents a month for half of it, of voice; then the same of messages: both maxima are 0.05."""
    halves = [Commitment(most=Decimal("0.10"), on=(Selector(product=(product,)),)) for product in ("voice.*", "sms.*")]
    spans = tuple(
        Span(date(2026, 6, day), 15, Deal(commitment=each)) for day, each in zip((1, 16), halves, strict=True)
    )
    lines = [
        line("sms.outbound", MAXIMUM_SPEND, -23),
        line("sms.outbound", "usage", 28),
        line("voice.outbound", MAXIMUM_SPEND, -35),
        line("voice.outbound", "usage", 40),
    ]
    agreed = Agreed(spans=spans, days=30)
    found = [explain(each, lines, agreed, {}, USD) for each in (lines[0], lines[2])]
    said = "maximum 0.1 × 15 ÷ 30 days = 0.05 USD; what counts is"
    assert [
        (f"{said} 0.28: 0.23 less, of which 0.23 on these lines", (2,)),
        (f"{said} 0.40: 0.35 less, of which 0.35 on these lines", (4,)),
    ] == found
