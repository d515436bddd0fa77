"""`tollbook charges`: what accounts owe without using anything, once or again and again, and the poster of it."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import AtOption, DryRunOption, instant_of
from cli.output import Format, FormatOption, emit, emit_json, emit_record, number, say, text
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.charges import Charge, Due

app = typer.Typer(no_args_is_help=True, help="Charges: numbers, leases, setup fees; posted as usage when they are due.")

_Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a charge.")]
_LISTED = (
    text("id", "charge", whole=True),
    text("account"),
    text("product"),
    number("quantity", spare=2),
    text("every"),
    text("timing", spare=1),
    text("effective_from", "from", spare=4),
    text("effective_to", "to", spare=3),
    number("posted", spare=5),
    number("to_post", "to post"),
    text("next_due", "next due"),
)
_DUES = (number("number"), text("due"), text("posted", "posted as of"), text("event"))


@app.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(help="TOML files; - is standard input.", allow_dash=True)],
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Add charges. The same again changes nothing; a charge is never edited, it is ended and another one added.

    Nothing is posted by it: `tollbook charges post` posts what is due.
    """
    from billing.flows.charge import add_charges
    from billing.flows.post import unposted
    from cli.db import writing
    from cli.parties import charges_in
    from cli.world import actor, now

    found = charges_in(files)
    with writing() as engine:
        at = now()
        added = add_charges(engine, found, at=at, actor=actor(), dry_run=dry_run)
        due = 0 if dry_run else unposted(engine, at)
    would = "would be " if dry_run else ""
    known = f"; {added.known:,} {of_number(added.known, 'was', 'were')} known already" if added.known else ""
    say(f"{counted(added.added, 'charge')} {would}added{known}.")
    if due:
        say(f"{counted(due, 'due charge')} {of_number(due, 'waits', 'wait')} to be posted: tollbook charges post")
    if form is not Format.TABLE:
        facts = {"charges": added.added + added.known, "added": added.added, "unchanged": added.known}
        emit_record({**facts, "due": due, "dry_run": dry_run}, form)
    if not added.added:
        raise typer.Exit(Exit.NOTHING_TO_DO)


@app.command("list")
def list_(form: FormatOption = Format.TABLE) -> None:
    """All charges: how often each was posted, how often it is due and was not, and when it is due next."""
    from billing.charges import due_until, next_due
    from billing.store.queries.charges import listed_charges
    from cli.db import reading
    from cli.world import now

    with reading() as connection:
        listed = listed_charges(connection)
    at = now()
    rows = [
        {
            **_facts(each.charge),
            "posted": each.posted,
            "to_post": max(0, due_until(each.charge, at, each.suspended) - each.posted),
            "next_due": _when(next_due(each.charge, at, each.suspended)),
        }
        for each in listed
    ]
    emit(rows, _LISTED, form, title="Charges")
    if not rows:
        say("There is no charge; `tollbook charges add FILE` adds some.")


@app.command("show")
def show(charge: _Id, form: FormatOption = Format.TABLE) -> None:
    """A charge: what was posted of it and when, and what is due next."""
    from billing.charges import ChargeMissingError, due_at, due_until, next_due
    from billing.store.queries.charges import shown_charge
    from cli.db import reading
    from cli.world import now

    with reading() as connection:
        shown = shown_charge(connection, charge)
    if shown is None:
        raise ChargeMissingError("is no charge", value=charge, remedy="`tollbook charges list` lists them")
    found, posted, suspended = shown
    at = now()
    coming = next_due(found, at, suspended)
    numbers = {*posted, *range(1, due_until(found, at, suspended) + 1)} | ({coming.number} if coming else set())
    rows = [
        {
            "number": each,
            "due": _instant(due_at(found, each)),
            "posted": _instant(posted[each]) if each in posted else "",
            "event": f"{found.id}/{each}" if each in posted else "",
        }
        for each in sorted(numbers)
    ]
    facts = {**_facts(found), "drift": found.drift, "lead_days": found.lead_days, "dimensions": dict(found.dimensions)}
    if form is Format.JSON:
        emit_json({**facts, "dues": rows})
        return
    if form is Format.TABLE:
        words = [f"{name}={value}" for name, value in found.dimensions.items()]
        emit_record({**facts, "dimensions": words}, form, title=f"Charge {found.id}")
    emit(rows, _DUES, form, title="Due")


@app.command("end")
def end(
    charge: _Id,
    at: Annotated[
        str,
        typer.Option("--at", metavar="INSTANT", help="No term is charged that begins then or later; a date is 00:00."),
    ],
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """End a charge: terms that begin at an instant or after it are not charged; the one that has begun is, in full.

    It may end sooner than was said before, and not later, and not before a term that was posted. Exit code 3: it ends
    then or sooner already.
    """
    from billing.flows.charge import end_charge
    from cli.db import writing
    from cli.world import actor, now

    ends = instant_of(at)
    with writing() as engine:
        found, changed = end_charge(engine, charge, ends, at=now(), actor=actor(), dry_run=dry_run)
    if form is not Format.TABLE:
        emit_record({**_facts(found), "changed": changed, "dry_run": dry_run}, form)
    if not changed:
        say(f"{charge} ends at {_instant(found.effective_to)} already: nothing has changed.")
        raise typer.Exit(Exit.NOTHING_TO_DO)
    say(f"{charge} {'would end' if dry_run else 'ends'} at {_instant(found.effective_to)}.")


@app.command("post")
def post(at: AtOption = "", dry_run: DryRunOption = False, form: FormatOption = Format.TABLE) -> None:
    """Post what is due of all charges up to an instant: each becomes a usage event, once, however often this runs.

    Safe to repeat, to run twice at once and to stop anywhere; what an outage left is made up for. Exit code 3: nothing
    is due that was not posted. 4: done, but something waits for a person: a charge that nothing prices.
    """
    from billing.charges import SOURCE
    from billing.flows.fold import fold
    from billing.flows.post import post_charges
    from cli.db import compiled_cards, writing
    from cli.imports import Summary, exit_of, show_summary
    from cli.world import now, products

    until, clock, summary = instant_of(at), now(), Summary()
    if at and until > clock:
        raise typer.BadParameter(f"{at} is still to come: nothing is posted ahead of its time", param_hint="--at")
    with writing() as engine:
        try:
            post_charges(
                engine,
                products(),
                at=clock,
                until=until,
                on_chunk=summary.add,
                kept=compiled_cards(),
                dry_run=dry_run,
            )
        finally:
            if summary.events:  # this much is committed, whatever happened then
                show_summary(summary, SOURCE, form, dry_run=dry_run)
        if not dry_run:
            fold(engine)
    if not summary.events:
        if form is not Format.TABLE:
            show_summary(summary, SOURCE, form, dry_run=dry_run)
        say(f"Nothing is due up to {_instant(until)} that was not posted: nothing to do.")
    if summary.count("quarantined") and not dry_run:
        say("What waits, and what releases it: tollbook usage quarantine")
    if exit_ := exit_of(summary):
        raise typer.Exit(exit_)


def _facts(charge: "Charge") -> dict[str, object]:
    return {
        "id": charge.id,
        "account": charge.account,
        "product": charge.product,
        "quantity": charge.quantity,
        "every": str(charge.every),
        "timing": str(charge.timing),
        "effective_from": _instant(charge.effective_from),
        "effective_to": _instant(charge.effective_to),
    }


def _instant(at: datetime) -> str:
    """An instant in words; nothing for what never comes."""
    from billing.periods import ALWAYS
    from rates.cards import instant

    return "" if at == ALWAYS else instant(at)


def _when(due: "Due | None") -> str:
    if due is None:
        return ""
    return _instant(due.at) or "when its account is reactivated"
