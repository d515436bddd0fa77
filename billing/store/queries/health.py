"""How the database is: what an operator should know before something hurts."""

from datetime import date, datetime
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
    row = connection.execute(
        "SELECT current_setting('server_version'), clock_timestamp(),"
        " current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean"
        " AND current_setting('synchronous_commit') <> 'off',"
        " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),"
        " (SELECT to_date(max(right(c.relname, 7)), 'YYYY_MM') FROM pg_inherits i JOIN pg_class c ON c.oid = inhrelid"
        "  WHERE inhparent = 'events'::regclass),"
        " (SELECT count(*) FROM unfolded), (SELECT count(*) FROM quarantine)"
    ).fetchone()
    if row is None:
        raise LookupError("a query without FROM gives one row")
    return Health(*row)
