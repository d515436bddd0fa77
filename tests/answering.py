"""The app of a world of the test's own (its clock, its keys), answering HTTP on loopback from a thread."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from secrets import token_bytes

import httpx
import uvicorn

from billing.flows.gather import Gathering
from billing.flows.ingest import Intake
from billing.flows.keyring import KeyRing
from billing.flows.keys import add_key
from billing.hosts import PUBLIC_ONLY, Reach
from billing.keys import SECRET_BYTES, Grant, Mode, Scope
from billing.server.app import service
from billing.server.world import World
from billing.store.engine import Engine
from tests.serving import free_port
from tests.shop import AT, products

OPERATOR = "operator"
"""The name of a key for everything."""


def keys(*customers: str) -> list[Grant]:
    """An operator's key for each scope, named by it; one for all; and one of each customer, named by its account."""
    scoped = [Grant(name=str(scope), scopes=frozenset({scope})) for scope in Scope]
    theirs = [Grant(name=name, account=name, scopes=frozenset({Scope.READ})) for name in customers]
    return [Grant(name=OPERATOR, scopes=frozenset(Scope)), *scoped, *theirs]


@dataclass(frozen=True, slots=True)
class Answering:
    """A service that answers, and the tokens of its keys by their names."""

    url: str
    world: World
    tokens: Mapping[str, str]

    def client(self, key: str = OPERATOR) -> httpx.Client:
        """A client that bears a key, by its name (what is the name of none is sent as it is); the caller closes it."""
        token = self.tokens.get(key, key)
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def get(self, path: str, key: str = OPERATOR, **query: object) -> httpx.Response:
        """The answer to a GET."""
        with self.client(key) as client:
            return client.get(path, params={name.rstrip("_"): str(value) for name, value in query.items()} or None)

    def post(self, path: str, body: object = None, key: str = OPERATOR, **query: object) -> httpx.Response:
        """The answer to a POST of JSON."""
        with self.client(key) as client:
            return client.post(path, json=body, params={name: str(value) for name, value in query.items()})


@contextmanager
def answering(
    engine: Engine, grants: Iterable[Grant], at: datetime = AT, *, reach: Reach = PUBLIC_ONLY
) -> Iterator[Answering]:
    """The service on a database, at one instant for good, with some keys; webhooks may go as far as `reach`."""
    tokens = {each.name: _issued(engine, each, at) for each in grants}
    ring = KeyRing(engine=engine, mode=Mode.TEST)
    intake = Gathering(Intake(engine=engine, products=products(), source=None), lambda: at)
    world = World(
        engine=engine,
        products=products(),
        clock=lambda: at,
        keys=ring,
        intake=intake,
        secret=_secret,
        reach=reach,
    )
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(service(world), port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        yield Answering(f"http://127.0.0.1:{port}", world, tokens)
    finally:
        server.should_exit = True
        thread.join(30)


def _issued(engine: Engine, grant: Grant, at: datetime) -> str:
    return add_key(engine, grant, _secret(), mode=Mode.TEST, at=at, actor="test").token.text


def _secret() -> bytes:
    return token_bytes(SECRET_BYTES)
