"""Usage in the store: rated events, quarantine, and the changes of the totals, written in one transaction.

What can be made ready before the transaction is made ready before it (`make_batch`, which touches no database), so
that it may be done while another batch is being written.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.rated import Rated
from billing.store.binary import binary_of, copy_binary
from billing.store.bulk import Table
from billing.store.claims import NO_VOIDS, claims_of, identities_of, or_nobody, order_of
from billing.store.engine import Connection
from billing.store.identity import ALL_NEW, WORTH_A_TRY, Claimed, claim, require_sources, take_new
from billing.store.revisions import amend
from billing.usage import DIMENSIONS, Usage, Voids
from rates.numbering import COUNTRIES
from rates.quantities import INT64_MAX
from rates.usage import MICROSECONDS_A_DAY, Int64s, Texts

Flags = NDArray[np.bool_]

TEXT_COLUMNS: Mapping[str, str] = {name: "stated_country" if name == "country" else name for name in DIMENSIONS}
"""A stated text -> its column; the resolved country is another column."""

_MICROS = pa.timestamp("us")
_TOTALS_KEY = ("payer_id", "account_id", "price_id", "day", "country")
CHANGES = (*_TOTALS_KEY, "events", "quantity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of one table, which event of the batch each belongs to (int64[m]), and the bytes that COPY reads.

    Of changes of the totals the bytes have the sums.
    """

    table: Table
    event: Int64s
    octets: Table

    def of(self, is_fresh: Flags) -> Table:
        """The bytes of the rows whose events are fresh."""
        return binary_of(self.table.filter(pa.array(is_fresh[self.event]))) if len(self.event) else self.octets


_NO_ROWS = Rows(table=pa.table({}), event=np.zeros(0, dtype=np.int64), octets=binary_of(pa.table({})))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Usage that is ready to be written, n events sorted by source and id. `book_version` is what it was rated with.

    `claims` are those of the events and of v voids among them, each with the `row` of its payload; `event` is its place
    among the events (int64[n + v]), -1 of a void. `identities` are what they take, as COPY reads them for the table of
    identities. `received_at` is int64[n], and `at` when the voids came.
    """

    number: int
    book_version: int
    rated: Rated
    received_at: Int64s
    at: int
    claims: Table
    event: Int64s
    identities: Table
    events: Rows
    elements: Rows
    quarantine: Rows
    changes: Rows

    def __len__(self) -> int:
        return len(self.rated)


def make_batch(
    rated: Rated,
    *,
    number: int,
    book_version: int,
    received_at: Int64s,
    source_ids: Mapping[str, int],
    product_ids: Mapping[str, int],
    voids: Voids = NO_VOIDS,
    at: int = 0,
) -> Batch:
    """Make usage ready to be written; `received_at` is int64[n], and `at` when the voids came, in microseconds."""
    sources = np.array([source_ids.get(name, 0) for name in rated.usage.source.values], dtype=np.int32)
    order = order_of(rated.usage, sources, voids, source_ids)
    kept = order.place[order.event >= 0]
    rated, received_at = rated.take(kept), received_at[kept]
    source = sources[rated.usage.source.codes]
    claims = claims_of(rated, source, order, voids, source_ids)
    head = _head(rated.usage, source, number, received_at)
    is_out = rated.ratings.is_quarantined
    return Batch(
        number=number,
        book_version=book_version,
        rated=rated,
        received_at=received_at,
        at=at,
        claims=claims,
        event=order.event,
        identities=binary_of(identities_of(claims, number)),
        events=_rows(_events(rated, head, product_ids), np.flatnonzero(~is_out)),
        elements=_elements(rated, source, number) if len(rated.ratings.extra_event) else _NO_ROWS,
        quarantine=_quarantined(rated.usage, rated.ratings.reason, head, is_out) if is_out.any() else _NO_ROWS,
        changes=_changes(rated),
    )


def write_batch(connection: Connection, batch: Batch, *, likely_new: bool = False) -> Claimed:
    """Write what is new of a batch; the lock of the books is held. Nothing is stored before the commit.

    `likely_new`: whether it is worth a try to take all claims for new. It makes no difference to what is written.
    """
    require_sources(connection, pc.unique(batch.claims["source_id"]).to_pylist())
    if likely_new and len(batch) >= WORTH_A_TRY and take_new(connection, batch.identities):
        found = ALL_NEW
    else:
        found = claim(connection, batch.number, batch.claims)
    if len(found.amending):
        amend(connection, batch.number, found.amending.tolist())
    _keep(connection, batch, found)
    counts = np.ones(len(batch.event), dtype=np.bool_)
    counts[found.known] = False
    counts[found.superseded] = False
    write_rows(connection, batch, counts[batch.event >= 0])
    return found


def _keep(connection: Connection, batch: Batch, found: Claimed) -> None:
    """Write the reports that are nowhere else: those that came after a higher one, and those that take events back."""
    late = np.sort(found.superseded[batch.event[found.superseded] >= 0])
    if len(late):
        event, claims = batch.event[late], batch.claims.take(pa.array(late))
        usage = batch.rated.usage.take(event)
        head = _head(usage, claims["source_id"].to_numpy(), batch.number, batch.received_at[event])
        table = pa.table({**head, **_named(usage), "fingerprint": claims["fingerprint"]})
        copy_binary(connection, "event_revisions", table.column_names, binary_of(table))
    is_kept = batch.event < 0
    is_kept[found.known] = False
    if is_kept.any():
        voids = batch.claims.filter(pa.array(is_kept)).select(["fingerprint", "source_id", "revision", "id"])
        told = {"received_at": pa.array(np.full(len(voids), batch.at)).cast(_MICROS)}
        told["batch"] = pa.array(np.full(len(voids), batch.number))
        table = pa.table({**{name: voids[name] for name in voids.column_names}, **told})
        copy_binary(connection, "event_revisions", table.column_names, binary_of(table))


def write_rows(connection: Connection, batch: Batch, is_fresh: Flags) -> None:
    """Write the fresh events of a batch whose identities are taken, and the changes of the totals."""
    # A number that has written before is refused here: what a snapshot sees of a batch is all of it or nothing. Also
    # where nothing is fresh: numbers without a gap are few ranges for each run that keeps what it saw.
    connection.execute("INSERT INTO written_batches (batch) VALUES (%s)", [batch.number])
    if not is_fresh.any():
        return
    all_fresh = bool(is_fresh.all())
    written = [("events", batch.events), ("event_elements", batch.elements), ("quarantine", batch.quarantine)]
    for name, rows in written:
        copy_binary(connection, name, rows.table.column_names, rows.octets if all_fresh else rows.of(is_fresh))
    changes = batch.changes
    octets = changes.octets if all_fresh else binary_of(summed(changes.table.filter(pa.array(is_fresh[changes.event]))))
    copy_binary(connection, "unfolded", CHANGES, octets)


def summed(changes: Table) -> Table:
    """Changes of totals, those of one key added up; those apart whose sum could leave 64 bits.

    One charge in units of 10^-12 is as large as all the minutes of a month.
    """
    small = pc.less_equal(pc.abs(changes["quantity"]), INT64_MAX // max(changes.num_rows, 1))
    if pc.all(small).as_py():
        return _added_up(changes)
    return pa.concat_tables([_added_up(changes.filter(small)), changes.filter(pc.invert(small)).select(CHANGES)])


def _added_up(changes: Table) -> Table:
    grouped = changes.group_by(list(_TOTALS_KEY), use_threads=False)
    sums = grouped.aggregate([("events", "sum"), ("quantity", "sum")])
    return sums.rename_columns({"events_sum": "events", "quantity_sum": "quantity"}).select(CHANGES)


def _head(usage: Usage, source: NDArray[np.int32], number: int, received_at: Int64s) -> dict[str, Table]:
    """The columns that events and quarantine share."""
    n = len(usage)
    return {
        "occurred_at": pa.array(usage.occurred_at).cast(_MICROS),
        "received_at": pa.array(received_at).cast(_MICROS),
        "batch": pa.array(np.full(n, number)),
        "to_e164": or_nobody(usage.to, 0),
        "from_e164": or_nobody(usage.from_, 0),
        "rated_to_e164": or_nobody(usage.rated_to, 0),
        "measured": pa.array(usage.measured),
        "source_id": pa.array(source),
        "revision": pa.array(usage.revision),
        "id": usage.id,
        "attributes": _texts(usage.attributes),
        **{TEXT_COLUMNS[name]: _texts(text) for name, text in usage.texts.items() if name in TEXT_COLUMNS},
    }


def _events(rated: Rated, head: Mapping[str, Table], product_ids: Mapping[str, int]) -> Table:
    usage, ratings = rated.usage, rated.ratings
    products = np.array([product_ids.get(name, 0) for name in usage.product.values], dtype=np.int16)
    return pa.table(
        {
            **head,
            "rate_id": or_nobody(ratings.rate),
            "billed": pa.array(ratings.billed),
            "price_id": or_nobody(ratings.price),
            "payer_id": pa.array(rated.payer),
            "account_id": pa.array(rated.account),
            "product_id": pa.array(products[usage.product.codes]),
            "reason": pa.array(ratings.reason.astype(np.int16)),
            "country": _countries(ratings.country),
        }
    )


def _quarantined(usage: Usage, reason: NDArray[np.int8], head: Mapping[str, Table], is_out: Flags) -> Rows:
    table = pa.table({**head, "reason": pa.array(reason.astype(np.int16)), **_named(usage)})
    return _rows(table, np.flatnonzero(is_out))


def _named(usage: Usage) -> dict[str, Table]:
    """The account and the product as they were reported."""
    names = {"account": usage.account, "product": usage.product}
    return {name: pa.array(text.values, pa.string()).take(pa.array(text.codes)) for name, text in names.items()}


def _elements(rated: Rated, source: NDArray[np.int32], number: int) -> Rows:
    usage, ratings = rated.usage, rated.ratings
    event = ratings.extra_event
    table = pa.table(
        {
            "occurred_at": pa.array(usage.occurred_at[event]).cast(_MICROS),
            "batch": pa.array(np.full(len(event), number)),
            "rate_id": pa.array(ratings.extra_rate),
            "billed": pa.array(ratings.extra_billed),
            "price_id": pa.array(ratings.extra_price),
            "payer_id": pa.array(rated.payer[event]),
            "account_id": pa.array(rated.account[event]),
            "source_id": pa.array(source[event]),
            "part": pa.array(parts_of(event)),
            "events": pa.array(ratings.extra_events.astype(np.int16)),
            "id": usage.id.take(pa.array(event)),
            "country": _countries(ratings.country[event]),
        }
    )
    return Rows(table=table, event=event, octets=binary_of(table))


def parts_of(event: Int64s) -> NDArray[np.int32]:
    """The number, from 1, of each element among those of its event (int64[m]); those of one event stand together."""
    new = np.diff(event, prepend=-1) != 0
    place = np.arange(len(event))
    return (place - np.maximum.accumulate(np.where(new, place, 0)) + 1).astype(np.int32)


def _changes(rated: Rated) -> Rows:
    """What the elements of the events add to the totals, a row for each element."""
    ratings = rated.ratings
    priced = np.flatnonzero(ratings.price >= 0)
    event = np.concatenate([priced, ratings.extra_event])
    day = rated.usage.occurred_at[event] // MICROSECONDS_A_DAY
    table = pa.table(
        {
            "payer_id": pa.array(rated.payer[event]),
            "account_id": pa.array(rated.account[event]),
            "price_id": pa.array(np.concatenate([ratings.price[priced], ratings.extra_price])),
            "day": pa.array(day.astype(np.int32)).cast(pa.date32()),
            "country": _countries(ratings.country[event]),
            "events": pa.array(np.concatenate([np.ones(len(priced), dtype=np.int64), ratings.extra_events])),
            "quantity": pa.array(np.concatenate([ratings.billed[priced], ratings.extra_billed])),
        }
    )
    return Rows(table=table, event=event, octets=binary_of(summed(table)))


def _rows(table: Table, event: Int64s) -> Rows:
    kept = table if len(event) == table.num_rows else table.take(pa.array(event))
    # Columns in which nothing stands are left out: COPY then reads and PostgreSQL stores nothing for them.
    if kept.num_rows:
        kept = kept.drop_columns([name for name in kept.column_names if kept[name].null_count == kept.num_rows])
    return Rows(table=kept, event=event, octets=binary_of(kept))


def _countries(codes: NDArray[np.int16]) -> Table:
    return pa.array(COUNTRIES, pa.string()).take(pa.array(codes))


def _texts(text: Texts) -> Table:
    return pa.array([None, *text.values[1:]], pa.string()).take(pa.array(text.codes))
