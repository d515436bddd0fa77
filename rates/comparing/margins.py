"""Margins: what usage brings on a sell card less what it costs on a buy card, after both roundings, exactly.

Both sides are rated by the kernel. Of a price with tiers the lowest counts where it is sold and the highest where it is
bought: the margin is at least what is said here, but for what contracts take off.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rates.cards import Card
from rates.compiled.cards import Lineage, compile_card, lineages
from rates.matching import Book, Books
from rates.money import exact
from rates.prices import CHARGE, EVENT, Price, price_list
from rates.products import Product
from rates.rating import REASONS, Ratings, rate
from rates.usage import UsageColumns

Int64s = NDArray[np.int64]
Amounts = NDArray[Any]
"""Whole numbers of 1 / `Sides.bottom`: int64, or Python's own where those would not do."""

_ROOM = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """All versions of a card, ready to rate: `rows` says of each rate (version after version) its version and row."""

    cards: tuple[Card, ...]
    book: Books
    values: tuple[Fraction, ...]
    per_event: NDArray[np.bool_]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, cards: Sequence[Card], products: Mapping[str, Product], *, dearest: bool) -> "Side":
        """The versions of one card; of tiers the dearest price counts, or the cheapest."""
        values: list[Fraction] = []
        flags: list[bool] = []
        compiled, starts, rates = [], [], 0
        for card in cards:
            listed = price_list(card, products)
            prices = listed.prices
            compiled.append(compile_card(card, products, rate_base=rates, price_base=len(values), prices=listed))
            starts.append(rates)
            values.extend(_value(price, card, dearest=dearest) for price in prices)
            flags.extend(price.unit == EVENT for price in prices)
            rates += card.rows.num_rows
        (lineage,) = lineages(compiled).values() if compiled else (Lineage(id="", versions=()),)
        return cls(
            cards=tuple(cards),
            book=Books([Book(lineages=(lineage,))]),
            values=tuple(values),
            per_event=np.array(flags, dtype=np.bool_),
            starts=tuple(starts),
        )

    def cell(self, rate_id: int, name: str) -> str:
        """A cell of the row of a rate, `row` for its line, `card` for its version; "" for a rate of -1."""
        if rate_id < 0:
            return ""
        place = int(np.searchsorted(self.starts, rate_id, side="right")) - 1
        card = self.cards[place]
        if name == "card":
            return card.version
        if name not in card.rows.column_names:
            return ""
        return str(card.rows[name][rate_id - self.starts[place]].as_py())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Where usage is sold and where it is bought. Amounts of both are whole numbers of 1 / `bottom`."""

    sell: Side
    buy: Side
    products: Mapping[str, Product]
    bottom: int
    wholes: tuple[list[int], list[int]]

    @classmethod
    def of(
        cls,
        sell: Sequence[Card],
        buy: Sequence[Card],
        products: Mapping[str, Product],
        *,
        dearest: tuple[bool, bool] = (False, True),
    ) -> "Sides":
        """The versions of a sell card and those of a buy card; of tiers the dearest or the cheapest price counts."""
        sides = [Side.of(cards, products, dearest=which) for cards, which in zip((sell, buy), dearest, strict=True)]
        bottom = lcm(1, *(value.denominator for side in sides for value in side.values))
        wholes = [[int(value * bottom) for value in side.values] for side in sides]
        return cls(sell=sides[0], buy=sides[1], products=products, bottom=bottom, wholes=(wholes[0], wholes[1]))

    def margins(self, usage: UsageColumns, buy_product: str) -> "Margins":
        """What n events bring and cost; their product is another one where they are bought."""
        found = []
        bought = UsageColumns(**{name: getattr(usage, name) for name in _COLUMNS} | {"products": (buy_product,)})
        for side, columns in ((self.sell, usage), (self.buy, bought)):
            ratings = rate(columns, side.book, self.products)
            found.append((ratings, self._amounts(side, ratings)))
        (sold, revenue), (got, cost) = found
        return Margins(
            sell=_of_usage(sold),
            buy=_of_usage(got),
            reason=np.where(sold.reason > 0, sold.reason, got.reason),
            is_sold=sold.reason == 0,
            revenue=revenue,
            cost=cost,
        )

    def exact(self, amount: int) -> Fraction:
        """An amount in money."""
        return Fraction(amount, self.bottom)

    def _amounts(self, side: Side, ratings: Ratings) -> Amounts:
        values = self.wholes[side is self.buy]
        most = max(int(ratings.billed.max(initial=1)), int(ratings.extra_billed.max(initial=1)))
        small = max(map(abs, values), default=0) * most * 64 < _ROOM
        known = np.array([*values, 0], dtype=np.int64 if small else object)  # the last one is for no price
        alone = np.append(side.per_event, False)
        quantity = np.where(alone[ratings.price], np.minimum(ratings.billed, 1), ratings.billed)
        amounts: Amounts = known[ratings.price] * (quantity if small else quantity.astype(object))
        extra = known[ratings.extra_price] * (ratings.extra_billed if small else ratings.extra_billed.astype(object))
        np.add.at(amounts, ratings.extra_event, extra)
        return amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """What n events bring and cost: `sell` and `buy` are int64[n], their rates, -1 for none.

    `reason` is int8[n], why one side has no price; `is_sold` bool[n] whether the first has.
    """

    sell: Int64s
    buy: Int64s
    reason: NDArray[np.int8]
    is_sold: NDArray[np.bool_]
    revenue: Amounts
    cost: Amounts

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Which events have a price on both sides."""
        whole: NDArray[np.bool_] = self.reason == 0
        return whole

    @property
    def margin(self) -> Amounts:
        """What is left; it says something only of events that have a price on both sides."""
        return self.revenue - self.cost


@dataclass(slots=True, kw_only=True)
class Tally:
    """Sums of margins by sell row and buy row: events, seconds or other base units, revenue and cost."""

    sums: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    unbought: dict[tuple[int, str], int] = field(default_factory=dict)

    def add(self, margins: Margins, measured: Int64s) -> None:
        """Add some events."""
        whole = np.flatnonzero(margins.whole)
        for key, some in _groups(margins.sell[whole], margins.buy[whole]):
            these = whole[some]
            sums = self.sums.setdefault(key, [0, 0, 0, 0, 0])
            added = (margins.revenue[these], margins.cost[these])
            lost = int(np.count_nonzero(added[0] < added[1]))
            for i, value in enumerate((len(these), int(measured[these].sum()), _sum(added[0]), _sum(added[1]), lost)):
                sums[i] += value
        missing = np.flatnonzero(margins.is_sold & ~margins.whole)
        for (row, reason), some in _groups(margins.sell[missing], margins.reason[missing].astype(np.int64)):
            place = (row, str(REASONS[reason]))
            self.unbought[place] = self.unbought.get(place, 0) + len(some)


def _sum(amounts: Amounts) -> int:
    most = int(abs(amounts).max()) if len(amounts) else 0
    return int(amounts.sum()) if most * len(amounts) < _ROOM else sum(map(int, amounts.tolist()))


def _groups(one: Int64s, other: Int64s) -> Iterator[tuple[tuple[int, int], Int64s]]:
    """The places of each pair of values."""
    if not len(one):
        return
    order = np.lexsort((other, one))
    a, b = one[order], other[order]
    edges = np.flatnonzero((a[1:] != a[:-1]) | (b[1:] != b[:-1])) + 1
    for some in np.split(order, edges):
        yield (int(one[some[0]]), int(other[some[0]])), some


def _of_usage(ratings: Ratings) -> Int64s:
    """The rate of each event's usage, also of one that costs its minimum or maximum."""
    found = ratings.rate.copy()
    none = np.flatnonzero(found[ratings.extra_event] < 0)
    found[ratings.extra_event[none]] = ratings.extra_rate[none]
    return found


def _value(price: Price, card: Card, *, dearest: bool) -> Fraction:
    """What one base unit (of a price per event: one event) comes to."""
    if price.element == CHARGE:
        return Fraction(1, 10**price.rounding.decimals)
    if price.is_rounded:
        return Fraction(0)
    schedule = card.schedules.get(price.schedule)
    tiers = range(schedule.tiers if schedule else 1)
    found = [price.unit_price(tier, schedule) for tier in tiers] if schedule else [exact(price.prices[0])]
    return Fraction((max if dearest else min)(found), price.unit_size)


_COLUMNS = ("products", "product", "book", "occurred_at", "to", "from_", "measured", "texts")
