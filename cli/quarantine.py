"""`tollbook usage quarantine`: what waits, by what is missing for it, and what releases it."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import period_of
from cli.output import Column, Format, FormatOption, Row, emit, number, say, text
from cli.remedies import command_of
from cli.words import counted

if TYPE_CHECKING:
    from billing.store.queries.accounts import ListedAccount
    from billing.store.queries.waiting import Lacking, Waiting

_NORTH_AMERICA = "1"
_NO_NUMBER = "no number with +"
_FACTS = (
    text("reason"),
    text("product"),
    text("missing"),
    number("events"),
    number("accounts"),
    text("named"),
    text("first_at"),
    text("last_at"),
    text("example"),
    text("remedy"),
    text("command"),
    text("account"),
    text("month"),
    text("country"),
    text("calling_code"),
    text("address"),
    text("mcc"),
    text("mnc"),
    text("dimensions"),
)
"""All that is said of what waits. `named` are the accounts if they are one or two, `dimensions` the other ones."""

AccountOption = Annotated[
    str, typer.Option(metavar="ACCOUNT", help="Only usage of this account, and of those that it pays for.")
]
PeriodOption = Annotated[str, typer.Option(metavar="MONTH", help="Only usage of a month, as in 2026-10.")]


def quarantine(
    release: Annotated[
        bool, typer.Option("--release", help="Rate all of it again, and let out what has a price now.")
    ] = False,
    too_old: Annotated[
        bool, typer.Option("--too-old", help="With --release: also what came too late for its month.")
    ] = False,
    name: Annotated[str, typer.Option("--as", help="Who answers for a release; without it, who runs this.")] = "",
    account: AccountOption = "",
    period: PeriodOption = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """What waits because nothing prices it or nobody owns it: what is missing, and what would release it."""
    if not release and (too_old or name):
        raise typer.BadParameter("--too-old and --as say how to release: add --release")
    if release and (account or period):
        raise typer.BadParameter("--account and --period choose what is shown, and --release rates all that waits")
    month = period_of(period) if period else None
    released = release and _release(too_old=too_old, name=name.strip())
    from billing.store.queries.accounts import listed_accounts
    from billing.store.queries.waiting import waiting_usage
    from cli.db import reading
    from cli.world import products

    with reading() as connection:
        whose = paid_by(account, listed_accounts(connection)) if account else None
        found = waiting_usage(connection, products(), accounts=whose, period=month)
    rows = [_facts(each) for each in found]
    if form is Format.TABLE:
        _show(rows)
    else:
        emit(rows, _FACTS, form)
    if rows:
        if release and not released:
            say("Nothing could be released.")
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    say(f"Nothing{f' of {account}' * bool(account)}{f' in {month}' * bool(month)} waits.")
    if release and not released:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def _release(*, too_old: bool, name: str) -> bool:
    """Release what has a price now, and say what it was; whether there was any."""
    from billing.flows.fold import fold as fold_all
    from billing.flows.release import release
    from cli.db import compiled_cards, writing
    from cli.world import actor, now, products

    with writing() as engine:
        released = release(engine, products(), at=now(), actor=name or actor(), too_old=too_old, kept=compiled_cards())
        fold_all(engine)
    for reason, count in sorted(released.released.items()):
        say(f"{counted(count, 'event')} released that waited for: {reason}")
    return bool(released.released)


def paid_by(account: str, listed: "Sequence[ListedAccount]") -> list[str]:
    """The account, which need not be known, and those that it pays for."""
    return [account, *(each.id for each in listed if each.payer == account)]


def _facts(waiting: "Waiting") -> Row:
    from billing.store.queries.waiting import waiting_record

    facts = {
        **waiting_record(waiting),
        "missing": missing(waiting.product, waiting.lacking),
        "command": command_of(str(waiting.reason)),
    }
    return {column.key: facts[column.key] for column in _FACTS}


def missing(product: str, lacking: "Lacking") -> str:
    """What is missing, in words: `Japan, +81`, `+883`, `mcc 440, mnc 10`, an account, a product, a month."""
    from cli.countries import COUNTRY_NAMES

    parts = [
        lacking.account,
        lacking.month,
        COUNTRY_NAMES.get(lacking.country, lacking.country),
        _code(lacking.code),
        f"short code {lacking.address}" if lacking.address else "",
        _NO_NUMBER if not lacking.address and lacking.address is not None and "mcc" not in lacking.dimensions else "",
        *(f"{name.replace('_', ' ')} {value}" for name, value in lacking.dimensions.items()),
    ]
    return ", ".join(part for part in parts if part) or product


def _code(digits: str) -> str:
    """A calling code as it is written; under +1 the area code stands apart."""
    if not digits.startswith(_NORTH_AMERICA):
        return f"+{digits}" if digits else ""
    return f"+{digits[:1]} {digits[1:]}".rstrip()


def _show(rows: Sequence[Row]) -> None:
    """A table for each reason, and above it what releases what waits."""

    def release(row: Row) -> tuple[str, ...]:
        return str(row["reason"]), str(row["remedy"]), str(row["command"])

    order = list(dict.fromkeys(map(release, rows)))
    for (reason, remedy, command), some in groupby(sorted(rows, key=lambda row: order.index(release(row))), release):
        alike = list(some)
        emit(
            [_cells(row) for row in alike],
            _columns(alike),
            Format.TABLE,
            title=f"{reason}: {remedy}{f' ({command})' * bool(command)}",
        )


def _columns(rows: Sequence[Row]) -> list[Column]:
    """Those that say something: what is missing is not said twice."""
    first = rows[0]
    by_product = all(row["missing"] == row["product"] for row in rows)
    heading = "account" if first["account"] else "month" if first["month"] else "what is missing"
    return [
        text("product"),
        *([] if by_product else [text("missing", heading)]),
        number("events"),
        *([] if first["account"] else [text("accounts")]),
        text("first"),
        text("last", spare=1),
        text("example", faint=True, spare=2),
    ]


def _cells(row: Row) -> Row:
    """A row of a table: accounts by their names if they are few, and days for instants."""
    named = row["named"]
    accounts = ", ".join(named) if isinstance(named, list) and named else row["accounts"]
    return {**row, "accounts": accounts, "first": str(row["first_at"])[:10], "last": str(row["last_at"])[:10]}
