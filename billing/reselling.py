"""Resellers: their subaccounts' usage is rated once more, by the reseller's own cards, for invoices it issues to them.

There is no second way to an amount. What is resold is an ordinary event of a source that *mirrors* the one which
reported it: same id, same content, another payer. The name of a mirror is that of its source behind `resold:`, so that
mirrors of several sources keep the order of these; nobody reports under such a name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from billing.accounts import Account, payer_of, upwards
from billing.assignment import Assignment
from billing.contracts import Contract, in_force, subject
from billing.usage import Usage
from rates.errors import Fault
from rates.usage import Flags, Int64s, Texts

PREFIX = "resold:"
RESERVED = "begins with resold:, as sources of what resellers bill do, and nobody reports under such a name"

Contracts = Mapping[str, Sequence[Contract]]


def mirror_of(source: str) -> str:
    """The source of what a reseller bills of the events of a source."""
    return f"{PREFIX}{source}"


def is_resold(source: Texts) -> Flags:
    """Which events are the reseller's side of others, by their sources."""
    mirrors = np.array([name.startswith(PREFIX) for name in source.values], dtype=np.bool_)
    return mirrors[source.codes] if mirrors.any() else np.zeros(len(source.codes), dtype=np.bool_)


def resold_of(usage: Usage, assignment: Assignment) -> Flags:
    """Which events have a reseller's side."""
    if not assignment.resells:
        return np.zeros(len(usage), dtype=np.bool_)
    found: Flags = assignment.is_resold(usage.account, usage.occurred_at) & ~is_resold(usage.source)
    return found


class Mirrored(NamedTuple):
    """The reseller's side of some of n events: which rows they are (int64[m]), and the m events."""

    rows: Int64s
    usage: Usage


def mirrored(usage: Usage, assignment: Assignment) -> Mirrored | None:
    """The reseller's side of those events that are resold; None where none is. What mirrors others is not mirrored."""
    rows = np.flatnonzero(resold_of(usage, assignment))
    if not len(rows):
        return None
    some = usage.take(rows)
    codes, values = some.source
    return Mirrored(rows, replace(some, source=Texts(codes, ("", *map(mirror_of, values[1:])))))


def resellers(contracts: Contracts) -> frozenset[str]:
    """The accounts of which some contract resells."""
    return frozenset(name for name, some in contracts.items() if any(each.resells for each in some))


def unpaid(contracts: Contracts, accounts: Mapping[str, Account]) -> list[Fault]:
    """The contracts of accounts that neither pay nor are resold to: they would rate nothing; and what is missing
    where accounts are resold to.
    """
    faults = [fault for name in contracts for fault in _of_account(name, contracts, accounts)]
    return list(dict.fromkeys(faults))


def _of_account(name: str, contracts: Contracts, accounts: Mapping[str, Account]) -> Iterator[Fault]:
    account, payer = accounts.get(name), payer_of(name, accounts)
    if account is None or payer is None or account.pays or not contracts[name]:
        return
    place = subject(min(contracts[name], key=lambda each: each.effective_from))
    own = [each for each in contracts[name] if not _is_resold_by(payer, each, contracts)]
    if own:
        problem = f"usage of {name} is paid by {payer.id}, which does not resell on {own[0].effective_from}"
        remedy = f"give {payer.id} the contract, or let its contract of that day say resells = true"
        yield Fault(place=subject(own[0]), value="", problem=problem, remedy=remedy)
        return
    since = min((each.effective_from for each in contracts[name]), default=None)
    ended = (each for each in contracts[payer.id] if since and each.effective_from > since and not each.resells)
    for each in ended:
        problem = f"resells to {name} before, and this version does not end that"
        remedy = f"write resells = true in its contract from {each.effective_from}"
        yield Fault(place=f"{subject(each)}: resells", value="false", problem=problem, remedy=remedy)
    if any(each.resells for each in contracts[name]):
        problem = f"is resold to by {payer.id}, and a reseller of a reseller is not billed by this version"
        yield Fault(place=f"{place}: resells", value="true", problem=problem, remedy="leave it out")
    for above in upwards(account.parent, accounts):
        if above.pays:
            break
        if contracts.get(above.id):
            problem = f"{above.id}, above it, is resold to and pays for its usage"
            yield Fault(
                place=place, value="", problem=problem, remedy=f"keep one of the contracts of {above.id} and it"
            )
    yield from _facts(account, payer)


def _is_resold_by(payer: Account, contract: Contract, contracts: Contracts) -> bool:
    agreed = in_force(contracts.get(payer.id, ()), contract.effective_from)
    return agreed is not None and agreed.resells


def _facts(account: Account, payer: Account) -> Iterator[Fault]:
    """What an account has to say if a reseller issues invoices to it."""
    if not account.currency:
        problem = f"is missing, and {payer.id} resells to it"
        remedy = "write the currency of the invoices that it gets"
        yield Fault(place=f"account {account.id}: currency", value="", problem=problem, remedy=remedy)
    if account.legal_entity == payer.legal_entity:
        problem = f"is that of {payer.id}: invoices of the reseller would be numbered among those of its supplier"
        remedy = "write who issues its invoices, in the words of the reseller"
        yield Fault(
            place=f"account {account.id}: legal_entity", value=account.legal_entity, problem=problem, remedy=remedy
        )
