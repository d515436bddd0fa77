"""Limits to list: triggers with what they have come to, what fired, guards, and releases from them."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

from billing.guards import Guard
from billing.store.engine import Connection
from billing.store.limits import read_guards, read_triggers
from billing.triggers import Trigger
from rates.products import Product


class ListedFiring(NamedTuple):
    """A trigger that fired: in which window, when, and what this had come to. `entry` orders them."""

    entry: str
    trigger: Trigger
    start: date
    end: date
    fired_at: datetime
    used: int


class ListedRelease(NamedTuple):
    """Who let an account pass a guard, to which destination ("": all), until when (None: for good), and why."""

    guard: str
    account: str
    destination: str
    until: datetime | None
    at: datetime
    person: str
    reason: str


def listed_triggers(connection: Connection) -> list[Trigger]:
    """The triggers that have not ended, by their names."""
    return [each.trigger for each in read_triggers(connection)]


def listed_firings(
    connection: Connection, *, trigger: str = "", after: str = "", limit: int = 1000
) -> list[ListedFiring]:
    """What fired, the oldest first, also of triggers that have ended; `after` the entry of the last that is known."""
    known = {each.number: each.trigger for each in read_triggers(connection, ended=True)}
    rows = connection.execute(_FIRINGS, {"trigger": trigger, "after": after, "limit": limit})
    return [
        ListedFiring(entry, known[number], start, end, at, int(used)) for entry, number, start, end, at, used in rows
    ]


def listed_guards(connection: Connection, products: Mapping[str, Product]) -> list[Guard]:
    """The guards that have not ended, by their names."""
    return read_guards(connection, products)


def listed_releases(
    connection: Connection, guard: str = "", *, start: int = 0, limit: int | None = None
) -> list[ListedRelease]:
    """Releases, of a guard or of all, in the order in which they were given: those from a place on."""
    rows = connection.execute(
        "SELECT guard, a.id, destination, until, at, person, reason"
        " FROM guard_releases JOIN accounts AS a USING (account_id)"
        " WHERE %s IN ('', guard) ORDER BY release_id OFFSET %s LIMIT %s",
        [guard, max(start, 0), limit],
    )
    return [ListedRelease(*row) for row in rows]


_FIRINGS = """
WITH fired AS (
    SELECT to_char(fired_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS') || lpad(trigger_id::text, 10, '0')
            || to_char(window_start, 'YYYYMMDD') AS entry,
        trigger_id, window_start, window_end, fired_at, used, t.id
    FROM trigger_firings JOIN triggers AS t USING (trigger_id)
)
SELECT entry, trigger_id, window_start, window_end, fired_at, used FROM fired
WHERE entry COLLATE "C" > %(after)s AND %(trigger)s IN ('', id)
ORDER BY entry COLLATE "C" LIMIT %(limit)s
"""
