"""Which triggers and guards are about whom: by the payers whose usage they look at."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from billing.accounts import upwards
from billing.flows.counts import Tree
from billing.flows.limits import Limits
from billing.guards import Guard, Kind
from billing.store.limits import StoredTrigger
from billing.triggers import Measure, Subject


class Applied(NamedTuple):
    """A trigger with the number of the subject whose usage it counts, its payer's, and the accounts (None: all)."""

    stored: StoredTrigger
    subject: int
    payer: int
    accounts: frozenset[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """What is about some payers: triggers, and guards by the numbers of payers."""

    triggers: tuple[Applied, ...]
    guards: Mapping[int, tuple[Guard, ...]]

    @classmethod
    def of(cls, limits: Limits, payers: Collection[int]) -> Self:
        """What is about these payers."""
        return cls(triggers=tuple(_applied(limits, payers)), guards=_guards(limits, payers))

    def but_for(self, lost: Collection[int]) -> Self:
        """The same without some payers."""
        return replace(self, triggers=tuple(each for each in self.triggers if each.payer not in lost))

    @property
    def whole(self) -> dict[int, int]:
        """The numbers of the subjects that are all that a payer pays for."""
        return {each.payer: each.subject for each in self.triggers if each.accounts is None}

    def some(self, measure: Measure, *, daily: bool | None = None) -> list[Applied]:
        """The triggers of a measure, of windows of one kind or of both."""
        return [
            each
            for each in self.triggers
            if each.stored.trigger.measure is measure and daily in {None, each.stored.trigger.is_daily}
        ]

    def wholes(self, measure: Measure, *, daily: bool) -> dict[int, int]:
        """The numbers of the subjects of these triggers that are all that a payer pays for."""
        return {each.payer: each.subject for each in self.some(measure, daily=daily) if each.accounts is None}

    def trees(self, measure: Measure, *, daily: bool | None = None) -> list[Tree]:
        """The subjects of these triggers that are not all of their payer's usage."""
        found = {
            each.subject: Tree(each.subject, each.payer, each.accounts)
            for each in self.some(measure, daily=daily)
            if each.accounts is not None
        }
        return list(found.values())

    def guarded(self, kind: Kind) -> dict[int, list[Guard]]:
        """The payers with guards of a kind, and these."""
        found = {payer: [guard for guard in some if guard.kind is kind] for payer, some in self.guards.items()}
        return {payer: some for payer, some in found.items() if some}

    def billed(self, *, daily: bool) -> set[int]:
        """The payers whose days, or months, are priced."""
        own = {each.payer for each in self.some(Measure.AMOUNT, daily=daily)}
        return own | self.guarded(Kind.SPEND if daily else Kind.CREDIT).keys()


def _applied(limits: Limits, payers: Collection[int]) -> Iterator[Applied]:
    subjects: dict[Subject, int] = {}
    numbers = limits.accounts.numbers
    for stored in limits.triggers:
        subject = limits.subject(stored.trigger.account)
        if subject is None or numbers[subject.payer] not in payers:
            continue
        tree = None if subject.tree is None else frozenset(numbers[name] for name in subject.tree)
        place = subjects.setdefault(subject, len(subjects))
        yield Applied(stored, place, numbers[subject.payer], tree)


def _guards(limits: Limits, payers: Collection[int]) -> dict[int, tuple[Guard, ...]]:
    """By payer those of everybody, its own, and those of accounts above it; and of accounts below for which it pays."""
    said: dict[str, list[Guard]] = {}
    below: dict[int, list[Guard]] = {}
    for guard in limits.guards:
        said.setdefault(guard.account, []).append(guard)
        subject = limits.subject(guard.account) if guard.account else None
        if subject is not None and subject.payer != guard.account:
            below.setdefault(limits.accounts.numbers[subject.payer], []).append(guard)
    found = {}
    for payer in payers:
        path = [each.id for each in upwards(limits.names[payer], limits.accounts.accounts)] if said else []
        found[payer] = (*(guard for name in ("", *path) for guard in said.get(name, ())), *below.get(payer, ()))
    return found
