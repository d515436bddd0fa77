"""How the database is: what an operator should know before something hurts."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from billing.store.engine import Connection


class Health(NamedTuple):
    """The server's version, clock and settings; the newest monthly partition; how much waits to be folded or priced.

    `durable`: what is acknowledged is on the disk (fsync, full page writes and synchronous commit).
    """

    version: str
    now: datetime
    durable: bool
    is_superuser: bool
    newest_month: date | None
    unfolded: int
    quarantined: int


def health(connection: Connection) -> Health:
    """The health of the database at this moment."""
    ready = readiness(connection)
    row = connection.execute(
        "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),"
        " (SELECT to_date(max(right(c.relname, 7)), 'YYYY_MM') FROM pg_inherits i JOIN pg_class c ON c.oid = inhrelid"
        "  WHERE inhparent = 'events'::regclass),"
        " (SELECT count(*) FROM unfolded), (SELECT count(*) FROM quarantine)"
    ).fetchone()
    if row is None:
        raise LookupError("a query without FROM gives one row")
    return Health(ready.version, ready.now, ready.durable, *row)


class Lag(NamedTuple):
    """How many changes are not in the totals yet, and how long the oldest of them has waited, about.

    Up to `COUNTED` they are counted; of more the statistics of the table know how many they are.
    """

    changes: int
    oldest: timedelta


COUNTED = 100_000

# Oldest first, as they lie: what is folded leaves room at the beginning, which is used again only after a vacuum.
_LAG = """
    SELECT CASE WHEN found > %(counted)s
            THEN greatest(found, (SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = 'unfolded'::regclass))
            ELSE found END,
        greatest(coalesce(clock_timestamp() - oldest, '0'), '0')
    FROM (SELECT count(*) AS found, min(at) AS oldest
        FROM (SELECT at FROM unfolded LIMIT %(counted)s + 1) AS waiting) AS looked_at
"""


def lag(connection: Connection) -> Lag:
    """How far behind folding is; it takes the same time however far that is."""
    row = connection.execute(_LAG, {"counted": COUNTED}).fetchone()
    return Lag(*row) if row else Lag(0, timedelta(0))


def clock_of(connection: Connection) -> datetime:
    """What the database's clock says."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise LookupError("a query without FROM gives one row")
    found: datetime = row[0]
    return found


class Readiness(NamedTuple):
    """The server's version and clock; whether what it acknowledges is on its disk; whether it takes writes; its schema.

    The schema is the digest of the files that it was made from.
    """

    version: str
    now: datetime
    durable: bool
    writable: bool
    schema: str


def readiness(connection: Connection) -> Readiness:
    """Whether the database can take usage now; asked often, and so without counting anything."""
    row = connection.execute(
        "SELECT current_setting('server_version'), clock_timestamp(),"
        " current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean"
        " AND current_setting('synchronous_commit') <> 'off', NOT pg_is_in_recovery(),"
        " coalesce(obj_description(to_regclass('alembic_version')), '')"
    ).fetchone()
    if row is None:
        raise LookupError("a query without FROM gives one row")
    return Readiness(*row)
