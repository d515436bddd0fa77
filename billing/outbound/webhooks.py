"""Post webhooks to strangers: signed, to public addresses only, with an end to everything that they could draw out.

- The name of the host is looked up once, every address that comes of it has to be allowed (`billing.hosts`), and the
  connection goes to one of those very addresses: a name that means another host the next moment leads nowhere else.
  TLS, its certificate and the Host header are of the name.
- No redirect is followed: it would lead where nobody looked. It is an answer like others, and not 2xx.
- One deadline is for all of it, from the connection to the last byte, however slowly an answer drips; and of an answer
  no more is read than a person wants to see.
- No proxy of the environment, no cookies, no credentials; each message has a connection of its own.

On h11 and sockets: the clients that are at hand (http.client, httpx) look names up by themselves, and their timeouts
are for each read and not for the whole.
"""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import h11
from standardwebhooks import Webhook

from billing.hosts import PUBLIC_ONLY, Address, Reach
from billing.webhooks import Answer, Outgoing, asked_of

Resolve = Callable[[str, int], Sequence[Address]]
"""The addresses of a host by its name. Raises OSError."""

SECONDS = 15
"""How long one try may take (Standard Webhooks: 15 to 30 seconds)."""

SAID = 200
"""How many characters of an answer are kept."""

_MOST_BYTES = 1 << 16
_HEAD_BYTES = 1 << 14
_PORTS = {"https": 443, "http": 80}
_AGENT = "tollbook-webhooks/1"


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host as this machine knows them, in the order to try them in. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a part of the name is empty, or too long: nobody can be called so
        raise socket.gaierror(socket.EAI_NONAME, "the host is not known") from None
    return list(dict.fromkeys(ip_address(each[4][0]) for each in found))


class _RefusedError(Exception):
    """A message may not go where its endpoint says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Sends one message at a time, from any number of threads. `context` decides whose certificates are believed."""

    reach: Reach = PUBLIC_ONLY
    seconds: float = SECONDS
    resolve: Resolve = resolve
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def __call__(self, message: Outgoing, at: datetime) -> Answer:
        """Sign and post a message; what goes wrong is in the answer."""
        deadline = _Deadline(self.seconds)
        try:
            with closing(self._connected(message.url, deadline)) as connection:
                return _exchange(connection, message, at, deadline)
        except _RefusedError as error:
            return Answer(problem=str(error))
        except (OSError, h11.ProtocolError) as error:
            return Answer(problem=_words(error, self.seconds))

    def _connected(self, url: str, deadline: "_Deadline") -> socket.socket:
        """A connection to the host of an address, encrypted where it says so. Raises OSError, _RefusedError."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        if parts.scheme == "http" and not self.reach.http:
            raise _RefusedError("http is not allowed here: it is not encrypted")
        plain = _open(self._allowed(host, port), port, deadline)
        if parts.scheme == "http":
            return plain
        try:
            plain.settimeout(deadline.left())
            return self.context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def _allowed(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host, each of which may be posted to. Raises OSError, _RefusedError."""
        addresses = self.resolve(host, port)
        for address in addresses:
            if (why := self.reach.why_not(address)) is not None:
                raise _RefusedError(f"{host} is {address}, which {why}")
        return addresses


def headers_of(message: Outgoing, at: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks: a signature by each secret, over the id, the instant and the body."""
    instant = at.astimezone(UTC)
    signed = [Webhook(secret).sign(message.id, instant, message.body) for secret in message.secrets]
    return {
        "webhook-id": message.id,
        "webhook-timestamp": str(int(instant.timestamp())),
        "webhook-signature": " ".join(signed),
    }


class _Deadline:
    """When all of a try has to be done."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left. Raises TimeoutError when none is."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _open(addresses: Sequence[Address], port: int, deadline: _Deadline) -> socket.socket:
    """A connection to the first of some addresses that takes one. Raises OSError."""
    failed: OSError = ConnectionError("the host has no address")
    for address in addresses:
        opened = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)  # noqa: PLR2004 (of IP)
        try:
            opened.settimeout(deadline.left())
            opened.connect((str(address), port))
        except OSError as error:
            opened.close()
            failed = error
        else:
            return opened
    raise failed


def _exchange(connection: socket.socket, message: Outgoing, at: datetime, deadline: _Deadline) -> Answer:
    """Post a message and read the answer. Raises OSError, h11.ProtocolError before its status is known."""
    body = message.body.encode()
    parts = urlsplit(message.url)
    headers = {
        "host": parts.netloc,
        "user-agent": _AGENT,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept-encoding": "identity",
        "connection": "close",
        **headers_of(message, at),
    }
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    request = h11.Request(method="POST", target=target, headers=list(headers.items()))
    for event in (request, h11.Data(data=body), h11.EndOfMessage()):
        connection.settimeout(deadline.left())
        connection.sendall(http.send(event) or b"")
    return _answer(connection, http, at, deadline)


def _answer(connection: socket.socket, http: h11.Connection, at: datetime, deadline: _Deadline) -> Answer:
    """What is answered: the status decides, and of the rest only the beginning is read, if it comes at all."""
    status, said, received, asked = 0, bytearray(), 0, timedelta()
    while True:
        try:
            event = http.next_event()
            if event is h11.NEED_DATA:
                connection.settimeout(deadline.left())
                some = connection.recv(4096)
                received += len(some)
                if received > _MOST_BYTES and not status:
                    raise ConnectionError("the answer has no end")
                http.receive_data(some)
            elif isinstance(event, h11.Response):
                status = event.status_code
                asked = asked_of(status, dict(event.headers).get(b"retry-after", b"").decode("latin-1").strip(), at)
            elif isinstance(event, h11.Data):
                said += event.data
            elif not isinstance(event, h11.InformationalResponse):
                break
        except (OSError, h11.ProtocolError):
            if not status:
                raise
            break
        if len(said) >= SAID or received > _MOST_BYTES:
            break
    return Answer(status=status, said=_printable(said.decode("utf-8", "replace")[:SAID]), asked=asked)


def _printable(text: str) -> str:
    """A stranger's words on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _words(error: Exception, seconds: float) -> str:
    """What went wrong, in short."""
    match error:
        case TimeoutError():
            return f"no answer within {seconds:g} seconds"
        case socket.gaierror():
            return "the host is not known"
        case ssl.SSLCertVerificationError():
            return f"the certificate is not good: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error}".lower()
        case ConnectionRefusedError():
            return "the connection was refused"
        case ConnectionResetError() | BrokenPipeError():
            return "the connection was cut"
        case h11.ProtocolError():
            return f"the answer is not HTTP: {error}"
        case OSError():
            return (error.strerror or str(error)).lower()
    return str(error)
