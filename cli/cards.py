"""`tollbook cards`: check, publish, list and question rate cards."""

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import AtOption, DryRunOption, dimensions_of, instant_of, product_of
from cli.output import (
    Format,
    FormatOption,
    address_cells,
    address_columns,
    emit,
    number,
    printable,
    readable,
    say,
    text,
)
from cli.words import counted
from rates.errors import TollbookError

if TYPE_CHECKING:
    from fractions import Fraction

    from cli.cardfiles import CardRead
    from rates.cardchanges import Rows
    from rates.cards import Card
    from rates.errors import Fault


class CardMissingError(TollbookError):
    """No published version of a card is in force at an instant."""


app = typer.Typer(no_args_is_help=True, help="Rate cards: check, publish, list, question.")

_FAULTS = (text("severity"), text("place"), text("value"), text("problem"), text("remedy"))
_LISTED = (
    text("id", "card"),
    text("currency"),
    text("effective_from", "from"),
    text("in_force_until", "until"),
    number("rates"),
    number("prices"),
    text("published_at", "published", faint=True),
    text("published_by", "by", faint=True),
)
_LISTED_CSV = (*_LISTED, text("effective_to"))
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
_QUOTED_CSV = (*address_columns("to"), *_QUOTED[1:])


class Dialect(StrEnum):
    """How a deck is written."""

    OWN = "tollbook"
    CDRTOOL = "cdrtool"


_Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE", help="The card's TOML file; with --dialect cdrtool two: the rates, then the destinations."
    ),
]
_DialectOption = Annotated[Dialect, typer.Option(help="How the files are written.")]
_IdOption = Annotated[str, typer.Option("--id", metavar="ID", help="Of a deck: the name of the card.")]
_CurrencyOption = Annotated[str, typer.Option(metavar="CODE", help="Of a deck: its currency, as in USD.")]
_SinceOption = Annotated[
    str, typer.Option("--from", metavar="DATE", help="Of a deck: from when it holds, as in 2026-10-01.")
]
_ProductOption = Annotated[str, typer.Option(metavar="PRODUCT", help="Of a deck: the product that it prices.")]
_ProfileOption = Annotated[
    str, typer.Option(metavar="NAME", help="Of a CDRTool deck: the rate profile, where it has several.")
]


@app.command()
def check(
    files: _Files,
    dialect: _DialectOption = Dialect.OWN,
    card_id: _IdOption = "",
    currency: _CurrencyOption = "",
    since: _SinceOption = "",
    product: _ProductOption = "voice.outbound",
    profile: _ProfileOption = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Say everything that is wrong with a card, each fault with its place. Nothing is stored.

    Of many faults of one kind a table shows the first 20; JSON and CSV have them all, and warnings and notices too.
    """
    from rates.cards import identity

    read = _read(files, dialect, card_id, currency, since, product, profile)
    if form is not Format.TABLE:
        found = [("fault", read.faults), ("warning", _warnings(read)), ("notice", read.left_out)]
        rows = [{"severity": kind, **asdict(each)} for kind, faults in found for each in faults]
        emit(rows, _FAULTS, form)
        if read.card is None:
            raise typer.Exit(Exit.BAD_INPUT)
    _tell(read)
    card = read.whole()
    rates = counted(card.rows.num_rows, "rate")
    say(f"{card.version}: {rates}, {card.currency}, no faults. Identity {identity(card).hex()}.")


@app.command("import")
def import_(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    files: _Files,
    dialect: _DialectOption = Dialect.OWN,
    card_id: _IdOption = "",
    currency: _CurrencyOption = "",
    since: _SinceOption = "",
    product: _ProductOption = "voice.outbound",
    profile: _ProfileOption = "",
    jump_bound: Annotated[
        str, typer.Option(metavar="TIMES", help="How many times dearer or cheaper a price may become.")
    ] = "2",
    accept: Annotated[bool, typer.Option("--accept", help="Publish prices that jump beyond the bound.")] = False,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check a card and publish it, and let out of the quarantine what waited for it. The same again changes nothing.

    Prices that jump, against the published version before it, are faults unless they are accepted.
    """
    bound = _bound(jump_bound)
    read = _read(files, dialect, card_id, currency, since, product, profile)
    _tell(read)
    card = read.whole()
    if not accept:
        _refuse_jumps(card, bound, read.written)
    _publish(card, form, dry_run=dry_run)


@app.command("list")
def list_(form: FormatOption = Format.TABLE) -> None:
    """The published versions of all cards."""
    from billing.store.queries.cards import published_cards
    from cli.db import reading
    from rates.cards import instant

    with reading() as connection:
        rows = [listed._asdict() for listed in published_cards(connection)]
    for row in rows:
        for key in ("effective_from", "effective_to", "in_force_until", "published_at"):
            row[key] = instant(row[key]) if row[key] is not None else None
    emit(rows, _LISTED if form is Format.TABLE else _LISTED_CSV, form, title="Published cards")
    if not rows:
        say("No card is published; `tollbook cards import FILE` publishes one.")


@app.command()
def explain(
    card: Annotated[str, typer.Argument(metavar="CARD", help="A published card's id, or a card's TOML file.")],
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBER", help="As in +442079460000, or a short code.")],
    caller: Annotated[str, typer.Option("--from", metavar="NUMBER", help="The calling number.")] = "",
    product: Annotated[str, typer.Option(metavar="PRODUCT", help="Without it the card's first one.")] = "",
    quantity: Annotated[
        int, typer.Option(metavar="N", min=1, max=10**12, help="Seconds, segments, … that were used.")
    ] = 61,
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A further dimension, as in mcc=248.")
    ] = None,
    at: AtOption = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Price any number: the prefix that matched, the price, the increments, and what a call of 61 s costs.

    Ends with exit code 4 where the card has no price for one of the numbers.
    """
    from cli.world import products
    from rates.quotes import quote

    moment = instant_of(at)
    chosen = _card(card, moment)
    asked = product_of(product or _first_product(chosen))
    quotes = quote(
        chosen,
        products(),
        numbers,
        product=asked,
        at=moment,
        measured=quantity,
        caller=caller,
        dimensions=dimensions_of(where or [], asked),
    )
    rows = [asdict(one) for one in quotes]
    if form is Format.TABLE:
        rows = [{**row, "cost": readable(row["cost"])} for row in rows]
    elif form is Format.CSV:
        rows = [{**row, **address_cells("to", row["number"])} for row in rows]
    base = products()[asked].base
    title = f"{chosen.version}, {asked}, {counted(quantity, base)}, {chosen.currency}"
    emit(rows, _QUOTED_CSV if form is Format.CSV else _QUOTED, form, title=title)
    if any(one.reason and one.number.isdecimal() for one in quotes):
        say("Prefixes match only numbers that are written with +, as in +442079460000.")
    if any(one.reason for one in quotes):
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def _read(
    files: list[Path], dialect: Dialect, card_id: str, currency: str, since: str, product: str, profile: str
) -> "CardRead":
    from cli.cardfiles import DeckFacts, read_deck, read_own

    facts = DeckFacts(card_id=card_id, currency=currency, since=since, product=product, profile=profile)
    return read_deck(files, facts) if dialect is Dialect.CDRTOOL else read_own(files, facts)


def _bound(text: str) -> "Fraction":
    from rates.money import DecimalInvalidError, exact, parse_decimal

    try:
        bound = exact(parse_decimal(text))
    except DecimalInvalidError as error:
        raise typer.BadParameter(str(error)) from None
    if bound < 1:
        raise typer.BadParameter(f"--jump-bound {text} lets no price stay as it is: give 1 or more")
    return bound


def _warnings(read: "CardRead") -> "list[Fault]":
    from cli.world import products
    from rates.cardchanges import countries_denied

    return countries_denied(read.card, products(), written=read.written) if read.card is not None else []


def _tell(read: "CardRead") -> None:
    """Say what is not on the card, and what on it looks wrong."""
    from rates.errors import lines_of

    for line in lines_of(read.left_out):
        say(printable(f"notice: {line}"))
    for line in lines_of(_warnings(read)):
        say(printable(f"warning: {line}"))


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


def _publish(card: "Card", form: Format, *, dry_run: bool) -> None:
    from billing.flows.publish import Status, publish
    from cli.db import compiled_cards, writing
    from cli.released import let_out, tell
    from cli.world import actor, now, products

    with writing() as engine:
        published = publish(engine, card, products(), at=now(), actor=actor(), kept=compiled_cards(), dry_run=dry_run)
        released = let_out(engine, published)
    version = published.version
    if published.status is Status.UNCHANGED:
        words = f"{card.version} is published already: nothing to do."
    elif dry_run:
        words = f"{card.version}: {counted(card.rows.num_rows, 'rate')} would be published."
    else:
        words = f"{card.version} is published: {counted(version.rates, 'rate')}, {counted(version.prices, 'price')}."
    facts = {"card": card.version, "rates": version.rates, "prices": version.prices}
    tell(published, released, form, words=words, facts=facts, dry_run=dry_run)


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
