"""Keys, to look at: nothing of them that opens anything."""

from billing.keys import Key, Mode
from billing.store.engine import Connection
from billing.store.keys import read_keys, read_mode


def listed_keys(connection: Connection) -> list[Key]:
    """All keys, also those that have ended, by name and number."""
    return sorted(read_keys(connection).values(), key=lambda key: (key.name, key.number))


def deployment_mode(connection: Connection) -> Mode | None:
    """Whether this is a live or a test deployment; None if nobody has said yet."""
    return read_mode(connection)
