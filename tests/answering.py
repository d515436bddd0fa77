"""The app of a world of the test's own (its clock, its keys), answering HTTP on loopback from a thread."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import httpx
import uvicorn

from billing.keys import UNKNOWN, Key, KeyProblem, Mode, Scope
from billing.server.app import build
from billing.server.world import World
from billing.store.engine import Engine
from tests.serving import free_port
from tests.shop import AT, products

OPERATOR = "tb_test_operator"
"""A key for everything."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Keys by what is sent for them."""

    keys: Mapping[str, Key]

    def find(self, token: str, at: datetime) -> Key | KeyProblem:
        """The key of a token."""
        del at
        return self.keys.get(token, UNKNOWN)


def key(name: str, *scopes: Scope, account: str = "", source: str = "") -> Key:
    """A key; a customer's reads."""
    allowed = frozenset(scopes) if not account else frozenset({Scope.READ})
    return Key(number=1, name=name, mode=Mode.TEST, scopes=allowed, source=source, account=account, added_at=AT)


def keys(*customers: str) -> dict[str, Key]:
    """An operator's key for each scope, named by it; one for all; and one of each customer, named by its account."""
    own = {str(scope): key(str(scope), scope) for scope in Scope}
    theirs = {name: key(name, account=name) for name in customers}
    return {OPERATOR: key("operator", *Scope), **own, **theirs}


@dataclass(frozen=True, slots=True)
class Answering:
    """A service that answers; `app` is what it is made of."""

    url: str
    world: World

    def client(self, token: str = OPERATOR) -> httpx.Client:
        """A client that bears a key; the caller closes it."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def get(self, path: str, token: str = OPERATOR, **query: object) -> httpx.Response:
        """The answer to a GET."""
        with self.client(token) as client:
            return client.get(path, params={name.rstrip("_"): str(value) for name, value in query.items()})

    def post(self, path: str, body: object = None, token: str = OPERATOR, **query: object) -> httpx.Response:
        """The answer to a POST of JSON."""
        with self.client(token) as client:
            return client.post(path, json=body, params={name: str(value) for name, value in query.items()})


@contextmanager
def answering(engine: Engine, known: Mapping[str, Key], at: datetime = AT) -> Iterator[Answering]:
    """The service on a database, at one instant for good, with some keys."""
    world = World(engine=engine, products=products(), clock=lambda: at, keys=Ring(known))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(build(world), port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        yield Answering(f"http://127.0.0.1:{port}", world)
    finally:
        server.should_exit = True
        thread.join(30)
