"""Events as they were accepted: in the order of time, and one by one with how it came to its price."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from billing.flows.explain import explain_event
from billing.flows.recall import recall_event
from billing.histories import History
from billing.keys import Key
from billing.payers import SubjectMissingError
from billing.records import event_record, parts_record, revisions_record, void_record
from billing.server.callers import Reader, missing
from billing.server.paging import cursor_of, place_of
from billing.server.paths import PathName
from billing.server.shapes import Exact, GivenInstant, Instant, Page, Paged, Text, Whole
from billing.server.sight import may_see, see_account
from billing.server.world import Held, InWorld, World
from billing.store.queries.recent import Listed, Outcome, Place, Wanted, recent_events

router = APIRouter(tags=["events"])

_SPAN = timedelta(days=31)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class EventListed(BaseModel):
    """An event in short. `quantity` is what was reported, in the product's base unit; `reason` why nothing is due."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source": "voice-eu-1", "id": "CA0017", "revision": 1, "account": "acme",
                    "product": "voice.outbound", "occurred_at": "2026-10-02T10:11:12Z",
                    "received_at": "2026-10-02T10:12:00Z", "to": "+442079460000", "from": "+14155550123",
                    "country": "GB", "status": "completed", "quantity": "61", "outcome": "rated", "reason": "",
                }
            ]
        }
    )  # fmt: skip

    source: str
    id: str
    revision: int
    account: str
    product: str
    occurred_at: Instant
    received_at: Instant
    to: str
    from_: str = Field(alias="from")
    country: str
    status: str
    quantity: Whole
    outcome: Outcome
    reason: str


class FieldChanged(BaseModel):
    """A field that a report says otherwise than the one below it."""

    field: str
    old: str
    new: str


class Report(BaseModel):
    """One revision of an event: what it said, what it changed, and what it came to."""

    revision: int
    received_at: Instant
    standing: str
    void: bool
    changes: list[FieldChanged]
    charge: str
    reason: str
    content: dict[str, str]


class Part(BaseModel):
    """What of an event lies on a line (of its invoice, or of the month so far), and how that came to a price."""

    element: str
    line_no: int | None
    card: str
    row: str
    matched: str
    destination: str
    tier: str
    counter: str
    position: str
    base_quantity: Whole
    base_unit: str
    arithmetic: str
    exact_amount: Exact
    window: str
    note: str


class Late(BaseModel):
    """The invoice that an event came too late for; "" of a draft."""

    invoice: str


class EventTold(BaseModel):
    """An event and what became of it: its parts, or the `reason` why nothing is due and what would change that."""

    source: str
    id: str
    account: str
    payer: str
    product: str
    occurred_at: Instant
    received_at: Instant
    to: str
    from_: str = Field(alias="from")
    country: str
    status: str
    said: dict[str, str]
    measured: Whole
    increments: str
    billed: Whole
    reason: str
    remedy: str
    invoice: str
    late: Late | None
    parts: list[Part]
    revisions: list[Report]


class EventVoid(BaseModel):
    """An event that was taken back: its revisions."""

    source: str
    id: str
    revision: int
    void: bool
    revisions: list[Report]


class Listing(Paged):
    """Which events, and in which order."""

    account: Text = Field(default="", description="A billing account with all that it pays for, or one below it.")
    product: Text = ""
    source: Text = ""
    since: GivenInstant | None = Field(default=None, alias="from")
    to: GivenInstant | None = Field(default=None, description="The instant after the last one.")
    outcome: Outcome | None = None
    order: Annotated[str, Field(pattern="^(newest|oldest)$", description="Which come first.")] = "newest"


@router.get("/v1/events")
def events(world: InWorld, key: Reader, asked: Annotated[Listing, Query()]) -> Page[EventListed]:
    """Events in the order of the instants at which they occurred; every event that was acknowledged is among them.

    Events that were taken back are not. Without an account, `from` is 31 days before `to` unless it is given.
    """
    place = place_of(asked.cursor, (0, 0, ""))
    wanted = Wanted(
        since=asked.since or _FIRST,
        until=asked.to or _LAST,
        product=asked.product,
        source=asked.source,
        outcome=asked.outcome,
    )
    if whose := asked.account or key.account:
        seen = see_account(world, key, whose)
        wanted = wanted._replace(payer=seen.payer_number, root=seen.payer)
        if not seen.root:
            wanted = wanted._replace(account=seen.number, name=whose)
    elif asked.since is None:
        wanted = wanted._replace(since=max(_FIRST, min(wanted.until, world.clock()) - _SPAN))
    with world.reading() as connection:
        found = recent_events(
            connection,
            wanted,
            after=_place(place) if asked.cursor else None,
            newest_first=asked.order == "newest",
            limit=asked.limit + 1,
        )
    page = found[: asked.limit]
    more = _cursor(page[-1].place) if len(found) > asked.limit else None
    return Page(items=[EventListed.model_validate(_facts(each)) for each in page], next=more)


@router.get("/v1/events/{source}/{event_id}")
def event(world: InWorld, key: Reader, held: Held, source: PathName, event_id: PathName) -> EventTold | EventVoid:
    """An event and how it came to its price: card, prefix, increments, tiers, arithmetic; and all its revisions."""
    try:
        history = _seen(world, key, recall_event(world.engine, world.products, source, event_id))
        if history.is_void:
            return EventVoid.model_validate(void_record(history))
        known = None if held is None else held.limits
        found = explain_event(world.engine, world.products, source, event_id, known=known)
    except SubjectMissingError as error:
        raise missing("event") from error
    if not may_see(world, key, found.account):  # it was amended in between
        raise missing("event")
    told = {**event_record(found), "parts": parts_record(found), "revisions": revisions_record(history)}
    return EventTold.model_validate(told)


def _seen(world: World, key: Key, history: History) -> History:
    """What a key may see of a history: reports may have been of another's account. Raises ProblemError 404."""
    accounts = {report.content["account"] for report in history.reports if not report.is_void}
    own = {account for account in accounts if may_see(world, key, account)}
    reports = [each for each in history.reports if each.is_void or each.content["account"] in own]
    newest = (
        next((each for each in history.reports if not each.is_void), None) if history.is_void else history.reports[0]
    )
    if key.account and (newest is None or newest not in reports):
        raise missing("event")
    return History(source=history.source, id=history.id, reports=reports)


def _facts(found: Listed) -> dict[str, Any]:
    facts = found._asdict()
    return {**facts, "from": facts.pop("from_"), "quantity": facts.pop("measured")}


def _cursor(place: Place) -> str:
    return cursor_of(((place.occurred_at - _FIRST) // _MICROSECOND, place.source, place.id))


def _place(place: tuple[str | int, ...]) -> Place:
    micros, source, id_ = place
    at = _FIRST + timedelta(microseconds=min(max(0, int(micros)), (_LAST - _FIRST) // _MICROSECOND))
    return Place(at, min(max(0, int(source)), 2**31 - 1), str(id_))
