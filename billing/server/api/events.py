"""Usage is posted, amended and taken back. Who has an answer knows what is committed; who has none posts again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from billing.errors import IntakeClosedError, QueueFullError, StoreAwayError
from billing.keys import Key
from billing.receipts import OUTCOMES, Outcome
from billing.receipts import Result as Told
from billing.server import problems
from billing.server.bodies import payloads_of
from billing.server.callers import Reporter
from billing.server.metrics import EVENTS, SOON, WAITING
from billing.server.paths import PathName
from billing.server.posted import AMENDED, POSTED
from billing.server.problems import ProblemError
from billing.server.shapes import Asked
from billing.server.world import InWorld, World
from billing.sources.ndjson import id_of

router = APIRouter(tags=["events"])
often = APIRouter(tags=["events"])

_AT_ONCE = 1 << 16  # bytes of a body that is taken apart without giving the work to another thread
_TAKING_APART = CapacityLimiter(2)  # threads of its own: those that answer may all be waiting
_COUNTED = {str(outcome): EVENTS.labels(str(outcome)) for outcome in OUTCOMES}
_CONFLICT, _REJECTED = str(Outcome.CONFLICT), str(Outcome.REJECTED)


class Result(BaseModel):
    """What became of one event, at its place among those that were posted; `reason` says why it was not accepted."""

    id: str
    revision: int | None = None
    result: Outcome
    pointer: str = Field(default="", description="Where the fault is in the event (RFC 6901).")
    reason: str = ""


class Results(BaseModel):
    """What became of each event, in the order in which they were posted, and how many came to what."""

    results: list[Result]
    counts: dict[Outcome, int]


class Revision(Asked):
    """Which report of its event this is: a whole number above those before."""

    revision: int = Field(ge=2, le=2**31 - 1, examples=[2])


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Results, "description": "None was refused."},
    207: {"model": Results, "description": "Some were refused: `rejected`, or a `conflict` with what came before."},
    415: {"description": "Another media type, or another coding, than these."},
    422: {"model": Results, "description": "All were refused; or, as a problem, the request itself is wrong."},
}
for _refused in (415, 422):
    _ANSWERS[_refused]["content"] = problems.RESPONSES[422]["content"]


@often.post("/v1/events", openapi_extra=POSTED, responses=_ANSWERS)
async def post_events(request: Request, world: InWorld, key: Reporter) -> Response:
    """Post usage events: a JSON object, an array, NDJSON, CloudEvents; also gzipped.

    The answer comes when they are committed, and says of each what became of it. It is safe to post them again.
    """
    body = await request.body()
    if len(body) <= _AT_ONCE and "content-encoding" not in request.headers:
        payloads = payloads_of(body, request.headers)
    else:
        payloads = await to_thread.run_sync(payloads_of, body, request.headers, limiter=_TAKING_APART)
    return await _answer(world, key, payloads)


@router.put("/v1/events/{source}/{event_id}", openapi_extra=AMENDED, responses=_ANSWERS)
async def amend_event(
    request: Request, source: PathName, event_id: PathName, world: InWorld, key: Reporter
) -> Response:
    """Report an event again, with its whole new content and a higher `revision`; the highest one counts."""
    body = (await request.body()).strip()
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        detail = f"the body is not a JSON object: {error}"
        raise ProblemError(HTTPStatus.BAD_REQUEST, "body-unreadable", detail) from error
    head = b""
    for name, value in (("source", source), ("id", event_id)):
        if name not in given:
            head += b'"%b":%b,' % (name.encode(), msgspec.json.encode(value))
        elif _text_of(given[name]) != value:
            detail = f"the body names another {name} than the path"
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "event-mismatch", detail)
    return await _answer(world, key, [b"{" + (head if given else head.removesuffix(b",")) + body[1:]])


@router.post("/v1/events/{source}/{event_id}/void", responses=_ANSWERS)
async def void_event(
    source: PathName, event_id: PathName, revision: Revision, world: InWorld, key: Reporter
) -> Response:
    """Take an event back: nothing is left of it, until a higher revision brings it back."""
    void = {"source": source, "id": event_id, "revision": revision.revision, "void": True}
    return await _answer(world, key, [msgspec.json.encode(void)])


def _text_of(value: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


async def _answer(world: World, key: Key, payloads: Sequence[bytes]) -> Response:
    try:
        taking = world.intake.submit(payloads, key.source or None)
        SOON.set(WAITING, world.intake.held)
        results = await world.taken.of(taking)
    except QueueFullError as error:
        again = {"Retry-After": str(error.seconds)}
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "queue-full", str(error), headers=again) from error
    except (IntakeClosedError, StoreAwayError) as error:
        name = "closing" if isinstance(error, IntakeClosedError) else "database-unreachable"
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, name, str(error)) from error
    finally:
        SOON.set(WAITING, world.intake.held)
    if any(result.id is None for result in results):
        results = [_named(*each) for each in zip(payloads, results, strict=True)]
    counts = Counter([result.outcome for result in results])
    for outcome, count in counts.items():
        SOON.inc(_COUNTED[outcome], count)
    told = {"results": results, "counts": counts}
    return Response(msgspec.json.encode(told), int(_status(counts)), media_type="application/json")


def _named(payload: bytes, result: Told) -> Told:
    """A result with an id where the payload has one: also what is no event is told by it."""
    return result if result.id is not None else msgspec.structs.replace(result, id=id_of(payload))


def _status(counts: Mapping[str, int]) -> HTTPStatus:
    refused = counts.get(_CONFLICT, 0) + counts.get(_REJECTED, 0)
    if not refused:
        return HTTPStatus.OK
    return HTTPStatus.UNPROCESSABLE_ENTITY if refused == sum(counts.values()) else HTTPStatus.MULTI_STATUS
