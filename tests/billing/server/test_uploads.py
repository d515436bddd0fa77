"""Bodies on their way in, with little patience and little room."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

from billing.server.uploads import Uploads
from tests.serving import free_port

ROOM = 100_000


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """An app that says how much was sent to it, behind a door of half a second and some room."""
    app = FastAPI()

    @app.post("/")
    async def told(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(Uploads, most=ROOM, patience_seconds=0.5)
    found = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=found, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield found
    server.should_exit = True
    thread.join(30)


def begin(port: int, body: bytes) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=20)
    opened.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + body)
    return opened


def test_a_body_that_does_not_come_is_waited_for_so_long_and_no_longer(port: int) -> None:
    """Also one of which a little comes all the time."""
    with begin(port, b"a") as opened:
        started = time.monotonic()
        opened.settimeout(0.1)
        said = b""
        while not said and time.monotonic() - started < 15:
            opened.sendall(b"a")
            try:
                said = opened.recv(2000)
            except TimeoutError:
                continue
    assert b"HTTP/1.1 408" == said[:12]
    assert b"urn:tollbook:problem:body-too-slow" in said


def test_all_of_them_have_so_much_room_and_who_is_done_leaves_it(port: int) -> None:
    half = b"a" * 60_000
    for _ in range(3):
        with ExitStack() as stack:
            first = stack.enter_context(begin(port, half))
            time.sleep(0.2)
            second = stack.enter_context(begin(port, half))
            assert b"HTTP/1.1 503" == second.recv(12)
            first.sendall(b"a" * 30_000)
            assert b"HTTP/1.1 200" == first.recv(12)
        assert 90_000 == httpx.post(f"http://127.0.0.1:{port}/", content=b"a" * 90_000).json()
