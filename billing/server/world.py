"""What the service works with, put together once by whoever starts it, and how routes reach it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from billing.hosts import PUBLIC_ONLY, Reach
from billing.keys import Key, KeyProblem
from billing.store.engine import Connection, Engine, snapshot
from rates.jurisdiction import States
from rates.products import Product


class Keys(Protocol):
    """The keys of the deployment, as they were a second ago at most."""

    def find(self, token: str, at: datetime) -> Key | KeyProblem:
        """The key of a token, or why it opens nothing; asks nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The database, the products, the clock, and what is kept between requests.

    `kept` is where compiled cards lie between processes, `states` the table by which jurisdictions are derived,
    `reach` where webhooks may go.
    """

    engine: Engine
    products: Mapping[str, Product]
    clock: Callable[[], datetime]
    keys: Keys
    kept: Any = None
    states: States | None = None
    reach: Reach = PUBLIC_ONLY

    def reading(self) -> AbstractContextManager[Connection]:
        """The database at one moment, to read from."""
        return snapshot(self.engine)


def world_of(request: Request) -> World:
    """The world of the app that a request came to."""
    world: World = request.app.state.world
    return world


InWorld = Annotated[World, Depends(world_of)]
"""The world, as an argument of a route."""
