"""Law 2: "Duplicates, permutations, batching, sharding, crashes: byte-identical totals and invoices." Here: revisions.

Writers who report the same revisions in other orders, while others fold, release and rate again; and writers who are
killed. Nobody waits in a circle, nothing is lost, and nothing is there twice.
"""

import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import pytest

from billing.contracts import Contract
from billing.flows.correct import rerate_period
from billing.flows.fold import fold
from billing.flows.ingest import Intake
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.flows.release import release
from billing.flows.verify import verify
from billing.runs import PeriodLockedError
from billing.store.engine import open_engine, transaction
from billing.store.ratebooks import lock_books
from billing.store.usage import write_batch
from cli.world import product_tables
from tests.importing import import_file
from tests.revising import CONTENTS, VOID, Told, report, winners
from tests.shop import AT, OCTOBER, SOURCE, Row, Shop, account, call, card, outcomes, payloads, products

RATES = "voice.outbound,44 1,minute,60/60,0.02,0.05\nsms.outbound,44,segment,,0.04,"
KILLS = 15


@pytest.fixture
def opened(shop: Shop) -> Shop:
    publish(shop.engine, card(RATES, since="2026-01-01"), products(), at=AT, actor="finance")
    shop.admit("acme", "beta", since=date(2026, 9, 1))
    return shop


def history_of(seed: int, events: int) -> list[Told]:
    """Up to four revisions of each event; those of November are of a month that has not begun."""
    dice = random.Random(seed)
    contents = [VOID, *(place for place in range(len(CONTENTS)) if "2026-1" not in str(CONTENTS[place]))]
    return [
        (number, revision, dice.choice(contents))
        for number in range(events)
        for revision in sorted(dice.sample(range(1, 5), dice.randint(1, 4)))
    ]


def come_to(shop: Shop, history: list[Told]) -> list[Row]:
    """What the highest revisions come to, reported at once."""
    shop.post(*winners(history))
    expected = shop.totals()
    shop.forget()
    return expected


def run_all(*works: Callable[[], None]) -> None:
    """Run all of them at once, and fail with what one of them raises."""
    with ThreadPoolExecutor(len(works)) as pool:
        for each in as_completed([pool.submit(work) for work in works]):
            each.result()


def test_whoever_works_at_once_comes_to_what_the_highest_revisions_come_to(opened: Shop) -> None:
    history = history_of(5, 150)
    expected, told = come_to(opened, history), Counter[str]()
    done = threading.Event()
    at_work = threading.Barrier(4)

    def write(seed: int) -> None:
        """Report everything, in an order of one's own."""
        engine = open_engine(opened.engine.url.render_as_string(hide_password=False))
        reports, dice = payloads([report(*each) for each in history]), random.Random(seed)
        dice.shuffle(reports)
        intake = Intake(engine=engine, products=products(), source=SOURCE)
        at_work.wait()
        try:
            while reports:
                size = dice.randint(1, 40)
                told.update(outcomes(intake.ingest(reports[:size], AT)))
                reports = reports[size:]
        finally:
            engine.dispose()

    def others() -> None:
        while not done.is_set():
            fold(opened.engine, changes_at_once=11)
            release(opened.engine, products(), at=AT, actor="finance", events_at_once=7)
            with suppress(PeriodLockedError):
                rerate_period(opened.engine, products(), OCTOBER, at=AT, actor="finance", reason="once more")

    def writers() -> None:
        try:
            run_all(*(lambda seed=seed: write(seed) for seed in range(4)))
        finally:
            done.set()

    run_all(writers, others)
    assert expected == opened.totals()
    assert verify(opened.engine, products(), product_tables(), OCTOBER).agrees
    # Each revision was new to one of the four.
    assert (3 * len(history), 0) == (told["duplicate"], told["conflict"])
    kept = "SELECT id, revision FROM event_identity UNION SELECT id, revision FROM event_revisions"
    assert {(f"call-{number}", revision) for number, revision, _ in history} == set(opened.rows(kept))


@contextmanager
def under_way(shop: Shop, *events: dict[str, object]) -> Iterator[None]:
    """Events that are written and not committed yet, until this ends."""
    prepared = Intake(engine=shop.engine, products=products(), source=SOURCE).prepare(payloads(events), AT)
    with transaction(shop.engine) as connection:
        lock_books(connection, exclusive=False)
        write_batch(connection, prepared.batch)
        yield


def is_waited_for(shop: Shop) -> bool:
    return shop.rows("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'") != [(0,)]


@pytest.mark.parametrize(
    ("known", "first", "second", "expected", "quantity"),
    [
        (1, call(1, revision=2, duration_seconds="120"), call(1, revision=3, duration_seconds="180"), "accepted", 180),
        (1, call(1, revision=3, duration_seconds="180"), call(1, revision=2), "superseded", 180),
        (1, call(1, revision=2, duration_seconds="120"), call(1, revision=2, duration_seconds="120"), "duplicate", 120),
        (1, call(1, revision=2, duration_seconds="120"), call(1, revision=2, duration_seconds="180"), "conflict", 120),
        (1, {"id": "call-1", "revision": 2, "void": True}, call(1, revision=3), "accepted", 120),
        (1, {"id": "call-1", "revision": 3, "void": True}, call(1, revision=2), "superseded", 0),
        (0, call(1), call(1, revision=2, duration_seconds="5"), "accepted", 60),
        (0, call(1, revision=2, duration_seconds="5"), call(1), "superseded", 60),
    ],
)
def test_of_two_who_report_one_event_at_once_the_second_waits_and_the_highest_counts(
    opened: Shop, known: int, first: dict[str, object], second: dict[str, object], expected: str, quantity: int
) -> None:
    opened.post(*[call(1)] * known)
    with ThreadPoolExecutor(1) as pool:
        with under_way(opened, first):
            waiting = pool.submit(opened.post, second)
            while not is_waited_for(opened):
                assert not waiting.done(), "it did not wait"
        assert [expected] == outcomes(waiting.result())
    assert quantity == sum(row[6] for row in opened.totals() if row[2] == 1)
    assert verify(opened.engine, products(), product_tables(), OCTOBER).agrees


@pytest.fixture
def let_in(opened: Shop) -> Shop:
    """Two events that can be let out."""
    opened.post(call(1, account="gamma"), call(2, account="gamma"))
    add_accounts(opened.engine, [account("gamma")], at=AT, actor="finance")
    contract = Contract(account="gamma", effective_from=date(2026, 9, 1), cards=("list",))
    add_contracts(opened.engine, [contract], products(), at=AT, actor="finance")
    return opened


def test_a_release_leaves_what_is_being_amended_to_that(let_in: Shop) -> None:
    with under_way(let_in, call(1, account="gamma", revision=2)):
        found = release(let_in.engine, products(), at=AT, actor="finance")
    assert 1 == sum(found.released.values())
    assert [("call-1", 2), ("call-2", 1)] == let_in.rows("SELECT id, revision FROM events ORDER BY id")
    assert verify(let_in.engine, products(), product_tables(), OCTOBER).agrees


def test_a_release_waits_for_nobody_who_is_about_to_amend(let_in: Shop) -> None:
    """Else the two would wait for each other: whoever amends waits for what waits next."""
    with ThreadPoolExecutor(1) as pool, transaction(let_in.engine) as connection:
        connection.execute("SELECT FROM event_identity WHERE id = 'call-1' FOR NO KEY UPDATE")
        releasing = pool.submit(release, let_in.engine, products(), at=AT, actor="finance")
        assert 1 == sum(releasing.result(timeout=30).released.values())


def test_an_import_of_revisions_that_is_killed_and_repeated_comes_to_the_same(opened: Shop, tmp_path: Path) -> None:
    """After each kill, the totals are those of what is in force: a revision is written whole or not at all."""
    history = history_of(11, 700)
    expected = come_to(opened, history)
    reports, dice = payloads([report(*told) for told in history]), random.Random(11)
    dice.shuffle(reports)
    path = tmp_path / "usage.ndjson"
    path.write_bytes(b"\n".join(reports))
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.importing"])
    url = opened.engine.url.render_as_string(hide_password=False)
    kept = "SELECT count(*) FROM (SELECT FROM event_identity WHERE occurred_at IS NOT NULL"
    kept = f"{kept} UNION ALL SELECT FROM event_revisions) AS reported"

    def run(seconds: float | None) -> bool:
        """Import the file; whether it was killed after some time."""
        mine, its = processes.Pipe(duplex=False)
        importing = processes.Process(target=import_file, args=(url, str(path), its, 40))
        importing.start()
        its.close()
        importing.join(seconds)
        killed = importing.is_alive()
        importing.kill()
        importing.join()
        mine.close()
        return killed

    run(None)  # starts the server that the processes are forked from
    assert expected == opened.totals()
    opened.forget()
    start = time.perf_counter()
    run(None)
    longest, in_the_middle = time.perf_counter() - start, 0
    for _ in range(KILLS):
        opened.forget()
        run(dice.uniform(0.2, 1) * longest)
        ((reported,),) = opened.rows(kept)
        in_the_middle += 0 < int(str(reported)) < len(history)
        assert verify(opened.engine, products(), product_tables(), OCTOBER).agrees
        run(None)
        assert (expected, [(len(history),)]) == (opened.totals(), opened.rows(kept))
    # Or the moments were badly chosen and nothing was shown.
    assert in_the_middle > KILLS // 5
