"""What of a period adjusts earlier months, and what has adjusted it, for whoever compares or explains it."""

from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from billing.adjustments import LateEvent
from billing.invoices import InvoiceLine, Kind, number_text
from billing.periods import Period
from billing.store.engine import Connection
from billing.store.queries.invoices import all_invoices
from billing.store.queries.verification import Raw
from rates.money import Currency


class Adjusting(NamedTuple):
    """What a document bills of an earlier month, in which turn, and of which totals; `final`: it is issued."""

    account: str
    currency: Currency
    step: int
    billed_sha256: str
    lines: tuple[InvoiceLine, ...]
    final: bool


def adjusting_documents(connection: Connection, period: Period) -> dict[Period, dict[int, Adjusting]]:
    """What a period's invoices, credit notes and drafts adjust, by month and payer."""
    numbers = {name: number for number, name in connection.execute("SELECT account_id, id FROM accounts").fetchall()}
    found: dict[Period, dict[int, Adjusting]] = {}
    for final in (False, True):
        for kind in Kind:
            for invoice in all_invoices(connection, period, final=final, kind=kind):
                for about in invoice.adjusts:
                    lines = tuple(line for line in invoice.lines if line.origin_period == about.period)
                    of = (invoice.party.account, invoice.party.currency, about.step, about.billed_sha256, lines, final)
                    by_payer = found.setdefault(Period.parse(about.period), {})
                    by_payer[numbers[invoice.party.account]] = Adjusting(*of)
    return dict(sorted(found.items(), key=lambda each: each[0].start))


def adjusted_payers(connection: Connection, origin: Period) -> frozenset[int]:
    """The payers of whom a month is billed by more than its own invoice."""
    rows = connection.execute("SELECT payer_id FROM invoice_adjustments WHERE origin_start = %s", [origin.start])
    return frozenset(payer for (payer,) in rows)


def frozen_contracts(connection: Connection, origin: Period, payers: Collection[int]) -> dict[str, list[Raw]]:
    """The contracts that a month was billed by, by account and in the form of `contract.toml`."""
    rows = connection.execute(
        "SELECT id, contracts FROM billed_months JOIN accounts ON account_id = payer_id"
        " WHERE origin_start = %s AND step = 0 AND payer_id = ANY(%s)",
        [origin.start, list(payers)],
    )
    return {
        name: [
            {
                "account": name,
                "effective_from": date.fromisoformat(each["effective_from"]),
                "cards": each["cards"],
                **each["terms"],
            }
            for each in contracts
        ]
        for name, contracts in rows
    }


def documents_of_month(connection: Connection, origin: Period, payer: int) -> list[tuple[str, int]]:
    """The numbers of what billed a payer's month, one after the other, and the snapshots that they are of."""
    rows = connection.execute(
        "SELECT series, number, snapshot_id FROM billed_months JOIN invoices USING (payer_id, invoice_id)"
        " WHERE billed_months.origin_start = %s AND payer_id = %s ORDER BY step",
        [origin.start, payer],
    )
    return [(number_text(series, number), seen) for series, number, seen in rows]


def draft_snapshot(connection: Connection, payer: int, period: Period) -> int:
    """The snapshot that a payer's drafts of a period are of."""
    row = connection.execute(
        "SELECT max(snapshot_id) FROM draft_invoices WHERE payer_id = %s AND period_start = %s", [payer, period.start]
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def events_between(
    connection: Connection,
    payer: int,
    origin: Period,
    product: str,
    since: int | None,
    until: int,
    *,
    first: int,
    size: int,
) -> tuple[int, tuple[LateEvent, ...]]:
    """What one snapshot saw of a month that an earlier one did not, and, below zero, what it saw no more.

    Reports that have a price: how many, and some of them. What was amended since is there as it was and as it is.
    """
    values = {
        "payer": payer,
        "opens": origin.opens,
        "closes": origin.closes,
        "product": product,
        "since": since,
        "until": until,
        "first": first,
        "size": size,
    }
    count = connection.execute(f"SELECT count(*) {_BETWEEN}", values).fetchone()
    rows = connection.execute(
        f"SELECT source, id, occurred_at, received_at, CASE WHEN counts THEN billed ELSE -billed END {_BETWEEN}"
        " ORDER BY occurred_at, source, id, counts OFFSET %(first)s LIMIT %(size)s",
        values,
    ).fetchall()
    page = tuple(
        LateEvent(source=source, id=name, occurred_at=occurred, received_at=received, base_quantity=billed)
        for source, name, occurred, received, billed in rows
    )
    return (int(count[0]) if count else 0), page


_BETWEEN = """
    FROM (
        SELECT sources.id AS source, report.*,
               batch <@ upto.seen AND (superseded_in IS NULL OR NOT superseded_in <@ upto.seen) AS counts,
               batch <@ before.seen AND (superseded_in IS NULL OR NOT superseded_in <@ before.seen) AS counted
        FROM (
            SELECT source_id, event.id, occurred_at, received_at, batch, NULL::bigint AS superseded_in, billed
            FROM events AS event JOIN products USING (product_id)
            WHERE payer_id = %(payer)s AND occurred_at >= %(opens)s AND occurred_at < %(closes)s
              AND products.id = %(product)s AND price_id IS NOT NULL
            UNION ALL
            SELECT source_id, id, occurred_at, received_at, batch, superseded_in, billed
            FROM event_revisions
            WHERE payer_id = %(payer)s AND occurred_at >= %(opens)s AND occurred_at < %(closes)s
              AND product = %(product)s AND price_id IS NOT NULL
        ) AS report JOIN sources USING (source_id),
        (SELECT batches + '{}'::int8multirange AS seen FROM billed_batches WHERE snapshot_id = %(until)s) AS upto,
        (SELECT coalesce((SELECT batches + '{}'::int8multirange FROM billed_batches
                          WHERE snapshot_id = %(since)s::bigint), '{}') AS seen) AS before
    ) AS changed
    WHERE counts <> counted
"""
