"""Invoices in the store: drafts become final ones, checked against what was signed, with numbers without a gap."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from billing.invoices import Kind, State
from billing.periods import Period
from billing.store.drafts import Taken, delete_parts
from billing.store.engine import Connection
from rates.money import Currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What all invoices of one finalization have in common."""

    series: str
    issued_on: date
    due_on: date
    at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What one transaction issued; `numbers` are the first and the last by legal entity."""

    count: int
    totals_minor: Mapping[Currency, int]
    numbers: Mapping[str, tuple[int, int]]


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
        "SELECT payer_id, invoice_id FROM draft_invoices WHERE period_start = %s AND kind = %s AND state = ANY(%s)"
        " AND invoice_id <> ALL(%s) AND payer_id <> ALL(%s) ORDER BY payer_id LIMIT %s FOR UPDATE SKIP LOCKED",
        [period.start, Kind.USAGE, [state.value for state in states], list(without), list(but), limit],
    ).fetchall()
    return Taken(payers=[payer for payer, _ in rows], ids=[each for _, each in rows])


def take_numbers(connection: Connection, drafts: Taken, series: str) -> dict[str, int]:
    """Take as many numbers of a series as each legal entity has drafts; gives the last one before them.

    Whoever takes numbers holds their counters until the transaction ends, and gives them back by rolling back.
    """
    counts = connection.execute(_COUNTS, drafts.parameters).fetchall()
    before = {}
    for entity, count in counts:  # in one order, or two would wait for each other
        found = connection.execute(
            "INSERT INTO invoice_numbers AS counter (legal_entity, series, last) VALUES (%(entity)s, %(series)s, %(n)s)"
            " ON CONFLICT (legal_entity, series) DO UPDATE SET last = counter.last + %(n)s RETURNING last",
            {"entity": entity, "series": series, "n": count},
        ).fetchone()
        before[entity] = (found[0] if found else count) - count
    return before


def issue(connection: Connection, drafts: Taken, before: Mapping[str, int], terms: Issue) -> Issued:
    """Turn drafts into final invoices, frozen, and numbered after `before` in the order of their payers."""
    totals = connection.execute(_TOTALS, drafts.parameters).fetchall()
    values = {
        **drafts.parameters,
        "entities": list(before),
        "before": list(before.values()),
        "series": terms.series,
        "issued_on": terms.issued_on,
        "due_on": terms.due_on,
        "at": terms.at,
        "actor": terms.actor,
    }
    for statement in _ISSUE:
        connection.execute(statement, values)
    delete_parts(connection, drafts)
    connection.execute(_DELETE, drafts.parameters)
    counts: Counter[str] = Counter()
    sums: Counter[Currency] = Counter()
    for entity, code, count, total in totals:
        counts[entity] += count
        sums[Currency(code)] += int(total)
    return Issued(
        count=len(drafts),
        totals_minor=sums,
        numbers={entity: (last + 1, last + counts[entity]) for entity, last in before.items()},
    )


_TOTALS = """
    SELECT legal_entity, currency, count(*), sum(total_minor)
    FROM draft_invoices
    JOIN unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id) USING (payer_id, invoice_id)
    GROUP BY legal_entity, currency
"""

_COUNTS = """
    SELECT legal_entity, count(*)
    FROM draft_invoices
    JOIN unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id) USING (payer_id, invoice_id)
    GROUP BY legal_entity ORDER BY legal_entity
"""

_ISSUE = (
    """
    INSERT INTO invoices (invoice_id, number, total_minor, snapshot_id, payer_id, lines, period_start, period_end,
                          issued_on, due_on, series, kind, currency, account, name, address, tax_id, language,
                          legal_entity, billed_sha256, summed_sha256, sha256)
    SELECT invoice_id, before + row_number() OVER (PARTITION BY legal_entity ORDER BY payer_id), total_minor,
           snapshot_id, payer_id, lines, period_start, period_end, %(issued_on)s, %(due_on)s, %(series)s, kind,
           currency, account, name, address, tax_id, language, legal_entity, billed_sha256, summed_sha256, sha256
    FROM draft_invoices
    JOIN unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id) USING (payer_id, invoice_id)
    JOIN unnest(%(entities)s::text[], %(before)s::bigint[]) AS numbers(legal_entity, before) USING (legal_entity)
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
