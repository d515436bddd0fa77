"""`tollbook work`: once for cron, and as a process, alone or beside the service."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from billing.store.embedded import Address
from billing.store.engine import open_engine, snapshot, transaction
from tests.cli.conftest import Ran, Tollbook, with_changes
from tests.serving import free_port, serving

PROGRAM = (sys.executable, "-c", "from cli.main import run; run()")
ROOT = Path(__file__).resolve().parents[2]


def unfolded(address: Address) -> int:
    return count(address, "SELECT count(*) FROM unfolded")


def count(address: Address, asked: str) -> int:
    engine = open_engine(address.sqlalchemy_url)
    with snapshot(engine) as connection:
        row = connection.execute(asked.encode()).fetchone()
    engine.dispose()
    assert row is not None
    return int(row[0])


def until(true: Callable[[], object], seconds: int = 60) -> None:
    """Wait until something is so."""
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.05)


def told(log: Path, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


@pytest.fixture
def behind(month: Path, empty_books: Address) -> Address:
    """A month of three calls of which one's change is unfolded again."""
    del month
    engine = open_engine(empty_books.sqlalchemy_url)
    with transaction(engine) as connection:
        connection.execute(
            "INSERT INTO unfolded (events, quantity, payer_id, account_id, price_id, day, country)"
            " SELECT events, quantity, payer_id, account_id, price_id, day, country FROM usage_totals LIMIT 1"
        )
        connection.execute("DELETE FROM usage_totals WHERE ctid IN (SELECT ctid FROM usage_totals LIMIT 1)")
    engine.dispose()
    return empty_books


def test_once_does_each_round_and_says_what_came_of_it(behind: Address, tollbook: Tollbook) -> None:
    assert 1 == unfolded(behind)
    ran = tollbook("work", "--once", "--format", "csv")
    rows = {row["round"]: row for row in csv.DictReader(io.StringIO(ran.out))}
    assert 0 == unfolded(behind)
    assert ("done", "1") == (rows["fold"]["ending"], rows["fold"]["count"])
    assert {
        "schema",
        "fold",
        "limits",
        "partitions",
        "charges",
        "repeats",
        "deliveries",
        "clock",
        "webhooks",
    } == rows.keys()
    # The clock of these tests is not the database's.
    assert (4, True) == (ran.code, rows["clock"]["warning"].startswith("the database's clock is"))


def test_charges_that_wait_need_a_person(behind: Address, tollbook: Tollbook, tmp_path: Path) -> None:
    del behind
    charge = 'id = "n1"\naccount = "acme"\nproduct = "number.monthly"\nevery = "month"\n'
    (tmp_path / "charges.toml").write_text(f"[[charge]]\n{charge}effective_from = 2026-11-02T00:00:00Z\n")
    assert 0 == tollbook("charges", "add", tmp_path / "charges.toml").code
    ran: Ran = tollbook("work", "--once")
    assert 4 == ran.code
    assert "1 charges wait in quarantine" in " ".join(ran.out.split())


def test_a_worker_works_until_it_is_asked_to_end_and_shows_its_figures(behind: Address, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [*PROGRAM, "work", "--metrics", str(port)], stderr=out, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    try:
        until(lambda: unfolded(behind) == 0)
        until(lambda: 'tollbook_round_items_total{round="fold"} 1.0' in httpx.get(f"http://127.0.0.1:{port}/").text)
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(30)
    finally:
        worker.kill()
    assert [1, 1] == [len(told(log, event)) for event in ("begun", "ended")]


def test_a_worker_on_another_programs_schema_ends_with_an_error(behind: Address) -> None:
    worker = subprocess.Popen(
        [*PROGRAM, "work"], stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True
    )
    try:
        until(lambda: unfolded(behind) == 0)
        engine = open_engine(behind.sqlalchemy_url)
        with transaction(engine) as connection:
            connection.execute("COMMENT ON TABLE alembic_version IS 'of another program'")
        engine.dispose()
        assert 1 == worker.wait(30)
    finally:
        worker.kill()
    assert worker.stderr is not None
    assert "another version of this program" in worker.stderr.read()


def test_the_service_has_a_worker_beside_it_that_is_begun_again_and_ends_with_it(
    behind: Address, tmp_path: Path
) -> None:
    with serving(behind.libpq_uri, tmp_path, work=True) as running:
        until(lambda: unfolded(behind) == 0)
        shown = httpx.get(f"{running.url}/metrics").text
        assert 'tollbook_rounds_total{ending="done",round="fold"}' in shown, "they add their figures up"
        (first,) = children(running.process.pid)
        os.kill(first, signal.SIGKILL)
        until(lambda: children(running.process.pid) not in ([first], []))
        (second,) = children(running.process.pid)
        until(lambda: len(told(running.log, "begun")) == 2)
        assert 0 == running.stop()
        assert not Path(f"/proc/{second}").exists()
    assert [-9] == [line["code"] for line in told(running.log, "worker-died")]
    assert ["Finished server process", "ended"] == ends(running.log), "first what was accepted is answered"


def test_a_worker_does_not_outlive_a_service_that_is_killed(behind: Address, tmp_path: Path) -> None:
    with serving(behind.libpq_uri, tmp_path, work=True) as running:
        until(lambda: told(running.log, "begun"))
        (worker,) = children(running.process.pid)
        running.process.kill()
        until(
            lambda: not Path(f"/proc/{worker}").exists() or "Z" in Path(f"/proc/{worker}/stat").read_text().split()[2]
        )
    assert 1 == len(told(running.log, "ended"))


def test_two_workers_at_once_fold_each_change_once(
    behind: Address, books: Path, tollbook: Tollbook, tmp_path: Path
) -> None:
    logs = [tmp_path / "log-1", tmp_path / "log-2"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = []
    for log in logs:
        with log.open("wb") as out:
            workers.append(subprocess.Popen([*PROGRAM, "work"], stderr=out, env=environ))
    try:
        until(lambda: all(told(log, "begun") for log in logs))
        for batch in range(5):
            lines = [with_changes(id=f"more-{batch}-{n}") for n in range(20)]
            (books / "more.ndjson").write_text("\n".join(lines))
            assert 0 == tollbook("usage", "import", books / "more.ndjson", "--source", "switch-1").code
        until(lambda: unfolded(behind) == 0)
    finally:
        for worker in workers:
            worker.terminate()
    assert [0, 0] == [worker.wait(30) for worker in workers]
    assert 103 == count(behind, "SELECT sum(events) FROM usage_totals")


def children(pid: int) -> list[int]:
    """The processes that a process has begun, without those that have ended."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for each in listed for child in each.read_text().split())


def ends(log: Path) -> list[str]:
    """Who said that it has ended, in order."""
    lines = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    return [line.partition(" [")[0] for line in lines if line.startswith(("Finished server", "ended"))]
