"""What stands of accounts' bills from an instant on, and forbids that it is counted otherwise."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple

from billing.rerating import Stretch
from billing.store.engine import Connection


class Standing(NamedTuple):
    """What an account has, from the first of some days, or of the days of some months, to the last."""

    payer: int
    what: str
    first: date
    last: date


def standing(connection: Connection, stretches: Sequence[Stretch], met: Collection[int]) -> list[Standing]:
    """What payers have that was rated within a stretch, or that is billed of its months; rated usage comes first.

    Days count whole, as usage is in the totals. `met` are the payers for whom a run counts even without a draft.
    """
    return _found(connection, _STANDING, stretches, met) if stretches else []


def invoiced(connection: Connection, stretches: Sequence[Stretch]) -> list[Standing]:
    """The payers with final invoices of months that stretches reach into."""
    return _found(connection, _INVOICED, stretches, ()) if stretches else []


def _found(connection: Connection, query: bytes, stretches: Sequence[Stretch], met: Collection[int]) -> list[Standing]:
    values = {
        "payers": [each.payer for each in stretches],
        "since": [each.since for each in stretches],
        "until": [each.until for each in stretches],
        "met": [each.payer in met for each in stretches],
    }
    return [Standing(*row) for row in connection.execute(query, values)]


_ASKED = b"""
WITH asked AS (
    SELECT payer_id, min(since)::date AS since, max(until) AS until, date_trunc('month', min(since))::date AS month,
           bool_or(met) AS met
    FROM unnest(%(payers)s::integer[], %(since)s::timestamptz[], %(until)s::timestamptz[], %(met)s::boolean[])
        AS stretch (payer_id, since, until, met)
    GROUP BY payer_id
)"""

_INVOICED = (
    _ASKED
    + b"""
SELECT payer_id, 'an invoice', min(period_start), max(period_end - 1)
FROM asked JOIN invoices USING (payer_id) WHERE period_start >= month AND period_start < until
GROUP BY payer_id ORDER BY 3, 1
"""
)

_STANDING = (
    _ASKED
    + b""", changes AS (
    SELECT payer_id, day, events FROM asked JOIN usage_totals USING (payer_id) WHERE day >= since AND day < until
    UNION ALL SELECT payer_id, day, events FROM asked JOIN unfolded USING (payer_id) WHERE day >= since AND day < until
), rated AS (
    SELECT payer_id, day FROM changes GROUP BY payer_id, day HAVING sum(events) > 0
), found AS (
    SELECT 1 AS place, payer_id, 'rated usage' AS what, day AS first, day AS last FROM rated
    UNION ALL
    SELECT 2, payer_id, 'an invoice', period_start, period_end - 1
    FROM asked JOIN invoices USING (payer_id) WHERE period_start >= month AND period_start < until
    UNION ALL
    SELECT 3, payer_id, 'a draft', period_start, period_end - 1
    FROM asked JOIN draft_invoices USING (payer_id) WHERE period_start >= month AND period_start < until
    UNION ALL
    SELECT 4, payer_id, 'a run', period_start, period_end - 1
    FROM asked JOIN draft_runs ON met AND period_start >= month AND period_start < until
)
SELECT payer_id, what, min(first), max(last) FROM found GROUP BY place, payer_id, what ORDER BY place, 3, payer_id
"""
)
