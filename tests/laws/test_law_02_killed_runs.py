"""Law 2: crashes of runs and finalizations.

"Duplicates, permutations, batching, sharding, crashes: byte-identical totals and invoices." Here: a run or a
finalization that is killed at any moment, and repeated, comes to what it would have come to.
"""

import multiprocessing
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.context import ForkServerContext

import pytest

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.runs import PeriodLockedError
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import Engine, open_engine, snapshot, transaction
from tests.invoicing import CLOSED, draw_up_in_a_process, finalize_in_a_process, stock
from tests.shop import OCTOBER, Shop, call, products

KILLS = 50
ACCOUNTS = 80
BATCH = 2

Rows = list[tuple[object, ...]]


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.invoicing"])
    return context


@pytest.fixture
def seeded(cluster: Cluster, migrated: str) -> Iterator[str]:
    """The name of a database with a month to bill, drawn up, to make copies of."""
    name = f"seeded_{uuid.uuid4().hex}"
    engine = open_engine(create_database(cluster, name, migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish()
    names = [f"acct-{number}" for number in range(ACCOUNTS)]
    shop.admit(*names)
    shop.post(*(call(number, account=name) for number, name in enumerate(names)), at=CLOSED)
    draw_up(engine, products(), OCTOBER, CLOSED, write=True)
    engine.dispose()
    yield name
    drop_database(cluster, name)


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def killed(processes: ForkServerContext, work: Callable[..., None], *values: object, after: float | None) -> bool:
    """Do some work in a process and kill it after some seconds; whether it was still at work."""
    process = processes.Process(target=work, args=values)
    process.start()
    process.join(after)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def free_again(work: Callable[[], object]) -> None:
    """Do some work as soon as the server has noticed that whoever held the period is gone."""
    while True:
        with suppress(PeriodLockedError):
            work()
            return
        time.sleep(0.01)


DRAFTS = (
    "SELECT account, sha256, total_minor, lines FROM draft_invoices ORDER BY 1",
    (
        "SELECT l.payer_id, line_no, amount_minor, base_quantity, residual FROM draft_lines AS l"
        " JOIN draft_invoices USING (payer_id, invoice_id) ORDER BY 1, 2"
    ),
    "SELECT payer_id, account_id, price_id, country, quantity FROM draft_billed_totals ORDER BY 1, 2, 3, 4",
    "SELECT count(*), count(DISTINCT invoice_id) FROM draft_lines",
)

# With the number of lines, so that one statement sees both.
FINAL = (
    "SELECT number, account, sha256, (SELECT count(*) FROM invoice_lines AS line"
    " WHERE (line.payer_id, line.invoice_id) = (invoices.payer_id, invoices.invoice_id)) FROM invoices ORDER BY 1"
)


def drafts(shop: Shop) -> list[Rows]:
    """All there is of the drafts at one moment, but for their ids, which are new each time."""
    with snapshot(shop.engine) as connection:
        return [connection.execute(query.encode()).fetchall() for query in DRAFTS]


def test_a_run_that_is_killed_at_any_moment_and_repeated_comes_to_the_same(
    shop: Shop, processes: ForkServerContext
) -> None:
    stock(shop, ACCOUNTS, 1200)
    url, dice = url_of(shop.engine), random.Random()

    def again() -> None:
        """As before the first run; or as after one of other usage, so that all drafts change."""
        with transaction(shop.engine) as connection:
            if dice.random() < 0.5:
                connection.execute("TRUNCATE draft_invoices, draft_lines, draft_billed_totals, draft_runs, draft_stops")
            else:
                connection.execute("UPDATE draft_invoices SET sha256 = sha256('other')")

    assert not killed(processes, draw_up_in_a_process, url, after=None)
    expected = drafts(shop)
    again()
    start = time.perf_counter()
    assert not killed(processes, draw_up_in_a_process, url, after=None)
    longest = time.perf_counter() - start
    kills = 0
    while kills < KILLS:
        again()
        before = drafts(shop)
        was_killed = killed(processes, draw_up_in_a_process, url, after=dice.uniform(0, longest))
        kills += was_killed
        # All or nothing.
        assert drafts(shop) in ((before, expected) if was_killed else (expected,))
        free_again(lambda: draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True))
        assert expected == drafts(shop)


def test_a_finalization_that_is_killed_at_any_moment_and_repeated_comes_to_the_same(
    cluster: Cluster, seeded: str, processes: ForkServerContext
) -> None:
    kills, begun, longest, dice = 0, 0, 0.0, random.Random()
    while kills < KILLS:
        name = f"killed_{uuid.uuid4().hex}"
        shop = Shop(engine=open_engine(create_database(cluster, name, seeded).sqlalchemy_url))
        expected = shop.rows(
            "SELECT row_number() OVER (ORDER BY payer_id), account, sha256, lines FROM draft_invoices ORDER BY 1"
        )
        start = time.perf_counter()
        while shop.rows("SELECT 1 FROM draft_invoices LIMIT 1"):
            after = dice.uniform(0, longest) if longest else None
            was_killed = killed(processes, finalize_in_a_process, url_of(shop.engine), BATCH, after=after)
            longest = longest or time.perf_counter() - start
            kills += was_killed
            found = shop.rows(FINAL)
            assert expected[: len(found)] == found
            begun += was_killed and 0 < len(found) < ACCOUNTS
        assert 0 == finalize(shop.engine, OCTOBER, CLOSED).issued
        assert expected == shop.rows(FINAL)
        assert [(0, 0)] == shop.rows(
            "SELECT (SELECT count(*) FROM draft_lines), (SELECT count(*) FROM draft_billed_totals)"
        )
        shop.engine.dispose()
        drop_database(cluster, name)
    # Or the moments were badly chosen and nothing was shown.
    assert begun > KILLS // 10
