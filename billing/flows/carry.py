"""What a month's bills take from those of other months, and whether it is still so when they are issued.

A promotional credit is used up over the months, and a support plan is a percent of the month before. A run prices both
by what is issued, and for months that are not issued yet by their drafts. So a draft is worth something only as long as
these months stand as they did: what it took from them is kept beside it, and nothing is issued that took otherwise than
would be taken now, or while an earlier month that it took from, or that may use the same credit, can still change.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from billing.payers import Payer, payers_of
from billing.periods import Period
from billing.store.accounts import Accounts, read_accounts
from billing.store.carried import (
    CREDIT,
    SUPPORT,
    Fact,
    bill_digests,
    earlier_drafts,
    lock_carrying,
    read_carried,
    stopped_at,
)
from billing.store.engine import Connection
from billing.store.queries.credits import credits_used
from billing.store.queries.invoices import newest_run


def carried(connection: Connection, period: Period, payers: Mapping[int, Payer]) -> dict[int, set[Fact]]:
    """What the bills of some payers take from other months, as these stand now."""
    promised = [number for number, payer in payers.items() if _credits(payer)]
    supported = [number for number, payer in payers.items() if _is_supported(payer)]
    found: dict[int, set[Fact]] = {}
    for number, used in credits_used(connection, period, promised).items():
        own = _credits(payers[number])
        found[number] = {Fact(CREDIT, name, str(minor)) for name, minor in used.items() if name in own}
    before = period.before()
    digests = bill_digests(connection, before, supported) if supported else {}
    for number in supported:
        found.setdefault(number, set()).add(Fact(SUPPORT, str(before), digests.get(number, "")))
    return {number: facts for number, facts in found.items() if facts}


@dataclass(slots=True, kw_only=True)
class Carrying:
    """What decides which drafts of a period take from other months: accounts and contracts, as they were read once."""

    period: Period
    accounts: Accounts
    concerned: Mapping[int, Payer]
    months: dict[Period, Mapping[int, Payer]] = field(default_factory=dict)

    @classmethod
    def begin(cls, connection: Connection, period: Period) -> Self:
        """Read them."""
        accounts = read_accounts(connection)
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        concerned = {number: each for number, each in payers.items() if _credits(each) or _is_supported(each)}
        return cls(period=period, accounts=accounts, concerned=concerned)

    def hold(self, connection: Connection, numbers: Iterable[int]) -> dict[int, str]:
        """As `unsettled`; and until the transaction ends nobody else issues what takes from other months."""
        if not any(number in self.concerned for number in numbers):
            return {}
        lock_carrying(connection)
        return self.unsettled(connection, numbers)

    def unsettled(self, connection: Connection, numbers: Iterable[int]) -> dict[int, str]:
        """Which of some payers' drafts are not to be issued: why, and what to run."""
        payers = {number: self.concerned[number] for number in numbers if number in self.concerned}
        if not payers:
            return {}
        kept, now = read_carried(connection, self.period, [*payers]), carried(connection, self.period, payers)
        found = self._waiting_for(connection, payers)
        for number in payers:
            if kept.get(number, set()) != now.get(number, set()):
                remedy = f"draw it up again with `tollbook invoices run {self.period}`"
                found.setdefault(number, f"bills of other months have changed what its draft took from them; {remedy}")
        return found

    def _waiting_for(self, connection: Connection, payers: Mapping[int, Payer]) -> dict[int, str]:
        """The payers with an earlier month that is not settled."""
        found: dict[int, str] = {}
        for number, starts in earlier_drafts(connection, self.period, [*payers]).items():
            for month in (Period.of_month(start.year, start.month) for start in starts):
                if self._takes_from(number, month):
                    remedy = f"issue it first, with `tollbook invoices finalize {month}`"
                    found.setdefault(number, f"{month} is drawn up and not issued; {remedy}")
        supported = {number: payer for number, payer in payers.items() if _is_supported(payer)}
        return self._never_drawn(connection, supported) | found if supported else found

    def _takes_from(self, number: int, month: Period) -> bool:
        """Whether the bill of a payer takes from that of an earlier month, or both may use the same credit."""
        if month not in self.months:
            accounts = self.accounts
            self.months[month] = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, month)
        payer, earlier = self.concerned[number], self.months[month].get(number)
        same = earlier is not None and not _credits(payer).isdisjoint(_credits(earlier))
        return same or (_is_supported(payer) and month == self.period.before())

    def _never_drawn(self, connection: Connection, supported: Collection[int]) -> dict[int, str]:
        """The payers of whose month before, of which a support plan is, nobody knows what it comes to."""
        before = self.period.before()
        remedy = f"draw it up first, with `tollbook invoices run {before}`"
        if newest_run(connection, before) is None:
            billed = bill_digests(connection, before, supported)
            why = f"its support plan is of {before}, which is not drawn up; {remedy}"
            return {number: why for number in supported if number not in billed}
        why = f"its support plan is of {before}, where the run stopped at it; {remedy}"
        return dict.fromkeys(stopped_at(connection, before, supported), why)


def _credits(payer: Payer) -> frozenset[str]:
    """The ids of the credits that may pay for some of a payer's month."""
    spans = () if payer.agreed is None else payer.agreed.spans
    return frozenset(credit.id for span in spans for credit in span.deal.credits)


def _is_supported(payer: Payer) -> bool:
    return payer.agreed is not None and bool(payer.agreed.support)
