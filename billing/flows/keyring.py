"""Who calls: tokens looked up among the keys as they were a second ago at most, in every process by itself.

A view of all keys is kept, and read again only if there are new keys or ends; asking takes two look-ups of an index. A
thread renews it twice a second, so that callers do not wait. If it cannot, they do: nobody is let in by an older view.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Lock, Thread
from time import monotonic
from types import MappingProxyType
from typing import Self

from billing.keys import UNKNOWN, Key, KeyProblem, Mode, digest, ended, misplaced
from billing.store.engine import Engine, snapshot, transaction
from billing.store.keys import NOTED_EVERY, Version, note_uses, read_keys, read_version

FRESH_SECONDS = 0.9
"""How old a view may be by which somebody is let in: a second, less what it takes to answer."""
RENEWED_SECONDS = 0.5
"""How often the thread renews it."""
MISSED_SECONDS = 0.02
"""How old a view may be by which a token is unknown: a new key is good at once, and guessing asks no more often."""


@dataclass(frozen=True, slots=True)
class _View:
    """The keys by their digests, as they were or later than when `read` was shown on the clock."""

    keys: Mapping[bytes, Key]
    version: Version
    read: float


_NOTHING = _View(MappingProxyType({}), Version(-1, -1), float("-inf"))


@dataclass(slots=True, kw_only=True)
class KeyRing:
    """The keys of a deployment of a mode. As a context it renews itself and notes uses; without, whoever calls waits.

    `engine` is best one of its own: where all connections are taken, callers would wait for one. `clock` counts seconds
    and is never set back, unlike the time of day. `troubled` hears of what the thread could not do, and will try again.
    All methods may be called from many threads, and may ask the database.
    """

    engine: Engine
    mode: Mode
    clock: Callable[[], float] = monotonic
    troubled: Callable[[Exception], None] = lambda _: None
    _view: _View = field(default=_NOTHING, repr=False)
    _reading: Lock = field(default_factory=Lock, repr=False)
    _failed: tuple[float, Exception] | None = field(default=None, repr=False)
    _using: Lock = field(default_factory=Lock, repr=False)
    _used: dict[int, datetime] = field(default_factory=dict, repr=False)
    _noted: dict[int, datetime] = field(default_factory=dict, repr=False)
    _ending: Event = field(default_factory=Event, repr=False)
    _thread: Thread | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self._ending.clear()
        self._thread = Thread(target=self._work, name="keyring", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def seen(self, token: str, at: datetime) -> Key | None:
        """The key that a token is, if that can be told without asking the database; `find` tells it of any."""
        view = self._view
        key = view.keys.get(digest(token)) if self.clock() - view.read <= FRESH_SECONDS else None
        if key is None or key.mode is not self.mode or ended(key, at) is not None:
            return None
        self._use(key.number, at)
        return key

    def find(self, token: str, at: datetime) -> Key | KeyProblem:
        """The key that a token is, or why it opens nothing at an instant."""
        if (problem := misplaced(token, self.mode)) is not None:
            return problem
        name = digest(token)
        key = self._fresh(FRESH_SECONDS).keys.get(name) or self._fresh(MISSED_SECONDS).keys.get(name)
        if key is None:
            return UNKNOWN
        if (problem := ended(key, at)) is not None:
            return problem
        self._use(key.number, at)
        return key

    def renew(self) -> None:
        """See the keys as they are now, as after one was added or revoked in this process."""
        with self._reading:
            self._view = self._tried(self.clock())

    def note(self) -> None:
        """Note which keys were used since, each once a minute at most. The thread does it; a request never."""
        with self._using:
            due = {
                number: at
                for number, at in self._used.items()
                if number not in self._noted or at - self._noted[number] >= NOTED_EVERY
            }
        if due:
            with transaction(self.engine) as connection:
                self._noted |= note_uses(connection, due)

    def _use(self, number: int, at: datetime) -> None:
        with self._using:
            if number not in self._used or self._used[number] < at:
                self._used[number] = at

    def _fresh(self, seconds: float) -> _View:
        """A view that is not older than so many seconds; one thread reads it, and the others take what it read."""
        asked = self.clock()
        if asked - self._view.read > seconds:
            with self._reading:
                if asked - self._view.read > seconds:
                    self._view = self._tried(asked)
        return self._view

    def _tried(self, asked: float) -> _View:
        """The keys as they are now. Whoever asked while another's reading failed does not wait for one of its own."""
        if self._failed is not None and asked <= self._failed[0]:
            raise self._failed[1]
        try:
            return self._read()
        except Exception as error:
            self._failed = (self.clock(), error)
            raise

    def _read(self) -> _View:
        now, view = self.clock(), self._view  # before it is read: what is committed by then is seen
        with snapshot(self.engine) as connection:
            version = read_version(connection)
            keys = view.keys if version == view.version else read_keys(connection)
        return _View(keys, version, now)

    def _work(self) -> None:
        while not self._ending.wait(RENEWED_SECONDS):
            self._try(self.renew)
            self._try(self.note)
        self._try(self.note)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 (whatever it is: callers ask by themselves, and are told)
            self.troubled(error)
