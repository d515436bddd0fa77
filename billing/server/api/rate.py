"""What usage would cost: by the stored cards and contracts of its accounts, or by cards of the request."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from billing.bills import Arrangement, Bills, bill
from billing.contracts import read_contract
from billing.flows.suppose import SOURCE, suppose
from billing.records import bills_record
from billing.server.api.cards import CardGiven
from billing.server.api.parties import ContractGiven, read_all
from billing.server.callers import Reader
from billing.server.problems import Item, ProblemError
from billing.server.shapes import Asked, Decimal, Line, Month, month_of
from billing.server.sight import see_account
from billing.server.world import InWorld, World
from rates.cardfile import read_card
from rates.cards import Card
from rates.errors import CardFaultyError, Fault

router = APIRouter(tags=["prices"])

MOST_EVENTS = 1000


class Supposed(Asked):
    """Usage events as they are posted, and a month: what of them is in it is billed, as if nothing else were used.

    Without `cards` it is rated by what is stored of the accounts; with them by these, in order of priority, and by
    `contracts` if some are given.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "period": "2026-10",
                    "usage": [
                        {
                            "id": "1", "account": "acme", "product": "voice.outbound", "to": "+442079460000",
                            "occurred_at": "2026-10-02T10:11:12Z", "duration_seconds": "61", "status": "completed",
                        }
                    ],
                }
            ]
        }
    )  # fmt: skip

    usage: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_EVENTS)]
    period: Month | None = None
    cards: Annotated[list[CardGiven], Field(min_length=1, max_length=20)] | None = None
    contracts: Annotated[list[ContractGiven], Field(min_length=1, max_length=100)] | None = None


class BillTold(BaseModel):
    """What an account would be billed."""

    account: str
    currency: str
    lines: list[Line]
    total: Decimal


class Unpriced(BaseModel):
    """An event that is on no line, and why."""

    source: str
    id: str
    reason: str


class Refused(BaseModel):
    """An event that is none: its place in `usage`, where it is wrong, and why."""

    index: int
    pointer: str
    reason: str


class BillsTold(BaseModel):
    """What usage would cost. Accounts may have currencies of their own; then `currency` is empty."""

    period: str
    currency: str
    accounts: list[BillTold]
    quarantined: list[Unpriced]
    zero_rated: list[Unpriced]
    rejected: list[Refused]
    duplicates: list[int] = Field(description="Places in `usage` of what was said before.")
    conflicts: list[int] = Field(description="Places in `usage` of what contradicts what was said before.")


class _AsSent(msgspec.Struct):
    usage: list[msgspec.Raw]


async def _as_sent(request: Request) -> list[bytes]:
    """The events as they were written: a number that was decoded has been rounded to a float, and usage never is."""
    try:
        return [bytes(each) for each in msgspec.json.decode(await request.body(), type=_AsSent).usage]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []  # the request is refused, in words of its own


@router.post("/v1/rate")
def rate(
    world: InWorld, key: Reader, asked: Supposed, payloads: Annotated[list[bytes], Depends(_as_sent)]
) -> BillsTold:
    """What some usage would cost, alone in its month. Stores nothing.

    By the stored contracts a customer asks about its own accounts; about cards of the request everybody may.
    """
    period = month_of(asked.period or "", world.clock())
    if len(payloads) != len(asked.usage):
        wrong = Item(pointer="/usage", reason="is not JSON by RFC 8259", remedy="write it without half characters")
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "request-invalid", "1 event is not read", errors=[wrong])
    if asked.cards is None:
        names = {name for each in asked.usage if isinstance(name := _account(each), str)}
        for name in sorted(names) if key.account else ():
            see_account(world, key, name)
        found = suppose(world.engine, world.products, payloads, period, names, states=world.states)
    else:
        found = bill(payloads, _arrangement(world, asked), period, source=SOURCE)
    return _told(found)


def _account(event: Mapping[str, object]) -> object:
    """Whose an event is: of a CloudEvent its subject."""
    return event.get("subject") if "specversion" in event else event.get("account")


def _arrangement(world: World, asked: Supposed) -> Arrangement:
    cards: list[Card] = []
    faults: list[Fault] = []
    for place, given in enumerate(asked.cards or ()):
        files = {name: text.encode() for name, text in (given.files or {}).items()}
        card, wrong = read_card(given.card, files, world.products, place=f"cards[{place}].card")
        faults += wrong
        cards += [] if card is None else [card]
    if faults:
        raise CardFaultyError(faults, place="cards")
    contracts: dict[str, list[Any]] | None = None
    if asked.contracts is not None:
        contracts = {}
        for contract in read_all(asked.contracts, "contracts", read_contract):
            contracts.setdefault(contract.account, []).append(contract)
    return Arrangement(cards=cards, products=world.products, contracts=contracts, states=world.states)


def _told(found: Bills) -> BillsTold:
    return BillsTold.model_validate(
        {
            **bills_record(found),
            "zero_rated": [{"source": each.source, "id": each.id, "reason": each.reason} for each in found.zero_rated],
            "rejected": [{"index": each.row, "pointer": each.pointer, "reason": each.reason} for each in found.rejects],
            "duplicates": list(found.duplicates),
            "conflicts": list(found.conflicts),
        }
    )
