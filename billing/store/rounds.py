"""Rounds of work of which one worker at a time is enough, and what several of them would only do twice."""

from billing.store.engine import Connection


def try_round(connection: Connection, name: str) -> bool:
    """Whether the round of that name is nobody else's now; then it is the transaction's until that ends."""
    row = connection.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"round {name}"]).fetchone()
    return row is not None and bool(row[0])
