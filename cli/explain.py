"""`tollbook explain`: from a line down to its events, and from an event up to its lines."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.histories import show_revisions, show_taken_back
from cli.output import (
    Format,
    FormatOption,
    address_cells,
    address_columns,
    emit,
    emit_csv,
    emit_json,
    emit_record,
    number,
    readable,
    say,
    text,
)
from cli.remedies import command_of
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.explanations import EventExplanation, LineExplanation
    from billing.histories import History
    from cli.db import Engine

app = typer.Typer(no_args_is_help=True, help="Explain a line by its events, or an event by its card and arithmetic.")

_EVENTS = (
    text("when"),
    text("source"),
    text("id"),
    text("from", spare=1),
    text("to"),
    number("events", spare=3),
    number("base_quantity", "quantity"),
    number("exact_amount", "exact amount"),
)
# Numbers are digits where a spreadsheet reads them (FORMATS 6); what is no number is an address.
_EVENTS_CSV = (
    text("occurred_at"),
    text("source"),
    text("id"),
    *address_columns("from"),
    *address_columns("to"),
    number("events"),
    number("base_quantity"),
    number("exact_amount"),
)
_SECONDS = len("2026-10-01T00:00:00")  # what follows is for programs
_PARTS = (
    text("line_no", "line"),
    text("element"),
    text("card"),
    text("row", "rate"),
    text("matched"),
    text("destination"),
    text("window"),
    text("tier"),
    text("position", "counter before"),
    text("arithmetic"),
    text("note"),
)


@app.command()
def line(
    words: Annotated[
        list[str],
        typer.Argument(metavar="INVOICE LINE | MONTH ACCOUNT LINE", help="As in INV-000001 2, or 2026-10 acme 2."),
    ],
    first: Annotated[int, typer.Option(min=0, help="Events to skip.")] = 0,
    size: Annotated[int, typer.Option(min=1, max=100_000, help="Events to show.")] = 20,
    form: FormatOption = Format.TABLE,
) -> None:
    """The events that add up to a line of an invoice, a draft, or the month so far."""
    from billing.flows.explain import explain_line
    from billing.flows.explain_adjustment import adjusting_invoice, explain_adjustment
    from cli.adjustments import is_adjustment, show_adjustment
    from cli.db import writing
    from cli.options import period_of
    from cli.world import products

    period, account, wanted = _asked(words)
    number = words[0] if len(words) == 2 else ""  # noqa: PLR2004 (an invoice's number and a line's)
    with writing() as engine:
        invoice = adjusting_invoice(engine, period_of(period), account, number)
        if invoice is not None and is_adjustment(invoice, wanted):
            explained = explain_adjustment(engine, invoice, wanted, first=first, size=size)
            show_adjustment(explained, wanted, form, first=first)
            return
        found = explain_line(engine, products(), period_of(period), account, wanted, first=first, size=size)
    show_line(found, wanted, form, first=first)
    if found.later:
        of = f"invoice {found.invoice}" if found.invoice else "this draft"
        say(f"{counted(found.later, 'later event')} {of_number(found.later, 'is', 'are')} not on {of}.")
    if not found.adds_up and found.invoice:
        say(f"Its usage may have been rated again since {found.invoice} was issued: a later run adjusts what differs.")
    if not found.adds_up:
        raise typer.Exit(Exit.ERROR)


@app.command()
def event(
    source: Annotated[str, typer.Argument(help="The source that reported it.")],
    identity: Annotated[str, typer.Argument(metavar="ID", help="Its id there.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """How an event came to its price: card, prefix, increments, tiers, arithmetic; or why it has none."""
    from billing.charges import SOURCE
    from billing.flows.explain import explain_event
    from billing.flows.recall import recall_event
    from cli.db import writing
    from cli.world import products

    with writing() as engine:
        history = recall_event(engine, products(), source, identity)
        if history.is_void:
            show_taken_back(history, form)
            return
        found = explain_event(engine, products(), source, identity)
        resold = _resold(engine, source, identity)
    show_event(found, form, history)
    if resold is not None and form is Format.TABLE:
        show_event(resold[0], form, resold[1])
    elif resold is not None:
        say(f"It is resold to {resold[0].payer}: see `tollbook explain event {resold[0].source} {identity}`.")
    if source == SOURCE:
        charge, _, number = identity.rpartition("/")
        say(f"Due {number} of the charge {charge}; what it is, and when it was due: tollbook charges show {charge}")


def _resold(engine: "Engine", source: str, identity: str) -> "tuple[EventExplanation, History] | None":
    """What a reseller charges for an event; None where nobody does."""
    from billing.flows.explain import explain_event
    from billing.flows.recall import recall_event
    from billing.payers import SubjectMissingError
    from billing.reselling import mirror_of
    from cli.world import products

    other = mirror_of(source)
    try:
        history = recall_event(engine, products(), other, identity)
    except SubjectMissingError:
        return None
    return None if history.is_void else (explain_event(engine, products(), other, identity), history)


def show_line(found: "LineExplanation", wanted: int, form: Format, *, first: int = 0) -> None:
    """Print the explanation of a line."""
    from billing.records import line_record, share_record

    rows: list[dict[str, Any]] = [share_record(each) for each in found.page]
    if form is Format.CSV:
        addressed = [{**row, **address_cells("from", row["from"]), **address_cells("to", row["to"])} for row in rows]
        emit_csv(addressed, _EVENTS_CSV)
        return
    if form is Format.JSON:
        emit_json(line_record(found, wanted))
        return
    emit_record(
        {
            "line": " ".join(filter(None, (found.line.product, found.line.element, found.line.destination))),
            "tier": found.line.tier,
            "card": list(found.line.cards),
            "unit price": found.unit_price,
            "arithmetic": found.arithmetic,
            "its events": _sums(found),
        },
        form,
        title=f"Line {wanted} of {found.account}, {found.period}",
    )
    if rows:
        shown = [
            {**row, "when": f"{row['occurred_at'][:_SECONDS]}Z", "exact_amount": readable(row["exact_amount"])}
            for row in rows
        ]
        last = first + len(rows)
        which = f"Event {last:,}" if len(rows) == 1 else f"Events {first + 1:,} to {last:,}"
        emit(shown, _EVENTS, form, title=f"{which} of {found.listed:,}, in order")
    elif found.listed:
        say(f"{counted(found.listed, 'event')} {of_number(found.listed, 'has', 'have')} part in it: skip fewer.")


def show_event(found: "EventExplanation", form: Format, history: "History | None" = None) -> None:
    """Print the explanation of an event, with its revisions."""
    from billing.records import event_record, parts_record, revisions_record

    head: dict[str, Any] = {}
    for name, value in event_record(found).items():
        head |= {name: value} | ({"command": command_of(found.reason)} if name == "remedy" else {})
    parts = parts_record(found)
    if form is Format.JSON:
        reports = {} if history is None else {"revisions": revisions_record(history)}
        emit_json({**head, "parts": parts, **reports})
    elif form is Format.CSV:
        emit_csv(parts, _PARTS)
    else:
        said = "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.said.items())
        emit_record({**head, "said": said, "late": _lateness(found)}, form, title=f"Event {found.id} of {found.source}")
        if parts:
            emit(parts, _PARTS, form, title="Its lines")
        if history is not None:
            show_revisions(history)


def _sums(found: "LineExplanation") -> str:
    """How many events a line has, and whether they are all of it."""
    from billing.netted import is_netted
    from rates.lines import FLAT

    if is_netted(found.line):
        of = f"{of_number(len(found.of), 'line', 'lines')} {', '.join(map(str, found.of))}" if found.of else "no line"
        return f"none: it is of {of}"
    if found.line.element == FLAT:
        return "none: it is due by the tier that was reached, whichever events reached it"
    count = counted(found.listed, "event")
    if found.listed != found.events:
        has = of_number(found.listed, "has", "have")
        count = f"{count} {has} part in it, {found.events:,} {of_number(found.events, 'starts', 'start')} here"
    they = of_number(found.listed, "it adds up to the line", "they add up to the line")
    verdict = they if found.adds_up else "THEY DO NOT ADD UP TO THE LINE"
    return f"{count}, with {counted(found.base_quantity, found.line.base_unit)}: {verdict}"


def _lateness(found: "EventExplanation") -> str:
    """What a person is told of an event that came after the bill."""
    if not found.late:
        return ""
    if found.missed:
        return f"it came after invoice {found.missed} was drawn up, and the run of a later month adjusts it"
    return "it came after the draft was drawn up: the next run takes it in"


def _asked(words: list[str]) -> tuple[str, str, int]:
    """The period, the account and the number of a line."""
    from cli.invoices import is_period, one_invoice

    wanted = words[-1]
    if (
        len(words) not in {2, 3}
        or not (wanted.isascii() and wanted.isdecimal())
        or is_period(words[0])
        == (
            len(words) == 2  # noqa: PLR2004 (an invoice's number and a line's)
        )
    ):
        raise typer.BadParameter("write INVOICE LINE, as in INV-000001 2, or MONTH ACCOUNT LINE, as in 2026-10 acme 2")
    if is_period(words[0]):
        return words[0], words[1], int(wanted)
    invoice = one_invoice(words[0])
    return invoice.period, invoice.party.account, int(wanted)
