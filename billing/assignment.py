"""Who pays for usage, and which book rates it, for columns of accounts and days."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from billing.accounts import Account, payer_of
from billing.contracts import Contract, resold_to
from rates.compiled.views import view
from rates.usage import MICROSECONDS_A_DAY, Flags, Int32s, Int64s, Texts

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

    @property
    def all_pay(self) -> bool:
        """Whether each event is of an account, and that of a payer."""
        return not len(self.payer) or bool(min(self.account.min(), self.payer.min()) != NOBODY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """All accounts with their payers, and for each the books by the day from which they hold.

    Each has two places: the one behind all accounts is that of its usage as its reseller bills it. `resells`: whether
    anybody does.
    """

    places: Mapping[str, int]
    account: Int32s
    payer: Int32s
    books: tuple[BookName, ...]
    starts: Int64s
    book: Int32s
    resells: bool = False

    def assign(self, account: Texts, occurred_at: Int64s, resold: Flags | None = None) -> Assigned:
        """The payer and the book of n events, from the names of their accounts and their instants.

        `resold` are those of which it is the reseller's customer, and the reseller's cards.
        """
        codes, places = account.codes, self._places(account)
        if resold is not None:
            behind = np.where(places != NOBODY, places + len(self.places), NOBODY)
            codes, places = codes + resold * np.int32(len(places)), np.concatenate([places, behind])
        return Assigned(
            account=self.account[places][codes],
            payer=self.payer[places][codes],
            book=self._books_of(places, codes, occurred_at),
        )

    def assign_one(self, account: str, occurred_at: int) -> tuple[int, int, int]:
        """The same of one event: the account, its payer and the book by their numbers, -1 for none."""
        place = self.places.get(account, NOBODY)
        if place == NOBODY:
            return NOBODY, NOBODY, NOBODY
        starts = view(self.starts)
        begun = bisect_right(starts, place * _DAYS + occurred_at // MICROSECONDS_A_DAY) - 1
        book = view(self.book)[begun] if begun >= 0 and starts[begun] // _DAYS == place else NOBODY
        return view(self.account)[place], view(self.payer)[place], book

    def is_resold(self, account: Texts, occurred_at: Int64s) -> Flags:
        """Which of n events somebody resells: by then, a contract of whoever is resold to has begun."""
        places = self._places(account)
        behind = np.where(places != NOBODY, places + len(self.places), NOBODY)
        found: Flags = self._begun(behind[account.codes], occurred_at) != NOBODY
        return found

    def _places(self, account: Texts) -> Int64s:
        """The place of each distinct account."""
        return np.array([self.places.get(name, NOBODY) for name in account.values], dtype=np.int64)

    def _books_of(self, places: Int64s, codes: Int32s, occurred_at: Int64s) -> Int32s:
        """The books of n events, by the places of the distinct accounts and whose each is (`codes`, int32[n])."""
        if not len(codes):
            return np.empty(0, dtype=np.int32)
        first, last = occurred_at.min(), occurred_at.max()
        begun = self._begun(places, first)
        if not _is_one_day(first, last) and not np.array_equal(begun, self._begun(places, last)):  # several meanwhile
            begun, codes = self._begun(places[codes], occurred_at), np.arange(len(codes), dtype=np.int32)
        return np.where(begun != NOBODY, self.book[begun], np.int32(NOBODY))[codes]

    def _begun(self, places: Int64s, occurred_at: Int64s | np.int64) -> Int64s:
        """Which start holds; -1 where no contract has begun: the start before is another account's, or none."""
        begun = np.searchsorted(self.starts, places * _DAYS + occurred_at // MICROSECONDS_A_DAY, side="right") - 1
        return np.where((begun >= 0) & (self.starts[begun] // _DAYS == places), begun, NOBODY)


def _is_one_day(first: np.int64, last: np.int64) -> bool:
    return bool(first // MICROSECONDS_A_DAY == last // MICROSECONDS_A_DAY)


def assignment(
    accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]], numbers: Mapping[str, int]
) -> Assignment:
    """The assignment of a checked set of accounts; `numbers` are the accounts' numbers in the store."""
    names = list(accounts)
    paying = [payer_of(name, accounts) for name in names]
    resold = [resold_to(name, accounts, contracts) for name in names]
    books: dict[BookName, int] = {}
    starts: list[int] = []
    chosen: list[int] = []
    for place, payer in enumerate([*paying, *resold]):
        for contract in sorted(contracts.get(payer.id, ()) if payer else (), key=lambda each: each.effective_from):
            if payer is not None:
                starts.append(place * _DAYS + max(0, (contract.effective_from - _EPOCH) // timedelta(days=1)))
                chosen.append(books.setdefault(BookName(contract.cards, payer.currency), len(books)))
    own = [numbers[name] for name in names]
    payers = [numbers[payer.id] if payer else NOBODY for payer in [*paying, *resold]]
    return Assignment(
        places={name: place for place, name in enumerate(names)},
        account=np.array([*own, *own, NOBODY], dtype=np.int32),
        payer=np.array([*payers, NOBODY], dtype=np.int32),
        books=tuple(books),
        starts=np.array(starts or [-1], dtype=np.int64),
        book=np.array(chosen or [NOBODY], dtype=np.int32),
        resells=any(resold),
    )
