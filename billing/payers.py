"""Who is billed in a period, by which cards, and by which deals: what a run goes by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from billing.accounts import Account, payer_of
from billing.contracts import Contract
from billing.invoices import Party
from billing.periods import ALWAYS, Period
from rates.cards import Card
from rates.deals import NO_DEAL, Agreed, Span
from rates.errors import TollbookError
from rates.money import Currency
from rates.support import Support, Supported
from rates.terms import Priority


class SubjectMissingError(TollbookError):
    """There is no such billing account, line or event to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """A billing account, and the cards by which it and those it pays for are rated on which days of the period.

    `agreed` is what its contracts say of money beside the cards; None where they say nothing.
    """

    party: Party
    priorities: tuple[Priority, ...]
    agreed: Agreed | None = None

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
    """All billing accounts by their numbers. One without cards has no contract in the period."""
    found = {}
    for name, account in accounts.items():
        if account.pays:
            held = covering(contracts.get(name, ()), period)
            priorities = (Priority(max(each.effective_from, period.start), each.cards) for each in held)
            agreed = _agreed(held, period, _supported(contracts.get(name, ()), period.before()))
            found[numbers[name]] = Payer(party=party_of(account), priorities=tuple(priorities), agreed=agreed)
    return found


def paying(name: str, accounts: Mapping[str, Account]) -> Account:
    """The billing account of that name. Raises SubjectMissingError, also for an account that somebody else pays for."""
    payer = payer_of(name, accounts)
    if payer is None or payer.id != name:
        problem = "is no billing account"
        remedy = f"its usage is on the invoices of {payer.id}" if payer else "see `tollbook accounts list`"
        raise SubjectMissingError(problem, place="account", value=name, remedy=remedy)
    return payer


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
