"""What was accepted and waits for a price or an owner: what is missing, for how much, and what would release it."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from billing.periods import Period
from billing.server.callers import Reader
from billing.server.paging import cursor_of, place_of
from billing.server.shapes import Instant, MonthOrNone, Page, Paged, Text
from billing.server.sight import see_account
from billing.server.world import InWorld
from billing.store.queries.sight import names_paid
from billing.store.queries.waiting import waiting_record, waiting_usage

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
    """What waits, by reason and by what is missing, most events first. `/v1/events?outcome=quarantined` lists them.

    Nothing of it is billed until what is missing came, and then all of it is.
    """
    (first,) = place_of(asked.cursor, (0,))
    skip = max(0, int(first))
    month = Period.parse(asked.period) if asked.period else None
    if key.account and asked.account:
        see_account(world, key, asked.account)
    whose = asked.account or key.account
    with world.reading() as connection:
        accounts = names_paid(connection, whose) if whose else None
        found = waiting_usage(connection, world.products, accounts=accounts, period=month)
    page = found[skip : skip + asked.limit]
    more = cursor_of((skip + len(page),)) if skip + len(page) < len(found) else None
    return Page(items=[WaitingTold.model_validate(waiting_record(each)) for each in page], next=more)
