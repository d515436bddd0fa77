"""`tollbook usage`: take usage in, and look after what waits in quarantine."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from cli.exits import Exit
from cli.options import DryRunOption
from cli.output import Format, FormatOption, emit, emit_json, number, progress, say, text

if TYPE_CHECKING:
    from billing.payloads import Chunk
    from billing.receipts import Taken
    from cli.db import Engine

app = typer.Typer(no_args_is_help=True, help="Usage: import it, and look after what waits in quarantine.")

LONGEST_SOURCE = 200

SHOWN = 10
"""Lines that were not taken and are shown one by one; the rest is counted."""

_RESULTS = (text("outcome", "result"), text("reason"), number("events"), number("first_line", "first line"))
_WAITING = (
    text("reason"),
    text("account"),
    text("product"),
    number("events"),
    text("first_at", "first"),
    text("last_at", "last"),
    text("example", faint=True),
    text("remedy", "what releases it"),
)


@dataclass(slots=True, kw_only=True)
class Summary:
    """What an import came to: how many lines by outcome and reason, and the first of each."""

    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], int] = field(default_factory=dict)
    shown: list[tuple[int, str]] = field(default_factory=list)

    def add(self, taken: "Taken") -> None:
        """Count a chunk that is committed."""
        chunk, receipt = taken
        told: Counter[str] = Counter()
        for row, finding in receipt.findings.items():
            outcome, line = str(receipt.outcome(row)), chunk.lines[row]
            told[outcome] += 1
            self.events[outcome, finding.reason] += 1
            self.first.setdefault((outcome, finding.reason), line)
            if len(self.shown) < SHOWN and outcome in {"rejected", "conflict"}:
                self.shown.append(
                    (line, f"{chunk.noun} {line}{finding.pointer and ' '}{finding.pointer}: {finding.reason}")
                )
        for each, count in receipt.counts().items():
            if count > told[each]:
                self.events[str(each), ""] += count - told[each]

    def count(self, outcome: str) -> int:
        """How many lines came to an outcome."""
        return sum(count for (found, _), count in self.events.items() if found == outcome)

    def rows(self) -> list[dict[str, object]]:
        """A row for each outcome and reason."""
        return [
            {"outcome": key[0], "reason": key[1], "events": count, "first_line": self.first.get(key)}
            for key, count in sorted(self.events.items())
        ]


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="NDJSON or a JSON array, also gzipped; - is standard input.", allow_dash=True)
    ],
    source: Annotated[str, typer.Option(help="The source that the events come from.")],
    rejects: Annotated[Path | None, typer.Option(help="Where to write the lines that were not taken.")] = None,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Take usage in. Safe to repeat: an event is counted once, for ever."""
    _check_names(file, source, rejects)
    summary = Summary()
    try:
        with _refusals(rejects) as refuse:
            _import(file, source, summary, refuse, dry_run=dry_run)
    finally:
        show_summary(summary, source, form)
    if rejects is not None and summary.count("rejected") + summary.count("conflict"):
        say(f"The lines that were not taken, with the reasons: {rejects}")
    raise typer.Exit(_exit(summary))


def _check_names(file: Path, source: str, rejects: Path | None) -> None:
    """Nothing is opened, and no source is made, before the call is right."""
    if not source.strip() or source != source.strip() or not source.isprintable() or len(source) > LONGEST_SOURCE:
        raise typer.BadParameter(
            "--source is the name of a switch or service, as in switch-1: not empty, no spaces around"
        )
    if rejects is not None and rejects.exists() and file.exists() and rejects.samefile(file):
        raise typer.BadParameter(
            f"--rejects {rejects} is the file that is imported, and would overwrite it; name another"
        )


@app.command()
def quarantine(
    release: Annotated[
        bool, typer.Option("--release", help="Rate it again, and let out what has a price now.")
    ] = False,
    too_old: Annotated[
        bool, typer.Option("--too-old", help="With --release: also what came too late for its month.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """What waits because nothing prices it or nobody owns it, and what would release it."""
    if release:
        _release(too_old=too_old)
    from billing.explanations import REMEDIES
    from billing.store.queries.usage import waiting_usage
    from cli.db import reading
    from rates.cards import instant

    with reading() as connection:
        found = waiting_usage(connection)
    rows = [
        {
            "reason": str(each.reason),
            "account": each.account,
            "product": each.product,
            "events": each.events,
            "first_at": instant(each.first_at),
            "last_at": instant(each.last_at),
            "example": f"{each.source}/{each.id}",
            "remedy": REMEDIES.get(str(each.reason), ""),
        }
        for each in found
    ]
    emit(rows, _WAITING, form, title="Quarantine")
    if rows:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    say("Nothing waits.")


@app.command()
def fold() -> None:
    """Fold what was imported into the daily totals. Imports do it at their end; reads need it for speed only."""
    from billing.flows.fold import fold as fold_all
    from cli.db import writing

    with writing() as engine:
        folded = fold_all(engine)
    say(f"{folded.changes:,} changes folded.")
    if not folded.changes:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def import_file(
    engine: "Engine", file: Path, source: str, summary: Summary, *, at: datetime, refuse: "Refuse | None" = None
) -> None:
    """Take a file in, with a progress bar; `summary` and `refuse` hear of each chunk when it is committed."""
    from billing.flows.ingest import import_usage
    from billing.sources.ndjson import read_chunks
    from cli.db import compiled_cards
    from cli.world import products

    with _read(file) as (stream, count):

        def on_chunk(taken: "Taken") -> None:
            summary.add(taken)
            if refuse is not None:
                refuse(taken)
            count()

        chunks = read_chunks(stream)
        kept = compiled_cards()
        import_usage(engine, source, chunks, products=products(), at=at, on_chunk=on_chunk, kept=kept)


def _import(file: Path, source: str, summary: Summary, refuse: "Refuse", *, dry_run: bool) -> None:
    from billing.flows.fold import fold as fold_all
    from billing.sources.ndjson import read_chunks
    from cli.db import writing
    from cli.world import now

    if dry_run:
        with _read(file) as (stream, count):
            for chunk in read_chunks(stream):
                taken = _checked(chunk, source)
                summary.add(taken)
                refuse(taken)
                count()
        return
    with writing() as engine:
        import_file(engine, file, source, summary, at=now(), refuse=refuse)
        fold_all(engine)


@contextmanager
def _read(file: Path) -> "Iterator[tuple[BinaryIO, Callable[[], None]]]":
    """A file as a stream, and what shows how much of it was read."""
    from cli.payloads import opened

    size = file.stat().st_size if file.is_file() else None
    with opened(file) as stream, progress(file.name, size) as count:
        yield stream, lambda: count(stream.tell()) if size is not None else None


def _checked(chunk: "Chunk", source: str) -> "Taken":
    """What would become of a chunk, as far as its payloads alone can say."""
    import numpy as np

    from billing.receipts import OUTCOME_CODES, Finding, Outcome, Receipt, Taken
    from billing.usage import parse
    from cli.world import now, products

    parsed = parse(chunk.payloads, source=source, products=products(), at=now())
    outcomes = np.full(len(chunk.payloads), OUTCOME_CODES[Outcome.ACCEPTED], dtype=np.int8)
    outcomes[[reject.row for reject in parsed.rejects]] = OUTCOME_CODES[Outcome.REJECTED]
    findings = {reject.row: Finding(pointer=reject.pointer, reason=reject.reason) for reject in parsed.rejects}
    return Taken(chunk, Receipt(outcomes=outcomes, findings=findings))


Refuse = Callable[["Taken"], None]


@contextmanager
def _refusals(path: Path | None) -> Iterator[Refuse]:
    """Where the lines of a chunk that were not taken go."""
    from billing.sources.ndjson import refused_lines

    if path is None:
        yield lambda _: None
        return
    with path.open("wb") as file:
        yield lambda taken: _append(file, refused_lines(taken))


def _append(file: BinaryIO, lines: bytes) -> None:
    file.write(lines)
    file.flush()  # told as soon as the chunk is committed


def show_summary(summary: Summary, source: str, form: Format) -> None:
    """Print what an import came to."""
    for _, words in sorted(summary.shown):
        say(words)
    refused = summary.count("rejected") + summary.count("conflict")
    if refused > len(summary.shown):
        say(f"… and {refused - len(summary.shown):,} more lines were not taken")
    if form is Format.JSON:
        outcomes = ("accepted", "quarantined", "duplicate", "conflict", "rejected")
        counts = {outcome: summary.count(outcome) for outcome in outcomes}
        emit_json({"source": source, "events": summary.events.total(), **counts, "results": summary.rows()})
    elif form is Format.CSV or summary.events:
        total = {"outcome": "all lines", "events": summary.events.total()}
        emit(summary.rows(), _RESULTS, form, title=f"Usage from {source}", total=total)


def _exit(summary: Summary) -> Exit:
    if summary.count("rejected"):
        return Exit.BAD_INPUT
    if summary.count("quarantined") or summary.count("conflict"):
        return Exit.NEEDS_A_PERSON
    return Exit.OK if summary.events else Exit.NOTHING_TO_DO


def _release(*, too_old: bool) -> None:
    from billing.flows.fold import fold as fold_all
    from billing.flows.release import release
    from cli.db import compiled_cards, writing
    from cli.world import actor, now, products

    with writing() as engine:
        released = release(engine, products(), at=now(), actor=actor(), too_old=too_old, kept=compiled_cards())
        fold_all(engine)
    for reason, count in sorted(released.released.items()):
        say(f"{count:,} events released that waited for: {reason}")
    if not released.released:
        say("Nothing could be released." if released.waiting else "Nothing waits.")
        if not released.waiting:
            raise typer.Exit(Exit.NOTHING_TO_DO)
