"""The work that nobody waits for: rounds of it, each on a schedule of its own, and the loop of a worker over them.

Every round runs in a thread of its own, so that none waits for another, and any number of workers may run at once: a
round either takes what nobody else has (as folding does), or is `alone`, one worker's at a time. What goes wrong in a
round is told and tried again, later each time; it ends the loop only where the schema is another program's, which
nothing but another program mends.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import randrange
from threading import Event, Thread

from billing.errors import SchemaMismatchError
from billing.flows.deliver import FORGOTTEN, Send, deliver, forget_ended
from billing.flows.fold import CHANGES_AT_ONCE, fold_once
from billing.flows.post import post_charges
from billing.flows.repeat import forget_old
from billing.flows.watch import EVERY, Watched, Watcher
from billing.flows.watch import rest as rest_of_watching
from billing.periods import Period
from billing.receipts import Outcome
from billing.skew import skew, skew_warning
from billing.store.compiled import CompiledCards
from billing.store.engine import Engine, snapshot, transaction
from billing.store.migrate import check_schema
from billing.store.partitions import make_partitions, months_missing
from billing.store.queries.health import clock_of
from billing.store.rounds import try_round
from billing.webhooks import Chance
from rates.products import Product

MONTHS_AHEAD = 3
"""Months after the present one that have their partitions before anything of them is reported."""

_FIRST_WAIT = timedelta(seconds=1)
_LONGEST_WAIT = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a round did: how many of what it is about, whether more is there to do now, what a person should know."""

    count: int = 0
    more: bool = False
    warning: str = ""


Work = Callable[[Engine, datetime], Done]
"""One round of some work, at an instant. Safe to repeat and to be killed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Work by name, how long it rests when there is no more to do, and whether one worker at a time is enough.

    `resting`: how long it rests after it took so long, where that is not `every`.
    """

    name: str
    every: timedelta
    work: Work
    alone: bool = False
    resting: Callable[[timedelta], timedelta] | None = None


class Ending(StrEnum):
    """How a turn of a round ended. `elsewhere`: another worker was at it."""

    DONE = "done"
    ELSEWHERE = "elsewhere"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of a round: when, how long it took, how it ended; `failures` counts those in a row up to this one."""

    round: Round
    at: datetime
    took: timedelta
    ending: Ending
    done: Done = Done()
    error: Exception | None = None
    failures: int = 0

    @property
    def rest(self) -> timedelta:
        """How long to wait until the next turn: longer after each failure, not at all while there is more to do."""
        if self.error is not None:
            return min(_FIRST_WAIT * (1 << min(self.failures - 1, 16)), _LONGEST_WAIT)
        if self.done.more:
            return timedelta(0)
        return self.round.every if self.round.resting is None else self.round.resting(self.took)


Tell = Callable[[Turn], None]
Clock = Callable[[], datetime]


def rounds(
    products: Mapping[str, Product],
    clock: Clock,
    kept: CompiledCards | None = None,
    *,
    send: Send | None = None,
    chance: Chance = randrange,
) -> tuple[Round, ...]:
    """What every worker does. `kept`: where compiled cards are kept. `send`: how webhooks leave; without it none do.

    By `chance` webhooks that failed are tried somewhat later than their schedule says.
    """

    def post(engine: Engine, at: datetime) -> Done:
        return _post(engine, at, products, kept)

    def tell(engine: Engine, _: datetime) -> Done:
        return Done() if send is None else _deliver(engine, send, clock, chance)

    watchers: dict[Engine, Watcher] = {}

    def watch(engine: Engine, at: datetime) -> Done:
        if engine not in watchers:
            watchers[engine] = Watcher(engine=engine, products=products)
        return _watched(watchers[engine].round(at))

    def compare(engine: Engine, _: datetime) -> Done:
        return _compare(engine, clock)

    return (
        Round(name="schema", every=timedelta(seconds=10), work=_check),
        Round(name="fold", every=_SECOND, work=_fold),
        Round(name="limits", every=EVERY, work=watch, alone=True, resting=rest_of_watching),
        Round(name="partitions", every=timedelta(hours=6), work=_make_partitions, alone=True),
        Round(name="charges", every=timedelta(hours=1), work=post, alone=True),
        Round(name="repeats", every=timedelta(hours=1), work=_forget, alone=True),
        Round(name="deliveries", every=timedelta(hours=1), work=_forget_ended, alone=True),
        Round(name="clock", every=timedelta(minutes=1), work=compare),
        *(() if send is None else (Round(name="webhooks", every=_SECOND, work=tell),)),
    )


def work(engine: Engine, found: Sequence[Round], *, clock: Clock, stopping: Event, tell: Tell = lambda _: None) -> None:
    """Take turns at all rounds until `stopping` is set, and then finish the turns that have begun.

    `tell` hears of each turn, from several threads. Raises SchemaMismatchError where the schema is another program's.
    """
    ends: list[BaseException] = []

    def keep_on(each: Round) -> None:
        failures = 0
        try:
            while not stopping.is_set():
                turn = take_turn(engine, each, clock(), failures)
                failures = turn.failures
                tell(turn)
                stopping.wait(turn.rest.total_seconds())
        except BaseException as error:  # noqa: BLE001 (raised again by whoever waits for the thread)
            ends.append(error)
            stopping.set()

    threads = [Thread(target=keep_on, args=[each], name=each.name) for each in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if ends:
        raise ends[0]


def work_once(engine: Engine, found: Sequence[Round], *, clock: Clock, tell: Tell = lambda _: None) -> list[Turn]:
    """Take turns at each round, one after the other, until none has more to do; the last turn of each.

    Raises SchemaMismatchError where the schema is another program's.
    """
    last: list[Turn] = []
    for each in found:
        while True:
            turn = take_turn(engine, each, clock())
            tell(turn)
            if turn.error is not None or not turn.done.more:
                break
        last.append(turn)
    return last


def take_turn(engine: Engine, each: Round, at: datetime, failures: int = 0) -> Turn:
    """One turn of a round, after so many failures in a row. What goes wrong in it is a part of the turn.

    Raises SchemaMismatchError where the schema is another program's.
    """
    began = time.monotonic()
    done, error, ending = Done(), None, Ending.DONE
    try:
        with _mine(engine, each) as is_mine:
            if is_mine:
                done = each.work(engine, at)
            else:
                ending = Ending.ELSEWHERE
    except SchemaMismatchError:
        raise
    except Exception as failure:  # noqa: BLE001 (of one round, which is tried again, and no other's trouble)
        error, ending, failures = failure, Ending.FAILED, failures + 1
    took = timedelta(seconds=time.monotonic() - began)
    failures = failures if error else 0
    return Turn(round=each, at=at, took=took, ending=ending, done=done, error=error, failures=failures)


def months_ahead(at: datetime) -> list[Period]:
    """The month of an instant and those after it that have their partitions ahead of time."""
    months = [Period.at(at)]
    while len(months) <= MONTHS_AHEAD:
        months.append(months[-1].next())
    return months


@contextmanager
def _mine(engine: Engine, each: Round) -> Iterator[bool]:
    """Whether a turn is this worker's, which it stays to the end."""
    if not each.alone:
        yield True
        return
    with transaction(engine) as holding:
        yield try_round(holding, each.name)


def _check(engine: Engine, _: datetime) -> Done:
    check_schema(engine)
    return Done()


def _fold(engine: Engine, _: datetime) -> Done:
    folded = fold_once(engine)
    return Done(count=folded.changes, more=folded.changes >= CHANGES_AT_ONCE)


def _post(engine: Engine, at: datetime, products: Mapping[str, Product], kept: CompiledCards | None) -> Done:
    counts = post_charges(engine, products, at=at, kept=kept)
    waiting = counts.get(Outcome.QUARANTINED, 0)
    warning = f"{waiting:,} charges wait in quarantine: `tollbook usage quarantine` says why" if waiting else ""
    return Done(count=counts.get(Outcome.ACCEPTED, 0) + waiting, warning=warning)


def _deliver(engine: Engine, send: Send, clock: Clock, chance: Chance) -> Done:
    """Few of each endpoint at a time: a worker that is asked to end does so soon."""
    done = deliver(engine, send, clock, chance, turn=10)
    said = [f"{each} is disabled: `tollbook webhooks list` says why" for each in done.disabled]
    if done.dead:
        said.append(f"dead letters: {done.dead:,}; `tollbook webhooks deliveries --state dead` lists them")
    return Done(count=done.delivered, more=done.delivered > 0, warning="; ".join(said))


def _watched(found: Watched) -> Done:
    lost = [f"{account}: {why}" for account, why in found.failed.items()]
    warning = f"what usage comes to cannot be told of {len(lost):,} accounts, as of {lost[0]}" if lost else ""
    return Done(count=found.looked_at, warning=warning)


def _make_partitions(engine: Engine, at: datetime) -> Done:
    months = [each.start for each in months_ahead(at)]
    with transaction(engine) as connection:
        missing = months_missing(connection, months)
        make_partitions(connection, sorted(missing))
    return Done(count=len(missing))


def _forget(engine: Engine, at: datetime) -> Done:
    return Done(count=forget_old(engine, at))


def _forget_ended(engine: Engine, at: datetime) -> Done:
    forgotten = forget_ended(engine, at)
    return Done(count=forgotten, more=forgotten >= FORGOTTEN)


def _compare(engine: Engine, clock: Clock) -> Done:
    with snapshot(engine) as connection:
        before = clock()
        theirs = clock_of(connection)
    return Done(warning=skew_warning(skew(theirs, before, clock())))
