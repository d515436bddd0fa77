"""Usage that may have been reported twice under different ids: for whoever looks whether a source repeats itself."""

from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from billing.periods import Period
from billing.server.callers import Operator
from billing.server.paging import cursor_of, place_of
from billing.server.problems import Item, ProblemError
from billing.server.shapes import GivenDay, Instant, Page, Paged, Text, Whole
from billing.server.sight import see_account
from billing.server.world import InWorld
from billing.store.queries.near import Place, Twin, twins
from billing.store.queries.sight import names_paid

router = APIRouter(tags=["events"])

MOST_DAYS = 31

_DAY, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_MOST = 2**31 - 1


class NearDuplicate(BaseModel):
    """An event that says what another one said before it (`first_…`). `measured` is in the product's base unit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source": "voice-eu-2", "id": "9f0c", "first_source": "voice-eu-1", "first_id": "CA0017",
                    "account": "acme", "product": "voice.outbound", "occurred_at": "2026-10-02T10:11:12Z",
                    "received_at": "2026-10-02T10:12:00Z", "to": "+442079460000", "from": "+14155550123",
                    "measured": "61",
                }
            ]
        }
    )  # fmt: skip

    source: str
    id: str
    first_source: str
    first_id: str
    account: str
    product: str
    occurred_at: Instant
    received_at: Instant
    to: str
    from_: str = Field(alias="from")
    measured: Whole


class Listing(Paged):
    """Of which days, and whose."""

    account: Text = Field(default="", description="An account, and those that it pays for.")
    since: GivenDay | None = Field(default=None, alias="from", description="The first UTC day; without it, today.")
    to: GivenDay | None = Field(
        default=None, description=f"The UTC day after the last, {MOST_DAYS} days on at most; without it, the next one."
    )


@router.get("/v1/near-duplicates")
def near_duplicates(world: InWorld, key: Operator, asked: Annotated[Listing, Query()]) -> Page[NearDuplicate]:
    """Events that say what another one says, under another id or from another source, by who pays and by time.

    The same account, product, numbers, start and measured quantity. They count all the same: what was reported twice
    indeed is taken back by its source. What has no numbers, measures nothing or waits in quarantine is not compared.
    """
    place = place_of(asked.cursor, (0, 0, 0, ""))
    span = _span(asked.since or world.clock().date(), asked.to)
    if asked.account:
        see_account(world, key, asked.account)
    with world.reading() as connection:
        accounts = names_paid(connection, asked.account) if asked.account else None
        after = _place(place) if asked.cursor else None
        found = twins(connection, span, accounts=accounts, after=after, limit=asked.limit + 1)
    page = found[: asked.limit]
    more = _cursor(page[-1].place) if len(found) > asked.limit else None
    return Page(items=[NearDuplicate.model_validate(_facts(each)) for each in page], next=more)


def _span(since: date, to: date | None) -> Period:
    """The days that are asked for. Raises ProblemError 422 for none, and for too many."""
    until = min(since, date.max - _DAY) + _DAY if to is None else to
    if not since < until <= min(since, date.max - MOST_DAYS * _DAY) + MOST_DAYS * _DAY:
        remedy = f"write a day after from, at most {MOST_DAYS} days on"
        wrong = Item(reason=f"query to: is not 1 to {MOST_DAYS} days after from", remedy=remedy)
        detail = "so many days are not compared at once"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "request-invalid", detail, errors=[wrong])
    return Period(start=since, end=until)


def _facts(found: Twin) -> dict[str, object]:
    facts = found._asdict()
    return {**facts, "from": facts.pop("from_")}


def _cursor(place: Place) -> str:
    return cursor_of((place.payer, (place.occurred_at - _FIRST) // _MICROSECOND, place.source, place.id))


def _place(place: tuple[str | int, ...]) -> Place:
    payer, micros, source, id_ = place
    at = _FIRST + timedelta(microseconds=min(max(0, int(micros)), (_LAST - _FIRST) // _MICROSECOND))
    return Place(min(max(0, int(payer)), _MOST), at, min(max(0, int(source)), _MOST), str(id_))
