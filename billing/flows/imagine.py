"""Imagine books that nobody has published, and what a period's stored usage comes to by them. Nothing is written.

The stored events are read once, in columns, and rated batch by batch; only sums are kept. What is priced afterwards
goes through the pricing of every bill. Where a counter crosses a bound, the events of that day are read again in order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from billing.accounts import payer_of
from billing.assignment import NOBODY
from billing.candidates import Contracts
from billing.flows.costs import Bought, Costs
from billing.flows.days import Days
from billing.flows.price import Pricer
from billing.payers import payers_of
from billing.periods import Period
from billing.rated import columns_of
from billing.store.accounts import Accounts
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection
from billing.store.queries.pricing import head_of
from billing.store.rateable import OfDays, Rateable, Selection, rated_usage, waiting_usage
from billing.store.ratebooks import CardVersion, Imagined, Ratebooks, load_books, read_card_versions
from billing.usage import micros
from rates.averages import prices_of_month
from rates.cards import Card
from rates.compiled.cards import CardTable, compile_card
from rates.gathering import Gathered
from rates.packing import Packing, joined
from rates.prices import USAGE, Price, price_list
from rates.pricing import Wanted
from rates.products import Product
from rates.rating import rate
from rates.totals import elements, tally
from rates.usage import Int64s, Totals, UsageColumns, no_totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Imagined books: what rates, the heads of the cards by their numbers, and the prices that are in no database."""

    accounts: Accounts
    rating: Ratebooks
    heads: Mapping[int, Card]
    prices: Mapping[int, Price]


@dataclass(slots=True, kw_only=True)
class Retold:
    """What stored usage comes to by imagined books: its sums, and by payer how many events lose or get a price.

    `events` were rated before; `costs` are the sums of what is bought for it, now and then, by the product sold.
    """

    totals: Totals = field(default_factory=no_totals)
    unpriced: Counter[int] = field(default_factory=Counter)
    priced: Counter[int] = field(default_factory=Counter)
    events: int = 0
    costs: tuple[Mapping[str, Totals], Mapping[str, Totals]] = ({}, {})
    unbought: int = 0


def imagine(
    connection: Connection,
    products: Mapping[str, Product],
    stored: Accounts,
    contracts: Contracts,
    *,
    cards: Sequence[Card] = (),
    as_dated: bool = False,
    kept: CompiledCards | None = None,
) -> Books:
    """The books with these contracts, and with unpublished cards in place of the published ones of their ids.

    `as_dated`: in place of none but the version from the same instant, as if they were published.
    """
    versions = read_card_versions(connection)
    gone = {each.card_version_id for each in versions if any(_stands_for(card, each, as_dated) for card in cards)}
    heads = {each.card_version_id: head_of(each, products) for each in versions if each.card_version_id not in gone}
    price_base = max((each.price_base + max(each.prices, 1) for each in versions), default=1)
    rate_base = max((each.rate_base + each.rates for each in versions), default=1)
    compiled: dict[int, CardTable] = {}
    prices: dict[int, Price] = {}
    for number, card in enumerate(cards, start=max((each.card_version_id for each in versions), default=0) + 1):
        listed = price_list(card, products)
        compiled[number] = compile_card(card, products, rate_base=rate_base, price_base=price_base, prices=listed)
        heads[number] = card
        prices |= dict(enumerate(listed.prices, start=price_base))
        price_base, rate_base = price_base + max(len(listed.prices), 1), rate_base + card.rows.num_rows
    accounts = Accounts(accounts=stored.accounts, contracts=contracts, numbers=stored.numbers)
    imagined = Imagined(accounts=accounts, without=gone)
    rating = load_books(connection, products, None, kept, compiled, imagined)
    return Books(accounts=accounts, rating=rating, heads=heads, prices=prices)


def _stands_for(card: Card, version: CardVersion, as_dated: bool) -> bool:  # noqa: FBT001 (a predicate's own flag)
    return card.id == version.card_id and (not as_dated or card.effective_from == version.effective_from)


def retell(
    connection: Connection, books: Books, period: Period, payers: Sequence[int], buy: Costs | None = None
) -> Retold:
    """Rate the usage of some payers in a period by imagined books, also what waits in quarantine for a price."""
    telling = _Telling.begin(books, period, payers, buy)
    # Where somebody resells, the events of everyone are not all that there are: some are the reseller's side of others.
    everyone = set(payers) >= {payer for payer in numbered_payers(books.accounts).values() if payer != NOBODY}
    everyone = everyone and not books.rating.assignment.resells
    for some in rated_usage(connection, period, Selection(payers=None if everyone else payers)):
        waiting = telling.add(some, is_rated=True)
        telling.found.events += len(some)
        telling.found.unpriced.update(telling.payer_of[waiting].tolist())
    for some in waiting_usage(connection, period, telling.accounts.tolist()):
        waiting = telling.add(some, is_rated=False)
        telling.found.priced.update(telling.payer_of[some.account].tolist())
        telling.found.priced.subtract(telling.payer_of[waiting].tolist())
    return telling.end()


@dataclass(slots=True, kw_only=True)
class _Telling:
    """Usage being rated by imagined books. `payer_of` is int64: the payer of each account, by its number."""

    books: Books
    accounts: Int64s
    payer_of: Int64s
    packing: Packing
    gathered: Gathered
    bought: Bought | None
    found: Retold = field(default_factory=Retold)

    @classmethod
    def begin(cls, books: Books, period: Period, payers: Sequence[int], buy: Costs | None) -> Self:
        """Ready for the usage of some payers."""
        wanted = set(payers)
        paid = {account: payer for account, payer in numbered_payers(books.accounts).items() if payer in wanted}
        account, payer = np.array(list(paid), dtype=np.int64), np.array(list(paid.values()), dtype=np.int64)
        days = (micros(period.opens), micros(period.closes) - 1)
        prices = books.rating.books.price_ids
        return cls(
            books=books,
            accounts=account,
            payer_of=_table(paid),
            packing=Packing.of(np.array(days), payer, account, *prices),
            gathered=Gathered.of(*days, payer, account, *prices),
            bought=None if buy is None else Bought(costs=buy, days=days, account=account, payer=payer),
        )

    def add(self, some: Rateable, *, is_rated: bool) -> Int64s:
        """Rate some events and add what they come to. Gives the accounts of those without a price, one for each."""
        account = some.account.astype(np.int64)
        payer, columns = self.payer_of[account], _columns(self.books, some)
        rating = self.books.rating
        told = tally(columns, rating.books, rating.products, payer, account, self.packing)
        self.gathered.add(told.totals)
        if self.bought is not None:
            self.bought.add(columns, payer, account, told.waiting, is_rated=is_rated)
        return account[told.waiting]

    def end(self) -> Retold:
        """What it all comes to."""
        found = self.found
        found.priced = +found.priced
        found.totals = self.gathered.totals()
        if self.bought is not None:
            now, then = (
                {name: each.totals() for name, each in of.items()} for of in (self.bought.now, self.bought.then)
            )
            found.costs, found.unbought = (now, then), self.bought.unbought
        return found


def _table(paid: Mapping[int, int]) -> Int64s:
    table = np.full(max(paid, default=0) + 1, NOBODY, dtype=np.int64)
    table[list(paid)] = list(paid.values())
    return table


def _columns(books: Books, some: Rateable) -> UsageColumns:
    assigned = books.rating.assignment.assign(some.usage.account, some.usage.occurred_at)
    return columns_of(some.usage, assigned, books.rating.products)


def numbered_payers(accounts: Accounts) -> dict[int, int]:
    """The number of each account's payer, by the account's."""
    found = {}
    for name, number in accounts.numbers.items():
        payer = payer_of(name, accounts.accounts)
        found[number] = NOBODY if payer is None else accounts.numbers[payer.id]
    return found


@dataclass(slots=True, kw_only=True)
class RealPricer(Pricer):
    """What prices accounts as they are, beside an imagined pricer that mostly wants the same `days`."""

    days: Days

    @classmethod
    def beside(cls, plain: Pricer, days: Days) -> Self:
        """The same pricer, that reads these days."""
        return cls(**_known(plain), days=days)

    def crossings(self, wanted: Wanted) -> Totals:
        """The events of crossing days in order, as they are rated."""
        return joined([some.rated for some in self.days.of(wanted)])


@dataclass(slots=True, kw_only=True)
class ImaginedPricer(Pricer):
    """What prices accounts by imagined books.

    `retold` are the sums of their usage by them; None where they rate as the real ones do, and the stored sums hold.
    """

    books: Books
    days: Days
    retold: Totals | None = None

    @classmethod
    def imagined(cls, products: Mapping[str, Product], books: Books, retold: Totals | None, days: Days) -> Self:
        """The terms of the imagined cards, and the payers by the imagined contracts."""
        accounts, period = books.accounts, days.period
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        plain = Pricer.with_heads(days.reading, period, products, payers, books.heads)
        prices = prices_of_month(books.prices, plain.products)
        return cls(**{**_known(plain), "prices": prices}, books=books, days=days, retold=retold)

    def totals(self, numbers: Sequence[int]) -> Totals:
        """The totals of some accounts, as they are retold."""
        if self.retold is None:
            return Pricer.totals(self, numbers)
        bounds = (np.searchsorted(self.retold.payer, numbers, side=side).tolist() for side in ("left", "right"))
        places = [np.arange(start, end) for start, end in zip(*bounds, strict=True)]
        return self.retold.take(np.concatenate([np.empty(0, dtype=np.int64), *places]))

    def crossings(self, wanted: Wanted) -> Totals:
        """The events of crossing days in order, rated by the imagined books."""
        as_rated = self.retold is None
        return joined([some.rated if as_rated else self._ordered(some) for some in self.days.of(wanted)])

    def _ordered(self, some: OfDays) -> Totals:
        """The usage of events that are in order, a row each; the parts of one that was cut follow each other."""
        columns = _columns(self.books, some.events)
        ratings = rate(columns, self.books.rating.books, self.books.rating.products)
        rows = elements(ratings, columns, some.payer, some.events.account.astype(np.int64))
        event = np.concatenate([np.flatnonzero(ratings.price >= 0), ratings.extra_event])
        usage = [number for number in np.unique(rows.price).tolist() if self.prices[number].element == USAGE]
        some_rows = np.flatnonzero(np.isin(rows.price, usage))
        return rows.take(some_rows[np.argsort(event[some_rows], kind="stable")])


def _known(plain: Pricer) -> dict[str, Any]:
    return {name: getattr(plain, name) for name in Pricer.__dataclass_fields__}
