"""Hold bills back that are beyond the safety bounds or whose control totals do not match, as a run prices them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from billing.bounds import Bill, Bounds, Past, Release, causes, unseen
from billing.controls import Mismatches
from billing.invoices import Party
from billing.payers import side_payer
from billing.periods import Period
from billing.runs import AccountOutcome, Outcome
from billing.store.accounts import Accounts, read_accounts
from billing.store.bounds import past_invoices, releases, waiting_by_account
from billing.store.engine import Connection
from billing.store.queries.controls import mismatches_of
from rates.money import Currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """What a run goes by: earlier invoices, usage that waits (by its payer's name), control totals, and releases."""

    period: Period
    bounds: Bounds
    past: Mapping[tuple[int, Currency], Past]
    waiting: Mapping[str, int]
    mismatches: Mismatches
    released: Mapping[int, Release]

    @classmethod
    def begin(cls, connection: Connection, period: Period, bounds: Bounds | None, accounts: Accounts) -> Self:
        """Read it, as this transaction sees it. Without bounds only control totals hold bills back."""
        return cls(
            period=period,
            bounds=bounds or Bounds(),
            past={} if bounds is None else past_invoices(connection, period, bounds.months),
            waiting={} if bounds is None else _waiting(connection, period, accounts),
            mismatches=mismatches_of(connection, period),
            released=releases(connection, period),
        )

    def of(
        self, number: int, party: Party, total_minor: int | None, absent: Sequence[str] = ()
    ) -> AccountOutcome | None:
        """What becomes of a bill that is held back; None if it is not. Without a total it would have no lines.

        `absent`: what was not reported of what is billed by the month's average.
        """
        bill = Bill(
            period=self.period,
            currency=party.currency,
            total_minor=total_minor or 0,
            billed=total_minor is not None,
            waiting=self.waiting.get(party.account, 0),
            mismatches=(*self.mismatches.payers.get(number, ()), *absent),
        )
        past = self.past.get((number, party.currency))
        found = causes(bill, past, self.released.get(number), self.bounds)
        if not found:
            return None
        return AccountOutcome(
            account=party.account,
            outcome=Outcome.PARKED,
            currency=party.currency,
            total_minor=bill.total_minor,
            reason="; ".join(found.values()),
            releasable=True,
            waiting=bill.waiting,
            mismatches=bill.mismatches,
            causes=(*found,),
        )


def unreleased_mismatches(connection: Connection, period: Period) -> Mismatches:
    """The control totals that do not match as this transaction sees them, but for what somebody released."""
    found, released = mismatches_of(connection, period), releases(connection, period)
    left = {payer: unseen(mismatches, released.get(payer)) for payer, mismatches in found.payers.items()}
    return Mismatches(payers={payer: each for payer, each in left.items() if each}, nobodys=found.nobodys)


def unreleased_waiting(connection: Connection, period: Period, bounds: Bounds | None) -> dict[int, int]:
    """Whose usage waits for a price as this transaction sees it, more of it than somebody released: events by payer.

    Nobody's where the bounds do not ask for it.
    """
    if bounds is None or not bounds.waiting or not waiting_by_account(connection, period):
        return {}
    read, released = read_accounts(connection), releases(connection, period)
    found = {read.numbers[name]: events for name, events in _waiting(connection, period, read).items()}
    return {
        payer: events for payer, events in found.items() if payer not in released or events > released[payer].waiting
    }


def _waiting(connection: Connection, period: Period, read: Accounts) -> dict[str, int]:
    """How many events wait for a price, by the name of who pays for them."""
    waiting: dict[str, int] = {}
    for (name, resold), events in waiting_by_account(connection, period).items():
        payer = side_payer(name, read.accounts, read.contracts, resold=resold)
        if payer is not None:
            waiting[payer.id] = waiting.get(payer.id, 0) + events
    return waiting
