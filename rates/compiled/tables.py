"""The rows of one element of one product, compiled: an event's number, caller, dimensions and time -> the row.

A number is looked up once and lands in a cell: the longest prefix that rows or the numbering plan know, so that the
country comes with the cell. Where nothing but the number decides, the cell has its row at once. Elsewhere the search
goes up from the cell's longest prefix to ever shorter ones, and at each asks the shapes in which rows state their
other conditions (how long an origin, which dimensions), the most decisive first, on the events that are left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates.compiled.calendars import Calendar
from rates.compiled.countries import PLAN_PREFIXES, cell_countries
from rates.compiled.memos import BLOCK, Asked, Memo
from rates.compiled.patterns import ALWAYS, EXACT, UNKNOWN, Patterns, country_codes, dimensions_of, joined
from rates.compiled.shapes import Dimension, Questions, Shape, shapes
from rates.numbering import COUNTRIES
from rates.prefixes import NONE, PrefixTable, digit_counts, distinct, holders
from rates.products import Product
from rates.usage import Rows, Texts, UsageColumns, recode

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int16s = NDArray[np.int16]
Flags = NDArray[np.bool_]

_SEARCH = -2
_CARD = ""
"""The name of the condition on the card itself, where a table holds many cards."""

WINDOW = " window"
"""The name of the condition on the time of day: the last one beside that on the card."""


class Part(NamedTuple):
    """What one card gives to a table: its patterns of the element, and their dimensions beside them.

    `calendar` says when its windows are open, None where none is asked for; else `WINDOW` is one of the dimensions.
    """

    patterns: Patterns
    dimensions: Mapping[str, Texts]
    calendar: Calendar | None = None

    def within(self, start: int, end: int, first_row: int) -> "Part":
        """The same for the time from `start` to `end` only, its rows counted from `first_row`."""
        return self._replace(patterns=self.patterns.within(start, end, first_row))


class Matched(NamedTuple):
    """Per event the pattern that decides (int32[n], -1: none) and the country (int16[n], a code)."""

    pattern: Int32s
    country: Int16s


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementTable:
    """One element of one product, of one card or of many small ones.

    Cells are the slots of `numbers`: `country` int16[cells] is that of the numbering plan (if `refined`), `holder`
    int32[cells] the longest prefix with rows, `above` the next shorter one with rows, and `resolved` the pattern
    where the number alone decides (-1: none matches, -2: search). Exact texts are nodes behind the cells. `rank`
    int64[patterns] says how closely a pattern matches, comparable between the cards of a product; with `one_each` the
    patterns are the rows, one by one. `calendars` are those of the cards whose windows count, `calendar` int32[c] the
    place of each card's by its code (0 where it is the only card), -1 for none. `memos` is empty until the first
    search, then what searches have found (None: too much to keep).
    """

    numbers: PrefixTable
    refined: bool
    country: Int16s
    holder: Int32s
    above: Int32s
    resolved: Int32s
    shapes: tuple[Shape, ...]
    exact: Mapping[str, int]
    dimensions: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: tuple[Int32s, ...]
    patterns: Patterns
    one_each: bool
    rank: Int64s
    dated: bool
    calendars: tuple[Calendar, ...]
    calendar: Int32s
    memos: list[Memo | None] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def build(cls, product: Product, parts: Sequence[Part], part_codes: Sequence[int] = ()) -> Self:
        """The table of some cards' patterns. With `part_codes` (from 1) an event asks only the parts of its code."""
        patterns = joined([part.patterns for part in parts])
        names = dimensions_of(product)
        values, codes = _dimensions(names, parts)
        rank = _ranks(patterns, codes)
        dimensions = [each for each in zip(names, values, codes, strict=True) if each[2].any()]
        calendars, calendar = _calendars(parts, part_codes)
        if calendars:
            # Prefix and dimensions first, then the window: of cards in one book it never decides which is closer.
            labels, window = _dimensions([WINDOW], parts)
            dimensions.append((WINDOW, labels[0], window[0]))
        if part_codes:
            code = np.repeat(np.array(part_codes, dtype=np.int32), [len(part.patterns) for part in parts])
            dimensions.append((_CARD, ("",) * (max(part_codes) + 1), code))
        table = cls._unresolved(product, patterns, rank, dimensions)
        table = replace(table, calendars=calendars, calendar=calendar)
        return replace(table, resolved=table.resolve())

    @classmethod
    def _unresolved(
        cls,
        product: Product,
        patterns: Patterns,
        rank: Int64s,
        dimensions: Sequence[Dimension],
    ) -> Self:
        refined = product.country_of == "to"
        is_exact = patterns.length == EXACT
        plan = PLAN_PREFIXES if refined else PLAN_PREFIXES[:0]
        cells = distinct(np.concatenate([[np.int64(0)], patterns.prefix[~is_exact], plan]))
        node = np.searchsorted(cells, patterns.prefix)
        node[is_exact] = len(cells) + patterns.prefix[is_exact]
        numbers = PrefixTable.build(cells, digit_counts(cells))
        holder, above = holders(numbers, np.bincount(node, minlength=len(cells))[: len(cells)] > 0)
        dated = (patterns.starts.max(initial=ALWAYS[0]) > ALWAYS[0]) | (
            patterns.ends.min(initial=ALWAYS[1]) < ALWAYS[1]
        )
        codes = tuple(code for _, _, code in dimensions)
        values = tuple(value for _, value, _ in dimensions)
        return cls(
            numbers=numbers,
            refined=refined,
            country=cell_countries(numbers, cells) if refined else np.zeros(len(cells), dtype=np.int16),
            holder=holder,
            above=above,
            resolved=np.full(len(cells), _SEARCH, dtype=np.int32),
            shapes=shapes(patterns, node, len(cells) + len(patterns.exact), dimensions),
            exact={text: len(cells) + i for i, text in enumerate(patterns.exact)},
            dimensions=tuple(name for name, _, _ in dimensions),
            values=values,
            codes=codes,
            patterns=patterns,
            one_each=np.array_equal(patterns.row, np.arange(len(patterns), dtype=np.int32)),
            rank=rank,
            dated=bool(dated),
            calendars=(),
            calendar=np.empty(0, dtype=np.int32),
        )

    def match(
        self,
        usage: UsageColumns,
        rows: Rows,
        country: Int16s | None,
        part: Int32s | None = None,
        window: Int16s | None = None,
    ) -> Matched:
        """The patterns of some events. `country` is what they state (None: nothing), `part` their card's (from 1).

        `window` int16[n] are classes of their cards' calendars, in place of those in which they occur.
        """
        cell, pattern, planned = self._cells(usage.to[rows])
        search = pattern == _SEARCH
        if country is None:
            country = planned if planned is not None else np.zeros(len(cell), dtype=np.int16)
        elif planned is not None:
            if "country" in self.dimensions:
                search |= (country != 0) & (country != planned)
            country = np.where(country == 0, planned, country)
        node = self._exact_nodes(usage, rows)
        if node is not None:
            search |= node >= 0
        asked = Asked(usage, rows, cell, country, node, part, window)
        if len(cell) and search.all():
            return Matched(self._recall(asked), country)
        found = np.flatnonzero(search)
        if len(found):
            pattern[found] = self._recall(asked.within(found))
        return Matched(pattern, country)

    def _cells(self, numbers: Int64s) -> tuple[Int32s, Int32s, Int16s | None]:
        """The cell of each number, and what it says of the pattern and of the country (if `refined`)."""
        cell = np.empty(len(numbers), dtype=np.int32)
        pattern = np.empty(len(numbers), dtype=np.int32)
        country = np.empty(len(numbers), dtype=np.int16) if self.refined else None
        for block, own in self.numbers.blocks(numbers):
            cell[block] = own
            pattern[block] = self.resolved.take(own)
            if country is not None:
                country[block] = self.country.take(own)
        return cell, pattern, country

    def rows_of(self, pattern: Int32s) -> Int32s:
        """The rows of patterns (int32[n], -1 for -1), int32[n]."""
        if self.one_each:
            return pattern
        if pattern.min(initial=0) >= 0:
            return self.patterns.row.take(pattern)
        return np.where(pattern < 0, pattern, self.patterns.row.take(pattern, mode="clip"))

    def _exact_nodes(self, usage: UsageColumns, rows: Rows) -> Int64s | None:
        if not self.exact:
            return None
        text = usage.texts.get("to_address")
        if text is None:
            return None
        return np.array([self.exact.get(value, NONE) for value in text.values], dtype=np.int64)[text.codes[rows]]

    def _recall(self, asked: Asked) -> Int32s:
        """What a search would find; what earlier ones have found is not searched for again."""
        if not self.memos:
            self.memos.append(self._memo())
        memo = self.memos[0]
        if memo is None or (asked.exact is not None and asked.exact.max() >= 0):
            return self._search(asked)
        pattern = np.empty(len(asked.cell), dtype=np.int32)
        weights = memo.weights(asked.usage, self.dimensions, self.values, {"country", WINDOW})
        # Blocks whose temporaries stay in the processor's cache.
        for start in range(0, len(pattern), BLOCK):
            some = asked.within(slice(start, min(start + BLOCK, len(pattern))))
            at_home = not self.refined or "country" not in self.dimensions
            if not at_home and not np.array_equal(some.country, self.country.take(some.cell)):
                pattern[start : start + BLOCK] = self._search(some)
                continue
            beside: dict[str, Int16s | Int32s] = {"country": some.country}
            if self.calendars:
                beside[WINDOW] = self._windows(some.usage.occurred_at[some.rows], None, some.window)
            key = memo.keys(some.usage, some.rows, some.cell, weights, beside)
            found = memo.answers.take(key)
            new = np.flatnonzero(found == 0)
            if len(new):
                found[new] = self._search(some.within(new)) + np.int32(2)
                memo.answers[key[new]] = found[new]
            np.subtract(found, 2, out=pattern[start : start + BLOCK])
        return pattern

    def _memo(self) -> Memo | None:
        if _CARD in self.dimensions:
            return None
        home = "country" if self.refined else None
        radixes = [1 if name == home else len(of) + 1 for name, of in zip(self.dimensions, self.values, strict=True)]
        return Memo.of(self.patterns, len(self.holder), radixes)

    def _questions(
        self, usage: UsageColumns, rows: Rows, country: Int16s, part: Int32s | None, window: Int16s | None
    ) -> Questions:
        known = {"country": country.astype(np.int32)}
        if self.calendars:
            known[WINDOW] = self._windows(usage.occurred_at[rows], part, window)
        if part is not None:
            # A card that has nothing here may have a code beyond all that have.
            known[_CARD] = np.where(part < len(self.values[-1]), part, np.int32(NONE))
        nothing = np.zeros(len(country), dtype=np.int32)
        codes = []
        for name, values in zip(self.dimensions, self.values, strict=True):
            text = usage.texts.get(name)
            if name in known or text is None:
                codes.append(known.get(name, nothing))
            else:
                codes.append(recode(Texts(text.codes[rows], text.values), values))
        origin = usage.from_[rows] if any(shape.origin_length for shape in self.shapes) else nothing.astype(np.int64)
        at = usage.occurred_at[rows] if self.dated else nothing.astype(np.int64)
        return Questions(origin=origin, digits=digit_counts(origin), codes=tuple(codes), at=at)

    def _windows(self, at: Int64s, part: Int32s | None, window: Int16s | None) -> Int32s:
        """The codes of the windows that are open at each instant, or of the classes that `window` names."""
        labels = self.values[self.dimensions.index(WINDOW)]
        place = {label: code for code, label in enumerate(labels)}
        found = np.zeros(len(at), dtype=np.int32)
        own = self.calendar.take(np.zeros(len(at), dtype=np.int64) if part is None else part, mode="clip")
        for number, calendar in enumerate(self.calendars):
            some = np.flatnonzero(own == number)
            code = np.array([place.get(label, NONE) for label in calendar.labels], dtype=np.int32)
            found[some] = code[calendar.at(at[some]) if window is None else window[some]]
        return found

    def _search(self, asked: Asked) -> Int32s:
        questions = self._questions(asked.usage, asked.rows, asked.country, asked.part, asked.window)
        found = np.full(len(asked.cell), NONE, dtype=np.int32)
        if asked.exact is not None:
            self._probe(questions, asked.exact, np.flatnonzero(asked.exact >= 0), found)
        nodes = self.holder.take(asked.cell).astype(np.int64)
        left = np.flatnonzero((found < 0) & (nodes >= 0))
        while len(left):
            left = self._probe(questions, nodes, left, found)
            nodes[left] = self.above.take(nodes[left])
            left = left[nodes[left] >= 0]
        return found

    def _probe(self, questions: Questions, nodes: Int64s, left: Int64s, found: Int32s) -> Int64s:
        """Ask every shape at the events' nodes; note what is found, return the events that are left."""
        for shape in self.shapes:
            if not len(left):
                break
            rows, place = shape.ask(questions, nodes, left)
            if not self.dated:
                found[rows] = shape.pattern[place]
            else:
                for nth in range(shape.longest_run):
                    self._note_in_force(shape, questions.at[rows], rows, place, nth, found)
            left = left[found[left] < 0]
        return left

    def _note_in_force(self, shape: Shape, at: Int64s, rows: Int64s, first: Int64s, nth: int, found: Int32s) -> None:
        """Note the `nth` of the patterns that share a key where the key has so many and it is in force."""
        place = np.minimum(first + nth, len(shape.keys) - 1)
        pattern = shape.pattern[place]
        hit = shape.keys[place] == shape.keys[first]
        hit &= (self.patterns.starts[pattern] <= at) & (at < self.patterns.ends[pattern])
        found[rows[hit]] = pattern[hit]

    def resolve(self) -> Int32s:
        """The pattern of each cell where it depends on the number alone."""
        cells = len(self.holder)
        nothing = np.zeros(cells, dtype=np.int32)
        codes = tuple(self.country.astype(np.int32) if name == "country" else nothing for name in self.dimensions)
        zeros = nothing.astype(np.int64)
        questions = Questions(origin=zeros, digits=zeros.astype(np.int8), codes=codes, at=zeros)
        conditional = self._conditional_nodes()
        found = np.full(cells, NONE, dtype=np.int32)
        nodes = self.holder.astype(np.int64)
        left = np.flatnonzero(nodes >= 0)
        while len(left):
            stop = conditional[nodes[left]]
            found[left[stop]] = _SEARCH
            left = self._probe(questions, nodes, left[~stop], found)
            nodes[left] = self.above.take(nodes[left])
            left = left[nodes[left] >= 0]
        return found

    def _conditional_nodes(self) -> Flags:
        plain = (self.patterns.origin_length == 0) & (self.patterns.starts == ALWAYS[0])
        plain &= self.patterns.ends == ALWAYS[1]
        for name, code in zip(self.dimensions, self.codes, strict=True):
            if name != "country" or not self.refined:
                plain &= code == 0
        conditional = np.zeros(len(self.holder) + len(self.patterns.exact), dtype=np.bool_)
        for shape in self.shapes:
            node = shape.keys // shape.span
            conditional[node[~plain[shape.pattern]]] = True
        return conditional


def _calendars(parts: Sequence[Part], part_codes: Sequence[int]) -> tuple[tuple[Calendar, ...], Int32s]:
    """The different calendars of some parts, and the place of each card's by its code."""
    found: dict[bytes, int] = {}
    kept: list[Calendar] = []
    calendar = np.full(max(part_codes, default=0) + 1, NONE, dtype=np.int32)
    for code, part in zip(part_codes or (0,), parts, strict=True):
        if part.calendar is not None:
            calendar[code] = found.setdefault(part.calendar.content, len(kept))
            kept += [part.calendar] if calendar[code] == len(kept) else []
    return tuple(kept), calendar


def _dimensions(names: Sequence[str], parts: Sequence[Part]) -> tuple[list[tuple[str, ...]], list[Int32s]]:
    """Each dimension's values over all parts, and the code of each pattern."""
    values: list[tuple[str, ...]] = []
    codes: list[Int32s] = []
    for name in names:
        texts = [part.dimensions.get(name) or _any(part) for part in parts]
        known = {value: None for text in texts for value in text.values}
        all_values = COUNTRIES if name == "country" else ("", *(value for value in known if value))
        values.append(all_values)
        codes.append(np.concatenate([_coded(name, text, all_values) for text in texts]))
    return values, codes


def _any(part: Part) -> Texts:
    return Texts(np.zeros(len(part.patterns), dtype=np.int32), ("",))


def _coded(name: str, text: Texts, values: Sequence[str]) -> Int32s:
    if name != "country":
        return recode(text, values)
    # A country that no event can have must not turn into any country.
    codes = country_codes(text.values)
    return np.where(codes < 0, len(COUNTRIES), codes).astype(np.int32)[text.codes]


def _ranks(patterns: Patterns, codes: Sequence[Int32s]) -> Int64s:
    origin = np.where(patterns.origin_length == UNKNOWN, 1, patterns.origin_length).astype(np.int64)
    rank = patterns.length.astype(np.int64) * EXACT + origin
    for code in codes:
        rank = rank * 2 + (code > 0)
    return rank
