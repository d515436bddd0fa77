"""Answers on their way out: the head of one waits for its body, and both leave in one piece.

A server writes them one after the other: two system calls, and two packets for whoever waits for both.
"""

from asyncio import AbstractEventLoop, BaseTransport, Transport
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class InOnePiece(HttpToolsProtocol):
    """The server's protocol, on connections that join what is written to them."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to listen."""
        super().connection_made(cast("Transport", Joining(cast("Transport", transport), self.loop)))


class Joining:
    """A connection on which what is written waits for what is written next, until the turn of the event loop ends."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport, self._loop, self._kept = transport, loop, b""
        self.is_closing = transport.is_closing  # asked for each answer

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write it with what was kept, or keep it."""
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.writelines((kept, data))
        else:
            self._kept = data
            self._loop.call_soon(self._let_go)

    def close(self) -> None:
        """Close it when all is written."""
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept)
