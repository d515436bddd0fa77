"""A server of PostgreSQL over TCP, as tests need it: one that never answers, and one that stops answering."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread

from billing.store.embedded import Address


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that accepts whoever connects, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


class Relay:
    """Passes on what is said to a database and what it answers, until it is hushed: then it keeps all to itself."""

    def __init__(self, database: Address) -> None:
        self.database, self._hushed, self._cutting = database, Event(), ExitStack()
        self._listening = socket.create_server(("127.0.0.1", 0))
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The address of the database, by way of here."""
        there = self.database
        return f"postgresql://{there.role}@127.0.0.1:{self._listening.getsockname()[1]}/{there.database}"

    def hush(self) -> None:
        """Pass nothing on any more, and close nothing: whoever waits for an answer waits."""
        self._hushed.set()

    def speak(self) -> None:
        """Cut those who were waiting, and pass on what others say from now on."""
        self._cutting.close()
        self._hushed.clear()

    def close(self) -> None:
        """Cut all connections, and take none."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._cutting.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(socket.AF_UNIX)
                for each in (near, far):
                    self._cutting.callback(_cut, each)
                far.connect(f"{self.database.host}/.s.PGSQL.{self.database.port}")
                for one, other in ((near, far), (far, near)):
                    Thread(target=self._pass_on, args=[one, other], daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while some := one.recv(1 << 16):
                if not self._hushed.is_set():
                    other.sendall(some)
        if not self._hushed.is_set():
            _cut(other)


def _cut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
