"""Webhook endpoints: whom to tell, what arrived, and what to send again. For operators' keys that administer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from billing.errors import InputFaultyError
from billing.flows import webhooks as flow
from billing.server.callers import Administrator, missing
from billing.server.paging import cursor_of, place_of
from billing.server.shapes import Asked, GivenInstant, Instant, Page, Paged, Text
from billing.server.world import InWorld
from billing.store.queries.webhooks import (
    ListedDelivery,
    ListedEndpoint,
    ListedTry,
    body_of,
    listed_deliveries,
    listed_endpoints,
    listed_tries,
)
from billing.webhooks import LONGEST_DESCRIPTION, LONGEST_URL, UNASKED, EndpointAsked, MessageType, State

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_ONCE = {"Cache-Control": "no-store"}
_EXAMPLE = "ep_5f0c1d2e3a4b5c6d7e8f9a0b"
_TYPES = [each.value for each in MessageType if each not in UNASKED]

EndpointId = Annotated[str, Path(pattern="^ep_[0-9a-f]{24}$", description="An endpoint.", examples=[_EXAMPLE])]
MessageId = Annotated[str, Path(pattern="^msg_[0-9a-f]{32}$", description="A message: its `webhook-id`.")]
_Url = Annotated[
    str,
    StringConstraints(max_length=LONGEST_URL),
    Field(description="Where to post.", json_schema_extra={"format": "uri"}),
]
_Type = Annotated[str, StringConstraints(max_length=50), Field(json_schema_extra={"enum": _TYPES})]
_Types = Annotated[list[_Type], Field(max_length=50, description="Only messages of these types; none are all.")]
_Line = Annotated[str, StringConstraints(max_length=LONGEST_DESCRIPTION, pattern=r"^[^\x00-\x1f\x7f]*$")]


class NewEndpoint(Asked):
    """An endpoint to add. Of an `account` it gets what is told of it and of those below it; without one, of all."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://hooks.example.com/tollbook", "types": ["invoice.issued"]}]}
    )

    url: _Url
    types: _Types = Field(default=[])
    account: Text = ""
    description: _Line = ""


class ChangedEndpoint(Asked):
    """What an endpoint says from now on; what is left out stays."""

    url: _Url | None = None
    types: _Types | None = None
    description: _Line | None = None


class SecretRotation(Asked):
    """How long the secret before the new one signs too; 0 ends it now."""

    overlap_hours: Annotated[int, Field(ge=0, le=720)] = 24


class Replay(Asked):
    """What to send again: what was told from `since` up to `until` (now, if it is left out) and did not arrive.

    With `delivered` also what arrived.
    """

    since: GivenInstant
    until: GivenInstant | None = None
    delivered: bool = False


class Endpoint(BaseModel):
    """An endpoint, how much of its messages waits, and how much is dead. Its secret is not told again."""

    id: str
    url: str
    types: list[str]
    account: str | None
    description: str
    created_at: Instant
    disabled_at: Instant | None
    disabled_why: str | None
    failing_since: Instant | None
    two_secrets_until: Instant | None
    waiting: int
    dead: int


class Secret(BaseModel):
    """What an endpoint's messages are signed with; it is told here and never again."""

    id: str
    secret: str


class AddedEndpoint(Endpoint):
    """The endpoint, with its secret, which is told here and never again."""

    secret: str


class Delivery(BaseModel):
    """What became of a message; `status` and `problem` are those of the newest try."""

    message: str
    type: str
    subject: str
    account: str | None
    told_at: Instant
    state: State
    tries: int
    next_at: Instant | None
    ended_at: Instant | None
    status: int | None
    problem: str


class Try(BaseModel):
    """One try: when, the status (null: no answer), the beginning of what was said, or what went wrong."""

    at: Instant
    status: int | None
    said: str
    problem: str


class DeliveryInFull(Delivery):
    """A delivery with the body that is sent, and every try."""

    body: str
    attempts: list[Try]


class DeliveriesAsked(Paged):
    """Which deliveries: those in some states, or all."""

    state: list[State] = Field(default=[], max_length=len(State), description="Only those in these states.")


class Told(BaseModel):
    """A message that is to be sent."""

    message: str


class Replayed(BaseModel):
    """How many messages are to be sent again."""

    messages: int


@router.post("", status_code=HTTPStatus.CREATED)
def add(asked: NewEndpoint, world: InWorld, key: Administrator, response: Response) -> AddedEndpoint:
    """Have messages posted to an address from now on. The secret that they are signed with is told only here."""
    at = world.clock()
    wanted = EndpointAsked(url=asked.url, types=asked.types, account=asked.account, description=asked.description)
    with _pointed():
        endpoint, secret = flow.add_endpoint(world.engine, wanted, at=at, actor=key.name, reach=world.reach)
    response.headers.update(_ONCE)
    return AddedEndpoint(**_listed(world, endpoint.id).model_dump(), secret=secret)


@router.get("")
def list_(world: InWorld, _: Administrator) -> Page[Endpoint]:
    """All endpoints, the oldest first."""
    with world.reading() as connection:
        return Page(items=[_endpoint(each) for each in listed_endpoints(connection, world.clock())])


@router.get("/{endpoint}")
def show(endpoint: EndpointId, world: InWorld, _: Administrator) -> Endpoint:
    """One endpoint."""
    return _listed(world, endpoint)


@router.patch("/{endpoint}")
def change(endpoint: EndpointId, asked: ChangedEndpoint, world: InWorld, key: Administrator) -> Endpoint:
    """Change what an endpoint says; what is left out stays, and so does its secret."""
    with _pointed():
        flow.change_endpoint(
            world.engine,
            endpoint,
            url=asked.url,
            types=asked.types,
            description=asked.description,
            at=world.clock(),
            actor=key.name,
            reach=world.reach,
        )
    return _listed(world, endpoint)


@router.delete("/{endpoint}", status_code=HTTPStatus.NO_CONTENT)
def remove(endpoint: EndpointId, world: InWorld, key: Administrator) -> Response:
    """Forget an endpoint and its secrets; what waited for it is not sent."""
    flow.remove(world.engine, endpoint, at=world.clock(), actor=key.name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/{endpoint}/disable")
def disable(endpoint: EndpointId, world: InWorld, key: Administrator) -> Endpoint:
    """Send nothing more there until it is enabled; what waited is dead and can be replayed."""
    flow.disable(world.engine, endpoint, at=world.clock(), actor=key.name)
    return _listed(world, endpoint)


@router.post("/{endpoint}/enable")
def enable(endpoint: EndpointId, world: InWorld, key: Administrator) -> Endpoint:
    """Send there again, from now on; what it missed is sent by a replay."""
    flow.enable(world.engine, endpoint, at=world.clock(), actor=key.name)
    return _listed(world, endpoint)


@router.post("/{endpoint}/rotate")
def rotate(
    endpoint: EndpointId, asked: SecretRotation, world: InWorld, key: Administrator, response: Response
) -> Secret:
    """A new secret, told only here. Messages are signed with both until the overlap ends."""
    overlap = timedelta(hours=asked.overlap_hours)
    secret = flow.rotate(world.engine, endpoint, at=world.clock(), actor=key.name, overlap=overlap)
    response.headers.update(_ONCE)
    return Secret(id=endpoint, secret=secret)


@router.post("/{endpoint}/test", status_code=HTTPStatus.ACCEPTED)
def test(endpoint: EndpointId, world: InWorld, key: Administrator) -> Told:
    """Have a test message sent there; its delivery says what came of it."""
    return Told(message=flow.send_test(world.engine, endpoint, at=world.clock(), actor=key.name))


@router.post("/{endpoint}/replay", status_code=HTTPStatus.ACCEPTED)
def replay(endpoint: EndpointId, asked: Replay, world: InWorld, key: Administrator) -> Replayed:
    """Send messages again that did not arrive, with the ids that they had; also what was never tried there."""
    at = world.clock()
    until = at if asked.until is None else asked.until
    count = flow.replay_between(
        world.engine, endpoint, asked.since, until, at=at, actor=key.name, delivered=asked.delivered
    )
    return Replayed(messages=count)


@router.post("/{endpoint}/deliveries/{message}/replay", status_code=HTTPStatus.ACCEPTED)
def replay_one(endpoint: EndpointId, message: MessageId, world: InWorld, key: Administrator) -> Replayed:
    """Send one message again, with the id that it had. 0 messages: it is under way already."""
    again = flow.replay_message(world.engine, endpoint, message, at=world.clock(), actor=key.name)
    return Replayed(messages=int(again))


@router.get("/{endpoint}/deliveries")
def deliveries(
    endpoint: EndpointId,
    world: InWorld,
    _: Administrator,
    asked: Annotated[DeliveriesAsked, Query()],
) -> Page[Delivery]:
    """What was told there and what became of it, the newest first."""
    _listed(world, endpoint)
    (before,) = place_of(asked.cursor, (0,))
    with world.reading() as connection:
        found = listed_deliveries(
            connection,
            endpoint=endpoint,
            states=[each.value for each in asked.state],
            limit=asked.limit + 1,
            before=(int(before), "") if asked.cursor else None,
        )
    after = cursor_of((found[asked.limit - 1].number,)) if len(found) > asked.limit else None
    return Page(items=[_delivery(each) for each in found[: asked.limit]], next=after)


@router.get("/{endpoint}/deliveries/{message}")
def delivery(endpoint: EndpointId, message: MessageId, world: InWorld, _: Administrator) -> DeliveryInFull:
    """One delivery, with the body that is sent and every try."""
    with world.reading() as connection:
        found = listed_deliveries(connection, endpoint=endpoint, message=message, limit=1)
        if not found:
            raise missing("delivery")
        tries, body = listed_tries(connection, endpoint, message), body_of(connection, message) or ""
    facts = _delivery(found[0]).model_dump()
    return DeliveryInFull(**facts, body=body, attempts=[_try(each) for each in tries])


def _listed(world: InWorld, endpoint: str) -> Endpoint:
    with world.reading() as connection:
        found = listed_endpoints(connection, world.clock(), endpoint)
    if not found:
        raise missing("endpoint")
    return _endpoint(found[0])


def _endpoint(listed: ListedEndpoint) -> Endpoint:
    facts = listed._asdict()
    return Endpoint(
        **{
            **facts,
            "types": [*listed.types],
            "account": listed.account or None,
            "disabled_why": listed.disabled_why or None,
        }
    )


def _delivery(listed: ListedDelivery) -> Delivery:
    facts = {key: value for key, value in listed._asdict().items() if key not in {"number", "endpoint"}}
    return Delivery(**{**facts, "account": listed.account or None, "status": listed.status or None})


def _try(listed: ListedTry) -> Try:
    return Try(at=listed.at, status=listed.status or None, said=listed.said, problem=listed.problem)


@contextmanager
def _pointed() -> Iterator[None]:
    """Tell what is wrong with what was asked for by where it stands in the body."""
    try:
        yield
    except InputFaultyError as error:
        faults = [replace(fault, place=f"/{fault.place}") for fault in error.faults]
        raise InputFaultyError(faults, place=error.place) from None
