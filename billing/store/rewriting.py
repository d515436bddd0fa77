"""Stored ratings replaced where they changed, and the totals with them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from psycopg import sql

from billing.store.binary import MICROS, Columns, Values, binary_of, copy_binary, octets_of, taken
from billing.store.bulk import Table
from billing.store.changes import CHANGES, changes_of, columns_of, countries_of, summed
from billing.store.claims import or_nobody
from billing.store.engine import Connection
from billing.store.ratings import Stored
from billing.store.reported import numpy_of
from billing.store.usage import parts_of
from rates.packing import joined
from rates.rating import Ratings
from rates.usage import Flags, Int64s, Totals

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
    _changes: list[Totals] = field(default_factory=list)
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
            self._changes = [summed(joined(self._changes))]
            if len(self._changes[0]) > self.changes_at_once // 2:
                self.finish()

    def finish(self) -> None:
        """Write the changes of the totals."""
        if not self._changes:
            return
        changes = summed(joined(self._changes))
        self._changes = []
        changes = changes.take((changes.events != 0) | (changes.quantity != 0))
        copy_binary(self.connection, "unfolded", CHANGES, binary_of(columns_of(changes), len(changes)))

    def _events(self, stored: Stored, new: Ratings, which: Flags) -> None:
        columns = {
            "rate_id": or_nobody(new.rate),
            "billed": new.billed,
            "price_id": or_nobody(new.price),
            "reason": new.reason.astype(np.int16),
            "country": countries_of(new.country),
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
        of = stored.rows.take(pa.array(event))
        columns = {
            "occurred_at": stored.usage.occurred_at[event].view(MICROS),
            **{name: numpy_of(of[name]) for name in ("batch", "payer_id", "account_id", "source_id")},
            "id": of["id"].combine_chunks(),
            "rate_id": new.extra_rate[added],
            "billed": new.extra_billed[added],
            "price_id": new.extra_price[added],
            "part": parts_of(event),
            "events": new.extra_events[added].astype(np.int16),
            "country": countries_of(new.country[event]),
        }
        copy_binary(self.connection, "event_elements", tuple(columns), binary_of(columns, len(event)))

    def _quarantine(self, stored: Stored, new: Ratings, which: Flags) -> None:
        """Move marked events to the quarantine, with the reasons for which they wait there."""
        for partition in self._placed(stored.rows, which, {"reason": new.reason.astype(np.int16)}):
            self._do(_WAIT, partition)
            self._do(_DELETE, partition)

    def _placed(self, rows: Table, which: Flags, columns: Columns) -> Iterator[sql.Identifier]:
        """The partitions of marked rows, one after the other: what is to be written there lies beside it meanwhile."""
        if not which.any():
            return
        self.connection.execute(_BESIDE)
        place, partition = octets_of(rows["place"].cast(_PLACE).combine_chunks()), numpy_of(rows["partition"])
        for number in np.unique(partition[which]).tolist():
            here = np.flatnonzero(which & (partition == number))
            here = here[np.argsort(_numbered(place[here]), kind="stable")]
            placed = taken({"place": place, **columns}, here)
            self.connection.execute("TRUNCATE rewritten")
            copy_binary(self.connection, "rewritten", tuple(placed), binary_of(placed, len(here)))
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


def _numbered(places: Values) -> Int64s:
    """Places of a partition as numbers, in their order."""
    found = places.view(_PLACES)
    numbers: Int64s = (found["page"].astype(np.int64) << _LINE_BITS) + found["line"]
    return numbers


def _changes(stored: Stored, ratings: Ratings, which: Flags, sign: int) -> Totals:
    """What the marked events add to the totals, or with -1 take from them, summed up."""
    changes, event = changes_of(ratings, stored.usage.occurred_at, stored.payer, stored.account)
    changes = summed(changes.take(which[event]))
    return replace(changes, events=sign * changes.events, quantity=sign * changes.quantity)


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
