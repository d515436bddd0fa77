"""Invoice lines as columns: quantities gathered by line key, multiplied once, rounded once.

The line key is the rounding unit: prefixes, card versions, days and subaccounts are not in it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from rates import runs
from rates.money import EXPONENTS, currency, invoice_step, round_ratio
from rates.numbering import COUNTRIES, COUNTRY_CODES
from rates.prices import CHARGE, USAGE, Price
from rates.quantities import INT64_MAX, require_headroom
from rates.ratios import Charged, Ratios, rounded
from rates.summing import Piece, Ranked, Sums, sums_of
from rates.usage import Int64s

FREE = "free"
"""The tier of units that a pool gives free."""

FLAT = "flat"
"""The element, and the unit, of a schedule's flat."""


Entry = tuple[Int64s, NDArray[np.integer], Int64s]
"""Payers, lines and quantities, [n] each."""


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


class LineKeys(Sequence[LineKey]):
    """Line keys by their families and countries (codes), int64[k] each; made when somebody looks at them.

    What only adds up amounts, as most re-rating does, needs none.
    """

    __slots__ = ("_countries", "_families", "_family", "_made")

    def __init__(self, families: Sequence[LineKey], family: Int64s, country: Int64s) -> None:
        self._families = families
        self._family = family
        self._countries = country
        self._made: list[LineKey] | None = None

    def __len__(self) -> int:
        return len(self._family)

    @overload
    def __getitem__(self, at: int) -> LineKey: ...
    @overload
    def __getitem__(self, at: slice) -> list[LineKey]: ...
    def __getitem__(self, at: int | slice) -> LineKey | list[LineKey]:
        return self._all()[at]

    def __iter__(self) -> Iterator[LineKey]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> list[LineKey]:
        if self._made is None:
            countries = [COUNTRIES[code] for code in self._countries.tolist()]
            of_each = map(self._families.__getitem__, self._family.tolist())
            self._made = [
                LineKey(product, element, country, destination, tier, unit_price, unit, unit_size, base)
                for (product, element, _, destination, tier, unit_price, unit, unit_size, base), country in zip(
                    of_each, countries, strict=True
                )
            ]
        return self._made


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

    A line's number is that of its family, which is its key in every country, and of the country.
    `rounded` are quantities that events rounded by themselves have and no price multiplies, `charges` what they come
    to: by the money that one unit of it is, as 1/10000. Payer, line, quantity: int64[n] each. `cuts` are of
    units that lie in several tiers.
    """

    families: list[LineKey] = field(default_factory=list)
    names: dict[tuple[object, ...], int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    rounded: list[Entry] = field(default_factory=list)
    charges: dict[Fraction, list[Entry]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)

    def beside(self) -> "Parts":
        """Further parts of other payers: with pieces of their own, and all else in common."""
        return replace(self, pieces=[])

    def cut(self, found: "Cut", version: int) -> None:
        """Put money on a line beside quantity times price, also where nothing else is on it."""
        self.cuts.append(found)
        row = (found.payer, found.line, version, 0, 0, found.place)
        self.pieces.append(Piece(*(np.array([each], dtype=np.int64) for each in row)))

    def add(
        self,
        payer: Int64s,
        line: NDArray[np.integer],
        version: Int64s,
        events: Int64s,
        quantity: Int64s,
        rows: Int64s | None = None,
    ) -> None:
        """Put quantities (and how many events they stand for) on lines, or `NOWHERE`; int64[n], as in `Piece`.

        `rows` are their places in what they came in, where they are not all of it.
        """
        is_due = (quantity != 0) | (events != 0)
        if is_due.all():  # as most often: nothing has to be copied
            self.pieces.append(Piece(payer, line, version, events, quantity, rows))
            return
        some = np.flatnonzero(is_due)
        places = some if rows is None else rows[some]
        self.pieces.append(Piece(payer[some], line[some], version[some], events[some], quantity[some], places))

    def columns(self) -> list[Int64s]:
        """The payer, line, version, events and quantity of all that was added, and its place in what it came in."""
        return runs.joined([(*piece[:5], piece.places) for piece in self.pieces], 6)

    def line(self, key: LineKey) -> int:
        """The number of a line key."""
        return self.family(key) * len(COUNTRIES) + COUNTRY_CODES[key.country]

    def family(self, key: LineKey) -> int:
        """The number of what a key is in every country: that of its line is this, times `COUNTRIES`, and the code."""
        # A fraction is slow to hash and to compare; its two whole numbers say the same.
        price = (key.unit_price.numerator, key.unit_price.denominator)
        number = self.names.setdefault((key.product, key.element, *key[3:5], *price, *key[6:]), len(self.families))
        if number == len(self.families):
            self.families.append(key._replace(country="") if key.country else key)
        return number

    def key(self, line: int) -> LineKey:
        """The key of a line."""
        family, country = divmod(line, len(COUNTRIES))
        return self.families[family]._replace(country=COUNTRIES[country])

    def version(self, version: str) -> int:
        """The number of a card version."""
        return self.versions.setdefault(version, len(self.versions))


def lines_of(parts: Parts, currency_code: str) -> PricedLines:
    """The lines that the parts add up to, each rounded once, half away from zero, to the currency's invoice step.

    Raises `QuantityOverflowError` for a quantity or an amount of more than 64 bits.
    """
    ranked = Ranked.of(parts.families, [piece.line for piece in parts.pieces])
    return _lines(parts, ranked, sums_of(parts.pieces, ranked, list(parts.versions)), currency_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summing:
    """The lines on which something may come to be, known before it does, so that some payers go after the other.

    Parts put it on them by their ranks. `there` (bool[k]) are those on which something is.
    """

    parts: Parts
    known: Ranked
    by_rank: Ranked
    there: NDArray[np.bool_]

    @classmethod
    def of(cls, parts: Parts, numbers: Iterable[NDArray[np.integer]]) -> "Summing":
        """For parts beside some, of which `numbers` ([n] each) are all lines."""
        known = Ranked.of(parts.families, list(numbers))
        there = np.zeros(len(known.number), dtype=np.bool_)
        return cls(parts=parts, known=known, by_rank=known.by_rank(), there=there)

    def sums(self, own: Parts) -> Sums:
        """What the pieces of some payers add up to. Raises `QuantityOverflowError`."""
        found = sums_of(own.pieces, self.by_rank, list(self.parts.versions))
        self.there[found.rank] = True
        return found

    def lines(self, sums: Sequence[Sums], currency_code: str) -> PricedLines:
        """The lines of all of them, as `lines_of` has them."""
        ranked = self.known.only(self.there)
        fewer = runs.in_threads(lambda each: each._replace(rank=ranked.rank(each.rank)), sums)
        return _lines(self.parts, ranked, Sums.joined(fewer), currency_code)


def _lines(parts: Parts, ranked: Ranked, sums: Sums, currency_code: str) -> PricedLines:
    lines = _Lines(sums, ranked)
    multiplied, charged = sums.quantity, None
    if parts.rounded:
        multiplied = sums.quantity - lines.sums(parts.rounded)
        charged = _charged(parts, lines)
    amounts, residuals = _amounts(parts.families, ranked.family, sums.rank, multiplied, currency_code, charged)
    if parts.cuts:
        amounts, residuals = _with_cuts(amounts, residuals, parts.cuts, lines, currency_code)
    return PricedLines(
        currency=currency_code,
        keys=LineKeys(parts.families, ranked.family, ranked.country),
        payer=sums.payer,
        key=sums.rank,
        events=sums.events,
        base_quantity=sums.quantity,
        amount_minor=amounts,
        residuals=residuals,
        cards=sums.cards,
    )


class _Lines:
    """Lines by payer and rank of their key."""

    def __init__(self, sums: Sums, ranked: Ranked) -> None:
        self._sums = sums
        self._ranked = ranked
        self._keys = len(ranked.number)

    @cached_property
    def _names(self) -> Int64s:
        """They are in this order; most bills do not ask for it."""
        return self._sums.payer * self._keys + self._sums.rank

    def place(self, payer: int, line: int) -> int:
        """Which of the lines one is."""
        rank = int(self._ranked.rank(np.array([line], dtype=np.int64))[0])
        return int(np.searchsorted(self._names, payer * self._keys + rank))

    def sums(self, entries: Sequence[Entry]) -> Int64s:
        """The sum of each line, int64[m], of (payer, line, quantity) entries of which every one has a line."""
        return self._summed(entries, runs.sums, np.int64)

    def exact_sums(self, entries: Sequence[Entry]) -> NDArray[np.object_]:
        """The same in Python's integers: charges of many events, in units of 10^-12, leave 64 bits soon."""
        return self._summed(entries, runs.exact_sums, object)

    def _summed(self, entries: Sequence[Entry], add: Callable[[Int64s, Int64s], Any], kind: type) -> NDArray[Any]:
        nothing = (np.empty(0, dtype=np.int64),) * 3
        payer, line, quantity = (np.concatenate(column) for column in zip(nothing, *entries, strict=True))
        sums: NDArray[Any] = np.zeros(len(self._names), dtype=kind)
        if len(quantity):
            place = np.searchsorted(self._names, payer * self._keys + self._ranked.rank(line))
            order = np.argsort(place, kind="stable")
            first = np.flatnonzero(np.diff(place[order], prepend=-1))
            sums[place[order][first]] = add(quantity[order], first)
        return sums


def _charged(parts: Parts, lines: _Lines) -> Charged:
    whole = lcm(*(value.denominator for value in parts.charges))
    units = lines.exact_sums([])
    for value, entries in parts.charges.items():
        units = units + lines.exact_sums(entries) * (value.numerator * (whole // value.denominator))
    return Charged(units, whole)


def _amounts(
    families: Sequence[LineKey],
    family: Int64s,
    rank: NDArray[np.int32],
    quantity: Int64s,
    code: str,
    charged: Charged | None,
) -> tuple[Int64s, Ratios]:
    """The rounded amount of each line in minor units, and what rounding took away, in major ones.

    `family` is that of each rank.

    In columns where 64 bits hold every product, checked before multiplying; else in Python's integers.
    """
    money = currency(code)
    step, scale = invoice_step(money), 10 ** EXPONENTS[money]
    tops = [key.unit_price.numerator * scale for key in families]
    bottoms = [key.unit_price.denominator * key.unit_size for key in families]
    largest_top = max(map(abs, tops), default=0) * max(runs.largest(quantity), 1)
    # 2 × bottom × step divides, and minor × bottom comes back up to largest_top + bottom × step.
    fits = charged is None and 2 * (largest_top + max(bottoms, default=1) * step * scale) <= INT64_MAX
    kind = np.dtype(np.int64 if fits else object)
    top, bottom = np.array(tops, dtype=kind)[family], np.array(bottoms, dtype=kind)[family]
    minor, residuals = rounded(top, bottom, rank, quantity, charged, step, scale)
    require_headroom(runs.largest(minor), "the amount of a line")
    return minor.astype(np.int64, copy=False), residuals


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
