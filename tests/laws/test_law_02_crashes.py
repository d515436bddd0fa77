"""Law 2: "Duplicates, permutations, batching, sharding, crashes: byte-identical totals and invoices." Here: crashes.

Law 9: "Acknowledged = durable."
"""

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from billing.flows.fold import fold
from billing.store.embedded import Cluster, StopMode, ensure_running, stop
from billing.store.engine import open_engine, transaction
from billing.store.migrate import migrate
from tests.importing import import_file
from tests.shop import Row, Shop, call, outcomes, payloads

KILLS = 50
EVENTS = 4_000
A_CHUNK = 80

NewCluster = Callable[..., Cluster]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    dice = random.Random(20261002)
    events = [
        call(number, account=dice.choice(["acme", "beta", "nobody"]), duration_seconds=str(dice.randint(0, 200)))
        for number in range(EVENTS)
    ]
    path = tmp_path / "usage.ndjson"
    path.write_bytes(b"\n".join(payloads(events)))
    return path


def received(acknowledgements: Connection) -> int:
    """The last line that a process said was committed, which may have died in the middle of saying it."""
    last = 0
    try:
        while acknowledgements.poll():
            last = acknowledgements.recv()
    except (EOFError, OSError):
        pass
    return last


def stored(shop: Shop) -> tuple[list[Row], list[tuple[object, ...]]]:
    """The totals, and how many identities, events and quarantined events there are."""
    counts = "SELECT (SELECT count(*) FROM event_identity), (SELECT count(*) FROM events), count(*) FROM quarantine"
    return shop.totals(), shop.rows(counts)


def test_an_import_that_is_killed_at_any_moment_and_repeated_comes_to_the_same(shop: Shop, file: Path) -> None:
    shop.publish()
    shop.admit("acme", "beta")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.importing"])
    url = shop.engine.url.render_as_string(hide_password=False)
    dice = random.Random()

    def run(seconds: float | None) -> tuple[bool, int]:
        """Import the file, killed after some time; whether it was, and what it had acknowledged."""
        mine, its = processes.Pipe(duplex=False)
        importing = processes.Process(target=import_file, args=(url, str(file), its, A_CHUNK))
        importing.start()
        its.close()
        importing.join(seconds)
        killed = importing.is_alive()
        importing.kill()
        importing.join()
        return killed, received(mine)

    def again() -> None:
        with transaction(shop.engine) as connection:
            connection.execute(
                "TRUNCATE event_identity, events, event_elements, quarantine, unfolded, usage_totals, touched_months"
            )

    run(None)  # starts the server that the processes are forked from
    again()
    start = time.perf_counter()
    assert (False, EVENTS) == run(None)
    longest = time.perf_counter() - start
    expected = stored(shop)
    again()
    kills, at_once = 0, 0
    while kills < KILLS:
        # Beyond the longest as well: on a busy machine the next run takes longer than the one that was timed.
        killed, acknowledged = run(dice.uniform(0, 1.5 * longest))
        ((identities,),) = shop.rows("SELECT count(*) FROM event_identity")
        assert acknowledged <= int(str(identities)) <= EVENTS
        kills += killed
        at_once += killed and 0 < int(str(identities)) < EVENTS
        if not killed:
            assert expected == stored(shop)
            again()
        elif dice.random() < 0.3:
            fold(shop.engine)
    run(None)
    assert expected == stored(shop)
    # Or the moments were badly chosen and nothing was shown.
    assert at_once > KILLS // 5


def test_what_was_acknowledged_outlives_a_crash_of_the_server(new_cluster: NewCluster) -> None:
    cluster = new_cluster("crash")
    found: list[str] = []
    for _ in range(2):
        address = ensure_running(cluster, lambda _: None)
        engine = open_engine(address.sqlalchemy_url)
        migrate(engine)
        shop = Shop(engine=engine)
        shop.publish()
        shop.admit("acme")
        found = outcomes(shop.post(*(call(number) for number in range(10))))
        stop(cluster, lambda _: None, StopMode.IMMEDIATE)
        engine.dispose()
    assert ["duplicate"] * 10 == found
