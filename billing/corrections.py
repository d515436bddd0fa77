"""Corrections: what forced changes of the books did to what was rated, with the amounts before and after them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Subject(NamedTuple):
    """What an amount is of: a month, the account that pays, a product, and the currency."""

    period: str
    account: str
    product: str
    currency: str


class Worth(NamedTuple):
    """What usage comes to: priced events, and the sum of the rounded lines in minor units."""

    events: int = 0
    amount_minor: int = 0


class Difference(NamedTuple):
    """What a subject came to before and comes to after."""

    subject: Subject
    before: Worth
    after: Worth

    @property
    def amount_minor(self) -> int:
        """By how much the amount has changed, in minor units."""
        return self.after.amount_minor - self.before.amount_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What was rated again: how many events, how many of them otherwise, how many lost their price, drafts withdrawn.

    `invoiced` counts by account those of them of months with a final invoice: the next run bills what that comes to.
    `before` and `after` are of the accounts with changes only, over their whole months; `unpriced` says by account
    why it could not be priced.
    """

    events: int = 0
    rewritten: int = 0
    quarantined: int = 0
    withdrawn: int = 0
    invoiced: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[Subject, Worth] = field(default_factory=dict)
    after: Mapping[Subject, Worth] = field(default_factory=dict)
    unpriced: Mapping[str, str] = field(default_factory=dict)

    @property
    def differences(self) -> Sequence[Difference]:
        """Before and after by subject, in order."""
        subjects = sorted({*self.before, *self.after})
        return [Difference(each, self.before.get(each, Worth()), self.after.get(each, Worth())) for each in subjects]

    @property
    def in_all(self) -> Sequence[Difference]:
        """The same summed over accounts and products, for each month and currency in which anything has changed."""
        sums: dict[Subject, tuple[Counter[str], Counter[str]]] = {}
        changed = set()
        for each in self.differences:
            subject = each.subject._replace(account="", product="")
            changed |= {subject} if each.before != each.after else set()
            sides = sums.setdefault(subject, (Counter(), Counter()))
            for side, worth in zip(sides, (each.before, each.after), strict=True):
                side.update(events=worth.events, amount=worth.amount_minor)
        return [
            Difference(subject, *(Worth(side["events"], side["amount"]) for side in sums[subject]))
            for subject in sorted(changed)
        ]

    @property
    def needs_a_person(self) -> bool:
        """Whether something waits for somebody to look at it."""
        return bool(self.quarantined or self.unpriced)
