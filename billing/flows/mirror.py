"""Store the reseller's side of usage: events of sources that mirror those which reported it, beside these."""

from collections.abc import Mapping

import numpy as np

from billing.assignment import Assignment
from billing.rated import rate_usage
from billing.reselling import mirror_of, mirrored, resold_of
from billing.store.binary import taken
from billing.store.engine import Connection
from billing.store.identity import claim_anew, known_identities, known_source_ids, next_batch, source_ids
from billing.store.ratebooks import Ratebooks
from billing.store.usage import Batch, make_batch, write_batch
from billing.usage import Usage, Voids
from rates.usage import Int64s


def write_mirrors(
    connection: Connection,
    usage: Usage,
    received_at: Int64s,
    books: Ratebooks,
    product_ids: Mapping[str, int],
    *,
    likely_new: bool = False,
) -> None:
    """Store the reseller's side of what is resold of some events; what has one by now keeps it.

    Part of the transaction that stores the events, behind their identities: all writers take the identities of events
    first, then those of mirrors. Nothing is asked of the database where nobody resells.
    """
    found = mirrored(usage, books.assignment)
    if found is None:
        return
    source = found.usage.source
    names = [source.values[code] for code in np.unique(source.codes).tolist()]
    batch = make_batch(
        rate_usage(found.usage, books.assignment, books.books, books.products),
        number=next_batch(connection),
        book_version=books.version,
        received_at=received_at[found.rows],
        source_ids=source_ids(connection, names),
        product_ids=product_ids,
    )
    claim_anew(connection)
    write_batch(connection, batch, likely_new=likely_new)


def amended_away(batch: Batch, amending: Int64s, source_ids: Mapping[str, int], assignment: Assignment) -> Voids:
    """The other sides, now void, of what is amended by some claims of a batch, where what stands now has none."""
    is_resold = np.append(resold_of(batch.rated.usage, assignment), False)
    gone = np.sort(amending[~is_resold[batch.event[amending]]])
    claims = taken(batch.claims, gone)
    names = {number: name for name, number in source_ids.items()}
    return Voids(
        row=claims["row"],
        source=tuple(mirror_of(names[number]) for number in claims["source_id"].tolist()),
        id=tuple(claims["id"].to_pylist()),
        revision=claims["revision"],
    )


def take_back(connection: Connection, amended: Batch, voids: Voids) -> None:
    """Take back those of the mirrors that are there: by another batch, beside that of what is amended."""
    known = known_source_ids(connection, sorted(set(voids.source)))
    there = known_identities(connection, [known.get(name, 0) for name in voids.source], voids.id)
    if not there:
        return
    nothing = np.zeros(0, dtype=np.int64)
    batch = make_batch(
        amended.rated.take(nothing),
        number=next_batch(connection),
        book_version=amended.book_version,
        received_at=nothing,
        source_ids=known,
        product_ids={},
        voids=voids.take(np.array(there, dtype=np.int64)),
        at=amended.at,
    )
    claim_anew(connection)
    write_batch(connection, batch)
