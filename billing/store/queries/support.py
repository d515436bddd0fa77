"""What months came to for the support plans of their contracts, by the invoices that were issued or drawn up."""

from collections.abc import Collection
from typing import NamedTuple

from billing.invoices import Kind
from billing.periods import Period
from billing.store.engine import Connection
from billing.support import NOT_IN_BASE
from rates.deals import CARRIER_FEE
from rates.support import SUPPORT


class Base(NamedTuple):
    """What a payer's month came to (`billing.support`), by an invoice or a draft of this digest, in hexadecimal."""

    minor: int
    sha256: str


def support_bases(
    connection: Connection, month: Period, payers: Collection[int], aside: Collection[str]
) -> dict[int, Base]:
    """The bases of a month, of those of the payers who have an invoice or a draft of it.

    `aside` are the products that no commitment is about (`discountable = false`).
    """
    values = {
        "payers": list(payers),
        "start": month.start,
        "month": str(month),
        "kind": Kind.USAGE,
        "aside": list(aside),
        "elements": sorted({*NOT_IN_BASE, CARRIER_FEE, SUPPORT}),
    }
    rows = connection.execute(_BASES, values) if payers else ()
    return {payer: Base(int(minor), digest) for payer, digest, minor in rows}


_BASES = """
WITH bills AS (
    SELECT payer_id, invoice_id, sha256 FROM invoices
    WHERE payer_id = ANY(%(payers)s) AND period_start = %(start)s AND kind = %(kind)s
    UNION ALL
    SELECT payer_id, invoice_id, sha256 FROM draft_invoices
    WHERE payer_id = ANY(%(payers)s) AND period_start = %(start)s AND kind = %(kind)s
), lines AS (
    SELECT payer_id, invoice_id, product, element, origin_period, amount_minor FROM invoice_lines
    WHERE (payer_id, invoice_id) IN (SELECT payer_id, invoice_id FROM bills)
    UNION ALL
    SELECT payer_id, invoice_id, product, element, origin_period, amount_minor FROM draft_lines
    WHERE (payer_id, invoice_id) IN (SELECT payer_id, invoice_id FROM bills)
)
SELECT payer_id, encode(bills.sha256, 'hex'), coalesce(sum(amount_minor) FILTER (
           WHERE origin_period = %(month)s AND NOT element = ANY(%(elements)s) AND NOT product = ANY(%(aside)s)), 0)
FROM bills LEFT JOIN lines USING (payer_id, invoice_id)
GROUP BY payer_id, bills.sha256
"""
