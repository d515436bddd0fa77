"""Ways to run commands as a person does: arguments in, exit code and both outputs back."""

import itertools
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import freezegun
import pytest

from billing.store.cluster.binaries import find_binaries
from billing.store.embedded import Address, StopMode, cluster_at, stop
from billing.store.engine import open_engine
from billing.store.migrate import migrate
from cli.main import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str


Tollbook = Callable[..., Ran]
"""Runs `tollbook` with some arguments."""

# Whoever reads the clock is in `cli`. Looking through libraries for it would import all that they import when asked.
freezegun.configure(extend_ignore_list=["numpy", "psycopg", "pyarrow", "pydantic", "rich", "sqlalchemy", "typer"])

import_module("pyarrow.dataset")  # compiled against the real datetime; filters import it while time is frozen

PROGRAM = Path(sys.executable).with_name("tollbook")
NOW = "2026-11-21T12:00:00Z"

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z

[[rate]]
product = "voice.outbound"
destination = "United Kingdom"
prefixes = ["44"]
unit = "minute"
increments = "60/60"
price = "0.02"
"""
ACCOUNTS = """
[[account]]
id = "acme"
currency = "USD"

[[account]]
id = "acme-sales"
parent = "acme"
"""
CONTRACT = """
account = "acme"
effective_from = 2026-10-01
cards = ["list"]
"""
CALL = (
    '{"id": "c1", "account": "acme-sales", "product": "voice.outbound", "occurred_at": "2026-10-02T10:11:12Z",'
    ' "to": "+442079460000", "duration_seconds": "61"}'
)


def with_changes(**changes: str | None) -> str:
    """The call with other values; None leaves a field out."""
    event = {**json.loads(CALL), **changes}
    return json.dumps({key: value for key, value in event.items() if value is not None})


@pytest.fixture(autouse=True)
def without_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may say how wide a table may be; what is tested does not depend on it."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def now() -> Iterator[str]:
    """When commands begin, one after the other: always at the same instant, unless a test says otherwise."""
    return itertools.repeat(NOW)


@pytest.fixture
def tollbook(capfd: pytest.CaptureFixture[str], now: Iterator[str]) -> Tollbook:
    """The program, at an instant after October 2026: what is tested does not depend on when."""

    def run(*arguments: str | Path) -> Ran:
        capfd.readouterr()
        with freezegun.freeze_time(next(now), tick=True, real_asyncio=True):
            code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Ran(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def empty_books(database: Address, monkeypatch: pytest.MonkeyPatch) -> Address:
    """A database with the schema and nothing in it, which DATABASE_URL names."""
    engine = open_engine(database.sqlalchemy_url)
    migrate(engine)
    engine.dispose()
    monkeypatch.setenv("DATABASE_URL", database.libpq_uri)
    return database


@pytest.fixture
def books(empty_books: Address, tollbook: Tollbook, tmp_path: Path) -> Path:  # noqa: ARG001 (found through DATABASE_URL)
    """A card, an account with a subaccount and a contract, published; a folder with their files."""
    for name, text in (("card.toml", CARD), ("accounts.toml", ACCOUNTS), ("contract.toml", CONTRACT)):
        (tmp_path / name).write_text(text)
    assert 0 == tollbook("cards", "import", tmp_path / "card.toml").code
    assert 0 == tollbook("accounts", "add", tmp_path / "accounts.toml").code
    assert 0 == tollbook("contracts", "add", tmp_path / "contract.toml").code
    (tmp_path / "usage.ndjson").write_text(CALL + "\n")
    return tmp_path


@pytest.fixture
def month(books: Path, tollbook: Tollbook) -> Path:
    """Three calls of 61 seconds in October, imported: 6 minutes at 0.02."""
    lines = [with_changes(id=f"c{n}", occurred_at=f"2026-10-0{n}T00:00:00Z") for n in (1, 2, 3)]
    (books / "usage.ndjson").write_text("\n".join(lines))
    assert 0 == tollbook("usage", "import", books / "usage.ndjson", "--source", "switch-1").code
    return books


@pytest.fixture
def home(scratch: Path) -> Iterator[Path]:
    """A data folder of the test's own, with a space in its name; what runs in it ends with the test."""
    data = scratch / f"{uuid.uuid4().hex[:8]} data"
    yield data
    stop(cluster_at(data, find_binaries(os.environ)), lambda _: None, StopMode.IMMEDIATE)


def run(home: Path, *arguments: str, **environment: str) -> Ran:
    """The installed program, as a person starts it."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("DATABASE_URL", "TOLLBOOK_"))}
    ran = subprocess.run(
        [PROGRAM, *arguments],
        env={**plain, "TOLLBOOK_DATA": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)
