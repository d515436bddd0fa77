"""Callers: let in by what the keys were a second ago at most, in every process, and at no cost to the request."""

import multiprocessing
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from threading import Barrier, Thread, current_thread
from typing import NamedTuple

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import event

from billing.flows.keyring import FRESH_SECONDS, RENEWED_SECONDS, KeyRing
from billing.flows.keys import revoke_key, rotate_key, settle_mode
from billing.keys import Issued, Key, KeyProblem, Mode, Refusal, new_token
from billing.store.engine import Engine, open_engine, snapshot
from billing.store.queries.keys import listed_keys
from tests.keyed import add, grant, secret
from tests.relaying import silent
from tests.shop import AT

SECOND = timedelta(seconds=1)
NOBODY = new_token(Mode.TEST, secret(99)).text


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Counted(NamedTuple):
    """An engine, and the threads that asked it, each time."""

    engine: Engine
    asked: list[str]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counted(engine: Engine) -> Iterator[Counted]:
    """The same database through an engine of its own, whose uses are counted."""
    own, asked = open_engine(engine.url.render_as_string(hide_password=False), connections=2), list[str]()
    event.listen(own, "checkout", lambda *_: asked.append(current_thread().name))
    yield Counted(own, asked)
    own.dispose()


@pytest.fixture
def issued(engine: Engine) -> Issued:
    return add(engine, 1)


@pytest.fixture
def ring(counted: Counted, clock: Clock) -> KeyRing:
    return KeyRing(engine=counted.engine, mode=Mode.TEST, clock=clock)


def revoke(engine: Engine, name: str = "switch-1") -> None:
    revoke_key(engine, name, at=AT, actor="operator")


def refusal(found: Key | KeyProblem) -> Refusal | None:
    return found.refusal if isinstance(found, KeyProblem) else None


def used(engine: Engine) -> datetime | None:
    with snapshot(engine) as connection:
        return listed_keys(connection)[0].last_used_at


def test_a_token_is_its_key(ring: KeyRing, issued: Issued) -> None:
    assert issued.key == ring.find(issued.token.text, AT)


def test_what_can_be_told_without_asking_is_a_live_key_of_a_fresh_view(
    ring: KeyRing, clock: Clock, counted: Counted, engine: Engine, issued: Issued
) -> None:
    """`seen` never asks the database: it is for a loop that must not wait."""
    token = issued.token.text
    assert ring.seen(token, AT) is None, "there is no view yet"
    ring.renew()
    counted.asked.clear()
    assert [issued.key, None, None] == [ring.seen(each, AT) for each in (token, NOBODY, "é" * 1_000)]
    clock.seconds = FRESH_SECONDS
    assert issued.key == ring.seen(token, AT)
    clock.seconds = FRESH_SECONDS + 0.001
    assert ring.seen(token, AT) is None, "the view is too old"
    assert [] == counted.asked
    revoke(engine)
    ring.renew()
    assert ring.seen(token, AT) is None, "it is revoked"
    ring.note()
    assert AT == used(engine)


def test_what_is_no_live_key_is_refused_with_the_reason(ring: KeyRing, engine: Engine, issued: Issued) -> None:
    other = new_token(Mode.LIVE, secret(1)).text
    assert [Refusal.MALFORMED, Refusal.OTHER_MODE, Refusal.UNKNOWN] == [
        refusal(ring.find(token, AT)) for token in ("secret", other, NOBODY)
    ]
    rotate_key(engine, "switch-1", secret(2), old_ends=AT + SECOND, at=AT, actor="operator")
    ring.renew()
    assert [None, Refusal.REPLACED] == [refusal(ring.find(issued.token.text, AT + n * SECOND)) for n in (0, 1)]
    assert issued.token.text not in f"{ring.find(issued.token.text, AT + SECOND)}{ring!r}"


def test_a_key_that_is_revoked_is_refused_by_a_view_of_a_second(
    ring: KeyRing, clock: Clock, engine: Engine, issued: Issued
) -> None:
    assert None is refusal(ring.find(issued.token.text, AT))
    revoke(engine)
    clock.seconds = FRESH_SECONDS
    assert None is refusal(ring.find(issued.token.text, AT)), "the view is kept"
    clock.seconds = FRESH_SECONDS + 0.001
    assert Refusal.REVOKED is refusal(ring.find(issued.token.text, AT))


@pytest.mark.parametrize("wrong", [timedelta(days=-400), timedelta(days=400)])
def test_a_clock_on_the_wall_that_is_wrong_makes_no_view_older(
    wrong: timedelta, ring: KeyRing, clock: Clock, engine: Engine, issued: Issued
) -> None:
    ring.find(issued.token.text, AT)
    revoke(engine)
    clock.seconds = FRESH_SECONDS + 0.001
    assert Refusal.REVOKED is refusal(ring.find(issued.token.text, AT + wrong))


def test_a_new_key_is_good_at_once(ring: KeyRing, clock: Clock, engine: Engine, issued: Issued) -> None:
    ring.find(issued.token.text, AT)
    new = add(engine, 2, grant("b"))
    clock.seconds = 0.021
    assert new.key == ring.find(new.token.text, AT)


def test_guessing_asks_the_database_fifty_times_a_second_at_most(
    ring: KeyRing, clock: Clock, counted: Counted, issued: Issued
) -> None:
    ring.find(issued.token.text, AT)
    counted.asked.clear()
    for step in range(1_001):
        clock.seconds = step / 1_000
        ring.find(NOBODY, AT)
    assert 40 < len(counted.asked) <= 50
    counted.asked.clear()
    for token in ("x" * 43, new_token(Mode.LIVE, secret(1)).text):
        clock.seconds += 100
        ring.find(token, AT)
    assert [] == counted.asked, "what cannot be a key asks nothing"


def test_a_view_is_read_again_only_if_keys_have_changed(ring: KeyRing, clock: Clock, engine: Engine) -> None:
    token, *_ = [add(engine, number, grant(f"k{number}")).token.text for number in range(3)]

    def found() -> Key | KeyProblem:
        clock.seconds += 10
        return ring.find(token, AT)

    before = found()
    assert found() is before
    for change in (lambda: revoke(engine, "k1"), lambda: add(engine, 4, grant("k4"))):
        change()
        assert found() is not before
        before = found()
        assert found() is before


def test_many_callers_of_an_old_view_read_it_once(
    ring: KeyRing, clock: Clock, counted: Counted, issued: Issued
) -> None:
    ring.find(issued.token.text, AT)
    clock.seconds = 10
    counted.asked.clear()
    ready, found = Barrier(16), list[Refusal | None]()

    def work() -> None:
        ready.wait()
        found.append(refusal(ring.find(issued.token.text, AT)))

    threads = [Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ([None] * 16, 1) == (found, len(counted.asked))


def test_without_a_database_nobody_is_let_in_by_an_old_view(ring: KeyRing, clock: Clock, issued: Issued) -> None:
    ring.find(issued.token.text, AT)
    ring.engine = open_engine("postgresql://127.0.0.1:1/nowhere?connect_timeout=1")
    assert None is refusal(ring.find(issued.token.text, AT))
    clock.seconds = FRESH_SECONDS + 0.001
    with pytest.raises((psycopg.OperationalError, sqlalchemy.exc.OperationalError)):
        ring.find(issued.token.text, AT)


def test_of_callers_that_wait_for_a_silent_database_none_waits_for_those_before_it(ring: KeyRing) -> None:
    refused: list[Exception] = []

    def ask() -> None:
        try:
            ring.find(NOBODY, AT)
        except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
            refused.append(error)

    with silent() as port:
        ring.engine = open_engine(f"postgresql://127.0.0.1:{port}/nowhere?connect_timeout=2", connections=1)
        callers = [Thread(target=ask) for _ in range(6)]
        began = time.monotonic()
        for each in callers:
            each.start()
        for each in callers:
            each.join()
    assert 6 == len(refused)
    assert time.monotonic() - began < 6


def test_uses_are_noted_once_a_minute_and_not_by_requests(
    ring: KeyRing, counted: Counted, engine: Engine, issued: Issued
) -> None:
    token = issued.token.text
    ring.find(token, AT)
    ring.find(NOBODY, AT)
    assert used(engine) is None
    noted = []
    counted.asked.clear()
    for seconds in (0, 1, 59, 60, 61, 119, 125, 184, 185):
        ring.find(token, AT + seconds * SECOND)
        ring.note()
        found = used(engine)
        assert found is not None
        noted.append((found - AT).seconds)
    assert [0, 0, 0, 60, 60, 60, 125, 125, 185] == noted
    assert 4 == len(counted.asked), "one question for each that is due"


def test_two_processes_note_a_use_once_a_minute_together(
    ring: KeyRing, counted: Counted, engine: Engine, issued: Issued
) -> None:
    """What another process noted holds: it is not noted again before a minute has passed, nor later than that."""
    other = KeyRing(engine=counted.engine, mode=Mode.TEST)
    noted = []
    for each, seconds in ((ring, 0), (other, 30), (other, 59), (ring, 59), (other, 60), (ring, 61), (ring, 120)):
        each.find(issued.token.text, AT + seconds * SECOND)
        each.note()
        found = used(engine)
        assert found is not None
        noted.append((found - AT).seconds)
    assert [0, 0, 0, 0, 60, 60, 120] == noted


def test_a_refused_key_is_not_used(ring: KeyRing, engine: Engine, issued: Issued) -> None:
    revoke(engine)
    ring.find(issued.token.text, AT)
    ring.note()
    assert used(engine) is None


def test_in_a_service_views_renew_themselves_and_uses_are_noted_to_the_end(
    counted: Counted, engine: Engine, issued: Issued
) -> None:
    ring = KeyRing(engine=counted.engine, mode=Mode.TEST)
    with ring:
        ring.find(issued.token.text, AT)
        time.sleep(RENEWED_SECONDS * 1.5)
        assert AT == used(engine)
        revoke(engine)
        time.sleep(RENEWED_SECONDS * 1.5)
        counted.asked.clear()
        assert Refusal.REVOKED is refusal(ring.find(issued.token.text, AT))
        assert {"keyring"} >= {*counted.asked}, "the caller did not wait"
        other = add(engine, 2, grant("a"))
        ring.renew()
        assert other.key == ring.find(other.token.text, AT + SECOND)
    assert AT + SECOND == used(engine)


def test_a_service_goes_on_after_the_database_was_away(engine: Engine, counted: Counted, issued: Issued) -> None:
    heard: list[Exception] = []
    away = open_engine("postgresql://127.0.0.1:1/nowhere?connect_timeout=1")
    ring = KeyRing(engine=away, mode=Mode.TEST, troubled=heard.append)
    with ring:
        time.sleep(RENEWED_SECONDS * 1.5)
        assert isinstance(heard[0], psycopg.OperationalError | sqlalchemy.exc.OperationalError)
        ring.engine = counted.engine
        ring.find(issued.token.text, AT)
        time.sleep(RENEWED_SECONDS * 1.5)
        assert AT == used(engine)


def serve(url: str, token: str, pipe: Connection) -> None:
    """A process that is asked all the time: says when it first lets the token in, and when it first does not."""
    engine = open_engine(url, connections=1)
    with KeyRing(engine=engine, mode=Mode.TEST) as ring:
        for wanted in (None, Refusal.REVOKED):
            while refusal(ring.find(token, AT)) is not wanted:
                time.sleep(0.002)
            pipe.send(time.monotonic())
    engine.dispose()


def test_every_process_refuses_a_revoked_key_within_a_second(engine: Engine) -> None:
    """Five keys in turn in two processes: each is let in as soon as it is there, and refused a second later at most."""
    settle_mode(engine, Mode.TEST, AT)
    url = engine.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.billing.flows.test_keyring"])
    delays = []
    for number in range(5):
        token = new_token(Mode.TEST, secret(number)).text
        pipes = [context.Pipe(duplex=False) for _ in range(2)]
        processes = [context.Process(target=serve, args=(url, token, ours)) for _, ours in pipes]
        for process in processes:
            process.start()
        time.sleep(0.3 + number / 7)  # at another moment between two views
        added = time.monotonic()
        add(engine, number)
        let_in = [theirs.recv() for theirs, _ in pipes]
        revoke(engine)
        revoked = time.monotonic()
        refused = [theirs.recv() for theirs, _ in pipes]
        delays += [each - revoked for each in refused]
        for process in processes:
            process.join()
        assert [0, 0] == [process.exitcode for process in processes]
        assert all(each >= added for each in let_in)
    assert max(delays) <= 1, delays
