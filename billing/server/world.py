"""What the service works with, put together once by whoever starts it, and how routes reach it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from billing.flows.authorize import Gatekeeper
from billing.flows.gather import Gathering
from billing.flows.holding import Books
from billing.flows.keyring import KeyRing
from billing.hosts import PUBLIC_ONLY, Reach
from billing.receipts import Result
from billing.runs import DEFAULT_RULES, IssueRules
from billing.server.answers import Answers
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, has_free, snapshot, unhurried, watch_pool
from rates.jurisdiction import States
from rates.products import Product

__all__ = ["Connection", "Held", "InWorld", "World", "world_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The database, the products, the clock, and what is kept between requests.

    `intake` is where usage enters, `taken` where what became of it is waited for, `secret` gives 32 bytes that nobody
    can guess, `kept` is where compiled cards lie between processes, `states` the table by which jurisdictions are
    derived; by `rules` the house draws up and issues, `reach` says where webhooks may go, and `gate` what may begin
    (one is made where there is none).
    """

    engine: Engine
    products: Mapping[str, Product]
    clock: Callable[[], datetime]
    keys: KeyRing
    intake: Gathering
    secret: Callable[[], bytes]
    kept: CompiledCards | None = None
    states: States | None = None
    rules: IssueRules = DEFAULT_RULES
    reach: Reach = PUBLIC_ONLY
    gate: Gatekeeper | None = None
    taken: Answers[list[Result]] = field(default_factory=Answers, init=False)

    def reading(self) -> AbstractContextManager[Connection]:
        """The database at one moment, to read from."""
        return snapshot(self.engine)

    @property
    def unhurried(self) -> Engine:
        """The database for runs and publications, which take as long as they take."""
        return unhurried(self.engine)

    def has_free_connection(self) -> bool:
        """Whether the database can be asked without waiting for a connection."""
        return has_free(self.engine)

    def watch(self, told: Callable[[int], None]) -> None:
        """Let `told` hear how many connections to the database are in use, whenever that changes."""
        watch_pool(self.engine, told)


async def world_of(request: Request) -> World:  # async: a plain function would be called in another thread
    """The world of the app that a request came to."""
    world: World = request.app.state.world
    return world


InWorld = Annotated[World, Depends(world_of)]
"""The world, as an argument of a route."""


async def held_of(request: Request) -> Books | None:
    """What whoever decides holds of prices and limits: a moment old, so that its versions are looked at; or nothing."""
    gate: Gatekeeper = request.app.state.gate
    return gate.books


Held = Annotated[Books | None, Depends(held_of)]
"""What is held of prices and limits, as an argument of a route."""
