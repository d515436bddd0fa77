"""Usage totals: integers by payer, account, price, country and day, and the changes that are not in them yet."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from billing.periods import Period
from billing.store.engine import Connection
from rates.numbering import COUNTRY_CODES
from rates.usage import Totals

_EPOCH = date(1970, 1, 1)
_POSTGRES_EPOCH_DAYS = (date(2000, 1, 1) - _EPOCH).days

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

# In binary all columns have one width each, so that numpy reads the rows as they are; the country is padded to two.
_READ = """
COPY (
    SELECT payer_id, account_id, price_id, day, rpad(country, 2), sum(events)::bigint, sum(quantity)::bigint
    FROM (
        SELECT payer_id, account_id, price_id, day, country, events, quantity FROM usage_totals
        WHERE day >= {start} AND day < {end}{payers}
        UNION ALL
        SELECT payer_id, account_id, price_id, day, country, events, quantity FROM unfolded
        WHERE day >= {start} AND day < {end}{payers}
    ) AS rated
    GROUP BY 1, 2, 3, 4, 5 HAVING sum(events) <> 0 OR sum(quantity) <> 0 ORDER BY 1, 2, 3, 4, 5
) TO STDOUT (FORMAT binary)
"""
_HEADER_BYTES = 19
_TRAILER_BYTES = 2
_ROW = np.dtype(
    [("fields", ">i2")]
    + [
        part
        for name, kind in (
            *(("payer", ">i4"), ("account", ">i4"), ("price", ">i4"), ("day", ">i4"), ("country", "S2")),
            *(("events", ">i8"), ("quantity", ">i8")),
        )
        for part in ((f"{name}_size", ">i4"), (name, kind))
    ]
)


def fold(connection: Connection, limit: int) -> tuple[int, int]:
    """Move at most `limit` changes into the totals; how many they were, and how many totals they changed."""
    row = connection.execute(_FOLD, [limit]).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def read_totals(connection: Connection, period: Period, payers: Sequence[int] | None = None) -> Totals:
    """The totals of a period, of some payers or all, with what is not folded yet: one statement, one snapshot.

    Rows are in the order of payer, account, price, day and country.
    """
    of_payers = sql.SQL("").format()
    if payers is not None:
        of_payers = sql.SQL(" AND payer_id = ANY({}::integer[])").format(list(payers))
    query = sql.SQL(_READ).format(start=period.start, end=period.end, payers=of_payers)
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        raw = b"".join(copy)
    rows = np.frombuffer(raw[_HEADER_BYTES:-_TRAILER_BYTES], dtype=_ROW)
    return Totals(
        payer=rows["payer"].astype(np.int64),
        account=rows["account"].astype(np.int64),
        price=rows["price"].astype(np.int32),
        country=_country_codes(rows["country"]),
        day=(rows["day"] + _POSTGRES_EPOCH_DAYS).astype(np.int32),
        events=rows["events"].astype(np.int64),
        quantity=rows["quantity"].astype(np.int64),
    )


def last_day_rated(connection: Connection, accounts: Sequence[int]) -> date | None:
    """The last day of which usage of these accounts has been rated; None for none."""
    row = connection.execute(
        "SELECT max(day) FROM (SELECT day, account_id FROM usage_totals UNION ALL SELECT day, account_id FROM unfolded)"
        " AS rated WHERE account_id = ANY(%s)",
        [list(accounts)],
    ).fetchone()
    return row[0] if row else None


def was_rated_since(connection: Connection, instant: datetime, blocks: Sequence[tuple[int, int]]) -> bool:
    """Whether usage at or after an instant has been rated at a price of these blocks of price ids."""
    day = instant.astimezone(UTC).date()
    values = {"first": [a for a, _ in blocks], "end": [b for _, b in blocks], "day": day, "instant": instant}
    for query in (_RATED_ON_LATER_DAYS, _RATED_ON_THE_DAY):
        if connection.execute(query, values).fetchone() is not None:
            return True
    return False


_RATED_ON_LATER_DAYS = """
SELECT 1 FROM (SELECT day, price_id FROM usage_totals UNION ALL SELECT day, price_id FROM unfolded) AS rated
JOIN unnest(%(first)s::integer[], %(end)s::integer[]) AS block (first, until)
    ON price_id >= block.first AND price_id < block.until
WHERE day > %(day)s LIMIT 1
"""
_RATED_ON_THE_DAY = """
SELECT 1 FROM (
    SELECT occurred_at, price_id FROM events UNION ALL SELECT occurred_at, price_id FROM event_elements
) AS rated
JOIN unnest(%(first)s::integer[], %(end)s::integer[]) AS block (first, until)
    ON price_id >= block.first AND price_id < block.until
WHERE occurred_at >= %(instant)s AND occurred_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC' LIMIT 1
"""


def _country_codes(names: NDArray[np.bytes_]) -> NDArray[np.int16]:
    distinct, inverse = np.unique(names, return_inverse=True)
    codes = [COUNTRY_CODES[name.decode().strip()] for name in distinct.tolist()]
    return np.array(codes, dtype=np.int16)[inverse]
