import threading

import psycopg
import pytest

from billing.errors import SchemaMismatchError
from billing.store.embedded import Address
from billing.store.engine import open_engine, snapshot, transaction
from billing.store.migrate import check_schema, migrate, newest_version


def test_an_empty_database_is_refused_until_it_is_migrated(database: Address) -> None:
    engine = open_engine(database.sqlalchemy_url)
    with pytest.raises(SchemaMismatchError, match=r"version none.*tollbook migrate"):
        check_schema(engine)
    assert newest_version() == migrate(engine) == migrate(engine)
    check_schema(engine)
    engine.dispose()


def test_a_schema_of_another_program_is_refused(database: Address) -> None:
    engine = open_engine(database.libpq_uri)
    migrate(engine)
    with transaction(engine) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaMismatchError, match="9999"):
        check_schema(engine)
    engine.dispose()


def test_a_schema_from_other_files_is_refused_with_what_to_do(database: Address) -> None:
    engine = open_engine(database.sqlalchemy_url)
    migrate(engine)
    with transaction(engine) as connection:
        connection.execute("COMMENT ON TABLE alembic_version IS 'other'")
    for refused in (check_schema, migrate):
        with pytest.raises(SchemaMismatchError, match="begin a new database"):
            refused(engine)
    engine.dispose()


def test_two_who_migrate_at_once_migrate_once(database: Address) -> None:
    engine = open_engine(database.sqlalchemy_url)
    found: list[str] = []
    both = [threading.Thread(target=lambda: found.append(migrate(engine))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert [newest_version()] * 2 == found
    engine.dispose()


def test_a_unit_of_work_is_whole_or_nothing(database: Address) -> None:
    engine = open_engine(database.sqlalchemy_url)
    with transaction(engine) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
    with pytest.raises(psycopg.errors.DivisionByZero), transaction(engine) as connection:
        connection.execute("INSERT INTO t VALUES (2)").connection.execute("SELECT 1 / 0")
    with snapshot(engine) as reading:
        assert [(1,)] == reading.execute("SELECT n FROM t").fetchall()
        with transaction(engine) as connection:
            connection.execute("INSERT INTO t VALUES (3)")
        assert [(1,)] == reading.execute("SELECT n FROM t").fetchall()
    engine.dispose()
