"""`tollbook demo`: one month of a communications platform, for real, from usage to verified invoices."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.demo.files import CARDS, write_files
from cli.demo.services import ALL_SERVICES, add_services, explain_all, post_charges_of_services
from cli.exits import Exit
from cli.options import period_of
from cli.output import Format

if TYPE_CHECKING:
    from billing.invoices import Invoice
    from billing.periods import Period
    from cli.db import Engine

DATABASE = "tollbook_demo"
SOURCE = "switch-1"
PERIOD = "2026-10"
AT = datetime(2026, 11, 5, 9, tzinfo=UTC)
"""When the demo takes place: after the month, and after what is reported late."""

EVENTS = 200_000
SHOWN = "parcel-service"

Done = Callable[[str], None]
"""Says what a step came to."""


@dataclass(slots=True, kw_only=True)
class _Clock:
    """The steps of the demo and what they took."""

    began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def step(self, name: str) -> Iterator[Done]:
        """A step; it is printed when it has ended."""
        said: list[str] = []
        start = time.perf_counter()
        if sys.stdout.isatty():
            sys.stdout.write(f"  {name} …\r")
            sys.stdout.flush()
        yield said.append
        sys.stdout.write(f"  {name:<20} {' '.join(said):<80} {time.perf_counter() - start:6.2f} s\n")
        sys.stdout.flush()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self.began


def demo(
    events: Annotated[int, typer.Option(min=1000, max=5_000_000, help="How many events the month has.")] = EVENTS,
    folder: Annotated[
        Path | None,
        typer.Option("--write", metavar="FOLDER", help="Write its files to a new folder instead, and bill nothing."),
    ] = None,
    months: Annotated[
        list[str] | None,
        typer.Option("--month", metavar="MONTH", help="With --write: a month of usage, as in 2026-09; again for more."),
    ] = None,
    *,
    all_services: Annotated[
        bool, typer.Option("--all-services", help="Also bill a customer who uses every product, and explain each line.")
    ] = False,
) -> None:
    """Bill a made-up month for real: cards, 200,000 events, invoices, and a verifier that rates it all again.

    Works in a database of its own, made anew each time; no other data is touched. With --write it touches no database:
    you take its cards, accounts, contracts and usage from a folder and bill them yourself.
    """
    if folder is not None:
        if all_services:
            raise typer.BadParameter("--all-services bills a customer: leave --write out")
        write_files(folder, [period_of(month) for month in months or [PERIOD]], events)
        return
    if months:
        raise typer.BadParameter("--month says which usage is written: add --write FOLDER")
    shown = ALL_SERVICES if all_services else SHOWN
    from cli.db import new_database

    clock = _Clock()
    _say("One month of a communications platform, from usage to verified invoices:", "")
    with clock.step("database") as done:
        engine, address, data = new_database(DATABASE)
        done(f"{DATABASE} in {data}, made anew (yours is not touched)")
    try:
        usage = _prepare(engine, data, events, clock)
        if all_services:
            with clock.step("all services") as done:
                done(f"{add_services(engine, usage, AT)} events of a customer who uses every product")
            with clock.step("charges post") as done:
                count = post_charges_of_services(engine, period_of(PERIOD), AT)
                done(f"{count} due charges of numbers and a short code, each posted as usage once")
        agrees = _bill(engine, usage, clock, shown)
    finally:
        engine.dispose()
    _say("", f"Done in {clock.seconds:.0f} s. What to try next, on this database:", "")
    _say(*(f"  {line}" for line in _next(address, usage)), "")
    if not agrees:
        raise typer.Exit(Exit.ERROR)


def _prepare(engine: "Engine", data: Path, events: int, clock: _Clock) -> Path:
    """Cards, accounts and contracts published; the month's usage in a file."""
    from importlib.resources import as_file, files

    from billing.flows import publish
    from billing.periods import Period
    from cli.cardfiles import card_of
    from cli.demo.files import clienteles_of
    from cli.demo.traffic import write_month
    from cli.parties import accounts_in, contracts_in
    from cli.world import actor, products

    with as_file(files("cli.demo")) as folder:
        with clock.step("cards") as done:
            cards = [card_of(folder / "cards" / name) for name in CARDS]
            for card in cards:
                publish.publish(engine, card, products(), at=AT, actor=actor())
            done(f"{len(cards)} cards with {sum(card.rows.num_rows for card in cards):,} rates checked and published")
        with clock.step("accounts") as done:
            accounts = accounts_in([folder / "accounts.toml"])
            contracts = contracts_in([folder / "contracts.toml"])
            publish.add_accounts(engine, accounts, at=AT, actor=actor())
            publish.add_contracts(engine, contracts, products(), at=AT, actor=actor())
            done(f"{len(accounts)} accounts, {len(contracts)} of them pay")
    with clock.step("traffic") as done:
        usage = data / "demo" / f"{PERIOD}.ndjson"
        usage.parent.mkdir(exist_ok=True)
        lines = write_month(usage, clienteles_of(accounts, cards, events), Period.parse(PERIOD))
        done(f"{lines:,} lines of usage: some twice, out of order, to prefixes that no card has")
    return usage


def _bill(engine: "Engine", usage: Path, clock: _Clock, shown: str) -> bool:
    """The usage imported, the invoices issued and verified; then what a person would look at."""
    from billing.flows.draw_up import draw_up
    from billing.flows.finalize import finalize
    from billing.flows.fold import fold
    from billing.flows.verify import verify
    from billing.periods import Period
    from cli.imports import Summary, show_summary
    from cli.reports import show_run
    from cli.usage import import_file
    from cli.verify import processes, show_verification
    from cli.world import actor, product_tables, products

    month, summary = Period.parse(PERIOD), Summary()
    with clock.step("import") as done:
        import_file(engine, usage, SOURCE, summary, at=AT)
        done(f"{summary.events.total():,} lines read, rated and committed")
    with clock.step("fold") as done:
        folded = fold(engine)
        done(f"{folded.changes:,} changes into {folded.totals:,} daily totals")
    with clock.step("invoices run") as done:
        run = draw_up(engine, products(), month, AT, write=True, actor=actor())
        done(f"{run.report.billed} drafts with {run.report.lines:,} lines")
    with clock.step("invoices finalize") as done:
        issued = finalize(engine, month, AT, actor=actor())
        done(f"{issued.issued} invoices issued, numbered without a gap")
    with clock.step("verify") as done:
        verified = verify(engine, products(), product_tables(), month, processes=processes())
        done(f"{verified.events:,} events rated again by other code: {'all agree' if verified.agrees else 'NO'}")
    if shown == ALL_SERVICES:
        with clock.step("explain line") as done:
            lines, told = explain_all(engine, month)
            done(f"{lines} lines of {told} products: each adds up from its events")
    _say("")
    show_summary(summary, SOURCE, Format.TABLE)
    show_run(run, Format.TABLE, each_account=False)
    show_verification(verified, Format.TABLE)
    _show_statement(engine, month, shown)
    _explain(engine, month, shown)
    return verified.agrees


def _show_statement(engine: "Engine", month: "Period", shown: str) -> None:
    from billing.flows.compose import compose_statement
    from cli.statement import show_statement
    from cli.world import products

    show_statement(compose_statement(engine, products(), month, AT, shown))


def _explain(engine: "Engine", month: "Period", shown: str) -> None:
    """A line in the second tier if there is one, and its first event: the one that crossed into it."""
    from billing.flows.explain import explain_event, explain_line
    from billing.store.queries.invoices import read_invoices
    from cli.db import reading_from
    from cli.explain import show_event, show_line
    from cli.world import products

    with reading_from(engine) as connection:
        (invoice,) = read_invoices(connection, month, final=True, account=shown)
    wanted = _line_to_explain(invoice)
    explained = explain_line(engine, products(), month, shown, wanted, size=3)
    show_line(explained, wanted, Format.TABLE)
    if explained.page:
        first = explained.page[0]
        show_event(explain_event(engine, products(), first.source, first.id), Format.TABLE)


def _line_to_explain(invoice: "Invoice") -> int:
    """The number of the largest line in a second tier, else of the first line."""
    tiered = [(line.amount_minor, number) for number, line in enumerate(invoice.lines, start=1) if line.tier == "2"]
    return max(tiered, default=(0, 1))[1]


def _next(address: str, usage: Path) -> list[str]:
    """Commands that work as they are printed."""
    program = sys.argv[0] if Path(sys.argv[0]).name == "tollbook" else "tollbook"
    commands = (
        f"invoices show {PERIOD}",
        f"invoices show {PERIOD} hotel",
        f"statement hotel --period {PERIOD}",
        f"explain line {PERIOD} hotel 1",
        "usage quarantine",
        f"usage import --source {SOURCE} {shlex.quote(str(usage))}    # again: nothing counts twice",
        "cards explain list-usd +442079460000 +37255512345",
        f"verify {PERIOD}",
        "doctor",
    )
    back = "# another shell still has your own database" if os.environ.get("DATABASE_URL") else "unset DATABASE_URL"
    this = f"export DATABASE_URL={shlex.quote(address)}"
    return [this, *(f"{shlex.quote(program)} {command}" for command in commands), back]


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
