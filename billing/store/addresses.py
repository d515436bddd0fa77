"""A server that somebody names by its address: what is wrong with the address or the server, in one line.

The address holds a password, so that neither it nor a part of it is ever told.
"""

import re

import sqlalchemy
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError

from billing.store.engine import Engine, Patience, open_engine
from rates.errors import TollbookError

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_FORM = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with @ : / # % in a password as %40 %3A %2F %23 %25"
# (what the server or the driver says, what to do): the first that is found.
_REMEDIES = (
    ("password|authentication", "mend the user or the password in it"),
    (r'role ".*" does not exist', "mend the user in it, or create that role"),
    (r'database ".*" does not exist', "create that database, or mend its name in it"),
    ("resolve|translate host", "mend the host in it"),
    ("", "start the server, or mend the host and the port in it; then run the command again"),
)


class AddressInvalidError(TollbookError):
    """What stands at `place` is not the address of a PostgreSQL server."""


class ServerUnreachableError(TollbookError):
    """The server whose address stands at `place` lets nobody in, or is not there."""


def open_server(url: str, place: str, *, connections: int, patience: Patience | None = None) -> Engine:
    """An engine for an address that stands at `place`, with a first connection made.

    Raises AddressInvalidError and ServerUnreachableError.
    """
    if url.partition("://")[0] not in _SCHEMES:
        raise AddressInvalidError("is not the address of a PostgreSQL server", place=place, remedy=_FORM)
    try:
        engine = open_engine(url, connections=connections, patience=patience or Patience())
    except (ArgumentError, ValueError):
        raise AddressInvalidError("cannot be read", place=place, remedy=_FORM) from None
    if "@" in f"{engine.url.host}{engine.url.database}":  # of a password with a sign that ends it
        raise AddressInvalidError("cannot be read", place=place, remedy=_FORM)
    try:
        engine.connect().close()
    except ProgrammingError:
        engine.dispose()
        raise AddressInvalidError("has an option that PostgreSQL does not have", place=place, remedy=_FORM) from None
    except DBAPIError as error:
        engine.dispose()
        raise _unreachable(error, engine.url, place) from None
    return engine


def _unreachable(error: DBAPIError, address: sqlalchemy.URL, place: str) -> ServerUnreachableError:
    said = " ".join(str(error.orig).split())
    if address.password:
        said = said.replace(str(address.password), "***")
    remedy = next(remedy for pattern, remedy in _REMEDIES if re.search(pattern, said))
    return ServerUnreachableError(f"the server cannot be reached: {said}", place=place, remedy=remedy)
