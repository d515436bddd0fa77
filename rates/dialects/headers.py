"""Which column of a file is which of a dialect: found by its header, or told by its position."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from rates.dialects.mappings import Column, Dialect, Names, Price
from rates.errors import Fault

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The header of a file: its row among the first (-1: it has none) and the names of its columns."""

    row: int
    names: tuple[str, ...]

    def find(self, names: Names) -> int | None:
        """The position of the first of some names that is there."""
        plain = [_plain(name) for name in self.names]
        for name in names:
            if isinstance(name, int) and name <= len(plain):
                return name - 1
            if isinstance(name, str) and name and _plain(name) in plain:
                return plain.index(_plain(name))
        return None

    def called(self, position: int) -> str:
        """What a column is called in messages."""
        return (self.names[position] if position < len(self.names) else "") or f"column {position + 1}"

    def positions(self, column: Column) -> tuple[int, ...]:
        """Where the cells of a key stand: its parts, all that must be there, else its one column; else nowhere."""
        parts = [(self.find(names), "" in names) for names in column.parts]
        if parts and all(found is not None or may_lack for found, may_lack in parts):
            return tuple(found for found, _ in parts if found is not None)
        whole = self.find(column.names)
        return () if whole is None else (whole,)


def find_header(top: Sequence[Sequence[str]], dialect: Dialect, place: str) -> tuple[Header | None, list[Fault]]:
    """The first row that has every column that the dialect needs; else what the likeliest one lacks."""
    if not dialect.header:
        header = Header(row=-1, names=("",) * max(map(len, top)))
        faults = [_missing(names, f"{place}:1") for names in _lacking(header, dialect)]
        return (None if faults else header), faults
    headers = [Header(row=i, names=tuple(cell.strip() for cell in row)) for i, row in enumerate(top)]
    for header in headers:
        if not any(True for _ in _lacking(header, dialect)):
            faults = list(_twice(header, dialect, f"{place}:{header.row + 1}"))
            return (None if faults else header), faults
    nearest = max(headers, key=lambda header: -sum(1 for _ in _lacking(header, dialect)))
    return None, [_missing(names, f"{place}:{nearest.row + 1}", nearest) for names in _lacking(nearest, dialect)]


def wanted(dialect: Dialect) -> Iterator[Column | Price]:
    """The columns without which a file is not of a dialect."""
    yield from (column for column in dialect.columns.values() if not column.optional)
    yield from (price for price in dialect.prices if not price.optional)


def _lacking(header: Header, dialect: Dialect) -> Iterator[Names]:
    yield from (names for names in dialect.needs if header.find(names) is None)
    for column in wanted(dialect):
        if isinstance(column, Price):
            if header.find(column.names) is None:
                yield column.names
        elif not header.positions(column):
            yield column.names or tuple(name for part in column.parts for name in part)
    if all(price.optional for price in dialect.prices):
        names = tuple(name for price in dialect.prices for name in price.names)
        if header.find(names) is None:
            yield names


def _twice(header: Header, dialect: Dialect, place: str) -> Iterator[Fault]:
    plain = [_plain(name) for name in header.names]
    used = {position for column in dialect.columns.values() for position in header.positions(column)}
    used |= {found for price in dialect.prices if (found := header.find(price.names)) is not None}
    for position in sorted(used):
        if plain[position] and plain.count(plain[position]) > 1:
            remedy = "keep one, or name the column by its position"
            yield Fault(place=place, value=header.names[position], problem="stands twice in the header", remedy=remedy)


def _missing(names: Names, place: str, header: Header | None = None) -> Fault:
    known = " or ".join(map(str, names[:_SHOWN]))
    there = [name for name in header.names if name] if header else []
    near = get_close_matches(str(names[0]), there, 1) if names else []
    shown = ", ".join(there[:_SHOWN]) or "nothing"
    remedy = f"is it {near[0]}? name it in the mapping" if near else f"the header has {shown}"
    return Fault(place=place, value="", problem=f"has no column {known}", remedy=remedy if header else "check the file")


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()


def unread(header: Header, dialect: Dialect) -> list[str]:
    """The columns of a file that a dialect does not read."""
    read = {position for column in dialect.columns.values() for position in header.positions(column)}
    read |= {found for price in dialect.prices if (found := header.find(price.names)) is not None}
    read |= {found for name in dialect.refuse if (found := header.find((name,))) is not None}
    return [name for position, name in enumerate(header.names) if name and position not in read]
