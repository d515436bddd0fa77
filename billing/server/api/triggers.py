"""Triggers and budgets: set, listed, ended; and what fired."""

from datetime import date
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.errors import InputFaultyError
from billing.flows.holding import Books
from billing.flows.limit import remove_trigger, set_triggers
from billing.flows.used import Sought, triggers_now
from billing.server.callers import Administrator, Operator, Reader, missing
from billing.server.paging import cursor_of, place_of
from billing.server.paths import PathName
from billing.server.shapes import Asked, Decimal, Instant, Name, Page, Paged, Text
from billing.server.sight import see_account
from billing.server.world import Held, InWorld, World
from billing.store.queries.limits import listed_firings
from billing.triggers import Action, Measure, Window, read_trigger, table_of

router = APIRouter(tags=["limits"])


class TriggerAsked(Asked):
    """A trigger: whose usage of what is counted how, and at how much it fires. `unit` is that of the threshold: events
    need none, an amount has the currency of who pays.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"account": "acme", "measure": "amount", "threshold": "500.00", "unit": "USD", "action": "stop"}
            ]
        }
    )

    account: Name
    measure: Annotated[Measure, Field(strict=False)]
    threshold: Decimal
    unit: Text = Field(default="", examples=["minute"])
    product: Annotated[Name, Field(examples=["voice.*"])] = "*"
    country: str = Field(default="", pattern="^([A-Z]{2})?$")
    window: Annotated[Window, Field(strict=False)] = Window.MONTH
    action: Annotated[Action, Field(strict=False)] = Action.NOTIFY


class TriggerTold(BaseModel):
    """A trigger as it was set."""

    id: str
    account: str
    product: str
    country: str
    measure: str
    unit: str
    window: str
    threshold: Decimal
    action: str


class TriggerStanding(TriggerTold):
    """The same, and what its window of now, up to and not including `window_end`, has come to so far, in its unit.

    `used` is null where usage cannot be summed up or priced.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "acme-budget", "account": "acme", "product": "*", "country": "", "measure": "amount",
                    "unit": "USD", "window": "month", "threshold": "500.00", "action": "stop",
                    "window_start": "2026-10-01", "window_end": "2026-11-01", "used": "120.07",
                }
            ]
        }
    )  # fmt: skip

    window_start: date
    window_end: date
    used: Decimal | None


class Triggers(Paged):
    """Whose triggers."""

    account: Text = Field(default="", description="A billing account with all that it pays for, or one below it.")


class FiringTold(BaseModel):
    """A trigger that fired, and what its window, up to and not including `window_end`, had come to."""

    trigger: TriggerTold
    window_start: date
    window_end: date
    fired_at: Instant
    used: Decimal


class Firings(Paged):
    """Which firings."""

    trigger: Text = Field(default="", description="Only those of this one, also as it was set before.")


@router.get("/v1/triggers")
def triggers(world: InWorld, key: Reader, held: Held, asked: Annotated[Triggers, Query()]) -> Page[TriggerStanding]:
    """Triggers that have not ended, by their names, with what is used. A customer sees those of what it pays for."""
    after = str(place_of(asked.cursor, ("",))[0])
    sought = Sought(payer=key.account, after=after, limit=asked.limit + 1)
    if asked.account:
        seen = see_account(world, key, asked.account)
        sought = sought._replace(payer=seen.payer, account=seen.account)
    found = _now(world, held, sought)
    page = found[: asked.limit]
    rest = cursor_of((page[-1].id,)) if len(found) > asked.limit else None
    return Page(items=page, next=rest)


@router.get("/v1/triggers/{name}")
def trigger(name: PathName, world: InWorld, key: Reader, held: Held) -> TriggerStanding:
    """A trigger, with what is used."""
    found = _now(world, held, Sought(payer=key.account, name=name))
    if not found:
        raise missing("trigger")
    return found[0]


@router.put("/v1/triggers/{name}", responses={201: {"model": TriggerTold, "description": "It is new."}})
def put(name: PathName, asked: TriggerAsked, world: InWorld, caller: Administrator, response: Response) -> TriggerTold:
    """Set a trigger. One that says something else than before is another one, and may fire once more in a window."""
    said = {key: value for key, value in asked.model_dump(mode="json").items() if value or key != "unit"}
    found, faults = read_trigger({**said, "id": name}, f"trigger {name}", world.products)
    if found is None:
        raise InputFaultyError(faults, place="trigger")
    changed = set_triggers(world.engine, [found], at=world.clock(), actor=caller.name)
    response.status_code = HTTPStatus.CREATED if changed.added else HTTPStatus.OK
    return TriggerTold.model_validate(table_of(found))


@router.delete("/v1/triggers/{name}", status_code=HTTPStatus.NO_CONTENT)
def remove(name: PathName, world: InWorld, caller: Administrator) -> None:
    """End a trigger. What it fired stays."""
    remove_trigger(world.engine, name, at=world.clock(), actor=caller.name)


@router.get("/v1/firings")
def firings(world: InWorld, _: Operator, asked: Annotated[Firings, Query()]) -> Page[FiringTold]:
    """What fired, the oldest first: each trigger once in each of its windows."""
    after = str(place_of(asked.cursor, ("",))[0])
    with world.reading() as connection:
        found = listed_firings(connection, trigger=asked.trigger, after=after, limit=asked.limit + 1)
    page = found[: asked.limit]
    items = [
        FiringTold(
            trigger=TriggerTold.model_validate(table_of(each.trigger)),
            window_start=each.start,
            window_end=each.end,
            fired_at=each.fired_at,
            used=each.trigger.in_words(each.used),
        )
        for each in page
    ]
    return Page(items=items, next=cursor_of((page[-1].entry,)) if len(found) > asked.limit else None)


def _now(world: World, held: Books | None, sought: Sought) -> list[TriggerStanding]:
    known = None if held is None else held.limits
    return [
        TriggerStanding.model_validate(
            {
                **table_of(trigger),
                "window_start": window.start,
                "window_end": window.end,
                "used": None if used is None else trigger.in_words(used),
            }
        )
        for trigger, window, used in triggers_now(world.engine, world.products, world.clock(), sought, known)
    ]
