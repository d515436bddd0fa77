"""What promotional credits paid on the invoices of other months."""

from collections.abc import Collection

from billing.periods import Period
from billing.store.engine import Connection
from rates.netting import CREDIT


def credits_used(connection: Connection, period: Period, payers: Collection[int]) -> dict[int, dict[str, int]]:
    """What the credits of some payers paid before a period is billed, in minor units, by payer and credit.

    That is on the final invoices of other periods (where the period has one itself, those that were issued before it),
    and on the drafts of earlier ones.
    """
    used: dict[int, dict[str, int]] = {}
    values = {"payers": list(payers), "start": period.start, "element": CREDIT}
    for payer, name, minor in connection.execute(_USED, values) if payers else ():
        used.setdefault(payer, {})[name] = int(minor)
    return used


_USED = """
WITH issued AS (
    SELECT payer_id, invoice_id, period_start, entry FROM invoices JOIN invoice_events USING (payer_id, invoice_id)
    WHERE payer_id = ANY(%(payers)s) AND event = 'issued' AND kind = 'usage'
), own AS (
    SELECT payer_id, entry FROM issued WHERE period_start = %(start)s
), paid AS (
    SELECT line.payer_id, line.destination, line.amount_minor
    FROM issued LEFT JOIN own USING (payer_id) JOIN invoice_lines AS line USING (payer_id, invoice_id)
    WHERE line.element = %(element)s AND period_start <> %(start)s AND (own.entry IS NULL OR issued.entry < own.entry)
    UNION ALL
    SELECT line.payer_id, line.destination, line.amount_minor
    FROM draft_invoices JOIN draft_lines AS line USING (payer_id, invoice_id)
    WHERE payer_id = ANY(%(payers)s) AND line.element = %(element)s AND period_start < %(start)s
      AND payer_id NOT IN (SELECT payer_id FROM own)
)
SELECT payer_id, destination, -sum(amount_minor) FROM paid GROUP BY payer_id, destination
"""
