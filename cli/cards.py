"""`tollbook cards`: check, publish, list and question rate cards."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import AtOption, DryRunOption, instant_of, pairs_of
from cli.output import Format, FormatOption, emit, number, printable, readable, say, text
from rates.errors import TollbookError

if TYPE_CHECKING:
    from fractions import Fraction

    from rates.cardchanges import Rows
    from rates.cards import Card


class CardMissingError(TollbookError):
    """No published version of a card is in force at an instant."""


app = typer.Typer(no_args_is_help=True, help="Rate cards: check, publish, list, question.")

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


class Dialect(StrEnum):
    """How a deck is written."""

    OWN = "tollbook"
    CDRTOOL = "cdrtool"


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The card's TOML file.", exists=True, dir_okay=False)],
    form: FormatOption = Format.TABLE,
) -> None:
    """Say everything that is wrong with a card, each fault with its place. Nothing is stored."""
    from cli.cardfiles import check_card, rows_of
    from rates.cards import identity
    from rates.errors import CardFaultyError

    card, faults = check_card(file)
    if card is None and form is Format.TABLE:
        raise CardFaultyError(faults, place=str(file))
    if form is not Format.TABLE:
        rows = [{key: getattr(fault, key) for key in ("place", "value", "problem", "remedy")} for fault in faults]
        emit(rows, _FAULTS, form)
    if card is None:
        raise typer.Exit(Exit.BAD_INPUT)
    _warn(card, rows_of(file))
    say(f"{card.version}: {card.rows.num_rows:,} rates, {card.currency}, no faults. Identity {identity(card).hex()}.")


@app.command("import")
def import_(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    files: Annotated[list[Path], typer.Argument(help="The card's TOML file; or a deck's files, with --dialect.")],
    dialect: Annotated[Dialect, typer.Option(help="How the files are written.")] = Dialect.OWN,
    card_id: Annotated[str, typer.Option("--id", help="Of a deck: the name of the card.")] = "",
    currency: Annotated[str, typer.Option(help="Of a deck: its currency.")] = "",
    since: Annotated[str, typer.Option("--from", help="Of a deck: from when it holds, as in 2026-10-01.")] = "",
    product: Annotated[str, typer.Option(help="Of a deck: the product that it prices.")] = "voice.outbound",
    profile: Annotated[str, typer.Option(help="Of a CDRTool deck: the rate profile, where it has several.")] = "",
    jump_bound: Annotated[str, typer.Option(help="How many times dearer or cheaper a price may become.")] = "2",
    accept: Annotated[bool, typer.Option("--accept", help="Publish prices that jump beyond the bound.")] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Check a card and publish it. The same card again changes nothing.

    Prices that jump, against the published version before it, are faults unless they are accepted.
    """
    bound = _bound(jump_bound)
    if dialect is Dialect.CDRTOOL:
        card, written = _deck(files, card_id, currency, since, product, profile)
    else:
        card, written = _own(files, deck_options=bool(card_id or currency or since or profile))
    _warn(card, written)
    if not accept:
        _refuse_jumps(card, bound, written)
    if dry_run:
        say(f"{card.version}: {card.rows.num_rows:,} rates would be published.")
    else:
        _publish(card)


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
    if form is Format.TABLE:
        rows = [{**row, "cost": readable(row["cost"])} for row in rows]
    base = products()[asked].base
    title = f"{chosen.version}, {asked}, {quantity} {base}{'s' if quantity != 1 else ''}, {chosen.currency}"
    emit(rows, _QUOTED, form, title=title)
    if any(one.reason and one.number.isdecimal() for one in quotes):
        say("Prefixes match only numbers that are written with +, as in +442079460000.")


def _own(files: list[Path], *, deck_options: bool) -> "tuple[Card, Rows]":
    from cli.cardfiles import card_of, rows_of

    if deck_options:
        raise typer.BadParameter("--id, --currency, --from and --profile are a deck's: add --dialect")
    if len(files) != 1:
        raise typer.BadParameter("a card is one TOML file; its rows are found through it")
    return card_of(files[0]), rows_of(files[0])


def _deck(
    files: list[Path], card_id: str, currency: str, since: str, product: str, profile: str
) -> "tuple[Card, Rows]":
    from cli.world import products, read_bytes
    from rates.cardchanges import Rows
    from rates.dialects.cdrtool import read_cdrtool
    from rates.errors import CardFaultyError

    if len(files) != 2:  # noqa: PLR2004 (rates and destinations)
        raise typer.BadParameter("a CDRTool deck is two files: the rates, then the destinations")
    if not (card_id and currency and since):
        raise typer.BadParameter("a deck does not say it: give --id, --currency and --from")
    rates, destinations = map(read_bytes, files)
    card, faults = read_cdrtool(
        rates,
        destinations,
        products=products(),
        card_id=card_id,
        currency=currency,
        effective_from=instant_of(since),
        product=product,
        profile=profile or None,
    )
    if card is None:
        raise CardFaultyError(faults, place=", ".join(map(str, files)))
    return card, Rows(place=files[0].name)


def _bound(text: str) -> "Fraction":
    from rates.money import DecimalInvalidError, exact, parse_decimal

    try:
        bound = exact(parse_decimal(text))
    except DecimalInvalidError as error:
        raise typer.BadParameter(str(error)) from None
    if bound < 1:
        raise typer.BadParameter(f"--jump-bound {text} lets no price stay as it is: give 1 or more")
    return bound


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
