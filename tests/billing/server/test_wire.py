"""Answers leave in one piece, and nothing of them is held back for longer than a turn of the event loop."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from billing.server.wire import InOnePiece, Joining
from tests.serving import free_port

WENT_ON = threading.Event()


class Recorded(asyncio.Transport):
    """A connection that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[object] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.noted.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.noted.append([bytes(each) for each in list_of_data])

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.noted.append("closed")


def noted(*doing: Callable[[Joining], None]) -> list[object]:
    """What is asked of a connection by what is done to it, each in a turn of its own."""

    async def do() -> list[object]:
        recorded = Recorded()
        joining = Joining(recorded, asyncio.get_running_loop())
        for each in doing:
            each(joining)
            await asyncio.sleep(0)
        return recorded.noted

    return asyncio.run(do())


def test_what_is_written_in_one_turn_leaves_in_one_piece() -> None:
    def answer(joining: Joining) -> None:
        joining.write(b"head")
        joining.write(b"body")

    assert [[b"head", b"body"]] * 2 == noted(answer, answer)


def test_what_nothing_follows_leaves_when_the_turn_ends() -> None:
    assert [b"a part", b"another"] == noted(lambda it: it.write(b"a part"), lambda it: it.write(b"another"))


def test_what_is_closed_was_written_before() -> None:
    def answer(joining: Joining) -> None:
        joining.write(b"head")
        joining.close()

    assert [b"head", "closed"] == noted(answer)


async def _short(_: Request) -> Response:
    return PlainTextResponse("short")


async def _slow(_: Request) -> Response:
    def parts() -> Iterator[str]:
        yield "begun"
        WENT_ON.wait(20)
        yield "ended"

    return StreamingResponse(parts())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server of short answers, and of one that is made slowly."""
    app = Starlette(routes=[Route("/short", _short), Route("/slow", _slow)])
    found = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=found, http=InOnePiece, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield found
    server.should_exit = True
    thread.join(30)


def asked(port: int, *requests: bytes) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=10)
    opened.sendall(b"".join(requests))
    return opened


def until(opened: socket.socket, end: bytes) -> bytes:
    said = b""
    while end not in said:
        part = opened.recv(4096)
        assert part, said
        said += part
    return said


def test_what_is_made_slowly_is_heard_as_it_is_made(port: int) -> None:
    with asked(port, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n") as opened:
        assert b"ended" not in until(opened, b"begun")
        WENT_ON.set()
        assert until(opened, b"0\r\n\r\n").endswith(b"ended\r\n0\r\n\r\n")


def test_answers_come_in_order_and_the_last_one_whole(port: int) -> None:
    """Also where requests come together, have no body, and end the connection."""
    head = b"HEAD /short HTTP/1.1\r\nHost: a\r\n\r\n"
    get = b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /short HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with asked(port, get, head, get, last) as opened:
        said = b""
        while part := opened.recv(4096):
            said += part
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in said.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert [b"short", b"", b"short", b"short"] == bodies
