"""`tollbook cards`: check, publish, list and question rate cards."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.cardreports import CardMissingError, bound_of, diff, shadows_of
from cli.decks import CDRTOOL, OWN, TWILIO_PRICING, Deck, Loaded, dialects, load, open_deck, takes_deck
from cli.exits import Exit
from cli.margins import margin
from cli.options import AtOption, DryRunOption, instant_of, pairs_of
from cli.output import Format, FormatOption, emit, number, printable, readable, say, text

if TYPE_CHECKING:
    from fractions import Fraction

    from rates.cardchanges import Rows
    from rates.cards import Card


app = typer.Typer(no_args_is_help=True, help="Rate cards: check, publish, list, compare, question.")
app.command("diff")(diff)
app.command("margin")(margin)

_FAULTS = (text("place"), text("value"), text("problem"), text("remedy"))
_LISTED = (
    text("id", "card"),
    text("currency"),
    text("effective_from", "from"),
    text("effective_to", "until"),
    number("rates"),
    number("prices"),
    text("published_at", "published", faint=True),
    text("published_by", "by", faint=True),
)
_QUOTED = (
    text("number"),
    text("country"),
    text("prefix", "matched"),
    text("destination"),
    text("prices", "price"),
    text("unit"),
    text("increments"),
    number("setup_fee", "setup"),
    number("billable"),
    number("cost"),
    text("reason", "not priced"),
)
_SETTLED = (text("window"), text("arithmetic"))
"""What there is to say of a quote only where its cost is not the billable quantity times one price."""


_GUESSED = (text("column"), text("key", "may be"), text("reason", "since it"), text("examples"))
_DIALECTS = (text("dialect"), text("name", "what it is"), text("product", faint=True))

FilesArgument = Annotated[list[Path], typer.Argument(help="The card's TOML file; or a deck's files, with --dialect.")]


@app.command()
@takes_deck
def check(
    files: FilesArgument,
    against: Annotated[
        list[str] | None,
        typer.Option(help="A card below it in a book: print every row that shadows another.", metavar="CARD"),
    ] = None,
    form: FormatOption = Format.TABLE,
    *,
    deck: Deck,
) -> None:
    """Say everything that is wrong with a card or a deck, each fault with its place. Nothing is stored.

    With --against, every row that shadows another is printed with its price change: one of the card itself, and one of
    the cards below it.
    """
    from rates.cards import identity
    from rates.errors import CardFaultyError

    loaded = load(files, deck)
    _tell(loaded)
    card, faults = loaded.card, loaded.faults
    if card is None and form is Format.TABLE:
        raise CardFaultyError(faults, place=", ".join(map(str, files)))
    if form is not Format.TABLE and (card is None or not against):
        rows = [{key: getattr(fault, key) for key in ("place", "value", "problem", "remedy")} for fault in faults]
        emit(rows, _FAULTS, form)
    if card is None:
        raise typer.Exit(Exit.BAD_INPUT)
    _warn(card, loaded.written)
    say(f"{card.version}: {card.rows.num_rows:,} rates, {card.currency}, no faults. Identity {identity(card).hex()}.")
    if against:
        shadows_of(card, against, deck, form)


@app.command("import")
@takes_deck
def import_(
    files: FilesArgument,
    jump_bound: Annotated[str, typer.Option(help="How many times dearer or cheaper a price may become.")] = "2",
    accept: Annotated[bool, typer.Option("--accept", help="Publish prices that jump beyond the bound.")] = False,
    dry_run: DryRunOption = False,
    *,
    deck: Deck,
) -> None:
    """Check a card or a deck and publish it. The same card again changes nothing.

    Prices that jump, against the published version before it, are faults unless they are accepted.
    """
    from rates.errors import CardFaultyError

    bound = bound_of(jump_bound)
    loaded = load(files, deck)
    _tell(loaded)
    if loaded.card is None:
        raise CardFaultyError(loaded.faults, place=", ".join(map(str, files)))
    card, written = loaded.card, loaded.written
    _warn(card, written)
    if not accept:
        _refuse_jumps(card, bound, written)
    if dry_run:
        say(f"{card.version}: {card.rows.num_rows:,} rates would be published.")
    else:
        _publish(card)


@app.command()
def sniff(
    file: Annotated[Path, typer.Argument(help="A deck's file: CSV or a spreadsheet.")],
    out: Annotated[Path | None, typer.Option(help="Write the drafted mapping to this file.", dir_okay=False)] = None,
    sheet: Annotated[str, typer.Option(help="The sheet, where a spreadsheet has several.")] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Draft a mapping for a deck: what its columns may be and why, which dialect fits, and what must be told."""
    from dataclasses import asdict

    from rates.dialects.sniffing import sniff as sniff_file
    from rates.errors import CardFaultyError

    if out is not None and out.exists():
        raise typer.BadParameter(f"{out} is there already: name another file, or remove it")
    found, faults = sniff_file(open_deck(file, sheet=sheet), dialects())
    if found is None:
        raise CardFaultyError(faults, place=str(file))
    if form is not Format.TABLE:
        emit([asdict(guess) for guess in found.guesses], _GUESSED, form)
    elif out is None:
        sys.stdout.write(found.mapping)
    else:
        emit([asdict(guess) for guess in found.guesses], _GUESSED, form, title=file.name)
    header = f"the header on line {found.header_line}" if found.header_line else "no header"
    say(printable(f"{file.name}: {found.rows:,} rows, {', '.join((header, *found.said))}."))
    for name in found.dialects:
        say(f"It has the columns of the dialect {name}: --dialect {name}.")
    for fact in found.tell:
        say(printable(f"To be told: {fact}."))
    if out is not None:
        out.write_text(found.mapping, encoding="utf-8")
        say(f"The draft is in {out}: read it, mend it, then `tollbook cards check {file} --mapping {out} ...`.")


@app.command("dialects")
def dialects_(form: FormatOption = Format.TABLE) -> None:
    """The dialects that decks may be written in."""
    rows = [
        {"dialect": OWN, "name": "Tollbook's own card: a TOML file, its rows in it or beside it"},
        {
            "dialect": CDRTOOL,
            "name": "CDRTool: a file of rates and a file of destinations",
            "product": "voice.outbound",
        },
        {"dialect": TWILIO_PRICING, "name": "Twilio's pricing API: the bodies of countries, calls and messages"},
        *({"dialect": key, "name": one.name, "product": one.product} for key, one in dialects().items()),
    ]
    emit(rows, _DIALECTS, form, title="Dialects")


@app.command("list")
def list_(form: FormatOption = Format.TABLE) -> None:
    """The published versions of all cards."""
    from billing.store.queries.cards import published_cards
    from cli.db import reading
    from rates.cards import instant

    with reading() as connection:
        rows = [listed._asdict() for listed in published_cards(connection)]
    for row in rows:
        for key in ("effective_from", "effective_to", "published_at"):
            row[key] = instant(row[key]) if row[key] is not None else None
    emit(rows, _LISTED, form, title="Published cards")
    if not rows:
        say("No card is published; `tollbook cards import FILE` publishes one.")


@app.command()
def explain(
    card: Annotated[str, typer.Argument(help="A published card's id, or a card's TOML file.")],
    numbers: Annotated[list[str], typer.Argument(help="Numbers as in +442079460000, or short codes.")],
    caller: Annotated[str, typer.Option("--from", help="The calling number.")] = "",
    product: Annotated[str, typer.Option(help="The product; without it the card's first one.")] = "",
    quantity: Annotated[int, typer.Option(min=1, max=10**12, help="Seconds, segments, … that were used.")] = 61,
    where: Annotated[list[str] | None, typer.Option(help="A further dimension, as in mcc=248.")] = None,
    at: AtOption = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Price any number: the prefix that matched, the price, the increments, and what a call of 61 s costs."""
    from dataclasses import asdict

    from cli.world import products
    from rates.quotes import quote

    moment = instant_of(at)
    chosen = _card(card, moment)
    asked = product or _first_product(chosen)
    if asked not in products():
        raise typer.BadParameter(f"{asked} is not a product; known: {', '.join(sorted(products()))}")
    quotes = quote(
        chosen,
        products(),
        numbers,
        product=asked,
        at=moment,
        measured=quantity,
        caller=caller,
        dimensions=pairs_of(where or []),
    )
    rows = [asdict(one) for one in quotes]
    if form is not Format.JSON:
        rows = [{**row, "arithmetic": "; ".join(row["arithmetic"])} for row in rows]
    if form is Format.TABLE:
        rows = [{**row, "cost": readable(row["cost"])} for row in rows]
    base = products()[asked].base
    title = f"{chosen.version}, {asked}, {quantity} {base}{'s' if quantity != 1 else ''}, {chosen.currency}"
    settled = tuple(column for column in _SETTLED if form is Format.CSV or any(row[column.key] for row in rows))
    emit(rows, (*_QUOTED, *settled), form, title=title)
    if any(one.reason and one.number.isdecimal() for one in quotes):
        say("Prefixes match only numbers that are written with +, as in +442079460000.")


def _tell(loaded: Loaded) -> None:
    for note in loaded.notes:
        say(printable(f"{loaded.written.place}: {note}"))


def _warn(card: "Card", written: "Rows") -> None:
    from cli.world import products
    from rates.cardchanges import countries_denied

    for fault in countries_denied(card, products(), written=written):
        say(printable(f"warning: {fault}"))


def _refuse_jumps(card: "Card", bound: "Fraction", written: "Rows") -> None:
    from billing.store.queries.cards import card_before
    from cli.db import reading
    from cli.world import products
    from rates.cardchanges import jumps
    from rates.errors import CardFaultyError
    from rates.money import format_fraction

    with reading() as connection:
        before = card_before(connection, card, products())
    faults = jumps(before, card, bound, written=written) if before is not None else []
    if before is not None and faults:
        say(f"Prices are over {format_fraction(bound)} times dearer or cheaper than in {before.version}:")
        say("--accept publishes them, --jump-bound sets another bound.")
        raise CardFaultyError(faults, place=card.version)


def _publish(card: "Card") -> None:
    from billing.flows.publish import Status, publish
    from cli.db import compiled_cards, writing
    from cli.world import actor, now, products

    with writing() as engine:
        published = publish(engine, card, products(), at=now(), actor=actor(), kept=compiled_cards())
    if published.status is Status.UNCHANGED:
        say(f"{card.version} is published already: nothing to do.")
        raise typer.Exit(Exit.NOTHING_TO_DO)
    say(f"{card.version} is published: {published.version.rates:,} rates, {published.version.prices:,} prices.")


def _card(name: str, at: datetime) -> "Card":
    """A card by its file, or the published version of that id in force."""
    from billing.store.queries.cards import published_card
    from cli.cardfiles import card_of
    from cli.db import reading
    from cli.world import products

    if name.endswith(".toml"):
        return card_of(Path(name))
    with reading() as connection:
        card = published_card(connection, name, at, products())
    if card is None:
        raise CardMissingError(
            "is not a published card that is in force then", value=name, remedy="see `tollbook cards list`"
        )
    return card


def _first_product(card: "Card") -> str:
    return str(card.rows["product"][0].as_py())
