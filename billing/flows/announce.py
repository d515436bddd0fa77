"""Tell that invoices and credit notes are issued, in the transaction that issues them; nothing where nobody listens."""

from datetime import datetime

from billing.invoices import Kind
from billing.store.drafts import Taken
from billing.store.engine import Connection
from billing.store.queries.invoices import IssuedInShort, issued_in_short
from billing.store.webhooks import emit, has_endpoints
from billing.webhooks import Message, MessageType
from rates.money import format_minor

_TYPES = {Kind.USAGE: MessageType.INVOICE_ISSUED, Kind.CREDIT_NOTE: MessageType.CREDIT_NOTE_ISSUED}


def announce(connection: Connection, issued: Taken, *, at: datetime) -> int:
    """Tell of each document that was just issued, once. Gives how many messages that is."""
    if not has_endpoints(connection):
        return 0
    documents = issued_in_short(connection, issued.payers, issued.ids)
    return emit(connection, [_message(each, at) for each in documents])


def _message(document: IssuedInShort, at: datetime) -> Message:
    data: dict[str, object] = {
        "number": document.number,
        "legal_entity": document.legal_entity,
        "account": document.account,
        "period": f"{document.period_start:%Y-%m}",
        "currency": document.currency,
        "total": format_minor(document.total_minor, document.currency),
        "lines": document.lines,
        "issued_on": document.issued_on.isoformat(),
        "due_on": document.due_on.isoformat(),
    }
    if document.origin_start is not None:
        data |= {
            "corrects": document.corrects,
            "reason": document.reason,
            "origin_period": f"{document.origin_start:%Y-%m}",
        }
    return Message(
        type=_TYPES[document.kind],
        subject=" ".join(filter(None, (document.legal_entity, document.number))),
        account=document.account,
        at=at,
        data=data,
    )
