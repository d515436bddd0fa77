"""Re-rating: whether usage that was rated would be charged the same by other books, and how far a change reaches.

A change of the books touches stretches of usage. What was rated in them stays as it is charged, to the last figure, or
the change is refused: only the numbers under which cards and rows are stored may differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing.accounts import Account
from billing.contracts import Contract, is_billed
from billing.periods import ALWAYS
from rates.cards import Card
from rates.money import format_fraction, normal
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, USAGE, Price
from rates.rating import REASONS, Ratings
from rates.terms import CardTerms, counters, definition
from rates.tiers import Pool, Schedule, selected
from rates.usage import Flags, Int32s, Int64s
from rates.worded import amount_of

_COUNTRY_BITS = 16
_NUMBER_BITS = 31


class Stretch(NamedTuple):
    """Usage that an account pays for, from an instant on and before another."""

    payer: int
    since: datetime
    until: datetime


class Counting(NamedTuple):
    """What counts usage by the books: the cards of a contract in its order, and all versions of each by its id."""

    cards: Sequence[str]
    versions: Mapping[str, Sequence[CardTerms]]

    def at(self, instant: datetime) -> list[tuple[str, tuple[object, ...]]]:
        """The versions in force then that have schedules or pools, in their order, each with these."""
        held = (self._in_force(card, instant) for card in self.cards)
        return [(version.version, said) for version in held if version is not None and (said := counters(version))]

    def changes(self) -> set[datetime]:
        """The instants at which a version begins or ends."""
        every = [version for card in self.cards for version in self.versions.get(card, ())]
        return {at for version in every for at in (version.effective_from, version.effective_to or ALWAYS)}

    def _in_force(self, card: str, at: datetime) -> CardTerms | None:
        begun = (version for version in self.versions.get(card, ()) if version.effective_from <= at)
        last = max(begun, key=lambda version: version.effective_from, default=None)
        return None if last is None or at >= (last.effective_to or ALWAYS) else last


def recounted(before: Counting, after: Counting, since: datetime, until: datetime) -> tuple[bool, bool]:
    """Whether other versions count between two instants; and whether schedules or pools say anything else, in order."""
    points = {since, *(at for at in before.changes() | after.changes() if since < at < until)}
    pairs = [(before.at(at), after.at(at)) for at in points]
    said = (([each for _, each in ours], [each for _, each in theirs]) for ours, theirs in pairs)
    return any(ours != theirs for ours, theirs in pairs), any(ours != theirs for ours, theirs in said)


class Tariff(NamedTuple):
    """All that usage is charged by, but for the names and numbers of cards: equal tariffs, equal lines.

    `counters` are the schedules and pools of the card that usage of this kind moves.
    """

    price: Price
    country: str
    schedule: object
    counters: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Of n events: which would be charged otherwise, which have other prices' numbers, which differ in any number."""

    otherwise: Flags
    repriced: Flags
    differs: Flags


def card_stretches(
    card_id: str,
    since: datetime,
    until: datetime,
    accounts: Mapping[str, Account],
    contracts: Mapping[str, Sequence[Contract]],
    numbers: Mapping[str, int],
) -> list[Stretch]:
    """What a version of a card reaches that is in force from an instant on and before another."""
    found = []
    for name, begin, end, contract in _spans(accounts, contracts):
        if card_id in contract.cards and begin < until and end > since:
            found.append(Stretch(numbers[name], max(since, begin), min(until, end)))
    return found


def contract_stretches(
    added: Sequence[Contract],
    accounts: Mapping[str, Account],
    contracts: Mapping[str, Sequence[Contract]],
    numbers: Mapping[str, int],
) -> list[Stretch]:
    """What added contracts reach; `contracts` has them among all others."""
    new = set(added)
    spans = _spans(accounts, contracts)
    return [Stretch(numbers[name], begin, end) for name, begin, end, contract in spans if contract in new]


def _spans(
    accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]]
) -> Iterator[tuple[str, datetime, datetime, Contract]]:
    """Each contract that rates something: whose it is, from when, and until when."""
    for name, all_of_it in contracts.items():
        if name not in accounts or not is_billed(accounts[name], accounts, contracts):
            continue
        ordered = sorted(all_of_it, key=lambda each: each.effective_from)
        begins = [_midnight(each.effective_from) for each in ordered]
        for contract, begin, end in zip(ordered, begins, [*begins[1:], ALWAYS], strict=True):
            yield name, begin, end, contract


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def tariff(price: Price, card: Card, country: str) -> Tariff:
    """The tariff of a price of a card (without its rows is enough) in a country ("": none)."""
    schedule = card.schedules.get(price.schedule)
    moved: tuple[object, ...] = ()
    if price.element == USAGE:
        schedules = (card.schedules[name] for name in sorted(card.schedules))
        every: list[Schedule | Pool] = [*schedules, *card.pools.values()]
        taking = (each for each in every if selected(each.fill, price.product, country, price.number_type))
        moved = tuple(map(definition, taking))
    return Tariff(replace(price, card=""), country, None if schedule is None else definition(schedule), moved)


@dataclass(slots=True, kw_only=True)
class Tariffs:
    """Prices by their numbers, each with its card version (without its rows is enough), and what usage is charged."""

    prices: dict[int, Price] = field(default_factory=dict)
    cards: dict[int, Card] = field(default_factory=dict)
    _known: dict[tuple[int, str], Tariff] = field(default_factory=dict)

    def add(self, found: Mapping[int, tuple[Price, Card]]) -> None:
        """Take prices by their numbers, each with its card version."""
        for number, (price, card) in found.items():
            self.prices[number], self.cards[number] = price, card

    def missing(self, *ratings: Ratings) -> list[int]:
        """The numbers in ratings whose prices are still to be added to `prices`."""
        used = np.unique(np.concatenate([ids for each in ratings for ids in (each.price, each.extra_price)]))
        return [number for number in used[used >= 0].tolist() if number not in self.prices]

    def tariff(self, number: int, country: str) -> Tariff:
        """The tariff of a price in a country."""
        key = (number, country)
        if key not in self._known:
            self._known[key] = tariff(self.prices[number], self.cards[number], country)
        return self._known[key]

    def same(self, old: Int32s, new: Int32s, country: NDArray[np.int16]) -> Flags:
        """Whether n pairs of prices mean the same in the countries of their events; each pair is looked at once."""
        pairs, place = np.unique(old.astype(np.int64) << _NUMBER_BITS | new, return_inverse=True)
        asked, where = np.unique(place << _COUNTRY_BITS | country, return_inverse=True)
        pair, code = pairs[asked >> _COUNTRY_BITS], asked & ((1 << _COUNTRY_BITS) - 1)
        before, after = pair >> _NUMBER_BITS, pair & ((1 << _NUMBER_BITS) - 1)
        each = zip(before.tolist(), after.tolist(), (COUNTRIES[c] for c in code.tolist()), strict=True)
        answers = [a == b or self.tariff(a, name) == self.tariff(b, name) for a, b, name in each]
        return np.array(answers, dtype=np.bool_)[where]

    def order(self, ratings: Ratings) -> Int64s:
        """What events come to beside their usage in the order of the elements' names: int64[m] of their places.

        Parts of one element stay in the order in which they were rated.
        """
        numbers, place = np.unique(ratings.extra_price, return_inverse=True)
        names = np.array([self.prices[number].element for number in numbers.tolist()], dtype=np.str_)
        order: Int64s = np.lexsort((names[place], ratings.extra_event))
        return order


_EXTRAS = ("extra_event", "extra_rate", "extra_price", "extra_billed", "extra_events")


def reordered(ratings: Ratings, places: Int64s) -> Ratings:
    """The same ratings, with what events come to beside their usage in another order: int64[m] of its places."""
    return replace(ratings, **{name: getattr(ratings, name)[places] for name in _EXTRAS})


def compare(old: Ratings, new: Ratings, tariffs: Tariffs) -> Compared:
    """Compare two ratings of the same n events, both in the `order` of the tariffs, which have all their prices."""
    country = old.country != new.country
    repriced = old.price != new.price
    otherwise = (old.reason != new.reason) | (old.billed != new.billed) | ((old.price < 0) != (new.price < 0))
    rows = np.flatnonzero((old.price >= 0) & (new.price >= 0) & (repriced | country))
    otherwise[rows] |= country[rows] | ~tariffs.same(old.price[rows], new.price[rows], old.country[rows])
    beside = _compare_extras(old, new, tariffs)
    return Compared(
        otherwise=otherwise | beside.otherwise,
        repriced=repriced | beside.repriced,
        differs=otherwise | repriced | country | (old.rate != new.rate) | beside.differs,
    )


def _compare_extras(old: Ratings, new: Ratings, tariffs: Tariffs) -> Compared:
    """The same for what events come to beside their usage."""
    n = len(old.reason)
    otherwise = np.bincount(old.extra_event, minlength=n) != np.bincount(new.extra_event, minlength=n)
    repriced, differs = otherwise.copy(), otherwise.copy()
    ours, theirs = (np.flatnonzero(~otherwise[each.extra_event]) for each in (old, new))
    event = old.extra_event[ours]
    before, after = old.extra_price[ours], new.extra_price[theirs]
    wrong = (old.extra_billed[ours] != new.extra_billed[theirs]) | (old.country != new.country)[event]
    wrong |= old.extra_events[ours] != new.extra_events[theirs]
    wrong |= ~tariffs.same(before, after, old.country[event])
    otherwise[event[wrong]] = True
    repriced[event[before != after]] = True
    differs[event[wrong | (before != after) | (old.extra_rate[ours] != new.extra_rate[theirs])]] = True
    return Compared(otherwise=otherwise, repriced=repriced, differs=differs)


def words_for(old: Ratings, new: Ratings, row: int, tariffs: Tariffs) -> tuple[str, str]:
    """What an event is charged by two ratings, as `0.02 USD per minute`; what else differs is said where it must be."""
    before, after = _in_words(old, row, tariffs), _in_words(new, row, tariffs)
    if before != after:
        return before, after
    billed, instead = _quantities(old, row, tariffs), _quantities(new, row, tariffs)
    if billed != instead:
        return f"{before}, {billed} billed", f"{after}, {instead} billed"
    return before, f"{after}, but with another {' and '.join(_differences(old, new, row, tariffs)) or 'card version'}"


def _in_words(ratings: Ratings, row: int, tariffs: Tariffs) -> str:
    own = [(int(ratings.price[row]), int(ratings.billed[row]))] if ratings.price[row] >= 0 else []
    beside = zip(_extras(ratings, row, ratings.extra_price), _extras(ratings, row, ratings.extra_billed), strict=True)
    priced = [(tariffs.prices[number], quantity) for number, quantity in (*own, *beside)]
    parts_first = sorted(priced, key=lambda each: each[0].element != USAGE)
    charged = [_price_in_words(price, quantity) for price, quantity in parts_first]
    reason = REASONS[ratings.reason[row]]
    return " and ".join([*charged, *([f"nothing ({reason})"] if reason else [])])


def _price_in_words(price: Price, quantity: int) -> str:
    if price.element == CHARGE:
        return f"{format_fraction(amount_of(price, quantity))} {price.currency} after rounding"
    element = "" if price.element == USAGE else f"{price.element} "
    return f"{element}{'/'.join(map(normal, price.prices))} {price.currency} per {price.unit}"


def _quantities(ratings: Ratings, row: int, tariffs: Tariffs) -> str:
    """What is billed of an event, part by part."""
    beside = zip(_extras(ratings, row, ratings.extra_price), _extras(ratings, row, ratings.extra_billed), strict=True)
    further = [quantity for number, quantity in beside if tariffs.prices[number].element == USAGE]
    return " + ".join(map(str, [int(ratings.billed[row]), *further]))


def _extras(ratings: Ratings, row: int, column: Int32s | Int64s) -> list[int]:
    """A column of what an event comes to beside its usage."""
    found: list[int] = column[ratings.extra_event == row].tolist()
    return found


def _prices(ratings: Ratings, row: int) -> list[int]:
    own = [int(ratings.price[row])] if ratings.price[row] >= 0 else []
    return own + _extras(ratings, row, ratings.extra_price)


def _differences(old: Ratings, new: Ratings, row: int, tariffs: Tariffs) -> list[str]:
    """The names of what differs between the tariffs of an event's elements."""
    countries = [COUNTRIES[each.country[row]] for each in (old, new)]
    found: dict[str, None] = {}
    for numbers in zip(_prices(old, row), _prices(new, row), strict=False):
        ours, theirs = (tariffs.tariff(*each) for each in zip(numbers, countries, strict=True))
        found |= dict.fromkeys(
            name for name in Price.__dataclass_fields__ if getattr(ours.price, name) != getattr(theirs.price, name)
        )
        found |= dict.fromkeys(
            name for name in ("country", "schedule", "counters") if getattr(ours, name) != getattr(theirs, name)
        )
    return list(found)
