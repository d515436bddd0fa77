"""What others take off and add after the price, as terms of a contract: spend limits, true-ups, discounts, credits.

A minimum and a maximum are a commitment, a coupon and a fixed discount a credit; percents that follow each other are
the percent that they come to. What is divided over several lines is a credit that pays for them.
"""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction

from billing.periods import Period
from tests.conformance import reasons
from tests.conformance.charges import currency_of
from tests.conformance.tariffs import PAYER, Billed, Sale, Table, Tariff, Tier, billed, decimal, exact, sold
from tests.conformance.verdicts import CannotSayError, Compared, Given, whole

_CENT = Fraction(1, 100)
_ONE = [Fraction(1)]
_MONTHS = {28: "2026-02", 29: "2028-02", 30: "2026-09", 31: "2026-10"}


def deal_of(params: Given) -> Table:
    """The terms that `params` have: `min` and `max` of the period, a `credit`, a `discount_pct`."""
    found: Table = {}
    if bounds := {key: decimal(Fraction(params[key])) for key in ("min", "max") if key in params}:
        found["commitment"] = bounds
    if "credit" in params:
        found["credits"] = [{"id": "credit", "amount": decimal(Fraction(params["credit"]))}]
    if "discount_pct" in params:
        found["discounts"] = [{"percent": decimal(Fraction(params["discount_pct"]))}]
    return found


def without_minimum(deal: Table) -> Table:
    """The same terms without a minimum."""
    bounds = {key: bound for key, bound in deal.get("commitment", {}).items() if key != "min"}
    rest = {key: each for key, each in deal.items() if key != "commitment"}
    return {**rest, "commitment": bounds} if bounds else rest


def on_days(tariff: Tariff, days: int, period_days: int) -> Tariff:
    """The tariff in a month of so many days, under its contract on the last ones of them only."""
    if period_days not in _MONTHS:
        raise CannotSayError(reasons.NO_MONTH)
    month = Period.parse(_MONTHS[period_days])
    since, last = month.end - timedelta(days=days), month.end - timedelta(days=1)
    noon = datetime.combine(last, time(12), UTC)
    events = [
        {**event, "occurred_at": (noon + timedelta(minutes=number)).isoformat()}
        for number, event in enumerate(tariff.events)
    ]
    return replace(tariff, events=events, period=month, deal={**tariff.deal, "effective_from": since})


def added_by(bill: Billed, element: str) -> Fraction:
    """What the lines of an element come to."""
    return sum((exact(line, bill.currency) for line in bill.lines if line.element == element), Fraction(0))


def lago_true_up(given: Given) -> list[Compared]:
    """What used money lacks of a minimum that holds for some days of a period."""
    params = given.below("params")
    money = Sale(price=Fraction(1), per=Fraction(100), used={PAYER: [Fraction(params["used_cents"])]})
    deal = {"commitment": {"min": decimal(Fraction(params["min_cents"]) * _CENT)}}
    bill = billed(on_days(sold(money, deal=deal), whole(params["days"]), whole(params["period_days"])))
    params.finish()
    given.get("amount_unit")
    fees = Fraction(sum(line.element == "true_up" for line in bill.lines))
    return [
        Compared(fact="cents", expected=given["expected_amount"], came=added_by(bill, "true_up") / _CENT),
        Compared(fact="true-ups", expected=given["expected_units"], came=fees),
    ]


def true_up(given: Given, params: Given) -> list[Compared]:
    """What money that is used lacks of a minimum."""
    money = Sale(price=Fraction(1), used={PAYER: [Fraction(given["quantity"])]})
    deal = {"commitment": {"min": decimal(Fraction(params["commitment"]))}}
    bill = billed(sold(money, currency=currency_of(params), deal=deal))
    return [Compared(fact="true-up", expected=given["expected_amount"], came=added_by(bill, "true_up"))]


def _beyond(amount: Fraction, commitment: Fraction, factor: Fraction, *, is_due: bool) -> Fraction:
    """A bill of metered money that is dearer beyond a commitment, which may be due in any case."""
    tiers = [Tier(up_to=commitment, price=Fraction(1)), Tier(up_to=None, price=factor)]
    deal = {"commitment": {"min": decimal(commitment)}} if is_due else {}
    return billed(sold(Sale(tiers=tiers, used={PAYER: [amount]}), deal=deal)).total


def commitment(given: Given, params: Given) -> list[Compared]:
    """A minimum, and dearer money beyond it."""
    terms = Fraction(params["commitment"]), Fraction(params["overage_factor"])
    came = _beyond(Fraction(given["quantity"]), *terms, is_due=True)
    return [Compared(fact="amount", expected=given["expected_amount"], came=came)]


def windowed_commitment(given: Given, _: Given) -> list[Compared]:
    """Windows with a commitment of their own are bills of their own, which add up."""
    came = Fraction(0)
    for each in given["quantity"]:
        window = Given(each)
        money = Fraction(window["qty"]) * Fraction(window["unit"])
        if "commit" not in window:
            came += billed(sold(Sale(price=Fraction(1), used={PAYER: [money]}))).total
        else:
            terms = Fraction(window["commit"]), Fraction(window["factor"])
            came += _beyond(money, *terms, is_due=bool(window["true_up"]))
        window.finish()
    return [Compared(fact="amount", expected=given["expected_amount"], came=came)]


def overage_discount(given: Given, params: Given) -> list[Compared]:
    """What is taken off above a maximum, after what the period was billed before."""
    usage = Sale(price=Fraction(params["unit"]), used={PAYER: [Fraction(given["quantity"])]})
    before = Sale(product="before", price=Fraction(params["billed_before"]), used={PAYER: _ONE})
    bill = billed(sold(usage, before, deal=deal_of(params)))
    return [Compared(fact="taken off", expected=given["expected_amount"], came=-added_by(bill, "maximum_spend"))]


def discount_stack(given: Given, params: Given) -> list[Compared]:
    """Percents off, one after the other, and then money off."""
    amount, left, fixed = Fraction(given["quantity"]), Fraction(1), list[Fraction]()
    for kind, value in params["steps"]:
        if kind == "pct" and fixed:
            raise CannotSayError(reasons.PERCENT_AFTER_CREDIT)
        if kind == "pct":
            left *= 1 - Fraction(value) * _CENT
        else:
            fixed.append(Fraction(value))
    deal: Table = {"credits": [{"id": f"c{n}", "amount": decimal(each)} for n, each in enumerate(fixed)]}
    if left != 1:
        deal["discounts"] = [{"percent": decimal((1 - left) * 100)}]
    bill = billed(sold(Sale(price=Fraction(1), used={PAYER: [amount]}), deal=deal))
    return [Compared(fact="taken off", expected=given["expected_amount"], came=amount - bill.total)]


def allocate(given: Given, params: Given) -> list[Compared]:
    """An amount divided by weights: a credit that pays for usage of these weights, of which there is enough."""
    amount, weights = Fraction(given["quantity"]), [Fraction(each) for each in params["weights"]]
    enough = 1000 * (1 + amount // sum(weights))
    sales = [Sale(product=f"p{n}", price=each * enough, used={PAYER: _ONE}) for n, each in enumerate(weights)]
    deal = {"credits": [{"id": "divided", "amount": decimal(amount)}]}
    bill = billed(sold(*sales, currency=currency_of(params), deal=deal))
    shares = {line.product: -exact(line, bill.currency) for line in bill.lines if line.element == "credit"}
    return [
        Compared(fact=f"share {n + 1}", expected=wanted, came=shares.get(f"p{n}", Fraction(0)))
        for n, wanted in enumerate(given["expected_amount"])
    ]
