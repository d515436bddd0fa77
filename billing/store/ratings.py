"""Stored ratings: read back with the usage that they are of, and replaced where they changed.

Whoever replaces ratings holds the books exclusively, and whoever writes usage holds them too: so events need no locks
of their own, and are walked in the order in which an index has them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from billing.rerating import Stretch, reordered
from billing.store.bulk import Table, copy_in, copy_out, copy_rows, csv_of
from billing.store.engine import Connection
from billing.store.reported import REPORTED, numpy_of, said_by, usage_of
from billing.store.usage import CHANGES, parts_of, summed
from billing.usage import Usage, at_micros
from rates.numbering import COUNTRIES
from rates.rating import Ratings
from rates.usage import MICROSECONDS_A_DAY, Flags, Int32s, Int64s

_RATED = {
    "payer_id": pa.int32(),
    "account_id": pa.int32(),
    "source_id": pa.int32(),
    "batch": pa.int64(),
    "rate_id": pa.int64(),
    "price_id": pa.int32(),
    "billed": pa.int64(),
    "reason": pa.int8(),
    "country": pa.string(),
    "partition": pa.string(),
    "place": pa.string(),
}
_ELEMENT = {
    "id": pa.string(),
    **{name: _RATED[name] for name in ("source_id", "rate_id", "price_id", "billed")},
    "part": pa.int32(),
    "events": pa.int8(),
    **{name: _RATED[name] for name in ("partition", "place")},
}
_MICROS = pa.timestamp("us")


class Mark(NamedTuple):
    """An event's place in the order of time."""

    at: datetime
    source_id: int
    id: str


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
    """The events within stretches that do not overlap, at most `limit` at a time."""
    together: list[Stretch] = []
    room = limit
    for stretch, count in _counted(connection, stretches):
        if count > limit:
            yield from _paged(connection, stretch, limit)
            continue
        if count > room:
            yield _read(connection, together)
            together, room = [], limit
        together.append(stretch)
        room -= count
    if together:
        yield _read(connection, together)


def rewrite(connection: Connection, stored: Stored, new: Ratings, which: Flags) -> None:
    """Replace the ratings of marked events (bool[n]), and change the totals by as much. All of them have a place.

    `new` has what an event comes to beside its usage in the order in which it was rated. Those that have no price any
    more move to the quarantine, as they were reported.
    """
    if not which.any():
        return
    lost = which & new.is_quarantined
    _rewrite_events(connection, stored, new, which & ~lost)
    _rewrite_elements(connection, stored, new, which)
    _quarantine(connection, stored, new, lost)
    changes = summed(pa.concat_tables([_changes(stored, stored.ratings, which, -1), _changes(stored, new, which, 1)]))
    something = pc.or_(pc.not_equal(changes["events"], 0), pc.not_equal(changes["quantity"], 0))
    copy_rows(connection, "unfolded", CHANGES, csv_of(changes.filter(something)))


def _counted(connection: Connection, stretches: Sequence[Stretch]) -> list[tuple[Stretch, int]]:
    """The stretches that have events, and how many."""
    if not stretches:
        return []
    rows = connection.execute(_COUNT, _values(stretches)).fetchall()
    return [(stretches[place - 1], count) for place, count in rows]


def _paged(connection: Connection, stretch: Stretch, limit: int) -> Iterator[Stored]:
    """The events of one stretch in the order of time, page by page: a page may end between events of one instant."""
    after = Mark(stretch.since, 0, "")
    while True:
        found = _read(connection, [stretch._replace(since=after.at)], after, limit)
        if len(found):
            yield found
        if len(found) < limit:
            return
        after = _mark(found.rows)


def _mark(rows: Table) -> Mark:
    (last,) = rows.slice(len(rows) - 1).select(["occurred_at", "source_id", "id"]).to_pylist()
    return Mark(at_micros(last["occurred_at"]), last["source_id"], last["id"])


def _read(
    connection: Connection, stretches: Sequence[Stretch], after: Mark | None = None, limit: int | None = None
) -> Stored:
    """The events of some stretches; or of a single one, at most `limit` of those behind a place in the order."""
    if len(stretches) == 1:
        events, values = _page("events", stretches[0], after, limit)
    else:
        events, values = _within("events", stretches)
    query = sql.SQL(_EVENTS).format(said=said_by("event"), events=events)
    rows = copy_out(connection, query, {**REPORTED, **_RATED}, values)
    if not len(rows):
        return _stored(rows, pa.table({name: pa.array([], kind) for name, kind in _ELEMENT.items()}))
    if len(stretches) == 1:
        elements, values = _page("event_elements", stretches[0], after, None, _mark(rows))
    else:
        elements, values = _within("event_elements", stretches)
    return _stored(rows, copy_out(connection, sql.SQL(_ELEMENTS).format(elements=elements), _ELEMENT, values))


def _within(table: str, stretches: Sequence[Stretch]) -> tuple[sql.Composable, list[object]]:
    """The rows of a table that are within stretches, as a subquery with its values."""
    return sql.SQL(_WITHIN).format(sql.Identifier(table)), [*_values(stretches).values()]


def _page(
    table: str, stretch: Stretch, after: Mark | None, limit: int | None, last: Mark | None = None
) -> tuple[sql.Composable, list[object]]:
    """The same for one stretch, behind a place and up to another, in the order of time, as an index has it."""
    until = stretch.until if last is None else min(stretch.until, last.at + timedelta(microseconds=1))
    query, values = sql.SQL(_OF_ONE).format(sql.Identifier(table)), [stretch.payer, stretch.since, until]
    for mark, condition in ((after, _BEHIND), (last, _UP_TO)):
        if mark is not None:
            query, values = query + sql.SQL(condition), [*values, *mark]
    if limit is not None:
        query, values = query + sql.SQL(_FIRST), [*values, limit]
    return query, values


def _stored(rows: Table, elements: Table) -> Stored:
    column = {name: rows[name].combine_chunks() for name in rows.column_names}
    owner = numpy_of(pc.index_in(_keys(elements), _keys(rows)))
    order = np.lexsort((numpy_of(elements["part"]), owner))
    elements = elements.take(pa.array(order))
    return Stored(
        usage=usage_of(column),
        payer=numpy_of(column["payer_id"]),
        account=numpy_of(column["account_id"]),
        ratings=Ratings(
            rate=numpy_of(pc.fill_null(column["rate_id"], -1)),
            price=numpy_of(pc.fill_null(column["price_id"], -1)),
            country=numpy_of(pc.index_in(column["country"], pa.array(COUNTRIES))).astype(np.int16),
            billed=numpy_of(column["billed"]),
            reason=numpy_of(column["reason"]),
            extra_event=owner[order].astype(np.int64),
            extra_rate=numpy_of(elements["rate_id"]),
            extra_price=numpy_of(elements["price_id"]),
            extra_billed=numpy_of(elements["billed"]),
            extra_events=numpy_of(elements["events"]),
        ),
        rows=rows,
        elements=elements,
    )


def _keys(rows: Table) -> Table:
    """What tells events apart: the source and the id."""
    source = rows["source_id"].cast(pa.string())
    return pc.binary_join_element_wise(source, rows["id"], " ").combine_chunks()


def _rewrite_events(connection: Connection, stored: Stored, new: Ratings, which: Flags) -> None:
    if not which.any():
        return
    marked = pa.array(which)
    _place(
        connection,
        {
            **{name: stored.rows[name].filter(marked) for name in ("partition", "place")},
            "rate_id": _or_null(new.rate[which]),
            "billed": pa.array(new.billed[which]),
            "price_id": _or_null(new.price[which]),
            "reason": pa.array(new.reason[which]),
            "country": _countries(new, which),
        },
    )
    _each_partition(connection, stored.rows["partition"].filter(marked), _UPDATE)


def _rewrite_elements(connection: Connection, stored: Stored, new: Ratings, which: Flags) -> None:
    old = stored.elements.filter(pa.array(which[stored.ratings.extra_event]))
    if len(old):
        _place(connection, {name: old[name] for name in ("partition", "place")})
        _each_partition(connection, old["partition"], _DELETE)
    added = np.flatnonzero(which[new.extra_event])
    event = new.extra_event[added]
    taken = stored.rows.select(["batch", "payer_id", "account_id", "source_id", "id"]).take(pa.array(event))
    if len(added):
        columns = {
            "occurred_at": pa.array(stored.usage.occurred_at[event]).cast(_MICROS),
            **{name: taken[name] for name in taken.column_names},
            "rate_id": pa.array(new.extra_rate[added]),
            "billed": pa.array(new.extra_billed[added]),
            "price_id": pa.array(new.extra_price[added]),
            "part": pa.array(parts_of(event)),
            "events": pa.array(new.extra_events[added].astype(np.int16)),
            "country": _countries(new, event),
        }
        copy_in(connection, "event_elements", columns)


def _quarantine(connection: Connection, stored: Stored, new: Ratings, which: Flags) -> None:
    """Move marked events to the quarantine, with the reasons for which they wait there."""
    if not which.any():
        return
    rows = stored.rows.filter(pa.array(which))
    _place(connection, {**{name: rows[name] for name in ("partition", "place")}, "reason": pa.array(new.reason[which])})
    _each_partition(connection, rows["partition"], _WAIT)
    _each_partition(connection, rows["partition"], _DELETE)


def _place(connection: Connection, columns: dict[str, Table]) -> None:
    """Put what is to be written, with the places where it is to be written, beside the tables."""
    connection.execute(_BESIDE)
    connection.execute("TRUNCATE rewritten")
    copy_in(connection, "rewritten", columns)


def _each_partition(connection: Connection, partitions: Table, statement: str) -> None:
    """Run a statement for each partition concerned. Rows are found by where they lie: they are held, and stay there."""
    # The planner knows nothing of the temporary table, and would read the whole partition.
    for method in ("hashjoin", "mergejoin"):
        connection.execute(sql.SQL("SET LOCAL {} = off").format(sql.Identifier(f"enable_{method}")))
    for partition in pc.unique(partitions).to_pylist():
        connection.execute(sql.SQL(statement).format(sql.Identifier(partition)), [partition])
    for method in ("hashjoin", "mergejoin"):
        connection.execute(sql.SQL("SET LOCAL {} = DEFAULT").format(sql.Identifier(f"enable_{method}")))


def _changes(stored: Stored, ratings: Ratings, which: Flags, sign: int) -> Table:
    """What the marked events add to the totals, or with -1 take from them, a row for each element."""
    usage = np.flatnonzero(which & (ratings.price >= 0))
    beside = np.flatnonzero(which[ratings.extra_event])
    event = np.concatenate([usage, ratings.extra_event[beside]])
    events = np.concatenate([np.ones(len(usage), dtype=np.int64), ratings.extra_events[beside]])
    quantity = np.concatenate([ratings.billed[usage], ratings.extra_billed[beside]])
    day = stored.usage.occurred_at[event] // MICROSECONDS_A_DAY
    return pa.table(
        {
            "payer_id": pa.array(stored.payer[event]),
            "account_id": pa.array(stored.account[event]),
            "price_id": pa.array(np.concatenate([ratings.price[usage], ratings.extra_price[beside]])),
            "day": pa.array(day.astype(np.int32)).cast(pa.date32()),
            "country": _countries(ratings, event),
            "events": pa.array(sign * events),
            "quantity": pa.array(sign * quantity),
        }
    )


def _countries(ratings: Ratings, events: Int64s | Flags) -> Table:
    return pa.array(COUNTRIES, pa.string()).take(pa.array(ratings.country[events]))


def _or_null(numbers: Int64s | Int32s) -> Table:
    return pa.array(numbers, mask=numbers < 0)


def _values(stretches: Sequence[Stretch]) -> dict[str, object]:
    """The stretches as the statements take them; the bounds of all of them spare partitions from being looked at."""
    return {
        "payers": [each.payer for each in stretches],
        "since": [each.since for each in stretches],
        "until": [each.until for each in stretches],
        "least": min(each.since for each in stretches),
        "most": max(each.until for each in stretches),
    }


_COUNT = """
SELECT n, count(*)
FROM unnest(%(payers)s::integer[], %(since)s::timestamptz[], %(until)s::timestamptz[])
    WITH ORDINALITY AS stretch (payer_id, since, until, n)
JOIN events AS event ON event.payer_id = stretch.payer_id AND occurred_at >= since AND occurred_at < until
WHERE occurred_at >= %(least)s AND occurred_at < %(most)s
GROUP BY n ORDER BY n
"""

_WITHIN = """
SELECT event.*, event.tableoid AS partition_id, event.ctid AS place
FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) AS stretch (payer_id, since, until)
JOIN {} AS event ON event.payer_id = stretch.payer_id AND occurred_at >= since AND occurred_at < until
    AND occurred_at >= %s AND occurred_at < %s
"""

_OF_ONE = """
SELECT *, tableoid AS partition_id, ctid AS place FROM {} WHERE payer_id = %s AND occurred_at >= %s AND occurred_at < %s
"""
_BEHIND = ' AND (occurred_at, source_id, id) > (%s, %s, %s COLLATE "C")'
_UP_TO = ' AND (occurred_at, source_id, id) <= (%s, %s, %s COLLATE "C")'
_FIRST = " ORDER BY occurred_at, source_id, id LIMIT %s"

# The name alone: it is written as an identifier, where that of the table is found too.
_PARTITION = "(SELECT relname FROM pg_class WHERE oid = partition_id)"

_EVENTS = f"""
SELECT (extract(epoch FROM occurred_at) * 1000000)::bigint, sources.id, event.id, accounts.id, products.id, {{said}},
    payer_id, account_id, source_id, batch, rate_id, price_id, billed, reason, country, {_PARTITION}, place::text
FROM ({{events}}) AS event
JOIN sources USING (source_id) JOIN accounts USING (account_id) JOIN products USING (product_id)
ORDER BY occurred_at, source_id, event.id
"""  # noqa: S608

_ELEMENTS = f"""
SELECT id, source_id, rate_id, price_id, billed, part, events, {_PARTITION}, place::text FROM ({{elements}}) AS element
"""  # noqa: S608

_BESIDE = """
CREATE TEMPORARY TABLE IF NOT EXISTS rewritten (
    partition text NOT NULL,
    place tid NOT NULL,
    rate_id bigint,
    billed bigint,
    price_id integer,
    reason smallint,
    country text
) ON COMMIT DELETE ROWS
"""

_UPDATE = """
UPDATE {} AS event SET rate_id = new.rate_id, billed = new.billed, price_id = new.price_id, reason = new.reason,
    country = new.country
FROM rewritten AS new WHERE partition = %s AND event.ctid = place
"""

_DELETE = "DELETE FROM {} AS element USING rewritten AS old WHERE partition = %s AND element.ctid = place"

_REPORTED = """occurred_at, received_at, batch, to_e164, from_e164, rated_to_e164, measured, source_id, revision,
    stated_country, to_address, from_address, mcc, mnc, number_type, region, jurisdiction, package, status, error_code,
    attributes"""

_WAIT = f"""
INSERT INTO quarantine ({_REPORTED}, id, reason, account, product)
SELECT {_REPORTED}, event.id, new.reason, accounts.id, products.id
FROM rewritten AS new JOIN {{}} AS event ON event.ctid = place
JOIN accounts USING (account_id) JOIN products USING (product_id)
WHERE partition = %s
"""  # noqa: S608
