"""Usage totals: integers by payer, account, price, country and day, and the changes that are not in them yet."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np
from psycopg import sql

from billing.drafts import merged
from billing.periods import Period
from billing.store.bulk import integers_out
from billing.store.engine import Connection
from rates.usage import TOTALS, Int64s, Totals

_LETTERS = 26

# One statement: what it deletes is what it adds. Other folders skip the rows it holds, and upserts in the order of
# the key cannot deadlock.
_FOLD = """
WITH taken AS (
    DELETE FROM unfolded WHERE ctid = ANY (ARRAY(SELECT ctid FROM unfolded LIMIT %s FOR UPDATE SKIP LOCKED))
    RETURNING payer_id, account_id, price_id, day, country, events, quantity
), sums AS (
    SELECT payer_id, day, price_id, account_id, country COLLATE "C" AS country,
        sum(events)::bigint AS events, sum(quantity)::bigint AS quantity, count(*) AS changes
    FROM taken GROUP BY 1, 2, 3, 4, 5
), folded AS (
    INSERT INTO usage_totals (payer_id, day, price_id, account_id, country, events, quantity)
    SELECT payer_id, day, price_id, account_id, country, events, quantity FROM sums ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (payer_id, day, price_id, account_id, country) DO UPDATE
    SET events = usage_totals.events + excluded.events, quantity = usage_totals.quantity + excluded.quantity
)
SELECT coalesce(sum(changes), 0)::bigint, count(*) FROM sums
"""

_READ = """
SELECT payer_id, account_id, price_id, ascii(country) * 256 + ascii(substr(country, 2)), day - DATE '1970-01-01',
    events, quantity
FROM {} WHERE day >= %s AND day < %s
"""


def fold(connection: Connection, limit: int) -> tuple[int, int]:
    """Move at most `limit` changes into the totals; how many they were, and how many totals they changed."""
    row = connection.execute(_FOLD, [limit]).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def read_totals(connection: Connection, period: Period, payers: Sequence[int] | None = None) -> Totals:
    """The totals of a period, of some payers or all, with what is not folded yet: one statement, one snapshot.

    Merged: one row for each (payer, account, price, day, country), in that order, none of nothing.
    """
    whose = sql.SQL("")
    values: list[object] = [period.start, period.end]
    if payers is not None:
        whose, values = sql.SQL("AND payer_id = ANY(%s)"), [*values, list(payers)]
    tables = [sql.SQL(_READ).format(sql.Identifier(table)) + whose for table in ("usage_totals", "unfolded")]
    found = merged(totals_from(integers_out(connection, sql.SQL(" UNION ALL ").join(tables), TOTALS, values * 2)))
    something = (found.events != 0) | (found.quantity != 0)
    return found if something.all() else found.take(something)


def totals_from(columns: Mapping[str, Int64s]) -> Totals:
    """Totals from columns as they were read; a country comes as the codes of its two letters, 256 times the first."""
    first, second = np.divmod(columns["country"], 256)
    country = np.where(first > 0, (first - ord("A")) * _LETTERS + second - ord("A") + 1, 0)
    return Totals(
        payer=columns["payer"],
        account=columns["account"],
        price=columns["price"].astype(np.int32),
        country=country.astype(np.int16),
        day=columns["day"].astype(np.int32),
        events=columns["events"],
        quantity=columns["quantity"],
    )


class Stretch(NamedTuple):
    """Usage of a payer from an instant on, and before a day."""

    payer: int
    since: datetime
    until: date


def last_days_rated(connection: Connection, since: date, payers: Sequence[int]) -> dict[int, date]:
    """The last day from `since` on of which usage of an account has been rated, by the numbers of the accounts."""
    rows = connection.execute(_LAST_DAYS, {"since": since, "payers": list(payers)})
    return dict(rows.fetchall())


def last_rated(connection: Connection, stretches: Sequence[Stretch]) -> tuple[int, date] | None:
    """The last day of which usage within any of the stretches has been rated, and a payer that has it.

    The first day of a stretch counts from its instant on, the other ones as a whole.
    """
    whole = [_first_whole_day(each.since) for each in stretches]
    values: dict[str, object] = {
        "payers": [each.payer for each in stretches],
        "since": whole,
        "until": [each.until for each in stretches],
    }
    found = connection.execute(_RATED_ON_WHOLE_DAYS, values).fetchone()
    if found is not None:
        return int(found[0]), found[1]
    begun = [each for each, day in zip(stretches, whole, strict=True) if each.since.astimezone(UTC).date() < day]
    values = {"payers": [each.payer for each in begun], "since": [each.since for each in begun]}
    found = connection.execute(_RATED_ON_FIRST_DAYS, values).fetchone() if begun else None
    return (int(found[0]), found[1]) if found is not None else None


def _first_whole_day(instant: datetime) -> date:
    instant = instant.astimezone(UTC)
    return instant.date() if instant.time() == time() else instant.date() + timedelta(days=1)


_LAST_DAYS = """
SELECT account_id, max(day) FROM (
    SELECT account_id, day FROM usage_totals WHERE payer_id = ANY(%(payers)s) AND day >= %(since)s
    UNION ALL SELECT account_id, day FROM unfolded WHERE payer_id = ANY(%(payers)s) AND day >= %(since)s
) AS rated GROUP BY account_id
"""

# A probe of the primary key for each stretch, and one pass over the changes that nobody has folded yet.
_RATED_ON_WHOLE_DAYS = """
WITH stretch AS (
    SELECT * FROM unnest(%(payers)s::integer[], %(since)s::date[], %(until)s::date[])
        AS stretch (payer_id, since, until)
)
SELECT payer_id, day FROM (
    SELECT stretch.payer_id, found.day FROM stretch CROSS JOIN LATERAL (
        SELECT day FROM usage_totals
        WHERE usage_totals.payer_id = stretch.payer_id AND day >= since AND day < until
        ORDER BY day DESC LIMIT 1
    ) AS found
    UNION ALL SELECT payer_id, day FROM unfolded JOIN stretch USING (payer_id) WHERE day >= since AND day < until
) AS rated ORDER BY day DESC, payer_id LIMIT 1
"""
_RATED_ON_FIRST_DAYS = """
SELECT stretch.payer_id, (since AT TIME ZONE 'UTC')::date
FROM unnest(%(payers)s::integer[], %(since)s::timestamptz[]) AS stretch (payer_id, since)
CROSS JOIN LATERAL (
    (SELECT FROM events WHERE events.payer_id = stretch.payer_id AND price_id IS NOT NULL
        AND occurred_at >= since AND occurred_at < (date_trunc('day', since, 'UTC') + interval '1 day') LIMIT 1)
    UNION ALL
    (SELECT FROM event_elements WHERE event_elements.payer_id = stretch.payer_id
        AND occurred_at >= since AND occurred_at < (date_trunc('day', since, 'UTC') + interval '1 day') LIMIT 1)
) AS found
ORDER BY payer_id LIMIT 1
"""
