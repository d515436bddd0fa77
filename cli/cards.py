"""`tollbook cards`: check, publish, list and question rate cards."""

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.cardreports import bound_of, diff, published, refuse_jumps, shadows_of, tell_notices
from cli.decks import CDRTOOL, OWN, TWILIO_PRICING, Deck, dialects, load, open_deck, takes_deck
from cli.exits import Exit
from cli.margins import margin
from cli.options import (
    AtOption,
    DryRunOption,
    ForceOption,
    NameOption,
    ReasonOption,
    dimensions_of,
    forced_by,
    instant_of,
    pairs_of,
    product_of,
)
from cli.outfiles import check_target, writing_whole
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
from cli.simulations import simulate_card
from cli.words import counted

if TYPE_CHECKING:
    from fractions import Fraction

    from cli.cardfiles import CardRead
    from rates.cardchanges import Rows
    from rates.cards import Card
    from rates.errors import Fault
    from rates.quotes import Quote


app = typer.Typer(no_args_is_help=True, help="Rate cards: check, publish, list, compare, question.")
app.command("diff")(diff)
app.command("margin")(margin)
app.command("simulate")(simulate_card)

OUTBOUND = "voice.outbound"
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
_SETTLED = (text("window"), text("arithmetic"))
"""What there is to say of a quote only where its cost is not the billable quantity times one price."""


_GUESSED = (text("column"), text("key", "may be"), text("reason", "since it"), text("examples"))
_DIALECTS = (text("dialect"), text("name", "what it is"), text("product", faint=True))

FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE", help="The card's TOML file; with --dialect or --mapping a deck's files.")
]


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

    Of many faults of one kind a table shows the first 20; JSON and CSV have them all, and warnings and notices too.
    """
    from rates.cards import identity

    read = load(files, deck)
    if form is not Format.TABLE and (read.card is None or not against):
        found = [("fault", read.faults), ("warning", _warnings(read)), ("notice", read.notices)]
        rows = [{"severity": kind, **asdict(each)} for kind, faults in found for each in faults]
        emit(rows, _FAULTS, form)
        if read.card is None:
            raise typer.Exit(Exit.BAD_INPUT)
    _tell(read)
    card = read.whole()
    rates = counted(card.rows.num_rows, "rate")
    say(f"{card.version}: {rates}, {card.currency}, no faults. Identity {identity(card).hex()}.")
    if against:
        shadows_of(card, against, deck, form)


@app.command("import")
@takes_deck
def import_(  # noqa: PLR0913 (each is an option of the command)
    files: FilesArgument,
    jump_bound: Annotated[
        str, typer.Option(metavar="TIMES", help="How many times dearer or cheaper prices and usual usage may be.")
    ] = "2",
    accept: Annotated[bool, typer.Option("--accept", help="Publish prices that jump beyond the bound.")] = False,
    force: ForceOption = False,
    reason: ReasonOption = "",
    name: NameOption = "",
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
    *,
    deck: Deck,
) -> None:
    """Check a card or a deck and publish it, and let out of the quarantine what waited for it.

    The same card again changes nothing. Prices that jump, against the published version before it, are faults unless
    they are accepted; so is what calls of 6, 30, 60 and 180 seconds, or a message, cost with increments and fees. A
    card from the past that charges otherwise what was rated is refused unless it is forced; final invoices
    stay, and the next run bills what differs from them.
    """
    why, who = forced_by(reason, name, force=force)
    bound = bound_of(jump_bound)
    read = load(files, deck)
    _tell(read)
    card = read.whole()
    if not accept:
        _refuse_jumps(card, bound, read.written)
    _publish(card, form, why, who, dry_run=dry_run)


@app.command()
def sniff(
    file: Annotated[Path, typer.Argument(help="A deck's file: CSV or a spreadsheet.")],
    out: Annotated[Path | None, typer.Option(help="Write the drafted mapping to this file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --out replace a file.")] = False,
    sheet: Annotated[str, typer.Option(metavar="NAME", help="The sheet, where a spreadsheet has several.")] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Draft a mapping for a deck: what its columns may be and why, which dialect fits, and what must be told."""
    from rates.dialects.sniffing import sniff as sniff_file
    from rates.errors import CardFaultyError

    if out is not None:
        check_target("--out", out, overwrite=overwrite)
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
    for fact in found.damage:
        say(printable(f"{file.name}: {fact}."))
    for fact in found.tell:
        say(printable(f"To be told: {fact}."))
    if out is not None:
        with writing_whole(out, or_nothing=True) as target:
            target.write(found.mapping.encode())
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
    product: Annotated[
        str, typer.Option(metavar="PRODUCT", help="Without it the one of the card's that prices them.")
    ] = "",
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

    moment = instant_of(at)
    chosen = _card(card, moment)
    known = [product_of(product)] if product else _products(chosen)
    asked, quotes = _quotes(chosen, known, numbers, (moment, quantity, caller, where or []))
    rows = [asdict(one) for one in quotes]
    if form is not Format.JSON:
        rows = [{**row, "arithmetic": "; ".join(row["arithmetic"])} for row in rows]
    if form is Format.TABLE:
        rows = [{**row, "cost": readable(row["cost"])} for row in rows]
    elif form is Format.CSV:
        rows = [{**row, **address_cells("to", row["number"])} for row in rows]
    base = products()[asked].base
    title = f"{chosen.version}, {asked}, {counted(quantity, base)}, {chosen.currency}"
    settled = tuple(column for column in _SETTLED if form is Format.CSV or any(row[column.key] for row in rows))
    emit(rows, (*(_QUOTED_CSV if form is Format.CSV else _QUOTED), *settled), form, title=title)
    if any(one.reason and one.number.isdecimal() for one in quotes):
        say("Prefixes match only numbers that are written with +, as in +442079460000.")
    if len(known) > 1:
        say(f"Priced as {asked}; --product asks for another: {', '.join(name for name in known if name != asked)}.")
    if any(one.reason for one in quotes):
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def _quotes(
    card: "Card", known: list[str], numbers: list[str], asked: tuple[datetime, int, str, list[str]]
) -> "tuple[str, list[Quote]]":
    """The product, of those that are known, that prices the most of some numbers, and their quotes as of it.

    Of several the first one. A dimension that only some have speaks for these.
    """
    from cli.world import products
    from rates.quotes import quote

    at, quantity, caller, where = asked
    best: tuple[str, list[Quote]] | None = None
    for product in _declaring(known, where):
        dimensions = dimensions_of(where, product)
        quotes = quote(
            card,
            products(),
            numbers,
            product=product,
            at=at,
            measured=quantity,
            caller=caller,
            dimensions=dimensions,
        )
        if best is None or _unpriced(quotes) < _unpriced(best[1]):
            best = product, quotes
    if best is None:
        raise AssertionError("a card has a product")
    return best


def _declaring(known: list[str], where: list[str]) -> list[str]:
    from cli.world import products
    from rates.compiled.patterns import dimensions_of as declared_by

    names = set(pairs_of(where))
    return [name for name in known if names <= set(declared_by(products()[name]))] or known[:1]


def _unpriced(quotes: "list[Quote]") -> int:
    return sum(bool(one.reason) for one in quotes)


def _warnings(read: "CardRead") -> "list[Fault]":
    from cli.world import products
    from rates.comparing.warnings import warnings_of

    if read.card is None:
        return []
    return warnings_of(read.card, products(), written=read.written, place=read.place)


def _tell(read: "CardRead") -> None:
    """Say how the files were read and what of them is not on the card, and what on it looks wrong."""
    from rates.errors import lines_of

    tell_notices(read)
    for line in lines_of(_warnings(read)):
        say(printable(f"warning: {line}"))


def _refuse_jumps(card: "Card", bound: "Fraction", written: "Rows") -> None:
    from billing.store.queries.cards import card_before
    from cli.db import reading
    from cli.world import products
    from rates.comparing.typical import every_jump

    with reading() as connection:
        before = card_before(connection, card, products())
    if before is not None:
        refuse_jumps(every_jump(before, card, bound, products(), written=written), before, card, bound)


def _publish(card: "Card", form: Format, reason: str, name: str, *, dry_run: bool) -> None:
    from billing.flows.publish import Status, publish
    from cli.db import compiled_cards, writing
    from cli.released import let_out, tell
    from cli.world import now, products

    with writing() as engine:
        kept = compiled_cards()
        published = publish(engine, card, products(), at=now(), actor=name, kept=kept, dry_run=dry_run, reason=reason)
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
    from cli.cardfiles import card_of

    return card_of(Path(name)) if name.endswith(".toml") else published(name, at)


def _products(card: "Card") -> list[str]:
    """The products of a card as its rows have them; outbound calls first, since they are what numbers are asked for."""
    names = map(str, card.rows["product"].unique().to_pylist())
    return sorted(names, key=lambda name: name != OUTBOUND)
