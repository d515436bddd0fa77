"""What a change of the books came to: what moved with it, what it let out of the quarantine, and what still waits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from cli.exits import Exit
from cli.output import Format, emit_csv, emit_json, number, say, text
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.flows.publish import Changed
    from billing.flows.release import Released
    from cli.db import Engine

_ROWS = (text("result"), text("reason"), number("events"))


def let_out(engine: "Engine", changed: "Changed") -> "Released":
    """Let out what waited for a change; of a rehearsal, what it would let out. It can be repeated, and never hurts."""
    from billing.flows import let_out as flow
    from cli.db import compiled_cards
    from cli.world import actor, now, products

    return flow.let_out(engine, products(), changed, at=now(), actor=actor(), kept=compiled_cards())


def tell(
    changed: "Changed",
    released: "Released",
    form: Format,
    *,
    words: str,
    facts: Mapping[str, object],
    dry_run: bool,
) -> None:
    """Say what a change came to; `words` and `facts` are about the change itself. Ends the command if there is none."""
    from billing.flows.let_out import changed_record
    from billing.flows.publish import Status
    from cli.rerate import correction_record, say_correction, show_correction

    said: dict[str, Any] = changed_record(changed, released)
    counts = {"released": said["released"], "waiting": said["waiting"]}
    correction = changed.correction
    say(words)
    if correction is not None:
        say_correction(correction, dry_run=dry_run)
    if form is Format.JSON:
        emit_json(
            {
                **facts,
                "status": said.pop("status"),
                "dry_run": dry_run,
                **said,
                **({} if correction is None else {"correction": correction_record(correction)}),
            }
        )
    elif form is Format.CSV:
        came: list[dict[str, object]] = [
            {"result": str(changed.status), "reason": "", "events": None},
            {"result": "moved", "reason": "", "events": changed.moved},
        ]
        rows = [
            {"result": result, "reason": reason, "events": count}
            for result, reasons in counts.items()
            for reason, count in reasons.items()
        ]
        emit_csv([*came, *rows], _ROWS)
    else:
        _say(changed, counts, dry_run=dry_run)
        if correction is not None:
            show_correction(correction)
    if changed.status is Status.UNCHANGED:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def _say(changed: "Changed", counts: Mapping[str, Mapping[str, int]], *, dry_run: bool) -> None:
    if changed.moved and changed.correction is None:
        say(f"{_events(changed.moved)} rated before {'would move' if dry_run else 'moved'} along, charged as before.")
    if changed.withdrawn and changed.correction is None:
        drafts = counted(changed.withdrawn, "draft of an invoice", "drafts of invoices")
        done = f"{of_number(changed.withdrawn, 'is', 'are')} withdrawn: run the invoices of the month again"
        say(f"{drafts} {'would be withdrawn' if dry_run else done}.")
    for reason, count in counts["released"].items():
        say(f"{_events(count)} {'would be ' if dry_run else ''}released that waited for: {reason}")
    for reason, count in counts["waiting"].items():
        waits = "would still wait" if dry_run else of_number(count, "still waits", "still wait")
        say(f"{_events(count)} {waits} for: {reason}")
    if counts["waiting"]:
        say("What waits, and what releases it: tollbook usage quarantine")


def _events(count: int) -> str:
    return counted(count, "event")
