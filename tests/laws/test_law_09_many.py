"""Law 9 for chunks that are large enough to be tried as if all were new: they are told what the small ones are told."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from billing.flows.ingest import Intake
from billing.receipts import Outcome
from billing.store.engine import rehearsal, transaction
from billing.store.identity import WORTH_A_TRY, begin_batch, take_new
from tests.shop import AT, SOURCE, Shop, call, outcomes, payloads, products

MANY = WORTH_A_TRY + 200
STORED = "SELECT count(*), count(DISTINCT id), sum(measured)::int FROM events"
FOLDED = "SELECT sum(events)::int, sum(quantity)::int FROM unfolded"
IDENTITIES = "SELECT count(*) FROM event_identity JOIN events USING (source_id, id, batch, occurred_at, payer_id)"


@pytest.fixture
def opened(shop: Shop) -> Shop:
    shop.publish()
    shop.admit("acme")
    return shop


def intake_of(shop: Shop) -> Intake:
    return Intake(engine=shop.engine, products=products(), source=SOURCE)


def is_whole(shop: Shop, events: int) -> bool:
    """Whether just so many events are stored, each once, with its identity and in the totals."""
    (stored,), (changes,), (identities,) = (shop.rows(query) for query in (STORED, FOLDED, IDENTITIES))
    return (events, events, 61 * events) == stored and (events, 60 * 2 * events) == changes and (events,) == identities


@pytest.mark.parametrize("seed", range(4))
def test_each_report_is_told_what_it_is_whatever_was_tried_first(opened: Shop, seed: int) -> None:
    """Chunks of new ones, of repeated ones, and of both with contradictions, in any order, by one intake."""
    rng, intake = random.Random(seed), intake_of(opened)
    known: set[int] = set()
    for _ in range(4):
        chosen = rng.sample(range(4 * MANY), MANY)
        fresh = rng.random() < 0.5
        numbers = [number for number in chosen if number not in known] if fresh else [*chosen, *chosen[:3]]
        contradicts = {number for number in known if rng.random() < 0.1}
        expected = []
        for number in numbers:
            new, same = number not in known, number not in contradicts
            expected.append(str(Outcome.ACCEPTED if new else Outcome.DUPLICATE if same else Outcome.CONFLICT))
            known.add(number)
        events = [call(number, status="busy" if number in contradicts else "completed") for number in numbers]
        assert expected == outcomes(intake.ingest(payloads(events), AT))
        assert is_whole(opened, len(known))


@pytest.mark.parametrize("place", [0, MANY // 2, MANY - 1])
def test_one_that_is_known_leaves_nothing_of_the_try(opened: Shop, place: int) -> None:
    opened.post(call(place))
    told = Counter(outcomes(intake_of(opened).ingest(payloads([call(number) for number in range(MANY)]), AT)))
    assert {"accepted": MANY - 1, "duplicate": 1} == told
    assert is_whole(opened, MANY)


def test_what_is_tried_is_taken_whole_or_not_at_all(opened: Shop) -> None:
    intake = intake_of(opened)
    prepared = intake.prepare(payloads([call(number) for number in range(MANY)]), AT)
    query = b"SELECT count(*) FROM event_identity"
    with transaction(opened.engine) as connection:
        begin_batch(connection, prepared.batch.number, [], tries=True)
        assert take_new(connection, prepared.batch.identities)
        begin_batch(connection, prepared.batch.number + 1, [], tries=True)
        assert not take_new(connection, prepared.batch.identities)
        assert [(MANY,)] == connection.execute(query).fetchall()


def test_a_try_that_failed_is_of_the_transaction_still(opened: Shop) -> None:
    opened.post(call(0))
    prepared = intake_of(opened).prepare(payloads([call(number) for number in range(MANY)]), AT)
    noted = "SELECT count(*) FROM written_batches"
    with rehearsal(opened.engine) as connection:
        begin_batch(connection, prepared.batch.number, [], tries=True)
        assert not take_new(connection, prepared.batch.identities)
        assert [(2,)] == connection.execute(noted.encode()).fetchall()
    assert [(1,)] == opened.rows(noted)


def test_writers_of_the_same_events_at_once_take_each_once(opened: Shop) -> None:
    """In other orders and other chunks: whoever comes second is told so, and nobody waits for ever."""
    numbers = range(3 * MANY)
    begin = Barrier(3)

    def report(shift: int) -> Counter[str]:
        intake, told = intake_of(opened), Counter[str]()
        order = [*numbers[shift:], *numbers[:shift]]
        begin.wait()
        for start in range(0, len(order), MANY):
            chunk = payloads([call(number) for number in order[start : start + MANY]])
            told.update(outcomes(intake.ingest(chunk, AT)))
        return told

    with ThreadPoolExecutor(max_workers=3) as threads:
        told = sum(threads.map(report, [0, 700, 2 * MANY]), Counter[str]())
    assert {"accepted": len(numbers), "duplicate": 2 * len(numbers)} == told
    assert is_whole(opened, len(numbers))
