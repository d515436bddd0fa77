"""Control totals: what sources say they counted, beside what was accepted from them."""

from dataclasses import replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from billing.controls import Control, ControlKey, control
from billing.errors import InputFaultyError
from billing.flows.control import add_controls
from billing.keys import Key
from billing.server.callers import Operator, Reporter
from billing.server.paging import cursor_of, place_of
from billing.server.shapes import Asked, MonthOrNone, Name, Page, Paged, Text, Whole, month_of
from billing.server.world import InWorld, World
from billing.store.queries.controls import compared_controls
from rates.errors import Fault

router = APIRouter(tags=["controls"])

MOST_AT_ONCE = 1000


class ControlGiven(Asked):
    """What a source counted of a product on a UTC day: its events, and the sum of their quantities in base units."""

    source: Text = Field(default="", description="Without it, the source of the key; no other, if it has one.")
    product: Name
    day: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-10-31"])]
    events: Annotated[int, Field(ge=0, le=10**15)]
    quantity: Annotated[str, Field(pattern="^[0-9]{1,18}$", examples=["86400"])]


class ControlsGiven(Asked):
    """Control totals to add."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "controls": [
                        {
                            "source": "voice-eu-1", "product": "voice.outbound", "day": "2026-10-31",
                            "events": 1440, "quantity": "86400",
                        }
                    ]
                }
            ]
        }
    )  # fmt: skip

    controls: Annotated[list[ControlGiven], Field(min_length=1, max_length=MOST_AT_ONCE)]


class ControlsTold(BaseModel):
    """How many were given, and how many were new or said something else than before."""

    given: int
    added: int
    dry_run: bool


class Counted(BaseModel):
    """Events, and the sum of their quantities."""

    events: int
    quantity: Whole


class ControlTold(BaseModel):
    """A control total in its newest revision, and what was accepted: rated, at zero or waiting, each once."""

    source: str
    product: str
    day: date
    revision: int
    counted: Counted
    accepted: Counted
    matches: bool


class Listing(Paged):
    """Which month, and whether only what does not match."""

    period: MonthOrNone = ""
    mismatches: bool = Field(default=False, description="Only those that do not match.")


@router.post("/v1/controls")
def add(world: InWorld, key: Reporter, given: ControlsGiven, *, dry_run: bool = False) -> ControlsTold:
    """Say what a source counted on a day. Another count is a new revision; the same again changes nothing.

    Where it is not what was accepted, the accounts with such usage are parked by runs until somebody looked.
    """
    found = _read(world, key, given)
    added = add_controls(world.engine, found, at=world.clock(), actor=key.name, dry_run=dry_run)
    return ControlsTold(given=len(found), added=added, dry_run=dry_run)


@router.get("/v1/controls")
def controls(world: InWorld, _: Operator, asked: Annotated[Listing, Query()]) -> Page[ControlTold]:
    """What sources say they counted in a month, by source, product and day, and what was accepted from them."""
    after = _place(place_of(asked.cursor, ("", "", 0)))
    month = month_of(asked.period, world.clock())
    with world.reading() as connection:
        found = compared_controls(connection, month, after=after, limit=asked.limit + 1, mismatches=asked.mismatches)
    page = found[: asked.limit]
    more = cursor_of(_cursor(page[-1].key)) if len(found) > asked.limit else None
    items = [
        ControlTold(
            source=each.key.source,
            product=each.key.product,
            day=each.key.day,
            revision=each.revision,
            counted=Counted.model_validate(each.counted._asdict()),
            accepted=Counted.model_validate(each.accepted._asdict()),
            matches=each.matches,
        )
        for each in page
    ]
    return Page(items=items, next=more)


def _cursor(key: ControlKey) -> tuple[str, str, int]:
    return key.source, key.product, key.day.toordinal()


def _place(place: tuple[str | int, ...]) -> ControlKey:
    source, product, day = place
    return ControlKey(str(source), str(product), date.fromordinal(min(max(1, int(day)), date.max.toordinal())))


def _read(world: World, key: Key, given: ControlsGiven) -> list[Control]:
    """The control totals of a request. Raises InputFaultyError with every fault."""
    found: dict[tuple[object, ...], Control] = {}
    faults: list[Fault] = []
    for number, each in enumerate(given.controls):
        place = f"/controls/{number}"
        if key.source and each.source not in {"", key.source}:
            remedy = f"leave it out, or take a key that is not of {key.source}"
            faults.append(_fault(f"{place}/source", each.source, "is not the source of the key", remedy))
        texts = {name: str(value) for name, value in each.model_dump().items()}
        one = control(texts | {"source": each.source or key.source}, place)
        if isinstance(one, list):
            faults += (replace(fault, place=fault.place.replace(" ", "/")) for fault in one)
        elif one.key.product not in world.products:
            known = f"use one of {', '.join(sorted(world.products))}"
            faults.append(_fault(f"{place}/product", one.key.product, "is not a product", known))
        elif found.setdefault(one.key, one) != one:
            faults.append(_fault(place, "", "contradicts another one of the request", "say each count once"))
    if faults:
        raise InputFaultyError(faults, place="control totals")
    return list(found.values())


def _fault(place: str, value: str, problem: str, remedy: str) -> Fault:
    return Fault(place=place, value=value, problem=problem, remedy=remedy)
