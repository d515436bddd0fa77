"""A line that adjusts an earlier month, explained for people and for programs."""

from typing import TYPE_CHECKING, Any

from cli.output import Format, emit, emit_csv, emit_json, emit_record, money, number, text
from cli.words import counted

if TYPE_CHECKING:
    from billing.adjustments import AdjustmentExplanation
    from billing.invoices import Invoice

_EVENTS = (
    text("occurred_at", "when"),
    text("received_at", "came"),
    text("source"),
    text("id"),
    number("base_quantity", "quantity"),
)


def is_adjustment(invoice: "Invoice", wanted: int) -> bool:
    """Whether the line of that number is of an earlier month."""
    return 1 <= wanted <= len(invoice.lines) and invoice.lines[wanted - 1].origin_period != invoice.period


def show_adjustment(found: "AdjustmentExplanation", wanted: int, form: Format, *, first: int) -> None:
    """Print the explanation of such a line."""
    from billing.records import adjustment_record

    said: dict[str, Any] = adjustment_record(found, wanted)
    rows = said["page"]
    line = found.line
    if form is Format.CSV:
        emit_csv(rows, _EVENTS)
        return
    if form is Format.JSON:
        emit_json(said)
        return
    emit_record(
        {
            "line": " ".join(filter(None, (line.product, line.element, line.destination))),
            "tier": line.tier or None,
            "billed before": _words(said["before"], found),
            "by": ", ".join(f"{name}: {money(amount, found.currency)}" for name, amount in found.issued) or "nothing",
            "now": _words(said["now"], found),
            "difference": _words(said["difference"], found),
            "came since": counted(found.came, "report") + f" of {line.product}"
            if line.product
            else "nothing of its own",
        },
        form,
        title=f"Line {wanted} of {found.account}, {found.period}: adjusts {line.origin_period}",
    )
    if rows:
        which = f"Reports {first + 1:,} to {first + len(rows):,} of {found.came:,} since, in order"
        which += "; what went is below zero"
        emit(rows, _EVENTS, form, title=which)


def _words(said: dict[str, Any], found: "AdjustmentExplanation") -> str:
    amount = money(said["amount"], found.currency)
    if not found.line.cards and not said["events"]:  # of what is agreed, there is nothing but the money
        return amount
    return f"{amount}: {counted(said['events'], 'event')}, {said['base_quantity']:,} {found.line.base_unit}"
