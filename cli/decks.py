"""Cards from files, however they are written: a card of our own, or a deck in a dialect. The options of decks."""

import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import instant_of, pairs_of, product_of

if TYPE_CHECKING:
    from cli.cardfiles import CardRead
    from rates.dialects.decks import Told
    from rates.dialects.files import DeckFile
    from rates.dialects.mappings import Dialect
    from rates.errors import Fault

OWN, CDRTOOL, TWILIO_PRICING = "tollbook", "cdrtool", "twilio-pricing"
CODED = (CDRTOOL, TWILIO_PRICING)
"""Dialects that no mapping can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deck:
    """What the options of a deck say; nothing where the files are a card of our own."""

    dialect: Annotated[
        str, typer.Option(metavar="NAME", help="How the files are written; `tollbook cards dialects` lists all.")
    ] = OWN
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A deck's mapping of your own, instead of a dialect.")
    ] = None
    card_id: Annotated[str, typer.Option("--id", metavar="ID", help="Of a deck: the name of the card.")] = ""
    currency: Annotated[
        str, typer.Option(metavar="CODE", help="Of a deck: its currency, as in USD, where it does not say it.")
    ] = ""
    since: Annotated[
        str, typer.Option("--from", metavar="DATE", help="Of a deck: from when it holds, as in 2026-10-01.")
    ] = ""
    product: Annotated[
        str, typer.Option(metavar="PRODUCT", help="Of a deck: the product that it prices, if not the dialect's.")
    ] = ""
    increments: Annotated[
        str, typer.Option(metavar="FIRST/NEXT", help="Of a deck without a column of them: 60/60, 1/1, ...")
    ] = ""
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A further fact of the mapping, as in dates=D/M/YYYY."),
    ] = None
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="Of a CDRTool deck: the rate profile, where it has several.")
    ] = ""

    @property
    def given(self) -> bool:
        """Whether a deck is meant."""
        return self.mapping is not None or self.dialect != OWN


def takes_deck(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of decks: they arrive as the one argument `deck`."""
    own = inspect.signature(command)
    names = [each.name for each in fields(Deck)]
    hints = inspect.get_annotations(Deck, eval_str=True)
    options = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in fields(Deck)
    ]
    kept = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own.parameters.values() if each.name != "deck"
    ]

    @wraps(command)
    def wrapper(**given: Any) -> None:  # noqa: ANN401 (whatever its options are)
        deck = Deck(**{name: given.pop(name) for name in names})
        command(**given, deck=deck)

    wrapper.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in [*kept, *options]}
    return wrapper


def load(files: list[Path], deck: Deck) -> "CardRead":
    """The card of files. What does not go together is a wrong call."""
    _check_call(files, deck)
    if not deck.given:
        return _own(files[0])
    if deck.mapping is None and deck.dialect == CDRTOOL:
        return _cdrtool(files, deck)
    if deck.mapping is None and deck.dialect == TWILIO_PRICING:
        return _twilio_pricing(files, deck)
    return _mapped(files[0], deck)


def open_deck(path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = "") -> "DeckFile":
    """A deck's file, CSV or a spreadsheet. Raises CardFaultyError."""
    from billing.sources.spreadsheets import is_spreadsheet, open_spreadsheet
    from cli.world import read_bytes
    from rates.dialects.files import open_csv
    from rates.errors import CardFaultyError

    data = read_bytes(path)
    if is_spreadsheet(data):
        grid, faults = open_spreadsheet(data, path.name, sheet=sheet)
        if grid is not None:
            return grid
    else:
        text, faults = open_csv(data, path.name, encoding=encoding, delimiter=delimiter)
        if text is not None:
            return text
    raise CardFaultyError(faults, place=str(path))


def dialects() -> "dict[str, Dialect]":
    """The built-in dialects that are mappings, by name."""
    from cli.world import dimensions, mappings
    from rates.dialects.mappings import read_mapping

    found = {}
    for name, table in mappings().items():
        dialect, faults = read_mapping(table, f"{name}.toml", dimensions())
        if dialect is None:
            raise AssertionError(f"a dialect that comes along is faulty: {faults}")
        found[name] = dialect
    return found


def _check_call(files: list[Path], deck: Deck) -> None:
    from cli.world import mappings

    facts = (deck.card_id, deck.currency, deck.since, deck.product, deck.increments, deck.settings, deck.profile)
    if not deck.given:
        if any(facts):
            raise typer.BadParameter("--id, --currency, --from, --set and the like are a deck's: add --dialect")
        if len(files) != 1:
            raise typer.BadParameter("a card is one TOML file; its rows are found through it")
        return
    if deck.mapping is not None and deck.dialect != OWN:
        raise typer.BadParameter("--mapping and --dialect both say how the deck is written: give one")
    if deck.mapping is None and deck.dialect not in {*CODED, *mappings()}:
        known = ", ".join(sorted({OWN, *CODED, *mappings()}))
        raise typer.BadParameter(f"{deck.dialect} is not a dialect; known: {known}. --mapping takes one of your own")
    if not (deck.card_id and deck.since):
        raise typer.BadParameter("a deck does not say it: give --id, --currency and --from")
    if deck.product:
        product_of(deck.product)
    if deck.mapping is None and deck.dialect == TWILIO_PRICING:
        return
    two = deck.mapping is None and deck.dialect == CDRTOOL
    if len(files) != 1 + two:
        said = "a CDRTool deck is two files: the rates, then the destinations" if two else "a deck is one file"
        raise typer.BadParameter(said)


def _own(path: Path) -> "CardRead":
    from cli.cardfiles import CardRead, check_card, rows_of
    from rates.cardchanges import Rows

    card, faults = check_card(path)
    written = Rows(place=path.name) if card is None else rows_of(path)
    return CardRead(place=str(path), written=written, card=card, faults=faults)


def _cdrtool(files: list[Path], deck: Deck) -> "CardRead":
    from cli.cardfiles import CardRead
    from cli.world import products, read_bytes
    from rates.cardchanges import Rows
    from rates.dialects.cdrtool import File, are_swapped, read_cdrtool

    if not deck.currency:
        raise typer.BadParameter("a deck does not say it: give --id, --currency and --from")
    if deck.increments or deck.settings:
        raise typer.BadParameter("a CDRTool deck has increments and no mapping: leave --increments and --set out")
    rates, destinations = (File(path.name, read_bytes(path)) for path in files)
    if are_swapped(rates.data, destinations.data):
        first, second = files
        order = f"{first} holds the destinations and {second} the rates, which come first"
        raise typer.BadParameter(f"{order}: end the command with {shlex.join((str(second), str(first)))}")
    found = read_cdrtool(
        rates,
        destinations,
        products=products(),
        card_id=deck.card_id,
        currency=deck.currency,
        effective_from=instant_of(deck.since),
        product=deck.product or "voice.outbound",
        profile=deck.profile or None,
    )
    written = Rows(place=rates.name)
    return CardRead(place=_named(files), written=written, card=found.card, faults=found.faults, notices=found.left_out)


def _twilio_pricing(files: list[Path], deck: Deck) -> "CardRead":
    from cli.cardfiles import CardRead
    from cli.world import products, read_bytes
    from rates.dialects.twilio_pricing import Settings, read_twilio_pricing
    from rates.errors import CardFaultyError

    if deck.product or deck.profile:
        raise typer.BadParameter("a body says what it prices: leave --product and --profile out")
    settings, faults = Settings.told(pairs_of(deck.settings or []))
    if settings is None:
        raise CardFaultyError(faults, place="--set")
    bodies = [(file.name, read_bytes(file)) for file in files]
    reading, written = read_twilio_pricing(bodies, _told(deck), products(), settings)
    notices = _notices(reading.notes, written.place)
    return CardRead(place=_named(files), written=written, card=reading.card, faults=reading.faults, notices=notices)


def _mapped(path: Path, deck: Deck) -> "CardRead":
    from cli.cardfiles import CardRead
    from cli.world import products
    from rates.cardchanges import Rows
    from rates.dialects.decks import read_deck

    dialect = _dialect(deck)
    if not (deck.currency or dialect.currency or "currency" in dialect.columns):
        raise typer.BadParameter("a deck does not say it: give --id, --currency and --from")
    if not (deck.product or dialect.product):
        raise typer.BadParameter("the mapping does not say which product it prices: give --product")
    file = open_deck(path, encoding=dialect.encoding, delimiter=dialect.delimiter, sheet=dialect.sheet)
    reading = read_deck(file, dialect, _told(deck), products())
    written, notices = Rows(place=file.place), _notices(reading.notes, file.place)
    return CardRead(place=str(path), written=written, card=reading.card, faults=reading.faults, notices=notices)


def _named(files: list[Path]) -> str:
    return ", ".join(map(str, files))


def _notices(notes: Sequence[str], place: str) -> "list[Fault]":
    from rates.errors import Fault

    return [Fault(place=place, value="", problem=note) for note in notes]


def _dialect(deck: Deck) -> "Dialect":
    from cli.world import dimensions, mappings, read_toml
    from rates.dialects.mappings import read_mapping, told
    from rates.errors import CardFaultyError

    if deck.profile:
        raise typer.BadParameter("--profile is of CDRTool decks")
    table: Mapping[str, object]
    if deck.mapping is None:
        place, table = deck.dialect, mappings()[deck.dialect]
    else:
        place = deck.mapping.name
        table, faults = read_toml(deck.mapping)
        if faults:
            raise CardFaultyError(faults, place=place)
    dialect, faults = read_mapping(told(table, pairs_of(deck.settings or [])), place, dimensions())
    if dialect is None:
        raise CardFaultyError(faults, place=place)
    return dialect


def _told(deck: Deck) -> "Told":
    from rates.dialects.decks import Told
    from rates.quantities import Increments, IncrementsInvalidError

    try:
        increments = str(Increments.parse(deck.increments)) if deck.increments else ""
    except IncrementsInvalidError as error:
        raise typer.BadParameter(f"--increments {error}") from None
    return Told(
        card_id=deck.card_id,
        currency=deck.currency,
        effective_from=instant_of(deck.since),
        product=deck.product,
        increments=increments,
    )
