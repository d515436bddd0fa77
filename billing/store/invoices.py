"""Invoices in the store: drafts become final ones, checked against what was signed, with numbers without a gap."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from billing.invoices import Kind, State
from billing.periods import Period
from billing.store.drafts import Taken, delete_parts
from billing.store.engine import Connection
from rates.money import Currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What all invoices of one finalization have in common."""

    series: str
    credit_series: str
    issued_on: date
    due_on: date
    at: datetime
    actor: str


class Numbered(NamedTuple):
    """What is numbered without a gap: the series of a legal entity."""

    entity: str
    series: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What one transaction issued; `numbers` are the first and the last by legal entity and series."""

    count: int
    totals_minor: Mapping[Currency, int]
    numbers: Mapping[Numbered, tuple[int, int]]


def take_drafts(
    connection: Connection,
    period: Period,
    states: Sequence[State],
    limit: int,
    *,
    without: Collection[int] = (),
    but: Collection[int] = (),
) -> Taken:
    """Lock up to `limit` drafts in some states that nobody else is issuing, in the order of their payers.

    Those whose ids are in `without`, or whose payers are in `but`, are left where they are.
    """
    rows = connection.execute(
        "SELECT payer_id, invoice_id FROM draft_invoices WHERE period_start = %s AND state = ANY(%s)"
        " AND invoice_id <> ALL(%s) AND payer_id <> ALL(%s) ORDER BY payer_id, invoice_id LIMIT %s"
        " FOR UPDATE SKIP LOCKED",
        [period.start, [state.value for state in states], list(without), list(but), limit],
    ).fetchall()
    return Taken(payers=[payer for payer, _ in rows], ids=[each for _, each in rows])


def hold_payers(connection: Connection, drafts: Taken) -> None:
    """Let nobody else bill the payers of drafts until the transaction ends, of whatever month; in one order."""
    connection.execute(
        "SELECT FROM accounts WHERE account_id = ANY(%(payers)s::integer[]) ORDER BY account_id FOR NO KEY UPDATE",
        drafts.parameters,
    )


def take_numbers(connection: Connection, drafts: Taken, terms: Issue) -> dict[Numbered, int]:
    """Take as many numbers of each series as each legal entity has drafts for; gives the last one before them.

    Whoever takes numbers holds their counters until the transaction ends, and gives them back by rolling back.
    """
    counts = connection.execute(_COUNTS, {**drafts.parameters, **_series(terms)}).fetchall()
    before = {}
    for entity, series, count in counts:  # in one order, or two would wait for each other
        found = connection.execute(
            "INSERT INTO invoice_numbers AS counter (legal_entity, series, last) VALUES (%(entity)s, %(series)s, %(n)s)"
            " ON CONFLICT (legal_entity, series) DO UPDATE SET last = counter.last + %(n)s RETURNING last",
            {"entity": entity, "series": series, "n": count},
        ).fetchone()
        before[Numbered(entity, series)] = (found[0] if found else count) - count
    return before


def _series(terms: Issue) -> dict[str, str]:
    return {"series": terms.series, "credit_series": terms.credit_series, "usage": Kind.USAGE}


def issue(connection: Connection, drafts: Taken, before: Mapping[Numbered, int], terms: Issue) -> Issued:
    """Turn drafts into final invoices, frozen, and numbered after `before` in the order of their payers."""
    totals = connection.execute(_TOTALS, {**drafts.parameters, **_series(terms)}).fetchall()
    values = {
        **drafts.parameters,
        "entities": [each.entity for each in before],
        "of_series": [each.series for each in before],
        "before": list(before.values()),
        **_series(terms),
        "issued_on": terms.issued_on,
        "due_on": terms.due_on,
        "at": terms.at,
        "actor": terms.actor,
    }
    for statement in _ISSUE:
        connection.execute(statement, values)
    delete_parts(connection, drafts)
    connection.execute(_DELETE, drafts.parameters)
    counts: Counter[Numbered] = Counter()
    sums: Counter[Currency] = Counter()
    for entity, series, code, count, total in totals:
        counts[Numbered(entity, series)] += count
        sums[Currency(code)] += int(total)
    return Issued(
        count=len(drafts),
        totals_minor=sums,
        numbers={named: (last + 1, last + counts[named]) for named, last in before.items()},
    )


_TOTALS = """
    SELECT legal_entity, CASE kind WHEN %(usage)s THEN %(series)s ELSE %(credit_series)s END AS of_series, currency,
           count(*), sum(total_minor)
    FROM draft_invoices
    JOIN unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id) USING (payer_id, invoice_id)
    GROUP BY legal_entity, of_series, currency
"""

_COUNTS = """
    SELECT legal_entity, CASE kind WHEN %(usage)s THEN %(series)s ELSE %(credit_series)s END AS of_series, count(*)
    FROM draft_invoices
    JOIN unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id) USING (payer_id, invoice_id)
    GROUP BY legal_entity, of_series ORDER BY legal_entity, of_series
"""

_ISSUE = (
    """
    INSERT INTO invoices (invoice_id, number, total_minor, snapshot_id, payer_id, lines, period_start, period_end,
                          issued_on, due_on, series, kind, currency, account, name, address, tax_id, language,
                          legal_entity, billed_sha256, summed_sha256, sha256, origin_start, corrects, reason)
    SELECT invoice_id,
           before + row_number() OVER (PARTITION BY legal_entity, of_series ORDER BY payer_id, origin_start),
           total_minor, snapshot_id, payer_id, lines, period_start, period_end, %(issued_on)s, %(due_on)s, of_series,
           kind, currency, account, name, address, tax_id, language, legal_entity, billed_sha256, summed_sha256, sha256,
           origin_start, corrects, reason
    FROM draft_invoices
    JOIN unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id) USING (payer_id, invoice_id)
    JOIN unnest(%(entities)s::text[], %(of_series)s::text[], %(before)s::bigint[])
         AS numbers(legal_entity, of_series, before) USING (legal_entity)
    WHERE of_series = CASE kind WHEN %(usage)s THEN %(series)s ELSE %(credit_series)s END
    """,
    """
    INSERT INTO invoice_lines (invoice_id, unit_size, events, base_quantity, amount_minor, payer_id, line_no,
                               unit_price, unit_price_exact, product, element, country, destination, tier, unit,
                               base_unit, residual, origin_period, cards)
    SELECT invoice_id, unit_size, events, base_quantity, amount_minor, payer_id, line_no, unit_price, unit_price_exact,
           product, element, country, destination, tier, unit, base_unit, residual, origin_period, cards
    FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
    JOIN draft_lines USING (payer_id, invoice_id)
    """,
    """
    INSERT INTO invoice_billed_totals (invoice_id, events, quantity, payer_id, account_id, price_id, country)
    SELECT invoice_id, events, quantity, payer_id, account_id, price_id, country
    FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
    JOIN draft_billed_totals USING (payer_id, invoice_id)
    """,
    """
    INSERT INTO invoice_adjustments (invoice_id, payer_id, step, folds, origin_start, origin_end, billed_sha256,
                                     summed_sha256)
    SELECT invoice_id, payer_id, step, folds, origin_start, origin_end, billed_sha256, summed_sha256
    FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
    JOIN draft_adjustments USING (payer_id, invoice_id)
    """,
    """
    INSERT INTO invoice_adjusted_totals (invoice_id, events, quantity, payer_id, account_id, price_id, origin_start,
                                         country)
    SELECT invoice_id, events, quantity, payer_id, account_id, price_id, origin_start, country
    FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
    JOIN draft_adjusted_totals USING (payer_id, invoice_id)
    """,
    # With the contracts by which a month is billed first, so that it is priced by the same ones ever after.
    """
    INSERT INTO billed_months (invoice_id, payer_id, step, origin_start, billed_sha256, contracts)
    WITH months AS (
        SELECT invoice_id, payer_id, 0 AS step, period_start AS origin_start, period_end AS origin_end, billed_sha256
        FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
        JOIN draft_invoices USING (payer_id, invoice_id) WHERE kind = %(usage)s
        UNION ALL
        SELECT invoice_id, payer_id, step, origin_start, origin_end, billed_sha256
        FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
        JOIN draft_adjustments USING (payer_id, invoice_id)
    ), followed AS (
        SELECT account_id, effective_from, cards, terms,
               lead(effective_from) OVER (PARTITION BY account_id ORDER BY effective_from) AS next
        FROM contracts WHERE account_id IN (SELECT payer_id FROM months)
    ), covering AS (
        SELECT payer_id, origin_start,
               jsonb_agg(jsonb_build_object('effective_from', effective_from, 'cards', cards, 'terms', terms)
                         ORDER BY effective_from) AS contracts
        FROM months JOIN followed ON account_id = payer_id
        WHERE step = 0 AND effective_from < origin_end AND (next IS NULL OR next > origin_start)
        GROUP BY payer_id, origin_start
    )
    SELECT invoice_id, payer_id, step, origin_start, billed_sha256,
           CASE step WHEN 0 THEN coalesce(contracts, '[]') END
    FROM months LEFT JOIN covering USING (payer_id, origin_start)
    """,
    """
    INSERT INTO invoice_events (invoice_id, payer_id, at, event, actor)
    SELECT invoice_id, payer_id, %(at)s, 'issued', %(actor)s
    FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)
    """,
)

_DELETE = """
    DELETE FROM draft_invoices AS draft
    USING unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, id)
    WHERE (draft.payer_id, draft.invoice_id) = (taken.payer_id, taken.id)
"""
