"""Accounts and contracts, for people."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from billing.accounts import Account, payer_of
from billing.contracts import Contract, resold_to
from billing.periods import ALWAYS
from billing.store.accounts import read_accounts
from billing.store.engine import Connection
from rates.cards import instant
from rates.deals import in_words


class ListedAccount(NamedTuple):
    """An account in short. `payer` and `currency` are of whoever pays for it; `suspended`: when it last was."""

    id: str
    name: str
    parent: str
    payer: str
    currency: str
    suspended: str


class ListedContract(NamedTuple):
    """A contract in short."""

    account: str
    effective_from: date
    cards: tuple[str, ...]
    terms: str


class AgreedWith(NamedTuple):
    """The contracts that rate an account's usage: those of its payer ("": nobody pays), in whose currency it is."""

    payer: str
    currency: str
    contracts: Sequence[Contract]


def agreed_with(connection: Connection, account: str) -> AgreedWith | None:
    """The contracts that rate an account's usage; None where there is no such account."""
    stored = read_accounts(connection)
    if account not in stored.accounts:
        return None
    resold = resold_to(account, stored.accounts, stored.contracts)
    payer = resold if resold is not None and resold.id == account else payer_of(account, stored.accounts)
    if payer is None:
        return AgreedWith("", "", ())
    return AgreedWith(payer.id, payer.currency, stored.contracts.get(payer.id, ()))


def listed_accounts(connection: Connection) -> list[ListedAccount]:
    """All accounts, in the order of their ids."""
    accounts = read_accounts(connection).accounts
    listed = []
    for account in sorted(accounts.values(), key=lambda account: account.id):
        payer = payer_of(account.id, accounts)
        paid = (payer.id, payer.currency) if payer else ("", "")
        listed.append(ListedAccount(account.id, account.name, account.parent, *paid, _last(account)))
    return listed


def listed_contracts(connection: Connection) -> list[ListedContract]:
    """All contracts, by account and beginning."""
    contracts = read_accounts(connection).contracts
    return [
        ListedContract(name, contract.effective_from, contract.cards, in_words(contract.deal))
        for name in sorted(contracts)
        for contract in contracts[name]
    ]


def _last(account: Account) -> str:
    if not account.suspended:
        return ""
    begins, ends = account.suspended[-1]
    return f"from {instant(begins)}" + ("" if ends == ALWAYS else f" to {instant(ends)}")
