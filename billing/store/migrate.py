"""Bring a database's schema up to this version of the program, and refuse to work on any other.

Until the first release the files of the schema are edited as they are, and nothing upgrades a database that was made
from other ones: it is told from them by their digest, which stands beside the version.
"""

from hashlib import sha256
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from billing.errors import SchemaMismatchError

_HERE = Path(__file__).parent
_MIGRATING = int.from_bytes(b"migrate")  # held while a schema is upgraded, so that two do not


def migrate(engine: Engine) -> str:
    """Upgrade the schema in one transaction and give its version. Safe to repeat, and to run twice at once."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
        _require_same(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{_digest()}'"))
    return newest_version()


def check_schema(engine: Engine) -> None:
    """Raise SchemaMismatchError unless the schema is this program's."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != newest_version():
        raise SchemaMismatchError(
            f"the schema is at version {found or 'none'}, and this program works with {newest_version()}",
            place="database",
            remedy="run `tollbook migrate`, or the program that belongs to this schema",
        )
    with engine.connect() as connection:
        _require_same(connection)


def newest_version() -> str:
    """The version of the schema that this program works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def create(connection: Connection, noun: str) -> None:
    """Run the statements of `schema/NOUN.sql`, for a migration."""
    driver = connection.connection.driver_connection
    if driver is None:
        raise SchemaMismatchError("migrations run on a connection", remedy="they have no offline form")
    driver.execute((_HERE / "schema" / f"{noun}.sql").read_text(encoding="utf-8"))


def _require_same(connection: Connection) -> None:
    """Refuse a schema that was made from other files than this program's."""
    asked = text("SELECT obj_description(to_regclass('alembic_version')), to_regclass('alembic_version') IS NULL")
    found, is_new = connection.execute(asked).one()
    if not is_new and found != _digest():
        raise SchemaMismatchError(
            "the schema was made by another version of this program, from before its first release",
            place="database",
            remedy="use the program that made it; or begin a new database (another TOLLBOOK_DATA, another"
            " DATABASE_URL) and take cards, accounts, contracts and usage in again",
        )


def _digest() -> str:
    """The digest of the files that the schema is made from."""
    files = sorted((_HERE / "schema").glob("*.sql"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE / "migrations").replace("%", "%%"))
    return config
