"""Accounts and contracts, for people."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from billing.accounts import Account, payer_of
from billing.contracts import Contract, in_force, resold_to
from billing.periods import ALWAYS
from billing.store.accounts import account_columns, account_from, contract_from, read_accounts
from billing.store.engine import Connection
from billing.termsheets import Changed, changes
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


def changed_terms(connection: Connection, contracts: Sequence[Contract]) -> list[tuple[Contract, list[Changed]]]:
    """What each of some contracts changes against the one of its account that is in force on its first day."""
    stored = read_accounts(connection)
    own = {name: stored.contracts.get(name, ()) for name in stored.accounts}
    return [(each, changes(in_force(own.get(each.account, ()), each.effective_from), each)) for each in contracts]


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


class PaidAccount(NamedTuple):
    """An account, whole, and who pays for it in which currency; "" where nobody does."""

    account: Account
    payer: str
    currency: str


class AgreedContract(NamedTuple):
    """A contract and until when it holds, not including that day; None: until the next one is added."""

    contract: Contract
    until: date | None


def account_page(connection: Connection, *, payer: str = "", after: str = "", limit: int) -> list[PaidAccount]:
    """Accounts that follow one in the order of their ids, at most `limit`; of a payer, those that it pays for."""
    rows = connection.execute(_ACCOUNT_PAGE, {"payer": payer or None, "after": after, "limit": limit})
    return [PaidAccount(account_from(facts), payer, currency) for *facts, payer, currency in rows]


def paid_account(connection: Connection, account: str) -> PaidAccount | None:
    """One account; None where there is none of that id."""
    rows = connection.execute(_ONE_ACCOUNT, {"account": account, "payer": None}).fetchall()
    return next((PaidAccount(account_from(facts), payer, currency) for *facts, payer, currency in rows), None)


def contract_page(
    connection: Connection, *, payer: str = "", account: str = "", after: tuple[str, str], limit: int
) -> list[AgreedContract]:
    """Contracts by account and day that follow (account, day); of an account alone, or of all that a payer pays for."""
    facts = {"payer": payer or None, "account": account, "name": after[0], "day": after[1], "limit": limit}
    rows = connection.execute(_CONTRACT_PAGE, facts)
    return [AgreedContract(contract_from(*contract), until) for *contract, until in rows]


# From those that pay down to those that they pay for: as many steps as the tree is deep, however many accounts.
_PAID = """
WITH RECURSIVE paid AS (
    SELECT account_id, id AS payer, currency FROM accounts
    WHERE pays AND (%(payer)s::text IS NULL OR id = %(payer)s)
    UNION ALL
    SELECT below.account_id, paid.payer, paid.currency
    FROM accounts AS below JOIN paid ON below.parent_id = paid.account_id WHERE NOT below.pays
)
"""

_WHOLE = f"SELECT {account_columns('a', 'p')}, coalesce(paid.payer, ''), coalesce(paid.currency, '')"

_ACCOUNT_PAGE = f"""
{_PAID} {_WHOLE}
FROM accounts AS a LEFT JOIN accounts AS p ON p.account_id = a.parent_id
    LEFT JOIN paid ON paid.account_id = a.account_id
WHERE a.id > %(after)s AND (%(payer)s::text IS NULL OR paid.payer IS NOT NULL)
ORDER BY a.id LIMIT %(limit)s
"""

_ONE_ACCOUNT = f"""
{_PAID} {_WHOLE}
FROM accounts AS a LEFT JOIN accounts AS p ON p.account_id = a.parent_id
    LEFT JOIN paid ON paid.account_id = a.account_id
WHERE a.id = %(account)s
"""

_CONTRACT_PAGE = f"""
{_PAID}
SELECT * FROM (
    SELECT a.id, c.effective_from, c.cards, c.terms,
        lead(c.effective_from) OVER (PARTITION BY c.account_id ORDER BY c.effective_from) AS until
    FROM contracts AS c JOIN accounts AS a USING (account_id)
    WHERE (%(account)s = '' OR a.id = %(account)s)
        AND (%(payer)s::text IS NULL OR a.account_id IN (SELECT account_id FROM paid))
) AS held
WHERE (id, effective_from::text COLLATE "C") > (%(name)s, %(day)s)
ORDER BY id, effective_from LIMIT %(limit)s
"""  # noqa: S608
