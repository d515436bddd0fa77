"""Monthly partitions of events: made ahead, and where one is missing, before the first event of its month."""

from collections.abc import Iterable
from datetime import date

from psycopg import sql

from billing.periods import Period
from billing.store.engine import Connection

_LOCK = int.from_bytes(b"months")
_PARTITIONED = {"events": 48, "event_elements": 100}
"""How full pages are made, in per cent.

Those of events have room for each of their rows a second time: a month that is rated again is rewritten where it lies,
and its indexes stay as they are. Else each row would go to another page, and into an index once more, which takes four
times as long; and the month would be as large as this from then on.
"""


def months_missing(connection: Connection, months: Iterable[date]) -> set[date]:
    """Those of the months (their first days) that lack a partition."""
    wanted = {f"{table}_{month:%Y_%m}": month for month in months for table in _PARTITIONED}
    return {wanted[name] for name in _missing(connection, wanted)} if wanted else set()


def make_partitions(connection: Connection, months: Iterable[date]) -> None:
    """Make the partitions of these months (their first days) that are missing; in a transaction of its own."""
    wanted = {f"{table}_{month:%Y_%m}": (table, month) for month in months for table in _PARTITIONED}
    if not _missing(connection, wanted):
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    for name in _missing(connection, wanted):
        table, month = wanted[name]
        period = Period.of_month(month.year, month.month)
        parent, child = sql.Identifier(table), sql.Identifier(name)
        # Made apart and then attached: that waits for nobody who writes to the other months.
        create = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = {})")
        attach = sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})")
        connection.execute(create.format(child, parent, _PARTITIONED[table]))
        connection.execute(attach.format(parent, child, period.opens.isoformat(), period.closes.isoformat()))


def pages_of(connection: Connection, month: date) -> int:
    """How many pages the events of a month (its first day) lie on by now; 0 where it has none."""
    row = connection.execute(
        "SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint FROM pg_class c"
        " WHERE c.relname = %s AND pg_table_is_visible(c.oid)",
        [f"events_{month:%Y_%m}"],
    ).fetchone()
    return int(row[0]) if row else 0


def _missing(connection: Connection, names: Iterable[str]) -> list[str]:
    # The catalogue is read, not to_regclass(): that may remember what was missing before the lock was waited for.
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE NOT EXISTS"
        " (SELECT FROM pg_class c WHERE c.relname = name AND pg_table_is_visible(c.oid)) ORDER BY name",
        [sorted(names)],
    )
    return [name for (name,) in rows]
