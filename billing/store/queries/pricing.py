"""What pricing reads beside the totals: the ordered events of crossing days, prices, and the terms of cards."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from psycopg import sql
from psycopg.rows import dict_row

from billing.periods import Period
from billing.reselling import PREFIX
from billing.store.bulk import Table, copy_out, integers_out
from billing.store.engine import Connection
from billing.store.ratebooks import CardVersion, read_card_versions
from billing.store.totals import totals_from
from rates.cardfile import with_head
from rates.cards import Card, decimals
from rates.prices import Price
from rates.pricing import Wanted
from rates.products import Product
from rates.rating import CODES, REASONS, Reason
from rates.usage import TOTALS, Totals, no_totals

_EPOCH = date(1970, 1, 1)
_TEXTS = (
    "product",
    "element",
    "destination",
    "number_type",
    "unit",
    "base",
    "prices",
    "schedule",
    "free_units",
    "block",
)
_PRICE = {
    "price_id": pa.int32(),
    "card_version_id": pa.int32(),
    "unit_size": pa.int64(),
    **dict.fromkeys(_TEXTS, pa.string()),
}


def payers_with_usage(connection: Connection, period: Period) -> list[int]:
    """The payers that have totals in a month, folded or not."""
    rows = connection.execute(
        """
        SELECT payer_id FROM touched_months WHERE month >= date_trunc('month', %(start)s::timestamp) AND month < %(end)s
        UNION SELECT payer_id FROM unfolded WHERE day >= %(start)s AND day < %(end)s
        ORDER BY payer_id
        """,
        {"start": period.start, "end": period.end},
    )
    return [payer for (payer,) in rows]


def read_crossings(connection: Connection, wanted: Wanted) -> Totals:
    """The priced usage of some payers' days, one row an event, in order: occurred_at, source, id (as bytes).

    An event that was cut when it was rated has its further parts behind it, which count no event; one that asked for
    several packages has the others, which count one each.
    """
    query = sql.SQL("""
        WITH wanted AS (
            SELECT payer_id, day::timestamp AT TIME ZONE 'UTC' AS starts,
                   (day + 1)::timestamp AT TIME ZONE 'UTC' AS ends, day - DATE '1970-01-01' AS number
            FROM unnest(%(payers)s::integer[], %(days)s::date[]) AS wanted(payer_id, day)
        ), usage AS (
            SELECT event.payer_id, account_id, price_id, country, number, 1 AS events, billed, occurred_at, source_id,
                   event.id, 0 AS part
            FROM wanted JOIN events AS event ON event.payer_id = wanted.payer_id AND price_id IS NOT NULL
                 AND occurred_at >= starts AND occurred_at < ends
                 AND occurred_at >= %(first)s AND occurred_at < %(end)s
            UNION ALL
            SELECT further.payer_id, account_id, price_id, country, number, further.events, billed, occurred_at,
                   source_id, further.id, part
            FROM wanted JOIN event_elements AS further ON further.payer_id = wanted.payer_id
                 AND occurred_at >= starts AND occurred_at < ends
                 AND occurred_at >= %(first)s AND occurred_at < %(end)s
            JOIN prices USING (price_id)
            WHERE prices.element = 'usage'
        )
        SELECT payer_id, account_id, price_id, ascii(country) * 256 + ascii(substr(country, 2)), number, events, billed
        FROM usage JOIN sources USING (source_id)
        ORDER BY payer_id, occurred_at, sources.id, usage.id, part
    """)
    days = [_EPOCH + timedelta(days=day) for day in wanted.day.tolist()]
    if not days:
        return no_totals()
    # A day that comes out of a join leaves every month's partition in the plan; these two are known when it is made.
    first, end = (datetime.combine(day, time(), UTC) for day in (min(days), max(days) + timedelta(days=1)))
    values = {"payers": wanted.payer.tolist(), "days": days, "first": first, "end": end}
    return totals_from(integers_out(connection, query, TOTALS, values))


def read_prices(connection: Connection, ids: Collection[int], heads: Mapping[int, Card]) -> dict[int, Price]:
    """Prices by their ids; `heads` are the cards without rows by the numbers of their versions."""
    return {number: price for number, (price, _) in read_tariffs(connection, ids, heads).items()}


def read_tariffs(
    connection: Connection, ids: Collection[int], heads: Mapping[int, Card]
) -> dict[int, tuple[Price, Card]]:
    """Prices by their ids, each with the head of its card version."""
    columns = sql.SQL(", ").join(map(sql.Identifier, _PRICE))
    query = sql.SQL("SELECT {} FROM prices WHERE price_id = ANY(%s)").format(columns)
    rows = connection.cursor(row_factory=dict_row).execute(query, [list(ids)])
    return {row.pop("price_id"): _priced(heads[row.pop("card_version_id")], row) for row in rows}


def price_rows(connection: Connection, versions: Collection[int]) -> Table:
    """All prices of some card versions, as they are stored, by ascending id."""
    query = sql.SQL("SELECT {} FROM prices WHERE card_version_id = ANY({}) ORDER BY price_id").format(
        sql.SQL(", ").join(map(sql.Identifier, _PRICE)), sql.Literal(list(versions))
    )
    return copy_out(connection, query, _PRICE)


def price_from(rows: Table, place: int, heads: Mapping[int, Card]) -> tuple[Price, Card]:
    """The price in a place of such rows, with the head of its card version."""
    row: dict[str, Any] = {name: rows[name][place].as_py() for name in _PRICE}
    row.pop("price_id")
    return _priced(heads[row.pop("card_version_id")], row)


def read_heads(connection: Connection, products: Mapping[str, Product], *, replaced: bool = False) -> dict[int, Card]:
    """All published cards without their rows, by the numbers of their versions; also `replaced` ones."""
    versions = read_card_versions(connection, replaced=replaced)
    return {each.card_version_id: head_of(each, products) for each in versions}


def head_of(version: CardVersion, products: Mapping[str, Product]) -> Card:
    """A published card without its rows."""
    return with_head(version.head, pa.table({"row": pa.array([], pa.int32())}), products)


def _priced(head: Card, row: dict[str, Any]) -> tuple[Price, Card]:
    exact: dict[str, Any] = {"prices": decimals(row.pop("prices"))}
    exact |= {name: Decimal(row.pop(name)) for name in ("free_units", "block")}
    return Price(card=head.version, currency=head.currency, rounding=head.rounding, **row, **exact), head


def quarantined_events(
    connection: Connection, period: Period, accounts: Sequence[str] | None = None, *, resold: bool = False
) -> dict[str, int]:
    """How many events of a period wait for what is missing, by reason; of all, or of some accounts what they are
    charged, or what a reseller charges for them.
    """
    rows = connection.execute(
        "SELECT reason, count(*) FROM quarantine WHERE occurred_at >= %s AND occurred_at < %s"
        " AND (%s::text[] IS NULL OR account = ANY(%s)"
        " AND %s = (source_id IN (SELECT source_id FROM sources WHERE starts_with(id, %s)))) GROUP BY reason",
        [period.opens, period.closes, accounts, accounts, resold, PREFIX],
    )
    return dict(sorted((str(REASONS[code]), count) for code, count in rows))


def pending_events(connection: Connection, period: Period, payer: int | None = None) -> int:
    """How many events of a period were reported while their outcome was open; of one payer or all."""
    # The reason stands in the statement itself: only so is the index used that holds nothing but these.
    of_payer = sql.SQL("") if payer is None else sql.SQL("AND payer_id = %(payer)s")
    query = sql.SQL(
        "SELECT count(*) FROM events WHERE reason = {} AND occurred_at >= %(opens)s AND occurred_at < %(closes)s {}"
    ).format(sql.Literal(CODES[Reason.PENDING]), of_payer)
    values = {"payer": payer, "opens": period.opens, "closes": period.closes}
    row = connection.execute(query, values).fetchone()
    return int(row[0]) if row else 0
