"""Rate stored usage again with other books, and move what is charged the same to the new numbers.

Forced, also what is charged otherwise; and where it is said, also what is on the side of final invoices: what their
months come to then is billed by the next run as an adjustment.

Part of a unit of work that holds the books exclusively: nobody rates, and nobody writes usage, until it has ended.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from billing.periods import Period
from billing.rated import rate_usage
from billing.rerating import Stretch, Tariffs, compare, reordered, words_for
from billing.store.engine import Connection
from billing.store.queries.invoices import final_invoices
from billing.store.queries.pricing import read_heads, read_tariffs
from billing.store.ratebooks import Ratebooks
from billing.store.ratings import Stored, stored_ratings
from billing.store.rewriting import Rewriting
from billing.usage import Usage, at_micros
from rates.cards import Card
from rates.rating import Ratings
from rates.usage import MICROSECONDS_A_DAY, Flags

EVENTS_AT_ONCE = 200_000


@dataclass(slots=True, kw_only=True)
class InTheWay:
    """Rated events that forbid a change of the books: how many, the first of them, and when the last occurred.

    `payer` pays the first and `last_payer` the last; `before` and `after` say what the first is charged, and would be.
    """

    count: int
    source: str
    id: str
    at: datetime
    payer: int
    last: datetime
    last_payer: int
    before: str
    after: str


@dataclass(slots=True, kw_only=True)
class Rerated:
    """How many stored events were rated again, how many have new ratings, and how many of these now wait for a price.

    `otherwise` are those that would be charged otherwise; `final` those that would be charged by prices of another
    card version, and are of accounts and months with final invoices. Where there are some, nothing is to be committed
    unless it is forced: then what is otherwise is written, and only `final` has stayed as it was. `payers` have
    new ratings; `invoiced` counts by payer those of them that are on the side of a final invoice and charged otherwise.
    """

    events: int = 0
    rewritten: int = 0
    quarantined: int = 0
    otherwise: InTheWay | None = None
    final: InTheWay | None = None
    payers: set[int] = field(default_factory=set)
    invoiced: Counter[int] = field(default_factory=Counter)


def rerate(
    connection: Connection,
    stretches: Sequence[Stretch],
    books: Callable[[], Ratebooks],
    *,
    events_at_once: int = EVENTS_AT_ONCE,
    forced: bool = False,
    invoiced: bool = False,
) -> Rerated:
    """Rate the events within stretches again. `books` gives what to rate with, and is asked if there are any.

    `forced`: what would be charged otherwise is in nobody's way, except where invoices are final; `invoiced`: nor
    there. Whoever does it holds the invoices of all their months alone.
    """
    rerating: _Rerating | None = None
    for stored in stored_ratings(connection, stretches, events_at_once):
        if rerating is None:
            rerating = _Rerating.begin(connection, books(), forced=forced, invoiced=invoiced)
        rerating.go_on(stored)
    if rerating is None:
        return Rerated()
    rerating.writing.finish()
    return rerating.so_far


@dataclass(slots=True, kw_only=True)
class _Rerating:
    """A re-rating at work. `final` are the payers whose invoices of a month, by its first day, are final."""

    connection: Connection
    writing: Rewriting
    books: Ratebooks
    tariffs: Tariffs
    heads: Mapping[int, Card]
    forced: bool
    invoiced: bool
    so_far: Rerated = field(default_factory=Rerated)
    final: dict[date, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def begin(cls, connection: Connection, books: Ratebooks, *, forced: bool, invoiced: bool) -> "_Rerating":
        """Read what all cards say beside their rows."""
        heads = read_heads(connection, books.products, replaced=True)
        writing = Rewriting(connection=connection)
        return cls(
            connection=connection,
            writing=writing,
            books=books,
            tariffs=Tariffs(),
            heads=heads,
            forced=forced,
            invoiced=invoiced,
        )

    def go_on(self, stored: Stored) -> None:
        """Rate some events again; as long as nothing is in the way, what differs is written."""
        books, found = self.books, self.so_far
        new = rate_usage(stored.usage, books.assignment, books.books, books.products).ratings
        missing = self.tariffs.missing(stored.ratings, new)
        if missing:
            self.tariffs.add(read_tariffs(self.connection, missing, self.heads))
        # Compared by the elements' names; what is written keeps the order in which it was rated, which numbers it.
        stored, named = stored.reordered(self.tariffs.order(stored.ratings)), reordered(new, self.tariffs.order(new))
        compared = compare(stored.ratings, named, self.tariffs)
        otherwise = compared.otherwise
        # What is charged otherwise is refused anyway, unless it is forced: then invoices have to stand all the same.
        is_final = self._final(stored, compared.repriced | otherwise if self.forced else compared.repriced & ~otherwise)
        found.events += len(stored)
        if self.invoiced:
            found.invoiced.update(stored.payer[is_final & otherwise].tolist())
            is_final = np.zeros_like(is_final)
        found.otherwise = self._note(found.otherwise, stored, named, otherwise & ~is_final)
        found.final = self._note(found.final, stored, named, is_final)
        if self.forced or (found.otherwise is None and found.final is None):
            self._write(stored, new, compared.differs & ~is_final)

    def _write(self, stored: Stored, new: Ratings, which: Flags) -> None:
        self.writing.rewrite(stored, new, which)
        found = self.so_far
        found.rewritten += int(np.count_nonzero(which))
        found.quarantined += int(np.count_nonzero(which & new.is_quarantined))
        found.payers.update(np.unique(stored.payer[which]).tolist())

    def _final(self, stored: Stored, which: Flags) -> Flags:
        """Those of the marked events that are on the side of invoices that are final."""
        found = np.zeros(len(stored), dtype=np.bool_)
        if not which.any():
            return found
        days = (stored.usage.occurred_at // MICROSECONDS_A_DAY).astype("datetime64[D]")
        months = days.astype("datetime64[M]").astype("datetime64[D]")
        for month in np.unique(months[which]).tolist():
            found |= which & (months == np.datetime64(month)) & np.isin(stored.payer, self._billed(month))
        return found

    def _billed(self, month: date) -> NDArray[np.int64]:
        """The payers of a month's final invoices."""
        if month not in self.final:
            period = Period.of_month(month.year, month.month)
            self.final[month] = np.array(sorted(final_invoices(self.connection, period)), dtype=np.int64)
        return self.final[month]

    def _note(self, known: InTheWay | None, stored: Stored, new: Ratings, which: Flags) -> InTheWay | None:
        """What is in the way, with the marked events."""
        rows = np.flatnonzero(which)
        if not len(rows):
            return known
        at = stored.usage.occurred_at[rows]
        # Of one instant, the first by its name: they come in any order.
        first = min(rows[at == at.min()].tolist(), key=lambda row: _name(stored.usage, row))
        last = int(rows[np.argmax(at)])
        source, id_ = _name(stored.usage, first)
        before, after = words_for(stored.ratings, new, first, self.tariffs)
        here = InTheWay(
            count=len(rows),
            source=source,
            id=id_,
            at=at_micros(int(at.min())),
            payer=int(stored.payer[first]),
            last=at_micros(int(at.max())),
            last_payer=int(stored.payer[last]),
            before=before,
            after=after,
        )
        if known is None:
            return here
        sooner = min(here, known, key=lambda each: (each.at, each.source, each.id))
        later = here if here.last > known.last else known
        return replace(sooner, count=known.count + here.count, last=later.last, last_payer=later.last_payer)


def _name(usage: Usage, row: int) -> tuple[str, str]:
    return usage.source.values[usage.source.codes[row]], usage.id[row].as_py()
