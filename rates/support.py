"""Support plans: a percent of what a month came to, at least a minimum, by the days on which a plan held.

It is posted on the first of the next month: the second pass of that month puts it on a line of its own, beside the
percents, maximum and minimum of contracts. `docs/decisions/0018-money-that-is-measured.md` says what it is of.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from rates.money import EXPONENTS, Currency, exact, invoice_step, normal, round_ratio
from rates.reading import Reader

SUPPORT_PLAN = "support.plan"
"""The product of a support plan's lines."""

SUPPORT = "support"
"""Their element."""

MOST = Decimal(10**12)
"""The most that anybody agrees on, in major units."""

_HUNDRED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """A plan of a contract: `percent` of a month, at least `least` (in major units), less the partner's percent."""

    plan: str
    percent: Decimal = Decimal(0)
    least: Decimal = Decimal(0)
    partner_discount: Decimal = Decimal(0)


class Supported(NamedTuple):
    """A plan on some days of a month (`2026-10`) of `of_days`; `base_minor` is what the month came to for it."""

    support: Support
    month: str
    days: int
    of_days: int
    base_minor: int = 0

    @property
    def name(self) -> str:
        """The name of its line: `business 2026-10`."""
        return f"{self.support.plan} {self.month}"

    def exact(self, money: Currency) -> Fraction:
        """What it comes to, in major units: max(percent × base, minimum) × days ÷ days of the month − the partner's."""
        base = Fraction(self.base_minor, 10 ** EXPONENTS[money])
        whole = max(base * exact(self.support.percent) * Fraction(1, _HUNDRED), exact(self.support.least))
        left = Fraction(_HUNDRED - exact(self.support.partner_discount), _HUNDRED)
        return whole * Fraction(self.days, self.of_days) * left

    def minor(self, money: Currency) -> int:
        """The same in minor units, rounded once to the invoice step, half away from zero."""
        step = invoice_step(money)
        whole = self.exact(money) * 10 ** EXPONENTS[money]
        return round_ratio(whole.numerator, whole.denominator * step) * step


def read_support(read: Reader) -> Support:
    """The plan of a contract's table `support`; faults go to the reader."""
    found = Support(
        plan=read.text("plan"),
        percent=read.decimal("percent", "0"),
        least=read.decimal("min", "0"),
        partner_discount=read.decimal("partner_discount", "0"),
    )
    read.finish()
    if not found.plan.isprintable():
        read.fault("plan", "has a control character", "write a short name, as in business")
    for key, percent in (("percent", found.percent), ("partner_discount", found.partner_discount)):
        if not 0 <= percent <= _HUNDRED:
            read.fault(key, "is outside 0 to 100", "it is a percent")
    if not 0 <= found.least <= MOST:
        read.fault("min", f"is outside 0 to {MOST}", "write what a month comes to at least, in major units")
    if not (found.percent or found.least or read.is_faulty("percent") or read.is_faulty("min")):
        read.fault("", "has neither percent nor min", 'write support = {plan = "business", percent = "6"}')
    return found


def table_of(support: Support) -> dict[str, str]:
    """A plan in the form of `contract.toml`, read back by `read_support`; what is 0 is not in it."""
    numbers = {"percent": support.percent, "min": support.least, "partner_discount": support.partner_discount}
    return {"plan": support.plan, **{key: normal(number) for key, number in numbers.items() if number}}


def in_words(support: Support) -> str:
    """`support business 6 % at least 1500 less 10 %`."""
    said = [f"support {support.plan}"]
    said += [f"{normal(support.percent)} %"] if support.percent else []
    said += [f"at least {normal(support.least)}"] if support.least else []
    said += [f"less {normal(support.partner_discount)} %"] if support.partner_discount else []
    return " ".join(said)
