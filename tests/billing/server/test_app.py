"""What holds of every route: problems, request ids, logs, figures, and how the service ends."""

import json
import time
from pathlib import Path

import httpx

from billing.store.embedded import Cluster, create_database, drop_database
from tests.serving import Served, serving


def test_it_answers_that_it_is_alive_without_asking_anybody(served: Served) -> None:
    assert {"status": "alive"} == httpx.get(f"{served.url}/v1/health").json()


def test_a_database_that_forgets_is_not_ready(served: Served) -> None:
    """Tests run on a server without fsync: what it acknowledges could be lost."""
    answer = httpx.get(f"{served.url}/v1/ready")
    assert (503, "urn:tollbook:problem:database-not-durable") == (answer.status_code, answer.json()["type"])
    assert answer.headers["Retry-After"]


def test_a_path_that_is_none_is_told_as_a_problem(served: Served) -> None:
    answer = httpx.get(f"{served.url}/v1/unheard-of")
    assert "application/problem+json" == answer.headers["Content-Type"]
    assert (404, 404) == (answer.status_code, answer.json()["status"])


def test_a_request_keeps_its_own_id_if_it_is_well_formed(served: Served) -> None:
    kept = httpx.get(f"{served.url}/v1/health", headers={"X-Request-Id": "order-17.a"})
    replaced = httpx.get(f"{served.url}/v1/health", headers={"X-Request-Id": 'evil" id'})
    assert "order-17.a" == kept.headers["X-Request-Id"]
    assert 32 == len(replaced.headers["X-Request-Id"])


def test_the_log_is_json_and_holds_no_path(served: Served) -> None:
    httpx.get(f"{served.url}/v1/events/switch/+14155550123", headers={"X-Request-Id": "look-here"})
    until = time.monotonic() + 10  # the answer may be here before the line is written
    while "look-here" not in served.log.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    lines = [json.loads(line) for line in served.log.read_text().splitlines() if line.startswith("{")]
    told = next(line for line in lines if line.get("request_id") == "look-here")
    assert ("GET", "request") == (told["method"], told["event"])
    assert "4155550123" not in served.log.read_text()


def test_a_body_beyond_ten_megabytes_is_refused_before_it_is_read(served: Served) -> None:
    answer = httpx.post(f"{served.url}/v1/health", content=b" " * (11 << 20))
    assert 413 == answer.status_code


def test_figures_count_requests_by_route(served: Served) -> None:
    httpx.get(f"{served.url}/v1/health")
    assert (
        'tollbook_requests_total{method="GET",route="/v1/health",status="200"}'
        in httpx.get(f"{served.url}/metrics").text
    )


def test_openapi_is_of_version_3_1(served: Served) -> None:
    assert httpx.get(f"{served.url}/v1/openapi.json").json()["openapi"].startswith("3.1")


def test_two_processes_answer_and_add_their_figures_up(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, "--workers", "2") as both:
        for _ in range(40):
            httpx.get(f"{both.url}/v1/health")  # a connection each: both answer some
        text = httpx.get(f"{both.url}/metrics").text
    line = next(line for line in text.splitlines() if line.startswith("tollbook_requests_total") and "health" in line)
    assert float(line.split()[-1]) >= 40


def test_it_ends_when_it_is_asked_to(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as running:
        assert 0 == running.stop()


def test_without_its_database_it_says_so_and_that_repeating_is_safe(
    cluster: Cluster, migrated: str, tmp_path: Path
) -> None:
    address = create_database(cluster, "test_lost", migrated)
    with serving(address.libpq_uri, tmp_path) as running:
        drop_database(cluster, "test_lost")
        answer = httpx.get(f"{running.url}/v1/ready")
    assert (503, "urn:tollbook:problem:database-unreachable") == (answer.status_code, answer.json()["type"])
