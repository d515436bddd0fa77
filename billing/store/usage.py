"""Usage in the store: rated events, quarantine, and the changes of the totals, written in one transaction.

What can be made ready before the transaction is made ready before it (`make_batch`, which touches no database), so
that it may be done while another batch is being written.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from billing.rated import Rated
from billing.store.binary import MICROS, Column, Columns, binary_of, copy_binary, is_nothing, taken
from billing.store.changes import CHANGES, changes_of, columns_of, countries_of, summed
from billing.store.claims import NO_VOIDS, claims_of, identities_of, or_nobody, order_of
from billing.store.engine import Connection
from billing.store.identity import ALL_NEW, WORTH_A_TRY, Claimed, begin_batch, claim, take_new
from billing.store.revisions import amend
from billing.usage import DIMENSIONS, Usage, Voids
from rates.usage import Flags, Int64s, Texts, Totals

TEXT_COLUMNS: Mapping[str, str] = {name: "stated_country" if name == "country" else name for name in DIMENSIONS}
"""A stated text -> its column; the resolved country is another column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of one table, which event of the batch each belongs to (int64[m]), and the bytes that COPY reads."""

    columns: Columns
    event: Int64s
    octets: memoryview

    def of(self, is_fresh: Flags) -> memoryview:
        """The bytes of the rows whose events are fresh."""
        fresh = np.flatnonzero(is_fresh[self.event])
        return binary_of(taken(self.columns, fresh), len(fresh))


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the events of a batch add to the totals, a row for each element, and the event of each (int64[m]).

    The bytes have the sums.
    """

    rows: Totals
    event: Int64s
    octets: memoryview

    def of(self, is_fresh: Flags) -> memoryview:
        """The bytes of the sums of those whose events are fresh."""
        return _added(self.rows.take(is_fresh[self.event]))


_NO_ROWS = Rows(columns={}, event=np.zeros(0, dtype=np.int64), octets=binary_of({}, 0))


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
    claims: Columns
    event: Int64s
    identities: memoryview
    events: Rows
    elements: Rows
    quarantine: Rows
    changes: Changes

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
    if (kept[1:] < kept[:-1]).any():
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
        identities=binary_of(identities_of(claims, number), len(order.event)),
        events=_rows(_events(rated, head, product_ids), ~is_out),
        elements=_elements(rated, source, number) if len(rated.ratings.extra_event) else _NO_ROWS,
        quarantine=_rows(_quarantined(rated.usage, rated.ratings.reason, head), is_out) if is_out.any() else _NO_ROWS,
        changes=_changes(rated),
    )


def write_batch(connection: Connection, batch: Batch, *, likely_new: bool = False) -> Claimed:
    """Write what is new of a batch; the lock of the books is held. Nothing is stored before the commit.

    `likely_new`: whether it is worth a try to take all claims for new. It makes no difference to what is written.
    """
    tries = likely_new and len(batch) >= WORTH_A_TRY
    begin_batch(connection, batch.number, np.unique(batch.claims["source_id"]).tolist(), tries=tries)
    if tries and take_new(connection, batch.identities):
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
        event, claims = batch.event[late], taken(batch.claims, late)
        usage = batch.rated.usage.take(event)
        head = _head(usage, claims["source_id"], batch.number, batch.received_at[event])
        _keep_revisions(connection, {**head, **_named(usage), "fingerprint": claims["fingerprint"]}, len(late))
    is_kept = batch.event < 0
    is_kept[found.known] = False
    if is_kept.any():
        voids = np.flatnonzero(is_kept)
        claims = taken({name: batch.claims[name] for name in ("fingerprint", "source_id", "revision", "id")}, voids)
        told = {"received_at": np.int64(batch.at).view(MICROS), "batch": np.int64(batch.number)}
        _keep_revisions(connection, {**claims, **told}, len(voids))


def _keep_revisions(connection: Connection, columns: Columns, rows: int) -> None:
    copy_binary(connection, "event_revisions", tuple(columns), binary_of(columns, rows))


def write_rows(connection: Connection, batch: Batch, is_fresh: Flags) -> None:
    """Write the fresh events of a batch that is begun, whose identities are taken, and the changes of the totals."""
    if not is_fresh.any():
        return
    all_fresh = bool(is_fresh.all())
    written = [("events", batch.events), ("event_elements", batch.elements), ("quarantine", batch.quarantine)]
    for name, rows in written:
        copy_binary(connection, name, tuple(rows.columns), rows.octets if all_fresh else rows.of(is_fresh))
    changes = batch.changes
    copy_binary(connection, "unfolded", CHANGES, changes.octets if all_fresh else changes.of(is_fresh))


def _head(usage: Usage, source: NDArray[np.int32], number: int, received_at: Int64s) -> Columns:
    """The columns that events and quarantine share."""
    return {
        "occurred_at": usage.occurred_at.view(MICROS),
        "received_at": received_at.view(MICROS),
        "batch": np.int64(number),
        "to_e164": or_nobody(usage.to, 0),
        "from_e164": or_nobody(usage.from_, 0),
        "rated_to_e164": or_nobody(usage.rated_to, 0),
        "measured": usage.measured,
        "source_id": source,
        "revision": usage.revision,
        "id": usage.id,
        "attributes": _texts(usage.attributes),
        **{TEXT_COLUMNS[name]: _texts(text) for name, text in usage.texts.items() if name in TEXT_COLUMNS},
    }


def _events(rated: Rated, head: Columns, product_ids: Mapping[str, int]) -> Columns:
    usage, ratings = rated.usage, rated.ratings
    products = np.array([product_ids.get(name, 0) for name in usage.product.values], dtype=np.int16)
    return {
        **head,
        "rate_id": or_nobody(ratings.rate),
        "billed": ratings.billed,
        "price_id": or_nobody(ratings.price),
        "payer_id": rated.payer,
        "account_id": rated.account,
        "product_id": products[usage.product.codes],
        "reason": ratings.reason.astype(np.int16),
        "country": countries_of(ratings.country),
    }


def _quarantined(usage: Usage, reason: NDArray[np.int8], head: Columns) -> Columns:
    return {**head, "reason": reason.astype(np.int16), **_named(usage)}


def _named(usage: Usage) -> Columns:
    """The account and the product as they were reported."""
    names = {"account": usage.account, "product": usage.product}
    return {name: pa.array(text.values, pa.string()).take(pa.array(text.codes)) for name, text in names.items()}


def _elements(rated: Rated, source: NDArray[np.int32], number: int) -> Rows:
    usage, ratings = rated.usage, rated.ratings
    event = ratings.extra_event
    columns = {
        "occurred_at": usage.occurred_at[event].view(MICROS),
        "batch": np.int64(number),
        "rate_id": ratings.extra_rate,
        "billed": ratings.extra_billed,
        "price_id": ratings.extra_price,
        "payer_id": rated.payer[event],
        "account_id": rated.account[event],
        "source_id": source[event],
        "part": parts_of(event),
        "events": ratings.extra_events.astype(np.int16),
        "id": usage.id.take(pa.array(event)),
        "country": countries_of(ratings.country[event]),
    }
    return Rows(columns=columns, event=event, octets=binary_of(columns, len(event)))


def parts_of(event: Int64s) -> NDArray[np.int32]:
    """The number, from 1, of each element among those of its event (int64[m]); those of one event stand together."""
    new = np.diff(event, prepend=-1) != 0
    place = np.arange(len(event))
    return (place - np.maximum.accumulate(np.where(new, place, 0)) + 1).astype(np.int32)


def _changes(rated: Rated) -> Changes:
    rows, event = changes_of(rated.ratings, rated.usage.occurred_at, rated.payer, rated.account)
    return Changes(rows=rows, event=event, octets=_added(rows))


def _added(changes: Totals) -> memoryview:
    """The sums of changes as COPY reads them."""
    sums = summed(changes)
    return binary_of(columns_of(sums), len(sums))


def _rows(columns: Columns, is_of: Flags) -> Rows:
    """The rows of some events: all of them, or those that are marked."""
    event = np.flatnonzero(is_of)
    kept = columns if len(event) == len(is_of) else taken(columns, event)
    # Columns in which nothing stands are left out: COPY then reads and PostgreSQL stores nothing for them.
    kept = {name: column for name, column in kept.items() if not is_nothing(column)} if len(event) else kept
    return Rows(columns=kept, event=event, octets=binary_of(kept, len(event)))


def _texts(text: Texts) -> Column:
    return pa.array([None, *text.values[1:]], pa.string()).take(pa.array(text.codes))
