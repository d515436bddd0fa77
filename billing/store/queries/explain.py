"""What explanations read: the events of one payer in order, what each was reported as, and the row that rated it."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import LiteralString, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql
from psycopg.rows import dict_row

from billing.drafts import merged
from billing.jurisdictions import in_words
from billing.periods import Period
from billing.store.bulk import Table, columns_out, integers_out
from billing.store.engine import Connection
from billing.store.totals import totals_from
from rates.cards import instant
from rates.rating import REASONS
from rates.usage import TOTALS, Totals

_DAY = timedelta(days=1)

_SAID = ("mcc", "mnc", "number_type", "region", "package", "jurisdiction", "error_code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Priced usage of one payer, or further elements of it, in chronological order: one row each, and whose it is.

    Of usage that was cut when it was rated, the further parts (`events` 0) stand behind the first.
    """

    totals: Totals
    source: Table
    id: Table

    def identities(self, rows: NDArray[np.int64]) -> list[tuple[str, str]]:
        """(source, id) of some rows."""
        wanted = pa.array(rows)
        return list(zip(self.source.take(wanted).to_pylist(), self.id.take(wanted).to_pylist(), strict=True))

    @property
    def head(self) -> NDArray[np.int64]:
        """The first of the parts of the same event, for each row, int64[n]."""
        place = np.arange(len(self.totals), dtype=np.int64)
        return np.maximum.accumulate(np.where(self.totals.events == 0, 0, place))

    def row_of(self, source: str, identity: str) -> int:
        """The row of an event, -1 where it is not here."""
        here = pc.and_(pc.equal(self.id, identity), pc.equal(self.source, source))
        return int(pc.index(here, True).as_py())


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """A row of a published card: which card, where it stands there, and its cells as they were written.

    `row` is as a person finds it: `line 417` of the CSV file, or `row 4` of the `[[rate]]` tables, both from 1.
    """

    card: str
    row: str
    cells: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredElement:
    """A further element of an event; `events` is 0 for a part of its usage, and for its rounded charge."""

    price_id: int
    billed: int
    events: int
    rate: RateRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as it is stored. `reason` is "" where it is priced; `payer` 0 and `account_id` 0 where nobody pays.

    `said` is what it is matched on beside its numbers, what it says in particular, and its error code, by name.
    """

    source: str
    id: str
    batch: int
    account: str
    product: str
    occurred_at: datetime
    received_at: datetime
    to: str
    from_: str
    measured: int
    billed: int
    status: str
    country: str
    reason: str
    quarantined: bool
    payer: int
    price_id: int
    rate: RateRow | None
    elements: tuple[StoredElement, ...]
    said: Mapping[str, str]

    @property
    def cells(self) -> dict[str, str] | None:
        """The cells of the row that rated its usage; None where none did."""
        return None if self.rate is None else self.rate.cells


class Details(NamedTuple):
    """What a person knows an event by: when it was, the called and the calling number or address."""

    occurred_at: datetime
    to: str
    from_: str


def read_usage_in_order(connection: Connection, payer: int, days: Collection[date], seen: int | None = None) -> Ordered:
    """The priced usage of a payer on some days, in order: occurred_at, source, id (as bytes), part.

    `seen` names a run's snapshot: then what it saw, which is what it billed, also if it was amended since.
    """
    return _ordered(connection, _USAGE if seen is None else _USAGE_THEN, payer, days, seen)


def read_elements_in_order(
    connection: Connection, payer: int, days: Collection[date], seen: int | None = None
) -> Ordered:
    """The further elements (setup fees, surcharges, fees) of a payer's events of some days, likewise.

    Parts of usage are not among them.
    """
    return _ordered(connection, _BESIDE if seen is None else _BESIDE_THEN, payer, days, seen)


def add_up_usage(connection: Connection, payer: int, period: Period, seen: int | None = None) -> tuple[Totals, Totals]:
    """The totals of a payer's period, from its events: as a run's snapshot saw them, or now.

    And those of which some is a further part of its event, which counts none.
    """
    of, billed = (_ALL, sql.SQL("true")) if seen is None else (_ALL_THEN, _IS_SEEN)
    query = sql.SQL(_ADDED_UP).format(of=sql.SQL(of), seen=billed)
    values = {"payer": payer, "opens": period.opens, "closes": period.closes, "seen": seen}
    found = integers_out(connection, query, (*TOTALS, "further"), values)
    totals = totals_from(found)
    return merged(totals), totals.take(found["further"] > 0)


def is_seen(connection: Connection, snapshot_id: int, batch: int) -> bool:
    """Whether a run's snapshot saw the events of a batch."""
    row = connection.execute(
        "SELECT %s::bigint <@ batches FROM billed_batches WHERE snapshot_id = %s", [batch, snapshot_id]
    ).fetchone()
    return row is not None and bool(row[0])


def later_events(connection: Connection, payer: int, period: Period, snapshot_id: int) -> int:
    """How many events of a payer and period, that have something priced, a run's snapshot did not see."""
    values = {"payer": payer, "opens": period.opens, "closes": period.closes, "seen": snapshot_id}
    row = connection.execute(_LATER, values).fetchone()
    return int(row[0]) if row else 0


def read_details(
    connection: Connection, payer: int, identities: Sequence[tuple[str, str]], seen: int | None = None
) -> list[Details]:
    """The details of a payer's events of these (source, id), in their order, as a run's snapshot saw them, or now."""
    columns = zip(*identities, strict=True) if identities else ((), ())
    sources, ids = map(list, columns)
    wanted = {"sources": sources, "ids": ids, "payer": payer, "seen": seen}
    rows = connection.execute(_DETAILS if seen is None else _DETAILS_THEN, wanted)
    return [
        Details(at, _address(rated or to, to_address), _address(from_, from_address))
        for at, rated, to, to_address, from_, from_address in rows
    ]


def read_event(connection: Connection, source: str, identity: str) -> StoredEvent | None:
    """One event, wherever it is."""
    cursor = connection.cursor(row_factory=dict_row)
    known = cursor.execute(_IDENTITY, [source, identity]).fetchone()
    if known is None:
        return None
    place = {**known, "id": identity}
    row = cursor.execute(_EVENT, place).fetchone() or cursor.execute(_QUARANTINED, place).fetchone()
    if row is None:
        return None
    elements = cursor.execute(_ELEMENTS, place).fetchall()
    rates = read_rates(connection, [each["rate_id"] for each in (row, *elements) if each["rate_id"] is not None])
    return StoredEvent(
        source=source,
        id=identity,
        batch=row["batch"],
        account=row["account"],
        product=row["product"],
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        to=_address(row["rated_to_e164"] or row["to_e164"], row["to_address"]),
        from_=_address(row["from_e164"], row["from_address"]),
        measured=row["measured"],
        billed=row["billed"],
        status=row["status"] or "",
        country=row["country"] or "",
        reason=str(REASONS[row["reason"]] or ""),
        quarantined=row["quarantined"],
        payer=row["payer_id"] or 0,
        price_id=row["price_id"] or 0,
        rate=rates.get(row["rate_id"]),
        elements=tuple(StoredElement(rate=rates[each.pop("rate_id")], **each) for each in elements),
        said={name: row[name] or "" for name in _SAID}
        | json.loads(row["attributes"] or "{}")
        | {"jurisdiction": in_words(row["jurisdiction"] or "", row["attributes"] or "")},
    )


def read_rates(connection: Connection, ids: Sequence[int]) -> dict[int, RateRow]:
    """Rows of published cards by their ids."""
    found = {}
    for row in connection.cursor(row_factory=dict_row).execute(_RATES, [list(ids)]):
        version = f"{row.pop('card_id')}@{instant(row.pop('begins'))}"
        number, place = row.pop("rate_id"), _place(row.pop("row"), row.pop("first_row"))
        cells = {name: value for name, value in row.items() if value is not None and name != "card_version_id"}
        found[number] = RateRow(card=version, row=place, cells=cells)
    return found


def _ordered(
    connection: Connection, table: LiteralString, payer: int, days: Collection[date], seen: int | None
) -> Ordered:
    billed = sql.SQL("") if seen is None else sql.SQL("AND {}").format(_IS_SEEN)
    # Of the stretches themselves, and not of a join with them, is an index used.
    on = sql.SQL(" OR ").join(
        sql.SQL("occurred_at >= {} AND occurred_at < {}").format(*stretch) for stretch in _stretches(days)
    )
    query = sql.SQL(_IN_ORDER).format(sql.SQL(table), on, billed)
    numbers, texts = columns_out(connection, query, TOTALS, ("source", "id"), {"payer": payer, "seen": seen})
    return Ordered(totals=totals_from(numbers), source=texts["source"], id=texts["id"])


def _stretches(days: Collection[date]) -> list[tuple[datetime, datetime]]:
    """Days as half-open stretches of time; of none one that is empty."""
    opens = [datetime.combine(day, time(), UTC) for day in sorted(days)] or [datetime.max.replace(tzinfo=UTC)]
    ends = [each + _DAY if days else each for each in opens]
    firsts = [each for each in opens if each not in ends]
    return list(zip(firsts or opens, [each for each in ends if each not in opens] or ends, strict=True))


def _address(number: int | None, address: str | None) -> str:
    return f"+{number}" if number else address or ""


def _place(row: int, first_row: int) -> str:
    """Tables are counted from 0; the lines of a CSV file from 1, and the first of them is its header."""
    return f"row {row + 1}" if first_row == 0 else f"line {row}"


_EVENTS = """
    SELECT payer_id, account_id, price_id, country, occurred_at, 1 AS events, billed, source_id, id, 0 AS part, batch,
           NULL::bigint AS superseded_in
    FROM events WHERE price_id IS NOT NULL
"""
_PARTS = """
    SELECT payer_id, account_id, price_id, country, occurred_at, element.events, billed, source_id, id, part, batch,
           NULL::bigint AS superseded_in
    FROM event_elements AS element
"""
_NAMED = "JOIN prices USING (price_id) WHERE prices.element"
# What was in force before it was amended.
_EVENTS_THEN = _EVENTS.replace("NULL::bigint AS ", "").replace("FROM events", "FROM event_revisions")
_PARTS_THEN = _PARTS.replace("NULL::bigint AS ", "").replace("FROM event_elements", "FROM event_revision_elements")

_IN_ORDER = """
    SELECT payer_id, account_id, price_id, ascii(country) * 256 + ascii(substr(country, 2)),
           (occurred_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01', events, billed, sources.id, event.id
    FROM ({}) AS event JOIN sources USING (source_id)
    WHERE payer_id = %(payer)s AND ({}) {}
    ORDER BY occurred_at, sources.id, event.id, part
"""

# What a snapshot saw is told from the rest as it is added up: as a condition it would let PostgreSQL believe in few
# rows, and sort them.
_ADDED_UP = """
    SELECT payer_id, account_id, price_id, ascii(country) * 256 + ascii(substr(country, 2)),
           (occurred_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01' AS day, sum(events) FILTER (WHERE {seen}),
           sum(billed) FILTER (WHERE {seen}), count(*) FILTER (WHERE events = 0 AND {seen})
    FROM ({of}) AS event
    WHERE payer_id = %(payer)s AND occurred_at >= %(opens)s AND occurred_at < %(closes)s
    GROUP BY payer_id, account_id, price_id, country, day HAVING count(*) FILTER (WHERE {seen}) > 0
"""

_USAGE = f"{_EVENTS} UNION ALL {_PARTS} {_NAMED} = 'usage'"
_BESIDE = f"{_PARTS} {_NAMED} <> 'usage'"
_USAGE_THEN = f"{_USAGE} UNION ALL {_EVENTS_THEN} UNION ALL {_PARTS_THEN} {_NAMED} = 'usage'"
_ALL = f"{_EVENTS} UNION ALL {_PARTS}"
_ALL_THEN = f"{_ALL} UNION ALL {_EVENTS_THEN} UNION ALL {_PARTS_THEN}"
_BESIDE_THEN = f"{_BESIDE} UNION ALL {_PARTS_THEN} {_NAMED} <> 'usage'"

# Put together once, not once a row: as it is stored it would be decompressed for each.
_SEEN = sql.SQL("(SELECT batches + '{}'::int8multirange FROM billed_batches WHERE snapshot_id = %(seen)s)")
# A run saw what was written by then, unless it saw as well that something else had taken its place.
_IS_SEEN = sql.SQL("batch <@ {0} AND (superseded_in IS NULL OR NOT superseded_in <@ {0})").format(_SEEN)

_LATER = sql.SQL("""
    SELECT count(*) FROM events AS event
    WHERE payer_id = %(payer)s AND occurred_at >= %(opens)s AND occurred_at < %(closes)s AND NOT batch <@ {}
      AND (price_id IS NOT NULL
           OR EXISTS (SELECT FROM event_elements AS element
                      WHERE element.payer_id = event.payer_id AND element.occurred_at = event.occurred_at
                        AND element.source_id = event.source_id AND element.id = event.id))
""").format(_SEEN)

_DETAILS_OF = sql.SQL("""
    SELECT event.occurred_at, rated_to_e164, to_e164, to_address, from_e164, from_address
    FROM unnest(%(sources)s::text[], %(ids)s::text[]) WITH ORDINALITY AS wanted (source, id, place)
    JOIN sources ON sources.id = wanted.source COLLATE "C"
    JOIN LATERAL ({}) AS event ON true
    ORDER BY place
""")
_NOW = sql.SQL("""
    SELECT event.*, NULL::bigint AS superseded_in
    FROM event_identity AS known JOIN events AS event ON event.payer_id = %(payer)s
         AND event.occurred_at = known.occurred_at AND event.source_id = known.source_id AND event.id = known.id
    WHERE known.source_id = sources.source_id AND known.id = wanted.id COLLATE "C"
""")
_REACHED = "occurred_at, rated_to_e164, to_e164, to_address, from_e164, from_address, batch, superseded_in"
_THEN = sql.SQL("""
    SELECT {reached} FROM (
        SELECT {reached} FROM ({now}) AS event
        UNION ALL SELECT {reached} FROM event_revisions AS old
        WHERE old.source_id = sources.source_id AND old.id = wanted.id COLLATE "C" AND old.payer_id = %(payer)s
    ) AS version WHERE {seen}
""").format(reached=sql.SQL(_REACHED), now=_NOW, seen=_IS_SEEN)
_DETAILS = _DETAILS_OF.format(_NOW)
_DETAILS_THEN = _DETAILS_OF.format(_THEN)

_IDENTITY = """
    SELECT occurred_at, source_id, payer_id AS payer FROM event_identity JOIN sources USING (source_id)
    WHERE sources.id = %s AND event_identity.id = %s
"""

_EVENT = """
    SELECT accounts.id AS account, products.id AS product, event.*, false AS quarantined
    FROM events AS event JOIN accounts USING (account_id) JOIN products USING (product_id)
    WHERE payer_id = coalesce(%(payer)s, payer_id) AND occurred_at = %(occurred_at)s AND source_id = %(source_id)s
      AND event.id = %(id)s
"""

_QUARANTINED = """
    SELECT *, true AS quarantined, NULL AS rate_id, NULL AS price_id, NULL AS payer_id, '' AS country, 0 AS billed
    FROM quarantine AS event WHERE source_id = %(source_id)s AND event.id = %(id)s
"""

_ELEMENTS = """
    SELECT rate_id, price_id, billed, events FROM event_elements
    WHERE payer_id = coalesce(%(payer)s, payer_id) AND occurred_at = %(occurred_at)s AND source_id = %(source_id)s
      AND id = %(id)s
    ORDER BY part
"""

_RATES = """
    SELECT card_id, card_versions.effective_from AS begins, rates.*,
           (SELECT "row" FROM rates AS first WHERE first.rate_id = rate_base) AS first_row
    FROM rates JOIN card_versions USING (card_version_id) WHERE rates.rate_id = ANY(%s)
"""
