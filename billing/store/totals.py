"""Usage totals: integers by payer, account, price, country and day, and the changes that are not in them yet."""

from collections.abc import Mapping, Sequence

import numpy as np
from psycopg import sql

from billing.drafts import merged
from billing.periods import Period
from billing.store.bulk import integers_out
from billing.store.engine import Connection
from rates.usage import TOTALS, Int64s, Totals

_LETTERS = 26

# One statement: what it deletes is what it adds. Other folders skip the rows it holds, and upserts in the order of
# the key cannot deadlock. Two numbers of 62 bits add up to one of 63: what is larger stays as it is, a change among
# others, so that one absurd account keeps nobody's changes from being folded. How many changes went into whose totals
# of which month is noted after all of them did: so folders wait for each other in one order there too.
_FOLD = """
WITH taken AS (
    DELETE FROM unfolded WHERE ctid = ANY (ARRAY(SELECT ctid FROM unfolded LIMIT %s FOR UPDATE SKIP LOCKED))
    RETURNING payer_id, account_id, price_id, day, country, events, quantity, at
), sums AS (
    SELECT payer_id, day, price_id, account_id, country COLLATE "C" AS country,
        sum(events)::bigint AS events, sum(quantity) AS quantity, count(*) AS changes
    FROM taken GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5 -- as they go in: sorted once, and not hashed before
), folded AS (
    INSERT INTO usage_totals (payer_id, day, price_id, account_id, country, events, quantity)
    SELECT payer_id, day, price_id, account_id, country, events, quantity::bigint
    FROM sums WHERE abs(quantity) < 1::bigint << 62 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (payer_id, day, price_id, account_id, country) DO UPDATE
    SET events = usage_totals.events + excluded.events, quantity = usage_totals.quantity + excluded.quantity
    WHERE abs(usage_totals.quantity) < 1::bigint << 62
    RETURNING payer_id, day, price_id, account_id, country
), left_alone AS (
    INSERT INTO unfolded (payer_id, account_id, price_id, day, country, events, quantity, at)
    SELECT payer_id, account_id, price_id, day, country, events, quantity, at FROM taken
    WHERE (SELECT count(*) FROM folded) < (SELECT count(*) FROM sums)
      AND NOT EXISTS (SELECT FROM folded AS f WHERE (f.payer_id, f.day, f.price_id, f.account_id, f.country)
          = (taken.payer_id, taken.day, taken.price_id, taken.account_id, taken.country COLLATE "C"))
    RETURNING payer_id, day
), moved AS (
    SELECT payer_id, day, sum(changes) AS changes
    FROM (SELECT payer_id, day, changes FROM sums UNION ALL SELECT payer_id, day, -1 FROM left_alone) AS parts
    GROUP BY 1, 2
), touched AS (
    INSERT INTO touched_months AS known (month, payer_id, folds)
    SELECT date_trunc('month', day::timestamp)::date AS month, payer_id, sum(changes) FROM moved
    GROUP BY 1, 2 HAVING sum(changes) > 0 ORDER BY 1, 2
    ON CONFLICT (month, payer_id) DO UPDATE SET folds = known.folds + excluded.folds
)
SELECT (SELECT coalesce(sum(changes), 0)::bigint FROM sums) - (SELECT count(*) FROM left_alone),
    (SELECT count(*) FROM folded)
"""

_READ = """
SELECT payer_id, account_id, price_id, ascii(country) * 256 + ascii(substr(country, 2)), day - DATE '1970-01-01',
    events, quantity
FROM {} WHERE day >= %s AND day < %s
"""


def fold(connection: Connection, limit: int) -> tuple[int, int]:
    """Move at most `limit` changes into the totals; how many they were, and how many totals they changed.

    A change that would bring its total near 64 bits stays where it is, and counts in neither.
    """
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
