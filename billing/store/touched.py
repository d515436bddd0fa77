"""Which months of which payers may have changed since they were billed, so that nothing else of them is read.

The `folds` of a (month, payer) count the changes that were folded into its totals; `settled` is how many of them were
seen by what billed the month last, or by a run that found it to be what was billed last. Where both are the same and
nothing of the month is unfolded, the totals are what was billed: what was unfolded for whoever saw them has since been
folded, and counts. The other way round nothing is claimed: what may have changed is compared.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from billing.invoices import Kind
from billing.periods import Period
from billing.store.drafts import Taken
from billing.store.engine import Connection


class Same(NamedTuple):
    """A month of a payer that is what was billed: as of how many folds, and of how many bills."""

    month: date
    payer: int
    folds: int
    steps: int


def folds_in(connection: Connection, period: Period) -> dict[int, int]:
    """How many changes were folded into the totals of a month, by payer; of those of whom any were."""
    rows = connection.execute("SELECT payer_id, folds FROM touched_months WHERE month = %s", [period.start])
    return dict(rows.fetchall())


def touched_since_billed(connection: Connection, before: Period) -> dict[Period, dict[int, int]]:
    """The months before one that are issued, or had nothing to issue, and may have changed since, in order.

    Of each the folds so far, by payer.
    """
    found: dict[Period, dict[int, int]] = {}
    for month, payer, folds in connection.execute(_TOUCHED, {"before": before.start, "kind": Kind.USAGE}):
        found.setdefault(Period.of_month(month.year, month.month), {})[payer] = folds
    return found


# A month that was over when a run found nothing to bill, and nobody to stop at, is as one that is issued.
_TOUCHED = """
    WITH touched AS (
        SELECT month, payer_id FROM touched_months WHERE month < %(before)s AND changed
        UNION SELECT date_trunc('month', day::timestamp)::date, payer_id FROM unfolded WHERE day < %(before)s
    ), months AS (
        SELECT month FROM (SELECT DISTINCT month FROM touched) AS distinct_months
        WHERE EXISTS (SELECT FROM invoices WHERE period_start = month AND kind = %(kind)s)
           OR EXISTS (SELECT FROM draft_runs WHERE period_start = month AND drawn_at >= period_end AT TIME ZONE 'UTC')
              AND NOT EXISTS (SELECT FROM draft_invoices WHERE period_start = month)
              AND NOT EXISTS (SELECT FROM draft_stops WHERE period_start = month)
    )
    SELECT month, payer_id, coalesce(folds, 0)
    FROM months JOIN touched USING (month) LEFT JOIN touched_months USING (month, payer_id) ORDER BY 1, 2
"""


def settle(connection: Connection, same: Sequence[Same]) -> None:
    """Note which months of payers were found to be what was billed, so that they are not compared again.

    What somebody billed again meanwhile is left as it is: it was compared with what was billed before.
    """
    if not same:
        return
    columns = dict(zip(("months", "payers", "folds", "steps"), map(list, zip(*same, strict=True)), strict=True))
    connection.execute(_HOLD, columns)
    # A statement of its own, since it has to see what was billed while the one before waited.
    connection.execute(_SETTLE, columns)


# In the order in which folds take them.
_HOLD = """
    SELECT FROM touched_months AS known JOIN unnest(%(months)s::date[], %(payers)s::integer[]) AS seen(month, payer_id)
        USING (month, payer_id)
    ORDER BY month, payer_id FOR UPDATE OF known
"""

_SETTLE = """
    UPDATE touched_months AS known SET settled = seen.folds
    FROM unnest(%(months)s::date[], %(payers)s::integer[], %(folds)s::bigint[], %(steps)s::integer[])
        AS seen(month, payer_id, folds, steps)
    WHERE (known.month, known.payer_id) = (seen.month, seen.payer_id) AND seen.folds > settled
      AND NOT EXISTS (SELECT FROM billed_months AS billed
                      WHERE (billed.payer_id, billed.origin_start) = (seen.payer_id, seen.month)
                        AND billed.step >= seen.steps)
"""


def settle_issued(connection: Connection, drafts: Taken) -> None:
    """Note of how many folds drafts are that are issued now: each bills its own month, and those that it adjusts."""
    for statement in (_HOLD_ISSUED, _SETTLE_ISSUED):
        connection.execute(statement, {**drafts.parameters, "kind": Kind.USAGE})


_HOLD_ISSUED = """
    WITH billed AS (
        SELECT payer_id, period_start AS month, folds
        FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
        JOIN draft_invoices USING (payer_id, invoice_id) WHERE kind = %(kind)s
        UNION ALL
        SELECT payer_id, origin_start, folds
        FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
        JOIN draft_adjustments USING (payer_id, invoice_id)
    )
    SELECT FROM billed JOIN touched_months AS known USING (month, payer_id)
    ORDER BY month, payer_id FOR UPDATE OF known
"""

# Whatever it was before: of what another bill saw, nothing is known any more.
_SETTLE_ISSUED = """
    WITH billed AS (
        SELECT payer_id, period_start AS month, folds
        FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
        JOIN draft_invoices USING (payer_id, invoice_id) WHERE kind = %(kind)s
        UNION ALL
        SELECT payer_id, origin_start, folds
        FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
        JOIN draft_adjustments USING (payer_id, invoice_id)
    )
    UPDATE touched_months AS known SET settled = billed.folds FROM billed
    WHERE (known.month, known.payer_id) = (billed.month, billed.payer_id)
"""
