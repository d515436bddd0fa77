"""Keys: made, replaced, revoked and listed. A key is shown once, in the answer that made it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.flows.keys import add_key, revoke_key, rotate_key
from billing.keys import GRACE, Grant, Issued, Key, Scope, ended
from billing.periods import ALWAYS
from billing.server.callers import Administrator
from billing.server.shapes import Asked, GivenInstant, Instant, Page, Text
from billing.server.world import InWorld, World
from billing.store.queries.keys import listed_keys

router = APIRouter(tags=["keys"])


class NewKey(Asked):
    """A key that is to be: an operator's has scopes, a customer's the billing account that it reads."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "switch-1", "scopes": ["ingest"], "source": "switch-1"}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=64, examples=["switch-1"])]
    scopes: tuple[Annotated[Scope, Field(strict=False)], ...] = Field(default=(), max_length=len(Scope), strict=False)
    source: Text = ""
    account: Text = ""
    expires_at: GivenInstant | None = None


class Rotation(Asked):
    """Another key of a name: until when the one before is good too (a day, if it is left out), and when it expires."""

    old_ends_at: GivenInstant | None = None
    expires_at: GivenInstant | None = None


class ListedKey(BaseModel):
    """A key, without what it is; `state` is `live`, or why it opens nothing."""

    number: int
    name: str
    mode: str
    kind: str
    scopes: list[str]
    source: str
    account: str
    state: str
    added_at: Instant
    ends_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None


class IssuedKey(ListedKey):
    """A new key: `token` is shown here and never again."""

    token: str


@router.get("/v1/keys")
def keys(world: InWorld, _: Administrator) -> Page[ListedKey]:
    """All keys, also those that have ended."""
    with world.reading() as connection:
        found = listed_keys(connection)
    return Page(items=[ListedKey.model_validate(_facts(world, key)) for key in found])


@router.post("/v1/keys", status_code=HTTPStatus.CREATED)
def add(asked: NewKey, world: InWorld, caller: Administrator, response: Response) -> IssuedKey:
    """Make a key."""
    grant = Grant(
        name=asked.name,
        scopes=frozenset(asked.scopes) or frozenset({Scope.READ} if asked.account else ()),
        source=asked.source,
        account=asked.account,
        expires_at=asked.expires_at or ALWAYS,
    )
    made = add_key(world.engine, grant, world.secret(), mode=world.keys.mode, at=world.clock(), actor=caller.name)
    return _issued(world, made, response)


@router.post("/v1/keys/{name}/rotate", status_code=HTTPStatus.CREATED)
def rotate(name: str, asked: Rotation, world: InWorld, caller: Administrator, response: Response) -> IssuedKey:
    """Make another key that opens the same; the one before ends. Two of a name are live at most."""
    at = world.clock()
    made = rotate_key(
        world.engine,
        name,
        world.secret(),
        old_ends=asked.old_ends_at or at + GRACE,
        at=at,
        actor=caller.name,
        expires_at=asked.expires_at,
    )
    return _issued(world, made, response)


@router.post("/v1/keys/{name}/revoke")
def revoke(name: str, world: InWorld, caller: Administrator, *, every: bool = False) -> Page[ListedKey]:
    """End a key, by its name or number, at once and for good; `every`: all live ones of the name. Gives what ended."""
    found = revoke_key(world.engine, name, at=world.clock(), actor=caller.name, every=every)
    world.keys.renew()
    return Page(items=[ListedKey.model_validate(_facts(world, key)) for key in found])


def _issued(world: World, made: Issued, response: Response) -> IssuedKey:
    # Nothing that may fail from here on: what is not shown now is lost. The ring finds a key that it has not seen.
    response.headers["Cache-Control"] = "no-store"
    return IssuedKey.model_validate(_facts(world, made.key) | {"token": made.token.text})


def _facts(world: World, key: Key) -> dict[str, object]:
    problem = ended(key, world.clock())
    return {
        "number": key.number,
        "name": key.name,
        "mode": str(key.mode),
        "kind": str(key.kind),
        "scopes": sorted(map(str, key.scopes)),
        "source": key.source,
        "account": key.account,
        "state": str(problem.refusal) if problem else "live",
        "added_at": key.added_at,
        "ends_at": None if key.ends_at == ALWAYS else key.ends_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }
