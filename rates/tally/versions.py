"""Which card version's word counts for an item, where a schedule or a pool has several.

The version that rated the item has the first word. Where its card does not define the name at all, usage of that card
still counts: then the version that is in force on the item's day has it, of the first card that defines the name.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np

from rates.tally.counters import Bools, Int64s
from rates.tally.items import Items
from rates.terms import CardTerms, Terms

Defines = Callable[[CardTerms], bool]

_EPOCH = date(1970, 1, 1)


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


def said_by(items: Items, terms: Terms, defines: Defines) -> Said:
    """The version that each item goes by."""
    cards = [card for lineage in terms.lineages().values() for card in lineage if defines(card)]
    places = {card.version: place for place, card in enumerate(cards)}
    if len(cards) == len(terms.cards) == 1:
        return Said(cards, np.zeros(len(items.kind), dtype=np.int64))
    rated = {version: code for code, version in enumerate(sorted({price.card for price in items.prices}))}
    code = np.array([rated[price.card] for price in items.prices], dtype=np.int64)
    pairs = items.rows.day.astype(np.int64) * max(len(rated), 1) + (code[items.kind] if len(code) else 0)
    distinct, inverse = np.unique(pairs, return_inverse=True)
    names = list(rated)
    found = []
    for day, rater in zip(*(part.tolist() for part in np.divmod(distinct, max(len(rated), 1))), strict=True):
        version = _version(terms, names[rater], _EPOCH + timedelta(days=day), defines)
        found.append(places.get(version, -1))
    return Said(cards, np.array(found, dtype=np.int64)[inverse] if found else np.zeros(0, dtype=np.int64))


def _version(terms: Terms, rated_by: str, day: date, defines: Defines) -> str:
    own = terms.cards.get(rated_by)
    if own is not None and defines(own):
        return rated_by
    end = datetime.combine(day, time(), UTC) + timedelta(days=1)
    for lineage in terms.lineages().values():
        begun = [card for card in lineage if card.effective_from < end]
        if own in lineage or not begun:
            continue
        current = begun[-1]
        if defines(current) and (current.effective_to is None or current.effective_to >= end):
            return current.version
    return ""
