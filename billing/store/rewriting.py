"""Stored ratings replaced where they changed, and the totals with them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from billing.store.binary import binary_of, copy_binary
from billing.store.bulk import Table
from billing.store.engine import Connection
from billing.store.ratings import Stored
from billing.store.usage import CHANGES, parts_of, summed
from rates.numbering import COUNTRIES
from rates.rating import Ratings
from rates.usage import MICROSECONDS_A_DAY, Flags, Int32s, Int64s

_MICROS = pa.timestamp("us")
_PLACE = pa.binary(6)
_PLACES = np.dtype([("page", ">u4"), ("line", ">u2")])
_LINE_BITS = 16
_OID = (1 << 32) - 1  # ADBC gives it a sign
_CHANGES_AT_ONCE = 1_000_000


@dataclass(slots=True, kw_only=True)
class Rewriting:
    """Ratings in the course of being replaced. It has ended when `finish` has written what is left to write.

    At most `changes_at_once` changes of the totals are kept: most of the usage to come is of the same totals.
    """

    connection: Connection
    changes_at_once: int = _CHANGES_AT_ONCE
    _changes: list[Table] = field(default_factory=list)
    _partitions: dict[int, str] = field(default_factory=dict)

    def rewrite(self, stored: Stored, new: Ratings, which: Flags) -> None:
        """Replace the ratings of marked events (bool[n]), and change the totals by as much. All of them have a place.

        `new` has what an event comes to beside its usage in the order in which it was rated. Those that have no price
        any more move to the quarantine, as they were reported.
        """
        if not which.any():
            return
        lost = which & new.is_quarantined
        self._events(stored, new, which & ~lost)
        self._elements(stored, new, which)
        self._quarantine(stored, new, lost)
        self._changes += [_changes(stored, stored.ratings, which, -1), _changes(stored, new, which, 1)]
        if sum(map(len, self._changes)) > self.changes_at_once:
            self._changes = [summed(pa.concat_tables(self._changes))]
            if len(self._changes[0]) > self.changes_at_once // 2:
                self.finish()

    def finish(self) -> None:
        """Write the changes of the totals."""
        if not self._changes:
            return
        changes = summed(pa.concat_tables(self._changes))
        self._changes = []
        something = pc.or_(pc.not_equal(changes["events"], 0), pc.not_equal(changes["quantity"], 0))
        copy_binary(self.connection, "unfolded", CHANGES, binary_of(changes.filter(something)))

    def _events(self, stored: Stored, new: Ratings, which: Flags) -> None:
        columns = {
            "rate_id": _or_null(new.rate),
            "billed": pa.array(new.billed),
            "price_id": _or_null(new.price),
            "reason": pa.array(new.reason.astype(np.int16)),
            "country": _countries(new, np.arange(len(stored))),
        }
        for partition in self._placed(stored.rows, which, columns):
            self._do(_UPDATE, partition)

    def _elements(self, stored: Stored, new: Ratings, which: Flags) -> None:
        for partition in self._placed(stored.elements, which[stored.ratings.extra_event], {}):
            self._do(_DELETE, partition)
        added = np.flatnonzero(which[new.extra_event])
        if not len(added):
            return
        event = new.extra_event[added]
        taken = stored.rows.select(["batch", "payer_id", "account_id", "source_id", "id"]).take(pa.array(event))
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
        copy_binary(self.connection, "event_elements", list(columns), binary_of(pa.table(columns)))

    def _quarantine(self, stored: Stored, new: Ratings, which: Flags) -> None:
        """Move marked events to the quarantine, with the reasons for which they wait there."""
        for partition in self._placed(stored.rows, which, {"reason": pa.array(new.reason.astype(np.int16))}):
            self._do(_WAIT, partition)
            self._do(_DELETE, partition)

    def _placed(self, rows: Table, which: Flags, columns: dict[str, Table]) -> Iterator[sql.Identifier]:
        """The partitions of marked rows, one after the other: what is to be written there lies beside it meanwhile."""
        if not which.any():
            return
        self.connection.execute(_BESIDE)
        marked = pa.array(which)
        placed = pa.table({"place": rows["place"].cast(_PLACE), **columns}).filter(marked)
        partitions = rows["partition"].filter(marked)
        for number in pc.unique(partitions).to_pylist():
            here = placed.filter(pc.equal(partitions, number))
            here = here.take(pa.array(np.argsort(_numbered(here["place"]), kind="stable")))
            self.connection.execute("TRUNCATE rewritten")
            copy_binary(self.connection, "rewritten", here.column_names, binary_of(here))
            yield sql.Identifier(self._name(number))

    def _name(self, number: int) -> str:
        """The name of a partition, alone: as an identifier it is found where that of the table is found too."""
        if number not in self._partitions:
            row = self.connection.execute("SELECT relname FROM pg_class WHERE oid = %s", [number & _OID]).fetchone()
            self._partitions[number] = row[0] if row else ""
        return self._partitions[number]

    def _do(self, statement: str, partition: sql.Identifier) -> None:
        """Run a statement on a partition. Rows are found by where they lie: they are held, and stay there."""
        # The planner knows nothing of the temporary table, and would read the whole partition.
        for method in ("hashjoin", "mergejoin"):
            self.connection.execute(sql.SQL("SET LOCAL {} = off").format(sql.Identifier(f"enable_{method}")))
        self.connection.execute(sql.SQL(statement).format(partition))
        for method in ("hashjoin", "mergejoin"):
            self.connection.execute(sql.SQL("SET LOCAL {} = DEFAULT").format(sql.Identifier(f"enable_{method}")))


def _numbered(places: Table) -> Int64s:
    """Places of a partition as numbers, in their order."""
    column = places.combine_chunks()
    found = np.frombuffer(
        column.buffers()[1], dtype=_PLACES, count=len(column), offset=column.offset * _PLACES.itemsize
    )
    numbers: Int64s = (found["page"].astype(np.int64) << _LINE_BITS) + found["line"]
    return numbers


def _changes(stored: Stored, ratings: Ratings, which: Flags, sign: int) -> Table:
    """What the marked events add to the totals, or with -1 take from them, summed up."""
    usage = np.flatnonzero(which & (ratings.price >= 0))
    beside = np.flatnonzero(which[ratings.extra_event])
    event = np.concatenate([usage, ratings.extra_event[beside]])
    events = np.concatenate([np.ones(len(usage), dtype=np.int64), ratings.extra_events[beside]])
    quantity = np.concatenate([ratings.billed[usage], ratings.extra_billed[beside]])
    day = stored.usage.occurred_at[event] // MICROSECONDS_A_DAY
    changes = pa.table(
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
    return summed(changes)


def _countries(ratings: Ratings, events: Int64s) -> Table:
    return pa.array(COUNTRIES, pa.string()).take(pa.array(ratings.country[events]))


def _or_null(numbers: Int64s | Int32s) -> Table:
    return pa.array(numbers, mask=numbers < 0)


_BESIDE = """
CREATE TEMPORARY TABLE IF NOT EXISTS rewritten (
    place tid NOT NULL,
    rate_id bigint,
    billed bigint,
    price_id integer,
    reason smallint,
    country text
) ON COMMIT DELETE ROWS
"""

# The payer stays; named, it spares full pages of its index a search for versions that nobody sees any more.
_UPDATE = """
UPDATE {} AS event SET rate_id = new.rate_id, billed = new.billed, price_id = new.price_id, reason = new.reason,
    country = new.country, payer_id = event.payer_id
FROM rewritten AS new WHERE event.ctid = place
"""

_DELETE = "DELETE FROM {} AS element USING rewritten AS old WHERE element.ctid = place"

_REPORTED = """occurred_at, received_at, batch, to_e164, from_e164, rated_to_e164, measured, source_id, revision,
    stated_country, to_address, from_address, mcc, mnc, number_type, region, jurisdiction, package, status, error_code,
    attributes"""

_WAIT = f"""
INSERT INTO quarantine ({_REPORTED}, id, reason, account, product)
SELECT {_REPORTED}, event.id, new.reason, accounts.id, products.id
FROM rewritten AS new JOIN {{}} AS event ON event.ctid = place
JOIN accounts USING (account_id) JOIN products USING (product_id)
"""  # noqa: S608
