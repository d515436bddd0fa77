"""Hold bills back that are beyond the safety bounds or whose control totals do not match, as a run prices them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from billing.bounds import Bill, Bounds, Past, Release, causes, unseen
from billing.controls import Mismatches
from billing.invoices import Party
from billing.payers import Payer, payers_of, side_payer
from billing.periods import Period
from billing.runs import AccountOutcome, Outcome
from billing.store.accounts import Accounts, read_accounts
from billing.store.bounds import past_invoices, releases, waiting_by_account
from billing.store.engine import Connection
from billing.store.queries.controls import mismatches_of
from billing.store.queries.credits import credits_drafted, credits_of_earlier_drafts, credits_used
from rates.money import Currency
from rates.netting import bound_minor


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

    def of(self, number: int, party: Party, total_minor: int | None) -> AccountOutcome | None:
        """What becomes of a bill that is held back; None if it is not. Without a total it would have no lines."""
        bill = Bill(
            period=self.period,
            currency=party.currency,
            total_minor=total_minor or 0,
            billed=total_minor is not None,
            waiting=self.waiting.get(party.account, 0),
            mismatches=self.mismatches.payers.get(number, ()),
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


def unsettled_credits(connection: Connection, period: Period) -> frozenset[int]:
    """The payers of whose credits it is not settled what is left for their drafts, as this transaction sees it.

    That is where they pay more on them than other months leave, since an earlier one was drawn up again; and where they
    pay on drafts of earlier months, which may still change, and are issued first.
    """
    drafted, earlier = credits_drafted(connection, period), credits_of_earlier_drafts(connection, period)
    if not (drafted or earlier):
        return frozenset()
    read = read_accounts(connection)
    payers = payers_of(read.accounts, read.contracts, read.numbers, period)
    used = credits_used(connection, period, drafted)
    overspent = (
        payer
        for payer, each in drafted.items()
        for name, minor in each.items()
        if minor + used.get(payer, {}).get(name, 0) > _promised(payers.get(payer), name)
    )
    return frozenset((*overspent, *(payer for payer, name in earlier if _promised(payers.get(payer), name))))


def _promised(payer: Payer | None, name: str) -> int:
    """The most that a credit of a payer's contracts has, in minor units."""
    if payer is None or payer.agreed is None:
        return 0
    amounts = (each.amount for terms in payer.agreed.terms() for each in terms.credits if each.id == name)
    return bound_minor(max(amounts, default=Decimal(0)), 1, 1, payer.party.currency)


def _waiting(connection: Connection, period: Period, read: Accounts) -> dict[str, int]:
    """How many events wait for a price, by the name of who pays for them."""
    waiting: dict[str, int] = {}
    for (name, resold), events in waiting_by_account(connection, period).items():
        payer = side_payer(name, read.accounts, read.contracts, resold=resold)
        if payer is not None:
            waiting[payer.id] = waiting.get(payer.id, 0) + events
    return waiting
