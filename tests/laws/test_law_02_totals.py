"""Law 2: "Duplicates, permutations, batching, sharding, crashes: byte-identical totals and invoices." Here: totals.

Traffic is random, and what it must come to is worked out without the database.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.flows.fold import fold
from billing.flows.ingest import Intake
from billing.flows.publish import publish
from billing.rated import rate_usage
from billing.store.engine import snapshot, transaction
from billing.store.ratebooks import load_books
from billing.store.totals import read_totals
from billing.store.usage import make_batch
from billing.usage import parse
from rates.numbering import COUNTRIES
from rates.usage import TOTALS
from tests.shop import AT, OCTOBER, SOURCE, Row, Shop, call, card, payloads, products

RATES = (
    "voice.outbound,44,minute,60/60,0.02,0.01\nvoice.outbound,4477,minute,1/1,0.03,\nvoice.outbound,1,minute,6/6,0.01,"
)
EPOCH = date(1970, 1, 1)
USAGE = ("events", "event_elements", "event_identity", "quarantine", "unfolded", "usage_totals", "touched_months")


@pytest.fixture
def opened(shop: Shop) -> Shop:
    publish(shop.engine, card(RATES), products(), at=AT, actor="finance")
    shop.admit("acme", "beta")
    return shop


def traffic(seed: int, count: int) -> list[bytes]:
    dice = random.Random(seed)
    return payloads(
        [
            call(
                number,
                account=dice.choice(["acme", "acme", "beta", "nobody"]),
                to=dice.choice(["+447700900123", "+441632960000", "+14155550100", "+33123456789"]),
                occurred_at=f"2026-10-{dice.randint(1, 14):02}T{dice.randint(0, 23):02}:00:00Z",
                duration_seconds=str(dice.choice([0, 1, 59, 60, 61, 3600])),
                status=dice.choice(["completed", "completed", "busy"]),
            )
            for number in range(count)
        ]
    )


def expected(shop: Shop, events: list[bytes]) -> list[tuple[Any, ...]]:
    """The totals of all events in one batch, in the order in which they are, summed outside of the database."""
    usage = parse(events, source=SOURCE, products=products(), at=AT).usage
    with snapshot(shop.engine) as connection:
        books = load_books(connection, products())
    batch = make_batch(
        rate_usage(usage, books.assignment, books.books, products()),
        number=1,
        book_version=1,
        received_at=np.zeros(len(usage), dtype=np.int64),
        source_ids={SOURCE: 1},
        product_ids=dict.fromkeys(products(), 1),
    )
    totals: dict[tuple[Any, ...], list[int]] = {}
    columns = (getattr(batch.changes.rows, name).tolist() for name in TOTALS)
    for payer, account, price, country, day, *counted in zip(*columns, strict=True):
        key = (payer, account, price, COUNTRIES[country], EPOCH + timedelta(days=day))
        totals[key] = [one + other for one, other in zip(totals.get(key, [0, 0]), counted, strict=True)]
    return sorted((*key, *sums) for key, sums in totals.items())


def named(shop: Shop) -> list[Row]:
    return sorted(
        shop.rows(  # type: ignore[arg-type]
            "SELECT payer_id, account_id, price_id, country, day, sum(events)::bigint, sum(quantity)::bigint FROM"
            " (SELECT * FROM usage_totals UNION ALL"
            "  SELECT events, quantity, payer_id, account_id, price_id, day, country FROM unfolded) AS t"
            " GROUP BY 1, 2, 3, 4, 5"
        )
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    order=st.randoms(use_true_random=False),
    repeated=st.integers(0, 60),
    sizes=st.lists(st.integers(1, 70), min_size=1),
    folds=st.sets(st.integers(0, 10)),
)
def test_any_order_any_batches_and_any_repetition_give_the_same_totals(
    opened: Shop, seed: int, order: random.Random, repeated: int, sizes: list[int], folds: set[int]
) -> None:
    with transaction(opened.engine) as connection:
        connection.execute(f"TRUNCATE {', '.join(USAGE)}".encode())
    events = traffic(seed, 80)
    reported = [*events, *order.choices(events, k=repeated)]
    order.shuffle(reported)
    intake = Intake(engine=opened.engine, products=products(), source=SOURCE)
    start = part = 0
    while start < len(reported):
        size = sizes[part % len(sizes)]
        intake.ingest(reported[start : start + size], AT)
        if part in folds:
            fold(opened.engine, changes_at_once=7)
        start, part = start + size, part + 1
    assert expected(opened, events) == named(opened)


@dataclass(slots=True)
class Scene:
    """Writers, folders and readers at work on one database, and what they have seen."""

    shop: Shop
    chunks: list[list[bytes]]
    priced: list[int]
    begun: list[int] = field(default_factory=lambda: [0, 0])
    acknowledged: list[int] = field(default_factory=lambda: [0, 0])
    reads: list[tuple[int, int, int]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def write(self, which: int) -> None:
        """Report all events, the second writer from the last to the first."""
        intake = Intake(engine=self.shop.engine, products=products(), source=SOURCE)
        for number in sorted(range(len(self.chunks)), reverse=bool(which)):
            self.begun[which] += self.priced[number]
            intake.ingest(self.chunks[number], AT)
            self.acknowledged[which] += self.priced[number]

    def fold(self) -> None:
        while not self.done.is_set():
            fold(self.shop.engine, changes_at_once=50)

    def read(self) -> None:
        while not self.done.is_set():
            at_least = max(self.acknowledged)
            with snapshot(self.shop.engine) as connection:
                found = int(read_totals(connection, OCTOBER).events.sum())
            self.reads.append((at_least, found, sum(self.begun)))

    def thread(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  whatever it is, the test is to fail with it
                self.failures.append(error)

        return threading.Thread(target=run)

    def play(self) -> None:
        writers = [self.thread(lambda: self.write(0)), self.thread(lambda: self.write(1))]
        others = [self.thread(self.fold), self.thread(self.fold), self.thread(self.read)]
        for thread in (*writers, *others):
            thread.start()
        for thread in writers:
            thread.join()
        time.sleep(0.1)  # the folders and readers once more, after the last write
        self.done.set()
        for thread in others:
            thread.join()


def test_nothing_is_missed_and_nothing_is_twice_while_all_work_at_once(opened: Shop) -> None:
    """Two writers who report the same events, two folders, a reader, and a write transaction that stays open."""
    events = traffic(7, 1600)
    chunks = [events[i : i + 40] for i in range(0, len(events), 40)]
    scene = Scene(opened, chunks, [sum(row[5] for row in expected(opened, chunk)) for chunk in chunks])
    with transaction(opened.engine) as open_transaction:
        open_transaction.execute(
            "INSERT INTO unfolded (events, quantity, payer_id, account_id, price_id, day, country)"
            " VALUES (1000000, 1, 1, 1, 1, '2026-10-01', '')"
        )
        scene.play()
        assert [] == scene.failures
        fold(opened.engine)
        assert expected(opened, events) == named(opened)
        assert [(0,)] == opened.rows("SELECT count(*) FROM unfolded")
    assert len(scene.reads) > 10
    assert [] == [read for read in scene.reads if not read[0] <= read[1] <= read[2]]
    # What the open transaction wrote was only late.
    assert sum(scene.priced) + 1_000_000 == sum(row[5] for row in opened.totals())
