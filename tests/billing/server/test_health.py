"""Whether the service is ready, what it counts of itself, and what its logs never hold."""

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from threading import Thread

import httpx
import pytest
import structlog
import uvicorn

from billing.flows.gather import Gathering
from billing.flows.ingest import Intake
from billing.flows.keyring import KeyRing
from billing.flows.limit import set_guards
from billing.guards import Guard, Kind
from billing.keys import Mode
from billing.server.app import service
from billing.server.logs import configure, words_of
from billing.server.metrics import SHARED
from billing.server.world import World
from billing.store.embedded import Cluster, create_database, drop_database, ensure_running
from billing.store.engine import Engine, open_engine, transaction
from billing.store.migrate import migrate
from tests.serving import free_port, serving
from tests.shop import Shop, call, products

ROOT = Path(__file__).resolve().parents[3]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def durable(new_cluster: Callable[..., Cluster]) -> Iterator[Engine]:
    """A database as in production, which loses nothing."""
    engine = open_engine(ensure_running(new_cluster(), lambda _: None).sqlalchemy_url)
    migrate(engine)
    yield engine
    engine.dispose()


@contextmanager
def answering(world: World) -> Iterator[httpx.Client]:
    """The service of a world of the test's own, in a thread."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(service(world), port=port, log_config=None))
    thread = Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        world.keys.engine.dispose()


def world_of(engine: Engine) -> World:
    apart = open_engine(engine.url.render_as_string(hide_password=False), connections=1)
    keys = KeyRing(engine=apart, mode=Mode.TEST)
    intake = Gathering(Intake(engine=engine, products=products(), source=None), now)
    return World(engine=engine, products=products(), clock=now, keys=keys, secret=lambda: bytes(32), intake=intake)


def figures(text: str) -> Mapping[str, float]:
    """The figures of a page of them that have no labels."""
    pairs = [line.split(" ") for line in text.splitlines() if line.startswith("tollbook") and "{" not in line]
    return {name: float(value) for name, value in pairs}


def test_a_durable_database_is_ready_until_another_program_migrates_it(durable: Engine) -> None:
    with answering(world_of(durable)) as client:
        answer = client.get("/v1/ready")
        assert (200, "ready", []) == (answer.status_code, answer.json()["status"], answer.json()["warnings"])
        with transaction(durable) as connection:
            connection.execute("COMMENT ON TABLE alembic_version IS 'of another program'")
        answer = client.get("/v1/ready")
        assert (503, "urn:tollbook:problem:schema-changed") == (answer.status_code, answer.json()["type"])


def test_clocks_that_are_apart_are_told_in_the_answer_and_once_in_the_log(durable: Engine) -> None:
    ahead = replace(world_of(durable), clock=lambda: now() + timedelta(seconds=30))
    with structlog.testing.capture_logs() as told, answering(ahead) as client:
        first, second = (client.get("/v1/ready").json() for _ in "12")
        shown = figures(client.get("/metrics").text)
    assert first["clock_skew_seconds"] in {"-29.9", "-30.0"}
    assert [True, True] == ["behind this machine's" in each["warnings"][0] for each in (first, second)]
    assert ["clock-skew"] == [each["event"] for each in told if each["log_level"] == "warning"]
    assert -31 < shown["tollbook_clock_skew_seconds"] < -29


def test_a_guard_that_cannot_be_evaluated_is_warned_of_in_the_answer_and_in_the_log(durable: Engine) -> None:
    fitted = Guard(id="faxes", kind=Kind.PRICE, product="fax.*", limit=Fraction(1), currency="USD", unit="minute")
    set_guards(durable, [fitted], products(), at=now(), actor="ops")
    with structlog.testing.capture_logs() as told, answering(world_of(durable)) as client:
        (warning,) = client.get("/v1/ready").json()["warnings"]
    assert warning.startswith('the guard faxes cannot be evaluated: guard faxes: product "fax.*": selects no product')
    assert [warning] == [each["detail"] for each in told if each["event"] == "guards-unevaluated"]


def test_figures_tell_how_far_folding_is_behind(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE unfolded SET at = now() - interval '1 hour'")
    with answering(world_of(shop.engine)) as client:
        found = figures(client.get("/metrics").text)
    assert (1, 1) == (found["tollbook_database_up"], found["tollbook_unfolded_changes"])
    assert 3600 <= found["tollbook_unfolded_oldest_seconds"] < 3660


def test_figures_do_not_wait_for_a_database_whose_connections_are_all_at_work(engine: Engine) -> None:
    few = open_engine(engine.url.render_as_string(hide_password=False), connections=1)
    with answering(world_of(few)) as client:
        with transaction(few):
            assert 1 == figures(client.get("/metrics").text)["tollbook_database_connections_in_use"]
        assert 0 == figures(client.get("/metrics").text)["tollbook_database_connections_in_use"]


def test_without_a_database_there_are_figures_and_they_say_so(cluster: Cluster, migrated: str) -> None:
    address = create_database(cluster, "test_gone", migrated)
    opened = open_engine(address.sqlalchemy_url)
    with answering(world_of(opened)) as client:
        before = figures(client.get("/metrics").text)["tollbook_database_up"]
        drop_database(cluster, "test_gone")
        assert (1, 0) == (before, figures(client.get("/metrics").text)["tollbook_database_up"])


def test_what_waited_in_a_process_that_died_waits_no_more(tmp_path: Path) -> None:
    leave = (
        "import os; from billing.server.metrics import WAITING, EVENTS;"
        "WAITING.set(7); EVENTS.labels('accepted').inc(3); os.kill(os.getpid(), 9)"
    )
    read = "from billing.server.metrics import figures; print(figures().decode())"
    environ = {**os.environ, SHARED: str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", leave], env=environ, check=False)
    ran = subprocess.run([sys.executable, "-c", read], env=environ, check=True, capture_output=True, text=True)
    assert 'tollbook_events_total{outcome="accepted"} 3.0' in ran.stdout
    assert 0 == figures(ran.stdout).get("tollbook_waiting_events", 0)


def test_errors_are_told_without_numbers_and_keys() -> None:
    """By our own logger, and by those of libraries."""
    said = io.StringIO()
    before = logging.getLogger().handlers
    with redirect_stderr(said):
        configure()
    try:
        try:
            raise ValueError("no price for +14155550123 of tb_live_c2VjcmV0-x")  # noqa: TRY301
        except ValueError as error:
            structlog.get_logger("t").exception("defect", request_id="4155550123")
            structlog.get_logger("t").error("round-failed", **words_of(error))
            logging.getLogger("library").exception("of +14155550123")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers = before
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert ["defect", "round-failed", "of +#"] == [line["event"] for line in lines]
    assert "4155550123" == lines[0]["request_id"]
    assert "no price for +# of #" == lines[1]["detail"]
    assert ["+# of #" in line["exception"] for line in (lines[0], lines[2])] == [True, True]
    assert said.getvalue().count("4155550123") == 1
    assert "c2VjcmV0" not in said.getvalue()


def test_the_service_says_nothing_that_is_not_json(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, "--workers", "2", work=True) as running:
        httpx.get(f"{running.url}/v1/unheard-of")
        running.stop()
    assert all(json.loads(line) for line in running.log.read_text().splitlines())
