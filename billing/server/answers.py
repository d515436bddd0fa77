"""What threads have done, brought to the event loop: once for all of it that is there, and not once for each.

Waking a loop takes a system call, and a turn with the interpreter; those who share a transaction are answered at once.
"""

import asyncio
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Answers(Generic[T]):
    """The futures of threads, for whoever awaits them in one loop."""

    def __init__(self) -> None:
        self._done: deque[tuple[asyncio.Future[T], Future[T]]] = deque()
        self._is_called = False

    async def of(self, future: Future[T]) -> T:
        """The result of a future, or what it raises. It is cancelled if nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(partial(self._note, loop, waiting))
        try:
            return await waiting
        except asyncio.CancelledError:
            future.cancel()
            raise

    def _note(self, loop: asyncio.AbstractEventLoop, waiting: asyncio.Future[T], done: Future[T]) -> None:
        """In whatever thread it was done."""
        self._done.append((waiting, done))
        if not self._is_called and not loop.is_closed():
            self._is_called = True
            loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._is_called = False  # first: who comes from now on calls again
        while self._done:
            waiting, done = self._done.popleft()
            if waiting.done():
                continue
            if done.cancelled():
                waiting.cancel()
            elif (error := done.exception()) is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(done.result())
