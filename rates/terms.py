"""Terms: what totals are priced with, beside the totals themselves. One value for all payers who share a book."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import NamedTuple

from rates.cards import Card, instant
from rates.deals import WHOLE, Agreements
from rates.errors import Fault
from rates.prices import Price
from rates.products import Product
from rates.tiers import Pool, Schedule, Selector

_ALWAYS = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTerms:
    """What a card version says beyond its rows: its schedules and pools, and when. Its name is `id@from`."""

    version: str
    effective_from: datetime
    effective_to: datetime | None = None
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The id of the card of which this is a version."""
        return self.version.rpartition("@")[0]


BookTerms = tuple[CardTerms, ...]
"""The card versions that are in force under a contract, in its order: of two that define a name, the first counts."""


class Priority(NamedTuple):
    """The ids of a contract's cards in its order, and the day from 00:00 UTC of which it holds, until the next one."""

    since: date
    cards: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The currency, the prices by their id, the products, and the terms of each card version that has a word.

    `priorities` are those of the contracts of a period, by their days. On a day without one, and for a card that is in
    none, usage goes by the card version that rated it alone. `agreements` are what payers agreed on money beside their
    cards, each its own; None where nobody has.
    """

    currency: str
    prices: Mapping[int, Price]
    products: Mapping[str, Product]
    cards: Mapping[str, CardTerms]
    priorities: tuple[Priority, ...] = ()
    agreements: Agreements | None = None

    def schedule_of(self, price: Price) -> Schedule | None:
        """The schedule that prices a price, as the card version that rated it states it."""
        return self.cards[price.card].schedules[price.schedule] if price.schedule else None

    def left_of(self, price: Price, country: str, payer: int, day: date) -> Fraction:
        """What the payer's contract of a day leaves of a price."""
        if self.agreements is None:
            return WHOLE
        kind = (country, price.number_type)
        return self.agreements.left(payer, day, self.products[price.product], price.element, kind)

    def schedules(self) -> dict[str, Schedule]:
        """Each schedule by name, as the last book of the period states it; else the last version that defines it."""
        newest_last = sorted(self.cards.values(), key=lambda card: (card.effective_from, card.version))
        in_force = (card for _, book in self.books() for card in reversed(book))
        return {name: schedule for card in (*newest_last, *in_force) for name, schedule in card.schedules.items()}

    def book_at(self, at: datetime) -> BookTerms:
        """The book of an instant; empty where no contract holds."""
        held = [priority for priority in self.priorities if priority.since <= at.date()]
        if not held:
            return ()
        in_force = self._in_force(at)
        return tuple(in_force[card] for card in held[-1].cards if card in in_force)

    def books(self) -> list[tuple[date, BookTerms]]:
        """The books by the days from which they hold. Where one changes within a day, it is that of the day's end."""
        days = sorted({at.date() for at in self._changes()})
        return [(day, self.book_at(datetime.combine(day, time.max, UTC))) for day in days]

    def due_at_zero(self, schedule: str) -> CardTerms | None:
        """The version whose flat is due of a counter that nothing fills: the first to have the word that has one."""
        for book in map(self.book_at, self._changes()):
            first = next((card for card in book if schedule in card.schedules), None)
            if first is not None and first.schedules[schedule].flat_at_zero:
                return first
        return None

    def _changes(self) -> list[datetime]:
        """The instants from which another book may hold, the first contract's beginning first."""
        begins = [datetime.combine(priority.since, time(), UTC) for priority in self.priorities]
        ends = (card.effective_to for card in self.cards.values() if card.effective_to is not None)
        versions = (*(card.effective_from for card in self.cards.values()), *ends)
        return sorted({*begins, *(at for at in versions if begins and at > begins[0])})

    def _in_force(self, at: datetime) -> dict[str, CardTerms]:
        """The version in force of each card: the last that has begun, unless it has ended."""
        begun = (card for card in self.cards.values() if card.effective_from <= at)
        latest = {card.id: card for card in sorted(begun, key=lambda card: card.effective_from)}
        return {name: card for name, card in latest.items() if card.effective_to is None or at < card.effective_to}

    def unit_size(self, unit: str, fill: tuple[Selector, ...]) -> int:
        """Base units in a unit of a counter: the products that fill it agree on it."""
        fitting = (p for p in self.products.values() if any(s.takes_product(p.id) for s in fill))
        return next((product.units[unit] for product in fitting if unit in product.units), 1)


def card_terms(card: Card) -> CardTerms:
    """The terms of a card, without its rows."""
    return CardTerms(
        version=card.version,
        effective_from=card.effective_from,
        effective_to=card.effective_to,
        schedules=card.schedules,
        pools=card.pools,
    )


def definition(counter: Schedule | Pool) -> object:
    """All that a schedule or a pool says; the order of its selectors says nothing."""
    return replace(counter, fill=()), frozenset(counter.fill)


def counters(card: Card | CardTerms | None) -> tuple[object, ...]:
    """All that a card says beside its rows about what counts; pools in their order, which decides who takes what."""
    if card is None:
        return ()
    every: list[Schedule | Pool] = [*(card.schedules[name] for name in sorted(card.schedules)), *card.pools.values()]
    return tuple(map(definition, every))


def day_faults(versions: Iterable[CardTerms]) -> list[Fault]:
    """Where card versions change within a day what is counted. A day's totals cannot be cut; see `counters`."""
    by_id: dict[str, list[CardTerms]] = {}
    for version in sorted(versions, key=lambda version: version.effective_from):
        by_id.setdefault(version.id, []).append(version)
    changes = (change for of_card in by_id.values() for change in _recounts(of_card))
    return [_within_a_day(*change) for change in changes if change[2].timetz() != time(tzinfo=UTC)]


def _recounts(versions: list[CardTerms]) -> Iterator[tuple[CardTerms, str, datetime]]:
    """The versions of one card, in their order, that begin or end what is counted: by which key, and when."""
    for place, version in enumerate(versions):
        before = versions[place - 1] if place else None
        lapsed = before is None or _ends(before) < version.effective_from
        if counters(version) != (() if lapsed else counters(before)):
            yield version, "effective_from", version.effective_from
        following = versions[place + 1].effective_from if place + 1 < len(versions) else _ALWAYS
        if counters(version) and _ends(version) < following:
            yield version, "effective_to", _ends(version)


def _ends(version: CardTerms) -> datetime:
    return version.effective_to or _ALWAYS


def _within_a_day(version: CardTerms, key: str, at: datetime) -> Fault:
    midnight = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    return Fault(
        place=f"card {version.version}: {key}",
        value=instant(at),
        problem="changes what schedules and pools count within a day, whose totals cannot be cut",
        remedy=f"write 00:00 UTC, as in {instant(midnight)} or {instant(midnight + timedelta(days=1))}",
    )
