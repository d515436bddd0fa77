"""What was accepted and waits for a price or an owner: what is missing, for how much, and what would release it."""

from typing import Annotated, cast

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from billing.periods import Period
from billing.server.callers import Reader
from billing.server.paging import cursor_of, place_of
from billing.server.shapes import Instant, MonthOrNone, Page, Paged, Text
from billing.server.sight import see_account
from billing.server.world import InWorld
from billing.store.queries.sight import names_paid
from billing.store.queries.waiting import FIRST, Key, waiting_page, waiting_record

router = APIRouter(tags=["quarantine"])


class WaitingTold(BaseModel):
    """Events that one thing is missing for: an account, a month, or a rate for numbers of a place or with dimensions.

    `named` are their accounts, if they are no more than two; `example` is the first of them.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "reason": "no_rate", "product": "voice.outbound", "events": 3, "accounts": 1, "named": ["acme"],
                    "first_at": "2026-10-02T10:11:12Z", "last_at": "2026-10-04T09:00:00Z",
                    "example": "voice-eu-1/CA0017", "remedy": "publish a card with a rate for it", "account": "",
                    "month": "", "country": "JP", "calling_code": "81", "address": "", "mcc": "", "mnc": "",
                    "dimensions": [],
                }
            ]
        }
    )  # fmt: skip

    reason: str
    product: str
    events: int
    accounts: int
    named: list[str]
    first_at: Instant
    last_at: Instant
    example: str
    remedy: str
    account: str
    month: str
    country: str
    calling_code: str
    address: str
    mcc: str
    mnc: str
    dimensions: list[str]


class Listing(Paged):
    """Whose usage, and of which month."""

    account: Text = Field(default="", description="An account, which need not be known, and those that it pays for.")
    period: MonthOrNone = ""


@router.get("/v1/quarantine")
def quarantine(world: InWorld, key: Reader, asked: Annotated[Listing, Query()]) -> Page[WaitingTold]:
    """What waits, by reason, product and what is missing. `/v1/events?outcome=quarantined` lists the events.

    Nothing of it is billed until what is missing came, and then all of it is.
    """
    after = place_of(asked.cursor, FIRST)
    month = Period.parse(asked.period) if asked.period else None
    if key.account and asked.account:
        see_account(world, key, asked.account)
    whose = asked.account or key.account
    with world.reading() as connection:
        accounts = names_paid(connection, whose) if whose else None
        found = waiting_page(
            connection,
            world.products,
            after=cast("Key", after),  # a place is made of what the first one is
            limit=asked.limit + 1,
            accounts=accounts,
            period=month,
        )
    page = found[: asked.limit]
    more = cursor_of(page[-1][0]) if len(found) > asked.limit else None
    return Page(items=[WaitingTold.model_validate(waiting_record(each)) for _, each in page], next=more)
