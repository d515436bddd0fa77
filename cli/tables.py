"""Tables for people, laid out for the room that there is. No money and no number is ever cut.

What is done where a table is wider than the room, in this order, until it fits:
1. columns move closer together;
2. texts are folded, the widest first, no narrower than their longest word;
3. columns are left out, the highest `spare` first, and named under the table;
4. each row becomes a card: its facts below each other, all of them. With less than 60 columns this comes at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

Row = Mapping[str, object]

NARROW = 60
"""With less room than this, rows that do not fit beside each other's columns become cards."""

_LONGEST_WORD = 28  # an instant; a longer one is folded within
_LEAST_VALUE = 16  # of a card, beside the name of its fact
GAPS = (3, 2, 1)
"""How far columns are apart: the last only where nothing more can be left out."""

_WIDE_GAPS = (3,)  # where no line stands under the headings


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: the key of each row, its heading, and whether it holds numbers (right-aligned, digits grouped).

    `spare` says how soon it is left out where room is short, the highest first; 0 is never. `faint` ones are spare.
    `whole`: its texts are not folded. Words up to `longest` stay whole; numbers do in any case.
    `roomy`: its texts are folded no narrower while others are spare.
    """

    key: str
    heading: str = ""
    number: bool = False
    faint: bool = False
    spare: int = 0
    whole: bool = False
    longest: int = _LONGEST_WORD
    roomy: int = 0

    @property
    def title(self) -> str:
        """The heading; without one, the key in words."""
        return self.heading or self.key.replace("_", " ")


def text(
    key: str,
    heading: str = "",
    *,
    faint: bool = False,
    spare: int = 0,
    whole: bool = False,
    longest: int = _LONGEST_WORD,
    roomy: int = 0,
) -> Column:
    """A column of words."""
    spared = spare or int(faint and not whole)
    return Column(key=key, heading=heading, faint=faint, spare=spared, whole=whole, longest=longest, roomy=roomy)


def number(key: str, heading: str = "", *, spare: int = 0) -> Column:
    """A column of numbers, written as plain decimals."""
    return Column(key=key, heading=heading, number=True, spare=spare)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How wide a column would be, and how wide it must be: numbers, and the longest words of texts, stay whole.

    With `roomy` it is no narrower as long as others can be left out instead.
    """

    most: int
    least: int
    roomy: int = 0

    def while_spare(self) -> "Extent":
        """The same as long as others can be left out."""
        return Extent(most=self.most, least=max(self.least, min(self.roomy, self.most)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which columns are shown, by their places, how wide each is, and how far apart they are."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    gap: int


def lay_out(
    columns: Sequence[Column], extents: Sequence[Extent], room: int, gaps: Sequence[int] = GAPS
) -> Layout | None:
    """How columns fit in some room, so far apart or, at last, less; None where they do not, and cards are due."""
    shown = tuple(range(len(columns)))
    while True:
        for gap in gaps[:2]:
            if sum(extents[i].most for i in shown) + _between(len(shown), gap) <= room:
                return Layout(shown=shown, widths=tuple(extents[i].most for i in shown), gap=gap)
        if room < NARROW:
            return None
        spare = max((i for i in shown if columns[i].spare), key=lambda i: columns[i].spare, default=None)
        gap = gaps[-1] if spare is None else gaps[:2][-1]
        left = room - _between(len(shown), gap)
        room_for = [extents[i] if spare is None else extents[i].while_spare() for i in shown]
        if sum(each.least for each in room_for) <= left:
            return Layout(shown=shown, widths=tuple(_folded(room_for, left)), gap=gap)
        if spare is None:
            return None
        shown = tuple(i for i in shown if i != spare)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of texts under columns, rendered when it is known how much room there is."""

    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]
    title: str = ""
    total: Sequence[str] = ()
    header: bool = True

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """The title and the table, or a card for each row."""
        from rich.text import Text

        if self.title:
            # Not a table's own title: that is wrapped to the width of the table.
            yield Text(self.title, style="bold")
        layout = lay_out(self.columns, self.extents(), options.max_width, GAPS if self.header else _WIDE_GAPS)
        if layout is None:
            yield from self._cards(options.max_width)
            return
        yield self._grid(layout)
        left_out = [column.title for i, column in enumerate(self.columns) if i not in layout.shown]
        if left_out and self.cells:
            yield Text(f"Left out for want of room: {', '.join(left_out)}.", style="dim")

    def extents(self) -> list[Extent]:
        """How wide each column would be and must be."""
        from rich.cells import cell_len

        found = []
        for i, column in enumerate(self.columns):
            cells = {row[i] for row in (*self.cells, *([self.total] if self.total else []))}
            heading = column.title if self.header else ""
            longest = max(map(cell_len, cells), default=0)
            if column.whole:
                least = longest
            else:  # a cell may have several numbers
                words = {word for cell in cells for word in cell.split()}
                least = max(map(cell_len, words), default=0)
                least = least if column.number else min(least, column.longest)
            least = max(least, *(len(word) for word in heading.split() or [""]))
            found.append(Extent(most=max(longest, len(heading)), least=least, roomy=column.roomy))
        return found

    def _grid(self, layout: Layout) -> "RenderableType":
        from rich import box
        from rich import table as rich
        from rich.text import Text

        left, right = int(layout.gap >= GAPS[1]), int(layout.gap >= GAPS[0])  # beside the one between columns
        grid = rich.Table(
            box=box.SIMPLE_HEAD if self.header else None,
            show_header=self.header,
            show_footer=bool(self.total),
            padding=(0, right, 0, left),
        )
        for i, width in zip(layout.shown, layout.widths, strict=True):
            column = self.columns[i]
            grid.add_column(
                Text(column.title),
                Text(self.total[i]) if self.total else "",
                justify="right" if column.number else "left",
                style="dim" if column.faint else "",
                overflow="fold",
                width=width,
            )
        for row in self.cells:
            grid.add_row(*(Text(row[i]) for i in layout.shown))
        return grid

    def _cards(self, room: int) -> "Iterator[RenderableType]":
        """Each row's facts below each other; what is empty is left out."""
        from rich.text import Text

        pairs = [(column.title, i) for i, column in enumerate(self.columns)]
        if not self.header and len(pairs) == 2:  # noqa: PLR2004 (facts and their values are a card already)
            lines = [line for fact, value in self.cells for line in card_lines([(fact, value)], room, self._widest())]
            yield Text("\n".join(["", *lines]), no_wrap=True, overflow="ignore")
            return
        width = max((len(title) for title, _ in pairs), default=0)
        for row in (*self.cells, *([self.total] if self.total else [])):
            facts = [(title, row[i]) for title, i in pairs if row[i]]
            yield Text("\n".join(["", *card_lines(facts, room, width)]), no_wrap=True, overflow="ignore")
        yield Text("")

    def _widest(self) -> int:
        return max((len(row[0]) for row in self.cells), default=0)


def card_lines(facts: Sequence[tuple[str, str]], room: int, width: int) -> list[str]:
    """The lines of a card: names `width` wide, and values folded between words. A number may stand out, but whole."""
    lines = []
    for name, value in facts:
        left = room - width - 3
        if left < _LEAST_VALUE:
            lines += [f" {name}", *(f"   {line}" for line in _wrapped(value, room - 3))]
            continue
        first, *more = _wrapped(value, left) or [""]
        lines += [f" {name:<{width}}  {first}", *(f" {'':<{width}}  {line}" for line in more)]
    return lines


def _wrapped(value: str, room: int) -> list[str]:
    import textwrap

    return textwrap.wrap(value, max(room, 1), break_long_words=False, break_on_hyphens=False)


def _between(count: int, gap: int) -> int:
    """What stands between columns and at the edges."""
    return count * gap + 1


def _folded(extents: Sequence[Extent], left: int) -> list[int]:
    """Widths that fit in what is left: the widest columns give way first, none beyond what it must have."""
    widths = [extent.most for extent in extents]
    while sum(widths) > left:
        place = max((i for i, e in enumerate(extents) if widths[i] > e.least), key=lambda i: widths[i])
        widths[place] -= 1
    return widths
