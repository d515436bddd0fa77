"""Drafts and final invoices as frozen values, and what is known of a period's run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import dict_row

from billing.invoices import Adjusted, Invoice, InvoiceLine, Kind, Party, State, number_text
from billing.periods import Period
from billing.runs import Withdrawal
from billing.store.engine import Connection
from rates.money import Currency, exact, parse_fraction

PAGE = 1000
"""How many invoices are read at a time."""


class FinalInvoice(NamedTuple):
    """What a run needs of an invoice that is issued."""

    account: str
    currency: Currency
    total_minor: int
    lines: int
    billed_sha256: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRun:
    """The newest run of a period, and whom it stopped at, by their account's name; `withdrawn` drafts went since.

    `late` counts invoices that were final before it and whose usage had changed; `snapshot_id` names what it saw.
    """

    drawn_at: datetime
    active: int
    billed: int
    zero: int
    parked: int
    failed: int
    late: int
    snapshot_id: int
    stopped: tuple[str, ...]
    withdrawn: Mapping[str, Withdrawal]


def final_invoices(connection: Connection, period: Period) -> dict[int, FinalInvoice]:
    """The issued invoices of a period by their payer's number."""
    rows = connection.execute(
        "SELECT payer_id, account, currency, total_minor, lines, encode(billed_sha256, 'hex'), encode(sha256, 'hex')"
        " FROM invoices WHERE period_start = %s AND kind = %s",
        [period.start, Kind.USAGE],
    )
    return {payer: FinalInvoice(*facts) for payer, *facts in rows}


class IssuedInShort(NamedTuple):
    """What of an invoice is told to others when it is issued; `corrects` and `origin_start` are of credit notes."""

    kind: Kind
    number: str
    legal_entity: str
    account: str
    period_start: date
    issued_on: date
    due_on: date
    currency: Currency
    total_minor: int
    lines: int
    corrects: str
    reason: str
    origin_start: date | None


def issued_in_short(connection: Connection, payers: Sequence[int], ids: Sequence[int]) -> list[IssuedInShort]:
    """What was issued to payers under some ids, in the order of the payers."""
    rows = connection.execute(
        "SELECT kind, series, number, legal_entity, account, period_start, issued_on, due_on, currency,"
        " total_minor, lines, corrects, reason, origin_start FROM invoices"
        " JOIN unnest(%s::integer[], %s::bigint[]) AS taken(payer_id, invoice_id) USING (payer_id, invoice_id)"
        " ORDER BY payer_id, invoice_id",
        [payers, ids],
    )
    return [IssuedInShort(Kind(kind), number_text(series, number), *facts) for kind, series, number, *facts in rows]


def newest_run(connection: Connection, period: Period) -> DrawnRun | None:
    """The newest run of a period."""
    row = connection.execute(
        "SELECT drawn_at, active, billed, zero, parked, failed, late, snapshot_id FROM draft_runs"
        " WHERE period_start = %s ORDER BY run_id DESC LIMIT 1",
        [period.start],
    ).fetchone()
    if row is None:
        return None
    stops = connection.execute(
        "SELECT accounts.id, reason FROM draft_stops JOIN accounts ON account_id = payer_id"
        " WHERE period_start = %s ORDER BY 1",
        [period.start],
    ).fetchall()
    withdrawn = {name: Withdrawal(reason) for name, reason in stops if reason in {*Withdrawal}}
    names = ("drawn_at", "active", "billed", "zero", "parked", "failed", "late", "snapshot_id")
    stopped = tuple(name for name, _ in stops if name not in withdrawn)
    return DrawnRun(**dict(zip(names, row, strict=True)), stopped=stopped, withdrawn=withdrawn)


def written_since(connection: Connection, snapshot_id: int) -> bool:
    """Whether usage may have been written that a run's snapshot did not see: a batch of repetitions has nothing new."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM written_batches WHERE NOT batch <@"
        " (SELECT batches + '{}'::int8multirange FROM billed_batches WHERE snapshot_id = %s))",
        [snapshot_id],
    ).fetchone()
    return row is not None and bool(row[0])


def billed_digests(connection: Connection, period: Period) -> dict[int, str]:
    """The digests, in hexadecimal, of the totals that a period is billed of or drawn up, by their payers' numbers."""
    rows = connection.execute(
        """
        SELECT payer_id, encode(billed_sha256, 'hex') FROM (
            SELECT DISTINCT ON (payer_id) payer_id, billed_sha256 FROM billed_months
            WHERE origin_start = %(start)s ORDER BY payer_id, step DESC
        ) AS newest
        UNION ALL
        SELECT payer_id, encode(billed_sha256, 'hex') FROM draft_invoices
        WHERE period_start = %(start)s AND kind = %(kind)s
        """,
        {"start": period.start, "kind": Kind.USAGE},
    )
    return dict(rows.fetchall())


def account_names(connection: Connection) -> dict[int, str]:
    """The names of all accounts by their numbers."""
    return dict(connection.execute("SELECT account_id, id FROM accounts").fetchall())


def snapshot_of(connection: Connection, payer: int, period: Period, *, final: bool) -> int | None:
    """The number of the run's snapshot that a payer's invoice of a period, or its draft, is of; None without one."""
    table = sql.Identifier("invoices" if final else "draft_invoices")
    row = connection.execute(
        sql.SQL("SELECT snapshot_id FROM {} WHERE payer_id = %s AND period_start = %s AND kind = %s").format(table),
        [payer, period.start, Kind.USAGE],
    ).fetchone()
    return None if row is None else int(row[0])


def read_invoices(
    connection: Connection, period: Period, *, final: bool, account: str = "", kind: Kind = Kind.USAGE
) -> list[Invoice]:
    """The first page of a period's final invoices, or of its drafts, by their payers' numbers; or of credit notes."""
    return [invoice for _, invoice in _page(connection, period, kind, final=final, account=account)]


def all_invoices(
    connection: Connection, period: Period, *, final: bool, account: str = "", kind: Kind = Kind.USAGE
) -> Iterator[Invoice]:
    """All of a period's final invoices, or of its drafts, by their payers' numbers, a page in memory at a time.

    Of credit notes: those of the period's run, each payer's in the order of the months that they correct.
    """
    after = _FIRST
    while page := _page(connection, period, kind, final=final, account=account, after=after):
        yield from (invoice for _, invoice in page)
        after = page[-1][0]


def invoices_by_number(connection: Connection, series: str, number: int) -> list[Invoice]:
    """The final invoices with a number: one at most, unless several legal entities number theirs in one series."""
    rows = connection.execute(
        "SELECT period_start, period_end, kind, account FROM invoices WHERE series = %s AND number = %s"
        " ORDER BY legal_entity",
        [series, number],
    ).fetchall()
    pages = (
        read_invoices(connection, Period(start=start, end=end), final=True, account=of, kind=Kind(kind))
        for start, end, kind, of in rows
    )
    return [each for page in pages for each in page if each.number == number_text(series, number)]


class _Place(NamedTuple):
    """After which document a page begins: its payer, and of a credit note the month that it corrects."""

    payer: int
    origin: date


_FIRST = _Place(0, date.min)


def _page(
    connection: Connection, period: Period, kind: Kind, *, final: bool, account: str, after: _Place = _FIRST
) -> list[tuple[_Place, Invoice]]:
    cursor = connection.cursor(row_factory=dict_row)
    cursor.execute(_FINAL if final else _DRAFTS, [period.start, kind, *after, account, account, PAGE])
    heads = cursor.fetchall()
    whose = [[head["payer_id"] for head in heads], [head["invoice_id"] for head in heads]]
    cursor.execute(_FINAL_LINES if final else _DRAFT_LINES, whose)
    lines: dict[int, list[InvoiceLine]] = {}
    for row in cursor:
        lines.setdefault(row.pop("invoice_id"), []).append(line_of(row))
    cursor.execute(_FINAL_ADJUSTED if final else _DRAFT_ADJUSTED, whose)
    adjusts: dict[int, list[Adjusted]] = {}
    for row in cursor:
        adjusts.setdefault(row.pop("invoice_id"), []).append(Adjusted(**row))
    found = []
    for head in heads:
        number = head["invoice_id"]
        invoice = _invoice(head, period, lines.get(number, ()), tuple(adjusts.get(number, ())))
        found.append((_Place(head["payer_id"], head["origin_start"] or head["period_start"]), invoice))
    return found


def line_of(row: dict[str, Any]) -> InvoiceLine:
    """A line of the columns that are stored of it, by their names."""
    rounded: Decimal = row.pop("unit_price")
    text = row.pop("unit_price_exact")
    row["unit_price"] = exact(rounded) if text is None else parse_fraction(text)
    row["residual"] = parse_fraction(row["residual"])
    row["cards"] = tuple(row["cards"])
    return InvoiceLine(**row)


def _invoice(
    head: dict[str, Any], period: Period, lines: Sequence[InvoiceLine], adjusts: tuple[Adjusted, ...]
) -> Invoice:
    issued_on: date | None = head.get("issued_on")
    return Invoice(
        party=Party(
            account=head["account"],
            currency=Currency(head["currency"]),
            name=head["name"],
            address=tuple(head["address"]),
            tax_id=head["tax_id"],
            language=head["language"],
            legal_entity=head["legal_entity"],
        ),
        kind=Kind(head["kind"]),
        period=str(period),
        state=State(head["state"]),
        lines=tuple(lines),
        total_minor=head["total_minor"],
        billed_sha256=bytes(head["billed_sha256"]).hex(),
        summed_sha256=bytes(head["summed_sha256"]).hex(),
        sha256=bytes(head["sha256"]).hex(),
        number=number_text(head["series"], head["number"]) if issued_on else "",
        issued_on=issued_on,
        due_on=head.get("due_on"),
        adjusts=adjusts,
        corrects=head["corrects"],
    )


_FINAL = """
    SELECT *, 'final' AS state FROM invoices
    WHERE period_start = %s AND kind = %s AND (payer_id, coalesce(origin_start, period_start)) > (%s, %s)
      AND (%s = '' OR account = %s)
    ORDER BY payer_id, origin_start LIMIT %s
"""

_DRAFTS = """
    SELECT * FROM draft_invoices
    WHERE period_start = %s AND kind = %s AND (payer_id, coalesce(origin_start, period_start)) > (%s, %s)
      AND (%s = '' OR account = %s)
    ORDER BY payer_id, origin_start LIMIT %s
"""

_FINAL_LINES = """
    SELECT invoice_id, unit_size, events, base_quantity, amount_minor, unit_price, unit_price_exact, product, element,
           country, destination, tier, unit, base_unit, residual, origin_period, cards
    FROM unnest(%s::integer[], %s::bigint[]) AS wanted(payer_id, invoice_id)
    JOIN invoice_lines USING (payer_id, invoice_id) ORDER BY payer_id, invoice_id, line_no
"""

_DRAFT_LINES = """
    SELECT invoice_id, unit_size, events, base_quantity, amount_minor, unit_price, unit_price_exact, product, element,
           country, destination, tier, unit, base_unit, residual, origin_period, cards
    FROM unnest(%s::integer[], %s::bigint[]) AS wanted(payer_id, invoice_id)
    JOIN draft_lines USING (payer_id, invoice_id) ORDER BY payer_id, invoice_id, line_no
"""


_ADJUSTED = """
    SELECT invoice_id, to_char(origin_start, 'YYYY-MM') AS period, step, encode(billed_sha256, 'hex') AS billed_sha256,
           encode(summed_sha256, 'hex') AS summed_sha256
    FROM unnest(%s::integer[], %s::bigint[]) AS wanted(payer_id, invoice_id)
"""

_FINAL_ADJUSTED = f"{_ADJUSTED} JOIN invoice_adjustments USING (payer_id, invoice_id) ORDER BY origin_start"

_DRAFT_ADJUSTED = f"{_ADJUSTED} JOIN draft_adjustments USING (payer_id, invoice_id) ORDER BY origin_start"


def stored_invoice(
    connection: Connection, payer: int, account: str, period: Period
) -> tuple[Invoice | None, int | None]:
    """The invoice of an account and period, else its draft, and the snapshot that it is of."""
    for final in (True, False):
        found = read_invoices(connection, period, final=final, account=account)
        if found:
            return found[0], snapshot_of(connection, payer, period, final=final)
    return None, None
