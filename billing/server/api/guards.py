"""Guards: set, listed, ended; and who is let pass."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.errors import InputFaultyError
from billing.flows.limit import release_guard, remove_guard, set_guards
from billing.guards import Guard, Kind, Release, destination_of, read_guard, table_of
from billing.periods import ALWAYS
from billing.server.callers import Administrator, Operator, missing
from billing.server.paging import cursor_of, place_of
from billing.server.paths import PathName
from billing.server.shapes import Asked, Decimal, GivenInstant, Instant, Name, Page, Paged, Text
from billing.server.world import InWorld
from billing.store.queries.limits import listed_guards, listed_releases
from rates.errors import Fault

router = APIRouter(tags=["limits"])

_MOST = 1000


class GuardAsked(Asked):
    """A guard: what it refuses, of whom (`""`: everybody), to where (nothing said: everywhere), above which limit."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "spend", "countries": ["CU"], "limit": "50.00", "currency": "USD"}]}
    )

    kind: Annotated[Kind, Field(strict=False)]
    account: Text = ""
    product: Annotated[Name, Field(examples=["voice.*"])] = "*"
    countries: list[str] = Field(default=[], max_length=_MOST, examples=[["CU"]])
    prefixes: list[str] = Field(default=[], max_length=_MOST, examples=[["881", "882"]])
    limit: Decimal | None = None
    currency: Text = Field(default="", examples=["USD"])
    unit: Text = Field(default="", examples=["minute"])
    paid_through: Text = Field(default="", examples=["2026-09"])


class GuardTold(BaseModel):
    """A guard as it was set; what its kind has not is left empty. `fault`: why it cannot be evaluated any more."""

    id: str
    kind: str
    account: str
    product: str
    countries: list[str]
    prefixes: list[str]
    limit: Decimal | None = None
    currency: str = ""
    unit: str = ""
    paid_through: str = ""
    fault: str = ""


class ReleaseAsked(Asked):
    """Who is let pass a guard, with all below it: to a country or a prefix (`""`: everywhere), until when, and why."""

    account: Name
    reason: Name
    to: Text = Field(default="", examples=["CU", "881"])
    until: GivenInstant | None = None


class ReleaseTold(BaseModel):
    """A release from a guard, and who gave it."""

    guard: str
    account: str
    destination: str
    until: Instant | None
    at: Instant
    person: str
    reason: str


@router.get("/v1/guards")
def guards(world: InWorld, _: Operator, asked: Annotated[Paged, Query()]) -> Page[GuardTold]:
    """All guards that have not ended, by their names."""
    after = str(place_of(asked.cursor, ("",))[0])
    with world.reading() as connection:
        found = [each for each in listed_guards(connection, world.products) if each.id > after]
    page = found[: asked.limit]
    rest = cursor_of((page[-1].id,)) if len(found) > asked.limit else None
    return Page(items=[_told(each) for each in page], next=rest)


@router.get("/v1/guards/{name}")
def guard(name: PathName, world: InWorld, _: Operator) -> GuardTold:
    """A guard."""
    with world.reading() as connection:
        found = [each for each in listed_guards(connection, world.products) if each.id == name]
    if not found:
        raise missing("guard")
    return _told(found[0])


@router.put("/v1/guards/{name}", responses={201: {"model": GuardTold, "description": "It is new."}})
def put(name: PathName, asked: GuardAsked, world: InWorld, caller: Administrator, response: Response) -> GuardTold:
    """Set a guard."""
    said = {key: value for key, value in asked.model_dump(mode="json").items() if value not in (None, "")}
    found, faults = read_guard({**said, "id": name}, f"guard {name}", world.products)
    if found is None:
        raise InputFaultyError(faults, place="guard")
    changed = set_guards(world.engine, [found], world.products, at=world.clock(), actor=caller.name)
    response.status_code = HTTPStatus.CREATED if changed.added else HTTPStatus.OK
    return _told(found)


@router.delete("/v1/guards/{name}", status_code=HTTPStatus.NO_CONTENT)
def remove(name: PathName, world: InWorld, caller: Administrator) -> None:
    """End a guard. Releases from it stay, and hold for another one of its name."""
    remove_guard(world.engine, name, at=world.clock(), actor=caller.name)


@router.post("/v1/guards/{name}/releases", status_code=HTTPStatus.CREATED)
def release(name: PathName, asked: ReleaseAsked, world: InWorld, caller: Administrator) -> ReleaseTold:
    """Let an account pass a guard; the reason stays in the audit log."""
    where = destination_of(asked.to)
    if where is None:
        problem, remedy = "is no country and no prefix", "write it as in CU or 881"
        raise InputFaultyError([Fault(place="/to", value=asked.to, problem=problem, remedy=remedy)], place="release")
    at = world.clock()
    given = Release(guard=name, account=asked.account, destination=where, until=asked.until or ALWAYS)
    release_guard(world.engine, given, world.products, at=at, person=caller.name, reason=asked.reason)
    return ReleaseTold(
        guard=name,
        account=asked.account,
        destination=where,
        until=asked.until,
        at=at,
        person=caller.name,
        reason=asked.reason,
    )


@router.get("/v1/guards/{name}/releases")
def releases(name: PathName, world: InWorld, _: Operator, asked: Annotated[Paged, Query()]) -> Page[ReleaseTold]:
    """Who was let pass a guard, in the order in which it was given."""
    first = place_of(asked.cursor, (0,))[0]
    start = first if isinstance(first, int) else 0
    with world.reading() as connection:
        found = listed_releases(connection, name, start=start, limit=asked.limit + 1)
    rest = cursor_of((start + asked.limit,)) if len(found) > asked.limit else None
    return Page(items=[ReleaseTold.model_validate(each._asdict()) for each in found[: asked.limit]], next=rest)


def _told(guard: Guard) -> GuardTold:
    return GuardTold.model_validate({**table_of(guard), "fault": guard.fault})
