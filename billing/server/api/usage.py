"""What was used: events and quantities by account, product, country and day, as of now."""

from datetime import date
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from billing.periods import Period
from billing.server.callers import Reader
from billing.server.paging import cursor_of, place_of
from billing.server.problems import Item, ProblemError
from billing.server.shapes import Decimal, GivenDay, Page, Paged, Text
from billing.server.sight import see_account
from billing.server.world import InWorld
from billing.store.queries.spent import By, Wanted, usage_by

router = APIRouter(tags=["usage"])

_BY = r"^(day|product|country|account)(,(day|product|country|account)){0,3}$"


class Usage(BaseModel):
    """Priced usage of one group; a word that nothing was grouped by is null.

    `quantity` is what is billed, in `unit`, the product's base unit. What is priced per event, or for which a minimum
    or a maximum charge stands, is in the unit `event`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "day": "2026-10-02", "product": "voice.outbound", "country": None, "account": None,
                    "unit": "second", "events": 3, "quantity": "360",
                }
            ]
        }
    )  # fmt: skip

    day: date | None = None
    product: str | None = None
    country: str | None = None
    account: str | None = None
    unit: str
    events: int
    quantity: Decimal


class Asking(Paged):
    """What usage, and by what to sum it."""

    account: Text = Field(default="", description="A billing account with all that it pays for, or one below it.")
    product: Text = ""
    country: str = Field(default="", pattern="^([A-Z]{2})?$", description="ISO 3166-1 alpha-2.")
    since: GivenDay | None = Field(
        default=None, alias="from", description="The first UTC day; without it the first of this month."
    )
    to: GivenDay | None = Field(
        default=None, description="The UTC day after the last; without it the end of the month."
    )
    by: str = Field(default=By.PRODUCT, pattern=_BY, description="What to sum by, with commas between.")


@router.get("/v1/usage")
def usage(world: InWorld, key: Reader, asked: Annotated[Asking, Query()]) -> Page[Usage]:
    """Usage that has a price, by day, product, country or account: every event that was acknowledged is in it.

    Usage that waits for a price, or that costs nothing by its outcome, is not: see `/v1/quarantine` and `/v1/events`.
    Of an account below a billing account it is what the billing account pays for it.
    """
    words = [By(word) for word in dict.fromkeys(asked.by.split(","))]
    place = [str(part) for part in place_of(asked.cursor, ("",) * (len(words) + 1))]
    now = Period.at(world.clock())
    wanted = Wanted(
        asked.since or now.start, asked.to or _end(asked.since, now), product=asked.product, country=asked.country
    )
    if wanted.until < wanted.since:
        wrong = Item(reason="query to: is before from", remedy="write the day after the last one that is wanted")
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "request-invalid", "no day is asked for", errors=[wrong])
    if whose := asked.account or key.account:
        seen = see_account(world, key, whose)
        wanted = wanted._replace(payer=seen.payer_number, account=None if seen.root else seen.number)
    with world.reading() as connection:
        found = usage_by(connection, wanted, words, after=place, limit=asked.limit + 1)
    page = found[: asked.limit]
    more = cursor_of((*page[-1].words, page[-1].unit)) if len(found) > asked.limit else None
    items = [
        Usage.model_validate(
            {
                **dict(zip(words, each.words, strict=True)),
                "unit": each.unit,
                "events": each.events,
                "quantity": str(each.quantity),
            }
        )
        for each in page
    ]
    return Page(items=items, next=more)


def _end(begins: date | None, now: Period) -> date:
    """The end of the month in which what is asked for begins."""
    if begins is None:
        return now.end
    return date.max if begins.year == date.max.year else Period.of_month(begins.year, begins.month).end
