"""Law 2: "Duplicates, permutations, batching, sharding, crashes: byte-identical totals and invoices." Here: charges.

What is due of a charge is posted exactly once: by a poster that is killed at any moment and begun again, in whatever
steps of time, and by two posters at once.
"""

import multiprocessing
import random
import time
from datetime import UTC, date, datetime, timedelta
from threading import Barrier, Thread

import pytest

from billing.flows.charge import add_charges
from billing.flows.fold import fold
from billing.flows.post import post_charges, unposted
from billing.receipts import Outcome
from billing.store.engine import transaction
from tests.charging import card, charge, post_in_a_process
from tests.shop import AT, Row, Shop, products

CHARGES = 600
KILLS = 25
AT_ONCE = 60
EVERY = {"month": 14, "quarter": 89, "year": 30}


@pytest.fixture(autouse=True)
def charged(shop: Shop) -> None:
    shop.publish(card())
    shop.admit("acme", "beta", since=date(2025, 1, 1))
    dice = random.Random(20261002)
    charges = []
    for number in range(CHARGES):
        every = dice.choice(sorted(EVERY))
        begins = datetime(2026, dice.randint(1, 9), dice.randint(1, 28), tzinfo=UTC) + timedelta(
            days=dice.randint(0, 3)
        )
        changes: dict[str, object] = {"account": dice.choice(["acme", "beta", "beta"]), "every": every}
        changes |= {"effective_from": begins.isoformat(), "drift": dice.random() < 0.5}
        charges.append(charge(f"c{number}", **changes, lead_days=min(EVERY[every], dice.choice([0, 14]))))
    add_charges(shop.engine, charges, at=AT, actor="finance")


def stored(shop: Shop) -> tuple[list[Row], list[tuple[object, ...]]]:
    """The totals, and each event with its instant, also those that wait."""
    asked = "SELECT id, occurred_at, 'event' FROM events UNION ALL SELECT id, occurred_at, 'waits' FROM quarantine"
    identities = "SELECT id, occurred_at, 'identity' FROM event_identity"
    return shop.totals(), shop.rows(f"{asked} UNION ALL {identities} ORDER BY 1, 3")


def again(shop: Shop) -> None:
    with transaction(shop.engine) as connection:
        connection.execute(
            "TRUNCATE event_identity, events, event_elements, quarantine, unfolded, usage_totals, touched_months"
        )


def post(shop: Shop, at: datetime = AT) -> int:
    found = post_charges(shop.engine, products(), at=AT, until=at, dues_at_once=AT_ONCE)
    assert 0 == found[Outcome.CONFLICT] + found[Outcome.REJECTED]
    return found[Outcome.ACCEPTED] + found[Outcome.QUARANTINED]


def test_a_poster_that_is_killed_at_any_moment_and_begun_again_posts_each_due_once(shop: Shop) -> None:
    count = post(shop)
    assert count > 2 * CHARGES
    expected = stored(shop)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.charging"])
    url = shop.engine.url.render_as_string(hide_password=False)
    dice = random.Random()

    def run(seconds: float | None) -> bool:
        """Post in a process, killed after some time; whether it was."""
        posting = processes.Process(target=post_in_a_process, args=(url, AT, AT_ONCE))
        posting.start()
        posting.join(seconds)
        killed = posting.is_alive()
        posting.kill()
        posting.join()
        return killed

    run(None)  # starts the server that the processes are forked from
    assert expected == stored(shop)
    again(shop)
    start = time.perf_counter()
    assert not run(None)
    longest = time.perf_counter() - start
    assert expected == stored(shop)
    again(shop)
    kills, on_the_way = 0, 0
    while kills < KILLS:
        killed = run(dice.uniform(0, 1.5 * longest))
        kills += killed
        ((identities,),) = shop.rows("SELECT count(*) FROM event_identity")
        assert count - int(str(identities)) == unposted(shop.engine, AT)
        on_the_way += killed and 0 < int(str(identities)) < count
        if not killed:
            assert expected == stored(shop)
            again(shop)
        elif dice.random() < 0.3:
            fold(shop.engine)
    post(shop)
    assert expected == stored(shop)
    # Or the moments were badly chosen and nothing was shown.
    assert on_the_way > KILLS // 5


def test_two_posters_at_once_post_each_due_once(shop: Shop) -> None:
    post(shop)
    expected = stored(shop)
    for _ in range(5):
        again(shop)
        ready, told = Barrier(2), list[int]()

        def work(ready: Barrier = ready, told: list[int] = told) -> None:
            ready.wait()
            told.append(post(shop))

        both = [Thread(target=work), Thread(target=work)]
        for each in both:
            each.start()
        for each in both:
            each.join()
        assert len(expected[1]) == 2 * sum(told), "each due was told as posted by one of them"
        assert expected == stored(shop)


def test_what_is_posted_does_not_depend_on_when_the_poster_ran(shop: Shop) -> None:
    post(shop)
    expected = stored(shop)
    again(shop)
    for days in sorted(random.Random().sample(range(400), 6), reverse=True):
        post(shop, AT - timedelta(days=days))
    post(shop)
    assert expected == stored(shop)
