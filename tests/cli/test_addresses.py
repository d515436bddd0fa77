"""DATABASE_URL: what is wrong with it is one line with its remedy, and never shows a password."""

from pathlib import Path

import pytest

from billing.store.cluster.folders import PORT
from billing.store.embedded import ensure_running
from tests.cli.conftest import Ran, Tollbook
from tests.conftest import NewCluster

PASSWORD = "hunter22"


@pytest.fixture
def said(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> Tollbook:
    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setenv("DATABASE_URL", str(arguments[0]))
        ran = tollbook("cards", "list")
        assert ("", 1) == (ran.out, ran.err.count("\n"))
        assert ran.err.startswith("tollbook: DATABASE_URL: ")
        assert not [part for part in (PASSWORD, PASSWORD[:4], PASSWORD[4:]) if part in ran.err]
        return ran

    return run


@pytest.mark.parametrize(
    "address",
    [
        "hunter22",
        "host=127.0.0.1 dbname=x password=hunter22",
        "mysql://user:hunter22@127.0.0.1/x",
        "postgresql://user:hunter22@127.0.0.1:port/x",
        "postgresql://user:hunt@er22@127.0.0.1/x",
        "postgresql://user:hunter22@[::1/x",
        "postgresql://user:hunter22@127.0.0.1:1/x?unheard_of=1",
    ],
)
def test_what_is_no_address_is_a_wrong_call_that_shows_the_form(address: str, said: Tollbook) -> None:
    ran = said(address)
    assert 2 == ran.code
    assert "; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with" in ran.err


def test_a_server_that_is_not_there_is_exit_6(said: Tollbook) -> None:
    ran = said(f"postgresql://user:{PASSWORD}@127.0.0.1:1/x")
    assert 6 == ran.code
    assert "Connection refused" in ran.err
    assert "; start the server, or mend the host and the port in it; then run the command again\n" in ran.err


def test_a_host_without_an_address_is_exit_6(said: Tollbook) -> None:
    ran = said(f"postgresql://user:{PASSWORD}@nowhere.invalid/x")
    assert 6 == ran.code
    assert "'nowhere.invalid'" in ran.err
    assert ran.err.endswith("; mend the host in it\n")


def test_a_server_that_lets_nobody_in_is_exit_6(said: Tollbook, new_cluster: NewCluster, scratch: Path) -> None:
    rules = scratch / "rules-of-a-guarded-server"
    rules.write_text("local all stranger scram-sha-256\nlocal all all trust\n")
    cluster = new_cluster(settings={"hba_file": str(rules), "fsync": "off"})
    ensure_running(cluster, lambda _: None)
    for user, database, problem, remedy in (
        ("stranger", "tollbook", 'password authentication failed for user "stranger"', "mend the user or the password"),
        ("tollbook", "nothing", 'database "nothing" does not exist', "create that database, or mend its name"),
        ("nobody", "tollbook", 'role "nobody" does not exist', "mend the user in it, or create that role"),
    ):
        ran = said(f"postgresql://{user}:{PASSWORD}@/{database}?host={cluster.socket_folder}&port={PORT}")
        assert 6 == ran.code
        assert problem in ran.err
        assert f"; {remedy}" in ran.err
