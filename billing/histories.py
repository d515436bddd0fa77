"""The history of an event: all that was reported of it, which report is in force, and what each changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from rates.money import format_fraction
from rates.prices import Price
from rates.worded import amount_of


class Standing(StrEnum):
    """What has become of a report."""

    IN_FORCE = "in force"
    SUPERSEDED = "superseded"
    NEVER = "superseded when it came"


class Change(NamedTuple):
    """A field that a report says otherwise than the one below it: "" where it says nothing."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One revision of an event. `content` are its fields as text, by their names in a payload; a void has none.

    `reason` says why nothing is or was due. `charge` is what it came to at the prices of its rates, before the
    contract's percents and free units, "" where tiers decide or where it was never rated.
    """

    revision: int
    received_at: datetime
    standing: Standing
    is_void: bool
    content: Mapping[str, str]
    reason: str = ""
    charge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All reports of an event, the highest revision, which is in force, first."""

    source: str
    id: str
    reports: Sequence[Report]

    @property
    def is_void(self) -> bool:
        """Whether the event was taken back."""
        return self.reports[0].is_void

    def changes(self, place: int) -> list[Change]:
        """What a report says otherwise than the next lower one that is known and no void."""
        report = self.reports[place]
        below = next((each for each in self.reports[place + 1 :] if not each.is_void), None)
        if below is None or report.is_void:
            return []
        names = {**below.content, **report.content}
        said = (Change(name, below.content.get(name, ""), report.content.get(name, "")) for name in names)
        return [change for change in said if change.old != change.new]


def charge_of(elements: Sequence[tuple[Price, int]]) -> str:
    """What elements (their prices and base units) come to, exactly; "" where a tier decides what one costs."""
    total = Fraction(0)
    for price, billed in elements:
        if price.is_rounded:  # what its charge says, beside it
            continue
        if price.schedule:
            return ""
        total += amount_of(price, billed)
    return format_fraction(total)
