"""Whether drafts in the store are what was drawn up, and whether what they bill is billed by nothing else since."""

from collections.abc import Sequence

from billing.invoices import Slot
from billing.periods import Period
from billing.store.drafts import Taken
from billing.store.engine import Connection


def sound_drafts(connection: Connection, period: Period, payers: Sequence[int]) -> dict[Slot, tuple[int, str]]:
    """The drafts that some payers have and whose rows are what was digested: their ids, and digests in hexadecimal."""
    rows = connection.execute(
        "SELECT payer_id, invoice_id, coalesce(to_char(origin_start, 'YYYY-MM'), ''), encode(sha256, 'hex')"
        " FROM draft_invoices WHERE period_start = %s AND payer_id = ANY(%s)",
        [period.start, list(payers)],
    ).fetchall()
    found = Taken(payers=[payer for payer, *_ in rows], ids=[each for _, each, *_ in rows])
    altered = altered_drafts(connection, period, found)
    return {(payer, origin): (each, digest) for payer, each, origin, digest in rows if each not in altered}


def altered_drafts(connection: Connection, period: Period, drafts: Taken) -> dict[int, str]:
    """The ids and accounts of the drafts whose rows are not what their digest was taken of, or that are overtaken.

    A draft is overtaken if a month that it bills has been billed by another invoice since it was drawn up.

    The canonical form is that of `billing.invoices.content`, and that of the totals behind the lines is that of
    `billing.drafts.summed_sha256`; here both are written by PostgreSQL from the stored rows.
    """
    rows = connection.execute(_ALTERED, {**drafts.parameters, "period": str(period)})
    return dict(rows.fetchall())


_ALTERED = """
    WITH taken AS (
        SELECT * FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS pairs(payer_id, invoice_id)
    ), bodies AS (
        SELECT payer_id, invoice_id, string_agg(row_to_json(line)::text, ',' ORDER BY line_no) AS lines,
               sum(stored.amount_minor) AS total_minor, count(*) AS n
        FROM taken JOIN draft_lines AS stored USING (payer_id, invoice_id)
        CROSS JOIN LATERAL (
            SELECT product, element, country, destination, tier, unit, unit_size::text,
                   coalesce(unit_price_exact, trim_scale(unit_price)::text) AS unit_price, base_unit, origin_period,
                   cards, events::text, base_quantity::text, amount_minor::text, residual
        ) AS line
        GROUP BY payer_id, invoice_id
    ), sums AS (
        SELECT payer_id, invoice_id,
               string_agg(concat_ws(',', account_id, price_id, to_json(country)::text, events, quantity), ';'
                          ORDER BY account_id, price_id, country) AS totals
        FROM taken JOIN draft_billed_totals USING (payer_id, invoice_id)
        GROUP BY payer_id, invoice_id
    ), adjusted AS (
        SELECT payer_id, invoice_id, origin_start,
               string_agg(concat_ws(',', account_id, price_id, to_json(country)::text, events, quantity), ';'
                          ORDER BY account_id, price_id, country) AS totals
        FROM taken JOIN draft_adjusted_totals USING (payer_id, invoice_id)
        GROUP BY payer_id, invoice_id, origin_start
    ), months AS (
        SELECT payer_id, invoice_id, string_agg(row_to_json(month)::text, ',' ORDER BY origin_start) AS adjusts,
               bool_or(about.summed_sha256 <> sha256(convert_to(coalesce(totals, ''), 'UTF8'))) AS altered,
               -- Another invoice or credit note has billed the month since: this would bill the same again.
               bool_or(EXISTS (SELECT FROM billed_months AS billed
                               WHERE (billed.payer_id, billed.origin_start) = (about.payer_id, about.origin_start)
                                 AND billed.step >= about.step)) AS overtaken
        FROM taken JOIN draft_adjustments AS about USING (payer_id, invoice_id)
        LEFT JOIN adjusted USING (payer_id, invoice_id, origin_start)
        CROSS JOIN LATERAL (
            SELECT to_char(origin_start, 'YYYY-MM') AS period, step, encode(billed_sha256, 'hex') AS billed_sha256,
                   encode(about.summed_sha256, 'hex') AS summed_sha256
        ) AS month
        GROUP BY payer_id, invoice_id
    )
    SELECT invoice_id, draft.account
    FROM taken JOIN draft_invoices AS draft USING (payer_id, invoice_id) LEFT JOIN bodies USING (payer_id, invoice_id)
    LEFT JOIN sums USING (payer_id, invoice_id) LEFT JOIN months USING (payer_id, invoice_id)
    CROSS JOIN LATERAL (
        SELECT account, name, address, tax_id, language, legal_entity, kind, %(period)s AS period, currency,
               draft.total_minor::text, encode(billed_sha256, 'hex') AS billed_sha256,
               encode(draft.summed_sha256, 'hex') AS summed_sha256, corrects,
               ('[' || coalesce(adjusts, '') || ']')::json AS adjusts
    ) AS head
    WHERE sha256 IS DISTINCT FROM
          sha256(convert_to(left(row_to_json(head)::text, -1) || ',"lines":[' || bodies.lines || ']}', 'UTF8'))
       OR draft.summed_sha256 IS DISTINCT FROM sha256(convert_to(coalesce(sums.totals, ''), 'UTF8'))
       OR draft.total_minor IS DISTINCT FROM bodies.total_minor
       OR draft.lines IS DISTINCT FROM bodies.n
       OR months.altered OR months.overtaken
       OR draft.kind = 'usage' AND EXISTS (SELECT FROM billed_months AS billed WHERE billed.payer_id = draft.payer_id
                                           AND billed.origin_start = draft.period_start)
"""
