"""Invoices, credit notes and drafts as a list of documents, and their lines a page at a time."""

from datetime import date
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import dict_row

from billing.invoices import Invoice, InvoiceLine, Kind, State, number_text
from billing.periods import Period
from billing.store.engine import Connection
from billing.store.queries.invoices import line_of, read_invoices
from rates.money import Currency


class Document(NamedTuple):
    """An invoice or credit note, or a draft of one, without its lines. Of a draft `number` and dates are empty.

    `id` is the same before and after it is issued.
    """

    id: int
    payer: int
    account: str
    number: str
    state: State
    kind: Kind
    period: Period
    issued_on: date | None
    due_on: date | None
    corrects: str
    lines: int
    total_minor: int
    currency: Currency
    sha256: str


class Sought(NamedTuple):
    """Which documents: of a billing account and of those that it pays for, of an account, …; None and "" for any."""

    payer: str = ""
    account: str = ""
    period: Period | None = None
    state: str = ""
    kind: str = ""
    final: bool = False
    id: int | None = None
    number: tuple[str, int] | None = None


def documents(
    connection: Connection, sought: Sought, *, before: tuple[str, int] | None = None, limit: int
) -> list[Document]:
    """Documents, the newest month and among them the newest first, at most `limit` that come after a place.

    A place is the first day of a document's month, and its id.
    """
    facts = {
        **sought._asdict(),
        "period": None if sought.period is None else sought.period.start,
        "series": None if sought.number is None else sought.number[0],
        "number": None if sought.number is None else sought.number[1],
        "day": None if before is None else before[0],
        "before": None if before is None else before[1],
        "limit": limit,
    }
    return [_document(row) for row in connection.execute(_DOCUMENTS, facts)]


def whole(connection: Connection, of: Document) -> Invoice | None:
    """A document with its lines; None where it is not there any more."""
    found = read_invoices(connection, of.period, final=of.state is State.FINAL, account=of.account, kind=of.kind)
    return next((each for each in found if each.sha256 == of.sha256), None)


def document_lines(connection: Connection, of: Document, *, after: int, limit: int) -> list[tuple[int, InvoiceLine]]:
    """Lines of a document with their numbers, those that follow one."""
    cursor = connection.cursor(row_factory=dict_row)
    table = sql.Identifier("invoice_lines" if of.state is State.FINAL else "draft_lines")
    cursor.execute(sql.SQL(_LINES_AFTER).format(table), [of.payer, of.id, after, limit])
    return [(row.pop("line_no"), line_of(row)) for row in cursor]


def _document(row: tuple[Any, ...]) -> Document:
    id_, payer, account, series, number, state, kind, start, end, *rest = row
    name = "" if number is None else number_text(series, number)
    return Document(id_, payer, account, name, State(state), Kind(kind), Period(start=start, end=end), *rest)


_LINES_AFTER = """
    SELECT line_no, unit_size, events, base_quantity, amount_minor, unit_price, unit_price_exact, product, element,
           country, destination, tier, unit, base_unit, residual, origin_period, cards
    FROM {} WHERE payer_id = %s AND invoice_id = %s AND line_no > %s ORDER BY line_no LIMIT %s
"""

_DOCUMENTS = """
WITH RECURSIVE paid AS (
    SELECT account_id FROM accounts WHERE id = %(payer)s
    UNION ALL
    SELECT below.account_id FROM accounts AS below JOIN paid ON below.parent_id = paid.account_id WHERE NOT below.pays
)
SELECT * FROM (
    SELECT invoice_id, payer_id, account, series, number, 'final' AS state, kind, period_start, period_end,
           issued_on, due_on, corrects, lines, total_minor, currency, encode(sha256, 'hex') AS sha256
    FROM invoices
    UNION ALL
    SELECT invoice_id, payer_id, account, NULL, NULL, state, kind, period_start, period_end,
           NULL, NULL, corrects, lines, total_minor, currency, encode(sha256, 'hex')
    FROM draft_invoices WHERE NOT %(final)s
) AS document
WHERE (%(payer)s = '' OR payer_id IN (SELECT account_id FROM paid)) AND (%(account)s = '' OR account = %(account)s)
    AND (%(period)s::date IS NULL OR period_start = %(period)s)
    AND (%(state)s = '' OR state = %(state)s) AND (%(kind)s = '' OR kind = %(kind)s)
    AND (%(id)s::bigint IS NULL OR invoice_id = %(id)s)
    AND (%(series)s::text IS NULL OR (series = %(series)s AND number = %(number)s))
    AND (%(before)s::bigint IS NULL OR (period_start::text, invoice_id) < (%(day)s, %(before)s))
ORDER BY period_start DESC, invoice_id DESC LIMIT %(limit)s
"""
