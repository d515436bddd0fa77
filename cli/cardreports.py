"""`tollbook cards diff` and `check --against`: a card beside another, in the carriers' words."""

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.decks import Deck, load, takes_deck
from cli.exits import Exit
from cli.options import AtOption, instant_of
from cli.output import Column, Format, FormatOption, emit, emit_csv, emit_json, number, printable, say, text
from cli.words import counted, of_number
from rates.errors import TollbookError

if TYPE_CHECKING:
    from fractions import Fraction

    from cli.cardfiles import CardRead
    from rates.cards import Card
    from rates.comparing.changes import Comparison
    from rates.errors import Fault

_CARD = "A card's TOML file, a deck (with --dialect), or a published id."
OldArgument = Annotated[str, typer.Argument(metavar="OLD", help=_CARD)]
NewArgument = Annotated[str, typer.Argument(metavar="NEW", help=_CARD)]
BuyArgument = Annotated[str, typer.Argument(metavar="BUY", help=f"Where it is bought. {_CARD}")]
SellArgument = Annotated[str, typer.Argument(metavar="SELL", help=f"Where it is sold. {_CARD}")]
JumpOption = Annotated[str, typer.Option(help="How many times dearer or cheaper a price may become.")]

_SAID = 20
_LISTED = 1_000
"""So many rows of a comparison are for people; the rest is for programs."""

_COUNTED = (text("change"), number("codes"), number("destinations"))
_NUMBERS = frozenset(
    {
        "old_price",
        "new_price",
        "percent",
        "old_setup_fee",
        "new_setup_fee",
        "codes",
        "beside_price",
        "price",
        "over_price",
    }
)
_SHORT = {
    "old_price": "old", "new_price": "new", "percent": "%", "old_increments": "incr. old", "new_increments": "incr.",
    "old_setup_fee": "setup old", "new_setup_fee": "setup", "effective_from": "from", "beside_code": "beside",
    "beside_price": "at", "over_code": "code below", "over_row": "row below", "over_price": "price below",
    "over_increments": "incr. below", "over_destination": "destination below", "over_origin": "origin below",
    "over_where": "where below",
}  # fmt: skip
_SINGLE = frozenset({"product", "element", "over"})
_ALWAYS = frozenset({"change", "destination", "code", "old_price", "new_price", "percent", "effective_from"})


class CardMissingError(TollbookError):
    """No published version of a card is in force at an instant."""


class By(StrEnum):
    """What a row of a comparison is of."""

    CODE = "code"
    DESTINATION = "destination"


@takes_deck
def diff(  # noqa: PLR0913, PLR0917 (each is an option)
    old: OldArgument,
    new: NewArgument,
    by: Annotated[By, typer.Option(help="A row for each code, or for codes of a destination that changed alike.")] = (
        By.DESTINATION
    ),
    everything: Annotated[bool, typer.Option("--all", help="List what is unchanged too.")] = False,
    notice_days: Annotated[int, typer.Option(min=0, max=3660, help="How long before it a change must be told.")] = 7,
    at: AtOption = "",
    jump_bound: JumpOption = "2",
    accept: Annotated[bool, typer.Option("--accept", help="Take prices that jump beyond the bound.")] = False,
    form: FormatOption = Format.TABLE,
    *,
    deck: Deck,
) -> None:
    """What a new card changes: new, increase, decrease, ended, other terms, unchanged, by destination or code.

    Counts come first. Increases and ended codes that take effect within the notice period are warned of. Prices that
    jump, or what typical usage costs, are faults unless they are accepted, as when the card is imported.
    """
    from cli.world import products
    from rates.comparing.changes import compare
    from rates.comparing.typical import every_jump

    moment, bound = instant_of(at), bound_of(jump_bound)
    was, now = card_named(old, moment, deck), card_named(new, moment, deck)
    if was.currency != now.currency:
        raise typer.BadParameter(f"{was.version} is in {was.currency}, {now.version} in {now.currency}")
    found = compare(was, now, products(), notice_from=moment + timedelta(days=notice_days))
    _print(found, by, form, everything=everything)
    _warn(found, notice_days)
    if not accept:
        refuse_jumps(every_jump(was, now, bound, products()), was, now, bound)
    if found.warnings.num_rows:
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def bound_of(text: str) -> "Fraction":
    """How far prices may jump, as an option says it."""
    from rates.money import DecimalInvalidError, exact, parse_decimal

    try:
        bound = exact(parse_decimal(text))
    except DecimalInvalidError as error:
        raise typer.BadParameter(str(error)) from None
    if bound < 1:
        raise typer.BadParameter(f"--jump-bound {text} lets no price stay as it is: give 1 or more")
    return bound


def card_named(name: str, at: datetime, deck: Deck) -> "Card":
    """A card by its file or its deck's, or a published one: of an id the version in force, of `id@instant` that one.

    Raises CardFaultyError and CardMissingError. A deck of several files is named with commas between them.
    """
    paths = [Path(part) for part in name.split(",")]
    if not all(path.is_file() for path in paths):
        return published(name, at)
    read = load(paths, Deck() if name.endswith(".toml") else deck)
    tell_notices(read)
    return read.whole()


def tell_notices(read: "CardRead") -> None:
    """Say how files were read, and what of them is not on the card."""
    from rates.errors import lines_of

    for line in lines_of(read.notices):
        say(printable(f"notice: {line}"))


def published(name: str, at: datetime) -> "Card":
    """A published card: the version in force, or the one that is named. Raises CardMissingError."""
    from billing.store.queries.cards import named_card
    from cli.db import reading
    from cli.world import products

    with reading() as connection:
        card = named_card(connection, name, at, products())
    if card is None:
        remedy = "see `tollbook cards list`"
        raise CardMissingError("is neither a file nor a published card in force then", value=name, remedy=remedy)
    return card


def _print(found: "Comparison", by: By, form: Format, *, everything: bool) -> None:
    from dataclasses import replace

    table = found.rows if everything else found.changed()
    if by is By.DESTINATION:
        table = replace(found, rows=table).by_destination()
    summary = found.summary()
    title = f"{found.old} to {found.new}, {found.currencies[1]}"
    if form is Format.JSON:
        counts = {row["change"]: {key: row[key] for key in ("codes", "destinations")} for row in summary}
        emit_json({"old": found.old, "new": found.new, "summary": counts, "changes": table.to_pylist()})
        return
    if form is Format.CSV:
        listed(table, form)
        return
    emit(summary, _COUNTED, form, title=title)
    listed(table, form)


def listed(table: Any, form: Format, *, title: str = "") -> None:  # noqa: ANN401 (Arrow publishes no types)
    """Print a table of text columns; for people its first rows, and only the columns that say something."""
    columns = [_column(name) for name in table.column_names]
    if form is Format.CSV:
        emit_csv(table.to_pylist(), columns)
    elif form is Format.JSON:
        emit_json(table.to_pylist())
    elif table.num_rows:
        filled = [c for c in columns if c.key in _ALWAYS or any(text for text in table[c.key].to_pylist())]
        told = [c for c in filled if c.key not in _SINGLE or _several(table, c)]
        emit(table.slice(0, _LISTED).to_pylist(), told, form, title=title)
        if table.num_rows > _LISTED:
            say(f"and {counted(table.num_rows - _LISTED, 'more row')}: --format csv or json has all of them")


def _several(table: Any, column: Column) -> bool:  # noqa: ANN401 (Arrow publishes no types)
    return len(set(table[column.key].to_pylist())) > 1


def _column(name: str) -> Column:
    return Column(key=name, heading=_SHORT.get(name, ""), number=name in _NUMBERS)


def shadows_of(card: "Card", against: list[str], deck: Deck, form: Format) -> None:
    """Print every row of a card that shadows one of itself or of the cards below it, with its price change."""
    import pyarrow as pa

    from cli.world import products
    from rates.comparing.shadows import shadows
    from rates.compiled.patterns import microseconds

    at = microseconds(card.effective_from)
    below = [card_named(name, card.effective_from, deck) for name in against]
    for other in below:
        if other.currency != card.currency:
            raise typer.BadParameter(f"{card.version} is in {card.currency}, {other.version} in {other.currency}")
    table = pa.concat_tables([shadows(card, other, products(), at) for other in (None, *below)])
    title = f"Rows of {card.version} that shadow others"
    listed(table, form, title=title)
    changes = table["change"].value_counts().to_pylist()
    said = ", ".join(f"{each['counts']:,} {each['values']}" for each in changes)
    say(f"{counted(table.num_rows, 'shadow')}{': ' if said else ''}{said}.")


def _warn(found: "Comparison", days: int) -> None:
    soon = found.warnings
    if not soon.num_rows:
        return
    from dataclasses import replace

    rows = replace(found, rows=soon).by_destination()
    for row in rows.slice(0, _SAID).to_pylist():
        codes = row["code"] if row["codes"] == 1 else counted(row["codes"], "code")
        said = f"warning: {row['destination']} {codes}: {row['notice']}, from {row['effective_from']}"
        say(printable(f"{said} (less than {counted(days, 'day')})"))
    if rows.num_rows > _SAID:
        left = rows.num_rows - _SAID
        say(f"warning: and {counted(left, 'more destination')} {of_number(left, 'changes', 'change')} too soon")


def refuse_jumps(faults: "list[Fault]", before: "Card", card: "Card", bound: "Fraction") -> None:
    """Refuse prices that jump, if any do. Raises CardFaultyError."""
    from rates.errors import CardFaultyError
    from rates.money import format_fraction

    if not faults:
        return
    times = format_fraction(bound)
    say(f"Prices, or what typical usage costs, are over {times} times dearer or cheaper than in {before.version}:")
    say("--accept takes them, --jump-bound sets another bound.")
    raise CardFaultyError(faults, place=card.version)
