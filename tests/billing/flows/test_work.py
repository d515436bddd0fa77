"""The loop of a worker: each round on its own schedule, one at a time where one is enough, and failures stay theirs."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest

from billing.charges import Charge, ChargeId, Every, Timing
from billing.errors import SchemaMismatchError
from billing.flows.charge import add_charges
from billing.flows.watch import EVERY, rest
from billing.flows.work import Done, Ending, Round, Turn, months_ahead, rounds, take_turn, work, work_once
from billing.store.engine import Engine, snapshot, transaction
from billing.store.queries.health import lag
from billing.store.rounds import try_round
from tests.shop import AT, Shop, call, products

SOON = timedelta(milliseconds=10)


def clock() -> datetime:
    return AT


def named(name: str) -> Round:
    return next(each for each in rounds(products(), clock) if each.name == name)


def counting(name: str, work: Callable[[int], Done], *, every: timedelta = SOON, alone: bool = False) -> Round:
    """A round that is told how often it was run before."""
    turns = 0

    def turn(_: Engine, __: datetime) -> Done:
        nonlocal turns
        turns += 1
        return work(turns - 1)

    return Round(name=name, every=every, work=turn, alone=alone)


def test_what_was_imported_is_folded_and_the_lag_is_nothing_then(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(*(call(number) for number in range(3)))
    with snapshot(shop.engine) as connection:
        behind = lag(connection)
    assert 1 == behind.changes
    assert timedelta(0) < behind.oldest < timedelta(minutes=1)
    assert Done(count=1) == take_turn(shop.engine, named("fold"), AT).done
    with snapshot(shop.engine) as connection:
        assert (0, timedelta(0)) == lag(connection)


def test_what_no_fold_takes_stays_as_old_as_it_is(shop: Shop) -> None:
    """A change that is left alone is written anew; it has waited all the same."""
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE unfolded SET quantity = %s, at = now() - interval '1 day'", [2**62])
    assert 0 == take_turn(shop.engine, named("fold"), AT).done.count
    with snapshot(shop.engine) as connection:
        assert lag(connection).oldest >= timedelta(days=1)


def test_partitions_are_made_three_months_ahead_and_then_nothing_is_to_do(engine: Engine) -> None:
    made = [take_turn(engine, named("partitions"), AT).done.count for _ in "12"]
    assert [4, 0] == made
    with snapshot(engine) as connection:
        asked = "SELECT relname FROM pg_class WHERE relname ~ '^events_[0-9_]+$' ORDER BY 1"
        found = connection.execute(asked).fetchall()
    assert ["events_2026_10", "events_2026_11", "events_2026_12", "events_2027_01"] == [name for (name,) in found]
    assert ["2026-12", "2027-01", "2027-02", "2027-03"] == [str(each) for each in months_ahead(AT.replace(month=12))]


def test_due_charges_are_posted_once_and_what_waits_is_told(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    begins = datetime(2026, 10, 2, tzinfo=UTC)
    charge = Charge(
        id=ChargeId("n1"), account="acme", product="number.monthly", effective_from=begins, every=Every.MONTH,
        timing=Timing.ADVANCE,
    )  # fmt: skip
    add_charges(shop.engine, [charge], at=begins, actor="test")
    first, second = (take_turn(shop.engine, named("charges"), AT).done for _ in "12")
    assert (1, 0) == (first.count, second.count)
    assert "1 charges wait in quarantine" in first.warning


def test_a_round_that_another_worker_is_at_is_left_to_it(engine: Engine) -> None:
    alone = counting("dull", lambda _: Done(count=1), alone=True)
    with transaction(engine) as elsewhere:
        assert try_round(elsewhere, "dull")
        assert (Ending.ELSEWHERE, 0) == (take_turn(engine, alone, AT).ending, take_turn(engine, alone, AT).done.count)
        assert Ending.DONE == take_turn(engine, replace(alone, name="other"), AT).ending
    assert Ending.DONE == take_turn(engine, alone, AT).ending


def test_failures_are_told_and_tried_again_later_each_time_and_are_nobody_elses(engine: Engine) -> None:
    def fails_twice(turn: int) -> Done:
        if turn < 2:
            raise ZeroDivisionError
        return Done(count=1)

    turns = told(engine, counting("weak", fails_twice), counting("strong", lambda _: Done()), until=("weak", 3))
    weak = [turn for turn in turns if turn.round.name == "weak"]
    assert [Ending.FAILED, Ending.FAILED, Ending.DONE] == [turn.ending for turn in weak]
    assert [timedelta(seconds=1), timedelta(seconds=2), SOON] == [turn.rest for turn in weak]
    assert isinstance(weak[0].error, ZeroDivisionError)
    assert 20 < len([turn for turn in turns if turn.round.name == "strong"])


def test_the_wait_after_failures_is_a_minute_at_most(engine: Engine) -> None:
    def fails(_: int) -> Done:
        raise OSError

    assert timedelta(minutes=1) == take_turn(engine, counting("weak", fails), AT, failures=4000).rest


def test_a_round_that_takes_long_rests_in_proportion_as_long_as_what_it_leaves_is_no_older_than_a_second() -> None:
    every, refreshed = EVERY.total_seconds(), EVERY.total_seconds()
    rests = {took: rest(timedelta(milliseconds=took)) / timedelta(milliseconds=1) for took in range(0, 2000, 10)}
    assert {every * 1000} == {rests[took] for took in range(0, 90, 10)}
    assert [360, 330, 250, 150] == [rests[took] for took in (120, 160, 200, 250)]
    assert all(rests[took] + 2 * took + refreshed * 1000 < 1000 for took in range(0, 310, 10))
    assert {50} == {rests[took] for took in range(300, 2000, 10)}, "it cannot be younger than that"


def test_a_round_says_how_long_it_rests(engine: Engine) -> None:
    each = replace(counting("long", lambda _: Done()), resting=lambda took: took + timedelta(hours=1))
    turn = take_turn(engine, each, AT)
    assert turn.took + timedelta(hours=1) == turn.rest
    (limits,) = (each for each in rounds(products(), clock) if each.name == "limits")
    assert rest is limits.resting


def test_while_there_is_more_to_do_a_round_does_not_rest(engine: Engine) -> None:
    each = counting("much", lambda turn: Done(more=turn < 2), every=timedelta(hours=1))
    assert [0, 0, 3600] == [turn.rest.total_seconds() for turn in told(engine, each, until=("much", 3))]


def test_another_programs_schema_ends_the_loop(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute("COMMENT ON TABLE alembic_version IS 'of another program'")
    busy = counting("busy", lambda _: Done())
    with pytest.raises(SchemaMismatchError):
        work(engine, [named("schema"), busy], clock=clock, stopping=Event())


def test_what_has_begun_is_finished_when_the_loop_is_told_to_stop(engine: Engine) -> None:
    begun, stopping, finished = Event(), Event(), list[int]()

    def slow(turn: int) -> Done:
        begun.set()
        time.sleep(0.3)
        finished.append(turn)
        return Done()

    loop = Thread(target=work, args=[engine, [counting("slow", slow)]], kwargs={"clock": clock, "stopping": stopping})
    loop.start()
    assert begun.wait(5)
    stopping.set()
    loop.join(5)
    assert [0] == finished


def test_a_single_pass_takes_each_round_until_it_has_no_more(engine: Engine) -> None:
    def fails(_: int) -> Done:
        raise OSError

    much = counting("much", lambda turn: Done(count=1, more=turn < 2))
    heard: list[Turn] = []
    last = work_once(engine, [much, counting("weak", fails)], clock=clock, tell=heard.append)
    assert ["much", "much", "much", "weak"] == [turn.round.name for turn in heard]
    assert [("much", "done"), ("weak", "failed")] == [(turn.round.name, turn.ending) for turn in last]


@pytest.mark.parametrize(("seconds", "warned"), [(0, False), (4, False), (-6, True), (60, True)])
def test_clocks_that_are_too_far_apart_are_told(engine: Engine, seconds: int, *, warned: bool) -> None:
    def off() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds)

    each = next(each for each in rounds(products(), off) if each.name == "clock")
    assert warned == bool(take_turn(engine, each, off()).done.warning)


def told(engine: Engine, *found: Round, until: tuple[str, int]) -> list[Turn]:
    """The turns of a loop that is stopped when a round has had so many."""
    stopping, turns = Event(), list[Turn]()

    def tell(turn: Turn) -> None:
        turns.append(turn)
        if len([each for each in turns if each.round.name == until[0]]) >= until[1]:
            stopping.set()

    work(engine, found, clock=clock, stopping=stopping, tell=tell)
    return turns
