"""Cards from files: a TOML head, and the rows beside it where it names them."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cli.world import FileUnreadableError, products, read_bytes, read_text
from rates.cardchanges import Rows, rows_written
from rates.cardfile import read_card
from rates.cards import Card
from rates.errors import CardFaultyError, Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRead:
    """What files came to: a card, or every fault of it; where its rows are written.

    `notices` are what a person should know of how they were read: rows that are not on the card, facts that were found.
    """

    place: str
    written: Rows
    card: Card | None
    faults: list[Fault]
    notices: list[Fault] = field(default_factory=list)

    def whole(self) -> Card:
        """The card. Raises CardFaultyError with every fault of it."""
        if self.card is None:
            raise CardFaultyError(self.faults, place=self.place)
        return self.card


class Beside(Mapping[str, bytes]):
    """The files in the folder of a card and below it, each read when it is asked for. None outside of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> bytes:
        if name not in self:
            raise KeyError(name)
        return read_bytes(self._folder / name)

    def __contains__(self, name: object) -> bool:
        path = PurePosixPath(str(name))
        return not path.is_absolute() and ".." not in path.parts and (self._folder / path).is_file()

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self._folder.iterdir() if path.is_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def check_card(path: Path) -> tuple[Card | None, list[Fault]]:
    """The card of a file, or every fault of it. What is no TOML, and not called so, may be a deck: it is told how."""
    is_named_so = path.suffix.lower() == ".toml" or str(path) == "-"
    try:
        card, faults = read_card(read_text(path), Beside(path.parent), products(), place=path.name)
    except FileUnreadableError as error:
        if is_named_so or "UTF-8" not in error.problem:
            raise
        return None, [_no_card(path)]
    if not is_named_so and any(fault.problem.startswith("is not TOML") for fault in faults):
        return None, [_no_card(path)]
    return card, faults


def _no_card(path: Path) -> Fault:
    name = shlex.quote(str(path))
    way = f"`tollbook cards check {name} --dialect NAME` (see `tollbook cards dialects`) or `--mapping FILE`"
    remedy = f"a carrier's price list is read with {way}; `tollbook cards sniff {name}` drafts a mapping"
    return Fault(place=path.name, value="", problem="is not TOML, as a card is", remedy=remedy)


def card_of(path: Path) -> Card:
    """The card of a file. Raises CardFaultyError with every fault of it."""
    card, faults = check_card(path)
    if card is None:
        raise CardFaultyError(faults, place=str(path))
    return card


def rows_of(path: Path) -> Rows:
    """Where the rows of a card's file are written: beside it, or in it."""
    return rows_written(read_text(path), path.name)
