"""`tollbook usage near-duplicates`: usage that may have been reported twice, under different ids."""

import shlex
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import period_of
from cli.output import (
    Format,
    FormatOption,
    address_cells,
    address_columns,
    emit,
    emit_csv,
    emit_json,
    number,
    say,
    text,
)
from cli.words import counted

if TYPE_CHECKING:
    from billing.periods import Period
    from billing.store.queries.near import Place, Twin

_LIMIT = 1000
_PARTS = 4
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_COLUMNS = (
    text("occurred_at", "occurred at"),
    text("account"),
    text("product", spare=2),
    text("from", spare=3),
    text("to"),
    number("measured", spare=1),
    text("source"),
    text("id"),
    text("first_source", "first from"),
    text("first_id", "first as"),
    text("received_at", "received at", spare=4),
)
_CELLS = (*_COLUMNS[:3], *address_columns("from"), *address_columns("to"), *_COLUMNS[5:])


def near_duplicates(
    period: Annotated[
        str, typer.Option(metavar="MONTH", help="Usage of a month, as in 2026-10; without it the current one.")
    ] = "",
    day: Annotated[str, typer.Option(metavar="DATE", help="Usage of one day in UTC, as in 2026-10-02.")] = "",
    account: Annotated[
        str, typer.Option(metavar="ACCOUNT", help="Only usage of this account, and of those that it pays for.")
    ] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="How many at most.")] = _LIMIT,
    after: Annotated[str, typer.Option(metavar="PLACE", help="Where the page before ended, as it said.")] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Usage that says what other usage says, under another id or from another source. It counts all the same.

    The same account, product, numbers, start and measured quantity; measured is in base units, as in seconds. What was
    reported twice indeed is taken back by its source: the same id with a higher revision and `"void": true`. Usage
    without any number is not compared. Exit code 4: there is some.
    """
    from billing.store.queries.accounts import listed_accounts
    from billing.store.queries.near import twins
    from cli.db import reading
    from cli.quarantine import paid_by

    if period and day:
        raise typer.BadParameter("give --period or --day, not both")
    span, begins = _day_of(day) if day else period_of(period), _place_of(after) if after else None
    with reading() as connection:
        whose = paid_by(account, listed_accounts(connection)) if account else None
        found = twins(connection, span, accounts=whose, after=begins, limit=limit + 1)
    page = found[:limit]
    more = _text_of(page[-1].place) if len(found) > limit else ""
    rows = [_facts(each) for each in page]
    if form is Format.JSON:
        emit_json({"near_duplicates": rows, "next": more or None})
    elif form is Format.CSV:
        emit_csv([_cells(row) for row in rows], _CELLS)
    else:
        emit(rows, _COLUMNS, form, title="Near-duplicates")
    if not rows:
        say(f"Nothing of {day or span} says what something else says.")
        return
    say(f"{counted(len(rows), 'event')} may have been reported twice; nothing is dropped.")
    if more:
        words = ["--day", day] if day else ["--period", str(span)]
        words += ["--account", account] if account else []
        said = shlex.join(["tollbook", "usage", "near-duplicates", *words, "--limit", str(limit), "--after", more])
        say(f"There are more: {said}")
    raise typer.Exit(Exit.NEEDS_A_PERSON)


def _facts(twin: "Twin") -> dict[str, object]:
    from rates.cards import instant

    return {
        "occurred_at": instant(twin.occurred_at),
        "account": twin.account,
        "product": twin.product,
        "from": twin.from_,
        "to": twin.to,
        "measured": twin.measured,
        "source": twin.source,
        "id": twin.id,
        "first_source": twin.first_source,
        "first_id": twin.first_id,
        "received_at": instant(twin.received_at),
    }


def _cells(row: dict[str, object]) -> dict[str, object]:
    return {**row, **address_cells("from", str(row["from"])), **address_cells("to", str(row["to"]))}


def _day_of(said: str) -> "Period":
    from billing.periods import Period

    try:
        start = date.fromisoformat(said)
        return Period(start=start, end=start + timedelta(days=1))
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{said} is not a date; write it as 2026-10-02", param_hint="--day") from None


def _text_of(place: "Place") -> str:
    return f"{place.payer}.{(place.occurred_at - _EPOCH) // _MICROSECOND}.{place.source}.{place.id}"


def _place_of(said: str) -> "Place":
    from billing.store.queries.near import Place

    parts = said.split(".", _PARTS - 1)
    try:
        payer, micros, source = map(int, parts[:-1])
        return Place(payer, _EPOCH + micros * _MICROSECOND, source, parts[-1])
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{said} is not where a page ended", param_hint="--after") from None
