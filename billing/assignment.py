"""Who pays for usage, and which book rates it, for columns of accounts and days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from billing.accounts import Account, payer_of
from billing.contracts import Contract, contract_of
from rates.usage import MICROSECONDS_A_DAY, Int32s, Int64s, Texts

NOBODY = -1
_EPOCH = date(1970, 1, 1)
_DAYS = 2**32


class BookName(NamedTuple):
    """What makes two books one: cards in order of priority, and the currency of whoever pays."""

    cards: tuple[str, ...]
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Per event: the account and its payer by their numbers in the store, and the book; -1 for none. int32[n]."""

    account: Int32s
    payer: Int32s
    book: Int32s


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """All accounts with their payers, and for each the books by the day from which they hold."""

    places: Mapping[str, int]
    account: Int32s
    payer: Int32s
    books: tuple[BookName, ...]
    starts: Int64s
    book: Int32s

    def assign(self, account: Texts, occurred_at: Int64s) -> Assigned:
        """The payer and the book of n events, from the names of their accounts and their instants."""
        places = np.array([self.places.get(name, NOBODY) for name in account.values], dtype=np.int64)[account.codes]
        known = places != NOBODY
        begun = np.searchsorted(self.starts, places * _DAYS + occurred_at // MICROSECONDS_A_DAY, side="right") - 1
        # A start that is another account's (or none at all) says that no contract has begun.
        begun = np.where((begun >= 0) & (self.starts[begun] // _DAYS == places), begun, NOBODY)
        return Assigned(
            account=np.where(known, self.account[places], NOBODY).astype(np.int32),
            payer=np.where(known, self.payer[places], NOBODY).astype(np.int32),
            book=np.where(known & (begun >= 0), self.book[begun], NOBODY).astype(np.int32),
        )


def assignment(
    accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]], numbers: Mapping[str, int]
) -> Assignment:
    """The assignment of a checked set of accounts; `numbers` are the accounts' numbers in the store."""
    names = list(accounts)
    payers = [payer_of(name, accounts) for name in names]
    books: dict[BookName, int] = {}
    starts: list[int] = []
    chosen: list[int] = []
    for place, (name, payer) in enumerate(zip(names, payers, strict=True)):
        payer_contracts = contracts.get(payer.id, ()) if payer is not None else ()
        for day in sorted({contract.effective_from for contract in payer_contracts}):
            contract = contract_of(name, accounts, contracts, day)
            if contract is not None and payer is not None:
                starts.append(place * _DAYS + max(0, (day - _EPOCH) // timedelta(days=1)))
                chosen.append(books.setdefault(BookName(contract.cards, payer.currency), len(books)))
    return Assignment(
        places={name: place for place, name in enumerate(names)},
        account=np.array([*(numbers[name] for name in names), NOBODY], dtype=np.int32),
        payer=np.array([*(numbers[p.id] if p else NOBODY for p in payers), NOBODY], dtype=np.int32),
        books=tuple(books),
        starts=np.array(starts or [-1], dtype=np.int64),
        book=np.array(chosen or [NOBODY], dtype=np.int32),
    )
