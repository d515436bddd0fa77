"""The tables of cards as plain integers, to look up one event after the other: what their columns say, in microseconds.

Nothing is copied: a view of an array gives Python's integers, and costs a tenth of what a numpy scalar does.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rates.compiled.calendars import Calendar
from rates.compiled.patterns import UNKNOWN
from rates.compiled.shapes import Shape
from rates.compiled.tables import WINDOW, ElementTable
from rates.prefixes import DIGITS, NONE, PrefixTable
from rates.windows import MINUTES_A_DAY, MINUTES_A_WEEK

_POWERS = tuple(10**n for n in range(DIGITS + 1))
_SEARCH = -2
_MICROS, _MINUTE = 1_000_000, 60_000_000


class Event(NamedTuple):
    """An event to rate: its product, the place of its book (-1: none), its instant in microseconds, the digits of both
    numbers (0: none), what was measured in base units, and its texts as columns have them.
    """

    product: str
    book: int
    at: int
    to: int
    from_: int
    measured: int
    texts: Mapping[str, str]


def view(numbers: Any) -> Sequence[int]:  # noqa: ANN401 (a numpy array of integers, which mypy takes for no buffer)
    """An array of integers, one at a time."""
    return memoryview(numbers)


class Trie:
    """`PrefixTable.lookup` of one number."""

    def __init__(self, numbers: PrefixTable) -> None:
        self.entries = view(numbers.entries)
        self.length = view(numbers.length)
        self.parent = view(numbers.parent)
        self.deepest = numbers.deepest
        self.first = _POWERS[DIGITS - numbers.levels[0]]
        steps = zip(numbers.levels, numbers.levels[1:], strict=False)
        self.steps = tuple((_POWERS[DIGITS - level], _POWERS[level - above]) for above, level in steps)

    def slot(self, number: int) -> int:
        """The slot of the longest prefix of a number, -1 for none."""
        digits = len(str(number)) if number else 0
        aligned = number * _POWERS[DIGITS - digits]
        entry = self.entries[aligned // self.first]
        for below, width in self.steps:
            if entry >= NONE:
                break
            entry = self.entries[aligned // below % width + (NONE - 1 - entry)]
        if digits < self.deepest:
            while entry >= 0 and self.length[entry] > digits:
                entry = self.parent[entry]
        return int(entry)


class ShapeView:
    """`Shape.ask` of one event."""

    def __init__(self, shape: Shape) -> None:
        self.origin_length, self.given, self.radixes = shape.origin_length, shape.given, shape.radixes
        self.origins, self.keys, self.pattern = map(view, (shape.origins, shape.keys, shape.pattern))

    def places(self, node: int, origin: int, codes: Sequence[int]) -> Iterator[int]:
        """The patterns of an event's key at a node."""
        place = 0
        if self.origin_length == UNKNOWN and origin:
            return
        if self.origin_length > 0:
            digits = len(str(origin)) if origin else 0
            if digits < self.origin_length:
                return
            number = origin // _POWERS[digits - self.origin_length]
            place = bisect_left(self.origins, number)
            if place == len(self.origins) or self.origins[place] != number:
                return
        key = node * len(self.origins) + place
        for i, radix in zip(self.given, self.radixes, strict=True):
            if codes[i] <= 0:
                return
            key = key * radix + codes[i]
        at = bisect_left(self.keys, key)
        while at < len(self.keys) and self.keys[at] == key:
            yield self.pattern[at]
            at += 1


class ClockView:
    """`Calendar.at` of one instant, as the code that a table has for the class."""

    def __init__(self, calendar: Calendar, labels: Mapping[str, int]) -> None:
        self.instants, self.offsets = view(calendar.instants), view(calendar.offsets)
        self.edges, self.classes = view(calendar.edges), view(calendar.classes)
        self.codes = [labels.get(label, NONE) for label in calendar.labels]

    def code(self, at: int) -> int:
        """The table's code of the class at an instant, -1 for one that its rows do not ask for."""
        offset = self.offsets[max(bisect_right(self.instants, at) - 1, 0)]
        minute = ((at + offset * _MICROS) // _MINUTE + 3 * MINUTES_A_DAY) % MINUTES_A_WEEK
        return self.codes[self.classes[bisect_right(self.edges, minute) - 1]]


class TableView:
    """`ElementTable.match` of one event."""

    def __init__(self, table: ElementTable) -> None:
        self.numbers = Trie(table.numbers)
        self.refined, self.dated, self.exact, self.dimensions = (
            table.refined, table.dated, table.exact, table.dimensions,
        )  # fmt: skip
        arrays = (table.country, table.holder, table.above, table.resolved)
        self.country, self.holder, self.above, self.resolved = map(view, arrays)
        patterns = (table.patterns.row, table.patterns.starts, table.patterns.ends, table.rank)
        self.row, self.starts, self.ends, self.rank = map(view, patterns)
        self.shapes = tuple(ShapeView(shape) for shape in table.shapes)
        self.has_origins = any(shape.origin_length for shape in table.shapes)
        self.codes = [{value: code for code, value in enumerate(values)} for values in table.values]
        self.parts = len(table.values[-1]) if table.values else 0
        labels = self.codes[self.dimensions.index(WINDOW)] if table.calendars else {}
        self.clocks = tuple(ClockView(calendar, labels) for calendar in table.calendars)
        self.clock_of = table.calendar.tolist()

    def match(self, event: Event, stated: int, part: int) -> tuple[int, int]:
        """The pattern that decides, -1 for none, and the country."""
        cell = self.numbers.slot(event.to)
        found, country = self.resolved[cell], stated
        if self.refined:
            planned = self.country[cell]
            if stated and stated != planned and "country" in self.dimensions:
                found = _SEARCH
            country = stated or planned
        exact = self.exact.get(event.texts.get("to_address", ""), NONE) if self.exact else NONE
        if found == _SEARCH or exact >= 0:
            found = self._search(event, cell, exact, country, part)
        return found, country

    def _search(self, event: Event, cell: int, exact: int, country: int, part: int) -> int:
        codes = self._codes_of(event, country, part)
        origin = event.from_ if self.has_origins else 0
        found = self._probe(event, exact, origin, codes) if exact >= 0 else NONE
        node = self.holder[cell]
        while found < 0 and node >= 0:
            found = self._probe(event, node, origin, codes)
            node = self.above[node]
        return found

    def _probe(self, event: Event, node: int, origin: int, codes: Sequence[int]) -> int:
        for shape in self.shapes:
            found = NONE
            for pattern in shape.places(node, origin, codes):
                if not self.dated:
                    return pattern
                if self.starts[pattern] <= event.at < self.ends[pattern]:
                    found = pattern
            if found >= 0:
                return found
        return NONE

    def _codes_of(self, event: Event, country: int, part: int) -> list[int]:
        found = []
        for name, codes in zip(self.dimensions, self.codes, strict=True):
            if name == "country":
                found.append(country)
            elif name == WINDOW and self.clocks:
                clock = self.clock_of[min(part, len(self.clock_of) - 1)]
                found.append(self.clocks[clock].code(event.at) if clock >= 0 else 0)
            elif not name:  # the condition on the card itself
                found.append(part if part < self.parts else NONE)
            else:
                found.append(codes.get(event.texts.get(name, ""), NONE))
        return found
