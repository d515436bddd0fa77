"""Accounts and contracts in the store: written under the lock of the books, read as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from billing.accounts import Account, AccountId, Suspension
from billing.contracts import Contract
from billing.periods import ALWAYS
from billing.store.engine import Connection
from rates.deals import NO_DEAL, read_deal, table_of
from rates.reading import Reader

_FACTS: tuple[LiteralString, ...] = (
    "pays", "prepaid", "currency", "zone", "name", "address", "tax_id", "language", "legal_entity", "suspended",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """All accounts and contracts. `numbers` are the accounts' numbers, by their ids."""

    accounts: Mapping[str, Account]
    contracts: Mapping[str, Sequence[Contract]]
    numbers: Mapping[str, int]


def read_accounts(connection: Connection) -> Accounts:
    """All accounts and contracts, as this transaction sees them."""
    rows = connection.execute(
        f"SELECT a.account_id, {account_columns('a', 'p')}"  # noqa: S608
        " FROM accounts a LEFT JOIN accounts p ON p.account_id = a.parent_id ORDER BY a.account_id"
    ).fetchall()
    accounts = {name: account_from((name, *facts)) for _, name, *facts in rows}
    contracts: dict[str, list[Contract]] = {}
    for name, effective_from, cards, terms in connection.execute(
        "SELECT a.id, c.effective_from, c.cards, c.terms FROM contracts c JOIN accounts a USING (account_id)"
        " ORDER BY a.account_id, c.effective_from"
    ):
        contract = contract_from(name, effective_from, cards, terms)
        contracts.setdefault(name, []).append(contract)
    return Accounts(accounts=accounts, contracts=contracts, numbers={name: number for number, name, *_ in rows})


def account_columns(account: LiteralString, parent: LiteralString) -> LiteralString:
    """What `account_from` reads, of a table of accounts and, outer joined, of their parents, by their aliases."""
    return f"{account}.id, coalesce({parent}.id, ''), {', '.join(f'{account}.{fact}' for fact in _FACTS)}"


def account_from(row: Sequence[Any]) -> Account:
    """An account from its columns."""
    name, parent, *facts = row
    said: dict[str, Any] = {fact: _read(value) for fact, value in zip(_FACTS, facts, strict=True)}
    return Account(id=AccountId(name), parent=parent, **said)


def insert_accounts(connection: Connection, accounts: Sequence[Account], at: datetime) -> None:
    """Add accounts, parents before their children."""
    connection.cursor().executemany(
        f"INSERT INTO accounts (id, parent_id, {', '.join(_FACTS)}, added_at)"  # noqa: S608
        f" VALUES (%s, (SELECT account_id FROM accounts WHERE id = %s), {'%s, ' * len(_FACTS)}%s)",
        [(a.id, a.parent, *_facts(a), at) for a in accounts],
    )


def update_accounts(connection: Connection, accounts: Sequence[Account]) -> None:
    """Replace what is said about accounts; their place in the tree stays."""
    assigned = ", ".join(f"{fact} = %s" for fact in _FACTS)
    connection.cursor().executemany(
        f"UPDATE accounts SET {assigned} WHERE id = %s",  # noqa: S608
        [(*_facts(a), a.id) for a in accounts],
    )


def insert_contracts(connection: Connection, contracts: Sequence[Contract], at: datetime) -> None:
    """Add contracts of accounts that are there."""
    connection.cursor().executemany(
        "INSERT INTO contracts (account_id, effective_from, cards, terms, added_at)"
        " VALUES ((SELECT account_id FROM accounts WHERE id = %s), %s, %s, %s, %s)",
        [(c.account, c.effective_from, list(c.cards), Jsonb(terms_of(c)), at) for c in contracts],
    )


def terms_of(contract: Contract) -> dict[str, object]:
    """What a contract says beside its cards, in the form of `contract.toml`; what it does not say is not in it."""
    return table_of(contract.deal) | ({"resells": True} if contract.resells else {})


def contract_from(account: str, effective_from: date, cards: Sequence[str], terms: Mapping[str, object]) -> Contract:
    """A contract as it is stored."""
    deal = (
        read_deal(Reader(place=f"contract {account}", table=terms, faults=[]))
        if terms.keys() - {"resells"}
        else NO_DEAL
    )
    resells = bool(terms.get("resells", False))
    return Contract(account=account, effective_from=effective_from, cards=tuple(cards), deal=deal, resells=resells)


def _facts(account: Account) -> list[object]:
    written = {"address": list(account.address), "suspended": _ranges(account.suspended)}
    return [written.get(fact, getattr(account, fact)) for fact in _FACTS]


def _ranges(suspended: Sequence[Suspension]) -> Multirange[datetime]:
    return Multirange([Range(begins, None if ends == ALWAYS else ends) for begins, ends in suspended])


def _read(value: object) -> object:
    if isinstance(value, Multirange):
        return tuple(Suspension(each.lower or ALWAYS, each.upper or ALWAYS) for each in value)
    return tuple(value) if isinstance(value, list) else value
