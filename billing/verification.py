"""What an independent rating of a period agrees on with the store, and where it does not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from billing.verifier_lines import compare
from billing.verifier_usage import Raw


class Disagreement(NamedTuple):
    """Where the two differ: whose line or event, which fact of it, what the verifier says, what is stored."""

    subject: str
    fact: str
    verifier: str
    stored: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A period verified. Of its `events`, `billed` are on lines; `too_late` ones are quarantined and not re-rated.

    `unbalanced_totals` counts totals that are not the sum of the ratings; `outdated` names accounts whose stored
    invoice or draft is of usage that has changed since, so that what was verified is what it would be now.
    `adjustments` counts what the period's documents adjust of earlier months, account by account and month by month.
    """

    period: str
    events: int
    billed: int
    zero_rated: int
    quarantined: int
    too_late: int
    accounts: int
    lines: int
    unbalanced_totals: int
    disagreements: tuple[Disagreement, ...]
    outdated: tuple[str, ...] = ()
    adjustments: int = 0

    @property
    def agrees(self) -> bool:
        """Whether every line, every total and every count is the same."""
        return not self.disagreements and not self.unbalanced_totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """One account's lines in the form of FORMATS 6, and their total."""

    currency: str
    total: str
    lines: tuple[Raw, ...]


Unrated = frozenset[tuple[str, str, str, str]]
"""(`zero_rated`, `quarantined` or `rejected`, source, id, reason)."""


def bill_disagreements(expected: Mapping[str, Bill], actual: Mapping[str, Bill]) -> list[Disagreement]:
    """Where the bills of accounts differ: whole accounts, lines, totals."""
    found = []
    for account in sorted(expected.keys() | actual.keys()):
        ours, theirs = expected.get(account), actual.get(account)
        if ours is None or theirs is None:
            said = ["absent" if bill is None else f"{bill.total} {bill.currency}" for bill in (ours, theirs)]
            found.append(Disagreement(account, "account", *said))
            continue
        for each in compare(ours.lines, theirs.lines):
            subject = " ".join((account, *filter(None, each.key)))
            found.append(Disagreement(subject, each.field, each.expected, each.actual))
        for fact in ("currency", "total"):
            said = [getattr(ours, fact), getattr(theirs, fact)]
            if said[0] != said[1]:
                found.append(Disagreement(account, fact, *said))
    return found


def unrated_disagreements(expected: Unrated, actual: Unrated) -> list[Disagreement]:
    """Where the two disagree on which events are on no line, and why."""
    ours, theirs = _by_event(expected - actual), _by_event(actual - expected)
    return [
        Disagreement(event, "event", ours.get(event, "on a line"), theirs.get(event, "on a line"))
        for event in sorted(ours.keys() | theirs.keys())
    ]


def _by_event(unrated: Iterable[tuple[str, str, str, str]]) -> dict[str, str]:
    return {f"{source}/{identity}": f"{kind}: {reason}" for kind, source, identity, reason in unrated}


Contracted = dict[str, Any]
"""A contract in the form of `contract.toml`."""


def as_billed(contracts: Iterable[Contracted], frozen: Mapping[str, Sequence[Contracted]]) -> list[Contracted]:
    """Contracts with the terms by which accounts were billed for a month. Cards that were added behind theirs since
    rate what nothing had: what was billed keeps its own, or the contract was refused.
    """
    found = [each for each in contracts if each["account"] not in frozen]
    for account, billed in frozen.items():
        now = [each for each in contracts if each["account"] == account]
        for day in sorted({each["effective_from"] for each in (*now, *billed)}):
            cards, terms = _held_on(day, now) or _held_on(day, billed), _held_on(day, billed)
            found.append({**terms, "account": account, "effective_from": day, "cards": cards["cards"]})
    return found


def _held_on(day: date, contracts: Iterable[Contracted]) -> Contracted:
    """The contract in force on a day; nothing if none is."""
    begun = (each for each in contracts if each["effective_from"] <= day)
    return max(begun, key=lambda each: each["effective_from"], default={})
