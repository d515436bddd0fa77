"""`tollbook usage controls`: what sources say they counted, beside what was accepted from them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import DryRunOption, PeriodOption, period_of
from cli.output import Format, FormatOption, emit, emit_record, number, say, text
from cli.words import counted

if TYPE_CHECKING:
    from billing.controls import Control

app = typer.Typer(help="Control totals: what sources say they counted, which has to match what was accepted.")

_LISTED = (
    text("source"),
    text("product"),
    text("day"),
    number("events_counted", "events counted", spare=1),
    number("events_accepted", "events accepted", spare=3),
    number("events_missing", "events missing"),
    number("quantity_counted", "quantity counted", spare=2),
    number("quantity_accepted", "quantity accepted", spare=4),
    number("quantity_missing", "quantity missing"),
    number("revision", spare=6),
    text("matches", spare=5),
)


@app.callback(invoke_without_command=True)
def list_(context: typer.Context, period: PeriodOption = "", form: FormatOption = Format.TABLE) -> None:
    """What sources say they counted in a month, and what was accepted: rated, zero-rated or quarantined, each once.

    Accounts with usage that does not match are parked by runs. Exit code 4: something does not match.
    """
    if context.invoked_subcommand is not None:
        return
    from billing.store.queries.controls import compared_controls
    from cli.db import reading

    month = period_of(period)
    with reading() as connection:
        found = compared_controls(connection, month)
    rows = [
        {
            **each.key._asdict(),
            "events_counted": each.counted.events,
            "events_accepted": each.accepted.events,
            "events_missing": each.counted.events - each.accepted.events,
            "quantity_counted": each.counted.quantity,
            "quantity_accepted": each.accepted.quantity,
            "quantity_missing": each.counted.quantity - each.accepted.quantity,
            "revision": each.revision,
            "matches": "yes" if each.matches else "no",
        }
        for each in found
    ]
    emit(rows, _LISTED, form, title=f"Control totals of {month}")
    if not rows:
        say(f"There is no control total of {month}; `tollbook usage controls add FILE` adds some.")
    if not all(each.matches for each in found):
        raise typer.Exit(Exit.NEEDS_A_PERSON)


@app.command("add")
def add(
    file: Annotated[
        Path | None,
        typer.Argument(help="CSV: source,product,day,events,quantity; - is standard input.", allow_dash=True),
    ] = None,
    source: Annotated[str, typer.Option(help="Without a file: the source that counted.")] = "",
    product: Annotated[str, typer.Option(metavar="PRODUCT", help="Without a file: what was used.")] = "",
    day: Annotated[str, typer.Option(metavar="DAY", help="Without a file: the UTC day, as in 2026-10-31.")] = "",
    events: Annotated[str, typer.Option(metavar="N", help="Without a file: how many events.")] = "",
    quantity: Annotated[
        str, typer.Option(metavar="N", help="Without a file: their sum, in seconds, segments, … as reported.")
    ] = "",
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say what a source counted on a day. Another count is a new revision; the same again changes nothing."""
    from billing.flows.control import add_controls
    from cli.db import writing
    from cli.world import actor, now

    said = {"source": source, "product": product, "day": day, "events": events, "quantity": quantity}
    controls = _read(file, said)
    with writing() as engine:
        added = add_controls(engine, controls, at=now(), actor=actor(), dry_run=dry_run)
    say(f"{counted(len(controls), 'control total')}: {added:,} {'would be ' if dry_run else ''}added or changed.")
    if form is not Format.TABLE:
        emit_record({"controls": len(controls), "added": added, "dry_run": dry_run}, form)
    if not added:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def _read(file: Path | None, said: dict[str, str]) -> "list[Control]":
    """The control totals of a file, or the one that options say. Raises InputFaultyError."""
    from billing.controls import control, read_controls
    from billing.errors import InputFaultyError
    from cli.options import product_of
    from cli.world import read_text

    if (file is None) == (not any(said.values())) or (file is None and not all(said.values())):
        raise typer.BadParameter("give a file, or all of --source --product --day --events --quantity")
    if file is None:
        one = control(said, "")
        found, faults = ([], one) if isinstance(one, list) else ([one], [])
    else:
        found, faults = read_controls(read_text(file), str(file))
    if faults:
        raise InputFaultyError(faults, place="control totals")
    for name in sorted({each.key.product for each in found}):
        product_of(name)
    return found
