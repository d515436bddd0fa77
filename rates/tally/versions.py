"""Which card version's word counts for an item, where a schedule or a pool has several.

The version that rated the item has the first word. Where its card does not define the name at all, usage of that card
still counts: then the first card that defines it has the word, in the order of the contract that holds on the item's
day and in the version in force.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rates.tally.counters import Bools, Int64s
from rates.tally.items import Items
from rates.tally.kinds import Kinds
from rates.terms import BookTerms, CardTerms

Defines = Callable[[CardTerms], bool]


class Said(NamedTuple):
    """The versions that define a name, and which of them (int64[n], -1 for none) each item goes by."""

    cards: list[CardTerms]
    place: Int64s

    def numbers(self, of_cards: Sequence[int]) -> Int64s:
        """Of a number for each version, that of each item's, int64[n]; 0 where no version defines the name."""
        return np.array([*of_cards, 0], dtype=np.int64)[self.place]

    def differ(self, items: Items, among: Bools, owner: Int64s) -> Bools:
        """Items whose owner goes by several versions on their day, of those `among` which the order matters."""
        day = owner * (1 << 20) + items.rows.day
        pairs = np.unique(np.stack([day[among], self.place[among]]), axis=1)
        days, versions = np.unique(pairs[0], return_counts=True)
        return np.isin(day, days[versions > 1])


class Raters(NamedTuple):
    """The versions that rated something, `None` for all that say nothing, and which of them each kind is of."""

    cards: list[CardTerms | None]
    of_kind: Int64s


def raters_of(kinds: Kinds) -> Raters:
    """Who rated usage of these kinds."""
    known = kinds.terms.cards
    cards, of_kind = kinds.cards
    rated = sorted(set(cards) & known.keys())
    places = {version: place for place, version in enumerate(rated, start=1)}
    places_of_cards = np.array([places.get(card, 0) for card in cards], dtype=np.int64)
    return Raters([None, *(known[version] for version in rated)], places_of_cards[of_kind])


def speakers(rater: CardTerms | None, book: BookTerms) -> BookTerms:
    """The versions that have a word on usage of a day, in the order in which they have it: first whoever rated it."""
    return (rater, *(card for card in book if card.id != rater.id)) if rater is not None else book


class Words(NamedTuple):
    """The versions that define a name, and which of them (-1 for none) has the word: int64[b, k] by book and kind.

    `alone` is the one that has it everywhere, None where that is not so.
    """

    cards: list[CardTerms]
    place: Int64s
    alone: np.int64 | None

    @classmethod
    def of(cls, kinds: Kinds, defines: Defines) -> "Words":
        """Who has the word where."""
        cards = [card for _, card in sorted(kinds.terms.cards.items()) if defines(card)]
        places = {card.version: place for place, card in enumerate(cards)}
        raters = raters_of(kinds)
        first = [
            [
                next((places[card.version] for card in speakers(rater, book) if defines(card)), -1)
                for rater in raters.cards
            ]
            for book in kinds.books
        ]
        place = np.array(first, dtype=np.int64)[:, raters.of_kind]
        alike = place.size and (place == place[0, 0]).all()
        return cls(cards, place, place[0, 0] if alike else None)

    def of_items(self, items: Items) -> Said:
        """The version that each item goes by."""
        if self.alone is not None:
            return Said(self.cards, np.broadcast_to(self.alone, len(items.kind)))
        return Said(self.cards, self.place[items.book, items.kind])
