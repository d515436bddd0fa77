"""Who is billed in a period, by which cards, and by which deals: what a run goes by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

from billing.accounts import Account, payer_of
from billing.contracts import Contract, is_billed, resold_to
from billing.invoices import Party
from billing.periods import ALWAYS, Period
from rates.cards import Card
from rates.deals import NO_DEAL, Agreed, Span
from rates.errors import TollbookError
from rates.money import Currency
from rates.support import Support, Supported
from rates.terms import Priority

_NONE: Mapping[str, Sequence[Contract]] = MappingProxyType({})


class SubjectMissingError(TollbookError):
    """There is no such billing account, line or event to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """A billing account, and the cards by which it and those it pays for are rated on which days of the period.

    `agreed` is what its contracts say of money beside the cards; None where they say nothing. `resold`: a reseller
    bills it; its counters are apart from those of whoever bills the reseller for the same accounts.
    """

    party: Party
    priorities: tuple[Priority, ...]
    agreed: Agreed | None = None
    resold: bool = False

    @property
    def cards(self) -> frozenset[str]:
        """The ids of all of them."""
        return frozenset(card for priority in self.priorities for card in priority.cards)


def payers_of(
    accounts: Mapping[str, Account],
    contracts: Mapping[str, Sequence[Contract]],
    numbers: Mapping[str, int],
    period: Period,
) -> dict[int, Payer]:
    """All billing accounts by their numbers, also those that a reseller bills. One without cards has no contract in the
    period.
    """
    found = {}
    for name, account in accounts.items():
        if is_billed(account, accounts, contracts):
            found[numbers[name]] = billed_by(account, contracts.get(name, ()), period)
    return found


def billed_by(account: Account, contracts: Sequence[Contract], period: Period) -> Payer:
    """One of them, by its contracts."""
    held = covering(contracts, period)
    priorities = (Priority(max(each.effective_from, period.start), each.cards) for each in held)
    agreed = _agreed(held, period, _supported(contracts, period.before()))
    return Payer(party=party_of(account), priorities=tuple(priorities), agreed=agreed, resold=not account.pays)


def paying(name: str, accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]] = _NONE) -> Account:
    """The billing account of that name; with `contracts` also one that a reseller bills. Raises SubjectMissingError,
    also for an account that somebody else pays for.
    """
    payer, resold = payer_of(name, accounts), resold_to(name, accounts, contracts)
    if resold is not None and resold.id == name:
        return resold
    if payer is None or payer.id != name:
        problem = "is no billing account"
        remedy = f"its usage is on the invoices of {payer.id}" if payer else "see `tollbook accounts list`"
        raise SubjectMissingError(problem, place="account", value=name, remedy=remedy)
    return payer


def side_payer(
    name: str, accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]], *, resold: bool
) -> Account | None:
    """Who pays for an account's usage: the supplier's customer, or the one to whom it is `resold`. None: nobody."""
    return resold_to(name, accounts, contracts) if resold else payer_of(name, accounts)


def paid_by(account: str, accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]]) -> list[str]:
    """A billing account and those below it that it pays for."""
    resold = not accounts[account].pays
    payers = {name: side_payer(name, accounts, contracts, resold=resold) for name in accounts}
    return [name for name, payer in payers.items() if payer is not None and payer.id == account]


def party_of(account: Account) -> Party:
    """What an invoice says about who is billed."""
    return Party(
        account=account.id,
        currency=Currency(account.currency),
        name=account.name,
        address=account.address,
        tax_id=account.tax_id,
        language=account.language,
        legal_entity=account.legal_entity,
    )


def versions_in(period: Period, cards: Iterable[Card]) -> list[Card]:
    """The versions that are in force at some instant of a period."""
    by_id: dict[str, list[Card]] = {}
    for card in sorted(cards, key=lambda card: card.effective_from):
        by_id.setdefault(card.id, []).append(card)
    found = []
    for versions in by_id.values():
        ends = [following.effective_from for following in versions[1:]]
        for card, end in zip(versions, [*ends, ALWAYS], strict=True):
            until = min(end, card.effective_to or ALWAYS)
            if card.effective_from < period.closes and until > period.opens:
                found.append(card)
    return found


def _supported(contracts: Sequence[Contract], month: Period) -> tuple[Supported, ...]:
    """The support plans of a month, each with its days, in the order in which they first held."""
    days: dict[Support, int] = {}
    held = covering(contracts, month)
    begins = [max(contract.effective_from, month.start) for contract in held]
    for contract, since, end in zip(held, begins, [*begins[1:], month.end], strict=False):
        if contract.deal.support is not None:
            days[contract.deal.support] = days.get(contract.deal.support, 0) + (end - since).days
    return tuple(Supported(support, str(month), n, month.days) for support, n in days.items())


def with_bases(agreed: Agreed, base_minor: int) -> Agreed:
    """The deals, with what the month before came to for its support plans."""
    return replace(agreed, support=tuple(each._replace(base_minor=base_minor) for each in agreed.support))


def _agreed(contracts: Sequence[Contract], period: Period, support: tuple[Supported, ...]) -> Agreed | None:
    """The deals of contracts that cover a period, by their days. A credit is in none from the day of its end on."""
    if not support and all(contract.deal is NO_DEAL or contract.deal == NO_DEAL for contract in contracts):
        return None
    spans: list[Span] = []
    begins = [max(contract.effective_from, period.start) for contract in contracts]
    for contract, since, end in zip(contracts, begins, [*begins[1:], period.end], strict=True):
        ends = {credit.until for credit in contract.deal.credits if credit.until and since < credit.until < end}
        for start, until in pairwise([since, *sorted(ends), end]):
            left = tuple(each for each in contract.deal.credits if each.until is None or start < each.until)
            spans.append(Span(start, (until - start).days, replace(contract.deal, credits=left)))
    return Agreed(spans=tuple(spans), days=(period.end - period.start).days, support=support)


def covering(contracts: Sequence[Contract], period: Period) -> list[Contract]:
    """The contracts of one account that hold on some day of a period."""
    ordered = sorted(contracts, key=lambda contract: contract.effective_from)
    until = [following.effective_from for _, following in pairwise(ordered)]
    return [
        contract
        for contract, end in zip(ordered, [*until, period.end], strict=False)  # of no contracts, there are no ends
        if contract.effective_from < period.end and end > period.start
    ]
