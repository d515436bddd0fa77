"""A load on a service: many connections from one process, each with one request under way, as cheap as may be.

Whoever measures a service on its own machine pays for what asks it, too: so requests are bytes that stand ready, and of
answers only as much is read as says that they are there.
"""

import re
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector

_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How long a load took, and each of its answers: seconds, the longest last. All were of status 200."""

    seconds: float
    waited: list[float]

    def percentile(self, share: float) -> float:
        """The seconds within which a share of the answers came."""
        return self.waited[min(int(len(self.waited) * share), len(self.waited) - 1)]


def request(path: str, body: bytes, token: str, kind: str = "application/json") -> bytes:
    """A POST as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(port: int, requests: Iterator[bytes], connections: int, a_second: float = 0) -> Told:
    """Send requests, each as soon as a connection is free; or so many `a_second`, and count from when each was due."""
    asking = _Asking(port, requests, connections, a_second)
    start = time.perf_counter()
    asking.run(start)
    return Told(seconds=time.perf_counter() - start, waited=sorted(asking.waited))


class _Asking:
    def __init__(self, port: int, requests: Iterator[bytes], connections: int, a_second: float) -> None:
        self.requests, self.a_second, self.sent = requests, a_second, 0
        self.waited: list[float] = []
        self.selector = DefaultSelector()
        self.free = deque[socket.socket]()  # taken in turns: none lies idle until the service hangs up
        for _ in range(connections):
            opened = socket.create_connection(("127.0.0.1", port))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.free.append(opened)
        self.due: dict[socket.socket, tuple[float, bytearray]] = {}

    def run(self, start: float) -> None:
        clock = time.perf_counter
        more = self._send(start, clock)
        while more or self.due:
            patience = (
                max(start + self.sent / self.a_second - clock(), 0) if self.a_second and more and self.free else 5
            )
            for key, _ in self.selector.select(patience):
                self._hear(key.fileobj, clock)  # type: ignore[arg-type]
            more = more and self._send(start, clock)
        for connection in self.free:
            connection.close()
        self.selector.close()

    def _send(self, start: float, clock: Callable[[], float]) -> bool:
        """Send what may be sent now. Returns whether there may be more."""
        while self.free:
            now = clock()
            due = start + self.sent / self.a_second if self.a_second else now
            if due > now:
                return True
            asked = next(self.requests, None)
            if asked is None:
                return False
            connection = self.free.popleft()
            self.due[connection] = (due, bytearray())
            self.selector.register(connection, EVENT_READ)
            connection.sendall(asked)
            self.sent += 1
        return True

    def _hear(self, connection: socket.socket, clock: Callable[[], float]) -> None:
        due, heard = self.due[connection]
        heard += connection.recv(_PIECE)
        head = heard.find(_HEAD_ENDS)
        if not heard:
            raise ConnectionError("the service hung up")
        if head < 0:
            return
        length = _LENGTH.search(heard, 0, head + 2)
        if length is None or len(heard) < head + len(_HEAD_ENDS) + int(length[1]):
            return
        if not heard.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"not all was accepted: {bytes(heard[:400])!r}")
        self.waited.append(clock() - due)
        self.selector.unregister(connection)
        del self.due[connection]
        self.free.append(connection)
