import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import adbc_driver_postgresql.dbapi
import psycopg
import pytest
import sqlalchemy

from billing.store.cluster.binaries import Binaries, find_binaries
from billing.store.cluster.errors import (
    ClusterNotStartedError,
    DataFolderUnusableError,
    DataVersionMismatchError,
    SocketFolderUnsafeError,
    remedy_for,
)
from billing.store.cluster.processes import wait_until
from billing.store.embedded import (
    Address,
    Cluster,
    State,
    StopMode,
    address_of,
    binary,
    cluster_at,
    cluster_from,
    create_database,
    drop_database,
    ensure_running,
    status,
    stop,
)

NewCluster = Callable[..., Cluster]
NO_BINARIES = Binaries(folder=Path("/nowhere"), major=18, minor=4, origin="a test")
# 130 bytes: more than the address of a socket can hold.
DEEP = "/".join(["a data folder that lies deep"] * 5)


def say(_: str) -> None:
    pass


def query(address: Address, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(address.libpq_uri) as connection:
        return connection.execute(statement.encode()).fetchall()


def pid_of(cluster: Cluster) -> int:
    pid = status(cluster).pid
    assert pid is not None
    return pid


# --- a new one -------------------------------------------------------------------------------------------------------


def test_a_new_database_answers_psycopg_sqlalchemy_and_adbc(new_cluster: NewCluster) -> None:
    address = ensure_running(new_cluster(), say)
    with sqlalchemy.create_engine(address.sqlalchemy_url).connect() as connection:
        by_sqlalchemy = connection.execute(sqlalchemy.text("SELECT current_database()")).scalar()
    with adbc_driver_postgresql.dbapi.connect(address.libpq_uri) as adbc, adbc.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        by_adbc = cursor.fetchone()
    assert ([("tollbook",)], "tollbook", ("tollbook",)) == (
        query(address, "SELECT current_database()"),
        by_sqlalchemy,
        by_adbc,
    )


def test_tollbook_owns_its_database_and_is_no_superuser(cluster: Cluster) -> None:
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    rights = "SELECT rolsuper, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = current_user"
    assert [("tollbook",)] == query(address_of(cluster), owner)
    assert [(False, False, False)] == query(address_of(cluster), rights)


def test_production_settings_are_durable_and_local(new_cluster: NewCluster) -> None:
    address = ensure_running(new_cluster(), say)
    names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "listen_addresses", "TimeZone")
    values = [query(address, f"SHOW {name}")[0][0] for name in names]
    assert ["on", "on", "on", "on", "", "UTC"] == values


def test_what_is_logged_is_compressed_by_lz4_or_not_at_all(cluster: Cluster) -> None:
    ((compression,),) = query(address_of(cluster), "SHOW wal_compression")
    assert compression in {"lz4", "off"}  # pglz takes longer than the events whose pages it packs


def test_text_sorts_by_code_point_on_every_machine(cluster: Cluster) -> None:
    locale = "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = '{}'"
    assert [("b", "C.UTF-8", "UTF8")] == query(address_of(cluster), locale.format("tollbook"))
    assert [("Z",), ("a",), ("é",)] == query(
        address_of(cluster), "SELECT * FROM unnest('{é,a,Z}'::text[]) x ORDER BY x"
    )


@pytest.mark.parametrize(
    "name",
    ["with a space", "Bücher-Ünïcode", DEEP, "deep/" * 30, "o'clock %41 #1; & (so on) * ~", "comma,comma"],
    ids=["space", "non-ASCII", "deep", "deep and plain", "quotes", "comma"],
)
def test_the_data_folder_may_have_any_name(new_cluster: NewCluster, name: str) -> None:
    cluster = new_cluster(name)
    address = ensure_running(cluster, say)
    assert [(str(cluster.postgres),)] == query(_as_superuser(address), "SHOW data_directory")
    assert len(os.fsencode(address.host / ".s.PGSQL.5432")) <= 103


def test_the_socket_lies_in_a_folder_closed_to_others(new_cluster: NewCluster) -> None:
    for name in ("plain", DEEP):
        address = ensure_running(new_cluster(name), say)
        assert 0o700 == address.host.stat().st_mode & 0o7777


def test_a_second_call_finds_the_same_server(cluster: Cluster) -> None:
    before = pid_of(cluster)
    ensure_running(cluster, say)
    assert before == pid_of(cluster)


def test_creating_is_said_with_the_binaries_used(new_cluster: NewCluster) -> None:
    said: list[str] = []
    cluster = new_cluster()
    ensure_running(cluster, said.append)
    assert [f"Creating the database in {cluster.data} with {cluster.binaries}."] == said


def test_an_interrupted_creation_is_begun_again(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    half = cluster.data / "postgres.unfinished"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    cluster.data.chmod(0o755)
    ensure_running(cluster, say)
    assert (State.READY, False) == (status(cluster).state, half.exists())


def test_a_missing_role_or_database_is_made_again(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    address = ensure_running(cluster, say)
    with psycopg.connect(_as_superuser(address).libpq_uri, autocommit=True) as connection:
        connection.execute("DROP DATABASE tollbook")
        connection.execute("DROP ROLE tollbook")
    ensure_running(cluster, say)
    assert [("tollbook",)] == query(address, "SELECT current_user")


# --- its end, and its return -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(StopMode))
def test_what_was_committed_is_there_after_a_stop_and_a_start(new_cluster: NewCluster, mode: StopMode) -> None:
    cluster = new_cluster()
    address = ensure_running(cluster, say)
    _keep(address, "kept")
    assert stop(cluster, say, mode)
    assert State.STOPPED == status(cluster).state
    assert [("kept",)] == query(ensure_running(cluster, say), "SELECT * FROM kept")


def test_what_was_committed_is_there_after_the_server_was_killed(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    for word in ("first", "second", "third"):
        _keep(ensure_running(cluster, say), word)
        os.kill(pid_of(cluster), signal.SIGKILL)
    words = query(ensure_running(cluster, say), "SELECT word FROM kept ORDER BY word")
    assert [("first",), ("second",), ("third",)] == words


def test_a_server_that_lost_a_process_is_waited_for(new_cluster: NewCluster) -> None:
    """One process killed, by the kernel that needs memory: PostgreSQL ends all others, and recovers."""
    cluster = new_cluster()
    address = ensure_running(cluster, say)
    server = pid_of(cluster)
    for _ in range(5):
        victim = psycopg.connect(address.libpq_uri)
        with suppress(psycopg.OperationalError), psycopg.connect(address.libpq_uri) as witness:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
            # PostgreSQL ends the others when it has noticed: until then it still takes new connections.
            for _ in range(1000):
                witness.execute("SELECT pg_sleep(0.01)")
        ensure_running(cluster, say)
    assert (server, [(1,)]) == (pid_of(cluster), query(address, "SELECT 1"))


def test_a_start_waits_for_what_a_killed_server_left_running(new_cluster: NewCluster) -> None:
    """A second server on the same files while an old backend still writes would destroy them."""
    cluster = new_cluster()
    address = ensure_running(cluster, say)
    with psycopg.connect(address.libpq_uri) as connection:
        orphan = connection.info.backend_pid
        os.kill(orphan, signal.SIGSTOP)
        os.kill(pid_of(cluster), signal.SIGKILL)
        starting = threading.Thread(target=ensure_running, args=(cluster, say))
        starting.start()
        starting.join(timeout=1.5)
        waited = starting.is_alive()
        os.kill(orphan, signal.SIGKILL)
        starting.join(timeout=30)
    assert (True, State.READY) == (waited, status(cluster).state)


def test_stopping_what_does_not_run_changes_nothing(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    assert (False, False) == (stop(cluster, say), cluster.data.exists())
    ensure_running(cluster, say)
    assert (True, False) == (stop(cluster, say), stop(cluster, say))


def test_a_stale_pid_that_another_program_has_by_now_does_not_hinder_the_start(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    ensure_running(cluster, say)
    _leave_stale_pid(cluster, os.getpid())
    assert State.STOPPED == status(cluster).state
    ensure_running(cluster, say)
    assert os.getpid() != pid_of(cluster)


def test_another_clusters_server_is_never_taken_for_its_own(cluster: Cluster, new_cluster: NewCluster) -> None:
    """After a crash, the number in a pid file that was left may be another PostgreSQL's by now."""
    other = pid_of(cluster)
    own = new_cluster()
    ensure_running(own, say)
    _leave_stale_pid(own, other)
    assert (State.STOPPED, False) == (status(own).state, stop(own, say, StopMode.IMMEDIATE))
    ensure_running(own, say)
    assert (other, False) == (pid_of(cluster), other == pid_of(own))


def test_a_slow_recovery_is_waited_for_and_said(new_cluster: NewCluster) -> None:
    slow = {"restore_command": "sleep 2.5; false"}
    cluster = new_cluster(settings=slow)
    _keep(ensure_running(cluster, say), "kept")
    os.kill(pid_of(cluster), signal.SIGKILL)
    (cluster.postgres / "recovery.signal").touch()
    said: list[str] = []
    ensure_running(cluster, said.append)
    expected = "PostgreSQL is starting; after a crash it recovers first, which can take minutes."
    assert {expected} == {words.partition(" 2")[0] for words in said}
    assert State.READY == status(cluster).state


def test_a_server_that_follows_archived_logs_is_not_ready(new_cluster: NewCluster) -> None:
    """PostgreSQL's own tool calls it started: a command would fail at its first connection."""
    cluster = new_cluster()
    address = ensure_running(cluster, say)
    stop(cluster, say)
    (cluster.postgres / "standby.signal").touch()
    starting = threading.Thread(target=ensure_running, args=(cluster, say))
    starting.start()
    starting.join(timeout=1.5)
    waited = (starting.is_alive(), status(cluster).state)
    (cluster.postgres / "promote").touch()
    os.kill(pid_of(cluster), signal.SIGUSR1)
    starting.join(timeout=30)
    _keep(address, "written")
    assert ((True, State.STARTING), State.READY) == (waited, status(cluster).state)


def test_what_takes_long_is_said_and_what_does_not_is_not() -> None:
    said: list[str] = []
    rounds = iter([False] * 3 + [True])
    wait_until(lambda: next(rounds), said.append, lambda: "waiting")
    assert [] == said


def test_another_command_that_holds_the_lock_is_waited_for(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    ensure_running(cluster, say)
    stop(cluster, say)
    said: list[str] = []
    with (cluster.data / "lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        starting = threading.Thread(target=ensure_running, args=(cluster, said.append))
        starting.start()
        starting.join(timeout=0.5)
        waited = starting.is_alive()
    starting.join(timeout=30)
    assert (True, State.READY) == (waited, status(cluster).state)
    assert ["Another command is starting or stopping the database: waiting for it."] == said


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_of_what_was_never_created(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    found = status(cluster)
    assert (State.ABSENT, False, 0, False) == (found.state, found.running, found.size_bytes, cluster.data.exists())


def test_status_of_a_running_server(cluster: Cluster) -> None:
    found = status(cluster)
    assert (State.READY, True, "18.4") == (found.state, found.running, found.version)
    assert (cluster.data, cluster.socket_folder) == (found.data, found.socket_folder)
    assert 20 * 2**20 < found.size_bytes < 500 * 2**20


def test_the_log_holds_what_happened_but_no_rows(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    address = ensure_running(cluster, say)
    with psycopg.connect(address.libpq_uri) as connection, suppress(psycopg.errors.UniqueViolation):
        connection.execute("CREATE TABLE called (number text PRIMARY KEY)")
        connection.execute("INSERT INTO called VALUES ('+4930901820')")
        connection.execute("INSERT INTO called VALUES ('+4930901820')")
    log = ""
    for _ in range(100):  # another process writes the log
        log = "".join(path.read_text() for path in cluster.log_folder.glob("postgresql-*.log"))
        if "duplicate key value violates" in log:
            break
        time.sleep(0.1)
    assert (True, False) == ("duplicate key value violates" in log, "4930901820" in log)


# --- databases and programs ------------------------------------------------------------------------------------------


def test_a_database_is_fresh_and_its_owner_is_tollbook(database: Address) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert [(0, "tollbook", True)] == query(
        database, f"SELECT ({tables}), current_user, has_schema_privilege('public', 'create')"
    )


def test_a_database_can_be_the_copy_of_another(cluster: Cluster) -> None:
    _keep(create_database(cluster, "template of ours"), "kept")
    try:
        copy = create_database(cluster, "its copy", template="template of ours")
        assert [("kept",)] == query(copy, "SELECT * FROM kept")
    finally:
        drop_database(cluster, "template of ours")
        drop_database(cluster, "its copy")


def test_dropping_a_database_ends_its_connections_and_may_be_repeated(cluster: Cluster) -> None:
    address = create_database(cluster, "in use")
    with psycopg.connect(address.libpq_uri):
        drop_database(cluster, "in use")
        drop_database(cluster, "in use")
    with pytest.raises(psycopg.OperationalError, match='"in use" does not exist'):
        psycopg.connect(address.libpq_uri)


def test_a_database_can_be_dumped_and_restored(cluster: Cluster, database: Address, tmp_path: Path) -> None:
    _keep(database, "kept — €")
    dump = tmp_path / "dump"
    subprocess.run([binary(cluster, "pg_dump"), "-Fc", "-f", dump, database.libpq_uri], check=True)
    restored = create_database(cluster, "restored")
    try:
        subprocess.run([binary(cluster, "pg_restore"), "-d", restored.libpq_uri, dump], check=True)
        assert [("kept — €",)] == query(restored, "SELECT * FROM kept")
    finally:
        drop_database(cluster, "restored")


# --- what is refused -------------------------------------------------------------------------------------------------


def test_data_of_another_major_version_is_refused_with_the_way_out(new_cluster: NewCluster) -> None:
    wheel = find_binaries({}).folder.parent.parent
    old = new_cluster(pg_bin=str(wheel / "pginstall" / "bin"))
    _keep(ensure_running(old, say), "kept")
    stop(old, say)
    with pytest.raises(DataVersionMismatchError, match=r"PostgreSQL 16 wrote the data.*TOLLBOOK_PG_BIN.*dump"):
        ensure_running(cluster_at(old.data, find_binaries({})), say)
    assert [("kept",)] == query(ensure_running(old, say), "SELECT * FROM kept")


def test_a_start_that_fails_tells_postgresqls_reason(new_cluster: NewCluster) -> None:
    cluster = new_cluster(settings={"shared_buffers": "plenty"})
    with pytest.raises(ClusterNotStartedError, match="invalid value for parameter"):
        ensure_running(cluster, say)
    assert State.STOPPED == status(cluster).state


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("FATAL:  could not write to file: No space left on device", "free disk space"),
        ("initdb: error: could not look up effective user ID 4711: user does not exist", "/etc/passwd"),
        ("something else", "read the log"),
    ],
)
def test_each_reason_has_its_remedy(words: str, remedy: str) -> None:
    assert remedy in remedy_for(words, otherwise="read the log")


def test_a_socket_folder_that_others_may_enter_is_refused(new_cluster: NewCluster) -> None:
    cluster = new_cluster(DEEP)
    cluster.socket_folder.mkdir()
    if cluster.server_user is not None:
        os.chown(cluster.socket_folder, cluster.server_user.uid, cluster.server_user.gid)
    cluster.socket_folder.chmod(0o711)
    with pytest.raises(SocketFolderUnsafeError, match=r"open to other users \(mode 0711\)"):
        ensure_running(cluster, say)


def test_a_socket_folder_that_is_a_link_is_refused(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster(DEEP)
    cluster.socket_folder.symlink_to(tmp_path)
    try:
        with pytest.raises(SocketFolderUnsafeError, match="is not a folder"):
            ensure_running(cluster, say)
    finally:
        cluster.socket_folder.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that is someone else's")
def test_a_socket_folder_of_someone_else_is_refused(new_cluster: NewCluster) -> None:
    cluster = new_cluster(DEEP)
    cluster.socket_folder.mkdir(mode=0o700)
    with pytest.raises(SocketFolderUnsafeError, match="belongs to user id 0"):
        ensure_running(cluster, say)


def test_a_running_server_whose_socket_is_gone_is_told_apart(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    ensure_running(cluster, say)
    shutil.rmtree(cluster.socket_folder)
    with pytest.raises(ClusterNotStartedError, match=r"(?s)runs, but does not answer.*tollbook db stop"):
        ensure_running(cluster, say)
    stop(cluster, say)
    assert [(1,)] == query(ensure_running(cluster, say), "SELECT 1")


# --- where it is -----------------------------------------------------------------------------------------------------


def test_tollbook_data_says_where(tmp_path: Path) -> None:
    assert tmp_path / "here" == cluster_from({"TOLLBOOK_DATA": str(tmp_path / "here")}).data


@pytest.mark.skipif(os.geteuid() == 0, reason="root's default is another")
def test_an_ordinary_users_data_is_in_the_home_folder() -> None:
    assert Path("/home/x/.local/share/tollbook") == cluster_from({"HOME": "/home/x"}).data
    assert Path("/data/tollbook") == cluster_from({"HOME": "/home/x", "XDG_DATA_HOME": "/data"}).data
    assert Path("/home/x/.local/share/tollbook") == cluster_from({"HOME": "/home/x", "XDG_DATA_HOME": "data"}).data


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's data is there")
def test_roots_data_is_in_var_lib() -> None:
    assert Path("/var/lib/tollbook") == cluster_from({"HOME": "/root", "XDG_DATA_HOME": "/data"}).data


@pytest.mark.parametrize("data", ["billing", "~/billing", "./data"])
def test_a_relative_data_folder_is_refused(data: str) -> None:
    with pytest.raises(DataFolderUnusableError, match="not an absolute path; write TOLLBOOK_DATA in full"):
        cluster_from({"TOLLBOOK_DATA": data})


@pytest.mark.parametrize("name", ["two\nlines", 'a "word"', "$HOME", "`id`", "back\\slash"])
def test_a_name_that_a_shell_would_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataFolderUnusableError, match='has a control character or one of " \\$ ` '):
        cluster_at(tmp_path / name, NO_BINARIES)


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderUnusableError, match=r"cannot be used: \[Errno 20\] Not a directory"):
        ensure_running(cluster_at(tmp_path / "file" / "data", NO_BINARIES), say)


def test_the_same_folder_by_another_name_is_the_same_cluster(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert cluster_at(tmp_path / "data", NO_BINARIES) == cluster_at(tmp_path / "link", NO_BINARIES)


def test_an_address_is_quoted_in_both_forms() -> None:
    address = Address(host=Path("/tmp/ä b"), database="a/b c")  # noqa: S108 (no such folder is opened)
    tail = "tollbook@/a%2Fb%20c?host=/tmp/%C3%A4%20b&port=5432"
    assert (f"postgresql://{tail}", f"postgresql+psycopg://{tail}") == (address.libpq_uri, address.sqlalchemy_url)
    assert "/tmp/ä b" == sqlalchemy.make_url(address.sqlalchemy_url).query["host"]  # noqa: S108


# ---------------------------------------------------------------------------------------------------------------------


def _as_superuser(address: Address) -> Address:
    return Address(host=address.host, role="postgres", database="postgres")


def _keep(address: Address, word: str) -> None:
    with psycopg.connect(address.libpq_uri) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [word])


def _leave_stale_pid(cluster: Cluster, pid: int) -> None:
    """As after a crash: the lock files stayed, and the number in them is another process's now."""
    locks = (cluster.postgres / "postmaster.pid", cluster.socket_folder / ".s.PGSQL.5432.lock")
    lines = [path.read_text().splitlines(keepends=True)[1:] for path in locks]
    owner = cluster.postgres.stat()
    stop(cluster, say)
    for path, rest in zip(locks, lines, strict=True):
        path.write_text("".join([f"{pid}\n", *rest]))
        os.chown(path, owner.st_uid, owner.st_gid)
