"""Stored usage as it is rated: the columns that decide a price and no others, of whole months or of a few days.

For whoever asks what usage would come to, and writes nothing: a candidate card, a contract, a margin. Which rating an
event has now is not read, and neither is what it is called, unless its order among others is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from billing.periods import Period, day_of
from billing.reselling import PREFIX
from billing.store.beside import read_beside, together
from billing.store.bulk import Table
from billing.store.engine import Connection
from billing.store.partitions import pages_of
from billing.store.ratings import SELDOM, apart
from billing.store.reported import named, numpy_of, usage_of, whole
from billing.usage import Usage
from rates.numbering import COUNTRIES
from rates.pricing import Wanted
from rates.rating import CODES, Reason
from rates.usage import MICROSECONDS_A_DAY, Int32s, Int64s, Totals

Names = Mapping[str, Mapping[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rateable:
    """n stored events: `usage` without ids and sources (unless they were asked for), and the account of each."""

    usage: Usage
    account: Int32s

    def __len__(self) -> int:
        return len(self.account)

    def take(self, rows: Int64s) -> Self:
        """Some of the events, in the order given."""
        return type(self)(usage=self.usage.take(rows), account=self.account[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class OfDays:
    """What some payers used on some days, in order: n `events` to be rated again, with the payer of each (int64[n]).

    `rated` is what is priced of them as they are: a row each, and the parts of one that was cut behind each other.
    """

    events: Rateable
    payer: Int64s
    rated: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events are read: of some `payers`; of an `account` or paid by it; only `priced` ones; and those whose usage
    has one of the `rates`, given as a first id and how many. None and "": of all.
    """

    payers: Sequence[int] | None = None
    account: str = ""
    priced: bool = False
    rates: Sequence[tuple[int, int]] | None = None

    def conditions(self) -> sql.Composable:
        """The conditions in SQL, each behind an AND."""
        found: list[sql.Composable] = []
        if self.payers is not None:
            found.append(sql.SQL("payer_id = ANY({}::integer[])").format(sql.Literal(list(self.payers))))
        if self.account:
            number = sql.SQL("(SELECT account_id FROM accounts WHERE id = {})").format(sql.Literal(self.account))
            found.append(sql.SQL("{number} IN (account_id, payer_id)").format(number=number))
        if self.priced:
            found.append(sql.SQL("reason = 0"))
        if self.rates is not None:
            within = [sql.SQL("rate_id BETWEEN {} AND {}").format(base, base + many - 1) for base, many in self.rates]
            found.append(sql.SQL("({})").format(sql.SQL(" OR ").join(within)) if within else sql.SQL("false"))
        return sql.SQL("").join(sql.SQL(" AND ") + each for each in found)


def rated_usage(
    connection: Connection, period: Period, which: Selection, *, with_ids: bool = False
) -> Iterator[Rateable]:
    """Events of a period that were rated, in no order. While some are worked on, the next are read.

    Two halves are read at once: a server that makes rows and a client that takes them wait for each other, and so one
    of two processors would be idle. Halves of the pages, as halves of the time lie on every page, and both would read
    all of them.
    """
    names = _names(connection)
    whole = rated_query(period.opens, period.closes, which, with_ids=with_ids)
    middle = sql.Literal(f"({pages_of(connection, period.start) // 2},0)")
    queries = [whole + sql.SQL(f" AND ctid {half} {{}}::tid").format(middle) for half in ("<", ">=")]
    for rows in together([read_beside(connection, query) for query in queries]):
        yield _rateable(rows, names)


def rated_query(since: datetime, until: datetime, which: Selection, *, with_ids: bool = False) -> sql.Composed:
    """What `rated_usage` reads between two instants."""
    query = sql.SQL("SELECT {columns} FROM events WHERE occurred_at >= {opens} AND occurred_at < {closes} {which}")
    columns = _COLUMNS + (_IDS if with_ids else sql.SQL(""))
    within = {"opens": sql.Literal(since), "closes": sql.Literal(until)}
    return query.format(columns=columns, **within, which=which.conditions())


def waiting_usage(connection: Connection, period: Period, accounts: Sequence[int]) -> Iterator[Rateable]:
    """The quarantined events of a period and of some accounts, but for those that came too late."""
    query = sql.SQL("SELECT {columns} {waiting}").format(columns=_COLUMNS, waiting=_waiting(period, accounts))
    names = _names(connection)
    with closing(read_beside(connection, query)) as parts:
        for rows in parts:
            yield _rateable(rows, names)


def usage_of_days(
    connection: Connection, period: Period, wanted: Wanted, payer_of: Mapping[int, int]
) -> Iterator[OfDays]:
    """The usage of some payers' days, in order: payer, occurred_at, source, id; also what waits in quarantine.

    `payer_of`: who pays for the accounts of those that may have usage there.
    """
    days = [day_of(day) for day in wanted.day.tolist()]
    query = _OF_DAYS.format(
        columns=_COLUMNS,
        ids=_IDS,
        waiting=_waiting(period, list(payer_of)),
        payers=sql.Literal(wanted.payer.tolist()),
        starts=sql.Literal([f"{day}T00:00:00Z" for day in days]),
        ends=sql.Literal([f"{day + timedelta(days=1)}T00:00:00Z" for day in days]),
        accounts=sql.Literal(list(payer_of)),
        payer_of=sql.Literal(list(payer_of.values())),
        **_within(period),
    )
    names = _names(connection)
    with closing(read_beside(connection, query)) as parts:
        for rows in parts:
            yield _of_days(rows, names)


def _names(connection: Connection) -> Names:
    return {what: dict(connection.execute(query).fetchall()) for what, query in _NAMES.items()}


def _rateable(rows: Table, names: Names) -> Rateable:
    n = len(rows)
    column = whole(rows)
    column |= apart(column.pop("seldom")) | {"occurred_at": column["occurred_at"].cast(pa.int64())}
    column["rated_to_e164"] = pa.nulls(n, pa.int64())  # it stands for the number that was called
    column.setdefault("id", pa.nulls(n, pa.string()))
    source = numpy_of(column["source_id"]) if "source_id" in column else np.zeros(n, dtype=np.int32)
    number = {"source": source, **{what: numpy_of(column[f"{what}_id"]) for what in ("account", "product")}}
    known = {**names, "source": {0: "", **names["source"]}}
    texts = {what: named(number[what], known[what]) for what in number}
    return Rateable(usage=usage_of(column, texts), account=number["account"])


def _of_days(rows: Table, names: Names) -> OfDays:
    events = rows.filter(pc.equal(rows["part"], 0))
    rated = rows.filter(pc.is_valid(rows["price_id"]))
    column = {name: numpy_of(rated[name]) for name in ("payer_id", "account_id", "price_id", "events", "billed")}
    at = numpy_of(rated["occurred_at"].cast(pa.int64()))
    return OfDays(
        events=_rateable(events, names),
        payer=numpy_of(events["payer_id"]).astype(np.int64),
        rated=Totals(
            payer=column["payer_id"].astype(np.int64),
            account=column["account_id"].astype(np.int64),
            price=column["price_id"],
            country=numpy_of(pc.index_in(rated["country"], pa.array(COUNTRIES))).astype(np.int16),
            day=(at // MICROSECONDS_A_DAY).astype(np.int32),
            events=column["events"].astype(np.int64),
            quantity=column["billed"],
        ),
    )


def _waiting(period: Period, accounts: Sequence[int]) -> sql.Composed:
    too_late = sql.Literal(CODES[Reason.TOO_OLD])
    mirrors = sql.Literal(PREFIX)
    return _WAITING.format(mirrors=mirrors, accounts=sql.Literal(list(accounts)), too_late=too_late, **_within(period))


def _within(period: Period) -> dict[str, sql.Literal]:
    return {"opens": sql.Literal(period.opens), "closes": sql.Literal(period.closes)}


_NAMES = {
    "source": "SELECT source_id, id FROM sources",
    "account": "SELECT account_id, id FROM accounts",
    "product": "SELECT product_id, id FROM products",
}

# `rated_to` is used instead of `to`, also where `to` is no number. Literals, and no parameters: ADBC fetches what has
# parameters without COPY, all at once.
_SELDOM = sql.SQL(", ").join(
    sql.SQL("CASE WHEN rated_to_e164 IS NULL THEN to_address END") if name == "to_address" else sql.Identifier(name)
    for name in SELDOM
)
_COLUMNS = sql.SQL("""
    occurred_at, account_id, product_id, coalesce(rated_to_e164, to_e164) AS to_e164, from_e164, measured, status,
    CASE WHEN coalesce({texts}) IS NOT NULL THEN ARRAY[{texts}] END AS seldom
""").format(texts=_SELDOM)
_IDS = sql.SQL(", source_id, id")

_WAITING = sql.SQL("""
    FROM (
        SELECT q.*, a.account_id, p.product_id FROM quarantine AS q
        JOIN accounts AS a ON a.id = q.account JOIN products AS p ON p.id = q.product
        WHERE q.occurred_at >= {opens} AND q.occurred_at < {closes} AND q.reason <> {too_late}
          AND q.source_id NOT IN (SELECT source_id FROM sources WHERE starts_with(id, {mirrors}))
          AND a.account_id = ANY({accounts}::integer[])
    ) AS waiting
""")

# Of what is rated now, `part` 0 is the event itself; its further parts are rated, and not rated again.
_OF_DAYS = sql.SQL("""
    WITH wanted AS (
        SELECT * FROM unnest({payers}::integer[], {starts}::timestamptz[], {ends}::timestamptz[])
            AS wanted (payer_id, starts, ends)
    ), usage AS (
        SELECT {columns} {ids}, event.payer_id, price_id, country, billed, 1 AS events, 0 AS part
        FROM wanted JOIN events AS event ON event.payer_id = wanted.payer_id AND occurred_at >= starts
            AND occurred_at < ends AND occurred_at >= {opens} AND occurred_at < {closes}
        UNION ALL
        SELECT occurred_at, account_id, NULL, NULL, NULL, NULL, NULL, NULL {ids},
            further.payer_id, price_id, country, billed, events, part
        FROM wanted JOIN event_elements AS further ON further.payer_id = wanted.payer_id AND occurred_at >= starts
            AND occurred_at < ends AND occurred_at >= {opens} AND occurred_at < {closes}
        JOIN (SELECT price_id FROM prices WHERE element = 'usage') AS of_usage USING (price_id)
        UNION ALL
        SELECT waiting.*, NULL, NULL, NULL, 1, 0 FROM (
            SELECT {columns} {ids}, payer.payer_id {waiting}
            JOIN unnest({accounts}::integer[], {payer_of}::integer[]) AS payer (paid, payer_id) ON paid = account_id
        ) AS waiting JOIN wanted USING (payer_id) WHERE occurred_at >= starts AND occurred_at < ends
    )
    SELECT occurred_at, account_id, product_id, to_e164, from_e164, measured, status, seldom,
        payer_id, price_id, country, billed, events, part
    FROM usage JOIN sources USING (source_id)
    ORDER BY payer_id, occurred_at, sources.id, usage.id COLLATE "C", part
""")
