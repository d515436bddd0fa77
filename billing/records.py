"""Statements, explanations and histories as plain values: what the command line prints and the service answers.

Money and quantities are decimals as text, instants RFC 3339 in UTC, numbers of things integers.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain

from billing.adjustments import AdjustmentExplanation
from billing.adjustments import Part as AdjustedPart
from billing.bills import Bills
from billing.explanations import EventExplanation, EventShare, LineExplanation
from billing.histories import History
from billing.invoices import InvoiceLine, record
from billing.runs import AccountOutcome, IssueReport, RunReport
from billing.statements import Statement
from rates.cards import instant
from rates.money import Currency, format_minor

Record = dict[str, object]


def numbered(lines: Sequence[InvoiceLine], currency: Currency) -> list[Record]:
    """Lines with their numbers, from 1."""
    return [{"line": n, **record(line, currency)} for n, line in enumerate(lines, start=1)]


def statement_record(found: Statement) -> Record:
    """A statement."""
    money = found.party.currency
    sums = {"by_product": found.by_product, "by_country": found.by_country}
    return {
        "account": found.party.account,
        "name": found.party.name,
        "period": str(found.period),
        "at": instant(found.at),
        "estimate": found.estimate,
        "currency": money,
        "total": format_minor(found.total_minor, money),
        **{name: {key: format_minor(minor, money) for key, minor in by.items()} for name, by in sums.items()},
        "waiting": dict(found.waiting),
        "pending": found.pending,
        "invoices": [
            {
                "number": invoice.number,
                "issued_on": invoice.issued_on.isoformat() if invoice.issued_on else None,
                "due_on": invoice.due_on.isoformat() if invoice.due_on else None,
                "total": format_minor(invoice.total_minor, invoice.party.currency),
                "currency": invoice.party.currency,
            }
            for invoice in found.invoices
        ],
        "unbilled": {
            "events": found.later,
            "amount": format_minor(found.unbilled_minor, money),
            "lines": [record(line, money) for line in found.unbilled],
        },
        "billed_by": list(found.adjusted_by),
        "adjustments": [record(line, money) for line in found.adjustments],
        "progress": [asdict(each) for each in found.progress],
        "lines": numbered(found.lines, money),
    }


def bills_record(bills: Bills) -> Record:
    """Bills as FORMATS 6 writes them. Accounts may have currencies of their own; then `currency` is empty."""
    currencies = {each.currency for each in bills.bills}
    return {
        "period": str(bills.period),
        "currency": currencies.pop() if len(currencies) == 1 else "",
        "accounts": [
            {
                "account": each.account,
                "currency": each.currency,
                "lines": [record(line, each.currency) for line in each.lines],
                "total": format_minor(each.total_minor, each.currency),
            }
            for each in bills.bills
        ],
        "quarantined": [{"source": e.source, "id": e.id, "reason": e.reason} for e in bills.quarantined],
    }


def event_record(found: EventExplanation) -> Record:
    """An event and what became of it, without its parts."""
    return {
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
        "said": dict(found.said),
        "measured": found.measured,
        "increments": found.increments,
        "billed": found.billed,
        "reason": found.reason,
        "remedy": found.remedy,
        "invoice": found.invoice,
        "late": {"invoice": found.missed} if found.late else None,
    }


def parts_record(found: EventExplanation) -> list[Record]:
    """What of an event lies on which line, and how it came to its price."""
    return [asdict(part) for part in found.parts]


def revisions_record(history: History) -> list[Record]:
    """All reports of an event, the highest first, each with what it changed."""
    return [
        {
            "revision": report.revision,
            "received_at": instant(report.received_at),
            "standing": str(report.standing),
            "void": report.is_void,
            "changes": [change._asdict() for change in history.changes(place)],
            "charge": report.charge,
            "reason": report.reason,
            "content": dict(report.content),
        }
        for place, report in enumerate(history.reports)
    ]


def void_record(history: History) -> Record:
    """What is left of an event that was taken back."""
    head = {"source": history.source, "id": history.id, "revision": history.reports[0].revision}
    return {**head, "void": True, "revisions": revisions_record(history)}


def share_record(share: EventShare) -> Record:
    """What an event adds to a line."""
    row = asdict(share)
    caller = row.pop("from_")
    return {**row, "occurred_at": instant(share.occurred_at), "from": caller}


def line_record(found: LineExplanation, number: int) -> Record:
    """The explanation of the line of a number, and a page of its events."""
    return {
        "account": found.account,
        "invoice": found.invoice,
        "period": found.period,
        "line": number,
        "product": found.line.product,
        "element": found.line.element,
        "destination": found.line.destination,
        "tier": found.line.tier,
        "cards": list(found.line.cards),
        "unit_price": found.unit_price,
        "arithmetic": found.arithmetic,
        "events": found.events,
        "events_listed": found.listed,
        "base_quantity": found.base_quantity,
        "adds_up": found.adds_up,
        "of_lines": list(found.of),
        "later_events": found.later,
        "page": [share_record(each) for each in found.page],
    }


def adjustment_record(found: AdjustmentExplanation, number: int) -> Record:
    """The explanation of the line of a number that adjusts an earlier month, and a page of what came since."""
    line, money = found.line, found.currency
    return {
        "account": found.account,
        "invoice": found.invoice,
        "period": found.period,
        "line": number,
        "origin_period": line.origin_period,
        "product": line.product,
        "element": line.element,
        "destination": line.destination,
        "tier": line.tier,
        "before": _part(found.before, money),
        "now": _part(found.now, money),
        "difference": _lying(line.events, line.base_quantity, line.amount_minor, money),
        "issued": [{"number": name, "amount": amount} for name, amount in found.issued],
        "came": found.came,
        "page": [
            {
                "occurred_at": instant(each.occurred_at),
                "received_at": instant(each.received_at),
                "source": each.source,
                "id": each.id,
                "base_quantity": each.base_quantity,
            }
            for each in found.page
        ],
    }


def _part(part: AdjustedPart, money: Currency) -> Record:
    return _lying(part.events, part.base_quantity, part.amount_minor, money)


def _lying(events: int, base_quantity: int, amount_minor: int, money: Currency) -> Record:
    return {"events": events, "base_quantity": base_quantity, "amount": format_minor(amount_minor, money)}


def run_record(report: RunReport) -> Record:
    """What a run came to, without its accounts one by one."""
    return {
        "period": str(report.period),
        "written": report.written,
        "provisional": report.provisional,
        "active": report.active,
        "billed": report.billed,
        "zero": report.zero,
        "parked": report.parked,
        "failed": report.failed,
        "final": report.final,
        "lines": report.lines,
        "totals": {code: format_minor(minor, code) for code, minor in report.totals_minor.items()},
        "late": list(report.late),
        "quarantined": dict(report.quarantined),
        "pending": report.pending,
        "mismatches": list(report.mismatches),
        "credit_notes": report.credit_notes,
        "adjustments": [
            {"period": origin, "currency": code, "amount": format_minor(minor, code)}
            for (origin, code), minor in report.adjusted.items()
        ],
        "held_adjustments": [
            {
                "account": each.account,
                "period": each.origin,
                "amount": format_minor(each.net_minor, each.currency),
                "currency": each.currency,
                "releasable": each.releasable,
                "why": each.why,
            }
            for each in report.held
        ],
    }


def outcomes_record(outcomes: Sequence[AccountOutcome]) -> list[Record]:
    """What a run came to for some accounts."""
    return [
        {
            "account": each.account,
            "outcome": "final" if each.final else str(each.outcome),
            "lines": each.lines,
            "total": format_minor(each.total_minor, each.currency) if each.currency else "",
            "currency": each.currency,
            "reason": each.reason,
        }
        for each in outcomes
    ]


def issue_record(report: IssueReport) -> Record:
    """What a finalization did, and what it left."""
    return {
        "period": str(report.period),
        "issued": report.issued,
        "numbers": list(chain.from_iterable(report.numbers.values())),
        "totals": {code: format_minor(minor, code) for code, minor in report.totals_minor.items()},
        "refused": list(report.refused),
        "unsigned": {account: str(why) for account, why in report.unsigned.items()},
        "stopped": list(report.stopped),
        "withdrawn": {account: str(why) for account, why in report.withdrawn.items()},
        "late": list(report.late),
        "quarantined": dict(report.quarantined),
        "unmatched": {account: list(each) for account, each in report.unmatched.items()},
        "waiting": dict(report.waiting),
        "outdated": list(report.outdated),
        "carried": dict(report.carried),
        "mismatches": list(report.mismatches),
    }
