"""The events of days on which counters cross a bound, read once for both sides of a simulation.

What a month comes to now and what it would come to mostly want the same days of an account. Reading their events leads
to every page on which that account has some, which costs more than all that is made of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from billing.flows.price import ORDERED_EVENTS, days_numbered
from billing.periods import Period
from billing.store.engine import Connection
from billing.store.rateable import OfDays, usage_of_days
from rates.pricing import Wanted
from rates.usage import MICROSECONDS_A_DAY, Int64s


@dataclass(slots=True, kw_only=True)
class Days:
    """The usage of days in a period as it is read, and kept for whoever asks next: of at most `ORDERED_EVENTS` events.

    `paid` are the payers of all accounts, by their numbers.
    """

    reading: Connection
    period: Period
    paid: Mapping[int, int]
    known: Int64s = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    kept: list[OfDays] = field(default_factory=list)

    def of(self, wanted: Wanted) -> Iterator[OfDays]:
        """The usage of some days; each day of a payer in order."""
        numbers = days_numbered(*wanted)
        if sum(len(some.events) for some in self.kept) > ORDERED_EVENTS:
            self.forget()
        missing = ~np.isin(numbers, self.known)
        if missing.any():
            unread = Wanted(wanted.payer[missing], wanted.day[missing])
            payers = set(unread.payer.tolist())
            paid = {account: payer for account, payer in self.paid.items() if payer in payers}
            self.kept += usage_of_days(self.reading, self.period, unread, paid)
            self.known = np.append(self.known, numbers[missing])
        return (_within(some, numbers) for some in self.kept)

    def on(self, reading: Connection) -> Self:
        """The same days on another connection, none of them read yet."""
        return type(self)(reading=reading, period=self.period, paid=self.paid)

    def forget(self) -> None:
        """Keep nothing of what was read."""
        self.known, self.kept = self.known[:0], []


def _within(some: OfDays, numbers: Int64s) -> OfDays:
    """What is of the days with these numbers."""
    day = (some.events.usage.occurred_at // MICROSECONDS_A_DAY).astype(np.int32)
    events = np.isin(days_numbered(some.payer, day), numbers)
    rated = np.isin(days_numbered(some.rated.payer, some.rated.day), numbers)
    if events.all() and rated.all():
        return some
    rows = np.flatnonzero(events)
    return OfDays(events=some.events.take(rows), payer=some.payer[rows], rated=some.rated.take(rated))
