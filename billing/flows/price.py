"""Price accounts from the store: totals and the events of crossing days in, lines out. What every bill goes through.

Accounts that share the terms of their counters are priced together. What breaks for one account breaks for that one
only: its group is priced again in halves until the culprit is alone, as is whatever else is made of many accounts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from itertools import dropwhile, groupby
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from billing.payers import Payer, versions_in, with_bases
from billing.periods import Period
from billing.store.engine import Connection
from billing.store.queries.credits import credits_used
from billing.store.queries.pricing import read_crossings, read_heads, read_prices
from billing.store.queries.support import support_bases
from billing.store.totals import read_totals
from rates.averages import prices_of_month, products_of_month
from rates.cards import Card
from rates.deals import Agreements, agreements_of
from rates.errors import TollbookError
from rates.lines import PricedLines
from rates.prices import Price
from rates.pricing import Standing, Wanted, crossing_days, price, standings
from rates.products import Product, declared
from rates.tally.items import CrossingsIncompleteError
from rates.terms import Priority, Terms, card_terms
from rates.usage import Int32s, Totals, no_totals

ORDERED_EVENTS = 2_000_000
"""Events of crossing days that are read at a time, unless one account alone has more."""

_Made = TypeVar("_Made")

_EPOCH = date(1970, 1, 1).toordinal()

ACCOUNT_FAULTS = (TollbookError, ArithmeticError, LookupError, TypeError, ValueError)
"""What data can do to a computation; anything else is the caller's own failure."""


class _TooManyError(Exception):
    """The crossing days of several accounts have more events than are read at a time."""


class TermsKey(NamedTuple):
    """What accounts must share to be priced together: what counts something, and whose word goes first.

    Those that a reseller bills are apart: an account's own counters are known by the account, and its usage has two
    payers.
    """

    currency: str
    priorities: tuple[Priority, ...]
    versions: frozenset[str]
    resold: bool = False


@dataclass(slots=True, kw_only=True)
class Pricer:
    """What prices the accounts of one period, as one snapshot has it. Prices are read when they are first needed.

    `counting` are all versions of the cards with schedules or pools, `by_card` those of them in force in the period;
    `agreements` what the payers' contracts say of money, with what their credits paid on other invoices.
    """

    reading: Connection
    period: Period
    products: Mapping[str, Product]
    payers: Mapping[int, Payer]
    heads: Mapping[int, Card]
    counting: Mapping[str, Card]
    by_card: Mapping[str, Sequence[str]]
    agreements: Agreements | None = None
    prices: dict[int, Price] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, reading: Connection, period: Period, products: Mapping[str, Product], payers: Mapping[int, Payer]
    ) -> Self:
        """Read the terms of all cards."""
        return cls.with_heads(reading, period, products, payers, read_heads(reading, products))

    @classmethod
    def with_heads(
        cls,
        reading: Connection,
        period: Period,
        products: Mapping[str, Product],
        payers: Mapping[int, Payer],
        heads: Mapping[int, Card],
    ) -> Self:
        """A pricer by the terms of these cards."""
        # A version that counts nothing any more still ends what the one before it counted.
        count = {card.id for card in heads.values() if card.schedules or card.pools}
        counting = {card.version: card for card in heads.values() if card.id in count}
        by_card: dict[str, list[str]] = {}
        for card in versions_in(period, heads.values()):
            if card.version in counting:
                by_card.setdefault(card.id, []).append(card.version)
        return cls(
            reading=reading,
            period=period,
            products=products_of_month(products, period.days),
            payers=payers,
            heads=heads,
            counting=counting,
            by_card=by_card,
            agreements=_agreements(reading, period, payers, products),
        )

    def read(self, numbers: Sequence[int]) -> Totals:
        """The totals of some accounts, merged, and the prices that they are of. Raises ProductUnknownError."""
        totals = self.totals(numbers)
        self.learn(totals.price)
        return totals

    def learn(self, prices: Int32s) -> None:
        """Read the prices of totals that somebody else read. Raises ProductUnknownError."""
        unread = [number for number in np.unique(prices).tolist() if number not in self.prices]
        if unread:
            found = read_prices(self.reading, unread, self.heads)
            for each in found.values():
                declared(self.products, each.product, f"card {each.card}")
            self.prices |= prices_of_month(found, self.products)

    def totals(self, numbers: Sequence[int]) -> Totals:
        """The totals of some accounts, merged."""
        return read_totals(self.reading, self.period, numbers)

    def crossings(self, wanted: Wanted) -> Totals:
        """The events of crossing days, in order."""
        return read_crossings(self.reading, wanted)

    def read_each(self, numbers: Sequence[int]) -> Iterator[tuple[Sequence[int], Totals]]:
        """The totals of some accounts, and whose they are; `failed` says why those of an account cannot be read."""
        return halved(numbers, self.read, self.failed)

    def price(self, numbers: Sequence[int], totals: Totals) -> Iterator[PricedLines]:
        """The lines of some accounts, group by group; `failed` says why an account has none."""
        groups = self._grouped(numbers, totals).items()
        ready = [_Group(members, totals_of(totals, members), self._terms(key)) for key, members in groups]
        self._read_ahead(ready)
        for group in ready:
            yield from self._group(group)

    def standings(self, numbers: Sequence[int], totals: Totals) -> Iterator[tuple[TermsKey, list[Standing]]]:
        """Where the counters of some accounts stand, with what those have in common that share terms."""
        for key, members in self._grouped(numbers, totals).items():
            if key.versions:
                stand = partial(_stand, totals=totals, terms=self._terms(key))
                yield from ((key, found) for _, found in halved(members, stand, self.failed))

    def price_one(self, number: int, totals: Totals) -> PricedLines:
        """The lines of one account; what makes that impossible is raised."""
        return self._lines(_Group([number], totals, self.terms(number, totals)))

    def terms(self, number: int, totals: Totals) -> Terms:
        """What one account's totals are priced with."""
        return self._terms(self._keys([number], totals)[number])

    def _terms(self, key: TermsKey) -> Terms:
        cards = {version: card_terms(self.counting[version]) for version in key.versions}
        return Terms(
            currency=key.currency,
            prices=self.prices,
            products=self.products,
            cards=cards,
            priorities=key.priorities,
            agreements=self.agreements,
        )

    def _grouped(self, numbers: Sequence[int], totals: Totals) -> dict[TermsKey, list[int]]:
        """Accounts by the terms that they share."""
        groups: dict[TermsKey, list[int]] = {}
        for number, key in self._keys(numbers, totals).items():
            groups.setdefault(key, []).append(number)
        return groups

    def _keys(self, numbers: Sequence[int], totals: Totals) -> dict[int, TermsKey]:
        """The keys of accounts, by their contracts and by what rated their usage."""
        known: dict[tuple[str, tuple[Priority, ...]], TermsKey] = {}
        rated = self._rated(totals)
        keys: dict[int, TermsKey] = {}
        for number in numbers:
            payer = self.payers[number]
            contracts = (payer.party.currency, payer.priorities)
            if contracts not in known:
                known[contracts] = self._contracted(*contracts)
            key = known[contracts]._replace(resold=payer.resold)
            more = rated.get(number, frozenset()) - key.versions
            keys[number] = key._replace(versions=key.versions | more) if more else key
        return keys

    def _contracted(self, currency: str, priorities: Sequence[Priority]) -> TermsKey:
        """The cards with counters of the contracts of a period, and their versions.

        Cards that count nothing, or in another currency, are left out: a card of one's own is no reason to be alone.
        """
        counted: dict[str, list[str]] = {}
        for card in {card for priority in priorities for card in priority.cards}:
            versions = [each for each in self.by_card.get(card, ()) if self.counting[each].currency == currency]
            counted |= {card: versions} if versions else {}
        counting = (Priority(since, tuple(card for card in cards if card in counted)) for since, cards in priorities)
        # The first of those alike that follow each other; before anything counts, a contract's beginning is nothing.
        changes = (next(alike) for _, alike in groupby(counting, key=lambda priority: priority.cards))
        kept = tuple(dropwhile(lambda priority: not priority.cards, changes))
        return TermsKey(currency, kept, frozenset(version for each in counted.values() for version in each))

    def _rated(self, totals: Totals) -> dict[int, frozenset[str]]:
        """The versions with counters that rated something, in a contract or not."""
        counted = {n for n in np.unique(totals.price).tolist() if self.prices[n].card in self.counting}
        found: dict[int, set[str]] = {}
        for number, price_id in payers_and_prices(totals.take(np.isin(totals.price, list(counted)))):
            found.setdefault(number, set()).add(self.prices[price_id].card)
        return {number: frozenset(versions) for number, versions in found.items()}

    def _read_ahead(self, groups: Sequence["_Group"]) -> None:
        """Read the events of crossing days of all groups at once, round by round, as far as one reading goes.

        A group that finds no room, or goes wrong, is left to `_lines`, which reads for it alone.
        """
        room = ORDERED_EVENTS
        while groups:
            wanting: list[tuple[_Group, Wanted]] = []
            for group in groups:
                try:
                    wanted = crossing_days(group.totals, group.crossings, group.terms)
                except ACCOUNT_FAULTS:
                    continue
                group.complete = not len(wanted.payer)
                events = 0 if group.complete else _events(group.totals, wanted)
                if 0 < events <= room:
                    room -= events
                    wanting.append((group, wanted))
            if wanting:
                days = Wanted(*(np.concatenate([wanted[i] for _, wanted in wanting]) for i in (0, 1)))
                read = self.crossings(days)
                for group, _ in wanting:
                    group.crossings = group.crossings.plus(totals_of(read, group.numbers))
                wanting = [(group, wanted) for group, wanted in wanting if not _without_events(wanted, read).any()]
            groups = [group for group, _ in wanting]

    def _group(self, group: "_Group") -> Iterator[PricedLines]:
        """The lines of accounts that share terms, or of their halves where that is too much or goes wrong."""

        def lines(numbers: Sequence[int]) -> PricedLines:
            whole = len(numbers) == len(group.numbers)
            return self._lines(group if whole else _Group(numbers, totals_of(group.totals, numbers), group.terms))

        yield from (found for _, found in halved(group.numbers, lines, self.failed))

    def _lines(self, group: "_Group") -> PricedLines:
        """The lines, after reading the events of crossing days. Raises _TooManyError where one reading has too many."""
        totals, crossings, terms = group.totals, group.crossings, group.terms
        while not group.complete:
            wanted = crossing_days(totals, crossings, terms)
            if not len(wanted.payer):
                break
            if _events(totals, wanted) > ORDERED_EVENTS and len(group.numbers) > 1:
                raise _TooManyError
            read = self.crossings(wanted)
            _require_events(wanted, read)
            crossings = crossings.plus(read)
        return price(totals, crossings, terms, payers=group.numbers)


@dataclass(slots=True)
class _Group:
    """Accounts that share terms, and the events of crossing days that are read so far; `complete`: those are all."""

    numbers: Sequence[int]
    totals: Totals
    terms: Terms
    crossings: Totals = field(default_factory=no_totals)
    complete: bool = False


def halved(
    numbers: Sequence[int], make: Callable[[Sequence[int]], _Made], failed: dict[int, str]
) -> Iterator[tuple[Sequence[int], _Made]]:
    """What is made of some accounts; or of their halves where that goes wrong, until whoever breaks it is alone.

    Whoever that is gets no result, and the reason in `failed`.
    """
    try:
        made = make(numbers)
    except (*ACCOUNT_FAULTS, _TooManyError) as fault:
        if len(numbers) == 1:
            failed[numbers[0]] = f"{type(fault).__name__}: {fault}"
            return
    else:
        yield numbers, made
        return
    middle = len(numbers) // 2
    for half in (numbers[:middle], numbers[middle:]):
        yield from halved(half, make, failed)


def _stand(numbers: Sequence[int], totals: Totals, terms: Terms) -> list[Standing]:
    return standings(totals_of(totals, numbers), terms)


def _agreements(
    reading: Connection, period: Period, payers: Mapping[int, Payer], products: Mapping[str, Product]
) -> Agreements | None:
    """What payers agreed on money beside their cards, with what other months make of it."""
    agreed = {number: payer.agreed for number, payer in payers.items() if payer.agreed is not None}
    promised = [number for number, each in agreed.items() if any(span.deal.credits for span in each.spans)]
    for number, used in credits_used(reading, period, promised).items():
        agreed[number] = replace(agreed[number], used=used)
    supported = [number for number, each in agreed.items() if each.support]
    aside = [product.id for product in products.values() if not product.discountable]
    for number, base in support_bases(reading, period.before(), supported, aside).items():
        agreed[number] = with_bases(agreed[number], base.minor)
    return agreements_of(agreed)


def payers_and_prices(totals: Totals) -> Iterator[tuple[int, int]]:
    """Each payer with each price that it has usage of, once."""
    packed = np.unique(totals.payer << 32 | totals.price)
    return zip((packed >> 32).tolist(), (packed & 0xFFFFFFFF).tolist(), strict=True)


def totals_of(totals: Totals, numbers: Sequence[int]) -> Totals:
    """The totals of some payers."""
    wanted = np.isin(totals.payer, np.array(numbers, dtype=np.int64))
    return totals if wanted.all() else totals.take(wanted)


def _events(totals: Totals, wanted: Wanted) -> int:
    """How many events the totals of some days have."""
    days = days_numbered(wanted.payer, wanted.day)
    return int(totals.events[np.isin(days_numbered(totals.payer, totals.day), days)].sum())


def _require_events(wanted: Wanted, read: Totals) -> None:
    """Days that were read and have no events would be wanted for ever. Raises CrossingsIncompleteError."""
    missing = np.flatnonzero(_without_events(wanted, read))
    if len(missing):
        day = date.fromordinal(_EPOCH + int(wanted.day[missing[0]]))
        raise CrossingsIncompleteError(
            "usage was counted that is not among the events, or comes from no source that there is",
            place=f"payer {wanted.payer[missing[0]]}, {day}",
            remedy="bring the events or their source back from a backup; nothing of this account is billed until then",
        )


def _without_events(wanted: Wanted, read: Totals) -> NDArray[np.bool_]:
    """Which of the days have no event among those that were read."""
    return ~np.isin(days_numbered(wanted.payer, wanted.day), days_numbered(read.payer, read.day))


def days_numbered(payer: NDArray[np.int64], day: NDArray[np.int32]) -> NDArray[np.int64]:
    """Days of payers, each as one number."""
    days: NDArray[np.int64] = payer * (1 << 20) + day
    return days
