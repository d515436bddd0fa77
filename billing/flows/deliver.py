"""Deliver webhooks: one round takes what is due, sends it, and notes what was answered.

A claim is committed before anything is sent and its end is noted after the answer, so nothing is sent within a
transaction, two workers never try one delivery at once, and a worker that dies in between leaves a claim that ends by
itself: the message is then sent again, with the same id. Every message arrives at least once or is a dead letter.

An endpoint has its turn in a thread of its own, so that one which does not answer holds nobody else up; what is left of
a turn after a failure is given back, so that such an endpoint costs one wait a round, not one for each message. An
endpoint that asks to be left alone for a while gets no turn until then.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from billing.store.audit import record
from billing.store.deliveries import claim, forget, give_back, lock_delivery, move_on, write_attempt
from billing.store.engine import Connection, Engine, transaction
from billing.store.webhooks import disable, emit, leave_alone, lock_endpoint, set_failing
from billing.webhooks import (
    GONE,
    KEPT,
    OPEN,
    Answer,
    Chance,
    Endpoint,
    Message,
    MessageType,
    Outgoing,
    State,
    Why,
    next_of,
)
from rates.cards import instant

Send = Callable[[Outgoing, datetime], Answer]
"""Signs and posts one message, stamped with an instant; a failure is an answer, never raised."""

Clock = Callable[[], datetime]

LEASE = timedelta(minutes=5)
"""How long a claim holds. A turn begins nothing in the last part of it, which is longer than a try may take."""

_MARGIN = timedelta(minutes=2)

TURN = 100
"""Messages that an endpoint gets in a round."""

MOST = 500
"""Messages that a round takes."""

FORGOTTEN = 10_000
"""How many tries, and deliveries, are forgotten at once."""

ACTOR = "webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What a round did: tries that arrived, that will be tried again, that were the last; endpoints it disabled."""

    delivered: int = 0
    retried: int = 0
    dead: int = 0
    disabled: tuple[str, ...] = ()

    def __add__(self, other: "Delivered") -> "Delivered":
        """What two rounds did."""
        return Delivered(
            delivered=self.delivered + other.delivered,
            retried=self.retried + other.retried,
            dead=self.dead + other.dead,
            disabled=tuple(sorted({*self.disabled, *other.disabled})),
        )

    @property
    def tried(self) -> int:
        """How many tries there were."""
        return self.delivered + self.retried + self.dead


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noted:
    state: State
    disabled: str = ""


def deliver_all(engine: Engine, send: Send, clock: Clock, chance: Chance) -> Delivered:
    """Rounds until one comes in which nothing arrives."""
    done = last = deliver(engine, send, clock, chance)
    while last.delivered:
        last = deliver(engine, send, clock, chance)
        done += last
    return done


def deliver(
    engine: Engine,
    send: Send,
    clock: Clock,
    chance: Chance,
    *,
    threads: int = 16,
    turn: int = TURN,
    most: int = MOST,
    only: tuple[str, str] | None = None,
) -> Delivered:
    """One round over what is due; `only` one endpoint's one message. Safe to repeat, run many at once, and kill.

    By `chance` what failed is tried somewhat later than the schedule says.
    """
    at = clock()
    until = at + LEASE
    with transaction(engine) as connection:
        claimed = claim(connection, at, until, turn=turn, most=most, only=only)
    turns = [list(each) for _, each in groupby(claimed, key=lambda each: each.endpoint)]
    if not turns:
        return Delivered()
    with ThreadPoolExecutor(max_workers=min(threads, len(turns)), thread_name_prefix="webhooks") as pool:
        done = pool.map(lambda each: _take_turn(engine, send, clock, chance, each, until - _MARGIN), turns)
        noted = [each for of_turn in done for each in of_turn]
    states = [each.state for each in noted]
    return Delivered(
        delivered=states.count(State.DELIVERED),
        retried=states.count(State.RETRY),
        dead=states.count(State.DEAD),
        disabled=tuple(sorted(each.disabled for each in noted if each.disabled)),
    )


def forget_ended(engine: Engine, at: datetime) -> int:
    """Forget what came of messages that ended long ago, some of it. Gives how many tries and deliveries that is."""
    with transaction(engine) as connection:
        return forget(connection, at - KEPT, most=FORGOTTEN)


def _take_turn(
    engine: Engine, send: Send, clock: Clock, chance: Chance, messages: Sequence[Outgoing], last_start: datetime
) -> list[_Noted]:
    """Send the messages of one endpoint, until it fails or the claims are about to end."""
    noted: list[_Noted] = []
    for each in messages:
        at = clock()
        if at >= last_start:
            break
        answer = send(each, at)
        noted.append(_note(engine, each, answer, clock(), chance))
        if not answer.is_taken:
            break
    if len(noted) < len(messages):
        with transaction(engine) as connection:
            give_back(connection, messages[len(noted) :])
    return noted


def _note(engine: Engine, sent: Outgoing, answer: Answer, at: datetime, chance: Chance) -> _Noted:
    """Write what was answered, what becomes of the delivery, and of the endpoint.

    Who changes an endpoint or its deliveries locks the endpoint first. Of a claim that has ended, and that another
    worker may have taken, only an arrival counts.
    """
    with transaction(engine) as connection:
        endpoint = lock_endpoint(connection, sent.endpoint)
        state, failures, claimed = lock_delivery(connection, sent)
        write_attempt(connection, sent, at, answer.status, answer.said, answer.problem)
        if state in OPEN and (claimed or answer.is_taken):
            reached = next_of(state, failures, answer, at, chance)
            state = reached.state
            move_on(connection, sent, reached, failures + (not answer.is_taken), at)
        if answer.asked:
            leave_alone(connection, sent.endpoint, at + answer.asked)
        disabled = endpoint is not None and endpoint.disabled_at is None and _judge(connection, endpoint, answer, at)
    return _Noted(state=state, disabled=sent.endpoint if disabled else "")


def _judge(connection: Connection, endpoint: Endpoint, answer: Answer, at: datetime) -> bool:
    """Keep whether an endpoint fails, and disable one that failed for too long or says that it is gone."""
    if answer.is_taken:
        set_failing(connection, endpoint.id, None)
        return False
    if answer.status != GONE and not endpoint.is_failing(at):
        set_failing(connection, endpoint.id, endpoint.failing_since or at)
        return False
    why = Why.GONE if answer.status == GONE else Why.FAILING
    withdrawn = disable(connection, endpoint.id, why, at)
    since = endpoint.failing_since or at
    facts = {
        "endpoint": endpoint.id,
        "url": endpoint.url,
        "account": endpoint.account or None,
        "reason": why.value,
        "failing_since": instant(since),
    }
    subject = f"{endpoint.id} {instant(at)}"
    emit(connection, [Message(type=MessageType.ENDPOINT_DISABLED, subject=subject, account="", at=at, data=facts)])
    details = {"reason": why.value, "failing_since": instant(since), "withdrawn": withdrawn}
    record(connection, at=at, actor=ACTOR, action="webhooks.disable", subject=endpoint.id, details=details)
    return True
