"""Cards from files: a TOML head, and the rows beside it where it names them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

import typer

from cli.options import instant_of, product_of
from cli.world import products, read_bytes, read_text, read_toml
from rates.cardchanges import Rows
from rates.cardfile import read_card
from rates.cards import Card
from rates.dialects.cdrtool import File, are_swapped, read_cdrtool
from rates.errors import CardFaultyError, Fault


class Dialect(StrEnum):
    """How a deck is written."""

    OWN = "tollbook"
    CDRTOOL = "cdrtool"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeckFacts:
    """What a deck does not say of itself, as it was asked for: "" for what was not."""

    card_id: str
    currency: str
    since: str
    product: str
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRead:
    """What files came to: a card, or every fault of it; the rows that are not on it; where its rows are written."""

    place: str
    written: Rows
    card: Card | None
    faults: list[Fault]
    left_out: list[Fault] = field(default_factory=list)

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
    """The card of a file, or every fault of it."""
    return read_card(read_text(path), Beside(path.parent), products(), place=path.name)


def card_of(path: Path) -> Card:
    """The card of a file. Raises CardFaultyError with every fault of it."""
    card, faults = check_card(path)
    if card is None:
        raise CardFaultyError(faults, place=str(path))
    return card


def read_own(files: Sequence[Path], facts: DeckFacts) -> CardRead:
    """What the TOML file of a card came to."""
    if facts.card_id or facts.currency or facts.since or facts.profile:
        raise typer.BadParameter("--id, --currency, --from and --profile are a deck's: add --dialect")
    if len(files) != 1:
        raise typer.BadParameter("a card is one TOML file; its rows are found through it")
    (path,) = files
    card, faults = check_card(path)
    return CardRead(place=str(path), written=_rows_of(path), card=card, faults=faults)


def read_deck(files: Sequence[Path], facts: DeckFacts) -> CardRead:
    """What the two files of a CDRTool deck came to."""
    if len(files) != 2:  # noqa: PLR2004 (rates and destinations)
        raise typer.BadParameter("a CDRTool deck is two files: the rates, then the destinations")
    if not (facts.card_id and facts.currency and facts.since):
        raise typer.BadParameter("a deck does not say it: give --id, --currency and --from")
    product, since = product_of(facts.product), instant_of(facts.since)
    rates, destinations = (File(path.name, read_bytes(path)) for path in files)
    if are_swapped(rates.data, destinations.data):
        first, second = files
        order = f"{first} holds the destinations and {second} the rates, which come first"
        raise typer.BadParameter(f"{order}: end the command with {shlex.join((str(second), str(first)))}")
    deck = read_cdrtool(
        rates,
        destinations,
        products=products(),
        card_id=facts.card_id,
        currency=facts.currency,
        effective_from=since,
        product=product,
        profile=facts.profile or None,
    )
    place = ", ".join(map(str, files))
    return CardRead(
        place=place, written=Rows(place=rates.name), card=deck.card, faults=deck.faults, left_out=deck.left_out
    )


def _rows_of(path: Path) -> Rows:
    """Where the rows of a card's file are written: beside it, or in it."""
    beside = read_toml(path)[0].get("rates")
    return Rows(place=beside) if isinstance(beside, str) else Rows(place=f"{path.name}: rate", inline=True)
