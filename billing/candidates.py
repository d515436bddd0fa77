"""Candidates: the contracts as they would be with another card, or with another contract, in a month.

What is asked is what the month would have come to. So a candidate holds for all of it, whatever its own dates say,
unless it is to be taken by its dates, as if it were published.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from billing.accounts import Account, payer_of
from billing.contracts import Contract
from billing.payers import covering
from billing.periods import Period
from rates.cards import Card
from rates.errors import TollbookError

Contracts = Mapping[str, Sequence[Contract]]


class CandidateMisplacedError(TollbookError):
    """A candidate has no place among the contracts of the month, or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Contracts with a candidate among them; `accounts` are those for whom it may change something in the period.

    `before`: no contract had it, and it stands before their cards.
    """

    contracts: Contracts
    accounts: frozenset[str]
    before: bool = False


def throughout(card: Card, period: Period) -> Card:
    """A card as if it held for a whole period: from its first instant on, if it begins later, and without an end."""
    begins = min(card.effective_from, period.opens)
    until = card.effective_to if card.effective_to and card.effective_to >= period.closes else None
    return replace(card, effective_from=begins, effective_to=until)


def with_card(
    accounts: Mapping[str, Account],
    contracts: Contracts,
    period: Period,
    card: str,
    currency: str,
    *,
    replaces: str = "",
) -> Placed:
    """The contracts with a card (its id) in the place of the card that it `replaces`, or of its own id.

    One that no contract names stands before the cards of every contract in its currency. Raises
    CandidateMisplacedError for a card to be replaced that no contract of the period names, and where the candidate is
    in a contract already.
    """
    payers = {name: payer for name in contracts if (payer := payer_of(name, accounts)) and payer.id == name}
    held = {name: covering(contracts[name], period) for name in payers}
    place = replaces or card
    named = {name for name, each in held.items() if any(place in contract.cards for contract in each)}
    before = not named and not replaces
    if replaces and not named:
        raise CandidateMisplacedError(
            f"no contract names it in {period}",
            place="--replaces",
            value=replaces,
            remedy="see `tollbook contracts list`",
        )
    moved = named or {name for name, payer in payers.items() if payer.currency == currency and held[name]}
    changed = dict(contracts)
    for name in moved:
        changed[name] = [_with_card(contract, card, place, before=before) for contract in contracts[name]]
    return Placed(contracts=changed, accounts=frozenset(moved), before=before)


def _with_card(contract: Contract, card: str, place: str, *, before: bool) -> Contract:
    if before:
        return replace(contract, cards=(card, *contract.cards))
    if place not in contract.cards or place == card:
        return contract
    if card in contract.cards:
        raise CandidateMisplacedError(
            f"the contract of {contract.account} from {contract.effective_from} names {card} beside {place}",
            place="--card",
            value=card,
            remedy="give the candidate another id",
        )
    return replace(contract, cards=tuple(card if each == place else each for each in contract.cards))


def with_contracts(
    contracts: Contracts, added: Iterable[Contract], period: Period, *, as_dated: bool = False
) -> Placed:
    """The contracts with others: each alone for the whole period, or (`as_dated`) from its day on, as if added."""
    changed = dict(contracts)
    for contract in added:
        known = changed.get(contract.account, ())
        if as_dated:
            others = [each for each in known if each.effective_from != contract.effective_from]
            changed[contract.account] = [*others, contract]
        else:
            outside = [each for each in known if each.effective_from >= period.end]
            changed[contract.account] = [replace(contract, effective_from=period.start), *outside]
    return Placed(contracts=changed, accounts=frozenset(contract.account for contract in added))


def rates_otherwise(before: Sequence[Contract], after: Sequence[Contract], period: Period) -> bool:
    """Whether other cards, or these in another order, rate some day of a period."""
    return _cards(before, period) != _cards(after, period)


def _cards(contracts: Sequence[Contract], period: Period) -> list[tuple[object, ...]]:
    held = [(max(each.effective_from, period.start), each.cards) for each in covering(contracts, period)]
    first = held[:1]
    return [*first, *(following for before, following in pairwise(held) if before[1] != following[1])]
