"""Accounts: who used it, and who pays for it. Accounts form a tree; the payer is the nearest billing account above."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple, NewType

from billing.periods import ALWAYS
from rates.cards import instant
from rates.errors import Fault
from rates.money import CurrencyUnknownError, currency
from rates.reading import Reader

AccountId = NewType("AccountId", str)
"""An account's name as its owner writes it: 1 to 200 printable characters."""

LONGEST_ID = 200

_CONTROL = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"


class Suspension(NamedTuple):
    """When an account that pays was suspended: up to, not including, the instant at which it was reactivated."""

    begins: datetime
    ends: datetime = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account (FORMATS 3). `parent` is "" at the root of a tree; `currency` is "" where its payer's holds.

    What a `prepaid` one has used is worth the same at any later moment: see `billing.prepaid`.
    `suspended` is in order, with time between each and the next.
    """

    id: AccountId
    parent: str = ""
    pays: bool = True
    prepaid: bool = False
    currency: str = ""
    zone: str = "UTC"
    name: str = ""
    address: tuple[str, ...] = ()
    tax_id: str = ""
    language: str = ""
    legal_entity: str = ""
    suspended: tuple[Suspension, ...] = ()


def read_account(table: Mapping[str, object], place: str) -> tuple[Account | None, list[Fault]]:
    """An account from its table, or every fault of it. Without `pays`, an account pays if it has no parent."""
    faults: list[Fault] = []
    read = Reader(place=f"{place}: ", table=table, faults=faults)
    parent = read.text("parent", "")
    account = Account(
        id=AccountId(read.text("id")),
        parent=parent,
        pays=read.flag("pays", default=not parent),
        prepaid=read.flag("prepaid"),
        currency=read.text("currency", ""),
        zone=read.timezone("zone"),
        name=read.text("name", ""),
        address=read.texts("address"),
        tax_id=read.text("tax_id", ""),
        language=read.text("language", ""),
        legal_entity=read.text("legal_entity", ""),
        suspended=tuple(map(_suspension, read.each("suspended"))),
    )
    read.finish()
    _check(account, read)
    return (None if faults else account), faults


def payer_of(account_id: str, accounts: Mapping[str, Account]) -> Account | None:
    """The billing account that pays for an account: itself or the nearest above; None where nobody does."""
    return next((account for account in upwards(account_id, accounts) if account.pays), None)


def check_tree(accounts: Mapping[str, Account], resellers: Collection[str] = ()) -> list[Fault]:
    """What is wrong with a set of accounts as a whole: cycles, unknown parents, nobody who pays, two currencies.

    Below `resellers` an account may have a currency of its own: that of the invoices which it gets from them.
    """
    return [fault for account in accounts.values() for fault in _tree_faults(account, accounts, resellers)]


def _tree_faults(account: Account, accounts: Mapping[str, Account], resellers: Collection[str]) -> Iterator[Fault]:
    place = f"account {account.id}"
    if account.parent and account.parent not in accounts:
        yield Fault(
            place=f"{place}: parent",
            value=account.parent,
            problem="is not an account",
            remedy="add the parent first",
        )
        return
    path = list(upwards(account.id, accounts))
    if path[-1].parent in accounts:
        yield Fault(
            place=f"{place}: parent",
            value=account.parent,
            problem="leads back to the account itself",
            remedy="a tree has a root",
        )
        return
    payer = payer_of(account.id, accounts)
    if payer is None:
        yield Fault(place=place, value="", problem="nobody pays for it", remedy="write pays = true here or above it")
    elif not account.pays and account.currency not in {"", payer.currency} and payer.id not in resellers:
        yield Fault(
            place=f"{place}: currency",
            value=account.currency,
            problem=f"its payer {payer.id} is billed in {payer.currency}",
            remedy=f"leave it out, or first give {payer.id} a contract with resells = true",
        )


def change_faults(accounts: Iterable[Account], stored: Mapping[str, Account]) -> Iterator[Fault]:
    """Where accounts say otherwise what was said of them before and stays: their place, currency and suspensions."""
    for account in accounts:
        before = stored.get(account.id)
        if before is None:
            continue
        for key in ("parent", "pays", "currency"):
            if key == "currency" and not account.pays and not before.currency:
                continue  # whoever pays was billed in a currency: none was of any use until a reseller bills it
            if getattr(before, key) != getattr(account, key):
                problem = f"was {getattr(before, key) or 'none'}, and this version does not change it"
                yield _fault(account, key, str(getattr(account, key)), problem, "add another account")
        for told in before.suspended:
            if told not in account.suspended and not _is_ended(told, account):
                problem = f"leaves out that it was suspended from {instant(told.begins)}{_until(told)}"
                remedy = "keep what was said, which decided when charges were posted; only a missing `to` is added"
                yield _fault(account, "suspended", "", problem, remedy)


def _is_ended(told: Suspension, account: Account) -> bool:
    """Whether a suspension that had no end yet has got one."""
    return told.ends == ALWAYS and any(each.begins == told.begins for each in account.suspended)


def _until(told: Suspension) -> str:
    return "" if told.ends == ALWAYS else f" to {instant(told.ends)}"


def _fault(account: Account, key: str, value: str, problem: str, remedy: str) -> Fault:
    return Fault(place=f"account {account.id}: {key}", value=value, problem=problem, remedy=remedy)


def _suspension(read: Reader) -> Suspension:
    begins, ends = read.instant("from"), read.instant("to", ALWAYS)
    read.finish()
    suspension = Suspension(begins or ALWAYS, ends or ALWAYS)
    if begins and ends and ends <= begins:
        read.fault("to", "is not after its beginning", "write the instant at which the account was reactivated")
    return suspension


def upwards(account_id: str, accounts: Mapping[str, Account]) -> Iterator[Account]:
    """The account and those above it; each once, even if they lead in a circle."""
    seen: set[str] = set()
    while account_id in accounts and account_id not in seen:
        seen.add(account_id)
        yield accounts[account_id]
        account_id = accounts[account_id].parent


def _check_suspended(account: Account, read: Reader) -> None:
    if account.suspended and not account.pays:
        # Twilio, "What happens when I suspend a subaccount?" (support article 223183768, undated): its parent goes on
        # being charged for its numbers.
        problem = "is of an account that does not pay, and its payer goes on being charged"
        read.fault("suspended", problem, "end its charges, or suspend its payer")
    for before, after in pairwise(account.suspended):
        if after.begins <= before.ends:
            problem = f"has one from {instant(after.begins)}, before the one above it has ended"
            read.fault("suspended", problem, "write them in order, each with its `to`")


def _check(account: Account, read: Reader) -> None:
    if len(account.id) > LONGEST_ID or not account.id.isprintable():
        read.fault("id", f"is not 1 to {LONGEST_ID} printable characters", "write a short name, as in acme")
    written = {key: (getattr(account, key),) for key in ("parent", "name", "tax_id", "language", "legal_entity")}
    for key, lines in (written | {"address": account.address}).items():
        if any(re.search(_CONTROL, line) for line in lines):
            read.fault(key, "has a control character in it", "remove it; each line of an address is a text of its own")
    _check_suspended(account, read)
    if account.parent and account.parent == account.id:
        read.fault("parent", "is the account itself", "leave it out at the root of a tree")
    if account.prepaid and not account.pays:
        read.fault("prepaid", "is of an account that somebody else pays for", "write it of whoever pays")
    if account.pays and not account.currency:
        read.fault("currency", "is missing", "whoever pays is billed in a currency")
    if account.currency:
        try:
            currency(account.currency)
        except CurrencyUnknownError as error:
            read.fault("currency", error.problem, error.remedy)
