"""`docs/posting-usage.md`: followed by a shell from top to bottom, against the real service, and held to its word."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import NamedTuple

import httpx
import pytest

from billing.store.embedded import Address
from billing.store.engine import open_engine, snapshot
from tests.serving import free_port, new_key, serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "posting-usage.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^(?:`([\w.-]+)`:\n\n)?```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_INSTANT = re.compile(r"2\d{3}-\d\d-\d\dT[0-9:.]+Z")
_DAY = re.compile(r"(?<![\w-])2\d{3}-\d\d(-\d\d)?(?![\w-])")
_SEPARATOR = "----- the next block -----"


class Step(NamedTuple):
    """Commands, and what they have to print: the kind of the block after them and its text, or ""."""

    commands: str
    kind: str
    printed: str


def steps() -> list[Step]:
    """The page's commands after those that set the program up."""
    found: list[Step] = []
    for name, kind, text in _BLOCK.findall(PAGE):
        if kind == "sh":
            found.append(Step(text, "", ""))
        elif kind in {"json", "text"}:
            assert not found[-1].printed, f"what prints this? {text}"
            found[-1] = Step(found[-1].commands, kind, text)
        else:
            assert name, f"what is this? {text}"
    return found[1:]


def files() -> dict[str, str]:
    """The files that the page shows, by their names."""
    return {name: text for name, _, text in _BLOCK.findall(PAGE) if name}


def timeless(text: str) -> str:
    """A text without what depends on the day on which it was printed."""
    return _DAY.sub("DAY", _INSTANT.sub("INSTANT", text)).strip()


def lines(text: str) -> list[object]:
    """The lines of a text without what depends on the day; what is JSON is read, for its order says nothing."""
    return [json.loads(line) if line.startswith("{") else line for line in timeless(text).splitlines()]


def followed(folder: Path, environ: dict[str, str]) -> list[str]:
    """What each step prints, in one shell; the first that fails ends it."""
    port = str(free_port())
    begun = "set -eu -o pipefail\ntrap 'kill %1 2>/dev/null || true; wait' EXIT\nset -m\n"
    script = begun + f"echo '{_SEPARATOR}'\n".join(each.commands.replace("8080", port) for each in steps())
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.split(f"{_SEPARATOR}\n")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
def test_the_page_is_followed_from_top_to_bottom(empty_books: Address, tmp_path: Path) -> None:
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    own = {"DATABASE_URL": empty_books.libpq_uri, "TOLLBOOK_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    printed = followed(tmp_path, {**os.environ, **own, "PATH": path})
    assert len(steps()) == len(printed)
    for step, told in zip(steps(), printed, strict=True):
        if step.kind == "json":
            assert json.loads(timeless(step.printed)) == json.loads(timeless(told)), step.commands
        elif step.kind == "text":
            assert lines(step.printed) == lines(told), step.commands


def test_the_page_sets_the_program_up_as_the_readme_does() -> None:
    (_, _, first), *_ = (block for block in _BLOCK.findall(PAGE) if block[1] == "sh")
    assert f"```sh\n{first.splitlines()[0]} && .venv/bin/tollbook demo\n```" in README


def test_the_readme_posts_usage_as_the_page_does() -> None:
    (shown,) = re.findall(r"^\$ (curl .*)$", README, flags=re.MULTILINE)
    same = {"$KEY": "$SWITCH", "usage.ndjson": "calls.ndjson", "http://127.0.0.1:8080": "$TOLLBOOK", "curl ": ""}
    for one, other in same.items():
        shown = shown.replace(one, other)
    assert any(shown in step.commands for step in steps())


class Unreliable(ThreadingHTTPServer):
    """Passes requests on to a service, and fails in between as networks do: `troubles`, one for each request."""

    troubles = ("unanswered", "busy", "unanswered", "bad gateway")

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.url, self.seen = url, list[str]()

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}"


class _Passing(BaseHTTPRequestHandler):
    server: Unreliable

    def do_POST(self) -> None:
        """Pass a request on, and lose what comes back, or answer in its place, or give it back."""
        seen = self.server.seen
        trouble = self.server.troubles[len(seen)] if len(seen) < len(self.server.troubles) else ""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if trouble == "busy":
            seen.append(trouble)
            self._give(httpx.Response(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "0"}))
            return
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type", "Content-Encoding")}
        answer = httpx.post(self.server.url + self.path, content=body, headers=headers)
        seen.append(trouble or str(answer.status_code))
        if trouble == "unanswered":
            self.close_connection = True
        else:
            self._give(httpx.Response(HTTPStatus.BAD_GATEWAY) if trouble else answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _give(self, answer: httpx.Response) -> None:
        self.send_response(answer.status_code)
        for name in {"content-type", "retry-after"} & set(answer.headers):
            self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`post_usage.py` of the page, which waits for nothing."""
    module = ModuleType("post_usage")
    exec(compile(files()["post_usage.py"], "post_usage.py", "exec"), module.__dict__)  # noqa: S102 - the page's own
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    return module


@pytest.fixture
def unreliable(empty_books: Address, tmp_path: Path) -> Iterator[tuple[Unreliable, str]]:
    """A service behind what fails, and a key for it."""
    key = new_key(empty_books.libpq_uri, tmp_path, "switch-1", "--scope", "ingest", "--source", "switch-1")
    with serving(empty_books.libpq_uri, tmp_path) as running, Unreliable(running.url) as between:
        thread = Thread(target=between.serve_forever)
        thread.start()
        yield between, key
        between.shutdown()
        thread.join()


def test_the_program_of_the_page_loses_nothing_and_doubles_nothing(
    unreliable: tuple[Unreliable, str], program: ModuleType, empty_books: Address
) -> None:
    """What was stored but not answered for is sent again and is a duplicate; a bad event is told in the end."""
    between, key = unreliable
    call = {"account": "acme", "product": "voice.outbound", "occurred_at": "2026-10-02T10:11:12Z"}
    calls = [call | {"id": f"c{number}", "duration_seconds": 60} for number in range(50)]
    with (
        program.connect(between.address, "tb_test_none") as client,
        pytest.raises(RuntimeError, match=r"401: .*is none"),
    ):
        program.post(client, calls)
    assert [*Unreliable.troubles, "401"] == between.seen, "what is wrong is not repeated"
    between.seen.clear()
    with program.connect(between.address, key) as client:
        refused = program.post(client, [*calls, call | {"id": "bad"}])
    assert [*Unreliable.troubles, "207"] == between.seen
    assert [("bad", "rejected", "/quantity")] == [(e["id"], r["result"], r["pointer"]) for e, r in refused]
    engine = open_engine(empty_books.sqlalchemy_url)
    with snapshot(engine) as connection:
        assert 50 == len(connection.execute("SELECT FROM event_identity").fetchall())
    engine.dispose()
