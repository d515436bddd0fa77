"""Stored ratings, read back with the usage that they are of.

Whoever replaces ratings holds the books exclusively, and whoever writes usage holds them too: so events need no locks
of their own. All of a large part is read in the order in which it lies, and not in that of an index, which would lead
to every page again and again.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from billing.rerating import Stretch, reordered
from billing.store.beside import ahead, read_beside
from billing.store.bulk import Table
from billing.store.engine import Connection
from billing.store.reported import NUMBERS, SAID, named, numpy_of, usage_of, whole
from billing.usage import Usage
from rates.numbering import COUNTRIES
from rates.rating import Ratings
from rates.usage import Int32s, Int64s

ELEMENT = pa.schema(
    {
        "payer_id": pa.int32(),
        "occurred_at": pa.timestamp("us", "UTC"),
        "source_id": pa.int32(),
        "id": pa.string(),
        "rate_id": pa.int64(),
        "price_id": pa.int32(),
        "billed": pa.int64(),
        "part": pa.int32(),
        "events": pa.int16(),
        "partition": pa.int32(),
        "place": pa.binary(),
    }
)
_ORDER = ("payer_id", "occurred_at", "source_id", "id")
Names = Mapping[str, Mapping[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """n stored events and what they are rated at; `payer` and `account` are int32[n].

    `rows` are the columns of the events, `elements` those of what they come to beside their usage, in the order of the
    ratings: where each lies in the database, and what a new one takes over from it. They are read in the order in which
    they were rated.
    """

    usage: Usage
    payer: Int32s
    account: Int32s
    ratings: Ratings
    rows: Table
    elements: Table

    def __len__(self) -> int:
        return len(self.usage)

    def reordered(self, places: Int64s) -> "Stored":
        """The same, with what events come to beside their usage in another order: int64[m] of its places."""
        return replace(self, ratings=reordered(self.ratings, places), elements=self.elements.take(pa.array(places)))


def stored_ratings(connection: Connection, stretches: Sequence[Stretch], limit: int) -> Iterator[Stored]:
    """The events within stretches that do not overlap, at most `limit` at a time, as they are found at the first.

    While some are worked on, the next are read.
    """
    if not stretches or not _any("events", connection, stretches):
        return
    names: Names = {what: dict(connection.execute(_NAMES[what]).fetchall()) for what in _NAMES}
    query = _of("events", stretches)
    # Where events come to more than their usage, both are walked in one order. Else any will do.
    if _any("event_elements", connection, stretches):
        events = read_beside(connection, query + _IN_ORDER)
        elements = Elements(read_beside(connection, _of("event_elements", stretches) + _IN_ORDER))
    else:
        events, elements = read_beside(connection, query), Elements(_nothing())
    yield from ahead(_chunks(events, elements, names, limit))


def _chunks(
    events: Generator[Table, None, None], elements: "Elements", names: Names, limit: int
) -> Generator[Stored, None, None]:
    with closing(events), closing(elements.coming):
        for found in events:
            for start in range(0, len(found), limit):
                rows = found.slice(start, limit)
                yield _stored(rows, elements.until(rows), names)


def _nothing() -> Generator[Table, None, None]:
    yield from ()


@dataclass(slots=True)
class Elements:
    """Elements in the order of their events; `ahead` are read and not asked for yet."""

    coming: Generator[Table, None, None]
    ahead: Table = field(default_factory=ELEMENT.empty_table)

    def until(self, rows: Table) -> Table:
        """Those that are not given yet, up to those of the last one of some events."""
        found = []
        while (known := _up_to(self.ahead, rows)) == len(self.ahead):
            found.append(self.ahead)
            following = next(self.coming, None)
            if following is None:
                self.ahead = self.ahead.slice(known)
                return pa.concat_tables(found)
            self.ahead = following
        found.append(self.ahead.slice(0, known))
        self.ahead = self.ahead.slice(known)
        return pa.concat_tables(found)


def _up_to(elements: Table, rows: Table) -> int:
    """How many elements are of the last one of some events, or of an event before it."""
    behind = pa.array(np.zeros(len(elements), dtype=np.bool_))
    for name in reversed(_ORDER):
        last = rows[name][-1]
        tied = pc.and_(pc.equal(elements[name], last), behind)
        behind = pc.or_(pc.greater(elements[name], last), tied)
    return len(elements) - int(pc.sum(behind).as_py() or 0)


def _stored(rows: Table, elements: Table, names: Names) -> Stored:
    column = whole(rows)
    column |= apart(column.pop("seldom")) | {"occurred_at": column["occurred_at"].cast(pa.int64())}
    owner = numpy_of(pc.index_in(_keys(elements), _keys(rows))) if len(elements) else np.zeros(0, dtype=np.int64)
    order = np.lexsort((numpy_of(elements["part"]), owner))
    elements = elements.take(pa.array(order))
    return Stored(
        usage=usage_of(column, {what: named(numpy_of(column[f"{what}_id"]), names[what]) for what in _NAMES}),
        payer=numpy_of(column["payer_id"]),
        account=numpy_of(column["account_id"]),
        ratings=Ratings(
            rate=numpy_of(pc.fill_null(column["rate_id"], -1)),
            price=numpy_of(pc.fill_null(column["price_id"], -1)),
            country=numpy_of(pc.index_in(column["country"], pa.array(COUNTRIES))).astype(np.int16),
            billed=numpy_of(column["billed"]),
            reason=numpy_of(column["reason"]).astype(np.int8),
            extra_event=owner[order].astype(np.int64),
            extra_rate=numpy_of(elements["rate_id"]),
            extra_price=numpy_of(elements["price_id"]),
            extra_billed=numpy_of(elements["billed"]),
            extra_events=numpy_of(elements["events"]).astype(np.int8),
        ),
        rows=rows.select(["partition", "place", "batch", "payer_id", "account_id", "source_id", "id"]),
        elements=elements,
    )


def apart(seldom: Table) -> dict[str, Table]:
    """The texts that came together, each a column."""
    if seldom.null_count == len(seldom):
        return dict.fromkeys(SELDOM, pa.nulls(len(seldom), pa.string()))
    texts, stated = seldom.flatten(), numpy_of(seldom.is_valid())
    first = (np.cumsum(stated) - 1) * len(SELDOM)
    return {name: texts.take(pa.array(first + place, mask=~stated)) for place, name in enumerate(SELDOM)}


def _keys(rows: Table) -> Table:
    """What tells events apart: the source and the id."""
    source = rows["source_id"].cast(pa.string())
    return pc.binary_join_element_wise(source, rows["id"], " ").combine_chunks()


def _any(table: str, connection: Connection, stretches: Sequence[Stretch]) -> bool:
    """Whether a table has rows within stretches."""
    query = sql.SQL("SELECT") + _within(table, stretches) + sql.SQL(" LIMIT 1")
    return connection.execute(query).fetchone() is not None


def _of(table: str, stretches: Sequence[Stretch]) -> sql.Composed:
    """The columns of the rows of a table that are within stretches."""
    columns = {"events": _EVENTS, "event_elements": _ELEMENTS}[table]
    return columns + _within(table, stretches)


def _within(table: str, stretches: Sequence[Stretch]) -> sql.Composed:
    """Literals, and no parameters: ADBC fetches what has parameters without COPY, all at once."""
    values = {
        "table": sql.Identifier(table),
        "payers": sql.Literal([each.payer for each in stretches]),
        "since": sql.Literal([each.since for each in stretches]),
        "until": sql.Literal([each.until for each in stretches]),
        "least": sql.Literal(min(each.since for each in stretches)),
        "most": sql.Literal(max(each.until for each in stretches)),
    }
    alike = len({each[1:] for each in stretches}) == 1  # as they mostly are
    within = _ALL.format(**values)
    return within if alike else within + _EACH_ITS_OWN.format(**values)


_NAMES = {
    "source": "SELECT source_id, id FROM sources",
    "account": "SELECT account_id, id FROM accounts",
    "product": "SELECT product_id, id FROM products",
}

SELDOM = tuple(name for name in SAID if name != "status")
_TOGETHER = sql.SQL(", ").join(map(sql.Identifier, SELDOM))

# Numbers, and no names: those are few. Texts that most events do not state are one column, which mostly is null:
# what is null costs a reader as much as what is not.
_EVENTS = sql.SQL("""
SELECT occurred_at, source_id, id, account_id, product_id, {numbers}, status, payer_id, batch, rate_id, price_id,
    billed, reason, country, CASE WHEN coalesce({texts}) IS NOT NULL THEN ARRAY[{texts}] END AS seldom,
    tableoid AS partition, ctid AS place
""").format(numbers=sql.SQL(", ").join(map(sql.Identifier, NUMBERS)), texts=_TOGETHER)

_ELEMENTS = sql.SQL("""
SELECT payer_id, occurred_at, source_id, id, rate_id, price_id, billed, part, events, tableoid AS partition,
    ctid AS place
""")

_ALL = sql.SQL("""
FROM {table} WHERE payer_id = ANY({payers}::integer[]) AND occurred_at >= {least} AND occurred_at < {most}
""")

_EACH_ITS_OWN = sql.SQL("""
AND EXISTS (
    SELECT FROM unnest({payers}::integer[], {since}::timestamptz[], {until}::timestamptz[]) AS s (payer, since, until)
    WHERE payer = payer_id AND occurred_at >= since AND occurred_at < until
)
""")

_IN_ORDER = sql.SQL(' ORDER BY payer_id, occurred_at, source_id, id COLLATE "C"')
