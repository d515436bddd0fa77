"""Post what is due of charges: each due becomes an ordinary usage event, once, whoever posts it and however often.

What was posted is asked of the identities of events, each time, and noted nowhere else. So there is nothing that could
be ahead of them or behind: it may be killed anywhere, run twice at once, or not have run for months.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice

from billing.accounts import Account, Suspension
from billing.charges import (
    SOURCE,
    Charge,
    ChargesUnpostedError,
    Due,
    due_until,
    dues,
    payload_of,
    suspensions_of,
)
from billing.chunks import Chunk
from billing.flows.ingest import Intake, take_in
from billing.flows.rehearse import Rehearsal
from billing.periods import Period
from billing.receipts import Outcome, Taken
from billing.store.accounts import read_accounts
from billing.store.charges import NOTHING, Posted, lock_charges, posted, posted_dues, read_charges
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, rehearsal, snapshot, transaction
from rates.products import Product

DUES_AT_ONCE = 20_000
"""Events of one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Behind:
    """A charge of which something is due: up to its `number`th due, without those that are `known` to be posted."""

    charge: Charge
    suspended: tuple[Suspension, ...]
    number: int
    known: frozenset[int]
    after: int

    @property
    def count(self) -> int:
        """How many dues are not posted."""
        return self.number - self.after - len(self.known)

    def dues(self, until: datetime) -> Iterator[Due]:
        """Those dues, in their order."""
        found = dues(self.charge, until, self.suspended, first=self.after + 1)
        return (due for due in found if due.number not in self.known)


def post_charges(
    engine: Engine,
    products: Mapping[str, Product],
    *,
    at: datetime,
    until: datetime | None = None,
    on_chunk: Callable[[Taken], None] = lambda _: None,
    kept: CompiledCards | None = None,
    dry_run: bool = False,
    dues_at_once: int = DUES_AT_ONCE,
) -> dict[Outcome, int]:
    """Post all that is due up to and including `until` (`at`, without it or where it is later) and was not posted.

    Returns how many dues came to each outcome: `duplicate` is one that another poster was first with. Each chunk is a
    transaction, and `on_chunk` hears of it when it is committed. With `dry_run` nothing stays. `kept`: where compiled
    cards are kept.
    """
    last = min(until or at, at)
    # Held to the end: no charge ends, and nobody is suspended, between what is read here and what is posted.
    with transaction(engine) as holding:
        lock_charges(holding, exclusive=False)
        behind = _behind(holding, last)
        chunks = _chunks(chain.from_iterable(each.dues(last) for each in behind), dues_at_once)
        if not dry_run:
            intake = Intake(engine=engine, products=products, source=SOURCE, kept=kept)
            return take_in(intake, chunks, at, on_chunk)
        with rehearsal(engine) as connection:
            foreseeing = Rehearsal(engine=engine, products=products, source=SOURCE, kept=kept, connection=connection)
            return take_in(foreseeing, chunks, at, on_chunk)


def unposted(engine: Engine, until: datetime) -> int:
    """How many dues up to and including an instant were not posted."""
    with snapshot(engine) as connection:
        return sum(each.count for each in _behind(connection, until))


def until_end(period: Period, at: datetime) -> datetime:
    """The last instant of a period, or `at` before that."""
    return min(period.closes - timedelta.resolution, at)


def require_posted(connection: Connection, period: Period, at: datetime) -> None:
    """Refuse to bill a period of which something is due and not posted. Raises ChargesUnpostedError."""
    missing = sum(each.count for each in _behind(connection, until_end(period, at)))
    if missing:
        raise ChargesUnpostedError(
            f"charges that were due by its end were not posted ({missing:,} in all), and would be on no invoice",
            value=str(period),
            remedy="run `tollbook charges post`, and then this again; `tollbook close` does both",
        )


def _behind(connection: Connection, until: datetime) -> list[_Behind]:
    """The charges of which something is due by an instant and not posted."""
    charges = read_charges(connection)
    if not charges:
        return []
    accounts, known = read_accounts(connection).accounts, posted(connection)
    each = (_of(connection, charge, accounts, known.get(charge.id, NOTHING), until) for charge in charges)
    return [found for found in each if found.count > 0]


def _of(
    connection: Connection, charge: Charge, accounts: Mapping[str, Account], known: Posted, until: datetime
) -> _Behind:
    suspended = suspensions_of(charge, accounts)
    number = due_until(charge, until, suspended)
    if known.dues == known.last:  # 1 to that, without a gap
        return _Behind(charge=charge, suspended=suspended, number=number, known=frozenset(), after=known.last)
    numbers = frozenset(each for each in posted_dues(connection, charge.id) if each <= number)
    return _Behind(charge=charge, suspended=suspended, number=number, known=numbers, after=0)


def _chunks(found: Iterable[Due], size: int) -> Iterator[Chunk]:
    waiting, told = iter(found), 0
    while payloads := [payload_of(due) for due in islice(waiting, size)]:
        yield Chunk(payloads, range(told + 1, told + 1 + len(payloads)), noun="due")
        told += len(payloads)
