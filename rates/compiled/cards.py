"""Card versions, compiled once for all accounts: what their rows match, and what they say beside it, as columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rates.cards import Card, codes_and_values, combined
from rates.compiled.calendars import Calendar, by_class, calendar_of
from rates.compiled.chargings import Chargings, chargings_of
from rates.compiled.patterns import ALWAYS, dimension, dimensions_of, microseconds, patterns
from rates.compiled.tables import WINDOW, ElementTable, Part
from rates.prefixes import NONE
from rates.prices import USAGE, PriceList, price_list
from rates.products import MONEY, Product
from rates.quantities import INT64_MAX, Increments
from rates.usage import Texts

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Flags = NDArray[np.bool_]

_SMALL_ROWS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """The different ways in which rows measure, k of them: far fewer than rows.

    `first` and `next` are increments (0: the product's), `grace` is -1 for the product's, `max_quantity` INT64_MAX
    for none: int64[k]. `blocked`, `per_event` (the unit is the event) and `in_money`: bool[k].
    """

    first: Int64s
    next: Int64s
    grace: Int64s
    max_quantity: Int64s
    blocked: Flags
    per_event: Flags
    in_money: Flags

    @classmethod
    def joined(cls, parts: "Sequence[Ways]") -> "tuple[Ways, Int32s]":
        """The different ways of several cards, and the place of each of theirs, one card after the other."""
        columns = {each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)}
        all_ways = np.stack([column.astype(np.int64) for column in columns.values()], axis=1)
        _, first, place = np.unique(all_ways, axis=0, return_index=True, return_inverse=True)
        return cls(**{name: column[first] for name, column in columns.items()}), place.reshape(-1).astype(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTerms:
    """What each row of a card says beside its match, n rows.

    `rate` int64[n] and `price` int32[n] are global ids, `setup` int32[n] is the price of the setup fee (-1: none),
    `way` int32[n] is the row's place in `ways`. `charging` int32[n] is its place in `chargings`, -1 where what it
    charges is linear; it is empty where that is so of all rows. `settles`: of some usage it is not. `uncut` bool[n]:
    the row has a window at whose edges no event is cut; it is empty for a card whose windows all cut, or all do not.
    `first_rate` is the rate of the first row where those of the others follow it one by one, -1 where they do not.
    """

    rate: Int64s
    first_rate: int
    price: Int32s
    setup: Int32s
    has_setup: bool
    way: Int32s
    ways: Ways
    charging: Int32s
    chargings: Chargings
    settles: bool
    uncut: Flags

    def __len__(self) -> int:
        return len(self.rate)

    def rates_of(self, row: Int32s) -> Int64s:
        """The rates of rows (int32[n], none of them -1), int64[n]."""
        if self.first_rate == NONE:
            return self.rate.take(row)
        return np.add(row, self.first_rate, dtype=np.int64)

    def ways_of(self, row: Int32s) -> Int32s:
        """The ways of rows (int32[n], none of them -1), int32[n], maybe read-only."""
        if len(self.ways.first) == 1:
            return np.broadcast_to(np.int32(0), row.shape)
        return self.way.take(row)

    @classmethod
    def joined(cls, parts: "Sequence[RowTerms]") -> "RowTerms":
        """The rows of several cards, one card after the other."""
        kinds = np.cumsum([0, *(len(part.chargings) for part in parts)])
        charging = [
            np.where(part.charging >= 0, part.charging + n, NONE) if len(part.charging) else np.full(len(part), NONE)
            for part, n in zip(parts, kinds[:-1], strict=True)
        ]
        ways, way = Ways.joined([part.ways for part in parts])
        ways_before = np.cumsum([0, *(len(part.ways.first) for part in parts)])
        uncut = [part.uncut if len(part.uncut) else np.zeros(len(part), dtype=np.bool_) for part in parts]
        return cls(
            rate=np.concatenate([part.rate for part in parts]),
            first_rate=NONE,
            price=np.concatenate([part.price for part in parts]),
            setup=np.concatenate([part.setup for part in parts]),
            has_setup=any(part.has_setup for part in parts),
            way=way[np.concatenate([part.way + n for part, n in zip(parts, ways_before[:-1], strict=True)])],
            ways=ways,
            charging=np.concatenate(charging).astype(np.int32) if kinds[-1] else np.empty(0, dtype=np.int32),
            chargings=Chargings.joined([part.chargings for part in parts]),
            settles=any(part.settles for part in parts),
            uncut=np.concatenate(uncut if any(len(part.uncut) for part in parts) else [np.empty(0, dtype=np.bool_)]),
        )

    @property
    def price_ids(self) -> tuple[int, int]:
        """The least and the greatest price id that an element of these rows may have; -1 and -1 for none."""
        ids = np.concatenate([self.price, self.setup])
        some = ids[ids >= 0]
        if not len(some):
            return NONE, NONE
        further = int((self.chargings.to_maximum + 1).max(initial=0))
        return int(some.min()), int(some.max()) + further


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CardTable:
    """One card version, compiled. `effective_from` and `effective_to` are microseconds, half-open.

    `calendar` says when its windows are open, None for a card without any. `parts` has the patterns of each (product,
    element); `tables` the tables made of them so far.
    """

    id: str
    version: str
    currency: str
    overlay: bool
    effective_from: int
    effective_to: int
    terms: RowTerms
    calendar: Calendar | None
    parts: Mapping[tuple[str, str], Part]
    products: Mapping[str, Product]
    tables: dict[tuple[str, str], ElementTable] = field(default_factory=dict)

    @property
    def is_small(self) -> bool:
        """Whether it may share a table with other cards."""
        return len(self.terms) <= _SMALL_ROWS

    def table(self, product: str, element: str) -> ElementTable | None:
        """The table of one element, made when it is first asked for; None if the card does not price it."""
        key = (product, element)
        if key not in self.parts:
            return None
        if key not in self.tables:
            self.tables[key] = ElementTable.build(self.products[product], [self.parts[key]])
        return self.tables[key]

    def numbered(self, rate_base: int, price_base: int) -> "CardTable":
        """The same card, compiled with ids from 0, with its rates and prices numbered from these bases on."""
        terms = replace(
            self.terms,
            rate=self.terms.rate + rate_base,
            first_rate=self.terms.first_rate + rate_base,
            price=np.where(self.terms.price >= 0, self.terms.price + price_base, NONE).astype(np.int32),
            setup=np.where(self.terms.setup >= 0, self.terms.setup + price_base, NONE).astype(np.int32),
        )
        return replace(self, terms=terms)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lineage:
    """All versions of one card by their start. From its start on a later one stands in place of those before it."""

    id: str
    versions: tuple[CardTable, ...]

    @property
    def is_small(self) -> bool:
        """Whether it may share a table with other lineages: there it has one calendar."""
        calendars = {card.calendar.content for card in self.versions if card.calendar is not None}
        return len(calendars) <= 1 and all(card.is_small for card in self.versions)

    def intervals(self) -> Iterator[tuple[CardTable, int, int]]:
        """Each version with the time in which it is in force."""
        for i, version in enumerate(self.versions):
            until = self.versions[i + 1].effective_from if i + 1 < len(self.versions) else ALWAYS[1]
            yield version, version.effective_from, min(version.effective_to, until)

    def throughout(self, least: int, most: int) -> CardTable | None:
        """The version in force at both instants and between them, if it is one."""
        within = (card for card, start, end in self.intervals() if start <= least and most < end)
        return next(within, None)

    def in_force(self, at: Int64s) -> Int32s:
        """The place of the version in force at each instant, int32[n], -1 for none."""
        starts = np.array([version.effective_from for version in self.versions], dtype=np.int64)
        ends = np.array([version.effective_to for version in self.versions], dtype=np.int64)
        latest = np.searchsorted(starts, at, side="right") - 1
        return np.where((latest >= 0) & (at < ends[latest]), latest, NONE).astype(np.int32)


def compile_card(
    card: Card,
    products: Mapping[str, Product],
    *,
    rate_base: int = 0,
    price_base: int = 0,
    prices: PriceList | None = None,
) -> CardTable:
    """A checked card, ready to match; its rates and prices get their ids from the two bases on.

    `prices` are those of the card, where they have been listed already. Raises `CardTooWideError`, and ValueError for
    cells that are not canonical.
    """
    calendar = calendar_of(card)
    compiled = CardTable(
        id=card.id,
        version=card.version,
        currency=card.currency,
        overlay=card.overlay,
        effective_from=microseconds(card.effective_from),
        effective_to=microseconds(card.effective_to) if card.effective_to else ALWAYS[1],
        terms=_terms(card, products, prices or price_list(card, products), rate_base, price_base),
        calendar=calendar,
        parts=_parts(card, products, calendar),
        products=products,
    )
    if not compiled.is_small:
        # Now, at publication or loading, and not while the first event waits.
        for product, element in compiled.parts:
            compiled.table(product, element)
    return compiled


def lineages(cards: Sequence[CardTable]) -> dict[str, Lineage]:
    """Card versions by the id of the card that they are versions of."""
    versions: dict[str, list[CardTable]] = {}
    for card in sorted(cards, key=lambda card: card.effective_from):
        versions.setdefault(card.id, []).append(card)
    return {name: Lineage(id=name, versions=tuple(each)) for name, each in versions.items()}


def _parts(card: Card, products: Mapping[str, Product], calendar: Calendar | None) -> dict[tuple[str, str], Part]:
    found, window = by_class(patterns(card), card, calendar)
    product, product_names = codes_and_values(card.rows, "product")
    element, element_names = codes_and_values(card.rows, "element")
    elements = sorted({name or USAGE for name in element_names})
    plain_element = np.array([elements.index(name or USAGE) for name in element_names], dtype=np.int64)[element]
    kind = (product * np.int64(len(elements)) + plain_element)[found.row]
    dimensions: dict[str, Texts] = {}
    parts = {}
    for code in np.unique(kind).tolist():
        of = products.get(product_names[code // len(elements)])
        if of is None:
            continue
        for name in dimensions_of(of):
            if name not in dimensions:
                dimensions[name] = dimension(card, name)
        some = np.flatnonzero(kind == code)
        rows = found.row[some]
        beside = {name: Texts(dimensions[name].codes[rows], dimensions[name].values) for name in dimensions_of(of)}
        windowed = window is not None and window.codes[some].any()
        if window is not None and windowed:
            beside[WINDOW] = Texts(window.codes[some], window.values)
        parts[of.id, elements[code % len(elements)]] = Part(found.take(some), beside, calendar if windowed else None)
    return parts


def _terms(card: Card, products: Mapping[str, Product], prices: PriceList, rate_base: int, price_base: int) -> RowTerms:
    way, first_rows = combined(card.rows, ("increments", "grace", "max_quantity", "blocked", "unit"))
    charging, chargings = chargings_of(card, products)
    is_usage = np.array([not name or name == USAGE for name in codes_and_values(card.rows, "element")[1]])
    return RowTerms(
        rate=rate_base + np.arange(card.rows.num_rows, dtype=np.int64),
        first_rate=rate_base,
        price=np.where(prices.usage >= 0, prices.usage + price_base, NONE).astype(np.int32),
        setup=np.where(prices.setup >= 0, prices.setup + price_base, NONE).astype(np.int32),
        has_setup=bool((prices.setup >= 0).any()),
        way=way,
        ways=_ways(card, first_rows),
        charging=charging,
        chargings=chargings,
        settles=bool(len(charging) and (is_usage[codes_and_values(card.rows, "element")[0]] & (charging >= 0)).any()),
        uncut=_uncut(card),
    )


def _uncut(card: Card) -> Flags:
    """The rows with a window that does not split, where others of the card do."""
    if {window.split for window in card.windows.values()} != {True, False}:
        return np.empty(0, dtype=np.bool_)
    codes, names = codes_and_values(card.rows, "window")
    return np.array([bool(name) and not card.windows[name].split for name in names], dtype=np.bool_)[codes]


def _ways(card: Card, rows: Int64s) -> Ways:
    def cells(name: str, meaning: Callable[[str], int | bool]) -> NDArray[Any]:
        codes, values = codes_and_values(card.rows, name)
        return np.array([meaning(values[code]) for code in codes[rows]])

    return Ways(
        first=cells("increments", lambda cell: Increments.parse(cell).first if cell else 0),
        next=cells("increments", lambda cell: Increments.parse(cell).next if cell else 0),
        grace=cells("grace", lambda cell: int(cell) if cell else NONE),
        max_quantity=cells("max_quantity", lambda cell: int(cell) if cell else INT64_MAX),
        blocked=cells("blocked", lambda cell: cell == "true"),
        per_event=cells("unit", lambda cell: cell == "event"),
        in_money=cells("unit", lambda cell: cell == MONEY),
    )
