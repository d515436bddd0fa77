"""Invoice lines as columns: quantities gathered by line key, multiplied once, rounded once.

The line key is the rounding unit: prefixes, card versions, days and subaccounts are not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.counters import Int64s
from rates.money import EXPONENTS, currency, invoice_step, round_ratio
from rates.prices import Price
from rates.quantities import INT64_MAX, require_headroom

FREE = "free"
"""The tier of units that a pool gives free."""

FLAT = "flat"
"""The element, and the unit, of a schedule's flat."""


class LineKey(NamedTuple):
    """The rounding unit: what makes two amounts one line. `unit_size` base units are one `unit`."""

    product: str
    element: str
    country: str
    destination: str
    tier: str
    unit_price: Fraction
    unit: str
    unit_size: int
    base: str


def key_of(price: Price, country: str, tier: str, unit_price: Fraction) -> LineKey:
    """The line of a price in a country and tier."""
    return LineKey(
        price.product,
        price.element,
        country,
        price.destination,
        tier,
        unit_price,
        price.unit,
        price.unit_size,
        price.base,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedLines:
    """Lines, sorted by payer and then by key.

    `payer`, `events`, `base_quantity` and `amount_minor` are int64[m], `key` int32[m] into `keys`; `amount_minor` is
    in minor units of the currency; `residuals[i]` is exact minus rounded, in major units; `cards[i]` the versions.
    """

    currency: str
    keys: Sequence[LineKey]
    payer: Int64s
    key: NDArray[np.int32]
    events: Int64s
    base_quantity: Int64s
    amount_minor: Int64s
    residuals: Sequence[Fraction]
    cards: Sequence[tuple[str, ...]]


@dataclass(slots=True)
class Parts:
    """Quantities on their way to lines: columns in pieces, and the line keys that they point to."""

    ids: dict[LineKey, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    pieces: list[tuple[Int64s, Int64s, Int64s, Int64s, Int64s, Int64s]] = field(default_factory=list)

    def add(self, payer: Int64s, line: Int64s, version: Int64s, events: Int64s, quantity: Int64s) -> None:
        """Put quantities (and how many events they stand for) on lines; all int64[n]."""
        some = np.flatnonzero((quantity != 0) | (events != 0))
        self.pieces.append((payer[some], line[some], version[some], events[some], quantity[some], some))

    def columns(self) -> list[Int64s]:
        """The payer, line, version, events and quantity of all that was added, and its place in what it came in."""
        nothing = np.zeros(0, dtype=np.int64)
        return [np.concatenate(column) for column in zip((nothing,) * 6, *self.pieces, strict=True)]

    def line(self, key: LineKey) -> int:
        """The number of a line key."""
        return self.ids.setdefault(key, len(self.ids))

    def version(self, version: str) -> int:
        """The number of a card version."""
        return self.versions.setdefault(version, len(self.versions))


def lines_of(parts: Parts, currency_code: str) -> PricedLines:
    """The lines that the parts add up to, each rounded once, half away from zero, to the currency's invoice step.

    Raises `QuantityOverflowError` for a line of more than 64 bits.
    """
    keys = list(parts.ids)
    ranked = sorted(range(len(keys)), key=lambda i: keys[i])
    rank = np.empty(len(keys), dtype=np.int64)
    rank[ranked] = np.arange(len(keys))
    payer, line, version, events, quantity, _ = parts.columns()
    order = np.lexsort((version, rank[line], payer))
    payer, line, version = payer[order], line[order], version[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (payer[1:] != payer[:-1]) | (line[1:] != line[:-1])
    first = np.flatnonzero(new)
    base_quantity = _sums(quantity[order], first)
    amounts, residuals = _amounts([keys[i] for i in line[first].tolist()], base_quantity.tolist(), currency_code)
    return PricedLines(
        currency=currency_code,
        keys=[keys[i] for i in ranked],
        payer=payer[first],
        key=rank[line[first]].astype(np.int32),
        events=_sums(events[order], first),
        base_quantity=base_quantity,
        amount_minor=np.array(amounts, dtype=np.int64),
        residuals=residuals,
        cards=_cards(list(parts.versions), version, first),
    )


def _sums(column: Int64s, first: Int64s) -> Int64s:
    if not len(first):
        return column[:0]
    longest = int(np.diff(np.append(first, len(column))).max())
    if int(np.abs(column).max()) * longest > INT64_MAX:
        # Could be, not must be: only then is it worth counting in Python's integers.
        require_headroom(int(np.abs(np.add.reduceat(column.astype(object), first)).max()), "the quantity of a line")
    return np.add.reduceat(column, first)


def _amounts(keys: list[LineKey], quantities: list[int], code: str) -> tuple[list[int], list[Fraction]]:
    money = currency(code)
    step, scale = invoice_step(money), 10 ** EXPONENTS[money]
    amounts: list[int] = []
    residuals: list[Fraction] = []
    for key, quantity in zip(keys, quantities, strict=True):
        numerator = key.unit_price.numerator * quantity * scale
        denominator = key.unit_price.denominator * key.unit_size
        minor = round_ratio(numerator, denominator * step) * step
        amounts.append(minor)
        residuals.append(Fraction(numerator - minor * denominator, denominator * scale))
    return amounts, residuals


def _cards(versions: list[str], version: Int64s, first: Int64s) -> list[tuple[str, ...]]:
    if len(versions) == 1:
        return [(versions[0],)] * len(first)
    bounds = np.append(first, len(version)).tolist()
    seen = version.tolist()
    return [tuple(sorted({versions[v] for v in seen[a:b]})) for a, b in pairwise(bounds)]
