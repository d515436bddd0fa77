"""`tollbook explain`: from a line down to its events, and from an event up to its lines."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.output import Format, FormatOption, emit, emit_csv, emit_json, emit_record, number, readable, say, text

if TYPE_CHECKING:
    from billing.explanations import EventExplanation, LineExplanation

app = typer.Typer(no_args_is_help=True, help="Explain a line by its events, or an event by its card and arithmetic.")

_EVENTS = (
    text("source"),
    text("id"),
    number("events"),
    number("base_quantity", "quantity"),
    number("exact_amount", "exact amount"),
)
_PARTS = (
    text("line_no", "line"),
    text("element"),
    text("card"),
    text("row", "rate row"),
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
    words: Annotated[list[str], typer.Argument(metavar="INVOICE LINE | PERIOD ACCOUNT LINE")],
    first: Annotated[int, typer.Option(min=0, help="Events to skip.")] = 0,
    size: Annotated[int, typer.Option(min=1, max=100_000, help="Events to show.")] = 20,
    form: FormatOption = Format.TABLE,
) -> None:
    """The events that add up to a line of an invoice, a draft, or the month so far."""
    from billing.flows.explain import explain_line
    from cli.db import writing
    from cli.options import period_of
    from cli.world import products

    period, account, wanted = _asked(words)
    with writing() as engine:
        found = explain_line(engine, products(), period_of(period), account, wanted, first=first, size=size)
    show_line(found, wanted, form, first=first)
    if not found.adds_up and not found.outdated:
        raise typer.Exit(Exit.ERROR)
    if found.outdated:
        say("Usage has changed since this invoice: what is shown is as of now, not as it was billed.")
        raise typer.Exit(Exit.NEEDS_A_PERSON)


@app.command()
def event(
    source: Annotated[str, typer.Argument(help="The source that reported it.")],
    identity: Annotated[str, typer.Argument(metavar="ID", help="Its id there.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """How an event came to its price: card, prefix, increments, tiers, arithmetic; or why it has none."""
    from billing.flows.explain import explain_event
    from cli.db import writing
    from cli.world import products

    with writing() as engine:
        found = explain_event(engine, products(), source, identity)
    show_event(found, form)


def show_line(found: "LineExplanation", wanted: int, form: Format, *, first: int = 0) -> None:
    """Print the explanation of a line."""
    rows = [asdict(each) for each in found.page]
    if form is Format.CSV:
        emit_csv(rows, _EVENTS)
        return
    head = {
        "account": found.account,
        "period": found.period,
        "line": wanted,
        "product": found.line.product,
        "element": found.line.element,
        "destination": found.line.destination,
        "tier": found.line.tier,
        "cards": list(found.line.cards),
        "arithmetic": found.arithmetic,
        "events": found.events,
        "base_quantity": found.base_quantity,
        "adds_up": found.adds_up,
        "outdated": found.outdated,
    }
    if form is Format.JSON:
        emit_json({**head, "page": rows})
        return
    base = found.line.base_unit
    sums = f"{found.events:,} events with {found.base_quantity:,} {base}s"
    emit_record(
        {
            "line": " ".join(filter(None, (found.line.product, found.line.element, found.line.destination))),
            "tier": found.line.tier,
            "card": list(found.line.cards),
            "arithmetic": found.arithmetic,
            "its events": f"{sums}: {'they add up to the line' if found.adds_up else 'THEY DO NOT ADD UP TO THE LINE'}",
        },
        form,
        title=f"Line {wanted} of {found.account}, {found.period}",
    )
    if rows:
        shown = [{**row, "exact_amount": readable(str(row["exact_amount"]))} for row in rows]
        last = first + len(rows)
        emit(shown, _EVENTS, form, title=f"Events {first + 1:,} to {last:,} of {found.events:,}, in order")


def show_event(found: "EventExplanation", form: Format) -> None:
    """Print the explanation of an event."""
    from rates.cards import instant

    head: dict[str, Any] = {
        "source": found.source,
        "id": found.id,
        "account": found.account,
        "payer": found.payer,
        "product": found.product,
        "occurred_at": instant(found.occurred_at),
        "received_at": instant(found.received_at),
        "to": found.to,
        "from": found.from_,
        "country": found.country,
        "status": found.status,
        "measured": found.measured,
        "increments": found.increments,
        "billed": found.billed,
        "reason": found.reason,
        "remedy": found.remedy,
    }
    parts = [asdict(part) for part in found.parts]
    if form is Format.JSON:
        emit_json({**head, "parts": parts})
    elif form is Format.CSV:
        emit_csv(parts, _PARTS)
    else:
        emit_record(head, form, title=f"Event {found.id} of {found.source}")
        if parts:
            emit(parts, _PARTS, form, title="Its lines")


def _asked(words: list[str]) -> tuple[str, str, int]:
    """The period, the account and the number of a line."""
    from cli.invoices import invoices_of

    if len(words) not in {2, 3} or not words[-1].isdecimal():
        raise typer.BadParameter("write INVOICE LINE, as in INV-000001 2, or PERIOD ACCOUNT LINE, as in 2026-10 acme 2")
    if len(words) == 2:  # noqa: PLR2004 (an invoice's number and a line's)
        (invoice,) = invoices_of(words[0])
        return invoice.period, invoice.party.account, int(words[1])
    return words[0], words[1], int(words[2])
