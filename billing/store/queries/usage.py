"""Usage, for people: where it comes from."""

from billing.reselling import PREFIX
from billing.store.engine import Connection

_MIRRORS = "SELECT source_id FROM sources WHERE starts_with(id, %s)"


def sources(connection: Connection) -> list[str]:
    """The sources that usage has come from, by name."""
    return [name for (name,) in connection.execute("SELECT id FROM sources ORDER BY id") if not name.startswith(PREFIX)]


def mirror_ids(connection: Connection) -> list[int]:
    """The numbers of the sources of what resellers bill."""
    return [number for (number,) in connection.execute(_MIRRORS, [PREFIX])]
