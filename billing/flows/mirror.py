"""Store the reseller's side of usage: events of sources that mirror those which reported it, beside these."""

from collections.abc import Mapping

import numpy as np

from billing.rated import rate_usage
from billing.reselling import mirrored
from billing.store.engine import Connection
from billing.store.identity import next_batch, source_ids
from billing.store.ratebooks import Ratebooks
from billing.store.usage import make_batch, write_batch
from billing.usage import Usage
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
    write_batch(connection, batch, likely_new=likely_new)
