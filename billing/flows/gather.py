"""Requests that come at once share a transaction: each is answered for itself, and only when that is committed.

Whoever hands payloads in gets a future. One thread takes what waits and makes it ready; others write it. While those
are at work, the next group is made ready and written if it is large already, and else grows. Those who are answered
together are likely to come again together: so a small group waits, briefly, until as many are there as shared the one
before. Alone a request goes through at once, and under load groups are as large as the database is slow, up to a bound.
Where the shared transaction fails, its requests are taken in by halves, down to one by one, so that the fault of one is
never another's.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from queue import SimpleQueue
from threading import Condition, Lock, Thread
from typing import NamedTuple, Self

from billing.chunks import EVENTS_A_CHUNK
from billing.errors import IntakeClosedError, QueueFullError, StoreAwayError
from billing.flows.ingest import Intake, Prepared, quick_turns, require_free
from billing.receipts import Receipt, Result
from billing.store.outages import is_passing
from billing.usage import Origin

EVENTS_A_GROUP = 1_000
"""More payloads than this do not share a transaction; those of one request do."""

WORTH_MAKING_READY = 250
"""Payloads that are made ready while others are being written; fewer wait for more until those are."""

WRITERS = 2
"""Groups that are written at once: the database writes one while it makes another last."""

TOGETHER_SECONDS = 0.005
"""For how long fewer requests than shared the last transaction are held back, at most."""

PATIENCE_SECONDS = 10
"""For how long a database that is away is waited for."""

NUMBERS_AHEAD = 32
"""`Intake.ahead` of an intake that goes on and on."""

_FEWEST_TRIES = 3
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0
_LONGEST_RETURN_SECONDS = 30
_OBJECT_BYTES = 64
"""What a payload takes in memory beside its own bytes, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much may wait: payloads, and their bytes. What is bigger than that by itself is let in when nothing waits."""

    payloads: int = 100_000
    size: int = 64 << 20


Answer = Future[list[Result]]
"""What became of each payload of a request, when they are committed."""


class Committed(NamedTuple):
    """A group that is committed: how many requests and payloads, and how long it took to make ready and to write."""

    requests: int
    payloads: int
    prepare_seconds: float
    write_seconds: float


class _Request(NamedTuple):
    """Payloads that are stored together or not at all, and who waits for what becomes of them, until when."""

    payloads: Sequence[bytes]
    source: str | None
    until: float
    size: int
    answer: Answer


_Group = list[_Request]


class _Ready(NamedTuple):
    """A group that was made ready at an instant, in some seconds; or what was in the way of that."""

    group: _Group
    at: datetime
    prepared: Prepared | Exception
    seconds: float


class Gathering:
    """Where requests of all sources enter a process, for as long as its context lasts.

    `intake` is of no source and nobody else's; `clock` says when payloads are received; `on_commit` hears of groups,
    `troubled` of what that fails in. When the context ends, nobody is let in any more, and all who were let in get
    their answer.
    """

    def __init__(
        self,
        intake: Intake,
        clock: Callable[[], datetime],
        *,
        room: Room | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        on_commit: Callable[[Committed], None] = lambda _: None,
        troubled: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._intake, self._clock, self._on_commit, self._troubled = intake, clock, on_commit, troubled
        self._room, self._patience_seconds = room or Room(), patience_seconds
        self._waiting: deque[_Request] = deque()
        self._waiting_payloads = 0
        self._held_payloads = self._held_bytes = 0  # those that wait, and those on their way
        self._seconds_a_payload = 0.0  # of late
        self._changed = Condition()
        self._awaited = self._may_go_on  # what must be so before requests are taken
        self._shared = 0  # requests that shared the last group
        self._closed = True
        self._groups = 0  # on their way: those that are being written, and one ahead of them
        self._ready: SimpleQueue[_Ready | None] = SimpleQueue()
        self._turns = ExitStack()
        writing = [Thread(target=self._write_all, name=f"write-{number}") for number in range(WRITERS)]
        self._threads = [Thread(target=self._prepare_all, name="prepare"), *writing]

    def __enter__(self) -> Self:
        self._turns.enter_context(quick_turns())
        self._closed = False
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._turns.close()

    @property
    def held(self) -> int:
        """How many payloads were let in and are not answered for."""
        return self._held_payloads

    @property
    def waiting(self) -> int:
        """How many requests were let in and are not begun."""
        return len(self._waiting)

    def submit(self, payloads: Sequence[bytes], source: str | None) -> Answer:
        """Hand in payloads from a `source` (None: they name theirs); returns at once.

        The future has their results when they are committed, or a StoreAwayError, or what else was in the way; then
        it is safe to hand them in again. Cancelled before their turn, they are not stored. Raises QueueFullError,
        IntakeClosedError, SourceReservedError.
        """
        require_free(source)
        pieces = [payloads[at : at + EVENTS_A_CHUNK] for at in range(0, len(payloads), EVENTS_A_CHUNK)] or [payloads]
        until = time.monotonic() + self._patience_seconds
        requests = [_Request(piece, source, until, _size(piece), Future()) for piece in pieces]
        size = sum(request.size for request in requests)
        with self._changed:
            if self._closed:
                raise IntakeClosedError("the program ends", remedy="send it again: nothing of it was stored")
            if self._held_payloads and not self._has_room(len(payloads), size):
                raise QueueFullError(self._return_in())
            self._waiting_payloads += len(payloads)
            self._held_payloads += len(payloads)
            self._held_bytes += size
            self._waiting += requests
            if self._awaited():  # waking a thread for nothing takes its turn from those who work
                self._changed.notify_all()
        return requests[0].answer if len(requests) == 1 else _together([request.answer for request in requests])

    def _has_room(self, payloads: int, size: int) -> bool:
        room = self._room
        return self._held_payloads + payloads <= room.payloads and self._held_bytes + size <= room.size

    def _return_in(self) -> int:
        """In how many seconds what is held now will be stored, as things go."""
        return min(1 + int(self._held_payloads * self._seconds_a_payload), _LONGEST_RETURN_SECONDS)

    def _prepare_all(self) -> None:
        """Make ready what waits, group by group, until nothing more can come."""
        while True:
            with self._changed:
                self._await(self._may_go_on)
                self._await(self._are_together, TOGETHER_SECONDS)
                group = list(self._next_group())
                self._groups += 1
                self._shared = len(group)
            if not group:
                break
            # What was cancelled while it waited is not begun.
            self._ready.put(self._made_ready(self._begun(group)))
        for _ in range(WRITERS):
            self._ready.put(None)

    def _await(self, awaited: Callable[[], bool], seconds: float | None = None) -> None:
        self._awaited = awaited
        self._changed.wait_for(awaited, seconds)

    def _may_go_on(self) -> bool:
        """Whether the next group is to be made ready, or nothing more can come."""
        if not self._waiting:
            return self._closed
        return not self._groups or (self._groups <= WRITERS and self._waiting_payloads >= WORTH_MAKING_READY)

    def _are_together(self) -> bool:
        """Whether those that wait are as many as came together last, or enough by themselves."""
        enough = self._waiting_payloads >= WORTH_MAKING_READY or len(self._waiting) >= self._shared
        return enough or self._closed

    def _next_group(self) -> Iterator[_Request]:
        """The first of those that wait, and as many more as go with it."""
        payloads = 0
        while self._waiting and (not payloads or payloads + len(self._waiting[0].payloads) <= EVENTS_A_GROUP):
            request = self._waiting.popleft()
            payloads += len(request.payloads)
            self._waiting_payloads -= len(request.payloads)
            yield request

    def _begun(self, group: _Group) -> _Group:
        begun = [request for request in group if request.answer.set_running_or_notify_cancel()]
        if len(begun) < len(group):
            self._let_go([request for request in group if request.answer.cancelled()])
        return begun

    def _made_ready(self, group: _Group) -> _Ready:
        at, start = self._clock(), time.monotonic()
        prepared: Prepared | Exception
        try:
            prepared = self._prepared(group, at)
        except Exception as error:  # noqa: BLE001 - whatever it was, one of them may be the cause
            prepared = error
        return _Ready(group, at, prepared, time.monotonic() - start)

    def _prepared(self, group: _Group, at: datetime) -> Prepared:
        payloads = group[0].payloads if len(group) == 1 else [one for request in group for one in request.payloads]
        return self._intake.prepare(payloads, at, _origin(group))

    def _write_all(self) -> None:
        """Write what was made ready, and answer."""
        while (ready := self._ready.get()) is not None:
            start = time.monotonic()
            together = self._settle(ready)
            seconds = time.monotonic() - start
            with self._changed:
                self._groups -= 1
                self._changed.notify_all()
            if together:
                payloads = sum(len(request.payloads) for request in ready.group)
                self._note(Committed(len(ready.group), payloads, ready.seconds, seconds))

    def _settle(self, ready: _Ready) -> bool:
        """Write a group and answer its requests: together, or else by halves. Returns whether it was together."""
        group = ready.group
        if not group:
            return False
        try:
            results = iter(self._written(ready).results())
        except Exception as error:  # noqa: BLE001 - it is theirs who asked
            self._intake.forget()
            if len(group) == 1 or isinstance(error, StoreAwayError):
                self._answer([partial(request.answer.set_exception, error) for request in group], group)
                return False
            middle = len(group) // 2
            for half in (group[:middle], group[middle:]):
                self._settle(self._made_ready(half))
            return False
        theirs = [(request.answer, list(islice(results, len(request.payloads)))) for request in group]
        self._answer([partial(answer.set_result, told) for answer, told in theirs], group)
        return True

    def _written(self, ready: _Ready) -> Receipt:
        """Commit a group, again and again while what is in the way passes. Raises StoreAwayError when it does not."""
        until, wait, tries = min(request.until for request in ready.group), _FIRST_WAIT_SECONDS, 0
        while True:
            try:
                return self._write(ready)
            except Exception as error:
                tries += 1
                if not is_passing(error):
                    raise
                late = time.monotonic() + wait - until
                if late > (0 if tries >= _FEWEST_TRIES else self._patience_seconds):  # tries may be long
                    raise _away(error) from error
            self._intake.forget()
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
            ready = self._made_ready(ready.group)

    def _write(self, ready: _Ready) -> Receipt:
        if isinstance(ready.prepared, Exception):
            raise ready.prepared
        return self._intake.write(ready.prepared, ready.at)

    def _answer(self, answers: Sequence[Callable[[], None]], group: _Group) -> None:
        self._let_go(group)
        for answer in answers:
            answer()

    def _let_go(self, group: _Group) -> None:
        with self._changed:
            self._held_payloads -= sum(len(request.payloads) for request in group)
            self._held_bytes -= sum(request.size for request in group)

    def _note(self, committed: Committed) -> None:
        took = max(committed.prepare_seconds, committed.write_seconds) / max(committed.payloads, 1)
        self._seconds_a_payload += (took - self._seconds_a_payload) / 8
        try:
            self._on_commit(committed)
        except Exception as error:  # noqa: BLE001 - whoever listens does not end the thread that all wait for
            self._troubled(error)


def _size(payloads: Sequence[bytes]) -> int:
    return sum(map(len, payloads)) + _OBJECT_BYTES * len(payloads)


def _origin(group: _Group) -> Origin:
    """The source of all payloads of a group, or else of each."""
    if len({request.source for request in group}) == 1:
        return group[0].source
    return tuple(request.source for request in group for _ in request.payloads)


def _away(error: Exception) -> StoreAwayError:
    said = str(error).strip().partition("\n")[0]
    remedy = "send it again: an event counts once, also where this one was stored"
    return StoreAwayError(f"the database could not store it: {said}", remedy=remedy)


def _together(answers: Sequence[Answer]) -> Answer:
    """One answer for the pieces of a request, when all of them have theirs."""
    whole: Answer = Future()
    whole.set_running_or_notify_cancel()
    left, counting = [len(answers)], Lock()

    def heard(_: Answer) -> None:
        with counting:
            left[0] -= 1
            if left[0]:
                return
        try:
            whole.set_result([result for answer in answers for result in answer.result()])
        except Exception as error:  # noqa: BLE001 - that of the first piece that has one
            whole.set_exception(error)

    for answer in answers:
        answer.add_done_callback(heard)
    return whole
