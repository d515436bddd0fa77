"""Gathering: requests share transactions, each is answered for itself, and only for what is committed."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from billing.charges import SourceReservedError
from billing.chunks import EVENTS_A_CHUNK
from billing.errors import IntakeClosedError, QueueFullError, StoreAwayError
from billing.flows.gather import EVENTS_A_GROUP, WORTH_MAKING_READY, WRITERS, Answer, Committed, Gathering, Room
from billing.flows.ingest import Intake
from billing.receipts import Result
from billing.store.embedded import StopMode, create_database, ensure_running, stop
from billing.store.engine import open_engine, transaction
from billing.store.migrate import migrate
from tests.conftest import THROW_AWAY, NewCluster
from tests.shop import AT, SOURCE, Shop, call, payloads, products

SOON = 30
"""Seconds after which a test that waits for an answer has failed."""


class Door:
    """A gathering in front of a shop, and the groups that it has committed."""

    def __init__(self, shop: Shop, *, room: Room | None = None, patience_seconds: float = 10) -> None:
        self.groups: list[Committed] = []
        self.ending = ExitStack()
        gathering = Gathering(
            Intake(engine=shop.engine, products=products(), source=None),
            lambda: AT,
            room=room,
            patience_seconds=patience_seconds,
            on_commit=self.groups.append,
        )
        self.gathering = self.ending.enter_context(gathering)

    def close(self) -> None:
        self.ending.close()

    def post(self, *events: Mapping[str, object], source: str | None = SOURCE) -> Answer:
        return self.gathering.submit(payloads(events), source)


def outcomes(results: Sequence[Result]) -> list[str]:
    """The outcomes of results."""
    return [each.outcome for each in results]


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")


@pytest.fixture
def doors() -> Iterator[Callable[..., Door]]:
    """Makes doors, which are closed with the test."""
    made: list[Door] = []

    def make(shop: Shop, **how: object) -> Door:
        made.append(Door(shop, **how))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for door in made:
        door.close()


@pytest.fixture
def door(shop: Shop, doors: Callable[..., Door]) -> Door:
    return doors(shop)


@contextmanager
def held_up(shop: Shop, door: Door) -> Iterator[None]:
    """While nothing can be committed: a first request is being written, and others share what comes after it."""
    with transaction(shop.engine) as connection:
        connection.execute("LOCK TABLE written_batches IN ACCESS EXCLUSIVE MODE")
        first = door.post(call(0))
        while not shop.rows("SELECT FROM pg_locks WHERE NOT granted"):
            time.sleep(0.01)
        yield
        assert not first.done()
    assert ["accepted"] == outcomes(first.result(SOON))


def test_what_is_handed_in_is_stored_and_answered(shop: Shop, door: Door) -> None:
    results = door.post(call(1), call(2, duration_seconds="-1"), call(3, account="nobody")).result(SOON)
    assert ["accepted", "rejected", "quarantined"] == outcomes(results)
    assert [("call-1",)] == shop.rows("SELECT id FROM events")


def test_nobody_is_answered_before_the_commit(shop: Shop, door: Door) -> None:
    with held_up(shop, door):
        answers = [door.post(call(number)) for number in range(1, 20)]
        assert not wait(answers, 0.3).done
        assert [(0,)] == shop.rows("SELECT count(*) FROM event_identity")
    assert [["accepted"]] * 19 == [outcomes(answer.result(SOON)) for answer in answers]


def test_whoever_is_answered_finds_it_stored(shop: Shop, door: Door) -> None:
    lost: list[str] = []
    answers = []

    def look(id_: str) -> None:
        if not shop.rows(f"SELECT FROM event_identity WHERE id = '{id_}'"):
            lost.append(id_)

    for number in range(100):
        answers.append(door.post(call(number)))
        answers[-1].add_done_callback(lambda _, id_=f"call-{number}": look(id_))  # type: ignore[misc]
    wait(answers, SOON)
    door.close()
    assert ([], [(100,)]) == (lost, shop.rows("SELECT count(*) FROM events"))


def test_requests_that_come_at_once_share_a_transaction_and_each_has_its_own_results(shop: Shop, door: Door) -> None:
    with held_up(shop, door):
        one = door.post(call(1), call(2, duration_seconds="-1"))
        two = door.post(call(1), call(3), call(2, duration_seconds="1"))
        three = door.post(call(1, to="+447700900999"), call(3, revision=2))
    assert [["accepted", "rejected"], ["duplicate", "superseded", "accepted"], ["conflict", "accepted"]] == [
        outcomes(answer.result(SOON)) for answer in (one, two, three)
    ]
    assert [["", "/duration_seconds"], [""] * 3, [""] * 2] == [
        [each.pointer for each in answer.result()] for answer in (one, two, three)
    ]
    assert [["call-1", None], ["call-1", "call-3", "call-2"], ["call-1", "call-3"]] == [
        [each.id for each in answer.result()] for answer in (one, two, three)
    ]
    door.close()
    assert [1, 7] == [group.payloads for group in door.groups]
    assert [(2,)] == shop.rows("SELECT count(*) FROM written_batches")


def test_requests_of_several_sources_share_a_transaction(shop: Shop, door: Door) -> None:
    with held_up(shop, door):
        one = door.post(call(1), call(2, source="voice-us-1"))
        two = door.post(call(1), call(2, source="voice-us-1"), source="voice-us-1")
        own = door.post(call(1), call(3, source="voice-asia-1"), call(4, source="resold:acme"), source=None)
    assert ["accepted", "rejected"] == outcomes(one.result(SOON))
    assert ["accepted", "accepted"] == outcomes(two.result(SOON))
    assert ["rejected", "accepted", "rejected"] == outcomes(own.result(SOON))
    assert ["/source"] * 3 == [
        each.pointer for answer in (one, two, own) for each in answer.result() if each.outcome == "rejected"
    ]
    door.close()
    assert [1, 7] == [group.payloads for group in door.groups]
    assert [("voice-asia-1", 1), (SOURCE, 2), ("voice-us-1", 2)] == shop.rows(
        "SELECT s.id, count(*) FROM events JOIN sources s USING (source_id) GROUP BY 1 ORDER BY 1"
    )


def test_the_fault_of_one_request_is_not_another_s(shop: Shop, door: Door) -> None:
    with transaction(shop.engine) as connection:
        connection.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''poison''; END'")
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON event_identity FOR EACH ROW WHEN (NEW.id = 'call-7')"
            " EXECUTE FUNCTION refuse()"
        )
    with held_up(shop, door):
        answers = [door.post(call(number)) for number in range(1, 20)]
    wait(answers, SOON)
    failed = [place for place, answer in enumerate(answers, start=1) if answer.exception()]
    assert ([7], "poison") == (failed, str(answers[6].exception()).partition("\n")[0])
    assert [(19,)] == shop.rows("SELECT count(*) FROM events")
    assert ["accepted"] == outcomes(door.post(call(20)).result(SOON))


def test_two_processes_that_are_told_the_same_store_it_once(shop: Shop, doors: Callable[..., Door]) -> None:
    both = [doors(shop), doors(shop)]
    answers: list[Answer] = []
    telling = [
        threading.Thread(target=lambda each=each: answers.extend(each.post(call(n)) for n in range(300)))
        for each in both
    ]
    for thread in telling:
        thread.start()
    for thread in telling:
        thread.join()
    found = [outcomes(answer.result(SOON))[0] for answer in answers]
    assert (300, 300) == (found.count("accepted"), found.count("duplicate"))
    assert [(300,)] == shop.rows("SELECT count(*) FROM events")
    assert [300] == [row[5] for row in shop.totals()]


def test_what_is_published_elsewhere_is_seen(shop: Shop, door: Door) -> None:
    assert ["quarantined"] == outcomes(door.post(call(1, account="beta")).result(SOON))
    shop.admit("beta")
    assert ["accepted"] == outcomes(door.post(call(2, account="beta")).result(SOON))


def test_more_than_there_is_room_for_is_refused_with_a_time_to_come_back(
    shop: Shop, doors: Callable[..., Door]
) -> None:
    door = doors(shop, room=Room(payloads=4))
    with held_up(shop, door):
        door.post(call(1), call(2))
        with pytest.raises(QueueFullError) as refused:
            door.post(call(3), call(4))
        last = door.post(call(5))
        assert 4 == door.gathering.held
    assert (1, ["accepted"]) == (refused.value.seconds, outcomes(last.result(SOON)))
    again = door.post(call(3), call(4), call(6), call(7), call(8))
    door.close()
    assert (["accepted"] * 5, 0) == (outcomes(again.result(SOON)), door.gathering.held)


def test_bytes_have_no_more_room_than_they_may(shop: Shop, doors: Callable[..., Door]) -> None:
    door = doors(shop, room=Room(size=2_000))
    with held_up(shop, door):
        refused = [door.post(call(number)) for number in range(1, 4)]
        with pytest.raises(QueueFullError):
            door.post(*(call(number) for number in range(4, 9)))
    assert [["accepted"]] * 3 == [outcomes(answer.result(SOON)) for answer in refused]


def test_closing_finishes_what_was_let_in_and_lets_nobody_in(door: Door) -> None:
    answers = [door.post(call(number)) for number in range(50)]
    door.close()
    assert [["accepted"]] * 50 == [outcomes(answer.result(0)) for answer in answers]
    with pytest.raises(IntakeClosedError):
        door.post(call(50))


def test_what_is_cancelled_before_its_turn_is_not_stored(shop: Shop, door: Door) -> None:
    with held_up(shop, door):
        one, two = door.post(call(1)), door.post(call(2))
        assert one.cancel()
    two.result(SOON)
    door.close()
    assert ([("call-0",), ("call-2",)], 0) == (shop.rows("SELECT id FROM events ORDER BY id"), door.gathering.held)


def test_a_source_that_is_nobody_s_is_refused(door: Door) -> None:
    with pytest.raises(SourceReservedError):
        door.post(call(1), source="resold:acme")


def test_a_request_of_more_than_a_group_is_a_transaction_of_its_own(shop: Shop, door: Door) -> None:
    with held_up(shop, door):
        large = door.post(*map(call, range(1, EVENTS_A_GROUP + 100)))
        small = [door.post(call(number)) for number in range(-3, 0)]
    assert ["accepted"] * (EVENTS_A_GROUP + 99) == outcomes(large.result(SOON))
    wait(small, SOON)
    door.close()
    assert [1, 3, EVENTS_A_GROUP + 99] == sorted(group.payloads for group in door.groups)


def test_a_request_of_more_than_a_chunk_is_answered_as_one(shop: Shop, door: Door) -> None:
    nothing = [b"{}"] * EVENTS_A_CHUNK
    events = payloads([call(1), call(2)])
    results = door.gathering.submit([events[0], *nothing, *events], SOURCE).result(SOON)
    assert {"rejected": EVENTS_A_CHUNK, "accepted": 2, "duplicate": 1} == Counter(outcomes(results))
    assert {0: "call-1", EVENTS_A_CHUNK + 1: "call-1", EVENTS_A_CHUNK + 2: "call-2"} == {
        place: each.id for place, each in enumerate(results) if each.id is not None
    }
    assert [("call-1",), ("call-2",)] == shop.rows("SELECT id FROM events ORDER BY id")


def test_a_connection_that_is_lost_is_made_again_and_nothing_is_stored_twice(shop: Shop, door: Door) -> None:
    with held_up(shop, door):
        answer = door.post(call(1))
        lost = shop.rows("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
        assert [(True,)] == lost
    assert ["accepted"] == outcomes(answer.result(SOON))
    assert [("call-0",), ("call-1",)] == shop.rows("SELECT id FROM events ORDER BY id")


def test_a_database_that_is_away_is_waited_for_and_then_said_to_be(
    new_cluster: NewCluster, doors: Callable[..., Door]
) -> None:
    cluster = new_cluster("away", settings=THROW_AWAY)
    ensure_running(cluster, _silent)
    engine = open_engine(create_database(cluster, "away").sqlalchemy_url)
    migrate(engine)
    shop = Shop(engine=engine)
    shop.publish()
    shop.admit("acme")
    patient, hasty = doors(shop), doors(shop, patience_seconds=0.1)
    assert ["accepted"] == outcomes(patient.post(call(1)).result(SOON))
    stop(cluster, _silent, StopMode.FAST)
    waits, gives_up = patient.post(call(2)), hasty.post(call(3))
    assert isinstance(gives_up.exception(SOON), StoreAwayError)
    ensure_running(cluster, _silent)
    assert ["accepted"] == outcomes(waits.result(SOON))
    assert ["accepted"] == outcomes(hasty.post(call(3)).result(SOON))


def test_an_answer_that_the_database_gives_to_nobody_else_is_theirs_who_asked(shop: Shop, door: Door) -> None:
    with transaction(shop.engine) as connection:
        connection.execute("ALTER TABLE unfolded ADD CONSTRAINT few CHECK (events < 1)")
    assert isinstance(door.post(call(1)).exception(SOON), psycopg.errors.CheckViolation)
    assert [] == shop.rows("SELECT FROM event_identity")


def _silent(_: str) -> None:
    pass


def test_those_who_shared_a_transaction_are_waited_for_when_they_come_again(
    shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.flows.gather.TOGETHER_SECONDS", SOON)
    with held_up(shop, door):
        together = [door.post(call(number)) for number in range(1, 4)]
    wait(together, SOON)
    again: list[Answer] = []
    for number in range(4, 7):
        assert not wait(again, 0.05).done
        again.append(door.post(call(number)))
    assert [["accepted"]] * 3 == [outcomes(answer.result(SOON / 2)) for answer in again]
    door.close()
    assert [1, 3, 3] == [group.requests for group in door.groups]


def test_those_who_do_not_come_again_are_waited_for_once_and_not_long(shop: Shop, door: Door) -> None:
    with held_up(shop, door):
        together = [door.post(call(number)) for number in range(1, 4)]
    wait(together, SOON)
    assert ["accepted"] == outcomes(door.post(call(4)).result(SOON))
    assert ["accepted"] == outcomes(door.post(call(5)).result(SOON))
    door.close()
    assert [1, 3, 1, 1] == [group.requests for group in door.groups]


def test_what_is_large_is_written_while_something_else_is(shop: Shop, door: Door) -> None:
    with held_up(shop, door):
        large = door.post(*(call(number) for number in range(1, 1 + WORTH_MAKING_READY)))
        until = time.monotonic() + SOON
        while len(shop.rows("SELECT FROM pg_locks WHERE NOT granted")) < WRITERS and time.monotonic() < until:
            time.sleep(0.01)
        assert WRITERS == len(shop.rows("SELECT FROM pg_locks WHERE NOT granted"))
    assert ["accepted"] * WORTH_MAKING_READY == outcomes(large.result(SOON))


def test_a_listener_that_fails_ends_nothing(shop: Shop) -> None:
    """It is told of, and what comes after is stored and answered."""
    told: list[Exception] = []

    def fail(_: Committed) -> None:
        raise OSError("no space left on device")

    intake = Intake(engine=shop.engine, products=products(), source=None)
    with Gathering(intake, lambda: AT, on_commit=fail, troubled=told.append) as gathering:
        for number in range(2):
            assert ["accepted"] == outcomes(gathering.submit(payloads([call(number)]), SOURCE).result(SOON))
    assert ["no space left on device"] * 2 == [str(each) for each in told]
