"""`tollbook cards simulate` and `tollbook contracts simulate`: what a month would have come to by other books."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.cardreports import CardMissingError, card_named
from cli.decks import Deck, takes_deck
from cli.exits import Exit
from cli.options import period_of
from cli.output import LINES, Format, FormatOption, emit, emit_csv, emit_json, number, readable, say, text
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.flows.costs import Costs
    from billing.flows.simulate import Candidate
    from billing.periods import Period
    from billing.simulations import By, Change, Simulation

_SUMS = (
    number("events_now", "events now", spare=1),
    number("events_then", "events then", spare=1),
    number("amount_now", "now"),
    number("amount_then", "then"),
    number("difference"),
    number("percent", "%", spare=1),
)
_COSTS = (number("margin_now", "margin now"), number("margin_then", "margin then"), number("margin_difference"))
_EXACT = (number("cost_now"), number("cost_then"), *_COSTS)
_SHOWN = 40  # rows that a person reads

_PeriodOption = Annotated[str, typer.Option("--period", metavar="MONTH", help="A month, as in 2026-10.")]
_AccountsOption = Annotated[
    list[str] | None, typer.Option("--account", metavar="ACCOUNT", help="Only an account that pays; may be repeated.")
]
_AsDatedOption = Annotated[
    bool, typer.Option("--as-dated", help="It holds from its own beginning on, as if published; else all month.")
]


@takes_deck
def simulate_card(  # noqa: PLR0913 (each is an option)
    card: Annotated[
        str,
        typer.Option("--card", metavar="NEW", help="A card's TOML file or its folder, a deck, or a published id."),
    ],
    period: _PeriodOption,
    account: _AccountsOption = None,
    replaces: Annotated[
        str, typer.Option(metavar="CARD", help="Whose place it takes in contracts, if not that of its own id.")
    ] = "",
    buy: Annotated[str, typer.Option(metavar="CARD", help="Where it is bought, a file or an id: margins too.")] = "",
    bought_as: Annotated[str, typer.Option(help="What is bought for products that the buy card does not have.")] = "",
    as_dated: _AsDatedOption = False,
    form: FormatOption = Format.TABLE,
    *,
    deck: Deck,
) -> None:
    """Rate a month's real usage again with a candidate card: revenue now and then, by country, product and account.

    The candidate takes the place of the card of its id (or of --replaces) in every contract that names it. One that no
    contract names stands before the cards of all contracts in its currency. It holds all month, whatever its dates say,
    unless --as-dated. Tiers, percents, commitments and credits are priced as on bills. Nothing is stored.

    Exit code 3: no contract is touched; 4: events would lose their price, or an account cannot be priced.
    """
    from billing.flows.simulate import Asked
    from billing.flows.simulate import simulate_card as simulate
    from cli.db import compiled_cards, writing
    from cli.world import products

    month = period_of(period)
    candidate = _candidate(card, month, deck, replaces, as_dated=as_dated)
    costs = _costs(buy, bought_as, month, candidate.currency, deck) if buy else None
    with writing() as engine:
        asked = Asked(accounts=account or (), buy=costs, kept=compiled_cards())
        found = simulate(engine, products(), month, candidate, asked)
    facts = {"period": str(month), "card": candidate.id if candidate.card is None else candidate.card.version}
    _say(found, f"contracts that would have {candidate.id}", listed=bool(account))
    _emit(found, form, {**facts, "replaces": replaces or candidate.id}, f"{facts['card']} in {month}")
    _end(found)


def simulate_contracts(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Contracts in TOML; - is standard input.")],
    period: _PeriodOption,
    as_dated: _AsDatedOption = False,
    lines: Annotated[bool, typer.Option("--lines", help="All lines, now and then, not only what changes.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Price a month under other contracts beside what it comes to now: totals and lines. Nothing is stored.

    The contract of the file holds all month in place of those of its account, unless --as-dated. Usage is rated again
    only if its cards differ; percents, commitments, credits and tiers are priced as on bills in any case.
    """
    from billing.flows.simulate import Asked
    from billing.flows.simulate import simulate_contracts as simulate
    from cli.db import compiled_cards, writing
    from cli.parties import contracts_in
    from cli.world import products

    month, contracts = period_of(period), contracts_in(files)
    with writing() as engine:
        asked = Asked(with_lines=True, kept=compiled_cards())
        found = simulate(engine, products(), month, contracts, asked, as_dated=as_dated)
    _say(found, "contracts", listed=True)
    facts: dict[str, Any] = {"period": str(month)}
    told = _lines(found, every=lines or form is not Format.TABLE)
    if form is Format.JSON:
        emit_json({**facts, **_document(found), "lines": told})
    elif form is Format.CSV:
        emit_csv(told, (text("account"), text("period"), text("currency"), *_LINE))
    else:
        _tables(found, f"{month} under {of_number(len(contracts), 'another contract', 'other contracts')}")
        emit(told, (text("account"), *_LINE), form, title="Lines" if lines else "Lines that change")
    _end(found)


_LINE = (
    *(column for column in LINES if column.key not in {"line", "events", "quantity", "amount"}),
    number("quantity_now", "quantity now"),
    number("quantity_then", "quantity then"),
    number("amount_now", "now"),
    number("amount_then", "then"),
)


def _candidate(name: str, month: "Period", deck: Deck, replaces: str, *, as_dated: bool) -> "Candidate":
    """What is to be tried: a card of a file, one published version, or all of a published card."""
    from billing.flows.simulate import Candidate
    from billing.store.queries.cards import published_cards
    from cli.db import reading

    path = Path(name)
    written = str(path / "card.toml") if path.is_dir() else name
    if "@" not in name and not all(Path(part).is_file() for part in written.split(",")):
        with reading() as connection:
            known = [each.currency for each in published_cards(connection) if each.id == name]
        if not known:
            remedy = "see `tollbook cards list`"
            raise CardMissingError("is neither a file nor a published card", value=name, remedy=remedy)
        return Candidate(id=name, currency=known[0], replaces=replaces, as_dated=as_dated)
    card = card_named(written, month.opens, deck)
    return Candidate(id=card.id, currency=card.currency, card=card, replaces=replaces, as_dated=as_dated)


def _costs(buy: str, bought_as: str, month: "Period", currency: str, deck: Deck) -> "Costs":
    """Where it is bought: a file's card throughout the month, or all versions of a published one."""
    from billing.candidates import throughout
    from billing.flows.costs import Costs
    from billing.store.queries.margins import published_versions
    from cli.db import reading
    from cli.world import products
    from rates.averages import products_of_month

    if all(Path(part).is_file() for part in buy.split(",")):
        cards = [throughout(card_named(buy, month.opens, deck), month)]
    else:
        with reading() as connection:
            cards = published_versions(connection, buy, products())
    if not cards:
        raise typer.BadParameter(f"--buy {buy} is neither a file nor a published card")
    if cards[-1].currency != currency:
        raise typer.BadParameter(f"--buy {cards[-1].version} is in {cards[-1].currency}, the candidate in {currency}")
    return Costs.of(cards, products_of_month(products(), month.days), bought_as)


def _say(found: "Simulation", whose: str, *, listed: bool) -> None:
    accounts = counted(len(found.accounts), "account")
    say(f"{accounts} {'asked for' if listed else f'with {whose}'}: {counted(found.events, 'event')} rated again.")
    for counts, what in ((found.unpriced, "lose its price"), (found.priced, "get a price")):
        if count := sum(counts.values()):
            several = {"lose its price": "lose their price", "get a price": "get a price"}[what]
            most = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:3]
            of = ", ".join(f"{name} {number:,}" for name, number in most) + (", …" if len(counts) > len(most) else "")
            say(f"{counted(count, 'event')} would {of_number(count, what, several)}: {of}")
    if found.unbought:
        no_price = f"{of_number(found.unbought, 'has', 'have')} no price to be bought at"
        say(f"{counted(found.unbought, 'event')} {no_price}: in the margins as if bought for nothing.")
    for name, why in found.failed.items():
        say(f"{name} could not be priced, and is in no amount: {why}")


def _emit(found: "Simulation", form: Format, facts: dict[str, Any], title: str) -> None:
    if form is Format.JSON:
        emit_json({**facts, **_document(found)})
    elif form is Format.CSV:
        from billing.simulations import By

        rows = [
            {"by": str(by), **row} for by in (By.ALL, By.COUNTRY, By.PRODUCT, By.ACCOUNT) for row in _rows(found, by)
        ]
        exact = _EXACT if found.has_costs else ()
        emit_csv(rows, (text("by"), text("name"), text("currency"), *_SUMS, *exact))
    else:
        _tables(found, title)


def _document(found: "Simulation") -> dict[str, Any]:
    from billing.simulations import By

    names = {By.ALL: "totals", By.COUNTRY: "countries", By.PRODUCT: "products", By.ACCOUNT: "accounts"}
    return {
        "events": found.events,
        "unpriced": dict(found.unpriced),
        "priced": dict(found.priced),
        "unbought": found.unbought,
        "failed": dict(found.failed),
        **{name: _rows(found, by) for by, name in names.items()},
    }


def _rows(found: "Simulation", by: "By") -> list[dict[str, Any]]:
    return [_row(each, has_costs=found.has_costs) for each in found.changes(by)]


def _row(each: "Change", *, has_costs: bool) -> dict[str, Any]:
    from fractions import Fraction

    from rates.money import EXPONENTS, Currency, format_fraction, format_minor

    money = Currency(each.part.currency)
    row: dict[str, Any] = {
        "name": each.part.name,
        "currency": money,
        "events_now": each.now.events,
        "events_then": each.then.events,
        "amount_now": format_minor(each.now.amount_minor, money),
        "amount_then": format_minor(each.then.amount_minor, money),
        "difference": format_minor(each.amount_minor, money),
        "percent": _percent(each.amount_minor, each.now.amount_minor),
    }
    if has_costs:
        unit = 10 ** EXPONENTS[money]
        margins = [Fraction(side.amount_minor, unit) - side.cost for side in (each.now, each.then)]
        values = (each.now.cost, each.then.cost, *margins, margins[1] - margins[0])
        row |= {column.key: format_fraction(value) for column, value in zip(_EXACT, values, strict=True)}
    return row


def _percent(by: int, of: int) -> str:
    """A change in percent with one decimal; nothing where there was nothing."""
    from fractions import Fraction

    from rates.money import format_fraction, round_ratio

    return "" if not of else format_fraction(Fraction(round_ratio(by * 1000, of), 10))


def _tables(found: "Simulation", title: str) -> None:
    from billing.simulations import By

    columns = (*_SUMS, *(_COSTS if found.has_costs else ()))
    several = len({each.part.currency for each in found.changes(By.ALL)}) > 1
    money = (text("currency"),)
    totals = [{**row, "name": title} for row in _shown(found, By.ALL)]
    emit(totals, (text("name", "what if"), *money, *columns), Format.TABLE)
    for by in (By.COUNTRY, By.PRODUCT, By.ACCOUNT):
        rows = _shown(found, by)
        if by is By.COUNTRY:
            rows = [{**row, "name": row["name"] or "none"} for row in rows]
        said = f"By {by}" if len(rows) <= _SHOWN else f"By {by}, the {_SHOWN} that change most of {len(rows):,}"
        named = (text("name", str(by)), *(money if several else ()), *columns)
        emit(rows[:_SHOWN], named, Format.TABLE, title=said)


def _shown(found: "Simulation", by: "By") -> list[dict[str, Any]]:
    """Rows as a person reads them."""
    rows = _rows(found, by)
    margins = [column.key for column in _COSTS if found.has_costs]
    return [{**row, **{key: readable(row[key]) for key in margins}} for row in rows]


def _lines(found: "Simulation", *, every: bool) -> list[dict[str, Any]]:
    """The lines of both sides, those of one key beside each other; all or only what changes."""
    from billing.invoices import record

    rows = []
    for name, each in found.lines.items():
        money = found.accounts[name]
        sides: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
        for when, lines in zip(("now", "then"), each, strict=True):
            for line in lines:
                key = (
                    line.product,
                    line.element,
                    line.country,
                    line.destination,
                    line.tier,
                    line.unit_price,
                    line.unit,
                )
                sides.setdefault(key, {})[when] = record(line, money)
        for key in sorted(sides):
            both = sides[key]
            said = both.get("now") or both["then"]
            row = {"account": name, "period": str(found.period), "currency": money, **said}
            for when in ("now", "then"):
                side = both.get(when, {"quantity": "", "amount": ""})
                row |= {f"quantity_{when}": side["quantity"], f"amount_{when}": side["amount"]}
            if every or row["amount_now"] != row["amount_then"] or row["quantity_now"] != row["quantity_then"]:
                rows.append(row)
    return rows


def _end(found: "Simulation") -> None:
    if not found.accounts:
        say("No contract of the month is touched: nothing to compare.")
        raise typer.Exit(Exit.NOTHING_TO_DO)
    if found.needs_a_person:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
