"""What usage comes to for triggers, budgets and guards: events, quantities, and amounts as a bill has them, in columns.

An amount is the difference of two bills: of a day, of the usage up to its end and up to its beginning; of an account
below its payer, of all usage and of that without its own. So whatever tiers and percents do is in it, and the amounts
of all days of a month add up to what its lines do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple, Self

import numpy as np

from billing.flows.price import Pricer, totals_of
from billing.triggers import EPOCH, Measure, Sums
from rates.lines import PricedLines
from rates.netting import NETTED
from rates.numbering import COUNTRY_CODES
from rates.prices import MAXIMUM, MINIMUM, NANO, USAGE
from rates.pricing import Wanted
from rates.usage import Flags, Int64s, Totals

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
_SHIFT = np.uint64(31)


class Rows(NamedTuple):
    """Counts by whose they are (a payer's or a subject's number), product, country and day: int64[n] each."""

    whose: Int64s
    product: Int64s
    country: Int64s
    day: Int64s
    counted: Int64s

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of several, one after the other."""
        none = np.empty(0, dtype=np.int64)
        return cls(*(np.concatenate([none, *(part[i] for part in parts)]) for i in range(len(cls._fields))))

    def of(self, numbers: Mapping[int, int], sign: int = 1) -> Self:
        """The rows of some, under other numbers."""
        known = np.array(sorted(numbers), dtype=np.int64)
        new = np.array([numbers[number] for number in known.tolist()], dtype=np.int64)
        kept = np.flatnonzero(np.isin(self.whose, known))
        whose = new[np.searchsorted(known, self.whose[kept])] if len(known) else self.whose[kept]
        return type(self)(whose, self.product[kept], self.country[kept], self.day[kept], self.counted[kept] * sign)


class Tree(NamedTuple):
    """Some accounts of a payer, by their numbers, and the number of the subject that they are."""

    subject: int
    payer: int
    accounts: frozenset[int]


@dataclass(slots=True, kw_only=True)
class Counts:
    """The usage of some payers in a month, and what it comes to. `failed` of the pricer says who has no amounts."""

    pricer: Pricer
    totals: Totals
    products: tuple[str, ...]
    _codes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._codes = {name: code for code, name in enumerate(self.products)}

    def sums(self, rows: Rows) -> Sums:
        """Rows as triggers count them."""
        order = np.argsort(rows.whose, kind="stable")
        whose, product, country, day, count = (column[order] for column in rows)
        return Sums(products=self.products, subject=whose, product=product, country=country, day=day, count=count)

    def usage(
        self, measure: Measure, payers: Mapping[int, int], trees: Sequence[Tree], first: Mapping[int, int] | None = None
    ) -> Rows:
        """Events or quantities, by the subjects' numbers that payers have, and of trees; `first`: from a day of each
        payer on.
        """
        elements = {USAGE, MINIMUM, MAXIMUM} if measure is Measure.EVENTS else {USAGE}
        whose = payers.keys() | {tree.payer for tree in trees}
        if first is None:
            totals = totals_of(self.totals, [*whose])
        else:
            totals = _from(self.totals, {payer: first[payer] for payer in whose})
        numbers, place = np.unique(totals.price, return_inverse=True)
        prices = [self.pricer.prices[number] for number in numbers.tolist()]
        counts = np.array([each.element in elements and each.base != NANO for each in prices], dtype=np.bool_)
        kept = np.flatnonzero(counts[place.reshape(-1)]) if len(numbers) else np.empty(0, dtype=np.int64)
        codes = np.array([self._codes.get(each.product, 0) for each in prices], dtype=np.int64)
        some = totals.take(kept)
        count = some.events if measure is Measure.EVENTS else some.quantity
        rows = Rows(
            some.payer, codes[place.reshape(-1)[kept]], some.country.astype(np.int64), some.day.astype(np.int64), count
        )
        return Rows.joined([rows.of(payers), *(_within(rows, some, tree) for tree in trees)])

    def months(self, payers: Sequence[int], trees: Sequence[Tree]) -> tuple[Rows, dict[int, int], Rows]:
        """Amounts of the month by payer, what each comes to with all that contracts bring, and amounts by trees."""
        day = (self.pricer.period.start - EPOCH).days
        found = self._priced(payers, totals_of(self.totals, payers), self.pricer)
        rows = found.rows(day)
        parts = []
        for layer in _layers(trees):
            own = {tree.payer: tree.subject for tree in layer}
            rest = self._priced([*own], self._without(layer), _Rest.of(self.pricer, layer)).rows(day)
            parts += [rows.of(own), rest.of(own, -1)]
        return rows, found.totals, Rows.joined(parts)

    def days(self, first: Mapping[int, int], trees: Sequence[Tree]) -> tuple[Rows, Rows]:
        """Amounts by day, of each payer from a day on; and by trees."""
        rows = self._by_day(first, totals_of(self.totals, [*first]), self.pricer)
        parts = []
        for layer in _layers([tree for tree in trees if tree.payer in first]):
            own = {tree.payer: tree.subject for tree in layer}
            # The days of the payer, so that what its tree adds to each is told also where others' tiers move.
            days = {number: first[number] for number in own}
            rest = self._by_day(days, self._without(layer), _Rest.of(self.pricer, layer))
            parts += [rows.of(own), rest.of(own, -1)]
        return rows, Rows.joined(parts)

    def digests(self) -> dict[int, dict[str, int]]:
        """A digest of each payer's totals of each day: where it stays the same, so does all that no order decides."""
        if not len(self.totals):
            return {}
        mixed = np.zeros(len(self.totals), dtype=np.uint64)
        for name in ("account", "price", "country", "events", "quantity"):
            mixed ^= getattr(self.totals, name).astype(np.int64).view(np.uint64)
            mixed *= _MIX[0]
            mixed ^= mixed >> _SHIFT
            mixed *= _MIX[1]
        packed = (self.totals.payer << 32) | self.totals.day
        order = np.argsort(packed, kind="stable")
        keys, starts = np.unique(packed[order], return_index=True)
        sums = np.add.reduceat(mixed[order], starts).view(np.int64)
        found: dict[int, dict[str, int]] = {}
        for key, digest in zip(keys.tolist(), sums.tolist(), strict=True):
            found.setdefault(key >> 32, {})[str(key & 0xFFFFFFFF)] = digest
        return found

    @property
    def goes_by_order(self) -> bool:
        """Whether the same totals may come to something else where the events of a day come in another order."""
        pooled = any(each.free_units or each.block for each in self.pricer.prices.values())
        return pooled or any(card.schedules or card.pools for card in self.pricer.heads.values())

    def _by_day(self, first: Mapping[int, int], totals: Totals, pricer: Pricer) -> Rows:
        """Bills up to the beginning of each day with usage and up to the end of the last, each less the one before."""
        cuts = _cuts(first, totals)
        parts = []
        for nth in range(max(map(len, cuts.values()), default=0)):
            here = {payer: days[nth] for payer, days in cuts.items() if len(days) > nth}
            found = self._priced([*here], _before(totals, here), pricer)
            ending = {payer: cuts[payer][nth - 1] for payer in here if nth}
            beginning = {payer: day for payer, day in here.items() if len(cuts[payer]) > nth + 1}
            parts += [found.rows_on(ending), found.rows_on(beginning, -1)]
        return Rows.joined(parts)

    def _without(self, layer: Sequence[Tree]) -> Totals:
        """The totals of the payers of trees without those of the trees."""
        totals = totals_of(self.totals, [tree.payer for tree in layer])
        inside = np.zeros(len(totals), dtype=np.bool_)
        for tree in layer:
            inside |= _inside(totals, tree)
        return totals.take(~inside)

    def _priced(self, payers: Sequence[int], totals: Totals, pricer: Pricer) -> "_Priced":
        lines = [found for found in pricer.price(payers, totals) if len(found.payer)] if payers else []
        return _Priced(lines, self._codes)


@dataclass(slots=True, kw_only=True)
class _Rest(Pricer):
    """The same pricer for totals without those of trees: their events are not among the ordered ones either."""

    trees: Sequence[Tree] = ()

    @classmethod
    def of(cls, pricer: Pricer, trees: Sequence[Tree]) -> Self:
        """A pricer without trees."""
        return cls(**{each.name: getattr(pricer, each.name) for each in fields(Pricer)}, trees=trees)

    def crossings(self, wanted: Wanted) -> Totals:
        """The events of crossing days, in order, of whoever is in no tree."""
        found = Pricer.crossings(self, wanted)
        inside = np.zeros(len(found), dtype=np.bool_)
        for tree in self.trees:
            inside |= _inside(found, tree)
        return found.take(~inside)


class _Priced:
    """Lines of bills as amounts by payer, product and country."""

    def __init__(self, lines: Sequence[PricedLines], codes: Mapping[str, int]) -> None:
        self.totals: dict[int, int] = {}
        parts = []
        for each in lines:
            payers, place = np.unique(each.payer, return_inverse=True)
            sums = np.zeros(len(payers), dtype=np.int64)
            np.add.at(sums, place.reshape(-1), each.amount_minor)
            self.totals |= dict(zip(payers.tolist(), sums.tolist(), strict=True))
            counts = np.array([key.element not in NETTED for key in each.keys], dtype=np.bool_)
            product = np.array([codes.get(key.product, codes[""]) for key in each.keys], dtype=np.int64)
            country = np.array([COUNTRY_CODES.get(key.country, 0) for key in each.keys], dtype=np.int64)
            kept = np.flatnonzero(counts[each.key])
            key = each.key[kept]
            amounts = each.amount_minor[kept]
            parts.append(Rows(each.payer[kept], product[key], country[key], np.zeros_like(amounts), amounts))
        self._rows = Rows.joined(parts)

    def rows(self, day: int) -> Rows:
        """The amounts, on a day."""
        return self._rows._replace(day=np.full(len(self._rows.whose), day, dtype=np.int64))

    def rows_on(self, days: Mapping[int, int], sign: int = 1) -> Rows:
        """The amounts of some payers, on a day of each."""
        found = self._rows.of({payer: payer for payer in days}, sign)
        day = np.array([days[payer] for payer in found.whose.tolist()], dtype=np.int64)
        return found._replace(day=day)


def _cuts(first: Mapping[int, int], totals: Totals) -> dict[int, list[int]]:
    """Of each payer the days with usage, from one on, and the day after the last; none where there is no usage."""
    pairs = np.unique((totals.payer << 32) | totals.day)
    found: dict[int, list[int]] = {payer: [] for payer in first}
    for key in pairs.tolist():
        payer, day = key >> 32, key & 0xFFFFFFFF
        if payer in found and day >= first[payer]:
            found[payer].append(day)
    return {payer: [*days, days[-1] + 1] for payer, days in found.items() if days}


def _before(totals: Totals, days: Mapping[int, int]) -> Totals:
    """The totals of payers before a day of each."""
    some = totals_of(totals, [*days])
    return some.take(some.day < _of_each(days, some.payer))


def _from(totals: Totals, days: Mapping[int, int]) -> Totals:
    """The totals of payers from a day of each on."""
    some = totals_of(totals, [*days])
    return some.take(some.day >= _of_each(days, some.payer))


def _of_each(days: Mapping[int, int], payers: Int64s) -> Int64s:
    """The days of payers, each of which has one."""
    known = np.array(sorted(days), dtype=np.int64)
    found = np.array([days[payer] for payer in known.tolist()], dtype=np.int64)
    each: Int64s = found[np.searchsorted(known, payers)]
    return each


def _within(rows: Rows, totals: Totals, tree: Tree) -> Rows:
    kept = np.flatnonzero(_inside(totals, tree))
    whose = np.full(len(kept), tree.subject, dtype=np.int64)
    return Rows(whose, rows.product[kept], rows.country[kept], rows.day[kept], rows.counted[kept])


def _inside(totals: Totals, tree: Tree) -> Flags:
    inside: Flags = (totals.payer == tree.payer) & np.isin(totals.account, list(tree.accounts))
    return inside


def _layers(trees: Sequence[Tree]) -> Iterator[list[Tree]]:
    """Trees in groups of which none has a payer twice."""
    by_payer: dict[int, list[Tree]] = {}
    for tree in trees:
        by_payer.setdefault(tree.payer, []).append(tree)
    for nth in range(max(map(len, by_payer.values()), default=0)):
        yield [own[nth] for own in by_payer.values() if len(own) > nth]
