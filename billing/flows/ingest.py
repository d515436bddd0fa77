"""Take usage in: parse, rate, store, and only then acknowledge. Safe to repeat: an event is counted once, for ever.

A chunk of payloads is one transaction. While the database writes one chunk, a thread makes the next one ready.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing.charges import SOURCE, SourceReservedError
from billing.chunks import Chunk
from billing.flows.mirror import amended_away, take_back, write_mirrors
from billing.jurisdictions import with_jurisdictions
from billing.periods import Period
from billing.rated import rate_usage
from billing.receipts import OUTCOME_CODES, Finding, Outcome, Receipt, Taken, taken
from billing.reselling import PREFIX, RESERVED
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, transaction
from billing.store.identity import WORTH_A_TRY, Claimed, next_batches, source_ids
from billing.store.partitions import make_partitions
from billing.store.ratebooks import Ratebooks, load_books, lock_books, product_ids
from billing.store.usage import Batch, make_batch, write_batch
from billing.usage import Origin, Parsed, Reject, Usage, micros, months_of, parse
from rates.jurisdiction import States
from rates.products import Product, is_called
from rates.rating import CODES, REASONS, Reason
from rates.usage import Texts

MONTHS_AHEAD = 3
LONGEST_PATIENCE = 64
"""Chunks without a known event that are waited for, at most, before one is tried as if all of it were new."""

_TURN_SECONDS = 0.00005
_CONFLICT = "was reported before with other content; the first report stays; to amend it, send a higher revision"
VOID = "void"
"""The reason that is given for an accepted payload that takes an event back."""


@dataclass(slots=True)
class Hope:
    """Whether the next chunk is worth a try as if all of it were new. A try that fails leaves as many dead rows.

    Repetitions come in rows: of a file, of a source's habit, or of another writer at work on the same. So `patience`
    chunks in a row without a known event come before a try, twice as many after each that failed. `clean` counts them.
    """

    patience: int = 0
    clean: int = 0

    @property
    def is_new(self) -> bool:
        """Whether to try."""
        return self.clean >= self.patience

    def learn(self, events: int, known: int) -> None:
        """What became of the next chunk: how many events it had, and how many of them were known."""
        if not known:
            self.clean += bool(events)
            self.patience = 0 if self.clean > LONGEST_PATIENCE else self.patience
            return
        if self.is_new and events >= WORTH_A_TRY:
            self.patience = min(self.patience * 2 or 1, LONGEST_PATIENCE)
        self.clean = 0


@dataclass(slots=True, kw_only=True)
class Intake:
    """Where usage from one source (None: the payloads name theirs) enters; keeps the books between chunks.

    One thread may prepare while others write.

    `kept`: where compiled cards are kept between processes. `states`: by which jurisdictions are derived. `ahead`: how
    many transactions get their numbers at once; those that are not used when the process ends are nobody's.
    """

    engine: Engine
    products: Mapping[str, Product]
    source: str | None
    kept: CompiledCards | None = None
    states: States | None = None
    ahead: int = 1
    _books: Ratebooks | None = None
    _batches: list[int] = field(default_factory=list)
    _product_ids: dict[str, int] = field(default_factory=dict)
    _sources: dict[str, int] = field(default_factory=dict)
    _months: set[date] = field(default_factory=set)
    _hope: Hope = field(default_factory=Hope)
    _keeping: Lock = field(default_factory=Lock)

    def ingest(self, payloads: Sequence[bytes], at: datetime) -> Receipt:
        """Store what is new of some payloads, received `at`; when this returns, it is committed."""
        return self.write(self.prepare(payloads, at), at)

    def prepare(self, payloads: Sequence[bytes], at: datetime, origin: Origin = None) -> "Prepared":
        """Parse and rate payloads with the books as last seen; `origin` is their source where the intake has none."""
        origin = origin if self.source is None else self.source
        parsed = parse(payloads, source=origin, products=self.products, at=at)
        parsed = with_jurisdictions(parsed, self.states, self.products)
        if not isinstance(origin, str):
            parsed = without_reserved(parsed)
        numbers, books = self._known(parsed), self._books
        if numbers is None or books is None:
            with transaction(self.engine) as connection:
                if books is None:
                    books = load_books(connection, self.products, kept=self.kept)
                numbers = self._look_up(connection, parsed)
            # Only now: the numbers that a rolled-back transaction gave are nobody's, and will be somebody else's.
            self._product_ids, self._sources = numbers.products, numbers.sources
            if self._books is None:
                self._books = books
        self._make_months(parsed, at)
        return Prepared(parsed, numbers, self._batch(parsed, numbers, at, books), len(payloads))

    def write(self, prepared: "Prepared", at: datetime) -> Receipt:
        """Store what is new of prepared payloads. If the books have moved since, they are rated again first."""
        batch, books = prepared.batch, None
        with transaction(self.engine) as connection:
            if lock_books(connection, exclusive=False) != batch.book_version:
                books = load_books(connection, self.products, self._books, self.kept)
                batch = self._batch(prepared.parsed, prepared.numbers, at, books)
            written = write_batch(connection, batch, likely_new=self._hope.is_new)
            self._mirror(connection, batch, written, books or self._books, prepared.numbers)
        self._hope.learn(len(batch), written.taken_before)
        if books is not None:
            self._keep(books)
        return receipt_of(self.products, prepared, batch, written)

    def _keep(self, books: Ratebooks) -> None:
        with self._keeping:  # several threads may write, and an older version may come later
            if self._books is None or self._books.version < books.version:
                self._books = books

    def forget(self) -> None:
        """Forget what the database was seen to have: what is taken in next looks again."""
        self._product_ids, self._sources, self._months = {}, {}, set()
        self._batches.clear()

    def _mirror(
        self, connection: Connection, batch: Batch, found: Claimed, books: Ratebooks | None, numbers: "Numbers"
    ) -> None:
        """Store what is resold of the reports that stand now, and take back what is resold no more."""
        if books is None or not books.assignment.resells:
            return
        stands = np.ones(len(batch.event), dtype=np.bool_)
        stands[found.known] = False
        stands[found.superseded] = False
        of_event = batch.event[stands & (batch.event >= 0)]
        usage, received_at = batch.rated.usage.take(of_event), batch.received_at[of_event]
        if len(found.amending):
            amended = amended_away(batch, found.amending, numbers.sources, books.assignment)
            take_back(connection, batch, amended)
        write_mirrors(connection, usage, received_at, books, numbers.products, likely_new=not len(found.amending))

    def _known(self, parsed: Parsed) -> "Numbers | None":
        """The numbers of what the events name, if the database need not be asked for any of them."""
        products, sources = self._product_ids, self._sources
        if not products or not sources.keys() >= set(sources_of(parsed)):
            return None
        try:
            return Numbers(products, sources, self._batches.pop())
        except IndexError:
            return None

    def _look_up(self, connection: Connection, parsed: Parsed) -> "Numbers":
        """The numbers that the database has for what the events name; what has none gets one."""
        missing = [name for name in sources_of(parsed) if name not in self._sources]
        number, *ahead = next_batches(connection, self.ahead)
        self._batches += reversed(ahead)
        return Numbers(
            products=self._product_ids or product_ids(connection, self.products),
            sources=self._sources | source_ids(connection, missing) if missing else self._sources,
            batch=number,
        )

    def _batch(self, parsed: Parsed, numbers: "Numbers", at: datetime, books: Ratebooks) -> Batch:
        return make_batch(
            rate_usage(parsed.usage, books.assignment, books.books, books.products),
            number=numbers.batch,
            book_version=books.version,
            received_at=np.full(len(parsed.usage), micros(at), dtype=np.int64),
            source_ids=numbers.sources,
            product_ids=numbers.products,
            voids=parsed.voids,
            at=micros(at),
        )

    def _make_months(self, parsed: Parsed, at: datetime) -> None:
        """Make the partitions that the events need, and some ahead, before the transaction that writes them."""
        months = months_of(parsed.usage.occurred_at[~parsed.usage.too_old])
        period = Period.at(at)
        for _ in range(MONTHS_AHEAD + 1):
            months.add(period.start)
            period = period.next()
        if not months <= self._months:
            with transaction(self.engine) as connection:
                make_partitions(connection, sorted(months - self._months))
            self._months |= months


class Numbers(NamedTuple):
    """What products and sources are called in the store, and the number of the transaction that writes usage."""

    products: dict[str, int]
    sources: dict[str, int]
    batch: int


class Prepared(NamedTuple):
    """Payloads (`size` of them), parsed and rated."""

    parsed: Parsed
    numbers: Numbers
    batch: Batch
    size: int


def import_usage(
    engine: Engine,
    source: str | None,
    chunks: Iterable[Chunk],
    *,
    products: Mapping[str, Product],
    at: datetime,
    on_chunk: Callable[[Taken], None] = lambda _: None,
    kept: CompiledCards | None = None,
    states: States | None = None,
) -> dict[Outcome, int]:
    """Store a stream of usage, one transaction a chunk; `on_chunk` hears of each when it is committed.

    Returns how many payloads came to each outcome. Whatever is raised on the way, what `on_chunk` has heard of is
    committed, and the whole import may be repeated. Memory is a few chunks'. Raises SourceReservedError.
    """
    require_free(source)
    return take_in(
        Intake(engine=engine, products=products, source=source, kept=kept, states=states), chunks, at, on_chunk
    )


def take_in(
    intake: Intake, chunks: Iterable[Chunk], at: datetime, on_chunk: Callable[[Taken], None]
) -> dict[Outcome, int]:
    """What an intake makes of a stream of usage; see `import_usage`."""
    counts = dict.fromkeys(Outcome, 0)
    with ThreadPoolExecutor(max_workers=1) as thread, quick_turns():
        for chunk, prepared in _ahead(thread, intake, iter(chunks), at):
            whole = taken(chunk, intake.write(prepared, at))
            for outcome, count in whole.receipt.counts().items():
                counts[outcome] += count
            on_chunk(whole)
    return counts


def _ahead(
    thread: ThreadPoolExecutor, intake: Intake, chunks: Iterator[Chunk], at: datetime
) -> Iterator[tuple[Chunk, Prepared]]:
    """Chunks read and made ready, the next one in the thread while the caller works on this one.

    Where the stream breaks off, the caller has had all that was read before it did.
    """

    def next_ready() -> tuple[Chunk, Prepared] | None:
        chunk = next(chunks, None)
        return None if chunk is None else (chunk, intake.prepare(chunk.payloads, at))

    waiting = thread.submit(next_ready)
    while (ready := waiting.result()) is not None:
        waiting = thread.submit(next_ready)
        yield ready


@contextmanager
def quick_turns() -> Iterator[None]:
    """Let threads take turns often: whoever talks to the database needs the interpreter briefly and many times, and
    would wait 5 ms each time for the thread that parses, until they did not work at once at all.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def require_free(source: str | None) -> None:
    """Refuse usage from a source whose name is taken. Raises SourceReservedError."""
    if source is not None and source.startswith(PREFIX):
        remedy = "name the switch or service that reported the usage"
        raise SourceReservedError(RESERVED, value=source, remedy=remedy)
    if source == SOURCE:
        remedy = "name the switch or service that reported the usage; `tollbook charges` posts charges"
        raise SourceReservedError("is the source of charges, and nobody else's", value=SOURCE, remedy=remedy)


def without_reserved(parsed: Parsed) -> Parsed:
    """Events, and what takes some back, without those that name a source which is nobody's: these are rejected."""
    (codes, values), voids = parsed.usage.source, parsed.voids
    reasons = {name: reason for name in {*values, *voids.source} if (reason := _reserved(name))}
    if not reasons:
        return parsed
    reserved = np.array([name in reasons for name in values], dtype=np.bool_)[codes]
    void = np.array([name in reasons for name in voids.source], dtype=np.bool_)
    names = [values[code] for code in codes[reserved].tolist()]
    told = [*zip(parsed.usage.row[reserved].tolist(), names, strict=True)]
    told += zip(voids.row[void].tolist(), (name for name in voids.source if name in reasons), strict=True)
    rejects = [Reject(row=row, pointer="/source", reason=reasons[name]) for row, name in told]
    return Parsed(
        usage=parsed.usage.take(np.flatnonzero(~reserved)),
        rejects=tuple(sorted([*parsed.rejects, *rejects], key=lambda reject: reject.row)),
        voids=voids.take(np.flatnonzero(~void)),
    )


def _reserved(source: str) -> str:
    """Why nobody reports under a name; "" if it is free."""
    if source == SOURCE:
        return "is the source of charges, and nobody else's"
    return RESERVED if source.startswith(PREFIX) else ""


def sources_of(parsed: Parsed) -> list[str]:
    """The sources that events name. One of which every payload was refused is none: nothing makes it known."""
    source = parsed.usage.source
    named = [source.values[code] for code in np.unique(source.codes).tolist() if source.values[code]]
    return named if not parsed.voids else sorted({*named, *parsed.voids.source})


def receipt_of(products: Mapping[str, Product], prepared: Prepared, batch: Batch, written: Claimed) -> Receipt:
    """What became of each payload of a batch that is written, and why."""
    usage, ratings = batch.rated.usage, batch.rated.ratings
    outcomes = np.full(prepared.size, OUTCOME_CODES[Outcome.REJECTED], dtype=np.int8)
    of_event = np.where(ratings.is_quarantined, OUTCOME_CODES[Outcome.QUARANTINED], OUTCOME_CODES[Outcome.ACCEPTED])
    of_claim = np.full(len(batch.event), OUTCOME_CODES[Outcome.ACCEPTED], dtype=np.int64)
    is_event = batch.event >= 0
    of_claim[is_event] = of_event
    codes = OUTCOME_CODES[Outcome.DUPLICATE], OUTCOME_CODES[Outcome.CONFLICT]
    of_claim[written.known] = np.where(written.same, *codes)
    of_claim[written.superseded] = OUTCOME_CODES[Outcome.SUPERSEDED]
    payload = batch.claims["row"]
    outcomes[payload] = of_claim
    of_event = of_claim[is_event]
    findings = {reject.row: Finding(pointer=reject.pointer, reason=reject.reason) for reject in prepared.parsed.rejects}
    waiting = of_event == OUTCOME_CODES[Outcome.QUARANTINED]
    lacks_number = _called(products, usage) & (usage.to == 0) & (usage.rated_to == 0)
    told = (usage.row[waiting], ratings.reason[waiting], lacks_number[waiting])
    for row, reason, lacks in zip(*(column.tolist() for column in told), strict=True):
        findings[row] = Finding(pointer="", reason=str(REASONS[reason]), lacks_number=lacks)
    for row in payload[of_claim == OUTCOME_CODES[Outcome.CONFLICT]].tolist():
        findings[row] = Finding(pointer="", reason=_CONFLICT)
    voids = payload[~is_event & (of_claim == OUTCOME_CODES[Outcome.ACCEPTED])]
    findings |= {row: Finding(pointer="", reason=VOID) for row in voids.tolist()}
    zero_rated = np.zeros(prepared.size, dtype=np.int8)
    zero_rated[usage.row] = np.where(of_event == OUTCOME_CODES[Outcome.ACCEPTED], ratings.reason, 0)
    zero_rated[usage.row[ratings.extra_event]] = 0  # a failed message may still cost a fee
    unbilled = _statuses(usage, zero_rated == CODES[Reason.STATUS_NOT_BILLABLE])
    return Receipt(
        outcomes=outcomes,
        findings=findings,
        zero_rated=zero_rated,
        unbilled=unbilled,
        row=payload,
        id=batch.claims["id"],
        revision=batch.claims["revision"],
        amended=payload[written.amending],
        voids=voids,
    )


def _called(products: Mapping[str, Product], usage: Usage) -> NDArray[np.bool_]:
    """Which events are of a product that is priced by what is called."""
    called = np.array([is_called(products, name) for name in usage.product.values], dtype=np.bool_)
    return called[usage.product.codes]


def _statuses(usage: Usage, payloads: NDArray[np.bool_]) -> Texts:
    """The statuses of some payloads, "" of the others."""
    codes = np.zeros(len(payloads), dtype=np.int32)
    if "status" not in usage.texts or not payloads.any():
        return Texts(codes, ("",))
    status = usage.texts["status"]
    codes[usage.row] = status.codes
    return Texts(np.where(payloads, codes, np.int32(0)), status.values)
