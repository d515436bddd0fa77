"""Triggers, guards and releases in the store. Who changes any of them locks them first, and raises their version."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from billing.guards import Guard, Release, stored_guard, table_of
from billing.periods import ALWAYS
from billing.store.engine import Connection
from billing.triggers import Action, Measure, Trigger, Window
from rates.products import Product


class StoredTrigger(NamedTuple):
    """A trigger by its number in the store, and since when it looks at windows."""

    number: int
    trigger: Trigger
    added_at: datetime


def limits_version(connection: Connection) -> tuple[int, int]:
    """The version of all that is said of limits, and that of guards."""
    row = connection.execute("SELECT version, guards FROM limits_version").fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def lock_limits(connection: Connection) -> None:
    """Wait until nobody else changes limits, and hold that."""
    connection.execute("SELECT version FROM limits_version FOR UPDATE")


def raise_limits_version(connection: Connection, *, guards: bool = False) -> None:
    """Say that the limits have changed, or guards among them; under their lock."""
    connection.execute("UPDATE limits_version SET version = version + 1, guards = guards + %s::integer", [guards])


def read_triggers(connection: Connection, *, ended: bool = False) -> list[StoredTrigger]:
    """The triggers that have not ended, by their names; also those that have `ended`."""
    rows = connection.execute(
        "SELECT trigger_id, t.added_at, t.id, a.id, product, country, measure, unit, unit_size, per, threshold, action"
        " FROM triggers AS t JOIN accounts AS a USING (account_id) WHERE %s OR ended_at IS NULL ORDER BY t.id, 1",
        [ended],
    )
    names = ("id", "account", "product", "country", "measure", "unit", "unit_size", "window", "threshold", "action")
    return [_stored(number, at, dict(zip(names, facts, strict=True))) for number, at, *facts in rows]


def insert_triggers(connection: Connection, some: Sequence[Trigger], *, at: datetime, actor: str) -> None:
    """Add triggers; none of their names is in use."""
    connection.cursor().executemany(
        "INSERT INTO triggers (id, account_id, product, country, measure, unit, unit_size, per, threshold, action,"
        " added_at, added_by) VALUES"
        " (%s, (SELECT account_id FROM accounts WHERE id = %s), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (
                *(each.id, each.account, each.product, each.country, each.measure, each.unit, each.unit_size),
                *(each.window, each.threshold, each.action, at, actor),
            )
            for each in some
        ],
    )


def end_triggers(connection: Connection, names: Sequence[str], *, at: datetime, actor: str) -> int:
    """End triggers by their names; how many there were."""
    return connection.execute(
        "UPDATE triggers SET ended_at = %s, ended_by = %s WHERE id = ANY(%s) AND ended_at IS NULL",
        [at, actor, list(names)],
    ).rowcount


def read_guards(connection: Connection, products: Mapping[str, Product]) -> list[Guard]:
    """The guards that have not ended, by their names; those that do not fit the products any more with their faults."""
    rows = connection.execute("SELECT id, said FROM guards WHERE ended_at IS NULL ORDER BY id")
    return [stored_guard(said, f"guard {name}", products) for name, said in rows]


def insert_guards(connection: Connection, some: Sequence[Guard], *, at: datetime, actor: str) -> None:
    """Add guards; none of their names is in use."""
    connection.cursor().executemany(
        "INSERT INTO guards (id, account_id, said, added_at, added_by)"
        " VALUES (%s, (SELECT account_id FROM accounts WHERE id = %s), %s, %s, %s)",
        [(each.id, each.account, Jsonb(table_of(each)), at, actor) for each in some],
    )


def end_guards(connection: Connection, names: Sequence[str], *, at: datetime, actor: str) -> int:
    """End guards by their names; how many there were."""
    return connection.execute(
        "UPDATE guards SET ended_at = %s, ended_by = %s WHERE id = ANY(%s) AND ended_at IS NULL",
        [at, actor, list(names)],
    ).rowcount


def insert_release(connection: Connection, release: Release, *, at: datetime, person: str, reason: str) -> None:
    """Note that an account passes a guard."""
    connection.execute(
        "INSERT INTO guard_releases (guard, account_id, destination, until, at, person, reason)"
        " VALUES (%s, (SELECT account_id FROM accounts WHERE id = %s), %s, %s, %s, %s, %s)",
        [
            *(release.guard, release.account, release.destination),
            *(None if release.until == ALWAYS else release.until, at, person, reason),
        ],
    )


def read_releases(connection: Connection, at: datetime) -> dict[str, list[Release]]:
    """The releases that hold at an instant or later, by the names of their guards."""
    rows = connection.execute(
        "SELECT guard, a.id, destination, until FROM guard_releases"
        " JOIN accounts AS a USING (account_id) WHERE until IS NULL OR until > %s ORDER BY release_id",
        [at],
    )
    found: dict[str, list[Release]] = {}
    for guard, account, destination, until in rows:
        release = Release(guard=guard, account=account, destination=destination, until=until or ALWAYS)
        found.setdefault(guard, []).append(release)
    return found


def _stored(number: int, added_at: datetime, facts: Mapping[str, Any]) -> StoredTrigger:
    measure, window, action = Measure(facts["measure"]), Window(facts["window"]), Action(facts["action"])
    return StoredTrigger(number, Trigger(**{**facts, "measure": measure, "window": window, "action": action}), added_at)
