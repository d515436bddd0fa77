"""`tollbook usage`: take usage in, and look after what waits in quarantine."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from cli import controls
from cli.callrecords import (
    DIALECTS,
    NDJSON,
    AccountOption,
    ColumnsOption,
    CountryOption,
    DialectOption,
    FieldsOption,
    InternationalOption,
    ProductOption,
    StrictOption,
    Told,
    TrunkOption,
    ZoneOption,
    call_records,
    note_near_duplicates,
)
from cli.exits import Exit
from cli.imports import Summary, exit_of, notice_of, show_summary
from cli.nearby import near_duplicates
from cli.outfiles import check_target, writing_whole
from cli.output import Format, FormatOption, progress, say
from cli.quarantine import quarantine
from cli.words import counted

if TYPE_CHECKING:
    from billing.receipts import Taken
    from billing.sources.callrecords import CallRecords
    from cli.db import Engine

app = typer.Typer(no_args_is_help=True, help="Usage: import it, and look after what waits in quarantine.")
app.add_typer(controls.app, name="controls")

LONGEST_SOURCE = 200


@app.command("import")
def import_(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    file: Annotated[
        Path,
        typer.Argument(
            help="NDJSON or a JSON array, or call records with --dialect; also gzipped; - is standard input.",
            allow_dash=True,
        ),
    ],
    source: Annotated[str, typer.Option(help="The source that the events come from.")],
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where to write the lines that were not taken, as they are: mend and import them."),
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Where to write what became of each line, and why.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --rejects and --results replace files.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Foresee what it would come to, store nothing.")] = False,
    form: FormatOption = Format.TABLE,
    dialect: DialectOption = NDJSON,
    zone: ZoneOption = "",
    country_code: CountryOption = "",
    trunk_prefix: TrunkOption = None,
    international_prefix: InternationalOption = None,
    account: AccountOption = "",
    column: ColumnsOption = None,
    fields: FieldsOption = "",
    product: ProductOption = "",
    strict: StrictOption = False,
) -> None:
    """Take usage in. Safe to repeat: an event is counted once, for ever."""
    _check_names(file, source, {"--rejects": rejects, "--results": results}, overwrite=overwrite)
    told = Told(
        dialect=dialect,
        zone=zone,
        country_code=country_code,
        trunk_prefix=trunk_prefix,
        international_prefix=international_prefix,
        account=account,
        column=column,
        fields=fields,
        product=product,
        strict=strict,
    )
    records = call_records(file, told)
    summary = Summary()
    try:
        with _told(rejects, results) as tell:
            _import(file, source, summary, tell, dry_run=dry_run, records=records)
    except BaseException:
        if summary.events:  # this much is committed, whatever happened then
            show_summary(summary, source, form, dry_run=dry_run)
        raise
    show_summary(summary, source, form, dry_run=dry_run)
    _say_what_next(summary, file, source, rejects, told, dry_run=dry_run)
    exit_ = exit_of(summary)
    raise typer.Exit(Exit.NEEDS_A_PERSON if strict and summary.near_duplicates and exit_ is Exit.OK else exit_)


def _say_what_next(
    summary: Summary, file: Path, source: str, rejects: Path | None, told: Told, *, dry_run: bool
) -> None:
    if rejects is not None and summary.count("rejected") + summary.count("conflict"):
        not_taken = "would not be taken" if dry_run else "were not taken"
        say(f"The lines that {not_taken}, as they are: {rejects}. What is wrong with each: --results FILE")
        words = ["tollbook", "usage", "import", str(rejects), "--source", source, *told.words()]
        say(f"When they are mended: {shlex.join(words)}")
    if told.dialect == NDJSON and summary.is_no_json:
        say(f"The file is not JSON. Call records are read with --dialect, one of {DIALECTS}: docs/call-records.md")
    if summary.count("quarantined") and not dry_run:
        say("What waits, and what releases it: tollbook usage quarantine")
    if not summary.events:
        say(f"There is no usage in {file}: nothing to do.")
    elif summary.count("duplicate") == summary.events.total():
        say("All of it was taken before: nothing to do.")


def _check_names(file: Path, source: str, targets: dict[str, Path | None], *, overwrite: bool) -> None:
    """Nothing is opened, and no source is made, before the call is right."""
    if not source.strip() or source != source.strip() or not source.isprintable() or len(source) > LONGEST_SOURCE:
        raise typer.BadParameter(
            "--source is the name of a switch or service, as in switch-1: not empty, no spaces around"
        )
    named = {option: path for option, path in targets.items() if path is not None}
    for option, path in named.items():
        if path.exists() and file.exists() and path.samefile(file):
            raise typer.BadParameter(
                f"{option} {path} is the file that is imported, and would overwrite it; name another"
            )
        check_target(option, path, overwrite=overwrite)
    if len({path.resolve() for path in named.values()}) < len(named):
        raise typer.BadParameter("--rejects and --results are one file; name two")


app.command()(quarantine)
app.command("near-duplicates")(near_duplicates)


@app.command()
def fold() -> None:
    """Fold what was imported into the daily totals. Imports do it at their end; reads need it for speed only."""
    from billing.flows.fold import fold as fold_all
    from cli.db import writing

    with writing() as engine:
        folded = fold_all(engine)
    say(f"{counted(folded.changes, 'change')} folded.")
    if not folded.changes:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def import_file(  # noqa: PLR0913 (what a caller may want of it)
    engine: "Engine",
    file: Path,
    source: str,
    summary: Summary,
    *,
    at: datetime,
    tell: "Tell | None" = None,
    dry_run: bool = False,
    notice: str = "",
    records: "CallRecords | None" = None,
) -> None:
    """Take a file in, with a progress bar; `summary` and `tell` hear of each chunk when it is committed.

    `notice` is said when the file is open, before any of it is taken.
    """
    from billing.flows.ingest import import_usage
    from billing.flows.rehearse import rehearse_usage
    from billing.sources.ndjson import read_chunks
    from cli.db import compiled_cards
    from cli.world import products, states

    take_in = rehearse_usage if dry_run else import_usage
    with _read(file) as (stream, count):
        if notice:
            say(notice)

        def on_chunk(taken: "Taken") -> None:
            summary.add(taken)
            if tell is not None:
                tell(taken)
            count()

        chunks = read_chunks(stream) if records is None else records.chunks(stream)
        kept, known = compiled_cards(), states()
        take_in(engine, source, chunks, products=products(), at=at, on_chunk=on_chunk, kept=kept, states=known)


def _import(
    file: Path, source: str, summary: Summary, tell: "Tell", *, dry_run: bool, records: "CallRecords | None"
) -> None:
    from billing.flows.fold import fold as fold_all
    from billing.store.queries.usage import sources
    from cli.db import reading_from, writing
    from cli.world import now

    with writing() as engine:
        with reading_from(engine) as connection:
            known = sources(connection)
        notice = "" if source in known else notice_of(source, known)
        at = now()
        import_file(engine, file, source, summary, at=at, tell=tell, dry_run=dry_run, notice=notice, records=records)
        if not dry_run:
            fold_all(engine)
            if records is not None:
                summary.near_duplicates = note_near_duplicates(engine, records, source, at)


@contextmanager
def _read(file: Path) -> "Iterator[tuple[BinaryIO, Callable[[], None]]]":
    """A file as a stream, and what shows how much of it was read."""
    from cli.payloads import opened

    size = file.stat().st_size if file.is_file() else None
    with opened(file) as stream, progress(file.name, size) as count:
        yield stream, lambda: count(stream.tell()) if size is not None else None


Tell = Callable[["Taken"], None]


@contextmanager
def _told(rejects: Path | None, results: Path | None) -> Iterator[Tell]:
    """Who writes what became of the lines of a chunk, to the files that were asked for."""
    from billing.sources.ndjson import refused_lines, result_lines

    begun = False

    def refused(taken: "Taken") -> bytes:
        """The refused lines, the first of them below what stands above all in their file."""
        nonlocal begun
        lines = refused_lines(taken)
        head = b"" if begun or not lines else taken.chunk.head
        begun = begun or bool(lines)
        return head + lines

    with ExitStack() as files:
        asked = [(path, lines) for path, lines in ((rejects, refused), (results, result_lines)) if path]
        writers = [(files.enter_context(writing_whole(path)), lines) for path, lines in asked]

        def tell(taken: "Taken") -> None:
            for stream, lines in writers:
                stream.write(lines(taken))

        yield tell
