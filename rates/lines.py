"""Invoice lines as columns: quantities gathered by line key, multiplied once, rounded once.

The line key is the rounding unit: prefixes, card versions, days and subaccounts are not in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from rates.money import EXPONENTS, currency, invoice_step, round_ratio
from rates.prices import CHARGE, USAGE, Price
from rates.quantities import INT64_MAX, require_headroom
from rates.usage import Int64s

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
    """The line of a price in a country and tier, after all discounts; a rounded charge lies on that of its usage."""
    return LineKey(
        price.product,
        USAGE if price.element == CHARGE else price.element,
        country,
        price.destination,
        tier,
        unit_price,
        price.unit,
        price.unit_size,
        price.base,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios(Sequence[Fraction]):
    """Exact fractions as columns: integers `numerator` and `denominator` (> 0), [n] each, in any terms.

    Both are int64, or Python's integers (dtype object) where 64 bits do not hold them.
    """

    numerator: NDArray[Any]
    denominator: NDArray[Any]

    def __len__(self) -> int:
        return len(self.numerator)

    @overload
    def __getitem__(self, at: int) -> Fraction: ...
    @overload
    def __getitem__(self, at: slice) -> "Ratios": ...
    def __getitem__(self, at: int | slice) -> "Fraction | Ratios":
        if isinstance(at, slice):
            return Ratios(numerator=self.numerator[at], denominator=self.denominator[at])
        return Fraction(int(self.numerator[at]), int(self.denominator[at]))

    def lowest(self) -> "Ratios":
        """The same in lowest terms."""
        shared = np.gcd(self.numerator, self.denominator)
        return Ratios(numerator=self.numerator // shared, denominator=self.denominator // shared)


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
    residuals: Ratios
    cards: Sequence[tuple[str, ...]]


class Cut(NamedTuple):
    """Money of a part of a unit that a bound of money cuts, on a payer's line; `place` is that of the item."""

    payer: int
    line: int
    place: int
    amount: Fraction


@dataclass(slots=True)
class Parts:
    """Quantities on their way to lines: columns in pieces, and the line keys that they point to.

    `rounded` are quantities that events rounded by themselves have and no price multiplies, `charges` what they come
    to: by the money that one unit of it is, as 1/10000. Payer, line, quantity: int64[n] each. `cuts` are of
    units that lie in several tiers.
    """

    keys: list[LineKey] = field(default_factory=list)
    names: dict[tuple[object, ...], dict[str, int]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    pieces: list[tuple[Int64s, ...]] = field(default_factory=list)
    rounded: list[tuple[Int64s, Int64s, Int64s]] = field(default_factory=list)
    charges: dict[Fraction, list[tuple[Int64s, Int64s, Int64s]]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)

    def cut(self, found: "Cut", version: int) -> None:
        """Put money on a line beside quantity times price, also where nothing else is on it."""
        self.cuts.append(found)
        row = (found.payer, found.line, version, 0, 0, found.place)
        self.pieces.append(tuple(np.array([each], dtype=np.int64) for each in row))

    def add(
        self,
        payer: Int64s,
        line: Int64s,
        version: Int64s,
        events: Int64s,
        quantity: Int64s,
        rows: Int64s | None = None,
    ) -> None:
        """Put quantities (and how many events they stand for) on lines; all int64[n].

        `rows` are their places in what they came in, where they are not all of it.
        """
        is_due = (quantity != 0) | (events != 0)
        if rows is not None and is_due.all():  # as most often: nothing has to be copied
            self.pieces.append((payer, line, version, events, quantity, rows))
            return
        some = np.flatnonzero(is_due)
        places = some if rows is None else rows[some]
        self.pieces.append((payer[some], line[some], version[some], events[some], quantity[some], places))

    def columns(self) -> list[Int64s]:
        """The payer, line, version, events and quantity of all that was added, and its place in what it came in."""
        if len(self.pieces) == 1:
            return list(self.pieces[0])
        nothing = np.zeros(0, dtype=np.int64)
        return [np.concatenate(column) for column in zip((nothing,) * 6, *self.pieces, strict=True)]

    def line(self, key: LineKey) -> int:
        """The number of a line key."""
        return self.line_in(key.country, key, self.alike(key))

    def alike(self, key: LineKey) -> dict[str, int]:
        """The numbers of the lines that a key is of in each country, which `line_in` adds to."""
        # A fraction is slow to hash and to compare; its two whole numbers say the same.
        price = (key.unit_price.numerator, key.unit_price.denominator)
        return self.names.setdefault((key.product, key.element, *key[3:5], *price, *key[6:]), {})

    def line_in(self, country: str, key: LineKey, alike: dict[str, int]) -> int:
        """The number of the line of a key in a country; `alike` are those of the key in all countries."""
        number = alike.get(country)
        if number is None:
            number = alike[country] = len(self.keys)
            self.keys.append(LineKey(key[0], key[1], country, *key[3:]))
        return number

    def version(self, version: str) -> int:
        """The number of a card version."""
        return self.versions.setdefault(version, len(self.versions))


def lines_of(parts: Parts, currency_code: str) -> PricedLines:
    """The lines that the parts add up to, each rounded once, half away from zero, to the currency's invoice step.

    Raises `QuantityOverflowError` for a quantity or an amount of more than 64 bits.
    """
    keys = parts.keys
    ranked = sorted(range(len(keys)), key=lambda i: keys[i])
    rank = np.empty(len(keys), dtype=np.int64)
    rank[ranked] = np.arange(len(keys))
    payer, line, version, events, quantity, _ = parts.columns()
    order = _order(payer, rank[line], version)
    payer, line, version = payer[order], line[order], version[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (payer[1:] != payer[:-1]) | (line[1:] != line[:-1])
    first = np.flatnonzero(new)
    base_quantity = _sums(quantity[order], first)
    lines = _Lines(payer[first], line[first], len(keys))
    multiplied, charged = base_quantity, None
    if parts.rounded:
        multiplied = base_quantity - lines.sums(parts.rounded)
        charged = _charged(parts, lines)
    amounts, residuals = _amounts(keys, line[first], multiplied, currency_code, charged)
    if parts.cuts:
        amounts, residuals = _with_cuts(amounts, residuals, parts.cuts, lines, currency_code)
    return PricedLines(
        currency=currency_code,
        keys=[keys[i] for i in ranked],
        payer=payer[first],
        key=rank[line[first]].astype(np.int32),
        events=_sums(events[order], first),
        base_quantity=base_quantity,
        amount_minor=amounts,
        residuals=residuals,
        cards=_cards(list(parts.versions), version, first),
    )


def _order(payer: Int64s, rank: Int64s, version: Int64s) -> Int64s:
    """The order by payer, then by key, then by card version; one number for all three where 64 bits hold it."""
    if not len(payer):
        return np.zeros(0, dtype=np.int64)
    ranks, versions = int(rank.max()) + 1, int(version.max()) + 1
    if int(payer.min()) < 0 or (int(payer.max()) + 1) * ranks * versions > INT64_MAX:
        return np.lexsort((version, rank, payer))
    order: Int64s = np.argsort((payer * ranks + rank) * versions + version)
    return order


def _sums(column: Int64s, first: Int64s) -> Int64s:
    if not len(first):
        return column[:0]
    longest = int(np.diff(np.append(first, len(column))).max())
    if int(np.abs(column).max()) * longest > INT64_MAX:
        # Could be, not must be: only then is it worth counting in Python's integers.
        require_headroom(int(np.abs(np.add.reduceat(column.astype(object), first)).max()), "the quantity of a line")
    return np.add.reduceat(column, first)


def _exact_sums(column: Int64s, first: Int64s) -> NDArray[np.object_]:
    sums: NDArray[np.object_] = np.add.reduceat(column.astype(object), first)
    return sums


class _Lines:
    """Lines by payer and number of their key."""

    def __init__(self, payer: Int64s, line: Int64s, keys: int) -> None:
        self._keys = keys
        name = payer * keys + line
        self._order = np.argsort(name, kind="stable")
        self._names = name[self._order]

    def place(self, payer: int, line: int) -> int:
        """Which of the lines one is."""
        return int(self._order[np.searchsorted(self._names, payer * self._keys + line)])

    def sums(self, entries: Sequence[tuple[Int64s, Int64s, Int64s]]) -> Int64s:
        """The sum of each line, int64[m], of (payer, line, quantity) entries of which every one has a line."""
        return self._summed(entries, _sums, np.int64)

    def exact_sums(self, entries: Sequence[tuple[Int64s, Int64s, Int64s]]) -> NDArray[np.object_]:
        """The same in Python's integers: charges of many events, in units of 10^-12, leave 64 bits soon."""
        return self._summed(entries, _exact_sums, object)

    def _summed(
        self, entries: Sequence[tuple[Int64s, Int64s, Int64s]], add: Callable[[Int64s, Int64s], Any], kind: type
    ) -> NDArray[Any]:
        nothing = (np.empty(0, dtype=np.int64),) * 3
        payer, line, quantity = (np.concatenate(column) for column in zip(nothing, *entries, strict=True))
        sums: NDArray[Any] = np.zeros(len(self._names), dtype=kind)
        if len(quantity):
            place = self._order[np.searchsorted(self._names, payer * self._keys + line)]
            order = np.argsort(place, kind="stable")
            first = np.flatnonzero(np.diff(place[order], prepend=-1))
            sums[place[order][first]] = add(quantity[order], first)
        return sums


class _Charged(NamedTuple):
    """What is on each line beside quantity times price: Python's integers [m], of which `whole` are one of money."""

    units: NDArray[np.object_]
    whole: int


def _charged(parts: Parts, lines: _Lines) -> _Charged:
    whole = lcm(*(value.denominator for value in parts.charges))
    units = lines.exact_sums([])
    for value, entries in parts.charges.items():
        units = units + lines.exact_sums(entries) * (value.numerator * (whole // value.denominator))
    return _Charged(units, whole)


def _amounts(
    keys: Sequence[LineKey], line: Int64s, quantity: Int64s, code: str, charged: _Charged | None
) -> tuple[Int64s, Ratios]:
    """The rounded amount of each line in minor units, and what rounding took away, in major ones.

    In columns where 64 bits hold every product, checked before multiplying; else in Python's integers.
    """
    money = currency(code)
    step, scale = invoice_step(money), 10 ** EXPONENTS[money]
    tops = [key.unit_price.numerator * scale for key in keys]
    bottoms = [key.unit_price.denominator * key.unit_size for key in keys]
    largest_top = max(map(abs, tops), default=0) * max(int(np.abs(quantity).max(initial=0)), 1)
    # 2 × bottom × step divides, and minor × bottom comes back up to largest_top + bottom × step.
    fits = charged is None and 2 * (largest_top + max(bottoms, default=1) * step * scale) <= INT64_MAX
    kind = np.dtype(np.int64 if fits else object)
    top = np.array(tops, dtype=kind)[line] * quantity.astype(kind)
    bottom = np.array(bottoms, dtype=kind)[line]
    if charged is not None:
        top = top * charged.whole + charged.units * scale * bottom
        bottom = bottom * charged.whole
    nearest = (2 * np.abs(top) + bottom * step) // (2 * bottom * step)
    minor = np.where(top < 0, -nearest, nearest) * step
    require_headroom(int(np.abs(minor).max(initial=0)), "the amount of a line")
    residuals = Ratios(numerator=top - minor * bottom, denominator=bottom * scale)
    return minor.astype(np.int64), residuals


def _with_cuts(
    amounts: Int64s, residuals: Ratios, cuts: Sequence[Cut], lines: _Lines, code: str
) -> tuple[Int64s, Ratios]:
    """The same, with what bounds of money cut put on the few lines that it is of."""
    money = currency(code)
    step, scale = invoice_step(money), 10 ** EXPONENTS[money]
    more: dict[int, Fraction] = {}
    for cut in cuts:
        at = lines.place(cut.payer, cut.line)
        more[at] = more.get(at, Fraction(0)) + cut.amount
    amounts, tops, bottoms = amounts.copy(), residuals.numerator.astype(object), residuals.denominator.astype(object)
    for at, amount in more.items():
        whole = int(amounts[at]) + (residuals[at] + amount) * scale
        minor = round_ratio(whole.numerator, whole.denominator * step) * step
        require_headroom(abs(minor), "the amount of a line")
        rest = (whole - minor) * Fraction(1, scale)
        amounts[at], tops[at], bottoms[at] = minor, rest.numerator, rest.denominator
    return amounts, Ratios(numerator=tops, denominator=bottoms)


def _cards(versions: list[str], version: Int64s, first: Int64s) -> list[tuple[str, ...]]:
    if len(versions) == 1:
        return [(versions[0],)] * len(first)
    bounds = np.append(first, len(version)).tolist()
    seen = version.tolist()
    return [tuple(sorted({versions[v] for v in seen[a:b]})) for a, b in pairwise(bounds)]
