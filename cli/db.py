"""`tollbook db`: the embedded PostgreSQL and the schema; and the way of all other commands to the database."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.exits import Exit
from cli.output import Format, FormatOption, emit_record, say
from rates.errors import TollbookError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from billing.store.compiled import CompiledCards
    from billing.store.embedded import Cluster, Status
    from billing.store.engine import Connection, Patience
    from billing.store.engine import Engine as Engine  # noqa: PLC0414 (commands that are handed one name its type here)
    from cli.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The database: start, stop, look at it.")

_CONNECTIONS = 4
_NOT_EMBEDDED = "DATABASE_URL is set: that server is started and stopped by whoever runs it"


class SettingsInvalidError(TollbookError):
    """The environment does not say clearly which database is meant."""


@app.command()
def start() -> None:
    """Start the embedded PostgreSQL, and create or upgrade the schema."""
    from billing.store.migrate import newest_version

    with writing():
        say(f"The database is ready, schema {newest_version()}.")


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL; what it holds stays."""
    from billing.store import embedded

    if embedded.stop(_cluster(), say):
        say("The database has stopped.")
    else:
        say("No database was running.")
        raise typer.Exit(Exit.NOTHING_TO_DO)


@app.command()
def status(form: FormatOption = Format.TABLE) -> None:
    """What the embedded PostgreSQL is doing, and where it lies."""
    emit_record(_described(embedded_status()), form)


def migrate() -> None:
    """Upgrade the database's schema to this version of the program. Safe to repeat."""
    from billing.store.migrate import migrate as upgrade

    opened = engine(check=False)
    version = upgrade(opened)
    opened.dispose()
    say(f"The schema is at version {version}.")


def engine(
    *, check: bool = True, connections: int = _CONNECTIONS, statement_seconds: int = 0, lock_seconds: int = 0
) -> "Engine":
    """The database that the environment means: DATABASE_URL, else the embedded one, started and upgraded on demand.

    Of a server of DATABASE_URL raises AddressInvalidError, ServerUnreachableError, and SchemaMismatchError where its
    schema is another version's. `connections` are kept open at most. A statement may take `statement_seconds`, and
    wait `lock_seconds` for a lock; 0: as long as it takes.
    """
    from billing.store.addresses import open_server
    from billing.store.engine import Patience
    from billing.store.migrate import check_schema

    address, patience = _address(), Patience(statement_seconds=statement_seconds, lock_seconds=lock_seconds)
    if address is None:
        return _upgraded(_started(), connections, patience)
    opened = open_server(address, settings().address_place, connections=connections, patience=patience)
    if check:
        check_schema(opened)
    return opened


@contextmanager
def reading() -> "Iterator[Connection]":
    """The database at one moment, to read from."""
    opened = engine()
    try:
        with reading_from(opened) as connection:
            yield connection
    finally:
        opened.dispose()


def reading_from(opened: "Engine") -> "AbstractContextManager[Connection]":
    """A database at one moment, to read from."""
    from billing.store.engine import snapshot

    return snapshot(opened)


@contextmanager
def looking() -> "Iterator[Connection]":
    """The database as it is, to look at: nothing is started or upgraded. Raises what `engine` raises."""
    from billing.store.addresses import open_server
    from billing.store.embedded import address_of
    from billing.store.engine import open_engine, snapshot
    from billing.store.migrate import check_schema

    address = _address()
    if address is None:
        opened = open_engine(address_of(_cluster()).sqlalchemy_url, connections=1)
    else:
        opened = open_server(address, settings().address_place, connections=1)
    try:
        check_schema(opened)
        with snapshot(opened) as connection:
            yield connection
    finally:
        opened.dispose()


@contextmanager
def writing() -> "Iterator[Engine]":
    """The database, for a flow that writes; its connections are closed at the end."""
    opened = engine()
    try:
        yield opened
    finally:
        opened.dispose()


def new_database(name: str) -> "tuple[Engine, str, Path]":
    """A database of the embedded PostgreSQL, made anew whatever DATABASE_URL says; its address; the data folder."""
    import os

    from billing.store import embedded

    cluster = embedded.cluster_from(os.environ)
    embedded.ensure_running(cluster, say)
    embedded.drop_database(cluster, name)
    address = embedded.create_database(cluster, name)
    return _upgraded(address.sqlalchemy_url), address.libpq_uri, cluster.data


def compiled_cards() -> "CompiledCards | None":
    """Where compiled cards are kept from one command to the next: in the data folder, also with DATABASE_URL."""
    import os

    from billing.store.cluster.folders import data_folder
    from billing.store.compiled import CompiledCards
    from billing.store.embedded import ClusterError

    try:
        return CompiledCards(folder=data_folder(os.environ) / "compiled")
    except (ClusterError, KeyError):  # KeyError: a container's user may have no home
        return None


def _upgraded(address: str, connections: int = _CONNECTIONS, patience: "Patience | None" = None) -> "Engine":
    from billing.store.engine import Patience, open_engine
    from billing.store.migrate import migrate as upgrade

    opened = open_engine(address, connections=connections, patience=patience or Patience())
    upgrade(opened)  # an embedded one has no operator to ask first
    return opened


def embedded_status() -> "Status":
    """The embedded PostgreSQL at this moment; nothing is changed."""
    from billing.store import embedded

    return embedded.status(_cluster())


def settings() -> "Settings":
    """What the environment says. Raises SettingsInvalidError."""
    from pydantic import ValidationError

    from cli.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        faults = [(_variable(fault["loc"]), _words(fault)) for fault in error.errors()]
        problem = "; ".join(": ".join(filter(None, fault)) for fault in faults)
        raise SettingsInvalidError(problem, place="environment", remedy="mend or unset it") from None


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable of a setting that a fault is in: some have a name of their own, the others that of their field."""
    name = str(location[0]) if location else ""
    return f"TOLLBOOK_{name.upper()}" if name.islower() else name


def _words(fault: "ErrorDetails") -> str:
    """What is wrong with a setting, in our words: the library's name patterns and Python's types."""
    from cli.settings import FORMS

    said = fault.get("ctx", {}).get("error")
    if isinstance(said, ValueError):
        return str(said)
    field = str(fault["loc"][0]) if fault["loc"] else ""
    return f"is not {FORMS.get(field, 'a value that can be used')}"


def _address() -> str | None:
    said = settings()
    try:
        return said.address
    except (OSError, UnicodeDecodeError) as error:
        why = (getattr(error, "strerror", "") or "is not text").lower()
        place = f"{said.address_place} {said.database_url_file}"
        raise SettingsInvalidError(f"cannot be read: {why}", place=place, remedy="check the path") from None


def _started() -> str:
    from billing.store import embedded

    return embedded.ensure_running(_cluster(), say).sqlalchemy_url


def _cluster() -> "Cluster":
    import os

    from billing.store import embedded

    if _address() is not None:
        raise SettingsInvalidError(_NOT_EMBEDDED, place="environment", remedy="unset it to use the embedded one")
    return embedded.cluster_from(os.environ)


def _described(found: "Status") -> dict[str, object]:
    from billing.store.embedded import DATABASE

    return {
        "state": found.state,
        "version": found.version,
        "pid": found.pid,
        "database": DATABASE,
        "data": str(found.data),
        "log": str(found.log_folder),
        "socket": str(found.socket_folder),
        "binaries": found.binaries,
        "size_bytes": found.size_bytes,
    }
