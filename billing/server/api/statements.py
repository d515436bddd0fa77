"""A billing account's month as of now: lines, where its volume discounts stand, and what is on no line."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billing.flows.compose import compose_statement
from billing.payers import SubjectMissingError
from billing.records import statement_record
from billing.server.callers import Reader, missing
from billing.server.paths import PathName
from billing.server.shapes import Decimal, Figure, Instant, Line, MonthOrNone, month_of
from billing.server.sight import see_account
from billing.server.world import InWorld

router = APIRouter(tags=["statements"])


class Issued(BaseModel):
    """An invoice that is issued for the month."""

    number: str
    issued_on: date | None
    due_on: date | None
    total: Decimal
    currency: str


class Unbilled(BaseModel):
    """What came after the invoices, and what the next run would bill of it."""

    events: int
    amount: Decimal
    lines: list[Line]


class Progress(BaseModel):
    """Where a counter of a volume discount stands; in its last tier there is no next threshold."""

    schedule: str
    mode: Annotated[str, Field(examples=["graduated", "volume"])]
    account: str = Field(description="Whose it is, if it is one account's alone.")
    unit: str
    position: Decimal
    tier: int
    tiers: int
    next_threshold: Figure
    to_go: Figure


class StatementTold(BaseModel):
    """A billing account's month. `estimate`: usage may still arrive.

    `waiting` counts events without a price, by reason; `pending` those whose outcome is open. Both are in no amount.
    """

    account: str
    name: str
    period: str
    at: Instant
    estimate: bool
    currency: str
    total: Decimal
    by_product: dict[str, Decimal]
    by_country: dict[str, Decimal]
    waiting: dict[str, int]
    pending: int
    invoices: list[Issued]
    unbilled: Unbilled
    billed_by: list[str] = Field(description="The numbers of all that has billed the month.")
    adjustments: list[Line] = Field(description="What this month's invoice bills of earlier months.")
    progress: list[Progress]
    lines: list[Line]


@router.get("/v1/accounts/{account}/statement")
def statement(
    world: InWorld, key: Reader, account: PathName, period: Annotated[MonthOrNone, Query()] = ""
) -> StatementTold:
    """What a billing account owes for a month so far, line by line; every event that was acknowledged is in it.

    Without `period` it is the month that it is now.
    """
    see_account(world, key, account)
    at = world.clock()
    try:
        found = compose_statement(world.engine, world.products, month_of(period, at), at, account)
    except SubjectMissingError as error:
        raise missing("billing account") from error
    return StatementTold.model_validate(statement_record(found))
