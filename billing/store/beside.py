"""Columns read beside a unit of work: by ADBC, over a connection of their own, as the unit of work finds them.

ADBC makes columns of rows without Python. Its connection takes over the snapshot of the unit of work: it sees what is
committed just as that does, and nothing of what that writes itself, so what is read stays what it was while it is
rewritten, row after row. Another server than that of the unit of work (as behind a pooler) knows no such snapshot.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import TypeVar

import adbc_driver_manager
import psycopg
import pyarrow as pa
from adbc_driver_postgresql import StatementOptions, dbapi
from psycopg import sql
from psycopg.conninfo import make_conninfo

from billing.store.bulk import Table
from billing.store.engine import Connection

_Item = TypeVar("_Item")

# Rows come in the order in which they lie: neither from several workers, nor from the middle on. Who waits for a lock
# may be waiting for the unit of work, which waits for the rows: the server sees no deadlock in that.
_SESSION = r"""-c default_transaction_isolation=repeatable\ read -c default_transaction_read_only=on -c timezone=UTC
    -c max_parallel_workers_per_gather=0 -c synchronize_seqscans=off -c jit=off -c lock_timeout=60s"""
_SERVER_SAID = re.compile(r"\b(?:ERROR|FATAL):\s+(.*)")
_BYTES_AT_ONCE = 48 << 20


def read_beside(connection: Connection, query: sql.Composable) -> Generator[Table, None, None]:
    """The result of a query as Arrow tables of some 48 MB; what is of a type that Arrow has not is bytes.

    Read as it is wanted, while the unit of work lasts. Raises psycopg's errors.
    """
    info = make_conninfo(
        **{**connection.info.get_parameters(), "password": connection.info.password, "options": _SESSION}
    )
    statement = query.as_string(connection)
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    return _read(info, row[0] if row else "", statement)


def ahead(items: Generator[_Item, None, None]) -> Generator[_Item, None, None]:
    """The items: while one is worked on, the next is made in a thread of its own."""
    with closing(items), ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def together(streams: Sequence[Generator[_Item, None, None]]) -> Generator[_Item, None, None]:
    """The items of several streams, each made in a thread of its own; while some are worked on, the next are made."""
    with ExitStack() as stack:
        for stream in streams:
            stack.enter_context(closing(stream))
        threads = stack.enter_context(ThreadPoolExecutor(max_workers=len(streams)))
        coming = {place: threads.submit(next, stream, None) for place, stream in enumerate(streams)}
        while coming:
            for place, future in list(coming.items()):
                item = future.result()
                if item is None:
                    del coming[place]
                    continue
                coming[place] = threads.submit(next, streams[place], None)
                yield item


def _read(info: str, snapshot: str, statement: str) -> Generator[Table, None, None]:
    with _errors(), dbapi.connect(info) as beside, beside.cursor() as cursor:
        cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(_BYTES_AT_ONCE)})
        cursor.execute(statement)
        with cursor.fetch_record_batch() as batches:
            for batch in batches:
                if batch.num_rows:
                    yield pa.table({name: _plain(batch[name]) for name in batch.schema.names})


def _plain(column: Table) -> Table:
    return column.storage if isinstance(column.type, pa.OpaqueType) else column


@contextmanager
def _errors() -> Iterator[None]:
    """Errors of ADBC as those of psycopg, which everyone else knows, without the statement, which ADBC repeats."""
    try:
        yield
    except adbc_driver_manager.Error as error:
        try:
            kind = psycopg.errors.lookup(error.sqlstate or "")
        except KeyError:
            kind = psycopg.OperationalError
        said = _SERVER_SAID.search(str(error))
        raise kind(said[1] if said else str(error)) from None
