"""Columns that are read beside a unit of work are those of its snapshot, and what goes wrong is told as elsewhere."""

from collections.abc import Generator
from threading import Barrier, current_thread

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from billing.store.beside import ahead, read_beside, together
from billing.store.engine import Engine, transaction


@pytest.fixture
def seen(engine: Engine) -> Engine:
    with transaction(engine) as connection:
        connection.execute("CREATE TABLE seen (n integer); INSERT INTO seen VALUES (1)")
    return engine


def test_it_sees_what_was_committed_before_it_was_asked_for_and_nothing_of_the_unit_of_work(seen: Engine) -> None:
    with transaction(seen) as work:
        work.execute("INSERT INTO seen VALUES (2)")
        found = read_beside(work, sql.SQL("SELECT n FROM seen"))
        with transaction(seen) as other:
            other.execute("INSERT INTO seen VALUES (3)")
        work.execute("UPDATE seen SET n = 10 WHERE n = 1")
        assert [1] == [n for rows in found for n in rows["n"].to_pylist()]


def test_what_arrow_has_no_type_for_is_bytes(seen: Engine) -> None:
    with transaction(seen) as work:
        (rows,) = read_beside(work, sql.SQL("SELECT ctid AS place, NULL::text AS nothing FROM seen"))
    assert (pa.binary(), pa.string()) == (rows["place"].type, rows["nothing"].type)
    assert [{"place": b"\0\0\0\0\0\1", "nothing": None}] == rows.to_pylist()


def test_nothing_found_is_no_table(seen: Engine) -> None:
    with transaction(seen) as work:
        assert [] == list(read_beside(work, sql.SQL("SELECT n FROM seen WHERE n > 1")))


def test_it_writes_nothing_and_fails_with_the_errors_of_psycopg_and_without_what_was_asked(seen: Engine) -> None:
    with transaction(seen) as work:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            list(read_beside(work, sql.SQL("DELETE FROM seen RETURNING n")))
        with pytest.raises(psycopg.errors.UndefinedTable) as error:
            list(read_beside(work, sql.SQL("SELECT 'secret' FROM unseen")))
    assert "secret" not in str(error.value)


def test_the_next_is_made_elsewhere_in_order_and_no_more_is_once_nobody_wants_it() -> None:
    made: list[int] = []
    threads = set()

    def items() -> Generator[int, None, None]:
        try:
            for number in range(1, 10):
                made.append(number)
                threads.add(current_thread().name)
                yield number
        finally:
            made.append(0)

    coming = ahead(items())
    assert [1, 2] == [next(coming), next(coming)]
    coming.close()
    assert ([1, 2, 3, 0], False) == (made, current_thread().name in threads)


def test_what_goes_wrong_elsewhere_goes_wrong_here() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise LookupError

    coming = ahead(items())
    assert 1 == next(coming)
    with pytest.raises(LookupError):
        next(coming)


def test_several_streams_are_read_at_once_each_in_its_own_thread_and_one_that_ends_leaves_the_others() -> None:
    both = Barrier(2, timeout=20)
    threads = set()

    def items(name: str, count: int) -> Generator[str, None, None]:
        both.wait()  # neither begins without the other
        for number in range(count):
            threads.add(current_thread().name)
            yield f"{name}{number}"

    assert ["a0", "b0", "b1", "b2"] == sorted(together([items("a", 1), items("b", 3)]))
    assert current_thread().name not in threads


def test_streams_end_with_whoever_reads_them_and_with_what_goes_wrong_in_one() -> None:
    ended = []

    def items(name: str, *, wrong: bool = False) -> Generator[str, None, None]:
        try:
            yield name
            if wrong:
                raise LookupError
            yield from [name] * 100
        finally:
            ended.append(name)

    coming = together([items("a"), items("b")])
    assert "a" == next(coming)
    coming.close()
    assert ["a", "b"] == sorted(ended)
    with pytest.raises(LookupError):
        list(together([items("c"), items("d", wrong=True)]))
    assert ["a", "b", "c", "d"] == sorted(ended)
