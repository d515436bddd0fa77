"""Webhooks: what is told to others, whom, and how often it is tried.

A message is written in the transaction of what it tells of, and stays. For each endpoint that wants it there is a
delivery, which is tried until the endpoint takes it (any 2xx) or the schedule ends; then it is a dead letter. Tries of
a delivery, and its replays, have one id: whoever gets a message twice knows it by that. Messages come in no order.

What is sent, and how it is signed: Standard Webhooks 1.0 (standardwebhooks.com), whose schedule of tries this is too.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from urllib.parse import urlsplit

from billing.hosts import Reach
from rates.cards import instant
from rates.errors import Fault, TollbookError


class EndpointUnknownError(TollbookError):
    """There is no such endpoint; `value` is the id."""


class EndpointDisabledError(TollbookError):
    """Something is to be sent to an endpoint that is disabled; `value` is the id."""


class EndpointUnchangedError(TollbookError):
    """An endpoint is as it was asked to become; `value` is the id."""


class DeliveryUnknownError(TollbookError):
    """A message was never to be sent to an endpoint; `value` is the message's id."""


class DeliveryStateError(TollbookError):
    """A step that a delivery's state does not allow."""


class MessageType(StrEnum):
    """What a message tells."""

    INVOICE_ISSUED = "invoice.issued"
    CREDIT_NOTE_ISSUED = "credit_note.issued"
    TRIGGER_FIRED = "usage.trigger.fired"
    ENDPOINT_DISABLED = "webhook.disabled"
    """Nobody answered there for long, or 410: told to the operator's other endpoints."""
    TEST = "webhook.test"
    """Sent to one endpoint, by whoever tries it."""


OPERATORS = frozenset({MessageType.ENDPOINT_DISABLED})
"""Messages that no account's endpoint gets."""

UNASKED = frozenset({MessageType.TEST})
"""Messages that are sent to one endpoint whatever it wants."""


class State(StrEnum):
    """Where a delivery stands: never tried; failed and tried again; taken; given up, until somebody replays it."""

    PENDING = "pending"
    RETRY = "retry"
    DELIVERED = "delivered"
    DEAD = "dead"


class Step(StrEnum):
    """What moves a delivery on: an answer, the end of the schedule, the end of its endpoint, or a person."""

    TAKEN = "taken"
    FAILED = "failed"
    EXHAUSTED = "exhausted"
    WITHDRAWN = "withdrawn"
    REPLAYED = "replayed"


LIFE_CYCLE = {
    (State.PENDING, Step.TAKEN): State.DELIVERED,
    (State.PENDING, Step.FAILED): State.RETRY,
    (State.PENDING, Step.EXHAUSTED): State.DEAD,
    (State.PENDING, Step.WITHDRAWN): State.DEAD,
    (State.RETRY, Step.TAKEN): State.DELIVERED,
    (State.RETRY, Step.FAILED): State.RETRY,
    (State.RETRY, Step.EXHAUSTED): State.DEAD,
    (State.RETRY, Step.WITHDRAWN): State.DEAD,
    (State.DELIVERED, Step.REPLAYED): State.PENDING,
    (State.DEAD, Step.REPLAYED): State.PENDING,
}
"""(state, step) -> the next state. What is not here cannot happen."""

OPEN = (State.PENDING, State.RETRY)
"""States in which a delivery will be tried."""


def after(state: State, step: Step) -> State:
    """The state that a step leads to. Raises DeliveryStateError where there is no such step."""
    reached = LIFE_CYCLE.get((state, step))
    if reached is None:
        raise DeliveryStateError(f"no {step} from here", value=state, remedy="replay begins a delivery anew")
    return reached


RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""How long after each failure the next try is; after one more failure a delivery is dead (Standard Webhooks 1.0)."""

LATER = 5
"""A try comes later by up to this part of its wait, by chance: what failed together is not tried together again."""

LONGEST_ASKED = timedelta(hours=1)
"""For how long an endpoint that answers `Retry-After` is left alone, at most."""

KEPT = timedelta(days=90)
"""How long it is kept what came of a message after it was delivered or died; replays reach as far back."""

FAILING_FOR = timedelta(days=5)
"""An endpoint that took nothing for so long, while something was tried there, is disabled."""

OVERLAP = timedelta(hours=24)
"""How long the secret before a new one still signs, unless somebody says otherwise."""

GONE = 410
"""The answer by which an endpoint says that it wants nothing more, ever (Standard Webhooks 1.0)."""

BUSY = frozenset({429, 503})
"""The answers that may say when to come again (RFC 9110, 10.2.3; RFC 6585, 4)."""

_TAKEN = range(200, 300)
_MOST_DIGITS = 9

Chance = Callable[[int], int]
"""A whole number from 0 up to the one that is given, which it does not come to."""


class Why(StrEnum):
    """Why an endpoint is disabled: somebody did it; it answered 410; it failed for too long; it was removed."""

    ASKED = "asked"
    GONE = "gone"
    FAILING = "failing"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where messages go. No `types` are all; no `account` is the operator's, of all accounts.

    An account's endpoint is told of the account and of those below it. `failing_since`: the first failure after the
    last message that was taken.
    """

    id: str
    url: str
    types: tuple[MessageType, ...]
    account: str
    description: str
    created_at: datetime
    disabled_at: datetime | None = None
    disabled_why: Why | None = None
    failing_since: datetime | None = None

    def is_failing(self, at: datetime) -> bool:
        """Whether it failed for so long that it is to be disabled."""
        return self.failing_since is not None and at >= self.failing_since + FAILING_FOR


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAsked:
    """An endpoint as somebody asks for it; nothing of it is checked. No `types` are all, no `account` is everybody."""

    url: str
    types: Sequence[str] = ()
    account: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something to tell. `subject` is what it is about: of a type, each subject is told once.

    `account` is whose it is, "" nobody's. `data` are plain values: texts, whole numbers, money as decimal texts.
    """

    type: MessageType
    subject: str
    account: str
    at: datetime
    data: Mapping[str, object]

    def body(self) -> str:
        """The text that is sent and signed (Standard Webhooks: type, timestamp, data)."""
        told = {"type": self.type, "timestamp": instant(self.at), "data": self.data}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One try of a delivery: where to, what, by which secrets. `id` is the `webhook-id`, `claim` is the try's own."""

    endpoint: str
    id: str
    claim: int
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a try: the status and the beginning of what was said, or (status 0) the problem in words.

    `asked`: for how long the endpoint asks to be left alone.
    """

    status: int = 0
    said: str = ""
    problem: str = ""
    asked: timedelta = timedelta()

    @property
    def is_taken(self) -> bool:
        """Whether the message arrived."""
        return self.status in _TAKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What an answer makes of a delivery: its state, and when it is tried again."""

    state: State
    at: datetime | None


def asked_of(status: int, retry_after: str, at: datetime) -> timedelta:
    """For how long an answer at an instant asks to be left alone, by its `Retry-After`: seconds, or a date of HTTP.

    What is neither asks for nothing, and for longer than `LONGEST_ASKED` is not left alone.
    """
    if status not in BUSY:
        return timedelta()
    if retry_after.isascii() and retry_after.isdecimal():
        asked = timedelta(seconds=int(retry_after[-_MOST_DIGITS:]))
        return LONGEST_ASKED if len(retry_after) > _MOST_DIGITS else min(asked, LONGEST_ASKED)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # no date, or one of numbers that no date has
        return timedelta()
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    return min(max(until - at, timedelta()), LONGEST_ASKED)


def next_of(state: State, failures: int, answer: Answer, at: datetime, chance: Chance) -> Next:
    """What becomes of a delivery in `state`, of which `failures` tries failed before this answer."""
    if answer.is_taken:
        return Next(state=after(state, Step.TAKEN), at=None)
    if answer.status == GONE:
        return Next(state=after(state, Step.WITHDRAWN), at=None)
    if failures >= len(RETRY_AFTER):
        return Next(state=after(state, Step.EXHAUSTED), at=None)
    wait = max(RETRY_AFTER[failures], answer.asked)
    later = timedelta(milliseconds=chance(wait // LATER // timedelta(milliseconds=1) + 1))
    return Next(state=after(state, Step.FAILED), at=at + wait + later)


# --- what an endpoint is made from --------------------------------------------------------------------------

LONGEST_URL = 2000
LONGEST_DESCRIPTION = 200


def types_of(names: Sequence[str]) -> tuple[tuple[MessageType, ...], list[Fault]]:
    """The types that are named, in their order, each once; and what is no type."""
    known = [each for each in MessageType if each not in UNASKED]
    remedy = f"use {', '.join(known)}"
    faults = [
        Fault(place="types", value=name, problem="is not one", remedy=remedy) for name in names if name not in known
    ]
    return tuple(each for each in known if each in names), faults


def url_faults(url: str, reach: Reach) -> Iterator[Fault]:
    """What is wrong with an endpoint's address as far as it says by itself; names are looked up when it is used."""
    place = "url"
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        remedy = f"write it in printable ASCII, at most {LONGEST_URL} characters; names of other letters as xn--"
        yield Fault(place=place, value=url, problem="is not an address that can be posted to", remedy=remedy)
        return
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in {"https", "http"} or not host or port == 0:
        yield Fault(place=place, value=url, problem="is not an address of HTTPS", remedy="write https://host/path")
        return
    if parts.scheme == "http" and not reach.http:
        remedy = "use https; TOLLBOOK_WEBHOOKS_HTTP=true allows http, for development"
        yield Fault(place=place, value=url, problem="is not encrypted", remedy=remedy)
    if parts.username is not None or parts.password is not None or parts.fragment:
        problem, remedy = "has a user, a password or a fragment", "leave them out: messages are signed"
        yield Fault(place=place, value=url, problem=problem, remedy=remedy)
    if (why := reach.refused(host)) is not None:
        yield Fault(place=place, value=host, problem=why, remedy=Reach.REMEDY)
