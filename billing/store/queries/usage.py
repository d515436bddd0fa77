"""Usage, for people: where it comes from."""

from billing.reselling import PREFIX
from billing.store.engine import Connection


def sources(connection: Connection) -> list[str]:
    """The sources that usage has come from, by name."""
    return [name for (name,) in connection.execute("SELECT id FROM sources ORDER BY id") if not name.startswith(PREFIX)]
