"""A real receiver of webhooks on loopback, endpoints that lead there, and a clock that the test moves."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import freezegun
from standardwebhooks import Webhook

from billing.flows.deliver import Delivered, deliver
from billing.flows.webhooks import add_endpoint
from billing.hosts import Reach
from billing.outbound.webhooks import Sender
from billing.store.engine import Engine, transaction
from billing.store.webhooks import emit
from billing.webhooks import Chance, EndpointAsked, Message, MessageType

HOME = Reach(allowed=(ip_network("127.0.0.0/8"),), http=True)
"""Loopback without encryption, as in development."""

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a receiver was sent."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:  # noqa: ANN401 (whatever the body is)
        """The body, verified by the library as a receiver does at the instant of the stamp."""
        with freezegun.freeze_time(datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)):
            return Webhook(secret).verify(self.body, dict(self.headers))


Answer = Callable[[Request, BaseHTTPRequestHandler], None]


@dataclass(slots=True)
class Receiver:
    """Takes requests, keeps them, and answers as `answer` does: by default 204."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answer: Answer = lambda _, handler: reply(handler, 204)

    def url(self, path: str = "/hooks", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.answer = lambda _, handler: reply(handler, status, body, **headers)

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.requests]


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answer a request."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def receiving(wrap: Callable[[Any], Any] | None = None) -> Iterator[Receiver]:
    """A receiver on a free port of loopback; `wrap` makes its socket one of TLS."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(path=self.path, headers=headers, body=body)
            receiver.requests.append(request)
            receiver.answer(request, self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Whoever sends may leave in the middle."""

    server = Server(("127.0.0.1", 0), Handler)
    if wrap is not None:
        server.socket = wrap(server.socket)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def least(_: int) -> int:
    """No chance: tries come when the schedule says."""
    return 0


@dataclass(slots=True)
class Clock:
    """Says the time that the test says."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def forward(self, by: timedelta) -> None:
        self.at += by


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A database whose messages go to receivers on loopback."""

    engine: Engine
    clock: Clock = field(default_factory=Clock)
    sender: Sender = field(default_factory=lambda: Sender(reach=HOME, seconds=2))

    def endpoint(self, url: str, *types: str, account: str = "") -> tuple[str, str]:
        """Add an endpoint; its id and its secret."""
        asked = EndpointAsked(url=url, types=types, account=account)
        added, secret = add_endpoint(self.engine, asked, at=self.clock(), actor="ops", reach=HOME)
        return added.id, secret

    def tell(self, *subjects: str, type_: MessageType = MessageType.TRIGGER_FIRED, account: str = "") -> int:
        """Emit a message about each subject."""
        at = self.clock()
        told = [Message(type=type_, subject=s, account=account, at=at, data={"subject": s}) for s in subjects]
        with transaction(self.engine) as connection:
            return emit(connection, told)

    def round(self, chance: Chance = least, **options: Any) -> Delivered:  # noqa: ANN401 (those of `deliver`)
        return deliver(self.engine, self.sender, self.clock, chance, **options)
