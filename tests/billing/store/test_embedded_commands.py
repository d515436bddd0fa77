"""The embedded server as commands meet it: several at once, interrupted, under odd environments, as root and not."""

import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from billing.store.embedded import Cluster, State, cluster_from, ensure_running, status, stop

NewCluster = Callable[..., Cluster]
REPOSITORY = Path(__file__).parents[3]
# Everything is imported before root becomes someone else, who may not be let into the folder of this Python.
BECOME = """
import dataclasses, json, os, pwd, sys, time
sys.path.insert(0, sys.argv[1])
import psycopg, billing.store.embedded
if sys.argv[2]:
    entry = pwd.getpwuid(int(sys.argv[2]))
    os.setgroups([entry.pw_gid])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
"""
# What `tollbook db start` does, and then what the test wants.
COMMAND = """
from billing.store.embedded import cluster_from, ensure_running, status, stop
cluster = dataclasses.replace(cluster_from(os.environ), settings=json.loads(os.environ.get("SETTINGS", "{}")))
say = lambda words: print(words, file=sys.stderr, flush=True)
"""
START = COMMAND + "address = ensure_running(cluster, say); print(status(cluster).pid, address.libpq_uri, flush=True)\n"
WHAT_PYTHON_NEEDS = {
    name: os.environ[name] for name in ("PATH", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ
}
IS_ROOT = os.geteuid() == 0
as_root_only = pytest.mark.skipif(not IS_ROOT, reason="needs root: what root's server runs as")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone who gives commands; uid None is whoever runs the tests."""

    uid: int | None
    home: Path

    def popen(self, code: str, environ: Mapping[str, str], cwd: Path = Path("/")) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-B", "-c", BECOME + code, str(REPOSITORY), str(self.uid or "")],
            env={**WHAT_PYTHON_NEEDS, "HOME": str(self.home), **environ},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, code: str, environ: Mapping[str, str], cwd: Path = Path("/")) -> str:
        with self.popen(code, environ, cwd) as process:
            output, errors = process.communicate(timeout=60)
        assert 0 == process.returncode, errors
        return output.strip()


@pytest.fixture
def oneself(tmp_path: Path) -> Person:
    return Person(uid=None, home=tmp_path)


@pytest.fixture
def ordinary_user(new_cluster: NewCluster) -> Person:
    """An ordinary user with a home of their own: `nobody` if root runs the tests. Their server ends with the test."""
    home = new_cluster("home/.local/share/tollbook").data.parents[2]
    home.mkdir(parents=True, mode=0o700)
    if not IS_ROOT:
        return Person(uid=None, home=home)
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    person = Person(uid=nobody.pw_uid, home=home)
    with person.popen(COMMAND, {}) as process:
        _, errors = process.communicate(timeout=60)
    if process.returncode != 0:
        pytest.skip(f"the user nobody cannot run the wheel's programs where they lie: {errors.splitlines()[-1]}")
    return person


def test_of_several_commands_at_once_exactly_one_starts_a_server(new_cluster: NewCluster, oneself: Person) -> None:
    cluster = new_cluster()
    commands = [oneself.popen(START, {"TOLLBOOK_DATA": str(cluster.data)}) for _ in range(4)]
    said = [command.communicate(timeout=60) for command in commands]
    log = "".join(path.read_text() for path in cluster.log_folder.glob("postgresql-*.log"))
    assert [0] * 4 == [command.returncode for command in commands], said
    assert {f"{status(cluster).pid} {ensure_running(cluster, print).libpq_uri}\n"} == {output for output, _ in said}
    assert 1 == log.count("starting PostgreSQL")


def test_of_several_commands_after_a_crash_exactly_one_recovers(new_cluster: NewCluster, oneself: Person) -> None:
    cluster = new_cluster()
    ensure_running(cluster, print)
    killed = status(cluster).pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    commands = [oneself.popen(START, {"TOLLBOOK_DATA": str(cluster.data)}) for _ in range(3)]
    said = [command.communicate(timeout=60) for command in commands]
    assert [0] * 3 == [command.returncode for command in commands], said
    assert 1 == len({output for output, _ in said})


def test_the_server_outlives_the_command_and_its_ctrl_c(new_cluster: NewCluster, oneself: Person) -> None:
    cluster = new_cluster()
    with oneself.popen(START + "time.sleep(60)", {"TOLLBOOK_DATA": str(cluster.data)}) as command:
        assert command.stdout is not None
        pid = int(command.stdout.readline().split()[0])
        os.killpg(command.pid, signal.SIGINT)  # as a terminal does: to the whole group
        command.communicate(timeout=60)
    ensure_running(cluster, print)
    assert (pid, -signal.SIGINT) == (status(cluster).pid, command.returncode)


def test_ctrl_c_during_a_recovery_ends_the_waiting_and_not_the_recovery(
    new_cluster: NewCluster, oneself: Person
) -> None:
    cluster = new_cluster(settings={"restore_command": "sleep 5; false"})
    ensure_running(cluster, print)
    stop(cluster, print)
    (cluster.postgres / "recovery.signal").touch()
    slow = json.dumps(dict(cluster.settings))
    with oneself.popen(START, {"TOLLBOOK_DATA": str(cluster.data), "SETTINGS": slow}) as command:
        assert command.stderr is not None
        first_words = command.stderr.readline()
        os.killpg(command.pid, signal.SIGINT)
        command.communicate(timeout=60)
    recovering = status(cluster)
    ensure_running(cluster, print)
    assert "PostgreSQL is starting" in first_words
    assert (State.STARTING, State.READY) == (recovering.state, status(cluster).state)
    assert recovering.pid == status(cluster).pid


def test_the_callers_environment_does_not_reach_the_server(new_cluster: NewCluster, oneself: Person) -> None:
    """A locale that was never generated, a library path and PostgreSQL's own variables stop other servers."""
    cluster = new_cluster()
    locale = {"LC_ALL": "en_US.UTF-8", "LANG": "xx_YY", "LC_MESSAGES": "de_DE.UTF-8", "TZ": "Mars/Olympus"}
    others = {"PGPORT": "1", "PGDATA": "/nowhere", "PGHOSTADDR": "127.0.0.1", "PGUSER": "x", "PGDATABASE": "x"}
    library_path = ":".join(("/nowhere", os.environ.get("LD_LIBRARY_PATH", "")))
    libraries = {"LD_LIBRARY_PATH": library_path, "XDG_RUNTIME_DIR": "/nowhere", "TMPDIR": "/nowhere"}
    oneself.run(START, {"TOLLBOOK_DATA": str(cluster.data), **locale, **others, **libraries})
    with psycopg.connect(ensure_running(cluster, print).libpq_uri) as connection:
        names = ("lc_messages", "log_timezone", "port")
        values = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
    seen = Path(f"/proc/{status(cluster).pid}/environ").read_text().split("\0")
    assert [("C",), ("UTC",), ("5432",)] == values
    assert [] == [each for each in seen if "nowhere" in each or "Mars" in each or "xx" in each or "HOME" in each]


def test_an_ordinary_user_needs_a_home_and_nothing_else(ordinary_user: Person) -> None:
    pid = int(ordinary_user.run(START, {}).split()[0])
    data = ordinary_user.home / ".local/share/tollbook"
    owner = ordinary_user.uid or os.geteuid()
    assert (owner, owner, 0o700) == (
        Path(f"/proc/{pid}").stat().st_uid,
        data.stat().st_uid,
        data.stat().st_mode & 0o777,
    )
    again = "print(stop(cluster, say), stop(cluster, say), status(cluster).state)"
    assert "True False stopped" == ordinary_user.run(COMMAND + again, {})
    assert not (data / "binaries").exists()


@as_root_only
def test_roots_server_runs_as_someone_else_from_its_own_copy_of_the_programs(
    new_cluster: NewCluster, oneself: Person
) -> None:
    cluster = new_cluster()
    closed = oneself.home / "closed"
    closed.mkdir(mode=0o700)
    pid = int(oneself.run("os.umask(0o077)\n" + START, {"TOLLBOOK_DATA": str(cluster.data)}, closed).split()[0])
    assert cluster.server_user is not None
    assert cluster.server_user.uid == Path(f"/proc/{pid}").stat().st_uid != 0
    assert Path(f"/proc/{pid}/exe").readlink().is_relative_to(cluster.data / "binaries")
    modes = {path.name: (path.stat().st_uid == 0, oct(path.stat().st_mode & 0o777)) for path in cluster.data.iterdir()}
    server = (False, "0o700")
    assert {
        "postgres": server,
        "log": server,
        "socket": server,
        "binaries": (True, "0o755"),
        "server.conf": (True, "0o644"),
        "lock": (True, "0o600"),
    } == modes


@as_root_only
def test_roots_server_has_none_of_roots_groups(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    ensure_running(cluster, print)
    lines = Path(f"/proc/{status(cluster).pid}/status").read_text().splitlines()
    ids = {line.split(":")[0]: set(line.split()[1:]) for line in lines if line.startswith(("Uid", "Gid", "Groups"))}
    assert cluster.server_user is not None
    uid, gid = str(cluster.server_user.uid), str(cluster.server_user.gid)
    assert {"Uid": {uid}, "Gid": {gid}, "Groups": {gid}} == ids


@as_root_only
def test_root_starts_a_users_database_as_that_user_who_can_go_on_with_it(ordinary_user: Person) -> None:
    ordinary_user.run(START, {})
    data = ordinary_user.home / ".local/share/tollbook"
    cluster = cluster_from({"TOLLBOOK_DATA": str(data)})
    assert stop(cluster, print)
    (data / "lock").unlink()
    ensure_running(cluster, print)
    pid = status(cluster).pid
    assert ordinary_user.uid == Path(f"/proc/{pid}").stat().st_uid
    assert str(pid) == ordinary_user.run(START, {}).split()[0]
    assert "True" == ordinary_user.run(COMMAND + "print(stop(cluster, say))", {})
    ordinary_user.run(START, {})


@as_root_only
def test_an_ordinary_user_is_told_that_roots_database_is_not_theirs(
    new_cluster: NewCluster, ordinary_user: Person
) -> None:
    cluster = new_cluster()
    ensure_running(cluster, print)
    with ordinary_user.popen(START, {"TOLLBOOK_DATA": str(cluster.data)}) as command:
        _, errors = command.communicate(timeout=60)
    assert "the database there belongs to user id" in errors
    assert "run the command as that user" in errors


@as_root_only
def test_a_folder_that_the_servers_user_cannot_reach_is_named(new_cluster: NewCluster, oneself: Person) -> None:
    cluster = new_cluster("closed/data")
    cluster.data.parent.mkdir(parents=True, mode=0o700)
    with oneself.popen(START, {"TOLLBOOK_DATA": str(cluster.data)}) as command:
        _, errors = command.communicate(timeout=60)
    assert f"{cluster.data}: user id" in errors
    assert "let that user enter every folder of this path" in errors
