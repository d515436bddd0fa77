"""Safety bounds: which bills a person must look at before they are drawn up.

A bill is held back where its total is far from what the account was billed before, where usage of the account waits
for a price that a card or a contract could say, so that the bill would be too small, and where the source of its usage
counted otherwise, or did not report each day of what is billed by the average of a month. A person who has looked
releases it by name, from what held it back and from nothing else; that holds until the bill is far from what was
released, more usage waits than then, or a count differs that did not differ so.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Self

from billing.controls import in_words
from billing.periods import Period
from rates.errors import TollbookError
from rates.money import EXPONENTS, Currency, format_fraction, format_minor
from rates.rating import Reason

UNPRICED = frozenset(
    {
        Reason.NO_CONTRACT,
        Reason.NO_CARD,
        Reason.NO_RATE,
        Reason.NO_INCREMENTS,
        Reason.MAX_QUANTITY,
        Reason.CHARGE_TOO_LARGE,
        Reason.CHARGE_MISSING,
        Reason.CHARGE_UNPRICED,
        Reason.CURRENCY_MISMATCH,
    }
)
"""Why usage of an account waits that should be billed to it. Other usage in quarantine stops nobody: it is counted."""


class Cause(StrEnum):
    """What holds a bill back: the source counted otherwise; usage waits for a price; its total is far from the past."""

    MISMATCH = "mismatch"
    WAITING = "waiting"
    TOTAL = "total"


class ReleaseNeedlessError(TollbookError):
    """An account would be released that no run holds back; `value` is its name."""


class ReleaseRefusedError(TollbookError):
    """An account would be released that stopped at something that has to be mended; `value` is its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far a total may be from the median of the last `months` invoices: `factor` times more or less.

    A difference below `least`, in major units of the currency, is never far. `waiting`: whether usage that waits
    for a price holds its account back.
    """

    factor: Fraction = Fraction(3)
    months: int = 3
    least: int = 100
    waiting: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The totals of an account's last final invoices in one currency, and when the last of their periods ended."""

    totals_minor: tuple[int, ...]
    ended: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a person has looked at and released: a total, how many events waited, and which counts differed.

    Each only where it held the bill back; the total is None where it did not.
    """

    total_minor: int | None = None
    waiting: int = 0
    mismatches: frozenset[str] = frozenset()

    @classmethod
    def of(cls, causes: Collection[str], total_minor: int, waiting: int, mismatches: Iterable[str]) -> Self:
        """What is released of a bill that was held back for some causes: nothing that it was not held back for."""
        return cls(
            total_minor=total_minor if Cause.TOTAL in causes else None,
            waiting=waiting if Cause.WAITING in causes else 0,
            mismatches=frozenset(mismatches if Cause.MISMATCH in causes else ()),
        )

    def after(self, earlier: "Release | None") -> "Release":
        """This release, and an earlier one of what this is not of."""
        if earlier is None:
            return self
        return Release(
            total_minor=earlier.total_minor if self.total_minor is None else self.total_minor,
            waiting=self.waiting or earlier.waiting,
            mismatches=self.mismatches or earlier.mismatches,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A release as it was recorded. `held` is why the account was held back."""

    period: Period
    account: str
    person: str
    reason: str
    held: str
    total_minor: int
    waiting: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What an account would be billed in a period, how many events of it wait, and which control totals do not match.

    Without lines it is not `billed`.
    """

    period: Period
    currency: Currency
    total_minor: int
    billed: bool
    waiting: int
    mismatches: tuple[str, ...] = ()


def held_back(bill: Bill, past: Past | None, release: Release | None, bounds: Bounds) -> str:
    """Why a bill is held back; "" if it is not."""
    return "; ".join(causes(bill, past, release, bounds).values())


def causes(bill: Bill, past: Past | None, release: Release | None, bounds: Bounds) -> dict[Cause, str]:
    """What holds a bill back, each in words."""
    found = {}
    if differing := unseen(bill.mismatches, release):
        found[Cause.MISMATCH] = in_words(differing)
    if bounds.waiting and bill.waiting > (release.waiting if release else 0):
        found[Cause.WAITING] = f"{waiting_in_words(bill.waiting)}, and would not be billed"
    seen = None if release is None else release.total_minor
    accepted = seen is not None and not _far(bill.total_minor, (seen,), bill.currency, bounds)
    known = past is not None and (bill.billed or past.ended == bill.period.start)
    if past is not None and known and not accepted and _far(bill.total_minor, past.totals_minor, bill.currency, bounds):
        found[Cause.TOTAL] = _said(bill, past, bounds)
    return found


def waiting_in_words(events: int) -> str:
    """How many events wait for a price, in a clause."""
    return "1 event waits for a price" if events == 1 else f"{events:,} events wait for a price"


def unseen(mismatches: Iterable[str], release: Release | None) -> tuple[str, ...]:
    """Those mismatches of control totals that a release does not cover."""
    seen = release.mismatches if release else frozenset()
    return tuple(each for each in mismatches if each not in seen)


def twice_median(totals: Sequence[int]) -> int:
    """Twice the median of at least one total: of an even number the two in the middle are added."""
    ordered = sorted(totals)
    return ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]


def _far(total: int, before: Sequence[int], currency: Currency, bounds: Bounds) -> bool:
    median, twice = twice_median(before), 2 * total
    least = bounds.least * 10 ** EXPONENTS[currency]
    more, less = twice > bounds.factor * median, twice * bounds.factor < median
    return (more or less) and abs(twice - median) >= 2 * least


def _said(bill: Bill, past: Past, bounds: Bounds) -> str:
    median = twice_median(past.totals_minor)
    middle = format_minor(median // 2, bill.currency)
    times, n = format_fraction(bounds.factor), len(past.totals_minor)
    how = f"more than {times} times" if 2 * bill.total_minor > median else f"less than 1/{times} of"
    last = f"its last {n} invoices" if n > 1 else "its last invoice"
    total = format_minor(bill.total_minor, bill.currency)
    return f"its total of {total} {bill.currency} is {how} {middle}, the median of {last}"
