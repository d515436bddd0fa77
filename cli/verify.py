"""`tollbook verify`: rate a period again, by other code, and compare every line with what is stored."""

import os
from typing import TYPE_CHECKING

import typer

from cli.exits import Exit
from cli.options import PeriodArgument
from cli.output import Format, FormatOption, emit, emit_json, emit_record, say, text
from cli.reports import some_of
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.verification import Verification

_DISAGREEMENTS = (text("subject", "where"), text("fact"), text("verifier", "verifier says"), text("stored"))
_SHOWN = 20


def verify(period: PeriodArgument, form: FormatOption = Format.TABLE) -> None:
    """Rate all usage of a period again by the independent verifier, and compare lines, totals and counts."""
    from billing.flows.verify import verify as verify_period
    from billing.periods import Period
    from cli.db import writing
    from cli.world import product_tables, products

    month = Period.parse(period)
    with writing() as engine:
        found = verify_period(engine, products(), product_tables(), month, processes=processes())
    show_verification(found, form)
    if not found.agrees:
        raise typer.Exit(Exit.ERROR)
    if not (found.events or found.accounts or found.adjustments):
        raise typer.Exit(Exit.NOTHING_TO_DO)


def _outdated(found: "Verification") -> str:
    """What it means that bills are outdated, and the command that draws up those that can be drawn up again."""
    several = f"the bills of {len(found.outdated):,} accounts are"
    return (
        f"Outdated: {of_number(len(found.outdated), 'the bill of 1 account is', several)} not of all its usage"
        f" ({some_of(found.outdated)}) and verified as it would be now; `tollbook invoices run {found.period}` draws up"
        " again what is not issued, and the run of a later month adjusts the rest."
    )


def processes() -> int:
    """How many processes rate at once: more than a few are slower than the database."""
    return min(os.cpu_count() or 1, 8)


def show_verification(found: "Verification", form: Format) -> None:
    """Print what the verifier agrees on, and where it does not."""
    rows = [each._asdict() for each in found.disagreements]
    counts = {
        "period": found.period,
        "events": found.events,
        "billed": found.billed,
        "zero_rated": found.zero_rated,
        "quarantined": found.quarantined,
        "too_late": found.too_late,
        "accounts": found.accounts,
        "lines": found.lines,
        "adjustments": found.adjustments,
        "unbalanced_totals": found.unbalanced_totals,
        "outdated": list(found.outdated),
    }
    if form is Format.JSON:
        emit_json({**counts, "agrees": found.agrees, "disagreements": rows})
        return
    if form is Format.CSV:
        emit(rows, _DISAGREEMENTS, form)
        return
    others = f"{found.zero_rated:,} zero-rated + {found.quarantined:,} quarantined + {found.too_late:,} too late"
    compared = f"{counted(found.lines, 'line')} of {counted(found.accounts, 'account')}"
    emit_record(
        {
            "events": f"{found.billed:,} billed + {others} = {found.events:,}",
            "compared": f"{compared}, by rating each event again",
            "verdict": "all agree" if found.agrees else counted(len(rows), "disagreement"),
            "adjustments": f"{counted(found.adjustments, 'account')} of earlier months" if found.adjustments else None,
            "unbalanced totals": found.unbalanced_totals or None,
        },
        form,
        title=f"Verification of {found.period}",
    )
    if found.outdated:
        say(_outdated(found))
    if rows:
        emit(rows[:_SHOWN], _DISAGREEMENTS, form, title="Where they differ")
    if len(rows) > _SHOWN:
        say(f"… and {len(rows) - _SHOWN:,} more; --format json shows them all")
