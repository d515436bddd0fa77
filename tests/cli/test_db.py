"""The embedded database on the command line, in a data folder with a space in its name."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook, run


def state(home: Path) -> str:
    return str(json.loads(run(home, "db", "status", "--format", "json").out)["state"])


def test_it_starts_on_demand_stays_and_stops(home: Path) -> None:
    assert "absent" == state(home)
    assert 3 == run(home, "db", "stop").code
    ran = run(home, "cards", "list", "--format", "json")
    assert (0, []) == (ran.code, json.loads(ran.out))
    assert "ready" == state(home)
    assert "The database is ready, schema " in run(home, "db", "start").err
    found = {each["check"]: each for each in json.loads(run(home, "doctor", "--format", "json").out)}
    assert {"ok"} == {each["state"] for each in found.values()}
    assert "on" == found["fsync"]["found"]
    assert str(home) == found["data folder"]["found"]
    assert 0 == run(home, "db", "stop").code
    assert "stopped" == state(home)
    assert "it starts when it is needed" in run(home, "doctor").out


def test_a_locale_that_was_never_generated_does_no_harm(home: Path) -> None:
    ran = run(home, "db", "start", LC_ALL="en_US.UTF-8", LANG="xx_YY.UTF-8")
    assert 0 == ran.code


def test_nothing_is_started_where_a_server_is_named(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/x")
    for command in ("start", "stop", "status"):
        ran = tollbook("db", command)
        assert (6 if command == "start" else 2) == ran.code
        assert "Traceback" not in ran.err
    ran = tollbook("doctor", "--format", "json")
    found = {each["check"]: each for each in json.loads(ran.out)}
    assert (4, "warn") == (ran.code, found["server"]["state"])
    assert "Connection refused" in found["server"]["found"]


def test_a_data_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run(tmp_path / "file" / "data", "cards", "list")
    assert 2 == ran.code
    assert "the data folder cannot be used" in ran.err
    relative = run(Path("data"), "cards", "list")
    assert (2, "tollbook: data: the data folder is not an absolute path; write TOLLBOOK_DATA in full, from /\n") == (
        relative.code,
        relative.err,
    )
    assert "Traceback" not in ran.err
    ran = run(tmp_path, "cards", "list", TOLLBOOK_PG_BIN=str(tmp_path))
    assert 1 == ran.code
    assert "no PostgreSQL 16 or newer" in ran.err


def test_a_schema_of_another_version_is_refused_and_migrated(
    database: object, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", str(getattr(database, "libpq_uri", "")))
    ran = tollbook("cards", "list")
    assert 1 == ran.code
    assert "run `tollbook migrate`" in ran.err
    assert 4 == tollbook("doctor").code
    assert 0 == tollbook("migrate").code
    assert 0 == tollbook("cards", "list").code


def test_an_address_may_come_from_a_file(
    database: object, tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(f"{getattr(database, 'libpq_uri', '')}\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "secret"))
    assert 0 == tollbook("migrate").code
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "nothing"))
    ran = tollbook("migrate")
    place = f"DATABASE_URL_FILE {tmp_path / 'nothing'}"
    assert (2, f"tollbook: {place}: cannot be read: no such file or directory; check the path\n") == (ran.code, ran.err)
