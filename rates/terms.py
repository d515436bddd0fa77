"""Terms: what totals are priced with, beside the totals themselves. One value for all payers who share a book."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rates.cards import Card
from rates.prices import Price
from rates.products import Product
from rates.tiers import Pool, Schedule, Selector


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTerms:
    """What a card version says beyond its rows: its schedules and pools, and when. Its name is `id@from`."""

    version: str
    effective_from: datetime
    effective_to: datetime | None = None
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The currency, the prices by their id, the products, and the terms of each card version of a book."""

    currency: str
    prices: Mapping[int, Price]
    products: Mapping[str, Product]
    cards: Mapping[str, CardTerms]

    def schedule_of(self, price: Price) -> Schedule | None:
        """The schedule that prices a price, as the card version that rated it states it."""
        return self.cards[price.card].schedules[price.schedule] if price.schedule else None

    def schedules(self) -> dict[str, Schedule]:
        """Each schedule by name, as the last card version that defines it states it."""
        newest_last = sorted(self.cards.values(), key=lambda card: card.effective_from)
        return {name: schedule for card in newest_last for name, schedule in card.schedules.items()}

    def pools(self) -> dict[str, Pool]:
        """Each pool by name, as the last card version that defines it states it."""
        newest_last = sorted(self.cards.values(), key=lambda card: card.effective_from)
        return {name: pool for card in newest_last for name, pool in card.pools.items()}

    def lineages(self) -> dict[str, list[CardTerms]]:
        """The versions of each card, in the order in which they come into force."""
        found: dict[str, list[CardTerms]] = {}
        for card in sorted(self.cards.values(), key=lambda card: (card.effective_from, card.version)):
            found.setdefault(card.version.rpartition("@")[0], []).append(card)
        return found

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
