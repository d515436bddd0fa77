"""What passes: faults of the database that say nothing about what was asked of it, only that it could not, just now."""

import psycopg
import sqlalchemy

_PASSING = (
    "08",  # the connection
    "40",  # rolled back for the sake of others: a deadlock, a conflict between transactions
    "53",  # too many connections, no memory, no room
    "57",  # shut down, starting up, cancelled by an operator
    "25006",  # a standby that is not the primary yet, or no longer
    "55P03",  # somebody held a lock for too long
)


def is_passing(error: BaseException) -> bool:
    """Whether the same work may be done if it is asked for again. What it had written is then not known to be there."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):  # no connection was free
        return True
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        return isinstance(error.orig, psycopg.Error) and is_passing(error.orig)
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_PASSING)
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
