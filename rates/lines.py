"""Invoice lines as columns: quantities gathered by line key, multiplied once, rounded once.

The line key is the rounding unit: prefixes, card versions, days and subaccounts are not in it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
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
from rates.usage import Int64s

_FEW = 1 << 16

NOWHERE = -1
"""In place of a line's number, of a row that is on none."""

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


class Piece(NamedTuple):
    """Quantities on lines, int64[n] each; a line may be `NOWHERE`. `rows` are their places in what they came in.

    That is None where they are all of it.
    """

    payer: Int64s
    line: Int64s
    version: Int64s
    events: Int64s
    quantity: Int64s
    rows: Int64s | None

    @property
    def places(self) -> Int64s:
        """The same, also where they are all of it."""
        return np.arange(len(self.line)) if self.rows is None else self.rows


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
    rounded: list[tuple[Int64s, Int64s, Int64s]] = field(default_factory=list)
    charges: dict[Fraction, list[tuple[Int64s, Int64s, Int64s]]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)

    def cut(self, found: "Cut", version: int) -> None:
        """Put money on a line beside quantity times price, also where nothing else is on it."""
        self.cuts.append(found)
        row = (found.payer, found.line, version, 0, 0, found.place)
        self.pieces.append(Piece(*(np.array([each], dtype=np.int64) for each in row)))

    def add(
        self,
        payer: Int64s,
        line: Int64s,
        version: Int64s,
        events: Int64s,
        quantity: Int64s,
        rows: Int64s | None = None,
    ) -> None:
        """Put quantities (and how many events they stand for) on lines, or `NOWHERE`; all int64[n].

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
            self.families.append(key._replace(country=""))
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
    payer, line, version, events, quantity = _runs(parts.pieces)
    ranked = _Ranked.of(parts.families, line)
    rank = ranked.rank(line)
    order = runs.order(payer, rank, version)
    payer, rank, version = payer[order], rank[order], version[order]
    first = np.flatnonzero(runs.changes(payer, rank))
    base_quantity = runs.sums(quantity[order], first)
    multiplied, charged = base_quantity, None
    lines = _Lines(payer[first], rank[first], ranked)
    if parts.rounded:
        multiplied = base_quantity - lines.sums(parts.rounded)
        charged = _charged(parts, lines)
    family = ranked.family[rank[first]]
    amounts, residuals = _amounts(parts.families, family, multiplied, currency_code, charged)
    if parts.cuts:
        amounts, residuals = _with_cuts(amounts, residuals, parts.cuts, lines, currency_code)
    return PricedLines(
        currency=currency_code,
        keys=ranked.keys(parts.families),
        payer=payer[first],
        key=rank[first].astype(np.int32),
        events=runs.sums(events[order], first),
        base_quantity=base_quantity,
        amount_minor=amounts,
        residuals=residuals,
        cards=_cards(list(parts.versions), version, first),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """The lines that there are, in the order of their keys: `number`, `family` and `country` (a code), int64[k] each.

    `by_number` are their ranks in the order of numbers; `table`, where numbers are few, the rank by the number itself.
    """

    number: Int64s
    family: Int64s
    country: Int64s
    by_number: Int64s
    table: Int64s | None

    @classmethod
    def of(cls, families: Sequence[LineKey], line: Int64s) -> "_Ranked":
        """The ranks of the distinct ones of some lines (int64[n])."""
        many = len(families) * len(COUNTRIES)
        counted = many <= _FEW + len(line) * 2
        number = runs.counted(line, many) if counted else np.unique(line)
        family, country = np.divmod(number, len(COUNTRIES))
        # By product and element, then by country, then by all the rest.
        heads = {head: place for place, head in enumerate(sorted({key[:2] for key in families}))}
        ranked = sorted(range(len(families)), key=families.__getitem__)
        head = np.array([heads[key[:2]] for key in families], dtype=np.int64)
        rest = np.empty(len(families), dtype=np.int64)
        rest[ranked] = np.arange(len(families))
        order = np.argsort((head[family] * len(COUNTRIES) + country) * max(len(families), 1) + rest[family])
        by_number = np.empty(len(number), dtype=np.int64)
        by_number[order] = np.arange(len(number))
        table = None
        if counted:
            table = np.zeros(many, dtype=np.int64)
            table[number] = by_number
        return cls(number=number, family=family[order], country=country[order], by_number=by_number, table=table)

    def rank(self, line: Int64s) -> Int64s:
        """The ranks of lines (int64[n])."""
        return self.by_number[np.searchsorted(self.number, line)] if self.table is None else self.table[line]

    def keys(self, families: Sequence[LineKey]) -> "LineKeys":
        """The keys in their order."""
        return LineKeys(families, self.family, self.country)


def _runs(pieces: Sequence[Piece]) -> list[Int64s]:
    """Pieces with one row for rows of one line that follow each other, as days of one price do in totals.

    The payer, line, version, events and quantity of each; those on no line are left out.
    """
    begins = [np.flatnonzero(_changes(piece)) for piece in pieces]
    kept = [piece.line[first] != NOWHERE for piece, first in zip(pieces, begins, strict=True)]
    ends = np.cumsum([0, *(np.count_nonzero(some) for some in kept)]).tolist()
    found = [np.empty(ends[-1], dtype=np.int64) for _ in range(5)]
    for piece, first, some, (start, stop) in zip(pieces, begins, kept, pairwise(ends), strict=True):
        at = slice(start, stop)
        for column, values in zip(found[3:], (piece.events, piece.quantity), strict=True):
            np.compress(some, runs.sums(values, first), out=column[at])
        of_line = first[some]
        for column, values in zip(found, (piece.payer, piece.line, piece.version), strict=False):
            column[at] = values[of_line]
    return found


def _changes(piece: Piece) -> NDArray[np.bool_]:
    of_one = piece.version.strides == (0,)  # a broadcast number
    return runs.changes(piece.payer, piece.line) if of_one else runs.changes(piece.payer, piece.line, piece.version)


class _Lines:
    """Lines by payer and rank of their key."""

    def __init__(self, payer: Int64s, rank: Int64s, ranked: _Ranked) -> None:
        self._ranked = ranked
        self._keys = len(ranked.number)
        # They are in this order.
        self._names = payer * self._keys + rank

    def place(self, payer: int, line: int) -> int:
        """Which of the lines one is."""
        rank = int(self._ranked.rank(np.array([line], dtype=np.int64))[0])
        return int(np.searchsorted(self._names, payer * self._keys + rank))

    def sums(self, entries: Sequence[tuple[Int64s, Int64s, Int64s]]) -> Int64s:
        """The sum of each line, int64[m], of (payer, line, quantity) entries of which every one has a line."""
        return self._summed(entries, runs.sums, np.int64)

    def exact_sums(self, entries: Sequence[tuple[Int64s, Int64s, Int64s]]) -> NDArray[np.object_]:
        """The same in Python's integers: charges of many events, in units of 10^-12, leave 64 bits soon."""
        return self._summed(entries, runs.exact_sums, object)

    def _summed(
        self, entries: Sequence[tuple[Int64s, Int64s, Int64s]], add: Callable[[Int64s, Int64s], Any], kind: type
    ) -> NDArray[Any]:
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
    families: Sequence[LineKey], family: Int64s, quantity: Int64s, code: str, charged: Charged | None
) -> tuple[Int64s, Ratios]:
    """The rounded amount of each line in minor units, and what rounding took away, in major ones.

    In columns where 64 bits hold every product, checked before multiplying; else in Python's integers.
    """
    money = currency(code)
    step, scale = invoice_step(money), 10 ** EXPONENTS[money]
    tops = [key.unit_price.numerator * scale for key in families]
    bottoms = [key.unit_price.denominator * key.unit_size for key in families]
    largest_top = max(map(abs, tops), default=0) * max(int(np.abs(quantity).max(initial=0)), 1)
    # 2 × bottom × step divides, and minor × bottom comes back up to largest_top + bottom × step.
    fits = charged is None and 2 * (largest_top + max(bottoms, default=1) * step * scale) <= INT64_MAX
    kind = np.dtype(np.int64 if fits else object)
    top, bottom = np.array(tops, dtype=kind), np.array(bottoms, dtype=kind)
    minor, residuals = rounded(top, bottom, family, quantity, charged, step, scale)
    require_headroom(int(np.abs(minor).max(initial=0)), "the amount of a line")
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


def _cards(versions: list[str], version: Int64s, first: Int64s) -> list[tuple[str, ...]]:
    if len(versions) == 1:
        return [(versions[0],)] * len(first)
    bounds = np.append(first, len(version)).tolist()
    seen = version.tolist()
    return [tuple(sorted({versions[v] for v in seen[a:b]})) for a, b in pairwise(bounds)]
