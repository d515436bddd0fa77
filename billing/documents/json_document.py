"""An invoice as JSON: one object, its lines numbered, as FORMATS 6 has them. Many invoices are one object a line."""

import json
from collections.abc import Iterable, Iterator

from billing.invoices import CORRECTION, Invoice, record
from rates.money import format_minor


def document(invoice: Invoice) -> dict[str, object]:
    """The invoice as plain values. Of a draft `number`, `issued_on` and `due_on` are null."""
    party = invoice.party
    return {
        "number": invoice.number or None,
        "state": invoice.state.value,
        "kind": invoice.kind.value,
        "account": party.account,
        "name": party.name,
        "address": list(party.address),
        "tax_id": party.tax_id,
        "legal_entity": party.legal_entity,
        "period": invoice.period,
        "issued_on": invoice.issued_on.isoformat() if invoice.issued_on else None,
        "due_on": invoice.due_on.isoformat() if invoice.due_on else None,
        "corrects": invoice.corrects or None,
        "reason": CORRECTION if invoice.corrects else None,
        "adjusts": [each.period for each in invoice.adjusts],
        "currency": party.currency,
        "lines": [{"line": n, **record(line, party.currency)} for n, line in enumerate(invoice.lines, start=1)],
        "total": format_minor(invoice.total_minor, party.currency),
        "billed_sha256": invoice.billed_sha256,
        "summed_sha256": invoice.summed_sha256,
        "sha256": invoice.sha256,
    }


def render(invoices: Iterable[Invoice]) -> Iterator[str]:
    """One line of JSON for each invoice, each with its end of line."""
    return (json.dumps(document(invoice), ensure_ascii=False) + "\n" for invoice in invoices)


def parse(text: str) -> list[dict[str, object]]:
    """The documents of a rendering, as `document` gave them."""
    return [json.loads(line) for line in text.split("\n") if line]
