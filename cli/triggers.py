"""`tollbook triggers`: what is counted of whose usage, at how much somebody is told, and which budgets stop."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli.exits import Exit
from cli.options import AsOption, DryRunOption, runner
from cli.output import Format, FormatOption, emit, emit_record, number, say, text
from cli.words import counted

app = typer.Typer(no_args_is_help=True, help="Usage triggers and budgets: what is told, and what stops, at how much.")

_TRIGGERS = (
    text("id"),
    text("account"),
    text("product"),
    text("country", spare=1),
    text("measure"),
    text("window"),
    number("threshold"),
    text("unit"),
    text("action"),
)
_FIRINGS = (
    text("trigger"),
    text("account"),
    text("measure", spare=1),
    text("window"),
    text("window_start", "window start"),
    number("used"),
    number("threshold"),
    text("unit"),
    text("action", spare=2),
    text("fired_at", "fired at"),
)


@app.callback()
def _group() -> None:
    """Usage triggers and budgets: what is told, and what stops, at how much."""


@app.command("add")
def add(
    files: Annotated[
        list[Path], typer.Argument(help="TOML: one trigger, or many as [[trigger]]; - is standard input.")
    ],
    name: AsOption = None,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Set triggers. One of the same name that says something else takes its place; the same again changes nothing."""
    from billing.flows.limit import set_triggers
    from billing.triggers import read_trigger
    from cli.db import writing
    from cli.parties import read_all, told_where
    from cli.world import actor, now, products

    found = read_all(files, "trigger", partial(read_trigger, products=products()), lambda each: f"trigger {each.id}")
    with told_where(found.places), writing() as engine:
        changed = set_triggers(engine, found, at=now(), actor=runner(name) or actor(), dry_run=dry_run)
    report("trigger", len(found), changed.added, changed.replaced, form, dry_run=dry_run)


def report(noun: str, given: int, added: int, replaced: int, form: Format, *, dry_run: bool) -> None:
    """Say what was new, and what took the place of what was said before."""
    would = "would be " if dry_run else ""
    say(f"{counted(given, noun)}: {added:,} {would}added, {replaced:,} {would}replaced.")
    if form is not Format.TABLE:
        emit_record({f"{noun}s": given, "added": added, "replaced": replaced, "dry_run": dry_run}, form)
    if not added + replaced:
        raise typer.Exit(Exit.NOTHING_TO_DO)


@app.command("list")
def list_(form: FormatOption = Format.TABLE) -> None:
    """All triggers."""
    from billing.store.queries.limits import listed_triggers
    from billing.triggers import table_of
    from cli.db import reading

    with reading() as connection:
        found = listed_triggers(connection)
    emit([table_of(each) for each in found], _TRIGGERS, form, title="Triggers")
    if not found:
        say("There is no trigger; `tollbook triggers add FILE` adds some.")


@app.command("remove")
def remove(trigger: Annotated[str, typer.Argument(help="The trigger.")], name: AsOption = None) -> None:
    """End a trigger. What it fired stays."""
    from billing.flows.limit import remove_trigger
    from cli.db import writing
    from cli.world import actor, now

    with writing() as engine:
        remove_trigger(engine, trigger, at=now(), actor=runner(name) or actor())
    say(f"The trigger {trigger} has ended.")


@app.command("firings")
def firings(
    trigger: Annotated[str, typer.Option(metavar="TRIGGER", help="Of one trigger.")] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """What fired: each trigger once in each of its windows, the oldest first."""
    from billing.store.queries.limits import listed_firings
    from cli.db import reading
    from rates.cards import instant

    with reading() as connection:
        found = listed_firings(connection, trigger=trigger)
    rows = [
        {
            "trigger": each.trigger.id,
            "account": each.trigger.account,
            "measure": each.trigger.measure,
            "window": each.trigger.window,
            "window_start": str(each.start),
            "used": each.trigger.in_words(each.used),
            "threshold": each.trigger.in_words(each.trigger.threshold),
            "unit": each.trigger.unit,
            "action": each.trigger.action,
            "fired_at": instant(each.fired_at),
        }
        for each in found
    ]
    emit(rows, _FIRINGS, form, title="Fired")
    if not rows:
        say("Nothing has fired; `tollbook triggers watch` looks now.")


@app.command("watch")
def watch(form: FormatOption = Format.TABLE) -> None:
    """Look once at all usage that has changed: what fires, and how budgets stand. `tollbook work` does it all the time.

    Exit code 4: what some account's usage comes to cannot be told.
    """
    from billing.flows.watch import watch as look
    from cli.db import writing
    from cli.world import now, products

    with writing() as engine:
        found = look(engine, products(), now())
    rows = [
        {
            "trigger": each.trigger.id,
            "account": each.trigger.account,
            "window": each.trigger.window,
            "window_start": str(each.start),
            "used": each.trigger.in_words(each.used),
            "threshold": each.trigger.in_words(each.trigger.threshold),
            "unit": each.trigger.unit,
            "action": each.trigger.action,
        }
        for each in found.fired
    ]
    emit(rows, [each for each in _FIRINGS if each.key not in {"measure", "fired_at"}], form, title="Fired")
    say(f"{counted(found.looked_at, 'month')} of payers looked at: {counted(len(rows), 'trigger')} fired.")
    for account, why in found.failed.items():
        say(f"{account}: {why}")
    if found.failed:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
