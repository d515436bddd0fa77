"""Rate quarantined usage again, after what was missing came, and let out what has a price now."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from billing.flows.mirror import write_mirrors
from billing.rated import Rated, rate_usage
from billing.reselling import resold_of
from billing.store.audit import record
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, transaction
from billing.store.identity import begin_batch, next_batch
from billing.store.partitions import make_partitions, months_missing
from billing.store.quarantine import Place, Waiting, let_out, next_waiting, with_fingerprints
from billing.store.ratebooks import Ratebooks, load_books, lock_books, product_ids
from billing.store.usage import make_batch, write_rows
from billing.usage import months_of
from rates.products import Product
from rates.rating import CODES, REASONS, Reason

EVENTS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """How many events were let out, by the reason for which they waited, and how many stay, by why they do now."""

    released: Mapping[Reason, int]
    waiting: Mapping[Reason, int]


def release(
    engine: Engine,
    products: Mapping[str, Product],
    *,
    at: datetime,
    actor: str,
    too_old: bool = False,
    events_at_once: int = EVENTS_AT_ONCE,
    kept: CompiledCards | None = None,
) -> Released:
    """Rate all quarantined usage again. Each transaction moves some of it, with the changes of the totals.

    What came too late for its month is let out only with `too_old`, by somebody who answers for it.
    `kept`: where compiled cards are kept between processes.
    """
    released: Counter[Reason] = Counter()
    waiting: Counter[Reason] = Counter()
    place: Place | None = Place()
    books: Ratebooks | None = None
    left_alone = [] if too_old else [CODES[Reason.TOO_OLD]]
    while place is not None:
        missing: set[date] = set()
        with transaction(engine) as connection:
            version = lock_books(connection, exclusive=False)
            if books is None or books.version != version:
                books = load_books(connection, products, books, kept)
            some = next_waiting(connection, place, events_at_once, left_alone)
            if some is not None:
                rated = rate_usage(some.usage, books.assignment, books.books, products)
                stays = rated.ratings.is_quarantined
                written = ~stays | resold_of(some.usage, books.assignment)
                missing = months_missing(connection, months_of(some.usage.occurred_at[written]))
                if not missing:
                    _let_out(connection, some, rated, books, products)
                    released += _counted(some.reason[~stays])
                    waiting += _counted(rated.ratings.reason[stays])
        if missing:
            # Apart, while nothing is held: whoever makes a month may have to wait, and nobody is to wait with us.
            with transaction(engine) as connection:
                make_partitions(connection, sorted(missing))
        else:
            place = some.place if some is not None else None
    if released:
        with transaction(engine) as connection:
            details = {str(reason): count for reason, count in released.items()}
            record(connection, at=at, actor=actor, action="release", subject="quarantine", details=details)
    return Released(released=released, waiting=waiting)


def foresee(connection: Connection, books: Ratebooks, *, events_at_once: int = EVENTS_AT_ONCE) -> Released:
    """What `release` would come to with these books, while the caller holds the books exclusively."""
    released: Counter[Reason] = Counter()
    waiting: Counter[Reason] = Counter()
    place = Place()
    while (some := next_waiting(connection, place, events_at_once, [CODES[Reason.TOO_OLD]])) is not None:
        rated = rate_usage(some.usage, books.assignment, books.books, books.products)
        stays = rated.ratings.is_quarantined
        released += _counted(some.reason[~stays])
        waiting += _counted(rated.ratings.reason[stays])
        place = some.place
    return Released(released=released, waiting=waiting)


def _let_out(
    connection: Connection, some: Waiting, rated: Rated, books: Ratebooks, products: Mapping[str, Product]
) -> None:
    ids = product_ids(connection, products)
    batch = make_batch(
        rated,
        number=next_batch(connection),
        book_version=books.version,
        received_at=some.received_at,
        source_ids=some.source_ids,
        product_ids=ids,
    )
    begin_batch(connection, batch.number, list(some.source_ids.values()), tries=False)
    write_rows(connection, batch, ~batch.rated.ratings.is_quarantined)
    let_out(connection, rated, some.source_ids, some.reason)
    # What waited for its account, or came before the contract of whoever is resold to, has no other side yet.
    resold = np.flatnonzero(resold_of(some.usage, books.assignment))
    if len(resold):
        write_mirrors(connection, with_fingerprints(connection, some, resold), some.received_at[resold], books, ids)


def _counted(reasons: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> Counter[Reason]:
    codes, counts = np.unique(reasons, return_counts=True)
    named = {REASONS[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}
    return Counter({reason: count for reason, count in named.items() if reason is not None})
