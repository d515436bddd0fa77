"""What usage costs where it is bought: the same events on a buy card, exactly, after its increments and roundings.

Of a price with tiers the dearest counts, as in every comparison of margins: the cost is at most what is said here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm

import numpy as np

from billing import simulations
from rates.cards import Card
from rates.comparing.margins import Side
from rates.gathering import Gathered
from rates.numbering import COUNTRIES
from rates.packing import Packing
from rates.products import Product
from rates.ratings import FIRST_QUARANTINED
from rates.totals import tally
from rates.usage import Int64s, Totals, UsageColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Where usage is bought: all versions of a card. A product that is not on it is bought `told` as another."""

    side: Side
    currency: str
    products: Mapping[str, Product]
    known: frozenset[str]
    told: str = ""

    @classmethod
    def of(cls, cards: Sequence[Card], products: Mapping[str, Product], told: str = "") -> "Costs":
        """The versions of a buy card."""
        known = frozenset(name for card in cards for name in card.rows["product"].unique().to_pylist())
        side = Side.of(cards, products, dearest=True)
        return cls(side=side, currency=cards[-1].currency, products=products, known=known, told=told)

    def bought_as(self, product: str) -> str:
        """The product that a sold one is where it is bought; "" for one that is not bought here."""
        return product if product in self.known else self.told

    def add(self, side: simulations.Side, costs: Mapping[str, Totals]) -> None:
        """Add what usage costs to a side of a simulation; `costs` are sums by the product that is sold."""
        bottom = lcm(1, *(value.denominator for value in self.side.values))
        values = np.array([int(value * bottom) for value in self.side.values] or [0], dtype=object)
        alone = self.side.per_event if len(self.side.per_event) else np.zeros(1, dtype=np.bool_)
        for product, totals in costs.items():
            if not len(totals):
                continue
            quantity = np.where(alone[totals.price], totals.events, totals.quantity)
            amounts = values[totals.price] * quantity.astype(object)
            order = np.lexsort((totals.country, totals.payer))
            payer, country = totals.payer[order], totals.country[order]
            new = np.ones(len(order), dtype=np.bool_)
            new[1:] = (payer[1:] != payer[:-1]) | (country[1:] != country[:-1])
            first = np.flatnonzero(new)
            sums = np.add.reduceat(amounts[order], first).tolist()
            for number, code, amount in zip(payer[first].tolist(), country[first].tolist(), sums, strict=True):
                cost = Fraction(amount, bottom)
                side.cost(side.names[number], product, COUNTRIES[code], self.currency, cost)


@dataclass(slots=True, kw_only=True)
class Bought:
    """What is bought, being summed by the product that is sold, for events that have a price now and then.

    `days` are the first and the last instant (microseconds), `account` and `payer` all accounts, int64[a].
    """

    costs: Costs
    days: tuple[int, int]
    account: Int64s
    payer: Int64s
    now: dict[str, Gathered] = field(default_factory=dict)
    then: dict[str, Gathered] = field(default_factory=dict)
    unbought: int = 0

    def add(self, columns: UsageColumns, payer: Int64s, account: Int64s, waiting: Int64s, *, is_rated: bool) -> None:
        """Add n events; those of the rows in `waiting` have no price then, and only if `is_rated` have they one now."""
        kept = np.ones(len(columns), dtype=np.bool_)
        kept[waiting] = False
        for code in np.unique(columns.product).tolist():
            product = columns.products[code]
            of_product = columns.product == code
            both = self._costs(columns, product, of_product & kept, payer, account)
            _gathered(self.then, product, self).add(both)
            if is_rated:
                _gathered(self.now, product, self).add(both)
                if len(waiting):
                    _gathered(self.now, product, self).add(
                        self._costs(columns, product, of_product & ~kept, payer, account)
                    )

    def _costs(
        self,
        columns: UsageColumns,
        product: str,
        which: np.ndarray[tuple[int], np.dtype[np.bool_]],
        payer: Int64s,
        account: Int64s,
    ) -> Totals:
        rows = np.flatnonzero(which)
        some = columns if len(rows) == len(columns) else columns.take(rows)
        names = tuple(self.costs.bought_as(name) if name == product else name for name in columns.products)
        usage = replace(some, products=names, book=np.zeros(len(some), dtype=np.int32))
        books = self.costs.side.book
        packing = Packing.of(np.array(self.days), self.payer, self.account, *books.price_ids)
        told = tally(usage, books, self.costs.products, payer[rows], account[rows], packing)
        self.unbought += int(told.reasons[FIRST_QUARANTINED:].sum())
        return told.totals


def _gathered(of: dict[str, Gathered], product: str, bought: Bought) -> Gathered:
    if product not in of:
        least, most = bought.costs.side.book.price_ids
        of[product] = Gathered.of(*bought.days, bought.payer, bought.account, least, most)
    return of[product]
