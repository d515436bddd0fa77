"""Control totals in their newest revisions, compared with the usage that was accepted."""

from collections.abc import Sequence
from datetime import date

from billing.controls import Compared, ControlKey, Count, Mismatches
from billing.periods import Period
from billing.store.engine import Connection

_FIRST = ControlKey("", "", date.min)


def compared_controls(
    connection: Connection,
    period: Period,
    *,
    after: ControlKey = _FIRST,
    limit: int | None = None,
    mismatches: bool = False,
) -> list[Compared]:
    """The newest revisions of a period's control totals, in order, with what was accepted.

    At most `limit` of those that follow `after`; with `mismatches` only those that do not match.
    """
    place = dict(zip(("source", "product", "day"), after, strict=True))
    # Which do not match is known only once they are compared.
    facts = {"limit": limit, "mismatches": mismatches, "read": None if mismatches else limit}
    rows = connection.execute(_COMPARED, {**_bounds(period), **place, **facts}).fetchall()
    return [
        Compared(ControlKey(source, product, day), revision, Count(events, quantity), Count(accepted, int(measured)))
        for source, product, day, revision, events, quantity, accepted, measured in rows
    ]


def mismatches_of(connection: Connection, period: Period) -> Mismatches:
    """A period's control totals that do not match, and the payers with such usage on that day.

    Where nobody has any, these are the payers with such usage of that source in the period.
    """
    compared = compared_controls(connection, period)
    wrong = sorted((each for each in compared if not each.matches), key=lambda each: each.key.day)
    if not wrong:
        return Mismatches(payers={}, nobodys=())
    keys = [list(column) for column in zip(*(each.key for each in wrong), strict=True)]
    asked = dict(zip(("sources", "products", "days"), keys, strict=True))
    rows = connection.execute(_PAYERS, {**_bounds(period), **asked}).fetchall()
    payers = {payer: tuple(wrong[place - 1].mismatch for place in places) for payer, places in rows}
    somebodys = {place for _, places in rows for place in places}
    nobodys = (each.mismatch for place, each in enumerate(wrong, start=1) if place not in somebodys)
    return Mismatches(payers=payers, nobodys=tuple(nobodys))


def counted_payers(connection: Connection, period: Period, payers: Sequence[int]) -> frozenset[int]:
    """Those of some payers with usage in a period that one of its control totals counts."""
    rows = connection.execute(_COUNTED, {**_bounds(period), "payers": list(payers)})
    return frozenset(payer for (payer,) in rows)


def has_controls(connection: Connection, period: Period) -> bool:
    """Whether there are control totals of a period."""
    asked = "SELECT EXISTS (SELECT FROM usage_controls WHERE day >= %s AND day < %s)"
    row = connection.execute(asked, [period.start, period.end]).fetchone()
    return row is not None and bool(row[0])


def _bounds(period: Period) -> dict[str, object]:
    return {"start": period.start, "end": period.end, "opens": period.opens, "closes": period.closes}


# No usage is read of a period without controls, nor behind the last page of them.
_COMPARED = """
WITH control AS (
    SELECT DISTINCT ON (source, product, day) source, product, day, revision, events, quantity
    FROM usage_controls
    WHERE day >= %(start)s AND day < %(end)s AND (source, product, day) > (%(source)s, %(product)s, %(day)s)
    ORDER BY source, product, day, revision DESC LIMIT %(read)s
), accepted AS (
    SELECT sources.id AS source, products.id AS product, day, n, measured
    FROM (
        SELECT source_id, product_id, occurred_at::date AS day, count(*) AS n, sum(measured) AS measured
        FROM events WHERE occurred_at >= %(opens)s AND occurred_at < %(closes)s AND EXISTS (SELECT FROM control)
        GROUP BY 1, 2, 3
    ) AS event JOIN sources USING (source_id) JOIN products USING (product_id)
    UNION ALL
    SELECT sources.id, product, occurred_at::date, count(*), sum(measured)
    FROM quarantine JOIN sources USING (source_id)
    WHERE occurred_at >= %(opens)s AND occurred_at < %(closes)s AND EXISTS (SELECT FROM control)
    GROUP BY 1, 2, 3
)
SELECT source, product, day, revision, events, quantity, coalesce(sum(n), 0)::bigint, coalesce(sum(measured), 0)
FROM control LEFT JOIN accepted USING (source, product, day)
GROUP BY 1, 2, 3, 4, 5, 6
HAVING NOT %(mismatches)s OR (events, quantity) <> (coalesce(sum(n), 0), coalesce(sum(measured), 0))
ORDER BY 1, 2, 3 LIMIT %(limit)s
"""

_COUNTED = """
SELECT DISTINCT payer_id
FROM events JOIN sources USING (source_id) JOIN products USING (product_id) JOIN usage_controls AS control
    ON (control.source, control.product, control.day) = (sources.id, products.id, occurred_at::date)
WHERE occurred_at >= %(opens)s AND occurred_at < %(closes)s AND payer_id = ANY(%(payers)s)
"""

_PAYERS = """
WITH wrong AS (
    SELECT source_id, product, day, place
    FROM unnest(%(sources)s::text[], %(products)s::text[], %(days)s::date[])
        WITH ORDINALITY AS w (source, product, day, place)
    JOIN sources ON sources.id = source
), used AS (
    SELECT DISTINCT payer_id, source_id, products.id AS product, occurred_at::date AS day
    FROM events JOIN products USING (product_id)
    WHERE occurred_at >= %(opens)s AND occurred_at < %(closes)s AND source_id IN (SELECT source_id FROM wrong)
    UNION
    SELECT identity.payer_id, waiting.source_id, product, waiting.occurred_at::date
    FROM quarantine AS waiting JOIN event_identity AS identity USING (source_id, id)
    WHERE waiting.occurred_at >= %(opens)s AND waiting.occurred_at < %(closes)s AND identity.payer_id IS NOT NULL
), that_day AS (
    SELECT payer_id, place FROM used JOIN wrong USING (source_id, product, day)
), some_day AS (
    SELECT payer_id, place FROM used JOIN wrong USING (source_id, product)
    WHERE place NOT IN (SELECT place FROM that_day)
)
SELECT payer_id, array_agg(place ORDER BY place) FROM (TABLE that_day UNION TABLE some_day) AS found
GROUP BY payer_id ORDER BY payer_id
"""
