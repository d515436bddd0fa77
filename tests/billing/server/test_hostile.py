"""Clients that break off, dawdle, exaggerate, contradict themselves and others: the service takes no harm, nor guesses.

All of it over HTTP against the real process, on the real clock.
"""

import gzip
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest

from billing.server.bodies import LARGEST_BODY
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine, transaction
from tests.killing import prepare
from tests.serving import Served, serving
from tests.shop import Shop, call, payloads
from tests.stocked import SWITCH, tokens

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
PACKED = LINES | {"Content-Encoding": "gzip"}
NOW = datetime.now(UTC).replace(microsecond=0)
RECENT = (NOW - timedelta(hours=1)).isoformat()


@dataclass(frozen=True, slots=True)
class Besieged:
    """A service, its shop, and the tokens of keys."""

    served: Served
    shop: Shop
    tokens: Mapping[str, str]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.served.url.rpartition(":")[2])

    def send(self, content: bytes, headers: Mapping[str, str] = JSON, key: str = SWITCH) -> httpx.Response:
        """The answer to a POST of usage."""
        with self.served.client(self.tokens[key]) as client:
            return client.post("/v1/events", content=content, headers=dict(headers), timeout=90)

    def begin(self, length: int, body: bytes, *, path: str = "/v1/events", more: str = "") -> socket.socket:
        """A connection on which a POST began: it says a length, and sends less."""
        key = self.tokens[SWITCH if path == "/v1/events" else "operator"]
        head = (
            f"POST {path} HTTP/1.1\r\nHost: tollbook\r\nContent-Type: application/json\r\n{more}"
            f"Authorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n"
        )
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        opened.sendall(head.encode() + body)
        return opened

    def memory(self) -> int:
        """The megabytes that the process holds at most, from the last `forget_memory` on."""
        return self._status("VmHWM") // 1024

    def forget_memory(self) -> int:
        """Begin to measure; what it holds now, in megabytes."""
        Path(f"/proc/{self.served.process.pid}/clear_refs").write_text("5")
        return self._status("VmRSS") // 1024

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.served.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@pytest.fixture(scope="module")
def shop(cluster: Cluster, migrated: str) -> Iterator[Shop]:
    engine = open_engine(create_database(cluster, "test_hostile", migrated).sqlalchemy_url)
    try:
        shop = Shop(engine=engine)
        prepare(shop)
        shop.admit("acme-2", "zen")
        yield shop
    finally:
        engine.dispose()
        drop_database(cluster, "test_hostile")


@pytest.fixture(scope="module")
def api(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    known = tokens(shop.engine, "acme", "zen")
    patient = {"TOLLBOOK_LOCK_SECONDS": "60", "TOLLBOOK_STATEMENT_SECONDS": "60"}
    with serving(_url(shop), tmp_path_factory.mktemp("served"), environ=patient) as served:
        yield Besieged(served, shop, known)


@pytest.fixture(autouse=True)
def empty(shop: Shop) -> None:
    shop.forget()


def _url(shop: Shop) -> str:
    return shop.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def recent(number: int, **changes: object) -> dict[str, object]:
    return call(number, occurred_at=RECENT, **changes)


def results(answer: httpx.Response) -> list[str]:
    return [each["result"] for each in answer.json()["results"]]


def stored(shop: Shop) -> int:
    ((count,),) = shop.rows("SELECT count(*) FROM event_identity")
    return int(str(count))


def until_closed(opened: socket.socket) -> bytes:
    """What is answered on a connection."""
    said = b""
    while piece := opened.recv(65536):
        said += piece
    return said


def test_of_a_body_that_breaks_off_nothing_is_stored(api: Besieged, shop: Shop) -> None:
    """Also where what came by then would have been a whole request, and where an Idempotency-Key names it."""
    whole = payloads([recent(1)])[0]
    account = b'{"accounts":[{"id":"half","currency":"USD"}]}'
    for _ in range(20):
        api.begin(len(whole) + 100, whole).close()
        api.begin(len(whole) + 100, whole[:40]).close()
        api.begin(len(account) + 9, account, path="/v1/accounts").close()
        api.begin(len(account) + 9, account, path="/v1/accounts", more="Idempotency-Key: half\r\n").close()
    time.sleep(0.3)
    assert (0, []) == (stored(shop), shop.rows("SELECT FROM accounts WHERE id = 'half'"))
    assert ["accepted"] == results(api.send(whole))
    assert '"defect"' not in api.served.log.read_text()


def test_slow_bodies_stop_nobody(api: Besieged, shop: Shop) -> None:
    body = payloads([recent(1)])[0]
    with ExitStack() as stack:
        slow = [stack.enter_context(api.begin(len(body), body[:10])) for _ in range(200)]
        for at in range(10, 30):
            for each in slow:
                each.sendall(body[at : at + 1])
        took = []
        for number in range(2, 22):
            started = time.monotonic()
            assert ["accepted"] == results(api.send(payloads([recent(number)])[0]))
            took.append(time.monotonic() - started)
        assert sorted(took)[10] < 2
        assert 20 == stored(shop)
        for each in slow:
            each.sendall(body[30:])
        assert {b"HTTP/1.1 200 OK"} == {each.recv(15) for each in slow}
    assert 21 == stored(shop)


def test_a_bomb_is_not_unpacked(api: Besieged) -> None:
    """Ten megabytes that would be ten thousand."""
    bomb = gzip.compress(bytes(64 << 20)) * 150
    assert LARGEST_BODY * 900 < 150 * (64 << 20)
    assert len(bomb) <= LARGEST_BODY
    before = api.forget_memory()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.send(bomb, PACKED), range(8)))
    assert {(413, "urn:tollbook:problem:body-too-large")} == {(a.status_code, a.json()["type"]) for a in answers}
    assert api.memory() - before < 200
    assert 200 == api.send(payloads([recent(1)])[0]).status_code


def test_ten_megabytes_are_taken_and_one_byte_more_is_not(api: Besieged, shop: Shop) -> None:
    event = payloads([recent(1)])[0]
    full = event + b" " * (LARGEST_BODY - len(event))
    assert (200, ["accepted"]) == ((answer := api.send(full)).status_code, results(answer))
    for more in (full + b" ", gzip.compress(full + b" ")):
        headers = PACKED if more is not full and len(more) < LARGEST_BODY else JSON
        answer = api.send(more, headers)
        assert (413, "urn:tollbook:problem:body-too-large") == (answer.status_code, answer.json()["type"])
    assert 1 == stored(shop)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/accounts", "/v1/rate"])
@pytest.mark.parametrize("named", [False, True])
def test_a_body_of_no_stated_length_is_cut_off_where_it_is_too_large(api: Besieged, path: str, *, named: bool) -> None:
    """Also where an Idempotency-Key names the request: then it is read before its route is found."""

    def pieces() -> Iterator[bytes]:
        for _ in range(60):
            yield b" " * (1 << 20)

    before = api.forget_memory()
    headers = JSON | ({"Idempotency-Key": "endless"} if named else {})
    hung_up = suppress(httpx.WriteError, httpx.ReadError)  # before it had sent all of it
    with api.served.client(api.tokens["operator"]) as client, hung_up:
        assert 413 == client.post(path, content=pieces(), headers=headers).status_code
    assert api.memory() - before < 60


@pytest.mark.parametrize("path", ["/v1/events", "/v1/accounts", "/v1/contracts", "/v1/rate", "/v1/authorize"])
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_what_is_nested_without_end_is_refused(api: Besieged, path: str, opening: bytes) -> None:
    with api.served.client(api.tokens["operator"]) as client:
        for depth in (2_000, 200_000):
            answer = client.post(path, content=opening * depth, headers=JSON)
            assert answer.status_code in {400, 422}, answer.text[:300]
            closing = opening.replace(b'"a":', b"1").translate(bytes.maketrans(b"[{", b"]}"))
            whole = opening * depth + closing[::-1].replace(b"1", b"") * depth
            assert client.post(path, content=whole, headers=JSON).status_code in {400, 422}


FIELDS = [
    "id", "account", "product", "occurred_at", "source", "from", "to", "rated_to", "country", "mcc", "mnc",
    "number_type", "region", "jurisdiction", "package", "packages", "attributes", "status", "error_code",
    "delivered_as", "charges", "revision", "void", "quantity", "duration_seconds", "segments", "text", "bytes_sent",
    "bytes_received",
]  # fmt: skip
WRONG = [
    True, False, -1, 1.5, 10**400, [], [[]], [1], [None], {}, {"a": {}}, {"a": 1}, "", " ", "\x00", "\ud800",
    "x" * 5000, "NaN", "1e9", "٣", "-1", "0x10", "2026-13-01T00:00:00Z", "2026-10-02T10:11:12", "+", "+00",
]  # fmt: skip
TEXTS = {
    "id", "account", "product", "from", "to", "rated_to", "country", "number_type", "region", "jurisdiction", "package",
    "status", "error_code", "delivered_as", "text",
}  # fmt: skip
PLACES = {"void": ("/revision",), "bytes_sent": ("/bytes_r",), "bytes_received": ("/bytes_s",)}  # it may also be there


@pytest.mark.parametrize("field", FIELDS)
def test_a_value_of_another_type_is_refused_at_its_place(api: Besieged, field: str) -> None:
    """Or taken as the text that it is, where any text is one; never a failure, and never at another event's cost."""
    wrong = [recent(n, duration_seconds="61") | {"id": f"w{n}", field: value} for n, value in enumerate(WRONG)]
    lines = [*(json.dumps(each).encode() for each in wrong), *payloads([recent(1)])]
    answer = api.send(b"\n".join(lines), LINES)
    assert 207 == answer.status_code, answer.text[:500]
    told = answer.json()["results"]
    assert "accepted" == told[-1]["result"]
    for value, result in zip(WRONG, told, strict=False):
        said = f"{field}: {value!r:.40}: {result}"
        if result["result"] == "rejected":
            assert result["pointer"].startswith((f"/{field}", *PLACES.get(field, ()))), said
            assert result["reason"], said
        else:
            takes = isinstance(value, str) and field in TEXTS
            assert (
                takes
                or not value
                or field in {"attributes", "void", "charges"}
                or (field, value) == ("duration_seconds", 1.5)
            ), said


def test_of_what_is_twice_in_a_batch_the_first_counts(api: Besieged, shop: Shop) -> None:
    batch = [recent(n % 40) for n in range(200)] + [recent(n, duration_seconds="62") for n in range(40)]
    told = results(api.send(json.dumps(batch).encode()))
    assert ["accepted"] * 40 + ["duplicate"] * 160 + ["conflict"] * 40 == told
    assert [(40, 40 * 61)] == shop.rows("SELECT count(*), sum(measured)::int FROM events")


def test_of_what_two_servers_are_told_at_once_one_is_told_it_is_new(api: Besieged, shop: Shop, tmp_path: Path) -> None:
    """The same is a duplicate at the other, and what contradicts it a conflict."""
    rounds, each = 30, 20
    with serving(_url(shop), tmp_path) as other:
        services = [api.served, other, api.served, other]
        begin = threading.Barrier(len(services))

        def report(place: int) -> list[list[str]]:
            told = []
            with services[place].client(api.tokens[SWITCH]) as client:
                for turn in range(rounds):
                    numbers = range(turn * each, (turn + 1) * each)
                    seconds = "62" if turn % 3 == 2 and place % 2 else "61"
                    body = [recent(number, duration_seconds=seconds) for number in numbers]
                    begin.wait(60)
                    told.append(results(client.post("/v1/events", json=body if place < 2 else body[::-1])))
                    told[-1] = told[-1] if place < 2 else told[-1][::-1]
            return told

        with ThreadPoolExecutor(len(services)) as pool:
            told = list(pool.map(report, range(len(services))))
    for turn in range(rounds):
        for number in range(each):
            found = Counter(told[place][turn][number] for place in range(len(services)))
            expected = {"duplicate": 3} if turn % 3 < 2 else {"duplicate": 1, "conflict": 2}
            assert {"accepted": 1} | expected == found
    assert (rounds * each,) * 2 == (stored(shop), int(str(shop.rows("SELECT sum(events) FROM unfolded")[0][0])))


@pytest.mark.parametrize(
    ("away", "expected"),
    [
        (timedelta(0), "accepted"),
        (timedelta(hours=23), "accepted"),
        (timedelta(hours=25), "rejected"),
        (timedelta(days=30_000), "rejected"),
        (-timedelta(days=20), "accepted"),
        (-timedelta(days=396 + 31), "quarantined"),
        (-timedelta(days=18_000), "quarantined"),
    ],
)
@pytest.mark.parametrize("zone", [0, 14, -12])
def test_clocks_that_differ_are_borne_with_up_to_a_limit(
    api: Besieged, away: timedelta, expected: str, zone: int
) -> None:
    """Ahead of ours is refused, long ago waits for a person; the zone in which an instant is written is no skew."""
    at = (datetime.now(UTC) + away).astimezone(timezone(timedelta(hours=zone)))
    answer = api.send(payloads([call(1, occurred_at=at.isoformat())])[0])
    assert [expected] == results(answer), answer.text


def test_what_there_is_no_room_for_is_refused_and_takes_no_memory(api: Besieged, shop: Shop) -> None:
    """Forty clients with nine megabytes each, while nothing can be committed; whoever is let in is answered."""
    line = payloads([recent(1)])[0] + b" " * 800
    bodies = [
        b"\n".join(line.replace(b"call-1", f"f{client}-{n}".encode()) for n in range(9 * 2**20 // (len(line) + 3)))
        for client in range(3)
    ]
    before = api.forget_memory()
    with ThreadPoolExecutor(40) as pool:
        with transaction(shop.engine) as connection:
            connection.execute("LOCK TABLE written_batches IN ACCESS EXCLUSIVE MODE")
            posted = [pool.submit(api.send, bodies[n % 3], LINES) for n in range(40)]
            until = time.monotonic() + 60
            while sum(each.done() for each in posted) < 30 and time.monotonic() < until:
                time.sleep(0.1)
            assert sum(each.done() for each in posted) >= 30
            refused = [each.result() for each in posted if each.done()]
            assert {(503, "urn:tollbook:problem:queue-full")} == {(a.status_code, a.json()["type"]) for a in refused}
            assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
            assert 200 == httpx.get(f"{api.served.url}/v1/health").status_code
        answers = [each.result() for each in posted]
    assert {200, 503} == {answer.status_code for answer in answers}
    assert api.memory() - before < 600
    assert ["accepted"] == results(api.send(payloads([recent(2)])[0]))


def test_bodies_that_never_end_take_a_bounded_part_of_memory(api: Besieged) -> None:
    """Each is within its limit: all of them together are not."""
    before = api.forget_memory()
    piece = b" " * (9 << 20)
    with ExitStack() as stack:
        slow = [stack.enter_context(api.begin(LARGEST_BODY, b"")) for _ in range(30)]

        def fill(opened: socket.socket) -> None:
            with suppress(OSError):  # it was hung up on
                opened.sendall(piece)

        with ThreadPoolExecutor(30) as pool:
            list(pool.map(fill, slow))
        time.sleep(0.5)
        assert api.memory() - before < 250
    time.sleep(0.5)
    assert ["accepted"] == results(api.send(payloads([recent(2)])[0]))


def test_a_named_request_is_done_once_whoever_repeats_it_and_when(api: Besieged, shop: Shop) -> None:
    """Twenty at once, and ten after them: one account, one answer."""
    body, headers = {"accounts": [{"id": "once", "currency": "USD"}]}, {"Idempotency-Key": "n-1"}

    def post(_: int) -> httpx.Response:
        with api.served.client(api.tokens["operator"]) as client:
            return client.post("/v1/accounts", json=body, headers=headers)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    answers += [post(n) for n in range(10)]
    done = [answer for answer in answers if answer.status_code != 409]
    assert len(done) >= 11
    assert 1 == len({answer.content for answer in done})
    assert len(done) - 1 == sum(answer.headers.get("Idempotency-Replayed") == "true" for answer in done)
    assert [(1,)] == shop.rows("SELECT count(*) FROM accounts WHERE id = 'once'")
