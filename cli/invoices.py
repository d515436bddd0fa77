"""`tollbook invoices`: preview a period, draw its invoices up, issue them, look at them, hand them on."""

from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.month import EarlyOption, approve, bounds_of, diff, release, rules_of
from cli.options import AsOption, DryRunOption, PeriodArgument, runner
from cli.outfiles import check_target, writing_whole
from cli.output import (
    LINES,
    Format,
    FormatOption,
    emit,
    emit_json,
    number,
    say,
    show,
    table,
    text,
)
from cli.reports import say_left, show_issued, show_run
from cli.resold import margin
from cli.words import counted, of_number
from rates.errors import TollbookError

if TYPE_CHECKING:
    from billing.invoices import Invoice
    from billing.periods import Period

app = typer.Typer(no_args_is_help=True, help="Invoices: preview, draw up, issue, show, export.")

_LONGEST_NUMBER = 18  # digits: what the database counts with

_LISTED = (
    text("number"),
    text("account"),
    text("state", spare=1),
    text("kind", spare=3),
    text("issued_on", "issued"),
    text("due_on", "due", spare=2),
    number("lines"),
    number("total"),
    text("currency"),
)


class InvoiceMissingError(TollbookError):
    """There is no invoice, nor a draft, of what was asked for."""


class InvoiceMismatchError(TollbookError):
    """An invoice was asked for by a number and an account that do not belong together; `value` is the number."""


class ExportFormat(StrEnum):
    """How invoices are handed on."""

    JSON = "json"
    CSV = "csv"


@app.command()
def preview(period: PeriodArgument, form: FormatOption = Format.TABLE) -> None:
    """What `run` would write now. Stores nothing.

    Exit codes as of `run`.
    """
    _draw_up(period, form, write=False, early=True)


@app.command()
def run(
    period: PeriodArgument,
    early: EarlyOption = False,
    name: AsOption = None,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Draw up a draft for each active account. Safe to repeat: drafts are replaced where usage has changed.

    Exit code 4: done, but something waits for a person: an account that the run stopped at, usage in quarantine, or
    usage that came after an invoice was issued; or nothing is drawn up, since charges are due that `tollbook charges
    post` has not posted. 3: no account is active.
    """
    _draw_up(period, form, write=not dry_run, early=early, drawn_by=runner(name))


for each in (approve, diff, margin, release):
    app.command()(each)


@app.command()
def finalize(
    period: PeriodArgument, early: EarlyOption = False, dry_run: DryRunOption = False, form: FormatOption = Format.TABLE
) -> None:
    """Issue the drafts of a period: numbers without a gap, and invoices that never change. Safe to repeat.

    Exit code 4: done, but something waits for a person: an account that the run stopped at, a draft that is not what
    was drawn up or approved or that is held back, usage in quarantine, or usage that came after the run; and where
    nothing is issued: drafts that nobody approved, or a control total of no account's usage that does not match. 3:
    there was nothing to issue.
    """
    from billing.flows.finalize import finalize as issue
    from billing.flows.finalize import rehearse
    from billing.periods import Period
    from cli.db import settings, writing
    from cli.world import actor, now

    month = Period.parse(period)
    with writing() as engine:
        rules = rules_of(settings())
        if dry_run:
            report = rehearse(engine, month, now(), early=early, rules=rules)
        else:
            report = issue(engine, month, now(), actor=actor(), early=early, rules=rules)
    if dry_run:
        issued = _list(month, form, without=report.held)
        say_left(report)
    else:
        issued = report.issued
        show_issued(report, form)
    if report.needs_a_person:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if not issued:
        raise typer.Exit(Exit.NOTHING_TO_DO)


@app.command("show")
def show_(
    what: Annotated[str, typer.Argument(help="An invoice's number, or a month for all of its invoices.")],
    account: Annotated[str, typer.Argument(help="With a month: the account. With a number: whose it must be.")] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Show an invoice with its lines, or the invoices of a month (the drafts, before they are issued)."""
    found = list(invoices_of(what, account))
    if not account and is_period(what):
        emit([_listed(invoice) for invoice in found], _LISTED, form, title=f"Invoices of {what}")
    elif form is Format.JSON:
        emit_json([_document(invoice) for invoice in found] if len(found) > 1 else _document(found[0]))
    elif form is Format.CSV:
        _write_csv(found)
    else:
        for invoice in found:
            show_invoice(invoice)


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="An invoice's number, or a month for all of its invoices.")],
    account: Annotated[str, typer.Argument(help="With a month: the account. With a number: whose it must be.")] = "",
    form: Annotated[
        ExportFormat, typer.Option("--format", "-f", help="json: one object a line; csv: one row a line.")
    ] = (ExportFormat.CSV),
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of standard output.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --output replace a file.")] = False,
) -> None:
    """Hand invoices on, whole: JSON (one object a line) or CSV (one row for each line); drafts too, and says so."""
    from collections import Counter

    from billing.documents import csv_document, json_document
    from billing.invoices import State

    if output is not None:
        check_target("--output", output, overwrite=overwrite)
    render = json_document.render if form is ExportFormat.JSON else csv_document.render
    found = invoices_of(what, account)
    first = next(found)  # before a header is written of what there is not
    states: Counter[bool] = Counter()

    def passing() -> Iterator["Invoice"]:
        for invoice in chain([first], found):
            states[invoice.state is State.FINAL] += 1
            yield invoice

    _write(output, render(passing()))
    if states[False]:
        among = f" (and {counted(states[True], 'issued invoice')})" if states[True] else ""
        say(f"{counted(states[False], 'draft')}{among}: a draft has no number, and may still change.")


def show_invoice(invoice: "Invoice") -> None:
    """Print an invoice for a person."""
    document = _document(invoice)
    head = f"Invoice {invoice.number}" if invoice.number else f"Draft of {invoice.period}"
    if invoice.corrects:
        head = f"Credit note {invoice.number}" if invoice.number else "Draft of a credit note"
        head += f" for {invoice.corrects} of {invoice.adjusts[0].period}"
    who = f"{document['name']} ({document['account']})" if document["name"] else document["account"]
    dates = f", issued {document['issued_on']}, due {document['due_on']}" if invoice.issued_on else ""
    total = {"destination": "total", "amount": document["total"], "unit_price": document["currency"]}
    show(table(document["lines"], LINES, title=f"{head}: {who}, {invoice.period}{dates}", total=total))


def _draw_up(period: str, form: Format, *, write: bool, early: bool, drawn_by: str = "") -> None:
    from billing.flows.draw_up import draw_up
    from billing.flows.post import unposted, until_end
    from billing.periods import Period
    from cli.db import settings, writing
    from cli.world import actor, now, products

    with writing() as engine:
        month = Period.parse(period)
        drawn = draw_up(
            engine,
            products(),
            month,
            now(),
            write=write,
            actor=actor(),
            drawn_by=drawn_by,
            early=early,
            bounds=bounds_of(settings()),
            late_limit=settings().late_limit,
        )
        missing = 0 if write else unposted(engine, until_end(month, now()))
    show_run(drawn, form, each_account=not write)
    if missing:
        lack = of_number(missing, "was not posted, and is", "were not posted, and are")
        say(f"{counted(missing, 'due charge')} {lack} in none of this: tollbook charges post")
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if drawn.report.needs_a_person:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if not drawn.report.active:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def is_period(what: str) -> bool:
    """Whether a text names a month rather than an invoice."""
    import re

    return re.fullmatch(r"[0-9]{4}-[0-9]{2}", what) is not None


def invoices_of(what: str, account: str = "") -> Iterator["Invoice"]:
    """The invoices and credit notes asked for: issued ones, then drafts.

    Raises InvoiceMissingError where there are none, InvoiceMismatchError where the number is another account's.
    """
    from itertools import product

    from billing.invoices import Kind
    from billing.periods import Period
    from billing.store.queries.invoices import all_invoices
    from cli.db import reading

    if not is_period(what):
        yield one_invoice(what, account)
        return
    found = 0
    month = Period.parse(what)
    with reading() as connection:
        for final, kind in product((True, False), Kind):
            for invoice in all_invoices(connection, month, final=final, account=account, kind=kind):
                found += 1
                yield invoice
    if not found:
        remedy = f"draw it up with `tollbook invoices run {what}`"
        raise InvoiceMissingError("there is no invoice, nor a draft", value=f"{what} {account}".strip(), remedy=remedy)


def one_invoice(number: str, account: str = "") -> "Invoice":
    """The issued invoice with a number, which must be `account`'s where one is named."""
    from billing.store.queries.invoices import invoices_by_number
    from cli.db import reading

    series, _, digits = number.rpartition("-")
    with reading() as connection:
        is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_NUMBER
        found = invoices_by_number(connection, series, int(digits)) if is_number else []
    if not found:
        remedy = "`tollbook invoices show MONTH`, with a month as 2026-10, lists its invoices with their numbers"
        raise InvoiceMissingError("no invoice has this number", value=number, remedy=remedy)
    accounts = [invoice.party.account for invoice in found]
    wanted = [invoice for invoice in found if account in {"", invoice.party.account}]
    if not wanted:
        problem, remedy = (
            f"is an invoice of {', '.join(accounts)}, not of {account}",
            "leave the account out, or mend it",
        )
        raise InvoiceMismatchError(problem, value=number, remedy=remedy)
    if len(wanted) > 1:
        problem = f"is the number of several legal entities' invoices: of {', '.join(accounts)}"
        raise InvoiceMismatchError(problem, value=number, remedy="name the account after it")
    return wanted[0]


def _list(month: "Period", form: Format, *, without: Collection[str]) -> int:
    """Print the drafts of a month but for some accounts, and give how many there are."""
    from billing.invoices import Kind
    from billing.store.queries.invoices import all_invoices
    from cli.db import reading

    with reading() as connection:
        drafts = chain.from_iterable(all_invoices(connection, month, final=False, kind=kind) for kind in Kind)
        rows = [_listed(draft) for draft in drafts if draft.party.account not in without]
    emit(rows, _LISTED, form, title=f"Drafts of {month} that would be issued")
    return len(rows)


def _listed(invoice: "Invoice") -> dict[str, Any]:
    document = _document(invoice)
    return {**document, "lines": len(invoice.lines)}


def _document(invoice: "Invoice") -> dict[str, Any]:
    from billing.documents.json_document import document

    return document(invoice)


def _write_csv(invoices: Iterable["Invoice"]) -> None:
    import sys

    from billing.documents import csv_document

    sys.stdout.writelines(csv_document.render(invoices))


def _write(path: Path | None, texts: Iterable[str]) -> None:
    """Write texts to standard output, or to a file that is there only when it is whole."""
    import sys

    if path is None:
        sys.stdout.writelines(texts)
        return
    with writing_whole(path, or_nothing=True) as stream:
        stream.writelines(each.encode() for each in texts)
